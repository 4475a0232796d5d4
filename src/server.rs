//! The server's life, top to bottom: open the directory, build the shards' rings, start the housekeeping threads and an
//! executor for each shard, serve, stop.

use crate::checkpointer::Checkpointer;
use crate::connection::Closed;
use crate::directory::{self, Directory};
use crate::doorbell::Doorbell;
use crate::executor::{Core, Ends};
use crate::failure::{Failure, Outcome};
use crate::gate::{self, Door};
use crate::hottest::Sample;
use crate::keeper::{self, Client, Keeper};
use crate::logging;
use crate::manager::Manager;
use crate::memory;
use crate::metrics;
use crate::monitor::{self, figures::Figures};
use crate::options::{Options, least_log_size};
use crate::past::{self, History};
use crate::room;
use crate::runtime;
use crate::socket;
use crate::storage::{IO_URING_REMEDY, Storage};
use arc_swap::ArcSwapOption;
use auriga_numa_topology::{MemoryBinding, Topology};
use auriga_shards::lead::Found;
use auriga_shards::ledger::saved;
use auriga_shards::limits::STREAMS;
use auriga_shards::log::File as LogFile;
use auriga_shards::log::recover::Dropped;
use auriga_shards::mesh::Mesh;
use auriga_shards::pacer::{Counts, LogEnd};
use auriga_shards::place::{Placement, ShardId};
use auriga_shards::shard::{Config, Shard};
use auriga_signals::{
    Activity, Board, Busy, Checkpoint, Count, Heart, HistoryProgress, LastCheckpoint, Lifecycle, Pace, Usage,
    Watch,
};
use auriga_wire::report::Status;
use rtrb::RingBuffer;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

const _: () = assert!(auriga_numa_topology::SHARDS_MAX == STREAMS, "a shard for every stream, at most");

/// How often every core looks at deadlines and at its clients' patience, while something goes on.
const HEARTBEAT: Duration = Duration::from_millis(10);
/// And when nothing does.
const HEARTBEAT_AT_REST_MS: i32 = 100;

/// How often a replay says how far it is.
const REPLAY_SAYS_EVERY: Duration = Duration::from_secs(1);

/// Slots of the rings to and from housekeeping.
const HOUSE_RING_SLOTS: usize = 256;

/// What all threads of the server share. Nothing here is touched for a single transfer.
pub struct Shared {
    /// As the operator has chosen.
    pub options: Options,
    /// The open data directory.
    pub directory: Arc<Directory>,
    /// By core: open connections.
    pub open: Vec<Count>,
    /// By core: what it shows for metrics.
    pub boards: Vec<Board>,
    /// By core: what it has done.
    pub busy: Vec<Busy>,
    /// By core: the accounts that transfers touch, while somebody looks.
    pub hottest: Vec<ArcSwapOption<Sample>>,
    /// Whether somebody looks at what cores do.
    pub watch: Watch,
    /// Which core owns what.
    pub placement: Placement,
    /// How far it is between its start and its end.
    pub lifecycle: Lifecycle,
    failure: OnceLock<Failure>,
    closed: Vec<(&'static str, Count)>,
    /// When the process began to start.
    pub started: Instant,
    /// The newest epoch that the start has found in the log.
    pub log_end: u64,
    /// When a replay says how far it is.
    replay_says: Pace,
    /// What the log takes of the disk.
    pub usage: Arc<Usage>,
    checkpoint: LastCheckpoint,
    /// How far history has got.
    pub history: HistoryProgress,
    /// Something has gone on since the last beat.
    activity: Activity,
    beat_bell: Arc<Doorbell>,
    /// By core: its beat.
    pub pulses: Vec<runtime::Pulse>,
    /// By core: what it shows of itself.
    pub hearts: Vec<Heart>,
    /// The service manager, if one listens.
    manager: Option<Manager>,
    doorbells: Vec<Arc<Doorbell>>,
    house_bells: Vec<Arc<Doorbell>>,
    /// Where it serves.
    pub address: SocketAddr,
}

impl Shared {
    /// Whether the server stops.
    pub fn is_stopping(&self) -> bool {
        self.lifecycle.is_stopping()
    }

