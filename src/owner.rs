//! Whose the files of a data directory are. A server may have a user of its own; what an operator makes for it as root must be that user's.

use crate::directory::cannot;
use crate::failure::Outcome;
use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

/// As root: gives what is root's, of this file or directory and in it, to whom the directory belongs, or the one that it is in. Nothing
/// happens if that is root, or this process isn't.
pub fn hand_over(path: &Path) -> Outcome<()> {
    // SAFETY: it takes no memory and can't fail.
    if unsafe { libc::geteuid() } != 0 {
        return Ok(());
    }
    let path = std::path::absolute(path).map_err(|e| cannot("find", path, &e))?;
    let owner = |path: &Path| Some(fs::metadata(path).ok()?).filter(|metadata| metadata.uid() != 0);
    match owner(&path).or_else(|| owner(path.parent()?)) {
        Some(owner) => give(&path, &owner),
        None => Ok(()),
    }
}

fn give(path: &Path, owner: &Metadata) -> Outcome<()> {
    let found = fs::symlink_metadata(path).map_err(|e| cannot("look at", path, &e))?;
    if found.uid() == 0 {
        lchown(path, Some(owner.uid()), Some(owner.gid()))
            .map_err(|e| cannot("change the owner of", path, &e))?;
    }
    if found.is_dir() {
        for entry in fs::read_dir(path).map_err(|e| cannot("read", path, &e))? {
            give(&entry.map_err(|e| cannot("read", path, &e))?.path(), owner)?;
        }
    }
    Ok(())
}
