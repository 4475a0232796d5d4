//! What the pacer writes into cuts: horizons, ids ahead, limits and expiry, whatever the clock does.

use auriga_shards::ledger::terms::Limited;
use auriga_shards::limits::{IDS_AHEAD_NS, IDS_KEPT_NS, Limits};
use auriga_shards::log::cut::{BlockEntry, Cut};
use auriga_shards::log::{IdMode, Identity};
use auriga_shards::pacer::{Act, Clock, Counts, Holdings, LogEnd, Pace, Pacer};
use auriga_shards::place::ShardId;
use std::collections::VecDeque;

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3_600 * SECOND;
const START: u64 = 1_700_000_000 * SECOND;
const SHARD: ShardId = ShardId(0);

/// The pacer of one shard, and what happens around it.
struct Server {
    pacer: Pacer,
    clock: Clock,
    holdings: Holdings,
    act: VecDeque<Act>,
}

impl Server {
    fn new(id_mode: IdMode, limits: Limits) -> Self {
        Self::after(&LogEnd::default(), id_mode, limits)
    }

    fn after(end: &LogEnd, id_mode: IdMode, limits: Limits) -> Self {
        let clock = Clock { monotonic_ns: 5, wall_ns: START };
        let identity = Identity { cluster: 1, id_mode };
        let holdings = Holdings::default();
        let mut pacer = Pacer::new(identity, limits, end, vec![holdings], clock);
        pacer.prepared(u64::MAX / 2);
        pacer.serve();
        Self { pacer, clock, holdings, act: VecDeque::new() }
    }

    /// Time passes, as both clocks see it.
    fn pass(&mut self, ns: u64) {
        self.clock.monotonic_ns += ns;
        self.clock.wall_ns += ns;
    }

    /// An epoch with one block that asks for so much. It is committed, and executed if `executes`.
    fn log(&mut self, asked: Counts, executes: bool) -> Cut {
        let Self { pacer, clock, act, .. } = self;
        let epoch = pacer.next_epoch();
        pacer.take(SHARD, &Pace::Pending { units: 3 }, *clock, act);
        pacer.take_entry(BlockEntry::new(0, 3, 0, 7));
        pacer.take(SHARD, &Pace::Sealed { epoch, pending: 0, asked }, *clock, act);
        pacer.cut_is_durable(*clock, act);
        pacer.take(SHARD, &Pace::Durable { epoch }, *clock, act);
        if executes {
            pacer.take(SHARD, &Pace::Executed { epoch, holdings: self.holdings }, *clock, act);
        }
        let cut = self.act.drain(..).find_map(|act| if let Act::Cut(cut) = act { Some(cut) } else { None });
        cut.expect("the epoch was closed")
    }

    fn log_transfer(&mut self) -> Cut {
        self.log(Counts { ids: 1, ..Counts::default() }, true)
    }

    /// Nobody asks for anything: the next empty epoch, if there is ever to be one. It is committed and executed, and what was due
    /// by then has expired.
    fn wait(&mut self) -> Option<Cut> {
        loop {
            let deadline = self.pacer.deadline()?;
            self.pass(deadline.saturating_sub(self.clock.monotonic_ns));
            self.pacer.tick(self.clock, &mut self.act);
            let mut cuts =
                self.act.drain(..).filter_map(|act| if let Act::Cut(cut) = act { Some(cut) } else { None });
            let Some(cut) = cuts.next() else { continue };
            drop(cuts);
            if self.holdings.first_due <= cut.expire_through {
                self.holdings.first_due = u64::MAX;
            }
            self.pacer.cut_is_durable(self.clock, &mut self.act);
            let executed = Pace::Executed { epoch: cut.epoch, holdings: self.holdings };
            self.pacer.take(SHARD, &executed, self.clock, &mut self.act);
            self.act.clear();
            return Some(cut);
        }
    }

    /// A transfer whose id says the present time, by the wall clock, as a client's does.
    fn takes_fresh_ids(&mut self) -> bool {
        let terms = self.log_transfer().terms();
        let id = u128::from(self.clock.wall_ns / 1_000_000) << 80;
        !terms.is_forgotten(id) && !terms.is_ahead(id)
    }
}

#[test]
fn the_horizon_follows_the_window_and_never_goes_back() {
    let limits = Limits { window_ns: HOUR, ..Limits::default() };
    let mut server = Server::new(IdMode::Time, limits);
    let first = server.log_transfer();
    assert_eq!(first.horizon, first.time - HOUR);
    assert_eq!(first.ids_through, first.time + IDS_AHEAD_NS);
    server.pass(HOUR);
    let second = server.log_transfer();
    assert_eq!(second.horizon, second.time - HOUR);

    let end = LogEnd { epoch: 2, time_end: second.time + 4, horizon: second.horizon, ..LogEnd::default() };
    let longer = Limits { window_ns: 10 * HOUR, ..limits };
    assert_eq!(Server::after(&end, IdMode::Time, longer).log_transfer().horizon, second.horizon);
}

