//! When checkpoints are taken.

use auriga_shards::checkpoint::manifest::{Manifest, Part};
use auriga_shards::checkpoint::plan::{Plan, Policy};
use auriga_shards::checkpoint::{Errand, ErrandDone};
use auriga_shards::ledger::terms::Limited;
use auriga_shards::limits::STREAMS;
use auriga_shards::log::cut::{BlockEntry, Cut};
use auriga_shards::log::{IdMode, Identity};
use auriga_shards::pacer::{Counts, LogEnd};
use auriga_shards::step::{Output, Outputs};

const SECOND: u64 = 1_000_000_000;
const MEBIBYTE: u64 = 1 << 20;
const IDENTITY: Identity = Identity { cluster: 1, id_mode: IdMode::Any };

fn end(epoch: u64) -> LogEnd {
    LogEnd { epoch, ..LogEnd::default() }
}

/// A checkpoint of one part with so many bytes.
fn whole(epoch: u64, bytes: u64) -> Manifest {
    Manifest {
        end: end(epoch),
        newest: (epoch, 1),
        digest: 0,
        held: Counts::default(),
        ids_from: u64::MAX,
        pendings_from: u64::MAX,
        parts: vec![Part::new(1, bytes, 0)],
        stream_ends: Box::new([0; STREAMS]),
    }
}

/// The log grows by an epoch with one block, of a mebibyte and a sector in all.
fn grow(plan: &mut Plan, epoch: u64) {
    plan.count(&Cut {
        epoch,
        time: epoch,
        incarnation: 1,
        previous: 0,
        committed_through: epoch - 1,
        horizon: 0,
        ids_through: u64::MAX,
        limited: Limited::default(),
        expire_through: 0,
        blocks: vec![BlockEntry::new(0, 8_192, epoch * MEBIBYTE, 0)],
    });
}

/// Whether a checkpoint is begun at this time.
fn begins(plan: &mut Plan, now_ns: u64) -> bool {
    let mut out = Outputs::default();
    plan.tick(now_ns, &mut out);
    match &out.list[..] {
        [] => false,
        [Output::Errand(Errand::Clear { .. })] => true,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_checkpoint_that_failed_is_tried_again_though_the_log_does_not_grow() {
    // The newest one is much larger than the shortest distance.
    let policy = Policy { every: MEBIBYTE, times: 2, ..Policy::default() };
    let slots = [Some(whole(9, 8 * MEBIBYTE)), None];
    let mut plan = Plan::new(IDENTITY, policy, 1, &slots, 1);
    for epoch in 10..25 {
        grow(&mut plan, epoch);
    }
    assert!(!begins(&mut plan, SECOND), "the log has grown by less than twice its size");
    grow(&mut plan, 25);
    assert!(begins(&mut plan, SECOND));
    plan.errand_ended(Ok(ErrandDone::Cleared), SECOND, &mut Outputs::default());
    assert_eq!(plan.cut(end(26)), Some(1));
    let mut out = Outputs::default();
    plan.errand_ended(Err("the disk is full".into()), 2 * SECOND, &mut out);
    assert!(matches!(&out.list[..], [Output::CheckpointFailed(why)] if why == "the disk is full"));

    let again = plan.deadline().expect("it is due, and nothing was logged since");
    assert!(again > 2 * SECOND && again <= 10 * SECOND, "in {} ns", again - 2 * SECOND);
    assert!(!begins(&mut plan, again - 1));
    assert!(begins(&mut plan, again));
}
