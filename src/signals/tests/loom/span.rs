use crate::{explore, join};
use auriga_signals::Span;
use loom::thread;
use std::sync::Arc;

const PART: u64 = Span::SIZE / 2;

/// What an allocator does for a part: the place of a span that nobody else offers, if the one in use is spent.
fn take(span: &Span, own: u64) -> (u64, bool) {
    match span.take(PART) {
        Ok(part) => (part, false),
        Err(spent) => (own, span.renew(&spent, own, PART)),
    }
}

#[test]
fn no_part_is_taken_twice_and_one_new_span_is_enough() {
    explore(|| {
        let span = Arc::new(Span::spent());
        let threads = [1, 2].map(|number| {
            let span = span.clone();
            thread::spawn(move || take(&span, number * Span::SIZE))
        });
        let (third, renewed) = take(&span, 3 * Span::SIZE);
        let [first, second] = threads.map(join);
        let mut parts = [first.0, second.0, third];
        parts.sort_unstable();
        assert!(parts.is_sorted_by(|a, b| a + PART <= *b), "{parts:?}");
        assert!(first.1 || second.1 || renewed);
        // A span of two parts: what is left after three takers is nothing, or one part of the newest.
        assert!(span.take(2 * PART).is_err());
    });
}