    /// Whether it can't go on.
    pub fn has_failed(&self) -> bool {
        self.lifecycle.has_failed()
    }

    /// Whether every executor has ended.
    pub fn has_ended(&self) -> bool {
        self.lifecycle.has_ended()
    }

    /// Stops the server: no new connection, no new write; what is under way is answered.
    pub fn stop(&self) {
        self.lifecycle.stop();
        self.wake_all();
    }

    /// Ends the server for a reason; the first one is told.
    pub fn fail(&self, failure: Failure) {
        let _ = self.failure.set(failure);
        self.lifecycle.fail();
        self.wake_all();
    }

    /// Something goes on at a core: the beat is to be the fast one.
    pub fn note_activity(&self) {
        if self.activity.note() {
            self.beat_bell.ring();
        }
    }

    /// Beats until every executor has ended.
    fn beat(&self) {
        while !self.has_ended() {
            self.pulses.iter().for_each(runtime::Pulse::beat);
            logging::tell_hidden();
            if self.activity.take() || self.is_stopping() {
                std::thread::sleep(HEARTBEAT);
                continue;
            }
            self.beat_bell.park();
            if !self.activity.is_noted() {
                self.beat_bell.wait(HEARTBEAT_AT_REST_MS);
            }
            self.beat_bell.unpark();
        }
    }

    /// Has history made durable as far as it is; see [`HistoryProgress::durable`].
    pub fn make_history_durable(&self) {
        self.history.ask_durable();
        self.house_bells.iter().for_each(|bell| bell.ring_anyway());
    }

    fn wake_all(&self) {
        for bell in self.doorbells.iter().chain(&self.house_bells) {
            bell.ring_anyway();
        }
    }

    /// An epoch was replayed. Now and then that is said.
    pub fn replayed(&self, core: ShardId, epoch: u64) {
        self.hearts[core.index()].show_replayed(epoch);
        let now = self.started.elapsed();
        if self.replay_says.is_time(now) {
            tracing::info!("replaying the log: epoch {epoch} of {}, after {now:.0?}", self.log_end);
        }
    }

    /// The log was replayed.
    pub fn recovered(&self, end: &LogEnd, dropped: Option<&Dropped>) {
        let took = self.started.elapsed();
        tracing::info!("replayed the log through epoch {} in {took:.1?}", end.epoch);
        if let Some(Dropped { epoch, damage }) = dropped {
            tracing::warn!(
                "dropped epoch {epoch}: {damage}. It was being written when the server went down, and no later cut proves it. \
                 Unless the disk lost what it had said was durable, none of its transfers was acknowledged"
            );
        }
    }

    /// The state is that of a checkpoint.
    pub fn loaded(&self, epoch: u64) {
        tracing::info!(
            "took the state after epoch {epoch} from a checkpoint in {:.1?}",
            self.started.elapsed()
        );
    }

    /// The log has no beginning any more, and no checkpoint that it continues can be loaded.
    pub fn no_checkpoint(&self, log_from: u64) {
        let history = self.options.history.then(|| self.history.epoch());
        let log = format!("the log begins with epoch {log_from}");
        self.fail(Failure::no_checkpoint(&log, &self.directory, history));
    }

    /// What the ledger holds: the next checkpoint has to have room.
    pub fn holds(&self, held: &Counts) {
        if self.options.checkpoints().every > 0 {
            self.usage.expect_checkpoint(saved::bytes_max(held));
        }
    }

    /// A checkpoint is whole.
    pub fn checkpointed(&self, epoch: u64, bytes: u64) {
        tracing::info!("the checkpoint after epoch {epoch} is whole, {bytes} bytes");
        let at_ns = self.started.elapsed().as_nanos() as u64;
        self.checkpoint.set(Checkpoint { epoch, bytes, at_ns });
    }

