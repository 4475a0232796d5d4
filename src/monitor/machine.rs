//! What the kernel counts for the process and its cores, read from `/proc` for each scrape. What can't be read is left out of the page.

use super::figures::Figures;
use std::collections::HashMap;
use std::fs;

/// The process, by the names that every exporter has for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process {
    /// CPU time of all threads, seconds.
    pub cpu_seconds: Option<f64>,
    /// Resident memory, bytes.
    pub resident: Option<u64>,
    /// Address space, bytes.
    pub virtual_memory: Option<u64>,
    /// Open descriptors.
    pub open_files: Option<u64>,
    /// Bound on them.
    pub open_files_max: Option<u64>,
    /// When it was started, seconds of the wall clock.
    pub started: Option<f64>,
}

impl Process {
    /// This process, now.
    pub fn read() -> Self {
        let memory = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let mut pages = memory.split(' ').map(|pages| pages.parse::<u64>().ok());
        let page = positive(libc::_SC_PAGESIZE).map(|size| size as u64);
        let mut bytes = || pages.next().flatten().zip(page).map(|(pages, size)| pages * size);
        let (virtual_memory, resident) = (bytes(), bytes());
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let ticks = positive(libc::_SC_CLK_TCK).map(|ticks| ticks as f64);
        let seconds = |field| stat_field(&stat, field).zip(ticks).map(|(time, ticks)| time as f64 / ticks);
        let boot = fs::read_to_string("/proc/stat").ok().and_then(|stat| boot_time(&stat));
        Self {
            cpu_seconds: seconds(14).zip(seconds(15)).map(|(user, system)| user + system),
            resident,
            virtual_memory,
            open_files: fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64),
            open_files_max: open_files_max(),
            started: boot.zip(seconds(22)).map(|(boot, after)| boot as f64 + after),
        }
    }
}

fn positive(what: libc::c_int) -> Option<i64> {
    // SAFETY: it takes and returns numbers.
    let value = unsafe { libc::sysconf(what) };
    (value > 0).then_some(value)
}

/// A field of `/proc/PID/stat`, counted from 1 as proc(5) does. The second one is in brackets and may hold anything.
fn stat_field(stat: &str, number: usize) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(number - 3)?.parse().ok()
}

fn boot_time(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn open_files_max() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is writable for the call.
    let failed = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0;
    (!failed).then_some(limit.rlim_cur)
}

/// By CPU: the time that a hypervisor has given to others while the CPU had something to do, nanoseconds.
pub fn steal_ns() -> HashMap<u32, u64> {
    let ticks = positive(libc::_SC_CLK_TCK).unwrap_or(100) as u64;
    steal_of(&fs::read_to_string("/proc/stat").unwrap_or_default(), 1_000_000_000 / ticks)
}

fn steal_of(stat: &str, tick_ns: u64) -> HashMap<u32, u64> {
    let cpu = |line: &str| {
        let mut fields = line.strip_prefix("cpu")?.split_ascii_whitespace();
        let number = fields.next()?.parse().ok()?;
        Some((number, fields.nth(7)?.parse::<u64>().ok()? * tick_ns))
    };
    // The first line is the sum over all CPUs.
    stat.lines().filter(|line| !line.starts_with("cpu ")).filter_map(cpu).collect()
}

/// What a core has done with its time so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// It worked, nanoseconds.
    pub busy: u64,
    /// It looked for work and found none, nanoseconds.
    pub spin: u64,
    /// It had something to do, and other threads had its CPU, nanoseconds.
    pub wait: u64,
    /// It was parked, nanoseconds.
    pub idle: u64,
}

/// The time of one core, from scrape to scrape: each part only grows.
#[derive(Debug)]
pub struct CoreTimes {
    /// The CPU that it is pinned to.
    pub cpu: u32,
    /// What became of its time; `None` if the kernel doesn't count that for threads.
    pub spent: Option<Spent>,
    /// What a hypervisor has taken of its CPU since the first scrape, nanoseconds.
    pub steal: Option<u64>,
    seen: Seen,
    steal_at_first: Option<u64>,
}

/// Readings of one moment, nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    up: u64,
    run: u64,
    wait: u64,
    spin: u64,
}

impl CoreTimes {
    /// A core of which nothing is known.
    pub fn new(cpu: u32) -> Self {
        Self { cpu, spent: None, steal: None, seen: Seen::default(), steal_at_first: None }
    }

