use crate::{beside, explore, join};
use auriga_signals::Lifecycle;
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;
use std::sync::Arc;

const SHARDS: usize = 2;

fn lifecycle() -> (Arc<Lifecycle>, Arc<AtomicUsize>) {
    (Arc::new(Lifecycle::new(SHARDS)), Arc::new(AtomicUsize::new(0)))
}

#[test]
fn one_shard_is_the_last_to_serve_and_sees_the_others() {
    explore(|| {
        let lifecycle = Arc::new(Lifecycle::new(SHARDS));
        let ready: [_; SHARDS] = std::array::from_fn(|_| Arc::new(AtomicUsize::new(0)));
        let shards: Vec<_> = (0..SHARDS)
            .map(|shard| {
                let (lifecycle, ready) = (lifecycle.clone(), ready.clone());
                thread::spawn(move || {
                    ready[shard].store(1, Relaxed);
                    let is_last = lifecycle.serve();
                    if is_last {
                        assert!(ready.iter().all(|ready| ready.load(Relaxed) == 1), "a shard was not ready");
                    }
                    is_last
                })
            })
            .collect();
        if lifecycle.is_serving() {
            assert!(ready.iter().all(|ready| ready.load(Relaxed) == 1), "a shard was not ready");
        }
        let last = shards.into_iter().map(join).filter(|is_last| *is_last);
        assert_eq!(last.count(), 1, "shards that were the last");
        assert!(lifecycle.is_serving());
    });
}

#[test]
fn who_sees_the_stop_sees_what_was_before_it() {
    explore(|| {
        let (lifecycle, before) = lifecycle();
        let stop = {
            let (lifecycle, before) = (lifecycle.clone(), before.clone());
            move || {
                before.store(1, Relaxed);
                lifecycle.stop();
            }
        };
        beside(stop, || {
            if lifecycle.is_stopping() {
                assert_eq!(before.load(Relaxed), 1);
            }
        });
        assert!(lifecycle.is_stopping() && !lifecycle.is_over() && !lifecycle.has_ended());
    });
}

/// The failure is told by the first one that has set it.
#[test]
fn who_sees_the_failure_sees_why_and_all_is_over() {
    explore(|| {
        let (lifecycle, why) = lifecycle();
        let fail = {
            let (lifecycle, why) = (lifecycle.clone(), why.clone());
            move || {
                why.store(1, Relaxed);
                lifecycle.fail();
            }
        };
        beside(fail, || {
            if lifecycle.is_over() {
                assert_eq!(why.load(Relaxed), 1);
            }
        });
        assert!(lifecycle.is_over() && lifecycle.has_failed() && !lifecycle.has_ended());
    });
}

/// Executors end when every shard is drained, and see what every shard has done; then the server has ended, and the threads of
/// the house see all of that.
#[test]
fn a_stop_ends_only_when_every_shard_is_drained() {
    explore(|| {
        let (lifecycle, answered) = lifecycle();
        lifecycle.stop();
        let shard = |lifecycle: Arc<Lifecycle>, answered: Arc<AtomicUsize>| {
            move || {
                answered.fetch_add(1, Relaxed);
                lifecycle.drain();
                if lifecycle.is_over() {
                    assert_eq!(answered.load(Relaxed), SHARDS, "it ends before all is answered");
                }
            }
        };
        let end = {
            let (lifecycle, answered) = (lifecycle.clone(), answered.clone());
            move || {
                let shards = [(); SHARDS].map(|()| thread::spawn(shard(lifecycle.clone(), answered.clone())));
                shards.into_iter().for_each(join);
                assert!(lifecycle.is_over());
                lifecycle.end();
            }
        };
        beside(end, || {
            if lifecycle.is_over() {
                assert_eq!(answered.load(Relaxed), SHARDS);
            }
            if lifecycle.has_ended() {
                assert!(answered.load(Relaxed) == SHARDS && lifecycle.is_over());
            }
        });
        assert!(lifecycle.has_ended() && !lifecycle.has_failed());
    });
}
