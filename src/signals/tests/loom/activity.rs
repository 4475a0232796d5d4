use crate::doorbell::Doorbell;
use crate::{explore, join};
use auriga_signals::Activity;
use loom::thread;
use std::sync::Arc;

/// The beat is at rest when cores have something to do: they wake it, though it rests without a bound in time here.
#[test]
fn the_beat_does_not_rest_over_activity_that_is_news() {
    explore(|| {
        let (activity, bell) = (Arc::new(Activity::new()), Arc::new(Doorbell::new()));
        assert!(activity.take(), "it begins with activity");
        let cores = [(); 2].map(|()| {
            let (activity, bell) = (activity.clone(), bell.clone());
            thread::spawn(move || {
                if activity.note() {
                    bell.ring();
                }
            })
        });
        while !activity.take() {
            bell.park();
            if !activity.is_noted() {
                bell.wait();
            }
            bell.unpark();
        }
        cores.into_iter().for_each(join);
    });
}

#[test]
fn what_is_noted_is_taken_once() {
    explore(|| {
        let activity = Arc::new(Activity::new());
        let other = thread::spawn({
            let activity = activity.clone();
            move || activity.take()
        });
        let taken = [activity.take(), join(other)];
        assert_eq!(taken.into_iter().filter(|taken| *taken).count(), 1);
        assert!(activity.note() && !activity.note() && activity.take());
    });
}