#[test]
fn without_time_in_ids_nothing_is_forgotten_or_ahead() {
    let limits = Limits { ids_max: 100, ..Limits::default() };
    let mut server = Server::new(IdMode::Any, limits);
    server.holdings.held.ids = 100;
    server.holdings.horizon_for_room = u64::MAX;
    server.log_transfer();
    let cut = server.log_transfer();
    assert_eq!((cut.horizon, cut.ids_through, cut.limited), (0, u64::MAX, Limited(Limited::IDS)));
}

#[test]
fn fresh_ids_are_taken_and_nothing_expires_early_when_the_clock_steps_by_an_hour() {
    for ahead in [true, false] {
        let mut server = Server::new(IdMode::Time, Limits::default());
        assert!(server.takes_fresh_ids());
        // Two minutes are left to a pending transfer.
        server.holdings.first_due = server.log_transfer().time + 120 * SECOND;
        let deadline = server.holdings.first_due;
        server.log_transfer();
        if ahead {
            server.clock.wall_ns += HOUR;
        } else {
            server.clock.wall_ns -= HOUR;
        }
        for second in 0..110 {
            assert!(server.takes_fresh_ids(), "ahead: {ahead}, {second} s after the step");
            let cut = server.log_transfer();
            assert!(cut.expire_through < deadline, "ahead: {ahead}, {second} s after the step");
            server.pass(SECOND);
        }
        // The ledger's time runs up to a sixteenth slower while it waits for the clock.
        server.pass(20 * SECOND);
        assert!(server.log_transfer().expire_through >= deadline, "ahead: {ahead}");
    }
}

#[test]
fn at_the_bound_the_oldest_ids_go_and_young_ones_stay() {
    let limits = Limits { ids_max: 1_000, ..Limits::default() };
    let mut server = Server::new(IdMode::Time, limits);
    server.log_transfer();
    server.pass(60 * SECOND);
    server.holdings.horizon_for_room = START + 30 * SECOND;
    server.holdings.held.ids = 874;
    server.log_transfer();
    assert!(server.log_transfer().horizon < START, "875 of 1,000 is not tight yet");
    server.holdings.held.ids = 875;
    server.log_transfer();
    let cut = server.log_transfer();
    assert_eq!((cut.horizon, cut.limited), (START + 30 * SECOND, Limited::default()));

    server.holdings.horizon_for_room = START + 59 * SECOND;
    server.holdings.held.ids = 1_000;
    server.log_transfer();
    let cut = server.log_transfer();
    assert_eq!((cut.horizon, cut.limited), (START + 60 * SECOND - IDS_KEPT_NS, Limited(Limited::IDS)));
}

/// What is logged and not executed counts as if all of it were created.
#[test]
fn an_epoch_that_could_exceed_a_limit_refuses_all_of_the_kind() {
    let limits = Limits { accounts_max: 10, pendings_max: 10, ..Limits::default() };
    let counts = |accounts, pendings| Counts { accounts, ids: pendings, pendings };
    let mut server = Server::new(IdMode::Time, limits);
    assert_eq!(server.log(counts(4, 4), false).limited, Limited::default());
    assert_eq!(server.log(counts(6, 5), false).limited, Limited::default());
    let mut server = Server::new(IdMode::Time, limits);
    server.log(counts(4, 4), false);
    assert_eq!(server.log(counts(7, 6), false).limited, Limited(Limited::ACCOUNTS));
    let mut server = Server::new(IdMode::Time, limits);
    server.holdings.held = counts(3, 10);
    server.log(counts(1, 0), true);
    let cut = server.log(counts(7, 1), true);
    assert_eq!(cut.limited, Limited(Limited::PENDINGS));
    assert_eq!(server.log(counts(0, 0), true).limited, Limited::default(), "it asks for none");
}

/// Nobody hears of an epoch without blocks, but for history, which takes only what a later cut proves.
#[test]
fn an_epoch_in_which_something_expires_is_sealed_and_a_seal_is_not() {
    let mut server = Server::new(IdMode::Time, Limits::default());
    server.holdings.first_due = server.log_transfer().time + 30 * SECOND;
    let due = server.holdings.first_due;
    let last = server.log_transfer().epoch;
    let seal = server.wait().expect("a commit is sealed");
    assert_eq!((seal.epoch, seal.committed_through), (last + 1, last));
    assert!(seal.expire_through < due);
    let expiry = server.wait().expect("what is due expires");
    assert_eq!(expiry.epoch, last + 2);
    assert!(expiry.expire_through >= due);
    let proof = server.wait().expect("so that history can take it");
    assert_eq!((proof.epoch, proof.committed_through), (last + 3, last + 2));
    assert!(server.wait().is_none(), "a seal proves, and needs no proof");
}