    /// A shard takes requests; when it was the last, so does the server.
    pub fn serving(&self, shard: ShardId, incarnation: u64) {
        tracing::debug!("shard {shard} serves");
        if self.lifecycle.serve() {
            tracing::info!(
                "serving on {} with {} shards, start number {incarnation}, after {:.1?}",
                self.address,
                self.options.shards(),
                self.started.elapsed()
            );
            if let Some(manager) = &self.manager {
                manager.bell.ring_anyway();
            }
        }
    }

    /// The clock is too far from the log's time.
    pub fn clock_is_away(&self, ahead_ns: i128) {
        let seconds = ahead_ns / 1_000_000_000;
        let (amount, direction) = (seconds.abs(), if seconds < 0 { "behind" } else { "ahead of" });
        self.fail(Failure::environment(format!(
            "the clock is {amount} s {direction} the time of the last epoch in the log: one wrong clock must not expire \
             everything. Set the clock right; or, if it is right, start once with --accept-clock"
        )));
    }

    /// A connection has ended.
    pub fn left(&self, core: ShardId, why: Closed) {
        self.open[core.index()].take_away(1);
        self.count_closed(why);
    }

    /// Counts a closed connection by its reason.
    pub fn count_closed(&self, why: Closed) {
        if let Some((_, count)) = self.closed.iter().find(|(name, _)| *name == why.name()) {
            count.add(1);
        }
    }

