use crate::{beside, explore};
use auriga_signals::Heart;
use std::sync::Arc;

/// Who looks twice sees how often it has beaten by then, or less; and in the end no beat is lost.
#[test]
fn a_heart_never_goes_back() {
    explore(|| {
        let heart = Arc::new(Heart::default());
        let executor = {
            let heart = heart.clone();
            move || {
                for epoch in 1..=3 {
                    heart.show_replayed(epoch * 10);
                    heart.beat();
                }
            }
        };
        beside(executor, || {
            let look = || [heart.beats(), heart.replayed()];
            let (first, second) = (look(), look());
            assert!(
                first.iter().zip(second).all(|(first, second)| *first <= second),
                "{first:?}, then {second:?}"
            );
        });
        assert_eq!((heart.beats(), heart.replayed()), (3, 30));
    });
}
