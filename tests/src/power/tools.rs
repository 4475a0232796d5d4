//! The programs that `tests/power/fetch` has unpacked, and what they do with images of disks.

use crate::harness::{ending_with_us, run, text};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the data directory lies on the guest's disk.
pub const LEDGER: &str = "ledger";
/// e2fsck: nothing to do, and errors corrected, which is what it calls a journal that it has replayed.
const FINE: [i32; 2] = [0, 1];

/// A folder that `tests/power/fetch` has filled.
#[derive(Clone, Debug)]
pub struct Tools(PathBuf);

impl Tools {
    /// In this folder.
    pub fn new(folder: PathBuf) -> Self {
        assert!(folder.join("complete").exists(), "run tests/power/fetch {} first", folder.display());
        Self(folder)
    }

    /// One of the programs, to end with the thread that starts it.
    pub fn command(&self, name: &str, arguments: &[&str]) -> Command {
        ending_with_us(&self.0.join("bin").join(name), arguments)
    }

    /// The guest's kernel.
    pub fn kernel(&self) -> PathBuf {
        self.0.join("kernel/vmlinuz")
    }

    /// Makes an ext4 image that holds what is in `folder`.
    #[track_caller]
    pub fn make_image(&self, folder: &Path, image: &Path, bytes: u64) {
        let size = format!("{}k", bytes / 1_024);
        let arguments = ["-q", "-F", "-t", "ext4", "-d", text(folder), text(image), &size];
        run(self.command("mke2fs", &arguments)).expect(0, &[]);
    }

    /// Replays the journal of an image and looks whether the file system is whole, as a start of a machine does. An error that
    /// a replay of the journal should not have left is a failure.
    #[track_caller]
    pub fn repair(&self, image: &Path) {
        let found = run(self.command("e2fsck", &["-f", "-p", text(image)]));
        assert!(
            found.code.is_some_and(|code| FINE.contains(&code)),
            "the file system is damaged: {}{}",
            found.stdout,
            found.stderr
        );
    }

    /// Copies the data directory out of an image, into `folder`.
    #[track_caller]
    pub fn extract(&self, image: &Path, folder: &Path) {
        let request = format!("rdump /{LEDGER} \"{}\"", folder.display());
        let done = run(self.command("debugfs", &["-R", &request, text(image)])).expect(0, &[]);
        // It says its version on stderr, and with that its failures, which don't change the exit code.
        assert!(done.stderr.lines().count() <= 1, "debugfs: {}", done.stderr);
    }
}

/// Copies an image without what is not allocated in it.
pub fn copy_image(from: &Path, to: &Path) -> io::Result<File> {
    let mut command = ending_with_us(Path::new("cp"), &["--sparse=always"]);
    command.arg(from).arg(to);
    run(command).expect(0, &[]);
    File::options().read(true).write(true).open(to)
}
