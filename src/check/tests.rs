//! What is said of recorded machines: files of their `/proc` and `/sys`, one behind another, in `machines/`.

use super::*;
use std::io;

/// Files of another machine, in a directory that goes with it.
struct Recorded(Root);

impl Recorded {
    /// Each file begins with a line `== PATH`; a path that ends in / is an empty directory.
    fn new(name: &str, text: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("auriga-check-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        for file in text.split("== ").skip(1) {
            let (path, content) = file.split_once('\n').unwrap_or((file, ""));
            let path = folder.join(path.trim());
            let parent = if file.split('\n').next().is_some_and(|path| path.ends_with('/')) {
                Some(path.as_path())
            } else {
                path.parent()
            };
            std::fs::create_dir_all(parent.unwrap_or(&folder)).expect("a directory can be made");
            if !path.is_dir() {
                std::fs::write(&path, content).expect("a file can be written");
            }
        }
        Self(Root(folder))
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0.0);
    }
}

/// All that is only read, of a machine whose shards run on these CPUs.
fn read(root: &Root, shards: &[u32], device: &str, place: &str) -> Vec<Finding> {
    let mut findings = vec![
        kernel::version(root.line("proc/sys/kernel/osrelease").as_deref()),
        kernel::clock_source(root),
        memory::transparent(root),
        memory::reserved(root),
    ];
    findings.extend(cores::look(root, shards));
    findings.push(disk::file_system(root, Path::new(place)));
    findings.push(disk::write_cache(root, device));
    findings
}

#[track_caller]
fn expect(findings: &[Finding], expected: &[(&str, Level, &str, &str)]) {
    assert_eq!(findings.len(), expected.len(), "{findings:#?}");
    for (finding, (name, level, found, fix)) in findings.iter().zip(expected) {
        assert_eq!((finding.name, finding.level), (*name, *level), "{finding:#?}");
        assert!(finding.found.contains(found), "{found:?} is missing in {finding:#?}");
        assert!(
            finding.fix.as_deref().unwrap_or_default().contains(fix),
            "{fix:?} is missing in {finding:#?}"
        );
        assert_eq!(
            finding.fix.is_some(),
            finding.level > Level::Note,
            "who can do something is told what: {finding:#?}"
        );
    }
}

/// Two sockets, an NVMe drive and a NIC whose interrupts are where shards run.
#[test]
fn a_server_that_was_never_tuned() {
    use Level::{Note, Ok, Warning};
    let machine = Recorded::new("server", include_str!("machines/server.txt"));
    let expected = [
        ("kernel", Ok, "6.1.0-31-amd64", ""),
        (
            "clock source",
            Warning,
            "hpet",
            "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource",
        ),
        ("huge pages", Warning, "never", "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"),
        ("reserved pages", Note, "512 huge pages, 1 GiB", ""),
        ("CPU frequency", Warning, "powersave on CPUs 1-3", "cpupower frequency-set -g performance"),
        (
            "NIC interrupts",
            Warning,
            "2 of 3 interrupts are on shards' CPUs: 61-62",
            "for i in 61 62; do echo 0,4 > /proc/irq/$i/smp_affinity_list; done",
        ),
        (
            "NVMe interrupts",
            Warning,
            "1 of 2 interrupts are on shards' CPUs: 41",
            "IRQBALANCE_BANNED_CPULIST=1-3,5-7",
        ),
        ("file system", Ok, "xfs (rw,noatime)", ""),
        ("write cache", Ok, "write back, writes through it (FUA)", ""),
    ];
    expect(&read(&machine.0, &[1, 2, 3, 5, 6, 7], "259:1", "/srv/auriga/data"), &expected);
    // Where no shard runs, an interrupt may be.
    expect(
        &[cores::interrupts(&machine.0, &[3], "NIC interrupts", "net")],
        &[("NIC interrupts", Ok, "3 interrupts, none on a shard's CPU", "")],
    );
    let root_disk = disk::file_system(&machine.0, Path::new("/home"));
    expect(&[root_disk], &[("file system", Level::Error, "ext4 (ro,relatime)", "mount -o remount,rw")]);
}

/// Hardly anything of /proc and /sys is there: nothing of that is an error.
#[test]
fn a_container_that_shows_nothing() {
    use Level::{Note, Warning};
    let machine = Recorded::new("container", include_str!("machines/container.txt"));
    let expected = [
        ("kernel", Note, "can't be told", ""),
        ("clock source", Note, "can't be told", ""),
        ("huge pages", Note, "can't be told", ""),
        ("reserved pages", Note, "can't be told", ""),
        ("CPU frequency", Note, "not set on this machine", ""),
        ("NIC interrupts", Note, "no such device", ""),
        ("NVMe interrupts", Note, "no such device", ""),
        ("file system", Warning, "overlay", "ext4 or XFS"),
        ("write cache", Note, "can't be told", ""),
    ];
    expect(&read(&machine.0, &[0, 1], "0:57", "/data"), &expected);
}

/// A virtual machine with two CPUs, both with shards.
#[test]
fn a_virtual_machine() {
    use Level::{Note, Ok};
    let machine = Recorded::new("vm", include_str!("machines/vm.txt"));
    let expected = [
        ("kernel", Ok, "6.18.44", ""),
        ("clock source", Ok, "kvm-clock", ""),
        ("huge pages", Ok, "madvise", ""),
        ("reserved pages", Ok, "none", ""),
        ("CPU frequency", Note, "host", ""),
        ("NIC interrupts", Note, "2 of 3 interrupts are on shards' CPUs: 41-42; every CPU runs a shard", ""),
        ("NVMe interrupts", Note, "no such device", ""),
        ("file system", Ok, "ext4 (rw,relatime)", ""),
        ("write cache", Ok, "write back, a flush for each commit", ""),
    ];
    expect(&read(&machine.0, &[0, 1], "254:1", "/var/lib/auriga"), &expected);
}

