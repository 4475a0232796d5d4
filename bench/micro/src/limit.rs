//! What the machine allows, from what each part costs: the arithmetic of `bench/limits`.
//!
//! The limit is that of a server that would do nothing but what it can't do without: the log takes the time of its writes, and
//! meanwhile all cores share the rest of the work evenly. It is met by none: messages, waits and wakes are missing in it.

use crate::median::median;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One turn's parts, nanoseconds a transfer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Parts {
    /// Time in which the log's writes are durable.
    pub log_write: f64,
    /// CPU time of sending, receiving and the replies, all threads.
    pub loopback: f64,
    /// CPU time of making requests.
    pub generator: f64,
    /// CPU time of the server's checksums.
    pub checksums: f64,
    /// CPU time of the execution by one shard.
    pub kernel: f64,
}

impl Parts {
    /// Each part with its name, the log first.
    fn named(&self) -> [(&'static str, f64); 5] {
        [
            ("log_write", self.log_write),
            ("loopback", self.loopback),
            ("generator", self.generator),
            ("checksums", self.checksums),
            ("kernel", self.kernel),
        ]
    }

    /// CPU time of all parts.
    pub fn cpu(&self) -> f64 {
        self.loopback + self.generator + self.checksums + self.kernel
    }

    /// Transfers a second that so many cores could do at most.
    pub fn limit(&self, cores: u32) -> f64 {
        1e9 / self.log_write.max(self.cpu() / f64::from(cores))
    }

    /// The median of each part.
    fn median(turns: &[Self]) -> Self {
        let of = |part: fn(&Self) -> f64| median(turns.iter().map(part).collect());
        Self {
            log_write: of(|parts| parts.log_write),
            loopback: of(|parts| parts.loopback),
            generator: of(|parts| parts.generator),
            checksums: of(|parts| parts.checksums),
            kernel: of(|parts| parts.kernel),
        }
    }
}

/// What the server did in one turn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Engine {
    /// Transfers that were acknowledged.
    pub transfers: f64,
    /// Of them, those of a second.
    pub transfers_per_second: f64,
    /// CPU time of the server meanwhile.
    pub server_cpu_seconds: f64,
    /// CPU time of the load generator meanwhile.
    pub generator_cpu_seconds: f64,
    /// CPU time that the machine's processes used meanwhile, all of them.
    pub all_cpu_seconds: f64,
}

impl Engine {
    /// A part of all cores' time.
    fn share(&self, cpu_seconds: f64, cores: u32) -> f64 {
        cpu_seconds * self.transfers_per_second / self.transfers / f64::from(cores)
    }
}

/// A line of what was measured: one turn of one of the two.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// The parts.
    Parts(Parts),
    /// The server.
    Engine(Engine),
}

/// What it all comes to: the last line of `bench/limits --json`.
#[derive(Debug, PartialEq, Serialize)]
pub struct Report {
    /// The server's, median.
    pub transfers_per_second: f64,
    /// What the parts allow, transfers a second.
    pub limit: f64,
    /// The former over the latter.
    pub share_of_limit: f64,
    /// By name: nanoseconds a transfer, median.
    pub parts: BTreeMap<&'static str, f64>,
    /// Of all cores' time, what the server used, median.
    pub server_cpu_share: f64,
    /// Of all cores' time, what the load generator used, median.
    pub generator_cpu_share: f64,
    /// Of all cores' time, what everything else on the machine used meanwhile, median: where it is not little, the figures mean little.
    pub others_cpu_share: f64,
    /// Cores that both share.
    pub cores: u32,
    /// Turns of each.
    pub turns: usize,
    /// Lowest and highest of the server's.
    pub transfers_per_second_range: (f64, f64),
}

impl Report {
    /// Of these turns. `Err` says what is missing.
    pub fn new(turns: &[Turn], cores: u32) -> Result<Self, String> {
        let (mut parts, mut engine) = (Vec::new(), Vec::new());
        for turn in turns {
            match turn {
                Turn::Parts(turn) => parts.push(*turn),
                Turn::Engine(turn) => engine.push(*turn),
            }
        }
        if parts.is_empty() || engine.is_empty() {
            return Err(format!(
                "found {} turns of the parts and {} of the server, expected at least one of each",
                parts.len(),
                engine.len()
            ));
        }
        let figures = parts.iter().flat_map(Parts::named).map(|(_, ns)| ns);
        let rates = engine.iter().flat_map(|turn| [turn.transfers, turn.transfers_per_second]);
        if let Some(bad) = figures.chain(rates).find(|figure| !(figure.is_finite() && *figure > 0.0)) {
            return Err(format!("found the figure {bad}, expected more than 0"));
        }
        let middle = Parts::median(&parts);
        let rates: Vec<f64> = engine.iter().map(|turn| turn.transfers_per_second).collect();
        let range =
            (rates.iter().copied().fold(f64::MAX, f64::min), rates.iter().copied().fold(0.0, f64::max));
        let transfers_per_second = median(rates);
        let limit = middle.limit(cores);
        let share = |cpu: fn(&Engine) -> f64| {
            median(engine.iter().map(|turn| turn.share(cpu(turn), cores)).collect())
        };
        Ok(Self {
            transfers_per_second,
            limit,
            share_of_limit: transfers_per_second / limit,
            parts: middle.named().into_iter().collect(),
            server_cpu_share: share(|turn| turn.server_cpu_seconds),
            generator_cpu_share: share(|turn| turn.generator_cpu_seconds),
            others_cpu_share: share(|turn| {
                let ours = turn.server_cpu_seconds + turn.generator_cpu_seconds;
                (turn.all_cpu_seconds - ours).max(0.0)
            }),
            cores,
            turns: engine.len(),
            transfers_per_second_range: range,
        })
    }

