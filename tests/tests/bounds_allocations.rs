//! Allocations of the shards in the steady state, counted: none per transfer.
//!
//! The shards run in this process, on one thread, with a disk that completes at once. A test of its own file, because
//! it replaces the allocator.

use auriga_shards::arrival::ConnectionId;
use auriga_shards::checkpoint::plan::Policy;
use auriga_shards::execute::message::Lane;
use auriga_shards::limits::{CUT_SEGMENT_SLOTS, Limits, STREAM_SEGMENT_SIZE};
use auriga_shards::log::{IdMode, Identity};
use auriga_shards::mesh::Mesh;
use auriga_shards::pacer::Clock;
use auriga_shards::place::{Placement, ShardId};
use auriga_shards::shard::{Config, Shard};
use auriga_shards::step::{Input, Output, Outputs};
use auriga_tests::load::{account, transfer};
use auriga_wire::frame::Command;
use auriga_wire::{Frame, IdGenerator, RequestFrame, Transfer};
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

/// Accounts that the transfers choose from.
const ACCOUNTS: u128 = 5_000;
/// Transfers before the count begins, and while it runs.
const WARM_UP: usize = 1_500_000;
const COUNTED: usize = 1_000_000;
/// Requests of one transfer that are counted.
const SMALL: usize = 100_000;
/// Allocations of a transfer that are none: what is left is the growth of the tables of ids and of their pages.
const PER_TRANSFER_MAX: f64 = 0.001;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// All shards on one thread, and their disk.
struct Machine {
    shards: Vec<(Shard, Outputs, Mesh)>,
    /// What the disk has completed, by shard.
    completed: VecDeque<(usize, Input<'static>)>,
    now_ns: u64,
    replies: usize,
    deferred: bool,
}

impl Machine {
    /// Shards that serve an empty log.
    fn new(shards: u16) -> Self {
        let placement = Placement::new(shards, 12345);
        let identity = Identity { cluster: 7, id_mode: IdMode::Time };
        let make = |(number, mesh)| {
            let shard = ShardId(number as u16);
            let limits = Limits::default();
            let config = Config {
                shard,
                placement,
                identity,
                limits,
                cpu: 0,
                accept_clock: true,
                history: false,
                checkpoints: Policy::default(),
            };
            (Shard::new(config, Box::new(|_| {})), Outputs::default(), mesh)
        };
        let shards: Vec<_> = Mesh::new(shards).into_iter().enumerate().map(make).collect();
        let completed = VecDeque::with_capacity(1_024);
        let mut machine = Self { shards, completed, now_ns: 1_000_000_000, replies: 0, deferred: false };
        machine.completed.push_back((0, Input::Recover(Box::default())));
        machine.settle();
        machine
    }

    fn clock(&mut self) -> Clock {
        self.now_ns += 500;
        Clock { monotonic_ns: self.now_ns, wall_ns: 1_800_000_000_000_000_000 + self.now_ns }
    }

    fn step(&mut self, shard: usize, input: Input<'_>) {
        let clock = self.clock();
        let (state, outputs, _) = &mut self.shards[shard];
        state.step(clock, input, outputs);
        self.perform(shard);
        while self.shards[shard].0.can_begin() {
            let clock = self.clock();
            let (state, outputs, _) = &mut self.shards[shard];
            state.step(clock, Input::Begin, outputs);
            self.perform(shard);
        }
    }

    /// Does what a shard wants done; its disk has done it at once.
    fn perform(&mut self, shard: usize) {
        let (_, outputs, mesh) = &mut self.shards[shard];
        for output in outputs.list.drain(..) {
            let input = match output {
                Output::WriteBlock { block, .. } => Input::BlockWritten(block),
                Output::WriteCut { sector, .. } => Input::CutWritten(sector),
                Output::PrepareStream { last, .. } => {
                    Input::StreamPrepared { through: (u64::from(last) + 1) * STREAM_SEGMENT_SIZE }
                }
                Output::PrepareCuts { last, .. } => {
                    Input::CutsPrepared { through: (u64::from(last) + 1) * CUT_SEGMENT_SLOTS }
                }
                Output::ReadCuts { first } => Input::CutsRead { first, bytes: &[], end: true },
                Output::Reply(reply) => {
                    assert_eq!(reply.bytes.len(), 128, "everything is created");
                    self.replies += 1;
                    continue;
                }
                Output::Deferred(_) => {
                    self.deferred = true;
                    continue;
                }
                _ => continue,
            };
            self.completed.push_back((shard, input));
        }
        outputs.replies.clear();
        for outgoing in outputs.outgoing.drain(..) {
            mesh.push(outgoing.to, outgoing.message);
        }
    }

