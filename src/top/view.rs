//! What is shown, as lines of text: pure, so that it is the same on a terminal and in a file.

use super::look::{Between, CoreRow, HotRow};
use crate::status;
use auriga_plots::number::{amount, grouped, time};
use auriga_wire::report::Status;

/// Lines above the cores, the head of their table included.
const ABOVE: usize = 6;
/// Lines of hottest accounts at most, their head included.
const HOTTEST: usize = 9;
/// Width of what stands before a core's hottest account.
const COLUMNS: usize = 66;

/// What is shown at one time.
#[derive(Debug)]
pub(super) struct View<'a> {
    /// The server.
    pub(super) address: &'a str,
    pub(super) status: &'a Status,
    pub(super) between: &'a Between,
    /// What went wrong since, if anything did.
    pub(super) trouble: Option<&'a str>,
    /// Cores that are passed over at the top.
    pub(super) first: usize,
}

impl View<'_> {
    /// Lines that fit a terminal of this size; without one, all of them.
    pub(super) fn lines(&self, size: Option<(usize, usize)>) -> Vec<String> {
        let (width, height) = size.unwrap_or((usize::MAX, usize::MAX));
        let mut lines = self.head();
        let cores = &self.between.cores;
        let hottest = self.hottest(width);
        // The accounts have what the cores leave, and a third at least; less than one of them is nothing.
        let left = height.saturating_sub(ABOVE);
        let below = hottest.len().min(HOTTEST).min(left.saturating_sub(cores.len()).max(left / 3));
        let below = if below > 2 { below } else { 0 };
        let room = height.saturating_sub(ABOVE + below).max(1);
        let first = self.first.min(cores.len().saturating_sub(1));
        let shown = if cores.len() - first > room { room.saturating_sub(1) } else { room };
        for core in cores.iter().skip(first).take(shown) {
            lines.push(self.core(core, width));
        }
        let hidden = cores.len() - first.min(cores.len()) - shown.min(cores.len() - first);
        if hidden > 0 {
            lines.push(format!("     and {hidden} more below (arrow keys)"));
        }
        lines.extend(hottest.into_iter().take(below));
        lines.truncate(height);
        lines.iter().map(|line| cut(line, width)).collect()
    }

    /// One line for a log.
    pub(super) fn line(&self) -> String {
        let Between { cores, created, refused, epochs, p99_ns, .. } = self.between;
        let busy: Vec<String> = cores.iter().map(|core| percent(core.busy)).collect();
        let queue: u64 = cores.iter().map(|core| core.queue).sum();
        format!(
            "up {}  transfers/s {}  refused/s {}  epochs/s {}  queue {queue}  p99 {}  busy {}",
            duration(self.status.uptime_ns),
            amount(*created),
            amount(*refused),
            amount(*epochs),
            latency(*p99_ns),
            busy.join(" ")
        )
    }

    fn head(&self) -> Vec<String> {
        let Self { address, status, between, .. } = self;
        let state =
            self.trouble.map_or_else(|| status::state(status), |trouble| format!("NO ANSWER: {trouble}"));
        let count = |number: u64| amount(number as f64);
        vec![
            format!(
                "auriga top  {address}  {state}  up {}  start {}",
                duration(status.uptime_ns),
                status.incarnation
            ),
            format!(
                "transfers {}/s, p99 {}, epochs {}/s  created {}  refused {} ({}/s)",
                amount(between.created),
                latency(between.p99_ns),
                amount(between.epochs),
                count(status.transfers_created),
                count(status.transfers_refused),
                amount(between.refused)
            ),
            format!(
                "log {}B of {}B, {}B/s  checkpoint {}  connections {}",
                bytes(status.log_bytes as f64),
                bytes(status.log_bytes_max as f64),
                bytes(between.logged),
                age(status),
                status.connections
            ),
            format!(
                "accounts {}  ids {}  pending {}  history {}",
                count(status.accounts),
                count(status.ids),
                count(status.pendings),
                status::history(status)
            ),
            String::new(),
            format!(
                "{:>4} {:>4} {:>5} {:>12} {:>11} {:>6} {:>9} {:>6}  hottest",
                "core", "cpu", "busy", "transfers/s", "requests/s", "queue", "p99", "conns"
            ),
        ]
    }

    fn core(&self, row: &CoreRow, width: usize) -> String {
        let CoreRow { core, cpu, busy, transfers, requests, queue, p99_ns, connections } = row;
        let hot = self.between.hottest.iter().find(|hot| hot.core == *core);
        let hot = hot.map_or("-".into(), |hot| {
            let share = percent(hot.share);
            let room = width.saturating_sub(COLUMNS + share.len() + 1);
            format!("{} {share}", fit(&hot.account.to_string(), room))
        });
        format!(
            "{core:>4} {cpu:>4} {:>5} {:>12} {:>11} {queue:>6} {:>9} {connections:>6}  {hot}",
            percent(*busy),
            grouped(transfers.round() as u64),
            grouped(requests.round() as u64),
            latency(*p99_ns)
        )
    }

    fn hottest(&self, width: usize) -> Vec<String> {
        let mut lines = vec![String::new(), "hottest accounts, of all debits and credits that arrive".into()];
        if self.between.hottest.is_empty() {
            lines.push("none stands out".into());
        }
        let line = |HotRow { account, core, share }: &HotRow| {
            let head = format!("{:>6}  core {core:<4} ", percent(*share));
            let room = width.saturating_sub(head.len());
            head + &fit(&account.to_string(), room)
        };
        lines.extend(self.between.hottest.iter().map(line));
        lines
    }
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

