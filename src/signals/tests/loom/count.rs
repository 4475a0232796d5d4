use crate::{beside, explore};
use auriga_signals::{Count, Usage};
use std::sync::Arc;

#[test]
fn nothing_counted_is_lost() {
    explore(|| {
        let open = Arc::new(Count::default());
        let gate = {
            let open = open.clone();
            move || (0..2).for_each(|_| open.add(1))
        };
        beside(gate, || {
            open.add(1);
            open.take_away(1);
        });
        assert_eq!(open.get(), 2);
    });
}

/// The keeper makes segments while the checkpointer removes some.
#[test]
fn what_the_log_takes_adds_up() {
    explore(|| {
        let usage = Arc::new(Usage::new(100, 1));
        let keeper = {
            let usage = usage.clone();
            move || {
                usage.bytes.add(30);
                let _ = usage.checkpoint();
            }
        };
        beside(keeper, || {
            usage.bytes.take_away(20);
            usage.begin_log(65);
            usage.expect_checkpoint(7);
        });
        assert_eq!((usage.bytes.get(), usage.log_from(), usage.checkpoint()), (110, 65, 7));
    });
}
