use crate::{beside, explore};
use auriga_signals::Glance;
use std::sync::Arc;

/// What is shown of a phase grows, and at its end is what the worker has counted.
#[test]
fn a_glance_never_goes_back() {
    explore(|| {
        let glance = Arc::new(Glance::default());
        let worker = {
            let glance = glance.clone();
            move || {
                for request in 1..=2 {
                    glance.show(request * 10, request);
                    glance.show_p99(request * 100);
                }
            }
        };
        beside(worker, || {
            let look = || [glance.created(), glance.refused(), glance.p99_ns()];
            let (first, second) = (look(), look());
            assert!(
                first.iter().zip(second).all(|(first, second)| *first <= second),
                "{first:?}, then {second:?}"
            );
        });
        assert_eq!((glance.created(), glance.refused(), glance.p99_ns()), (20, 2, 200));
    });
}