    /// A table for people.
    pub fn table(&self) -> String {
        let part = |name: &str| self.parts.get(name).copied().unwrap_or_default();
        let cpu: f64 = ["loopback", "generator", "checksums", "kernel"].into_iter().map(part).sum();
        let mut text = String::new();
        let mut line = |what: &str, ns: f64| {
            let _ = writeln!(text, "{what:<56}{ns:>8.1} ns  {:>8.2} million/s", 1e3 / ns);
        };
        line("log: blocks and cuts, durable", part("log_write"));
        line("CPU: loopback, both sides", part("loopback"));
        line("CPU: the generator makes requests", part("generator"));
        line("CPU: the server's checksums", part("checksums"));
        line("CPU: execution by one shard, in memory", part("kernel"));
        line("CPU: all of these on one core", cpu);
        line(&format!("CPU: on {} cores", self.cores), cpu / f64::from(self.cores));
        line("limit", 1e9 / self.limit);
        line("the server", 1e9 / self.transfers_per_second);
        let (low, high) = self.transfers_per_second_range;
        let _ = write!(
            text,
            "the server reaches {:.1} % of the limit ({:.2} to {:.2} million/s in {} turns); of {} cores' time it uses {:.0} %, \
             the generator {:.0} % and everything else on the machine {:.0} %",
            100.0 * self.share_of_limit,
            low / 1e6,
            high / 1e6,
            self.turns,
            self.cores,
            100.0 * self.server_cpu_share,
            100.0 * self.generator_cpu_share,
            100.0 * self.others_cpu_share,
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: Parts =
        Parts { log_write: 100.0, loopback: 40.0, generator: 50.0, checksums: 10.0, kernel: 60.0 };

    fn engine(transfers_per_second: f64) -> Turn {
        Turn::Engine(Engine {
            transfers: 2.0 * transfers_per_second,
            transfers_per_second,
            server_cpu_seconds: 2.5,
            generator_cpu_seconds: 1.0,
            all_cpu_seconds: 3.7,
        })
    }

    #[test]
    fn the_limit_is_that_of_the_log_or_of_the_cores_whichever_is_lower() {
        let faster_log = Parts { log_write: 50.0, ..PARTS };
        let cases = [(PARTS, 1, 160.0), (PARTS, 2, 100.0), (faster_log, 2, 80.0), (faster_log, 4, 50.0)];
        for (parts, cores, ns) in cases {
            assert_eq!(parts.limit(cores), 1e9 / ns, "{parts:?} on {cores}");
        }
    }

    #[test]
    fn a_report_is_of_medians() {
        let parts = [40.0, 10_000.0, 60.0].map(|kernel| Turn::Parts(Parts { kernel, ..PARTS }));
        let turns = [&parts[..], &[engine(4e6), engine(1e6), engine(5e6), engine(6e6)]].concat();
        let report = Report::new(&turns, 2).expect("nothing is missing");
        assert_eq!(report.parts["kernel"], 60.0);
        assert_eq!((report.limit, report.transfers_per_second), (1e7, 4.5e6));
        assert_eq!(report.share_of_limit, 0.45);
        // 2.5 s, 1 s and 0.2 s of CPU in 2 s on 2 cores.
        assert_eq!((report.server_cpu_share, report.generator_cpu_share), (0.625, 0.25));
        assert!((report.others_cpu_share - 0.05).abs() < 1e-9, "{}", report.others_cpu_share);
        assert_eq!((report.transfers_per_second_range, report.turns), ((1e6, 6e6), 4));
        let table = report.table();
        assert!(table.contains("45.0 % of the limit (1.00 to 6.00 million/s in 4 turns)"), "{table}");
    }

    #[test]
    fn what_is_missing_or_nothing_is_told() {
        for turns in [&[][..], &[Turn::Parts(PARTS)], &[engine(1e6)]] {
            assert!(Report::new(turns, 2).is_err_and(|why| why.contains("at least one of each")));
        }
        for bad in [0.0, f64::NAN, f64::INFINITY] {
            let turns = [Turn::Parts(Parts { checksums: bad, ..PARTS }), engine(1e6)];
            assert!(Report::new(&turns, 2).is_err_and(|why| why.contains("more than 0")), "{bad}");
        }
        assert!(Report::new(&[Turn::Parts(PARTS), engine(0.0)], 2).is_err());
    }

    #[test]
    fn turns_are_read_as_they_were_written() {
        for turn in [Turn::Parts(PARTS), engine(3.5e6)] {
            let line = serde_json::to_string(&turn).expect("figures are finite");
            assert_eq!(serde_json::from_str::<Turn>(&line).expect("JSON"), turn);
        }
    }
}