    /// Adds to a status what the shards don't know.
    pub fn complete(&self, status: &mut Status) {
        status.version = env!("CARGO_PKG_VERSION").into();
        status.log_end = self.log_end;
        status.uptime_ns = self.started.elapsed().as_nanos() as u64;
        status.connections = self.open.iter().map(Count::get).sum();
        status.log_bytes = self.usage.bytes.get();
        status.log_bytes_max = self.options.log_max;
        status.log_from = self.usage.log_from();
        let Checkpoint { epoch, bytes, at_ns } = self.checkpoint.get();
        status.checkpoint_epoch = epoch;
        status.checkpoint_bytes = bytes;
        status.checkpoint_age_ns = if epoch == 0 { 0 } else { status.uptime_ns.saturating_sub(at_ns) };
        if self.options.history {
            status.history_epoch = Some(self.history.epoch());
            status.history_time_ns = self.history.time();
        }
        let counts = self.closed.iter().map(|(name, count)| ((*name).to_string(), count.get()));
        status.closed = counts.filter(|(_, count)| *count > 0).collect();
        status.settings.clone_from(&self.options.settings);
    }
}

/// Runs a server until it is told to stop.
pub fn run(options: Options, on_start: impl FnOnce(Arc<Shared>)) -> Outcome<()> {
    let started = Instant::now();
    let manager = Manager::who_listens()?;
    let directory = Arc::new(Directory::open(&options.data)?.with_archive(options.archive.clone())?);
    check_cluster(&options, &directory)?;
    let files = directory.log_files()?;
    directory.make_durable(&files)?;
    if files.is_empty() {
        check_space(&options)?;
    }
    check_memory(options.prefault)?;
    let builder = if options.history { Some(past::open_store(&directory)?) } else { None };
    let found = Found {
        manifests: directory.manifests()?,
        log_from: directory.log_from()?,
        history_through: builder.as_ref().map_or(u64::MAX, |builder| builder.progress().epoch),
    };
    let log_end = directory.log_end(found.log_from)?;
    let listener = listen(&options)?;
    let scrapes = monitor::listen(options.metrics)?;
    raise_file_limit();
    separate_arenas();
    let bell = || {
        Doorbell::new().map(Arc::new).map_err(|e| Failure::environment(format!("can't make an eventfd: {e}")))
    };
    let shards = options.shards();
    let doorbells = (0..shards).map(|_| bell()).collect::<Outcome<Vec<_>>>()?;
    let (keeper_bell, gate_bell, metrics_bell, beat_bell) = (bell()?, bell()?, bell()?, bell()?);
    let (build_bell, ask_bell, checkpoint_bell, monitor_bell) = (bell()?, bell()?, bell()?, bell()?);
    let spare = directory.spares().len() as u64 * LogFile::Stream { stream: 0, segment: 0 }.size();
    let bytes = files.iter().map(|file| file.size()).sum::<u64>() + spare;
    let usage = Arc::new(Usage::new(bytes, found.log_from));
    let placement = Placement::new(shards as u16, random_number());
    let shared = Arc::new(Shared {
        directory: directory.clone(),
        open: (0..shards).map(|_| Count::default()).collect(),
        boards: (0..shards).map(|_| Figures::board()).collect(),
        busy: (0..shards).map(|_| Busy::default()).collect(),
        hottest: (0..shards).map(|_| ArcSwapOption::empty()).collect(),
        watch: Watch::default(),
        placement,
        lifecycle: Lifecycle::new(shards),
        failure: OnceLock::new(),
        closed: Closed::names().into_iter().map(|name| (name, Count::default())).collect(),
        started,
        log_end,
        replay_says: Pace::new(REPLAY_SAYS_EVERY),
        usage: usage.clone(),
        checkpoint: LastCheckpoint::default(),
        history: HistoryProgress::default(),
        activity: Activity::default(),
        beat_bell: beat_bell.clone(),
        pulses: (0..shards).map(|_| runtime::Pulse::default()).collect(),
        hearts: (0..shards).map(|_| Heart::default()).collect(),
        doorbells: doorbells.clone(),
        house_bells: [
            &keeper_bell,
            &gate_bell,
            &metrics_bell,
            &beat_bell,
            &build_bell,
            &ask_bell,
            &checkpoint_bell,
            &monitor_bell,
        ]
        .map(Arc::clone)
        .into_iter()
        .chain(manager.as_ref().map(|manager| manager.bell.clone()))
        .collect(),
        manager,
        address: listener.local_addr().map_err(|e| Failure::environment(e.to_string()))?,
        options,
    });
    let (mut clients, mut doors, mut sources, mut executors) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut history = builder.map(|builder| History::new(builder, build_bell, ask_bell));
    let mut checkpointer = Checkpointer::new(checkpoint_bell, found.log_from);
    let mut found = Some(found);
    for (number, mesh) in Mesh::new(shards as u16).into_iter().enumerate() {
        let (wishes_in, wishes) = RingBuffer::new(HOUSE_RING_SLOTS);
        let (news_in, news) = RingBuffer::new(HOUSE_RING_SLOTS);
        let (connections, arrivals) = RingBuffer::new(HOUSE_RING_SLOTS);
        let (feed, source) = metrics::channel(metrics_bell.clone(), shared.options.histogram_interval);
        clients.push(Client { wishes, news: news_in, doorbell: doorbells[number].clone() });
        doors.push(Door { connections, doorbell: doorbells[number].clone() });
        sources.push(source);
        let ends = Ends {
            mesh,
            doorbells: doorbells.clone(),
            wishes: wishes_in,
            news,
            keeper: keeper_bell.clone(),
            arrivals,
            metrics: feed,
            history: history.as_mut().map(|history| history.connect(&doorbells[number])),
            checkpointer: checkpointer.connect(&doorbells[number]),
            found: found.take(),
        };
        executors.push(start_core(ShardId(number as u16), placement, ends, &shared)?);
    }
    let keeper = Keeper::new(directory, clients, keeper_bell, usage, shared.options.log_max);
    on_start(shared.clone());
    std::thread::scope(|scope| {
        scope.spawn(|| keeper.run(|| shared.has_ended()));
        scope.spawn(|| checkpointer.run(&shared));
        if let Some(history) = history {
            history.run(scope, &shared);
        }
        let (bell, of_gate) = (&gate_bell, &shared);
        // With it the listener goes: who connects to a server that stops is refused at once.
        scope.spawn(move || gate::run(&listener, doors, bell, of_gate));
        let log = shared.options.histogram_log();
        if !shared.options.histogram_interval.is_zero() {
            let (shared, bell) = (&shared, &metrics_bell);
            scope.spawn(move || metrics::run(&log, sources, bell, || shared.has_ended()));
        }
        if let Some(scrapes) = &scrapes {
            scope.spawn(|| monitor::run(scrapes, &monitor_bell, &shared));
        }
        scope.spawn(|| shared.beat());
        if let Some(manager) = &shared.manager {
            scope.spawn(|| manager.run(&shared));
        }
        for failure in executors.into_iter().filter_map(|executor| executor.join().err()) {
            shared.fail(failure);
        }
        shared.lifecycle.end();
        shared.wake_all();
    });
    match shared.failure.get() {
        Some(failure) => Err(failure.clone()),
        None => Ok(()),
    }
}

fn check_cluster(options: &Options, directory: &Directory) -> Outcome<()> {
    let found = directory.identity.cluster;
    match options.cluster {
        Some(expected) if expected != found => Err(Failure::environment(format!(
            "{} belongs to cluster {found}, expected cluster {expected} (--cluster): name the right directory",
            options.data.display()
        ))),
        _ => Ok(()),
    }
}

/// A first start makes its files before it serves; later ones may be refused batches when the disk is full.
fn check_space(options: &Options) -> Outcome<()> {
    directory::check_free(&options.data, first_start_bytes(options.shards() as u64))
}

/// Bytes that the first start on a directory needs.
pub fn first_start_bytes(shards: u64) -> u64 {
    least_log_size(shards) + keeper::DISK_RESERVE
}

/// The kernel would rather end this process, or another, than refuse memory that it doesn't have.
pub fn check_memory(prefault: u64) -> Outcome<()> {
    if prefault > 0
        && let Some(available) = room::available()
        && prefault > available
    {
        return Err(Failure::environment(format!(
            "--prefault {prefault}: this machine, or a control group's memory.max, has {available} bytes of memory to give: \
             ask for less"
        )));
    }
    Ok(())
}

/// Starts the executor of one shard; everything of the shard is made on its own thread, so that its memory is local.
fn start_core(
    number: ShardId,
    placement: Placement,
    ends: Ends,
    shared: &Arc<Shared>,
) -> Outcome<runtime::Executor> {
    let shared = shared.clone();
    let place = shared.options.topology.shards[number.index()];
    runtime::start(place.cpu, &format!("shard-{number}"), move || async move {
        let memory = bind_memory(&shared.options.topology, number);
        if let Err(failure) = memory.and_then(|()| prefault(&shared.options)) {
            return shared.fail(failure);
        }
        let config = Config {
            shard: number,
            placement,
            identity: shared.directory.identity,
            limits: shared.options.limits,
            cpu: place.cpu,
            accept_clock: shared.options.accept_clock,
            history: shared.options.history,
            checkpoints: shared.options.checkpoints(),
        };
        let for_status = shared.clone();
        let shard = Shard::new(config, Box::new(move |status| for_status.complete(status)));
        say_where_memory_lies(shard.sample(), place.node, number);
        let event = std::os::fd::AsRawFd::as_raw_fd(&*ends.doorbells[number.index()]);
        let storage = match Storage::new(shared.directory.clone(), event) {
            Ok(storage) => storage,
            Err(e) => {
                let message = format!("can't set up io_uring: {e}. {IO_URING_REMEDY}");
                return shared.fail(Failure::environment(message));
            }
        };
        match Core::new(number, shard, storage, ends, shared.clone()) {
            Ok(core) => Rc::new(core).run().await,
            Err(e) => shared.fail(Failure::environment(format!(
                "shard {number}: can't make an epoll set for its sockets: {e}. Raise the limit on open files (ulimit -n)"
            ))),
        }
    })
}

fn bind_memory(topology: &Topology, number: ShardId) -> Outcome<()> {
    let node = topology.shards[number.index()].node;
    match auriga_numa_topology::bind_memory_to_node(node) {
        Ok(MemoryBinding::Bound) => Ok(()),
        Ok(MemoryBinding::FirstTouch(why)) if topology.strict => Err(Failure::environment(format!(
            "shard {number}: memory can't be bound to node {node} ({why}), and the topology says `strict = true`"
        ))),
        Ok(MemoryBinding::FirstTouch(why)) => {
            tracing::warn!(
                "shard {number}: memory is not bound to node {node} ({why}); it lies where it is first touched"
            );
            Ok(())
        }
        Err(e) => Err(Failure::environment(format!("shard {number}: {e}"))),
    }
}

/// Takes a core's share of the memory that is touched at the start.
fn prefault(options: &Options) -> Outcome<()> {
    match options.prefault_per_shard() {
        0 => Ok(()),
        bytes => memory::prefault(bytes).map_err(|e| {
            Failure::environment(format!(
                "--prefault: the kernel gives no {bytes} bytes of memory for each of {} shards: {e}. Ask for less, or raise the limit on \
                 this process's memory (ulimit -v, cgroup)",
                options.shards()
            ))
        }),
    }
}

/// Asks the kernel on which node a shard's memory lies, and says so if it is another than planned.
fn say_where_memory_lies(sample: &[u8], node: u32, number: ShardId) {
    match auriga_numa_topology::pages_on_node(sample.as_ptr(), sample.len(), node) {
        Ok(report) if report.elsewhere > 0 => {
            tracing::warn!("shard {number}: memory is on another node: {report}");
        }
        Ok(report) => tracing::debug!("shard {number}: {report}"),
        Err(e) => tracing::warn!("shard {number}: can't ask where its memory lies: {e}"),
    }
}

/// Clients that may wait to be accepted, at least: those above the bound on connections are told so.
const BACKLOG_MIN: u32 = 128;

/// Takes an address, for a server or to see whether one could.
pub fn bind(address: SocketAddr) -> Outcome<TcpListener> {
    TcpListener::bind(address).map_err(|e| match e.kind() {
        std::io::ErrorKind::AddrInUse => Failure::environment(format!(
            "{address} is taken by another process: stop that one, or listen elsewhere (--listen ADDRESS:PORT)"
        )),
        _ => Failure::environment(format!("can't listen on {address}: {e}: choose an address of this machine (--listen)")),
    })
}

fn listen(options: &Options) -> Outcome<TcpListener> {
    let address = options.listen;
    let listener = bind(address)?;
    // After a restart all clients come at once.
    socket::let_wait(&listener, options.connections_max.max(BACKLOG_MIN))
        .and_then(|()| listener.set_nonblocking(true))
        .map_err(|e| Failure::environment(format!("can't listen on {address}: {e}")))?;
    if !address.ip().is_loopback() {
        tracing::warn!(
            "listening on {address}. There is no authentication yet: whoever reaches it can move money"
        );
    }
    Ok(listener)
}

/// Raises the soft limit on open files to the hard one.
fn raise_file_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is writable, then readable, for the calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// Lets every thread have an arena of the allocator of its own. Beyond eight for each core it would let threads share one, and a
/// shard wait for another thread's lock.
fn separate_arenas() {
    const ARENAS_MAX: i32 = 1_024;
    #[cfg(target_env = "gnu")]
    // SAFETY: no memory is passed; other threads may allocate meanwhile.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS_MAX);
    }
}

/// A number that nobody can guess: the placement's key, on which no result depends, or a new cluster's number.
pub fn random_number() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish() | 1
}