#[test]
fn what_a_server_refuses_is_an_error() {
    use Level::{Error, Note, Ok, Warning};
    let denied = || io::Error::from_raw_os_error(libc::EPERM);
    let findings = [
        kernel::version(Some("5.10.0-33-amd64")),
        kernel::version(Some("5.11.0")),
        kernel::io_uring(Err(denied()), Some("2")),
        kernel::io_uring(io::Result::Ok(()), Some("0")),
        kernel::memlock(Some(64 << 10)),
        kernel::memlock(Some(8 << 20)),
        kernel::memlock(None),
        kernel::synchronisation(io::Result::Ok(false)),
        kernel::synchronisation(Err(denied())),
        disk::judge_alignment(512, 4),
        disk::judge_alignment(16_384, 512),
        disk::judge_alignment(0, 0),
        disk::judge_space(50 << 20, 0, 256 << 30, 2),
        disk::judge_space(100 << 30, 10 << 30, 256 << 30, 2),
        disk::judge_space(300 << 30, 10 << 30, 256 << 30, 2),
    ];
    let expected = [
        ("kernel", Error, "5.10", "newer kernel"),
        ("kernel", Ok, "5.11.0", ""),
        ("io_uring", Error, "kernel.io_uring_disabled is 2", "sysctl kernel.io_uring_disabled=0"),
        ("io_uring", Ok, "works", ""),
        ("memlock", Error, "64 KiB", "LimitMEMLOCK=infinity"),
        ("memlock", Ok, "8192 KiB", ""),
        ("memlock", Note, "can't be told", ""),
        ("clock", Warning, "nobody synchronises it", "chrony"),
        ("clock", Note, "can't be told", ""),
        ("alignment", Ok, "512 bytes in the file, 4 in memory", ""),
        ("alignment", Error, "16384", "4 KiB or less"),
        ("alignment", Error, "0 bytes", "4 KiB or less"),
        ("free space", Error, "50 MiB free", "or more"),
        ("free space", Warning, "102400 MiB free", "146 GiB more"),
        ("free space", Ok, "307200 MiB free", ""),
    ];
    expect(&findings, &expected);
}

/// As a service sees its state directory: a link to the one place that is mounted for writing.
#[test]
fn a_directory_is_looked_at_where_it_is() {
    let machine = Recorded::new("link", "== real/\n");
    let (real, link) = (machine.0.0.join("real"), machine.0.0.join("link"));
    std::os::unix::fs::symlink(&real, &link).expect("a link can be made");
    let folder = std::fs::canonicalize(&real).expect("it is there");
    let mounts = format!(
        "21 1 8:1 / / ro,relatime - ext4 /dev/sda1 rw\n\
         22 21 8:1 /real {} rw,relatime - ext4 /dev/sda1 rw\n",
        folder.display()
    );
    let proc = machine.0.0.join("proc/self");
    std::fs::create_dir_all(&proc).expect("a directory can be made");
    std::fs::write(proc.join("mountinfo"), mounts).expect("a file can be written");
    assert_eq!(disk::file_system(&machine.0, &link).level, Level::Ok);
    assert_eq!(disk::file_system(&machine.0, Path::new("/")).level, Level::Error, "all else is not");
}

#[test]
fn lists_of_cpus_are_read_and_written() {
    assert_eq!(cores::list(&[7, 1, 2, 3, 3]), "1-3,7");
    assert_eq!(cores::cpus("1-3,7\n").into_iter().collect::<Vec<_>>(), [1, 2, 3, 7]);
    assert_eq!(cores::cpus("").len() + cores::cpus("x-y").len(), 0);
    assert_eq!((memory::chosen("always [madvise] never"), memory::chosen("madvise")), ("madvise", "madvise"));
}

#[test]
fn the_table_says_what_to_do() {
    let findings = [
        Finding::good("kernel", "6.1", "5.11"),
        Finding::bad(Level::Error, "memlock", "64 KiB", "8 MiB", "ulimit -l 8192"),
    ];
    let shown = table(&findings);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("ok ") && lines[0].ends_with(" 6.1"), "{shown}");
    assert!(
        lines[1].starts_with("ERROR ")
            && lines[2].ends_with("need: 8 MiB")
            && lines[3].ends_with("fix:  ulimit -l 8192"),
        "{shown}"
    );
    assert_eq!(lines[4], "1 errors, 0 warnings, 2 looked at");
}

/// What is needed is a text, and what is compared a number.
#[test]
fn what_is_needed_is_what_is_compared() {
    let (major, minor) = kernel::KERNEL_MIN;
    assert_eq!(kernel::version(None).need, format!("Linux {major}.{minor} or later"));
    assert!(crate::storage::IO_URING_REMEDY.contains(&format!("kernel {major}.{minor} or later")));
    let (memlock, mib) = (kernel::memlock(Some(0)), crate::runtime::MEMLOCK_MIN >> 20);
    assert_eq!(memlock.need, format!("{mib} MiB or more"));
    assert!(memlock.fix.is_some_and(|fix| fix.contains(&format!("ulimit -l {}", mib << 10))));
}
