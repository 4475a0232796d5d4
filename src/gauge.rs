//! What arrives at one core and which accounts that touches, for `auriga top`, which also says how long the core works. Owned by the core;
//! shown to others through signals when it beats. What costs something is done only while somebody looks.

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

/// Time between two samples of the accounts that transfers touch.
const SAMPLE_EVERY_NS: u64 = 500_000_000;

/// Who asks what cores do will ask again, within this time.
const WATCHED_NS: u64 = 10_000_000_000;

/// A core's figures.
#[derive(Debug, Default)]
pub struct Gauge {
    transfers: Cell<u64>,
    /// While somebody looks: the accounts, and when the next sample is due.
    hottest: RefCell<Option<(Hottest, u64)>>,
}

impl Gauge {
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

    /// Shows what this core has done. For `spin_ns` it only looked for work; `under_way` counts its requests under way.
    pub fn show(
        &self,
        core: ShardId,
        shared: &Shared,
        now_ns: u64,
        spin_ns: u64,
        under_way: impl FnOnce() -> u64,
    ) {
        let is_watched = shared.watch.is_watched(now_ns);
        self.sample(is_watched, now_ns, |sample| shared.hottest[core.index()].store(sample.map(Arc::new)));
        let busy_ns = clock::thread_ns().saturating_sub(spin_ns);
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
