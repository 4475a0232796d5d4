//! `auriga restore`: a data directory from a backup. Each file is compared with its checksum while it is copied, then the state is
//! compared with that of the backup; only a directory that is good gets the name of one.

use super::Progress;
use super::copy::{List, Said, copy};
use super::replay::replay;
use crate::cli::RestoreArguments;
use crate::directory::{self, Directory};
use crate::failure::{Failure, Outcome};
use crate::output::say;
use crate::owner::hand_over;
use auriga_shards::lead::Found;
use auriga_shards::log::{IdMode, Identity};
use std::path::Path;

/// Restores a backup.
pub fn run(asked: &RestoreArguments) -> Outcome<()> {
    let (backup, data) = (&asked.backup, &asked.data);
    let list = List::read(backup)?;
    let id_mode = IdMode::from_name(&list.ids)
        .ok_or_else(|| damaged(backup, &format!("ids = {:?}, expected \"time\" or \"any\"", list.ids)))?;
    let identity = Identity { cluster: list.cluster, id_mode };
    let needed = list.files.iter().map(|entry| entry.size).sum();
    directory::make(data, |path| {
        directory::check_direct_io(path)?;
        directory::check_free(path, needed)
    })?;
    let directory = Directory::unnamed(data, identity);
    copy_all(&list, backup, &directory)
        .map_err(|failure| failure.and_then(&format!("Remove {}: it is not whole", data.display())))?;
    say!("restored {} to {}", backup.display(), data.display());
    say!("epoch          {}", list.epoch);
    say!("accounts       {}", list.accounts);
    say!("digest         {}", list.digest);
    Ok(())
}

fn copy_all(list: &List, backup: &Path, directory: &Directory) -> Outcome<()> {
    let data = &directory.path;
    let mut said = Said { progress: &mut Progress::new("restored"), done: 0, of: list.used() };
    for entry in &list.files {
        let (from, to) = (backup.join(&entry.name), data.join(&entry.name));
        let checksum = copy(&from, &to, entry.used, entry.size, &mut said)?;
        let found = format!("{checksum:032x}");
        if found != entry.checksum {
            return Err(damaged(
                backup,
                &format!("checksum of {}: found {found}, expected {}", entry.name, entry.checksum),
            ));
        }
    }
    directory::sync_all_directories(data)?;
    let found =
        Found { manifests: directory.manifests()?, log_from: directory.log_from()?, ..Found::default() };
    let replayed = replay(directory, found, u64::MAX)?;
    let digest = format!("{:032x}", replayed.digest);
    if (replayed.epoch, &digest) != (list.epoch, &list.digest) {
        return Err(damaged(
            backup,
            &format!(
                "digest after epoch {}: found {digest}, expected {} after epoch {}",
                replayed.epoch, list.digest, list.epoch
            ),
        ));
    }
    directory::write_identity(data, &directory.identity)?;
    hand_over(data)
}

fn damaged(backup: &Path, what: &str) -> Failure {
    Failure::damaged(format!(
        "{}: {what}. Nothing of it can be used: restore another backup",
        backup.display()
    ))
}
