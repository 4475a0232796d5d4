use crate::doorbell::Doorbell;
use crate::{explore, join};
use auriga_signals::Parking;
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;
use std::sync::Arc;

/// Ringers that each make some work visible, piece by piece, and an executor that takes all of it. The work itself orders
/// nothing: it is the doorbell that is looked at.
fn no_work_is_slept_over(ringers: usize, pieces: usize) {
    explore(move || {
        let (bell, work) = (Arc::new(Doorbell::new()), Arc::new(AtomicUsize::new(0)));
        let ringing: Vec<_> = (0..ringers)
            .map(|_| {
                let (bell, work) = (bell.clone(), work.clone());
                thread::spawn(move || {
                    for _ in 0..pieces {
                        work.fetch_add(1, Relaxed);
                        bell.ring();
                    }
                })
            })
            .collect();
        let is_done = || work.load(Relaxed) == ringers * pieces;
        while !is_done() {
            bell.park();
            if !is_done() {
                bell.wait();
            }
            bell.unpark();
        }
        ringing.into_iter().for_each(join);
    });
}

#[test]
fn no_work_of_one_ringer_is_slept_over() {
    no_work_is_slept_over(1, 2);
}

#[test]
fn no_work_of_two_ringers_is_slept_over() {
    no_work_is_slept_over(2, 1);
}

/// A system call for each ringer would be one too many.
#[test]
fn of_two_ringers_one_wakes() {
    explore(|| {
        let parking = Arc::new(Parking::default());
        parking.park();
        let other = thread::spawn({
            let parking = parking.clone();
            move || parking.must_be_woken()
        });
        let woken = [parking.must_be_woken(), join(other)];
        assert_eq!(woken.into_iter().filter(|woken| *woken).count(), 1);
    });
}
