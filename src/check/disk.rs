//! Where the data lies: the directory, its file system, direct writes, the drive's cache and the room.

use super::{Finding, Level, Root, nearest_directory};
use crate::config::units::Unit;
use crate::directory::{self, Directory};
use crate::server;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// What the log writes at once, at least, and where it begins.
const SECTOR: usize = auriga_shards::limits::SECTOR_SIZE;

pub fn look(root: &Root, data: &Path, log_max: u64, shards: u64) -> Vec<Finding> {
    let mut findings = vec![data_directory(data)];
    // What a format will make is where its parent is.
    let Some(place) = nearest_directory(data) else { return findings };
    findings.push(file_system(root, &place));
    findings.push(Finding::of("direct I/O", "durable direct writes of 4 KiB", write_directly(&place)));
    findings.push(alignment(&place));
    if let Ok(metadata) = std::fs::metadata(&place) {
        let (major, minor) = (libc::major(metadata.dev()), libc::minor(metadata.dev()));
        findings.push(write_cache(root, &format!("{major}:{minor}")));
    }
    findings.push(space(&place, used(data), log_max, shards));
    findings
}

fn data_directory(data: &Path) -> Finding {
    let (name, need) = ("data directory", "formatted, and for this version");
    if !data.exists() {
        let fix = format!("auriga format --data {}", data.display());
        return Finding::bad(Level::Error, name, format!("{} is not there", data.display()), need, fix);
    }
    let looked = Directory::look(data)
        .map(|directory| format!("{}, of cluster {}", data.display(), directory.identity.cluster));
    Finding::of(name, need, looked)
}

/// The mount that a path lies on, as mountinfo tells: its type and options.
pub fn mount(mountinfo: &str, path: &Path) -> Option<(String, String)> {
    let of_line = |line: &str| {
        let (own, of_system) = line.split_once(" - ")?;
        let own: Vec<&str> = own.split(' ').collect();
        let (point, options) = (own.get(4)?.replace("\\040", " "), own.get(5)?);
        path.starts_with(&point).then(|| {
            let kind = of_system.split(' ').next().unwrap_or_default();
            (point.len(), (kind.to_string(), (*options).to_string()))
        })
    };
    // Of two mounts at one place the later one is seen.
    mountinfo.lines().filter_map(of_line).max_by_key(|(length, _)| *length).map(|(_, mount)| mount)
}

pub fn file_system(root: &Root, place: &Path) -> Finding {
    let (name, need) = ("file system", "ext4 or XFS, mounted for writing");
    // A service's state directory is a link to where it is mounted for writing.
    let real = std::fs::canonicalize(place).unwrap_or_else(|_| place.to_path_buf());
    let mount = root.text("proc/self/mountinfo").and_then(|text| mount(&text, &real));
    let Some((kind, options)) = mount else {
        return Finding::unknown(name, "/proc/self/mountinfo doesn't say", need);
    };
    let found = format!("{kind} ({options})");
    if options.split(',').any(|option| option == "ro") {
        return Finding::bad(
            Level::Error,
            name,
            found,
            need,
            format!("mount -o remount,rw {}", place.display()),
        );
    }
    match kind.as_str() {
        "ext4" | "xfs" => Finding::good(name, found, need),
        "tmpfs" | "ramfs" => Finding::bad(
            Level::Error,
            name,
            found,
            need,
            "name a directory on a disk (--data): nothing is durable in memory",
        ),
        _ => Finding::bad(
            Level::Warning,
            name,
            found,
            need,
            "other file systems are not tested: use a directory on ext4 or XFS",
        ),
    }
}

/// What a start and a format ask, and one durable write.
fn write_directly(place: &Path) -> Result<String, crate::failure::Failure> {
    #[repr(align(4096))]
    struct Aligned([u8; SECTOR]);
    directory::check_direct_io(place)?;
    let path = place.join(format!(".check-{}", std::process::id()));
    let options =
        OpenOptions::new().create_new(true).write(true).custom_flags(libc::O_DIRECT | libc::O_DSYNC).clone();
    let written = options.open(&path).and_then(|file| file.write_all_at(&Aligned([0; SECTOR]).0, 0));
    let removed = std::fs::remove_file(&path);
    written.and(removed).map_err(|e| directory::cannot("write directly to", &path, &e))?;
    Ok("works".into())
}

