//! How much CPU time the control groups give this process. Reads files, keeps nothing; called by `discover`.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// Hundredths of a CPU, rounded down: the narrowest quota of this process's control group and those
/// around it, cgroup v2 (`cpu.max`) or v1 (`cpu.cfs_quota_us`). `None` if nothing limits it.
pub(crate) fn cpu_quota_percent(root: &Path) -> Option<u64> {
    let said = read_to_string(root.join("proc/self/cgroup")).ok()?;
    said.lines().filter_map(|line| of_hierarchy(root, line)).min()
}

/// One line of `/proc/self/cgroup`: `0::/path`, or `4:cpu,cpuacct:/path` for v1.
fn of_hierarchy(root: &Path, line: &str) -> Option<u64> {
    let (controllers, own) = line.split_once(':')?.1.split_once(":/")?;
    let all = root.join("sys/fs/cgroup");
    let (mount, quota): (PathBuf, fn(&Path) -> Option<u64>) = match controllers {
        "" => (all, quota_v2),
        _ if controllers.split(',').any(|name| name == "cpu") => (all.join(controllers), quota_v1),
        _ => return None,
    };
    Path::new(own).ancestors().filter_map(|group| quota(&mount.join(group))).min()
}

/// `150000 100000`: microseconds in each period of so many; `max` is no limit.
fn quota_v2(group: &Path) -> Option<u64> {
    let said = read_to_string(group.join("cpu.max")).ok()?;
    let (quota, period) = said.trim().split_once(' ')?;
    percent(quota, period)
}

/// As v2, in two files; -1 is no limit.
fn quota_v1(group: &Path) -> Option<u64> {
    let read = |file: &str| read_to_string(group.join(file)).ok();
    percent(read("cpu.cfs_quota_us")?.trim(), read("cpu.cfs_period_us")?.trim())
}

fn percent(quota: &str, period: &str) -> Option<u64> {
    quota.parse::<u64>().ok()?.checked_mul(100)?.checked_div(period.parse().ok()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::fs;

    /// Files below a root, and what they give.
    type Case = (&'static [(&'static str, &'static str)], Option<u64>);

    const CASES: &[Case] = &[
        (&[], None),
        (&[("proc/self/cgroup", "0::/\n")], None),
        (&[("proc/self/cgroup", "0::/a/b\n"), ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n")], None),
        (&[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/cpu.max", "150000 100000\n")], Some(150)),
        (
            &[
                ("proc/self/cgroup", "1:name=systemd:/x\n0::/a/b\n"),
                ("sys/fs/cgroup/a/b/cpu.max", "400000 100000\n"),
                ("sys/fs/cgroup/a/cpu.max", "70000 30000\n"),
            ],
            Some(233),
        ),
        (
            &[
                ("proc/self/cgroup", "5:cpuset:/a\n4:cpu,cpuacct:/a\n"),
                ("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "50000\n"),
                ("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n"),
            ],
            Some(50),
        ),
        (
            &[
                ("proc/self/cgroup", "4:cpu:/\n"),
                ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
                ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            ],
            None,
        ),
        (&[("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/cpu.max", "150000 0\n")], None),
    ];

    #[test]
    fn the_narrowest_group_counts() {
        for (number, &(files, expected)) in CASES.iter().enumerate() {
            let root = std::env::temp_dir().join(format!("auriga-quota-{}-{number}", std::process::id()));
            for (file, text) in files {
                let path = root.join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            let found = cpu_quota_percent(&root);
            fs::remove_dir_all(&root)
                .or_else(|error| if files.is_empty() { Ok(()) } else { Err(error) })
                .unwrap();
            assert_eq!(found, expected, "{files:?}");
        }
    }
}
