use crate::{beside, explore, join};
use auriga_signals::Begin;
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;
use std::sync::Arc;

/// A starter looks again after a while, without being unparked. Here another thread does: loom lets nothing happen between the
/// two steps of a beginning for the one that is unparked.
#[test]
fn who_sees_the_beginning_sees_what_was_before_it() {
    explore(|| {
        let begin = join(thread::spawn(|| Arc::new(Begin::of_thread_to_start())));
        let before = Arc::new(AtomicUsize::new(0));
        let started = {
            let (begin, before) = (begin.clone(), before.clone());
            move || {
                before.store(1, Relaxed);
                begin.begin();
            }
        };
        beside(started, || {
            if begin.has_begun() {
                assert_eq!(before.load(Relaxed), 1);
            }
        });
        assert!(begin.has_begun());
    });
}

/// The starter sleeps without a bound in time here, and is also unparked by a stranger, for nothing.
#[test]
fn a_starter_is_unparked_by_the_beginning() {
    explore(|| {
        let starter = thread::spawn(|| {
            let (begin, before) = (Arc::new(Begin::of_thread_to_start()), Arc::new(AtomicUsize::new(0)));
            let started = thread::spawn({
                let (begin, before) = (begin.clone(), before.clone());
                move || {
                    before.store(1, Relaxed);
                    begin.begin();
                }
            });
            while !begin.has_begun() {
                thread::park();
            }
            assert_eq!(before.load(Relaxed), 1);
            // Loom takes a late unpark for the end of what a thread joins: another one does that.
            started
        });
        starter.thread().unpark();
        join(join(starter));
    });
}
