//! What a run will do, before it does it: its phases, and the room that they need on the server's disk.

use crate::args::RunArgs;
use crate::arrivals::Slope;
use crate::failure::Failure;
use crate::phase::Phase;
use crate::report::count;
use crate::schedule;
use auriga_wire::frame::HEADER_SIZE;
use auriga_wire::record::RECORD_SIZE;
use auriga_wire::report::Status;
use std::fmt::Write as _;

/// Transfers a second that are planned for where nothing says how fast it goes.
const FLAT_OUT: f64 = 4e6;
/// Flushes a second that are planned for: a durable write takes longer than a part of a second so small.
const FLUSHES_A_SECOND: f64 = 20_000.0;
/// What a flush takes beside its records: the rest of a block's last page, and a cut of a page.
const FLUSH_SIZE: f64 = 8_192.0;

/// The phases of a run, one after the other; the measured ones come last.
pub fn phases(args: &RunArgs) -> Result<Vec<Phase>, Failure> {
    if let Some(path) = &args.schedule {
        return schedule::load(path, args.shorten.unwrap_or(1.0));
    }
    if args.shorten.is_some() {
        return Err(Failure::Usage("--shorten is for a --schedule: say --seconds instead".into()));
    }
    let phase = |name: &str, seconds, measured| {
        let rate = args.rate.map(|rate| vec![Slope { seconds, from: rate, to: rate }]);
        Phase { name: name.into(), seconds, rate, in_flight: None, measured, step: false }
    };
    let phases = [phase("warm-up", args.warm_up, false), phase("measuring", args.seconds, true)];
    Ok(phases.into_iter().filter(|phase| phase.measured || phase.seconds > 0.0).collect())
}

/// Transfers of a phase; where nothing says how fast it goes, so many as are planned for.
fn transfers(phase: &Phase) -> f64 {
    phase.due().unwrap_or(phase.seconds * FLAT_OUT)
}

/// Bytes that a phase logs, in requests of so many transfers.
fn bytes_logged(phase: &Phase, batch: f64) -> f64 {
    let transfers = transfers(phase);
    let requests = transfers / batch;
    let flushes = requests.min(phase.seconds * FLUSHES_A_SECOND);
    transfers * RECORD_SIZE as f64 + requests * HEADER_SIZE as f64 + flushes * FLUSH_SIZE
}

/// Records that are logged for each transfer: itself, and a share of new accounts.
fn records(args: &RunArgs) -> f64 {
    1.0 + args.mix().new_accounts()
}

/// The phases as a table, and what they need.
pub fn table(args: &RunArgs, phases: &[Phase]) -> String {
    let batch = args.sizes().mean();
    let width = phases.iter().map(|phase| phase.name.len()).max().unwrap_or(0).max("phase".len());
    let mut text = format!(
        "{:<width$} {:>10} {:>27} {:>9} {:>17} {:>12}\n",
        "phase", "seconds", "transfers/s", "in flight", "transfers", "log"
    );
    for phase in phases {
        let about = if phase.rate.is_some() { "" } else { "~" };
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "{:<width$} {:>10.1} {:>27} {:>9} {:>17} {:>12}",
            phase.name,
            phase.seconds,
            phase.rate_words(),
            phase.in_flight.unwrap_or(args.in_flight),
            format!("{about}{}", count(transfers(phase) as u64)),
            format!("{about}{}", size(bytes_logged(phase, batch) * records(args))),
        );
    }
    let seconds: f64 = phases.iter().map(|phase| phase.seconds).sum();
    text + &format!("in all {:.1} s; {}", seconds, needs(args, phases, None))
}

/// The room that the server's disk needs, in words; of a server that says how much of its log it keeps, or of one unknown.
pub fn needs(args: &RunArgs, phases: &[Phase], status: Option<&Status>) -> String {
    let bytes: f64 =
        phases.iter().map(|phase| bytes_logged(phase, args.sizes().mean())).sum::<f64>() * records(args);
    let planned = match phases.iter().any(|phase| phase.rate.is_none()) {
        true => format!(" (at {} transfers/s where no rate is given)", count(FLAT_OUT as u64)),
        false => String::new(),
    };
    let kept = match status.map(|status| status.log_bytes_max) {
        Some(max) if max > 0 => {
            let held = if bytes > max as f64 { "; it is longer than that, and reused" } else { "" };
            format!("; the log's files have at most {}{held}", size(max as f64))
        }
        _ => ", less where the log's files are reused (`auriga start --help`)".into(),
    };
    format!(
        "disk space: the log takes about {}{planned}{kept}; history, if it is on, comes on top",
        size(bytes)
    )
}

/// Bytes in words.
fn size(bytes: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB"];
    let place = (0..3).take_while(|place| bytes >= 1024_f64.powi(place + 1)).count();
    let digits = usize::from(place == 3);
    format!("{:.digits$} {}", bytes / 1024_f64.powi(place as i32), units[place])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_follows_from_rate_time_and_size() {
        let phase = |seconds, rate: Option<f64>| Phase {
            name: "a".into(),
            seconds,
            rate: rate.map(|rate| vec![Slope { seconds, from: rate, to: rate }]),
            in_flight: None,
            measured: true,
            step: false,
        };
        let cases = [
            // A record of 128 bytes each, and a header and a flush for each request of a thousand.
            (phase(10.0, Some(1_000.0)), 1_000.0, 10_000.0 * 128.0 + 10.0 * (128.0 + 8_192.0)),
            (phase(10.0, None), 1_000.0, 4e7 * 128.0 + 4e4 * (128.0 + 8_192.0)),
            // More requests than can be flushed one by one share their flushes.
            (phase(1.0, Some(1e6)), 1.0, 1e6 * 256.0 + 20_000.0 * 8_192.0),
        ];
        for (phase, batch, expected) in cases {
            let found = bytes_logged(&phase, batch);
            assert!((found - expected).abs() < 1.0, "{phase:?}: {found}, expected {expected}");
        }
    }

    #[test]
    fn sizes_have_units() {
        let cases =
            [(0.0, "0 B"), (1_023.0, "1023 B"), (2_048.0, "2 KiB"), (5e8, "477 MiB"), (1.5e12, "1397.0 GiB")];
        for (bytes, expected) in cases {
            assert_eq!(size(bytes), expected);
        }
    }
}
