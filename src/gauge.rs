//! What one core does, measured by itself for `auriga top`: how long it works, what arrives, which accounts that touches. Owned by
//! the core; shown to others through signals when it beats. What costs something is done only while somebody looks.

use crate::clock;
use crate::hottest::Hottest;
use crate::server::Shared;
use arc_swap::ArcSwapOption;
use auriga_shards::arrival::ConnectionId;
use auriga_shards::place::ShardId;
use auriga_shards::step::Output;
use auriga_signals::Busy;
use auriga_wire::Transfer;
use auriga_wire::report::{Activity, CoreActivity, HotAccount};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

/// Between two looks for work that take longer than this, the core did something else, or another process had it.
const SPIN_TURN_MAX_NS: u64 = 10_000;
/// Time between two samples of the accounts that transfers touch.
const SAMPLE_EVERY_NS: u64 = 500_000_000;

/// Who asks what cores do will ask again, within this time.
const WATCHED_NS: u64 = 10_000_000_000;

/// A core's figures.
#[derive(Debug, Default)]
pub struct Gauge {
    requests: Cell<u64>,
    transfers: Cell<u64>,
    /// Time in which the core only looked for work.
    spun_ns: Cell<u64>,
    /// The last look of this idle time, and how many requests there had been.
    looked: Cell<Option<(u64, u64)>>,
    /// While somebody looks: the accounts, and when the next sample is due.
    hottest: RefCell<Option<(Hottest, u64)>>,
}

impl Gauge {
    /// The core had work.
    pub fn note_work(&self) {
        self.looked.set(None);
    }

    /// The core had none, and looks again. What lies between two such looks, with no request in between, is spent on nothing else.
    pub fn note_look(&self, now_ns: u64) {
        let requests = self.requests.get();
        if let Some((before, then)) = self.looked.replace(Some((now_ns, requests))) {
            let length = now_ns - before;
            if then == requests && length < SPIN_TURN_MAX_NS {
                self.spun_ns.set(self.spun_ns.get() + length);
            }
        }
    }

    /// A request came.
    pub fn note_request(&self) {
        self.requests.set(self.requests.get() + 1);
    }

    /// Transfers were taken, or refused as a whole, as the outputs say.
    pub fn note_transfers(&self, from: ConnectionId, transfers: &[Transfer], outputs: &[Output]) {
        let refuses = |output: &Output| match output {
            Output::Reply(reply) => reply.to == from && reply.times.is_none(),
            _ => false,
        };
        if outputs.iter().any(refuses) {
            return;
        }
        self.transfers.set(self.transfers.get() + transfers.len() as u64);
        if let Some((hottest, _)) = &mut *self.hottest.borrow_mut() {
            hottest.look(transfers);
        }
    }

    /// Shows what this core has done. `under_way` counts its requests under way.
    pub fn show(&self, core: ShardId, shared: &Shared, now_ns: u64, under_way: impl FnOnce() -> u64) {
        let is_watched = shared.watch.is_watched(now_ns);
        self.sample(is_watched, now_ns, |sample| shared.hottest[core.index()].store(sample.map(Arc::new)));
        let busy_ns = clock::thread_ns().saturating_sub(self.spun_ns.get());
        let under_way = if is_watched { under_way() } else { 0 };
        shared.busy[core.index()].show(busy_ns, self.transfers.get(), under_way);
    }

    fn sample(&self, is_watched: bool, now_ns: u64, show: impl FnOnce(Option<crate::hottest::Sample>)) {
        let mut hottest = self.hottest.borrow_mut();
        if !is_watched {
            if hottest.take().is_some() {
                show(None);
            }
            return;
        }
        let (hottest, due) = hottest.get_or_insert_with(|| (Hottest::new(now_ns), now_ns + SAMPLE_EVERY_NS));
        if now_ns >= *due {
            show(Some(hottest.sample()));
            hottest.fade();
            *due = now_ns + SAMPLE_EVERY_NS;
        }
    }
}

/// What each core does, for somebody who will look again.
pub fn activity(shared: &Shared, now_ns: u64) -> Activity {
    shared.watch.look_until(now_ns + WATCHED_NS);
    let core = |(number, busy): (usize, &Busy)| CoreActivity {
        shard: number as u32,
        cpu: shared.options.topology.shards[number].cpu,
        busy_ns: busy.busy_ns(),
        transfers: busy.transfers(),
        under_way: busy.under_way(),
        connections: shared.open[number].get(),
    };
    let cores = shared.busy.iter().enumerate().map(core).collect();
    let mut activity =
        Activity { uptime_ns: shared.started.elapsed().as_nanos() as u64, cores, ..Activity::default() };
    let mut hits: HashMap<u128, u64> = HashMap::new();
    for sample in shared.hottest.iter().filter_map(ArcSwapOption::load_full) {
        activity.hits += sample.hits;
        for (account, count) in &sample.accounts {
            *hits.entry(*account).or_default() += count;
        }
    }
    let owner = |account| u32::from(shared.placement.owner(shared.placement.hash(account)).0);
    let hot = |(account, hits)| HotAccount { account, shard: owner(account), hits };
    activity.hottest = hits.into_iter().map(hot).collect();
    activity
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_looks_without_a_request_are_spinning() {
        let gauge = Gauge::default();
        gauge.note_look(1_000);
        gauge.note_look(3_000);
        gauge.note_look(4_000);
        assert_eq!(gauge.spun_ns.get(), 3_000);
        gauge.note_look(4_000 + SPIN_TURN_MAX_NS);
        gauge.note_request();
        gauge.note_look(15_000);
        gauge.note_work();
        gauge.note_look(16_000);
        assert_eq!(gauge.spun_ns.get(), 3_000, "another process, a request and work are none");
    }

    #[test]
    fn accounts_are_sampled_while_somebody_looks() {
        let gauge = Gauge::default();
        let transfers =
            [Transfer { debit_account_id: 1, credit_account_id: 2, ..Transfer::default() }; 1_000];
        let shown = RefCell::new(Vec::new());
        let sample =
            |is_watched, now| gauge.sample(is_watched, now, |sample| shown.borrow_mut().push(sample));
        let take = || gauge.note_transfers(ConnectionId(1), &transfers, &[]);
        take();
        sample(false, 0);
        sample(true, 0);
        take();
        sample(true, SAMPLE_EVERY_NS - 1);
        assert!(shown.borrow().is_empty(), "nobody looks, or it is not time");
        sample(true, SAMPLE_EVERY_NS);
        sample(false, SAMPLE_EVERY_NS + 1);
        let shown = shown.borrow();
        let [Some(first), None] = &shown[..] else { panic!("{shown:?}") };
        assert!(first.hits > 0 && first.accounts.len() == 2, "{first:?}");
        assert_eq!(gauge.transfers.get(), 2_000);
    }
}
