use crate::doorbell::Doorbell;
use crate::{beside, explore};
use auriga_signals::HistoryProgress;
use loom::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::Arc;

fn history() -> (Arc<HistoryProgress>, Arc<AtomicU64>) {
    (Arc::default(), Arc::new(AtomicU64::new(0)))
}

/// The log before an epoch goes when history durably has it.
#[test]
fn who_sees_an_epoch_durable_sees_it_written() {
    explore(|| {
        let (history, written) = history();
        let builder = {
            let (history, written) = (history.clone(), written.clone());
            move || {
                for epoch in 1..=2 {
                    written.store(epoch, Relaxed);
                    history.note_durable(epoch);
                }
            }
        };
        beside(builder, || {
            let durable = history.durable();
            assert!(written.load(Relaxed) >= durable, "epoch {durable} was not written");
        });
    });
}

#[test]
fn who_sees_an_epoch_sees_its_time_and_its_entries() {
    explore(|| {
        let (history, entries) = history();
        let builder = {
            let (history, entries) = (history.clone(), entries.clone());
            move || {
                for epoch in 1..=2 {
                    entries.store(epoch, Relaxed);
                    assert!(history.publish(epoch, epoch * 10));
                    assert!(!history.publish(epoch, epoch * 10), "the same is no news");
                }
            }
        };
        beside(builder, || {
            let epoch = history.epoch();
            let time = history.time();
            assert!(time >= epoch * 10, "epoch {epoch} with the time {time}");
            assert!(entries.load(Relaxed) >= epoch, "epoch {epoch} has no entries");
        });
    });
}

/// The checkpointer asks while the builder looks whether it was asked, or is about to rest.
#[test]
fn no_ask_for_durable_history_is_lost() {
    explore(|| {
        let (history, _) = history();
        let bell = Arc::new(Doorbell::new());
        let checkpointer = {
            let (history, bell) = (history.clone(), bell.clone());
            move || {
                history.ask_durable();
                bell.ring_anyway();
            }
        };
        beside(checkpointer, || {
            while !history.take_ask_durable() {
                bell.park();
                bell.wait();
                bell.unpark();
            }
        });
        assert!(!history.take_ask_durable(), "it was asked once");
    });
}

/// A builder that has something to commit rests, until somebody waits for it.
#[test]
fn the_builder_does_not_rest_while_somebody_waits() {
    explore(|| {
        let (history, _) = history();
        let bell = Arc::new(Doorbell::new());
        let answerer = {
            let (history, bell) = (history.clone(), bell.clone());
            move || {
                history.want(true);
                bell.ring();
            }
        };
        beside(answerer, || {
            while !history.is_wanted() {
                bell.park();
                if !history.is_wanted() {
                    bell.wait();
                }
                bell.unpark();
            }
        });
    });
}

/// An answerer that waits for an epoch rests, until it is published.
#[test]
fn the_answerer_does_not_rest_over_an_epoch() {
    explore(|| {
        let (history, _) = history();
        let bell = Arc::new(Doorbell::new());
        let builder = {
            let (history, bell) = (history.clone(), bell.clone());
            move || {
                for epoch in 1..=2 {
                    if history.publish(epoch, epoch) {
                        bell.ring();
                    }
                }
            }
        };
        beside(builder, || {
            loop {
                let reached = history.epoch();
                if reached == 2 {
                    break;
                }
                bell.park();
                if history.epoch() == reached {
                    bell.wait();
                }
                bell.unpark();
            }
        });
    });
}
