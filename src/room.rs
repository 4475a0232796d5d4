//! How much memory the machine has left to give to this process, and its control groups allow.

use std::fs::read_to_string;
use std::path::Path;

/// Bytes that can be had without swapping, as the kernel estimates; `None` if nothing says.
pub fn available() -> Option<u64> {
    of_system(Path::new("/"))
}

/// Bytes that this process may lock in memory; `None` if that can't be told.
pub fn memlock() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is writable for the call.
    (unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) } == 0).then_some(limit.rlim_cur)
}

/// Of the system whose files are below this folder.
fn of_system(root: &Path) -> Option<u64> {
    of_machine(root).into_iter().chain(of_groups(root)).min()
}

fn of_machine(root: &Path) -> Option<u64> {
    let said = read_to_string(root.join("proc/meminfo")).ok()?;
    let line = said.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

/// What each group, from this process's own to the outermost one that can be seen, has left of its limit (cgroup v2: `memory.max`). The
/// page cache counts as used there, and is given back when it is short.
fn of_groups(root: &Path) -> Option<u64> {
    let said = read_to_string(root.join("proc/self/cgroup")).ok()?;
    let own = said.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let all = root.join("sys/fs/cgroup");
    let groups = Path::new(own).ancestors().map(|group| all.join(group));
    groups.filter_map(|group| of_group(&group)).min()
}

fn of_group(group: &Path) -> Option<u64> {
    let number = |file: &str| read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok();
    let stat = read_to_string(group.join("memory.stat")).unwrap_or_default();
    let cache = stat.lines().find_map(|line| line.strip_prefix("file "));
    let cache = cache.and_then(|bytes| bytes.parse::<u64>().ok()).unwrap_or(0);
    // "max" is no number, and no limit.
    Some(number("memory.max")?.saturating_sub(number("memory.current")?.saturating_sub(cache)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_narrowest_counts() {
        let root = std::env::temp_dir().join(format!("auriga-room-{}", std::process::id()));
        let put = |file: &str, text: &str| {
            let path = root.join(file);
            fs::create_dir_all(path.parent().expect("it has one")).expect("made");
            fs::write(path, text).expect("written");
        };
        assert_eq!(of_system(&root), None, "nothing says");
        put("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    8000 kB\n");
        assert_eq!(of_system(&root), Some(8_192_000));
        put("proc/self/cgroup", "1:name=systemd:/x\n0::/system.slice/auriga.service\n");
        put("sys/fs/cgroup/system.slice/auriga.service/memory.max", "max\n");
        put("sys/fs/cgroup/system.slice/auriga.service/memory.current", "5000000\n");
        assert_eq!(of_system(&root), Some(8_192_000), "no limit");
        put("sys/fs/cgroup/system.slice/memory.max", "7000000\n");
        put("sys/fs/cgroup/system.slice/memory.current", "6000000\n");
        assert_eq!(of_system(&root), Some(1_000_000), "of the outer group");
        put("sys/fs/cgroup/system.slice/memory.stat", "anon 1\nfile 2500000\nfile_mapped 7\n");
        assert_eq!(of_system(&root), Some(3_500_000), "the cache is given back");
        fs::remove_dir_all(&root).expect("removed");
    }
}
