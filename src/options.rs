//! What an operator chooses for a start: defaults, bounds and their checks, in one place.

use crate::failure::{Failure, Outcome};
use crate::topology;
use auriga_numa_topology::Topology;
use auriga_shards::checkpoint::plan::Policy;
use auriga_shards::limits::Limits;
use auriga_shards::log::File as LogFile;
use auriga_wire::frame::FRAME_SIZE_MAX;
use clap::{Args, ValueEnum};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Bytes for requests, and as many for replies, unless there are very many shards.
const BUFFERS_MAX: u64 = 64 << 20;
const SECOND_NS: u64 = 1_000_000_000;
/// Bytes for requests or replies at most: a buffer for each request of a mebibyte has a place that is made at the start.
const BUFFERS_LIMIT: u64 = 1 << 40;
/// Bytes that are touched at the start, at most.
const PREFAULT_LIMIT: u64 = 1 << 40;
const YEAR_SECONDS: u64 = 366 * 86_400;
/// From what a retry needs to a year.
const WINDOW_SECONDS: RangeInclusive<u64> = 60..=YEAR_SECONDS;
/// Longer, a core would hardly ever look at its I/O when it is idle.
const SPIN_MAX_US: u64 = 1_000_000;

/// `auriga start`
#[derive(Args, Debug)]
pub struct StartArguments {
    /// The data directory, made by `auriga format`
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// The cluster that the directory must belong to [default: whichever it was formatted for]
    #[arg(long, value_name = "N")]
    pub cluster: Option<u64>,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:7400")]
    pub listen: SocketAddr,
    /// Shards; more than CPUs only for tests [default: one for each core that the topology gives]
    #[arg(long, value_name = "N")]
    pub shards: Option<usize>,
    /// A topology file, as `auriga topology discover` writes it
    #[arg(long, value_name = "FILE", conflicts_with = "shards")]
    pub topology: Option<PathBuf>,
    /// Accounts that the ledger may hold
    #[arg(long, value_name = "N", default_value_t = Limits::default().accounts_max)]
    pub accounts_max: u64,
    /// Transfer ids that may be remembered (about 50 bytes of memory each); at the bound the oldest are forgotten before their
    /// time, if ids are time-ordered
    #[arg(long, value_name = "N", default_value_t = Limits::default().ids_max)]
    pub ids_max: u64,
    /// How long a time-ordered id is remembered; a retry that comes later is refused as id_expired
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().window_ns / SECOND_NS)]
    pub window: u64,
    /// Pending transfers that the ledger may hold
    #[arg(long, value_name = "N", default_value_t = Limits::default().pendings_max)]
    pub pendings_max: u64,
    /// Bytes that the log's files may have in all
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 30)]
    pub log_max: u64,
    /// Bytes by which the log grows between two checkpoints, at least; 0: none are taken, and the log is kept whole
    #[arg(long, value_name = "BYTES", default_value_t = Policy::default().every)]
    pub checkpoint_every: u64,
    /// Bytes of memory for what changes while a checkpoint is taken, all cores; beyond them execution waits for the disk
    #[arg(long, value_name = "BYTES", default_value_t = 256 << 20)]
    pub checkpoint_memory: u64,
    /// Where segments of the log go that are not needed any more [default: they are used again]
    #[arg(long, value_name = "DIR")]
    pub archive: Option<PathBuf>,
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub connections_max: u32,
    /// Bytes of memory for requests that are being received, all cores [default: 64 MiB, or one request a shard if that is more]
    #[arg(long, value_name = "BYTES")]
    pub requests_max: Option<u64>,
    /// Bytes of replies that clients have not taken, all cores, from which look-ups wait [default: as for requests]
    #[arg(long, value_name = "BYTES")]
    pub replies_max: Option<u64>,
    /// Bytes of memory that are taken and touched at the start, all cores: tables grow into them without a wait for the kernel, or a
    /// virtual machine's host, to give a page. What is not needed stays taken
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pub prefault: u64,
    /// How long a core that waits for other cores or the disk looks for what comes before it parks, microseconds
    #[arg(long, value_name = "US", default_value_t = 50)]
    pub spin: u64,
    /// Interval of the histogram log in seconds; 0 for none
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub histogram_interval: u64,
    /// The histogram log [default: histograms.hlog in the data directory]
    #[arg(long, value_name = "FILE")]
    pub histogram_log: Option<PathBuf>,
    /// Whether to keep a history, so that questions about the past can be answered
    #[arg(long, value_enum, default_value = "on")]
    pub history: Switch,
    /// Take the clock as it is, however far it is from the time of the log
    #[arg(long)]
    pub accept_clock: bool,
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
}

