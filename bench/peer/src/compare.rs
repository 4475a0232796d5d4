//! `auriga-peer compare`: the results of several runs of each system side by side, and the ratio of each to ours at the same batch.

use crate::args::{Absent, CompareArgs};
use auriga_bench::failure::Failure;
use auriga_bench::report::{count, say};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read;

/// What names of our own runs begin with.
const OURS: &str = "auriga";
/// What names of a server's settings begin with in the environment of our runs.
const OF_SERVER: &str = "server_";

/// Of the JSON of a run: `auriga-bench run` and `auriga-peer run` have these alike.
#[derive(Clone, Debug, Deserialize)]
struct Run {
    transfers_per_second: f64,
    latency_us: Latency,
    verified: bool,
    batch: u32,
    /// Of other ledgers.
    #[serde(default)]
    settings: BTreeMap<String, String>,
    /// Of ours: the settings of the server are among it.
    #[serde(default)]
    environment: BTreeMap<String, String>,
}

impl Run {
    fn settings(&self) -> BTreeMap<String, String> {
        let of_server = |(name, value): (&String, &String)| {
            name.strip_prefix(OF_SERVER).map(|name| (name.to_string(), value.clone()))
        };
        match self.settings.is_empty() {
            true => self.environment.iter().filter_map(of_server).collect(),
            false => self.settings.clone(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
struct Latency {
    p50: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

/// The last line of stdout with `--json`.
#[derive(Debug, Serialize)]
struct Report {
    systems: Vec<System>,
    absent: Vec<Absent>,
}

/// A system's runs, in one figure each: medians.
#[derive(Debug, PartialEq, Serialize)]
struct System {
    name: String,
    batch: u32,
    connections: u32,
    transfers_per_second: f64,
    latency_us: Latency,
    /// Of every run.
    verified: bool,
    /// Its transfers a second, in those of ours at the same batch; nothing if ours was not run.
    to_ours: Option<f64>,
    /// Transfers a second of each run.
    runs: Vec<f64>,
    settings: BTreeMap<String, String>,
}

/// Compares what stdin has; `Ok(false)` if a run was not verified.
pub fn run(args: &CompareArgs) -> Result<bool, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|error| Failure::Usage(format!("stdin can't be read: {error}")))?;
    let systems = compare(&text)?;
    say(&table(&systems));
    for Absent { name, package } in &args.absent {
        say(&format!("absent: {name} is not installed (Debian: apt-get install {package})"));
    }
    let verified = systems.iter().all(|system| system.verified);
    if args.json {
        let report = Report { systems, absent: args.absent.clone() };
        say(&serde_json::to_string(&report).map_err(|error| Failure::Failed(error.to_string()))?);
    }
    Ok(verified)
}

/// The systems in the order in which they come first.
fn compare(text: &str) -> Result<Vec<System>, Failure> {
    let mut runs: Vec<(String, u32, Vec<Run>)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let (name, connections, run) = parse(line).map_err(|why| {
            Failure::Usage(format!("stdin, line {number}: {why}; expected NAME CONNECTIONS JSON"))
        })?;
        match runs.iter_mut().find(|(known, ..)| known == name) {
            Some((_, known, runs)) if *known == connections && runs[0].batch == run.batch => runs.push(run),
            Some(_) => {
                return Err(Failure::Usage(format!(
                    "stdin, line {number}: {name} with another batch or number of connections than before"
                )));
            }
            None => runs.push((name.into(), connections, vec![run])),
        }
    }
    let mut systems: Vec<System> =
        runs.into_iter().map(|(name, connections, runs)| sum_up(name, connections, &runs)).collect();
    let ours: BTreeMap<u32, f64> = systems
        .iter()
        .filter(|system| system.name.starts_with(OURS))
        .map(|system| (system.batch, system.transfers_per_second))
        .collect();
    for system in &mut systems {
        system.to_ours = ours.get(&system.batch).map(|ours| system.transfers_per_second / ours);
    }
    Ok(systems)
}

fn parse(line: &str) -> Result<(&str, u32, Run), String> {
    let mut parts = line.splitn(3, ' ');
    let (Some(name), Some(connections), Some(json)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(format!("found `{line}`"));
    };
    let connections = connections.parse().map_err(|_| format!("found `{connections}` connections"))?;
    let run = serde_json::from_str(json).map_err(|error| format!("found no run's JSON ({error})"))?;
    Ok((name, connections, run))
}

fn sum_up(name: String, connections: u32, runs: &[Run]) -> System {
    let median_of = |figure: fn(&Run) -> f64| median(runs.iter().map(figure).collect());
    System {
        name,
        batch: runs[0].batch,
        connections,
        transfers_per_second: median_of(|run| run.transfers_per_second),
        latency_us: Latency {
            p50: median_of(|run| run.latency_us.p50),
            p99: median_of(|run| run.latency_us.p99),
            p999: median_of(|run| run.latency_us.p999),
            max: median_of(|run| run.latency_us.max),
        },
        verified: runs.iter().all(|run| run.verified),
        to_ours: None,
        runs: runs.iter().map(|run| run.transfers_per_second).collect(),
        settings: runs[0].settings(),
    }
}

/// The one in the middle; of an even count the mean of the two in the middle.
fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    let last = figures.len() - 1;
    (figures[last / 2] + figures[figures.len() / 2]) / 2.0
}

fn table(systems: &[System]) -> String {
    if systems.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "{:<18} {:>6} {:>11} {:>12} {:>9} {:>11} {:>11} {:>12}  {}\n",
        "system",
        "batch",
        "connections",
        "median /s",
        "to ours",
        "p50 us",
        "p99 us",
        "",
        "transfers/s of each run"
    );
    for system in systems {
        let ratio = system.to_ours.map_or("-".into(), |ratio| format!("{ratio:.4}"));
        let runs: Vec<String> = system.runs.iter().map(|rate| format!("{rate:.0}")).collect();
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "{:<18} {:>6} {:>11} {:>12} {ratio:>9} {:>11.0} {:>11.0} {:>12}  {}",
            system.name,
            system.batch,
            system.connections,
            count(system.transfers_per_second as u64),
            system.latency_us.p50,
            system.latency_us.p99,
            if system.verified { "verified" } else { "NOT VERIFIED" },
            runs.join(" ")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, batch: u32, rate: f64, verified: bool) -> String {
        format!(
            "{name} 16 {{\"transfers_per_second\":{rate},\"latency_us\":{{\"p50\":1,\"p99\":{rate},\"p999\":3,\"max\":4}},\
             \"verified\":{verified},\"batch\":{batch},\"shards\":2,\"environment\":{{\"seed\":\"1\",\"server_spin\":\"50 us\"}}}}\n"
        )
    }