/// What the file system asks of direct writes (statx(2), Linux 6.1).
fn alignment(place: &Path) -> Finding {
    let (name, need) = ("alignment", "direct writes may begin at each 4 KiB");
    let Ok(directory) = File::open(place) else {
        return Finding::unknown(name, "the directory can't be opened", need);
    };
    // Only regular files say it: an unnamed one, that goes when it is closed.
    let options = OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).clone();
    let file = options.open(place).unwrap_or(directory);
    // SAFETY: statx is plain data, for which zeros are valid.
    let mut stat: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, the path an empty one, and `stat` writable for the call.
    let done = unsafe {
        libc::statx(file.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH, libc::STATX_DIOALIGN, &raw mut stat)
    };
    if done != 0 || stat.stx_mask & libc::STATX_DIOALIGN == 0 {
        return Finding::unknown(name, "the kernel or the file system doesn't say", need);
    }
    judge_alignment(stat.stx_dio_offset_align, stat.stx_dio_mem_align)
}

pub fn judge_alignment(offset: u32, memory: u32) -> Finding {
    let (name, need) = ("alignment", "direct writes may begin at each 4 KiB");
    let found = format!("{offset} bytes in the file, {memory} in memory");
    let fits = |align: u32| align != 0 && (SECTOR as u32).is_multiple_of(align);
    if fits(offset) && fits(memory) {
        return Finding::good(name, found, need);
    }
    Finding::bad(
        Level::Error,
        name,
        found,
        need,
        "use a drive and a file system with blocks of 4 KiB or less",
    )
}

/// A drive's cache: what a flush has to empty. By its number, MAJOR:MINOR.
pub fn write_cache(root: &Root, number: &str) -> Finding {
    let (name, need) = ("write cache", "one that flushes empty, or that keeps its content without power");
    // A partition's queue is that of its drive.
    let of = |name: &str| {
        let own = root.line(&format!("sys/dev/block/{number}/queue/{name}"));
        own.or_else(|| root.line(&format!("sys/dev/block/{number}/../queue/{name}")))
    };
    match (of("write_cache").as_deref(), of("fua").as_deref()) {
        (None, _) => Finding::unknown(name, &format!("device {number} doesn't say"), need),
        (Some("write through"), _) => Finding::good(name, "none that has to be flushed", need),
        (Some(cache), fua) => {
            let fua = if fua == Some("1") { "writes through it (FUA)" } else { "a flush for each commit" };
            Finding::good(name, format!("{cache}, {fua}"), need)
        }
    }
}

/// Bytes of the log's files as they are.
fn used(data: &Path) -> u64 {
    let files = ["cuts", "streams", "spare"].map(|folder| std::fs::read_dir(data.join(folder)));
    let files = files.into_iter().flatten().flatten().flatten();
    files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

fn space(place: &Path, used: u64, log_max: u64, shards: u64) -> Finding {
    match directory::free_bytes(place) {
        Ok(free) => judge_space(free, used, log_max, shards),
        Err(e) => Finding::unknown("free space", &e.to_string(), "room for the log"),
    }
}

pub fn judge_space(free: u64, used: u64, log_max: u64, shards: u64) -> Finding {
    let (name, need) = ("free space", "room for the log as it may grow (log-max), and for a first start");
    let found = format!("{} MiB free, {} MiB in the log's files", free >> 20, used >> 20);
    let first = server::first_start_bytes(shards);
    if used == 0 && free < first {
        let fix =
            format!("free {} MiB or more, or name a directory elsewhere (--data)", first.div_ceil(1 << 20));
        return Finding::bad(Level::Error, name, found, need, fix);
    }
    let may_take = log_max.saturating_sub(used);
    if free < may_take {
        let fix = format!(
            "when the disk is full new batches are refused: make room for {} more, or say how large the log may be (log-max), with room for \
             checkpoints and history beside it",
            Unit::Bytes.show((may_take - free).div_ceil(1 << 20) << 20)
        );
        return Finding::bad(Level::Warning, name, found, need, fix);
    }
    Finding::good(name, found, need)
}
