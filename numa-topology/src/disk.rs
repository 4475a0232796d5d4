//! On which disks a directory lies. Asks the kernel, keeps nothing; called by the server at its start and
//! by `topology check --data`.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Names, as in `/sys/block`, of the disks that hold this directory, ascending: the disk of its
/// partition; behind a logical volume, an encrypted or a RAID device all the disks it is built of.
///
/// Empty where no block device is behind the file system (tmpfs, overlay, network), or the file system
/// does not say which (btrfs, ZFS).
///
/// # Errors
///
/// [`Error::Disk`] if the directory does not exist or cannot be reached.
pub fn disks_of(directory: &Path) -> Result<Vec<String>, Error> {
    let error = |source| Error::Disk { path: directory.to_owned(), source };
    let device = std::fs::metadata(directory).map_err(error)?.dev();
    Ok(disks_behind(Path::new("/"), libc::major(device), libc::minor(device)))
}

/// The disks behind a device number, on the system whose files are below this folder.
fn disks_behind(root: &Path, major: u32, minor: u32) -> Vec<String> {
    let mut found = BTreeSet::new();
    if let Ok(device) = root.join(format!("sys/dev/block/{major}:{minor}")).canonicalize() {
        collect(&device, &mut found);
    }
    found.into_iter().collect()
}

/// Goes from a device (its folder in `/sys/devices`) down to the disks. The kernel's devices are built of
/// each other without a circle.
fn collect(device: &Path, found: &mut BTreeSet<String>) {
    let Some((disk, name)) = disk_of(device) else { return };
    let below = folders(&disk.join("slaves")).unwrap_or_default();
    if below.is_empty() {
        found.insert(name);
    }
    for device in below {
        collect(&device, found);
    }
}

/// The disk of a partition, or what is a disk already.
fn disk_of(device: &Path) -> Option<(&Path, String)> {
    let disk = if device.join("partition").exists() { device.parent()? } else { device };
    Some((disk, disk.file_name()?.to_str()?.to_owned()))
}

fn folders(directory: &Path) -> io::Result<Vec<PathBuf>> {
    std::fs::read_dir(directory)?.map(|entry| entry?.path().canonicalize()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A machine with two NVMe disks, one partitioned, a logical volume on the partition and the other
    /// disk, and a volume on that.
    fn machine(root: &Path) {
        let devices = root.join("sys/devices");
        let numbers = root.join("sys/dev/block");
        fs::create_dir_all(&numbers).unwrap();
        for (number, device) in [
            ("259:0", "pci0/nvme/nvme0n1"),
            ("259:1", "pci0/nvme/nvme0n1/nvme0n1p1"),
            ("259:2", "pci0/nvme/nvme1n1"),
            ("253:0", "virtual/block/dm-0"),
            ("253:1", "virtual/block/dm-1"),
        ] {
            fs::create_dir_all(devices.join(device).join("slaves")).unwrap();
            symlink(Path::new("../../devices").join(device), numbers.join(number)).unwrap();
        }
        fs::write(devices.join("pci0/nvme/nvme0n1/nvme0n1p1/partition"), "1\n").unwrap();
        let block = devices.join("virtual/block");
        symlink("../../../../pci0/nvme/nvme0n1/nvme0n1p1", block.join("dm-0/slaves/nvme0n1p1")).unwrap();
        symlink("../../../../pci0/nvme/nvme1n1", block.join("dm-0/slaves/nvme1n1")).unwrap();
        symlink("../../dm-0", block.join("dm-1/slaves/dm-0")).unwrap();
    }

    #[test]
    fn a_device_is_followed_to_its_disks() {
        let root = std::env::temp_dir().join(format!("auriga-disk-{}", std::process::id()));
        machine(&root);
        let both: &[&str] = &["nvme0n1", "nvme1n1"];
        for (major, minor, expected) in [
            (259, 0, &both[..1]),
            (259, 1, &both[..1]),
            (259, 2, &both[1..]),
            (253, 0, both),
            (253, 1, both),
            (0, 41, &[]),
        ] {
            assert_eq!(disks_behind(&root, major, minor), expected, "{major}:{minor}");
        }
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn this_machine_knows_the_disks_that_it_names() {
        for disk in disks_of(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap() {
            assert!(Path::new("/sys/block").join(&disk).exists(), "{disk}");
        }
        assert_eq!(disks_of(Path::new("/proc")).unwrap(), Vec::<String>::new());
        let error = disks_of(Path::new("/nonexistent/data")).unwrap_err().to_string();
        assert!(error.starts_with("cannot tell on which disk /nonexistent/data lies"), "{error}");
    }
}