    /// Takes readings: how long the server is up, and what else is known by now.
    pub fn advance(&mut self, up: u64, figures: &Figures, steal: &HashMap<u32, u64>) {
        if let Some(steal) = steal.get(&self.cpu) {
            let at_first = *self.steal_at_first.get_or_insert(*steal);
            self.steal = Some(steal.saturating_sub(at_first).max(self.steal.unwrap_or(0)));
        }
        let times = fs::read_to_string(format!("/proc/self/task/{}/schedstat", figures.thread)).ok();
        if let Some((run, wait)) = times.and_then(|times| schedule(&times)) {
            self.spend(Seen { up, run, wait, spin: figures.spin_ns });
        }
    }

    /// Divides the time. Who spins may lose the CPU meanwhile, so that is no more than it ran. The kernel counts a thread's time at ticks: what
    /// it is behind by looks idle, and may once, but not again at each scrape; so idle time comes of whole times.
    fn spend(&mut self, now: Seen) {
        let before = std::mem::replace(&mut self.seen, now);
        let spent = self.spent.get_or_insert_default();
        let run = now.run.saturating_sub(before.run);
        let wait = now.wait.saturating_sub(before.wait);
        let spin = now.spin.saturating_sub(before.spin).min(run);
        spent.busy += run - spin;
        spent.spin += spin;
        spent.wait += wait;
        spent.idle = spent.idle.max(now.up.saturating_sub(now.run + now.wait));
    }
}

/// Time on the CPU and time spent waiting for it, of `/proc/PID/task/TID/schedstat`.
fn schedule(times: &str) -> Option<(u64, u64)> {
    let mut times = times.split_ascii_whitespace().map(|time| time.parse().ok());
    times.next().flatten().zip(times.next().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_files_are_read() {
        let stat = "42 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 1100 220 13 14 15 16 17 18 999 20";
        assert_eq!([14, 15, 22].map(|field| stat_field(stat, field)), [Some(1100), Some(220), Some(999)]);
        assert_eq!((stat_field("", 14), stat_field("1 (x) S", 14)), (None, None));
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\nprocesses 5\n"), Some(1_700_000_000));
        let steal = steal_of(
            "cpu  1 2 3 4 5 6 7 30 0 0\ncpu0 1 2 3 4 5 6 7 10 0 0\ncpu12 1 2 3 4 5 6 7 20 0 0\nintr 5",
            10,
        );
        assert_eq!(steal, HashMap::from([(0, 100), (12, 200)]));
        assert_eq!(schedule("17 4 2\n"), Some((17, 4)));
        assert_eq!(schedule(""), None);
    }

    #[test]
    fn this_process_is_found() {
        let process = Process::read();
        assert!(process.resident.is_some_and(|bytes| bytes > 1 << 20), "{process:?}");
        assert!(process.virtual_memory >= process.resident, "{process:?}");
        assert!(process.open_files.is_some_and(|files| files >= 3), "{process:?}");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("it is later");
        assert!(process.started.is_some_and(|at| at > 1e9 && at <= now.as_secs_f64() + 1.0), "{process:?}");
    }

    #[test]
    fn a_core_s_time_is_divided_and_never_goes_back() {
        let mut core = CoreTimes::new(0);
        core.spend(Seen { up: 1_000, run: 300, wait: 100, spin: 50 });
        assert_eq!(core.spent, Some(Spent { busy: 250, spin: 50, wait: 100, idle: 600 }));
        // It was preempted while it spun: the clock went on.
        core.spend(Seen { up: 1_100, run: 320, wait: 150, spin: 110 });
        assert_eq!(core.spent, Some(Spent { busy: 250, spin: 70, wait: 150, idle: 630 }));
        core.spend(Seen { up: 1_100, run: 330, wait: 150, spin: 110 });
        assert_eq!(core.spent, Some(Spent { busy: 260, spin: 70, wait: 150, idle: 630 }));
    }

    /// A core that never rests, and is scraped more often than its time is counted.
    #[test]
    fn time_that_is_counted_late_is_idle_once_at_most() {
        let mut core = CoreTimes::new(0);
        for up in (0..1_000).step_by(10) {
            core.spend(Seen { up, run: up / 100 * 100, wait: 0, spin: 0 });
        }
        assert_eq!(core.spent, Some(Spent { busy: 900, spin: 0, wait: 0, idle: 90 }));
    }
}
