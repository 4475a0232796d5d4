use crate::{beside, explore};
use auriga_signals::{Busy, Watch};
use std::sync::Arc;

/// What a core shows grows, and at its end is what it has done.
#[test]
fn what_a_core_has_done_never_goes_back() {
    explore(|| {
        let busy = Arc::new(Busy::default());
        let core = {
            let busy = busy.clone();
            move || (1..=2).for_each(|turn| busy.show(turn * 100, turn * 10, turn))
        };
        beside(core, || {
            let look = || [busy.busy_ns(), busy.transfers()];
            let (first, second) = (look(), look());
            assert!(
                first.iter().zip(second).all(|(first, second)| *first <= second),
                "{first:?}, then {second:?}"
            );
        });
        assert_eq!((busy.busy_ns(), busy.transfers(), busy.under_way()), (200, 20, 2));
    });
}

/// Of two that look, the one that looks longer is seen to the end.
#[test]
fn a_look_is_not_cut_short_by_another() {
    explore(|| {
        let watch = Arc::new(Watch::default());
        let other = {
            let watch = watch.clone();
            move || watch.look_until(10)
        };
        beside(other, || watch.look_until(20));
        assert!(watch.is_watched(19) && !watch.is_watched(20));
    });
}