impl Options {
    /// Checks what was asked against the machine.
    pub fn new(asked: StartArguments) -> Outcome<Self> {
        let topology = choose_topology(&asked)?;
        Self::on(topology, asked)
    }

    /// Checks what was asked, of shards on these CPUs.
    pub fn on(topology: Topology, asked: StartArguments) -> Outcome<Self> {
        let shards = topology.shards.len() as u64;
        let requests_max = buffers_max("--requests-max", asked.requests_max, shards)?;
        let replies_max = buffers_max("--replies-max", asked.replies_max, shards)?;
        let least = least_log_size(shards);
        if asked.log_max < least {
            return Err(Failure::usage(format!(
                "--log-max {}: expected {least} or more, two files of cuts and one of blocks for each of {shards} shards",
                asked.log_max
            )));
        }
        let bounds = [
            ("--connections-max", asked.connections_max.into(), 1..=u32::MAX.into(), ""),
            ("--ids-max", asked.ids_max, 1..=u64::MAX, ""),
            ("--window", asked.window, WINDOW_SECONDS, " seconds"),
            ("--prefault", asked.prefault, 0..=PREFAULT_LIMIT, " bytes"),
            ("--histogram-interval", asked.histogram_interval, 0..=YEAR_SECONDS, " seconds"),
            ("--spin", asked.spin, 0..=SPIN_MAX_US, " microseconds"),
        ];
        for (flag, value, bounds, unit) in bounds {
            check_bounds(flag, value, &bounds, unit)?;
        }
        Ok(Self {
            data: asked.data,
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
            connections_max: asked.connections_max,
            requests_max,
            replies_max,
            prefault: asked.prefault,
            spin_ns: asked.spin * 1_000,
            histogram_interval: Duration::from_secs(asked.histogram_interval),
            histogram_log: asked.histogram_log,
            history: asked.history == Switch::On,
            accept_clock: asked.accept_clock,
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
            every: self.checkpoint_every,
            kept_max: self.checkpoint_memory as usize / self.shards(),
            pendings_may_go: self.archive.is_some(),
        }
    }

    /// Where the histogram log goes.
    pub fn histogram_log(&self) -> PathBuf {
        self.histogram_log.clone().unwrap_or_else(|| self.data.join("histograms.hlog"))
    }
}

/// Bytes of memory for one direction of all clients.
fn buffers_max(flag: &str, asked: Option<u64>, shards: u64) -> Outcome<u64> {
    let least = shards * FRAME_SIZE_MAX as u64;
    let max = asked.unwrap_or(least.max(BUFFERS_MAX));
    if max < least {
        return Err(Failure::usage(format!(
            "{flag} {max}: expected {least} or more, one largest frame for each of {shards} shards"
        )));
    }
    check_bounds(flag, max, &(least..=BUFFERS_LIMIT), " bytes")?;
    Ok(max)
}

fn check_bounds(flag: &str, value: u64, bounds: &RangeInclusive<u64>, unit: &str) -> Outcome<()> {
    if bounds.contains(&value) {
        return Ok(());
    }
    let (least, most) = (bounds.start(), bounds.end());
    let expected = if *most == u64::MAX { format!("{least} or more") } else { format!("{least} to {most}") };
    Err(Failure::usage(format!("{flag} {value}: expected {expected}{unit}")))
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
            auriga_numa_topology::Error::ShardCount { .. } => Failure::usage(format!("--shards: {e}")),
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
    mismatches.extend(topology::data_mismatches(&machine, &topology, &asked.data).unwrap_or_default());
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
