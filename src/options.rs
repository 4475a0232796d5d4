//! What an operator chooses for a start: defaults, bounds and their checks, in one place.

use crate::config::Values;
use crate::config::shipped;
use crate::config::units::{Unit, bytes, microseconds, seconds};
use crate::failure::{Failure, Outcome};
use crate::logging;
use crate::topology;
use auriga_numa_topology::Topology;
use auriga_shards::checkpoint::plan::Policy;
use auriga_shards::limits::Limits;
use auriga_shards::log::File as LogFile;
use auriga_wire::frame::FRAME_SIZE_MAX;
use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Bytes for requests, and as many for replies, unless there are very many shards. The shipped file says so too.
const BUFFERS_MAX: u64 = 64 << 20;
/// The log that is kept has two intervals of checkpoints and what is logged while one is taken.
const CHECKPOINTS_OF_LOG: u64 = 4;
const SECOND_NS: u64 = 1_000_000_000;

/// `auriga start`
#[derive(Args, Debug)]
pub struct StartArguments {
    /// A configuration file; `auriga config print` prints one with every key. Defaults are overridden by the file, the file by the
    /// environment, that by options
    #[arg(long, value_name = "FILE", env = "AURIGA_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// Every key's value as it was given, and where it comes from.
    #[arg(skip)]
    pub values: Values,
    /// The data directory, made by `auriga format`
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The cluster that the directory must belong to [default: whichever it was formatted for]
    #[arg(long, value_name = "N", value_parser = number)]
    pub cluster: Option<u64>,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address)]
    pub listen: SocketAddr,
    /// Shards; more than CPUs only for tests [default: one for each core that the topology gives]
    #[arg(long, value_name = "N", value_parser = count)]
    pub shards: Option<usize>,
    /// A topology file, as `auriga topology discover` writes it
    #[arg(long, value_name = "FILE")]
    pub topology: Option<PathBuf>,
    /// Accounts that the ledger may hold
    #[arg(long, value_name = "N", value_parser = number)]
    pub accounts_max: u64,
    /// Transfer ids that may be remembered (about 50 bytes of memory each); at the bound the oldest are forgotten before their
    /// time, if ids are time-ordered
    #[arg(long, value_name = "N", value_parser = number)]
    pub ids_max: u64,
    /// How long a time-ordered id is remembered; a retry that comes later is refused as id_expired
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub window: u64,
    /// Pending transfers that the ledger may hold
    #[arg(long, value_name = "N", value_parser = number)]
    pub pendings_max: u64,
    /// Bytes that the log's files may have in all
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub log_max: u64,
    /// Bytes by which the log grows between two checkpoints, or by twice the newest one's size; 0: none are taken, and the log is kept whole
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub checkpoint_every: u64,
    /// Bytes of memory for what changes while a checkpoint is taken, all cores; beyond them execution waits for the disk
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub checkpoint_memory: u64,
    /// Where segments of the log go that are not needed any more [default: they are used again]
    #[arg(long, value_name = "DIR")]
    pub archive: Option<PathBuf>,
    /// Connections
    #[arg(long, value_name = "N", value_parser = number)]
    pub connections_max: u64,
    /// Bytes of memory for requests that are being received, all cores [default: 64 MiB, or one request a shard if that is more]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub requests_max: Option<u64>,
    /// Bytes of replies that clients have not taken, all cores, from which look-ups wait [default: as for requests]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub replies_max: Option<u64>,
    /// Bytes of memory that are taken and touched at the start, all cores: tables grow into them without a wait for the kernel, or a
    /// virtual machine's host, to give a page. What is not needed stays taken
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub prefault: u64,
    /// How long a core that waits for other cores or the disk looks for what comes before it parks, microseconds
    #[arg(long, value_name = "US", value_parser = microseconds)]
    pub spin: u64,
    /// Interval of the histogram log in seconds; 0 for none
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub histogram_interval: u64,
    /// The histogram log [default: histograms.hlog in the data directory]
    #[arg(long, value_name = "FILE")]
    pub histogram_log: Option<PathBuf>,
    /// Whether to keep a history, so that questions about the past can be answered
    #[arg(long, value_enum)]
    pub history: Switch,
    /// What is logged: error, warn, info, debug or trace; or so by part of the program, as in "info,fjall=debug"
    #[arg(long, value_name = "LEVELS", value_parser = logging::levels)]
    pub log: String,
    /// How it is logged
    #[arg(long, value_enum)]
    pub log_format: logging::Format,
    /// Take the clock as it is, however far it is from the time of the log
    #[arg(long)]
    pub accept_clock: bool,
    /// Where metrics are served to Prometheus, as http://ADDRESS:PORT/metrics; port 0 takes a free one; `off`: nowhere
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub metrics: Metrics,
}

