//! The kernel: its version, io_uring, the limit on locked memory, and its clock.

use super::{Finding, Level, Root};
use crate::room;
use crate::runtime::MEMLOCK_MIN;
use crate::storage;
use std::ffi::CStr;

/// The oldest kernel that has what the log's I/O needs.
pub const KERNEL_MIN: (u32, u32) = (5, 11);
/// Clock sources that are read without a system call, or by the host's own means.
const GOOD_CLOCKS: [&str; 4] = ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"];

pub fn look(root: &Root) -> Vec<Finding> {
    let release = root.line("proc/sys/kernel/osrelease").or_else(running_release);
    vec![
        version(release.as_deref()),
        io_uring(storage::probe(), root.line("proc/sys/kernel/io_uring_disabled").as_deref()),
        memlock(room::memlock()),
        clock_source(root),
        synchronisation(clock_state()),
    ]
}

fn running_release() -> Option<String> {
    // SAFETY: utsname is plain data, for which zeros are valid.
    let mut names: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: `names` is writable for the call.
    if unsafe { libc::uname(&raw mut names) } != 0 {
        return None;
    }
    // SAFETY: the kernel ends each name with a zero.
    let release = unsafe { CStr::from_ptr(names.release.as_ptr()) };
    release.to_str().ok().map(str::to_string)
}

pub fn version(release: Option<&str>) -> Finding {
    let (name, need) = ("kernel", "Linux 5.11 or later");
    let Some(release) = release else { return Finding::unknown(name, "uname says nothing", need) };
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found >= KERNEL_MIN {
        return Finding::good(name, release, need);
    }
    Finding::bad(
        Level::Error,
        name,
        release,
        need,
        "install a newer kernel: apt-get install linux-image-amd64, then reboot",
    )
}

pub fn io_uring(probe: std::io::Result<()>, disabled: Option<&str>) -> Finding {
    let (name, need) = ("io_uring", "a ring can be set up");
    match probe {
        Ok(()) => Finding::good(name, "works", need),
        Err(e) => {
            let sysctl =
                disabled.map_or(String::new(), |value| format!(" (kernel.io_uring_disabled is {value})"));
            Finding::bad(Level::Error, name, format!("{e}{sysctl}"), need, storage::IO_URING_REMEDY)
        }
    }
}

pub fn memlock(limit: Option<u64>) -> Finding {
    let (name, need) = ("memlock", "8 MiB or more");
    match limit {
        None => Finding::unknown(name, "getrlimit fails", need),
        Some(libc::RLIM_INFINITY) => Finding::good(name, "unlimited", need),
        Some(limit) if limit >= MEMLOCK_MIN => Finding::good(name, format!("{} KiB", limit >> 10), need),
        Some(limit) => Finding::bad(
            Level::Error,
            name,
            format!("{} KiB", limit >> 10),
            need,
            "for a service LimitMEMLOCK=infinity in its unit; for a shell: ulimit -l 8192, or `* - memlock 8192` in /etc/security/limits.conf",
        ),
    }
}

pub fn clock_source(root: &Root) -> Finding {
    let (name, need) = ("clock source", "one that is read without a system call (tsc, kvm-clock, ...)");
    let folder = "sys/devices/system/clocksource/clocksource0";
    let Some(current) = root.line(&format!("{folder}/current_clocksource")) else {
        return Finding::unknown(name, "/sys has none", need);
    };
    if GOOD_CLOCKS.contains(&current.as_str()) {
        return Finding::good(name, current, need);
    }
    let others = root.line(&format!("{folder}/available_clocksource")).unwrap_or_default();
    let fix = match others.split(' ').find(|other| GOOD_CLOCKS.contains(other)) {
        Some(better) => {
            format!("echo {better} > /{folder}/current_clocksource, and see in dmesg why the kernel left it")
        }
        None => format!(
            "the kernel offers {others:?} only: see in dmesg why the TSC was given up (BIOS, tsc=reliable)"
        ),
    };
    Finding::bad(Level::Warning, name, current, need, fix)
}

/// Whether the kernel's clock is synchronised, as whoever disciplines it has told the kernel.
fn clock_state() -> std::io::Result<bool> {
    // SAFETY: timex is plain data, for which zeros are valid; no mode: nothing is changed.
    let mut clock: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: `clock` is writable for the call.
    match unsafe { libc::adjtimex(&raw mut clock) } {
        -1 => Err(std::io::Error::last_os_error()),
        state => Ok(state != libc::TIME_ERROR && clock.status & libc::STA_UNSYNC == 0),
    }
}

pub fn synchronisation(state: std::io::Result<bool>) -> Finding {
    let (name, need) = ("clock", "synchronised");
    match state {
        Ok(true) => Finding::good(name, "synchronised", need),
        Ok(false) => Finding::bad(
            Level::Warning,
            name,
            "the kernel says that nobody synchronises it",
            need,
            "apt-get install chrony, or timedatectl set-ntp true; then: timedatectl",
        ),
        Err(e) => Finding::unknown(name, &format!("adjtimex: {e}"), need),
    }
}