    /// One round: a completion and the messages of every shard. `false` if there was nothing.
    fn turn(&mut self) -> bool {
        let mut worked = false;
        if let Some((shard, input)) = self.completed.pop_front() {
            self.step(shard, input);
            worked = true;
        }
        let all = self.shards.len();
        for (shard, from) in (0..all).flat_map(|shard| (0..all).map(move |from| (shard, from))) {
            let from = ShardId(from as u16);
            while let Some(message) = self.shards[shard].2.pop(from, Lane::Control) {
                self.step(shard, Input::Message(from, message));
                worked = true;
            }
            while self.shards[shard].0.wants_route(from) {
                let Some(message) = self.shards[shard].2.pop(from, Lane::Route) else { break };
                self.step(shard, Input::Message(from, message));
                worked = true;
            }
        }
        worked
    }

    fn settle(&mut self) {
        while self.turn() {}
    }

    /// Hands a request to a shard, as soon as that has room for it.
    fn request(&mut self, shard: usize, frame: &RequestFrame) {
        loop {
            self.deferred = false;
            let (_, checked) = Frame::check(frame.bytes()).expect("a good frame");
            self.step(shard, Input::Request(ConnectionId(1), checked));
            if !self.deferred {
                return;
            }
            assert!(self.turn(), "a shard without room has something to do");
        }
    }
}

/// Sends `transfers` in batches of `batch` to the shards in turn; two are under way at a time.
fn send(
    machine: &mut Machine,
    ids: &mut IdGenerator,
    frame: &mut RequestFrame,
    transfers: usize,
    batch: usize,
) {
    let before = machine.replies;
    let requests = transfers / batch;
    for request in 0..requests {
        frame.begin(Command::CreateTransfers, batch);
        for (i, record) in frame.records_mut::<Transfer>().iter_mut().enumerate() {
            let i = (request * batch + i) as u128;
            *record =
                transfer(ids.next_at(1_800_000_000_000), 1 + i % ACCOUNTS, 1 + (i * 7 + 1) % ACCOUNTS, 3);
            record.credit_account_id += u128::from(record.credit_account_id == record.debit_account_id);
        }
        frame.seal(1, 0);
        let shard = request % machine.shards.len();
        machine.request(shard, frame);
        machine.turn();
        if request % 2 == 1 {
            machine.settle();
        }
    }
    machine.settle();
    assert_eq!(machine.replies - before, requests, "every request is answered");
}

/// Allocations while `work` runs.
fn count(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    work();
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

/// The one test here: another one's allocations would be counted, too.
#[test]
fn no_allocation_per_transfer_in_the_steady_state() {
    for shards in [1, 2] {
        let mut machine = Machine::new(shards);
        let mut ids = IdGenerator::with_seed(u64::from(shards));
        let accounts: Vec<_> = (1..=ACCOUNTS + 1).map(|id| account(id, 0)).collect();
        let mut frame = RequestFrame::create_accounts(&accounts);
        frame.seal(1, 0);
        machine.request(0, &frame);
        machine.settle();
        send(&mut machine, &mut ids, &mut frame, WARM_UP, 8_190);
        let large = count(|| send(&mut machine, &mut ids, &mut frame, COUNTED, 8_190));
        send(&mut machine, &mut ids, &mut frame, 20_000, 1);
        let small = count(|| send(&mut machine, &mut ids, &mut frame, SMALL, 1));
        for (what, allocations, transfers) in
            [("large requests", large, COUNTED), ("single ones", small, SMALL)]
        {
            let per_transfer = allocations as f64 / transfers as f64;
            eprintln!(
                "{shards} shards, {what}: {allocations} allocations in {transfers} transfers ({per_transfer:.6} each)"
            );
            assert!(
                per_transfer < PER_TRANSFER_MAX,
                "{what} on {shards} shards: {per_transfer} allocations each"
            );
        }
    }
}
