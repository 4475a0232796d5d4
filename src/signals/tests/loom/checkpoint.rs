use crate::{beside, explore};
use auriga_signals::{Checkpoint, LastCheckpoint};
use std::sync::Arc;

fn checkpoint(epoch: u64) -> Checkpoint {
    Checkpoint { epoch, bytes: epoch * 10, at_ns: epoch * 100 }
}

/// Three: the first place is written again while it may be read, and so is the second.
#[test]
fn numbers_are_those_of_one_checkpoint_and_never_of_an_older_one_than_before() {
    explore(|| {
        let last = Arc::new(LastCheckpoint::default());
        let writer = {
            let last = last.clone();
            move || (1..=3).for_each(|epoch| last.set(checkpoint(epoch)))
        };
        beside(writer, || {
            let mut newest = 0;
            for _ in 0..2 {
                let found = last.get();
                assert_eq!(found, checkpoint(found.epoch), "numbers of two checkpoints");
                assert!(found.epoch >= newest, "epoch {} after {newest}", found.epoch);
                newest = found.epoch;
            }
        });
        assert_eq!(last.get(), checkpoint(3));
    });
}