/// Where metrics are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metrics {
    /// Nowhere
    Off,
    /// Here
    On(SocketAddr),
}

impl std::str::FromStr for Metrics {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        text.parse()
            .map(Self::On)
            .map_err(|_| "expected an address and a port, as 127.0.0.1:7401, or off".into())
    }
}

/// Something that is done or not.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// It is done
    On,
    /// It is not
    Off,
}

/// The checked options of a start.
#[derive(Debug)]
pub struct Options {
    /// The data directory.
    pub data: PathBuf,
    /// The cluster that the directory must belong to.
    pub cluster: Option<u64>,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Which CPUs run shards.
    pub topology: Topology,
    /// Bounds on accounts and ids.
    pub limits: Limits,
    /// Bound on the log's files, bytes.
    pub log_max: u64,
    checkpoint_every: u64,
    checkpoint_memory: u64,
    /// Where segments of the log go that are not needed any more.
    pub archive: Option<PathBuf>,
    /// Bound on connections.
    pub connections_max: u32,
    requests_max: u64,
    replies_max: u64,
    /// Bytes of memory that are touched at the start, all cores.
    pub prefault: u64,
    /// How long a core that waits for other cores or the disk spins before it parks.
    pub spin_ns: u64,
    /// Interval of the histogram log; zero for none.
    pub histogram_interval: Duration,
    histogram_log: Option<PathBuf>,
    /// Whether history is kept.
    pub history: bool,
    /// Take the clock as it is.
    pub accept_clock: bool,
    /// Where metrics are served.
    pub metrics: Metrics,
    /// What was asked for, for the status: each key that has a value, and the value as people write it.
    pub settings: Vec<(String, String)>,
}

impl StartArguments {
    /// Every number, by its key.
    fn numbers(&self) -> [(&'static str, Option<u64>); 15] {
        [
            ("cluster", self.cluster),
            ("shards", self.shards.map(|shards| shards as u64)),
            ("spin", Some(self.spin)),
            ("accounts-max", Some(self.accounts_max)),
            ("ids-max", Some(self.ids_max)),
            ("window", Some(self.window)),
            ("pendings-max", Some(self.pendings_max)),
            ("log-max", Some(self.log_max)),
            ("checkpoint-every", Some(self.checkpoint_every)),
            ("checkpoint-memory", Some(self.checkpoint_memory)),
            ("connections-max", Some(self.connections_max)),
            ("requests-max", self.requests_max),
            ("replies-max", self.replies_max),
            ("prefault", Some(self.prefault)),
            ("histogram-interval", Some(self.histogram_interval)),
        ]
    }

    /// Holds every number against its bounds, which are in the shipped file.
    fn check_bounds(&self, shards: u64) -> Outcome<()> {
        for (key, value) in self.numbers() {
            let setting = shipped::setting(key);
            let Some((value, setting, bounds)) =
                value.and_then(|v| setting.and_then(|s| Some((v, s, s.bounds?))))
            else {
                continue;
            };
            let range = bounds.range(shards);
            if !range.contains(&value) {
                let (least, most) = (range.start(), range.end());
                let expected =
                    if *most == u64::MAX { format!("{least} or more") } else { format!("{least} to {most}") };
                let of =
                    if bounds.range(0) == range { String::new() } else { format!(", for {shards} shards") };
                let (said, unit) = (self.values.says(key, value), setting.unit.name());
                return Err(Failure::usage(format!("{said}: expected {expected}{unit}{of}")));
            }
        }
        Ok(())
    }
}

impl Options {
    /// Checks what was asked against the machine.
    pub fn new(asked: StartArguments) -> Outcome<Self> {
        let topology = Self::check(&asked)?;
        Self::on(topology, asked)
    }

    /// Checks all but the directory, and says which CPUs run shards.
    pub fn check(asked: &StartArguments) -> Outcome<Topology> {
        let topology = choose_topology(asked)?;
        asked.check_bounds(topology.shards.len() as u64)?;
        Ok(topology)
    }

