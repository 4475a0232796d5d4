//! A directory that Auriga is installed into as if it were the root.

use auriga_tests::harness::{Finished, Scratch, run, text};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository's top.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace")
}

/// A program with arguments.
pub fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// One of the commands in systemd/, with a root of its own.
pub fn script(name: &str, root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(repository().join("systemd").join(name));
    command.args(arguments).env("DESTDIR", root);
    command
}

/// A root with everything installed below /usr.
pub fn installed(name: &str) -> Scratch {
    let root = Scratch::new(name);
    run(script("install", root.path(), &["--prefix", "/usr"])).expect(0, &[]);
    root
}

/// What systemd's own package has, as far as Auriga's units name it.
const TARGETS: [&str; 6] = ["sysinit", "basic", "shutdown", "multi-user", "network", "time-sync"];

/// Lets `systemd-analyze verify` look at units in a root.
pub fn verify(root: &Path, units: &[&str]) -> Finished {
    let directory = root.join("usr/lib/systemd/system");
    for target in TARGETS {
        let name = format!("{target}.target");
        fs::copy(Path::new("/usr/lib/systemd/system").join(&name), directory.join(&name))
            .expect("systemd is installed: apt-get install systemd");
    }
    let mut command = Command::new("systemd-analyze");
    command.args(["verify", "--root", text(root)]).args(units);
    run(command)
}

/// Files below a root, without the leading slash, and their modes.
pub fn files(root: &Path) -> BTreeMap<PathBuf, u32> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).expect("it can be read").flatten() {
            let kind = entry.file_type().expect("it has a kind");
            if kind.is_dir() {
                left.push(entry.path());
            }
            let path = entry.path().strip_prefix(root).expect("below the root").to_owned();
            let mode = entry.metadata().expect("it is there").permissions().mode() & 0o7777;
            if !kind.is_dir() {
                found.insert(path, mode);
            }
        }
    }
    found
}