    #[test]
    fn medians_are_compared_with_ours_at_the_same_batch() {
        let text = [
            line("auriga", 1, 100.0, true),
            line("redis", 1, 20.0, true),
            line("auriga-batched", 10, 1000.0, true),
            line("postgres-batched", 10, 5.0, true),
            line("redis", 1, 40.0, false),
            line("auriga", 1, 300.0, true),
            line("auriga", 1, 120.0, true),
        ];
        let found = compare(&text.concat()).expect("good lines");
        let short = |system: &System| {
            let System { name, transfers_per_second, latency_us, to_ours, verified, .. } = system;
            (name.clone(), *transfers_per_second, latency_us.p99, *to_ours, *verified)
        };
        let expected = [
            ("auriga".to_string(), 120.0, 120.0, Some(1.0), true),
            ("redis".to_string(), 30.0, 30.0, Some(0.25), false),
            ("auriga-batched".to_string(), 1000.0, 1000.0, Some(1.0), true),
            ("postgres-batched".to_string(), 5.0, 5.0, Some(0.005), true),
        ];
        assert_eq!(found.iter().map(short).collect::<Vec<_>>(), expected);
        assert_eq!(found[0].runs, [100.0, 300.0, 120.0]);
        assert_eq!(found[0].settings, BTreeMap::from([("spin".to_string(), "50 us".to_string())]));
        assert_eq!(table(&found).lines().count(), 5);
    }

    #[test]
    fn without_ours_there_is_no_ratio() {
        let found = compare(&line("redis", 1, 20.0, true)).expect("a good line");
        assert_eq!(found[0].to_ours, None);
        assert!(compare("").expect("nothing").is_empty());
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named() {
        let other = line("redis", 1, 20.0, true) + &line("redis", 2, 20.0, true);
        for (text, expected) in [
            ("redis 16", "stdin, line 1: found `redis 16`"),
            ("redis many {}", "stdin, line 1: found `many` connections"),
            ("redis 16 {}", "stdin, line 1: found no run's JSON (missing field"),
            (&other, "stdin, line 2: redis with another batch"),
        ] {
            let failure = compare(text).expect_err("it makes no sense");
            assert_eq!(failure.exit_code(), 2);
            assert!(failure.to_string().starts_with(expected), "{failure}");
        }
    }
}