    /// Checks what was asked, of shards on these CPUs.
    pub fn on(topology: Topology, asked: StartArguments) -> Outcome<Self> {
        let shards = topology.shards.len() as u64;
        asked.check_bounds(shards)?;
        let Some(data) = asked.data else {
            return Err(Failure::usage(
                "no data directory is named: expected --data DIR, AURIGA_DATA, or data in the configuration file (--config)",
            ));
        };
        let buffers = |asked: Option<u64>| asked.unwrap_or(BUFFERS_MAX.max(shards * FRAME_SIZE_MAX as u64));
        let mut settings = asked.values.shown();
        if let Some((_, place)) = settings.iter_mut().find(|(key, _)| key == "data") {
            *place = std::path::absolute(&data).unwrap_or_else(|_| data.clone()).display().to_string();
        }
        Ok(Self {
            data,
            settings,
            cluster: asked.cluster,
            listen: asked.listen,
            topology,
            limits: Limits {
                accounts_max: asked.accounts_max,
                ids_max: asked.ids_max,
                pendings_max: asked.pendings_max,
                window_ns: asked.window * SECOND_NS,
            },
            log_max: asked.log_max,
            checkpoint_every: asked.checkpoint_every,
            checkpoint_memory: asked.checkpoint_memory,
            archive: asked.archive,
            connections_max: asked.connections_max as u32,
            requests_max: buffers(asked.requests_max),
            replies_max: buffers(asked.replies_max),
            prefault: asked.prefault,
            spin_ns: asked.spin * 1_000,
            histogram_interval: Duration::from_secs(asked.histogram_interval),
            histogram_log: asked.histogram_log,
            history: asked.history == Switch::On,
            accept_clock: asked.accept_clock,
            metrics: asked.metrics,
        })
    }

    /// Number of shards.
    pub fn shards(&self) -> usize {
        self.topology.shards.len()
    }

    /// Receive buffers that each core may make for large requests.
    pub fn large_buffers_per_shard(&self) -> usize {
        self.requests_max as usize / FRAME_SIZE_MAX / self.shards()
    }

    /// Bytes of replies that the clients of one core may leave untaken before its look-ups wait.
    pub fn unsent_max_per_shard(&self) -> usize {
        self.replies_max as usize / self.shards()
    }

    /// Bytes of memory that each core touches at the start.
    pub fn prefault_per_shard(&self) -> usize {
        self.prefault as usize / self.shards()
    }

    /// How each shard takes checkpoints.
    pub fn checkpoints(&self) -> Policy {
        Policy {
            every: self.checkpoint_every.min(self.log_max / CHECKPOINTS_OF_LOG),
            every_max: self.log_max / CHECKPOINTS_OF_LOG,
            kept_max: self.checkpoint_memory as usize / self.shards(),
            pendings_may_go: self.archive.is_some(),
            ..Policy::default()
        }
    }

    /// Where the histogram log goes.
    pub fn histogram_log(&self) -> PathBuf {
        self.histogram_log.clone().unwrap_or_else(|| self.data.join("histograms.hlog"))
    }
}

/// For clap: how many.
fn number(text: &str) -> Result<u64, String> {
    Unit::Number.parse(text)
}

/// For clap: how many.
fn count(text: &str) -> Result<usize, String> {
    number(text).map(|number| number as usize)
}

/// For clap: where to listen.
fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an address and a port, as in 127.0.0.1:7400 or [::1]:7400".into())
}

/// Bytes of the files without which a server can't take a request: two of cuts and one of blocks for each shard.
pub fn least_log_size(shards: u64) -> u64 {
    2 * LogFile::Cuts { segment: 0 }.size() + shards * LogFile::Stream { stream: 0, segment: 0 }.size()
}

