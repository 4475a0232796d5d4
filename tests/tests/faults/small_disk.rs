//! A small file system of its own, in a file: it can be full, and lose a part of its disk, and nobody else notices. Needs root and loop
//! devices.

use auriga_tests::harness::Scratch;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Bytes of the largest and the smallest piece of ballast.
const PIECES: std::ops::RangeInclusive<u32> = 12..=26;

/// How long a file system may be busy after the last process that was told to use it has ended.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is behind a place of the disk, and lost for the time being.
pub struct Lost {
    from: u64,
    bytes: Vec<u8>,
}

/// A part of a file: where it begins in the file, where on the disk, and how many bytes it has.
type Extent = (u64, u64, u64);

/// A mounted file system.
pub struct SmallDisk<'a> {
    folder: PathBuf,
    scratch: &'a Scratch,
    image: PathBuf,
}

impl<'a> SmallDisk<'a> {
    /// Mounts one of so many bytes, if this user and machine can.
    pub fn mount(scratch: &'a Scratch, size: u64) -> Result<Self, String> {
        let (image, folder) = (scratch.join("image"), scratch.join("disk"));
        let file = File::create(&image).map_err(|e| e.to_string())?;
        file.set_len(size).map_err(|e| e.to_string())?;
        fs::create_dir(&folder).map_err(|e| e.to_string())?;
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0", "-b", "4096"]).arg(&image))?;
        let disk = Self { folder, scratch, image };
        run(Command::new("mount").args(["-o", "loop"]).arg(&disk.image).arg(&disk.folder))?;
        Ok(disk)
    }

    /// Lets the kernel forget what it has read of it.
    #[track_caller]
    pub fn forget_what_was_read(&self) {
        unmount(&self.folder).expect("nobody uses it");
        run(Command::new("mount").args(["-o", "loop"]).arg(&self.image).arg(&self.folder))
            .expect("as before");
    }

    /// Moves a file here, and leaves a link to it in its place. It lies on the disk in the order of its bytes.
    #[track_caller]
    pub fn take_over(&self, path: &Path) -> PathBuf {
        let here = self.join("file");
        let bytes = fs::read(path).expect("it is there");
        let mut file = File::create(&here).expect("there is room for a name");
        // SAFETY: the descriptor is open; no memory is passed.
        let taken = unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, bytes.len() as i64) };
        assert_eq!(taken, 0, "there is room");
        file.write_all(&bytes).and_then(|()| file.sync_all()).expect("durable");
        let places: Vec<u64> = extents(&here).iter().map(|(_, on_disk, _)| *on_disk).collect();
        assert!(places.is_sorted(), "{places:?}");
        fs::remove_file(path).expect("removed");
        std::os::unix::fs::symlink(&here, path).expect("linked");
        here
    }

    /// Loses everything on the disk from a byte of a file on: reads of it fail.
    #[track_caller]
    pub fn lose_from(&self, path: &Path, offset: u64) -> Lost {
        let extents = extents(path);
        let has = |(at, _, size): &&Extent| (*at..*at + *size).contains(&offset);
        let (at, on_disk, _) = extents.iter().find(has).expect("the file has this byte");
        let from = on_disk + offset - at;
        let file = OpenOptions::new().read(true).write(true).open(&self.image).expect("the image is there");
        let size = file.metadata().expect("a size").len();
        let mut bytes = vec![0; (size - from) as usize];
        file.read_exact_at(&mut bytes, from).expect("read");
        file.set_len(from).expect("cut off");
        Lost { from, bytes }
    }

    /// Everything that was lost is there again.
    #[track_caller]
    pub fn find_again(&self, lost: &Lost) {
        let file = OpenOptions::new().write(true).open(&self.image).expect("the image is there");
        file.write_all_at(&lost.bytes, lost.from).expect("written");
    }

    /// A path on it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Takes its room, but for so many bytes.
    #[track_caller]
    pub fn fill_but(&self, left: u64) {
        let ballast = self.join("ballast");
        fs::create_dir_all(&ballast).expect("there is room for a name");
        for piece in PIECES.rev() {
            while free(&self.folder) >= left + (1 << piece) {
                let number = fs::read_dir(&ballast).expect("it is there").count();
                let file = File::create(ballast.join(number.to_string())).expect("there is room for a name");
                // SAFETY: the descriptor is open; no memory is passed.
                if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, 1 << piece) } != 0 {
                    break;
                }
            }
        }
    }

    /// Gives all of that room back.
    #[track_caller]
    pub fn free_room(&self) {
        fs::remove_dir_all(self.join("ballast")).expect("the ballast is there");
    }
}

/// Where a file lies on the disk.
#[track_caller]
fn extents(path: &Path) -> Vec<Extent> {
    const BLOCK: u64 = 4_096;
    let output = Command::new("filefrag").args(["-b4096", "-v"]).arg(path).output().expect("filefrag runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // As in `  0:        0..    6143:      10241..     16384:   6144:            `.
    let extent = |line: &str| {
        let mut columns = line.split(':');
        columns.next()?.trim().parse::<u64>().ok()?;
        let mut first = || columns.next()?.split("..").next()?.trim().parse::<u64>().ok();
        Some((first()? * BLOCK, first()? * BLOCK, first()? * BLOCK))
    };
    text.lines().filter_map(extent).collect()
}

/// A process that has ended may hold files for a moment more: through its rings, or in a child that is about to become another program.
fn unmount(folder: &Path) -> Result<(), String> {
    let patience = Instant::now() + PATIENCE;
    loop {
        match run(Command::new("umount").arg(folder)) {
            Err(why) if why.contains("busy") && Instant::now() < patience => std::thread::yield_now(),
            done => return done,
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
        Err(e) => Err(format!("{command:?}: {e}")),
    }
}

/// Bytes that are free where a path lies.
fn free(path: &Path) -> u64 {
    let file = OpenOptions::new().read(true).open(path).expect("the folder is there");
    // SAFETY: statvfs is plain data, for which zeros are valid.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open and `stat` is writable for the call.
    let done = unsafe { libc::fstatvfs(file.as_raw_fd(), &raw mut stat) };
    assert_eq!(done, 0, "a file system says how full it is");
    stat.f_bavail * stat.f_frsize
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        if unmount(&self.folder).is_err() {
            eprintln!("{} of {} is still mounted", self.folder.display(), self.scratch.path().display());
        }
    }
}