fn latency(nanoseconds: Option<u64>) -> String {
    nanoseconds.map_or("-".into(), |nanoseconds| time(nanoseconds as f64))
}

/// With the prefix of a power of 1,024: `1.2 Gi`.
fn bytes(number: f64) -> String {
    let (mut number, mut prefix) = (number, "");
    for next in ["Ki", "Mi", "Gi", "Ti"] {
        if number < 1_024.0 {
            break;
        }
        (number, prefix) = (number / 1_024.0, next);
    }
    let digits = if number < 10.0 && !prefix.is_empty() { 1 } else { 0 };
    format!("{number:.digits$} {prefix}")
}

fn age(status: &Status) -> String {
    match status.checkpoint_epoch {
        0 => "none".into(),
        _ => format!("{} ago", duration(status.checkpoint_age_ns)),
    }
}

/// Seconds up to two minutes, then minutes, hours and days.
fn duration(nanoseconds: u64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    match seconds {
        ..120 => format!("{seconds} s"),
        120..86_400 => format!("{}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60),
        _ => format!("{} d {}:{:02}", seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60),
    }
}

/// Leaves out the middle of what is too long: accounts differ at their ends.
fn fit(text: &str, room: usize) -> String {
    if text.len() <= room {
        return text.into();
    }
    let keep = room.saturating_sub(2);
    let (head, tail) = (keep / 2, keep - keep / 2);
    format!("{}..{}", &text[..head], &text[text.len() - tail..])
}

fn cut(line: &str, width: usize) -> String {
    line.chars().take(width).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(cores: u32) -> Between {
        let core = |core| CoreRow {
            core,
            cpu: core + 1,
            busy: 0.5,
            transfers: 1_234_567.8,
            requests: 151.0,
            queue: 12,
            p99_ns: Some(45_300_000),
            connections: 4,
        };
        let hot = |core| HotRow { account: u128::MAX - u128::from(core), core, share: 0.25 };
        Between {
            cores: (0..cores).map(core).collect(),
            hottest: (0..cores.min(20)).map(hot).collect(),
            p99_ns: Some(45_300_000),
            created: 2e6,
            ..Between::default()
        }
    }

    fn lines(cores: u32, size: Option<(usize, usize)>, first: usize) -> Vec<String> {
        let status = Status { state: "serving".into(), uptime_ns: 4_000_000_000_000, ..Status::default() };
        let between = between(cores);
        View { address: "127.0.0.1:7400", status: &status, between: &between, trouble: None, first }
            .lines(size)
    }

    #[test]
    fn every_size_is_kept_to() {
        for cores in [0, 1, 2, 17, 128] {
            for (width, height) in [(80, 24), (200, 50), (20, 5), (1, 1), (80, 8)] {
                for first in [0, 3, 1_000] {
                    let lines = lines(cores, Some((width, height)), first);
                    assert!(lines.len() <= height, "{} lines at {width}x{height}", lines.len());
                    assert!(lines.iter().all(|line| line.chars().count() <= width), "{lines:?}");
                }
            }
        }
    }

    #[test]
    fn a_small_terminal_has_cores_and_accounts() {
        let shown = lines(2, Some((80, 24)), 0);
        assert!(shown[0].starts_with("auriga top  127.0.0.1:7400  serving  up 1:06:40"), "{shown:?}");
        let core = "   0    1   50%    1,234,568         151     12   45.3 ms      4  3402";
        assert!(shown[6].starts_with(core), "{shown:#?}");
        assert!(shown[6].ends_with("55 25%"), "an account's end is shown: {shown:#?}");
        assert!(
            shown.iter().any(|line| line.contains("340282366920938463463374607431768211455")),
            "{shown:#?}"
        );
        let many = lines(128, Some((80, 24)), 0);
        assert!(many.iter().any(|line| line.contains("more below")), "{many:#?}");
        assert!(many.iter().any(|line| line.starts_with("hottest accounts")), "{many:#?}");
        let later = lines(128, Some((80, 24)), 120);
        assert!(later[6].starts_with(" 120 "), "{later:#?}");
        assert!(!later.iter().any(|line| line.contains("more below")), "{later:#?}");
    }

    #[test]
    fn without_a_terminal_every_core_is_shown() {
        let all = lines(128, None, 0);
        assert_eq!(all.len(), ABOVE + 128 + HOTTEST);
    }

    #[test]
    fn numbers_are_short() {
        for (number, text) in [(0.0, "0 "), (1_023.0, "1023 "), (1_536.0, "1.5 Ki"), (3e11, "279 Gi")] {
            assert_eq!(bytes(number), text);
        }
        for (seconds, text) in [(5, "5 s"), (119, "119 s"), (120, "0:02:00"), (90_061, "1 d 1:01")] {
            assert_eq!(duration(seconds * 1_000_000_000), text);
        }
        assert_eq!(fit("1234567890", 6), "12..90");
    }
}