fn choose_topology(asked: &StartArguments) -> Outcome<Topology> {
    let environment = |e: auriga_numa_topology::Error| Failure::environment(e.to_string());
    let machine = auriga_numa_topology::discover().map_err(environment)?;
    let Some(path) = &asked.topology else {
        let plan = auriga_numa_topology::plan(&machine, asked.shards).map_err(|e| match e {
            auriga_numa_topology::Error::ShardCount { .. } => Failure::usage(format!(
                "{}: {e}",
                asked.values.says("shards", asked.shards.unwrap_or_default() as u64)
            )),
            _ => Failure::environment(e.to_string()),
        })?;
        for warning in plan.warnings {
            tracing::warn!("{warning}");
        }
        return Ok(plan.topology);
    };
    let topology = Topology::load(path).map_err(environment)?;
    let mut mismatches = auriga_numa_topology::compare(&machine, &topology);
    // A directory that isn't there is for what opens it to say.
    let data = asked.data.as_deref().map(|data| topology::data_mismatches(&machine, &topology, data));
    mismatches.extend(data.and_then(Result::ok).unwrap_or_default());
    if topology::fits(&topology, &mismatches) {
        for warning in mismatches {
            tracing::warn!("{}: {warning}", path.display());
        }
        return Ok(topology);
    }
    let strict = if topology.strict { ", and says `strict = true`" } else { "" };
    let list: Vec<_> = mismatches.iter().map(|mismatch| format!("  {mismatch}")).collect();
    Err(Failure::environment(format!(
        "{} does not fit this machine{strict}:\n{}",
        path.display(),
        list.join("\n")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use crate::config;
    use auriga_numa_topology::{Housekeeping, SHARDS_MAX, ShardPlace};

    fn topology(shards: usize) -> Topology {
        let shards = (0..shards as u32).map(|cpu| ShardPlace { cpu, node: 0 }).collect();
        Topology { shards, housekeeping: Housekeeping::default(), strict: false, disks: Vec::new() }
    }

    /// Options of a start on two shards, as they are typed.
    fn typed(words: &[&str]) -> Outcome<Options> {
        let line = ["auriga", "start", "--data", "d"].iter().chain(words);
        let Cli { command: Command::Start(asked) } = config::read(line).expect("it is a start") else {
            panic!("another command");
        };
        Options::on(topology(2), *asked)
    }

    #[test]
    fn every_option_has_a_key_and_every_key_is_used() {
        let command = StartArguments::augment_args(clap::Command::new("start"));
        // They name the file, and are for one start alone: in a file the clock would be taken as it is for ever.
        let no_keys = ["config", "accept-clock"];
        let mut options: Vec<&str> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
        options.retain(|option| !no_keys.contains(option));
        let mut keys: Vec<&str> = shipped::settings().iter().map(|setting| setting.key).collect();
        options.sort_unstable();
        keys.sort_unstable();
        assert_eq!(options, keys, "src/auriga.toml and the options of `auriga start` are the same");
        let with_bounds = shipped::settings().iter().filter(|setting| setting.bounds.is_some());
        let mut bounded: Vec<&str> = with_bounds.map(|setting| setting.key).collect();
        let mut numbers: Vec<&str> = asked().numbers().iter().map(|(key, _)| *key).collect();
        bounded.sort_unstable();
        numbers.sort_unstable();
        assert_eq!(numbers, bounded, "every number is held against its bounds");
    }

    fn asked() -> StartArguments {
        match config::read(["auriga", "start"]).expect("it is a start").command {
            Command::Start(asked) => *asked,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_bounds_of_the_shipped_file_are_the_real_ones() {
        // How many shards there may be depends on the machine, and is checked with its topology.
        let settings = shipped::settings().iter().filter(|setting| setting.key != "shards");
        for (setting, bounds) in settings.filter_map(|setting| Some((setting, setting.bounds?))) {
            let (least, most) = bounds.range(2).into_inner();
            let of = |value: u64| typed(&[&format!("--{}={value}", setting.key)]);
            for good in [least, most] {
                assert!(of(good).is_ok(), "--{} {good}: {:?}", setting.key, of(good));
            }
            for bad in [least.checked_sub(1), most.checked_add(1)].into_iter().flatten() {
                let refused = of(bad).expect_err(setting.key).message;
                assert!(
                    refused.starts_with(&format!("--{} {bad}: expected {least}", setting.key)),
                    "{refused}"
                );
            }
        }
        let bounds =
            |key: &str, shards| shipped::setting(key).and_then(|s| s.bounds).expect(key).range(shards);
        for shards in [1, 2, 128] {
            assert_eq!(*bounds("log-max", shards).start(), least_log_size(shards));
            assert_eq!(*bounds("requests-max", shards).start(), shards * FRAME_SIZE_MAX as u64);
            assert_eq!(*bounds("replies-max", shards).start(), shards * FRAME_SIZE_MAX as u64);
        }
        assert_eq!(bounds("shards", 1), 1..=SHARDS_MAX as u64);
        assert_eq!(*bounds("cluster", 1).end(), crate::directory::CLUSTER_MAX);
    }

    #[test]
    fn checkpoints_are_further_apart_the_larger_they_are_and_fit_the_log() {
        const GIB: u64 = 1 << 30;
        let of = |more: &[&str]| typed(more).expect("good options").checkpoints();
        let policy = of(&["--log-max", "100 GiB"]);
        let intervals = [0, GIB, 3 * GIB, 1_000 * GIB, u64::MAX].map(|newest| policy.interval(newest));
        assert_eq!(intervals, [4 * GIB, 4 * GIB, 6 * GIB, 25 * GIB, 25 * GIB]);
        assert_eq!(of(&["--log-max", "2 GiB"]).interval(GIB), GIB / 2);
        assert_eq!(of(&["--checkpoint-every", "0"]).every, 0);
    }

    #[test]
    fn the_defaults_are_those_that_the_engine_is_tested_with() {
        let options = typed(&[]).expect("defaults are good");
        assert_eq!(options.limits, Limits::default());
        assert_eq!(options.checkpoints().every, Policy::default().every);
        assert_eq!((options.requests_max, options.replies_max), (BUFFERS_MAX, BUFFERS_MAX));
        assert_eq!(options.listen.to_string(), crate::cli::ADDRESS, "commands ask where a server listens");
        for key in ["requests-max", "replies-max"] {
            let otherwise = shipped::setting(key).and_then(|setting| setting.otherwise).expect(key);
            assert!(otherwise.starts_with(&format!("{}, ", Unit::Bytes.show(BUFFERS_MAX))), "{otherwise}");
        }
    }
}
