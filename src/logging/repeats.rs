//! A line that comes again and again is said so often in a window of time; then it is counted, and the count is said once.
//!
//! What counts as the same line is the place in the program that it comes from. Threads share the counts in atomics: nobody waits.

use auriga_signals::Repeats;
use std::fmt::{Debug, Write};
use std::sync::OnceLock;
use std::time::Instant;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Lines of one place that are said in a window.
const SHOWN_MAX: u32 = 20;
/// Length of a window.
const WINDOW_SECONDS: u64 = 10;
/// Places that are counted; lines of further ones are all said.
const PLACES_MAX: usize = 512;
/// What is said of hidden lines is itself not counted.
const TARGET: &str = "auriga::repeats";
/// Characters of a line that are said of it.
const LINE_MAX: usize = 60;

/// What the process has said.
#[derive(Debug)]
struct Counts {
    repeats: Repeats,
    /// By slot: a line of that place.
    lines: Box<[OnceLock<String>]>,
    started: Instant,
    /// Says what was hidden.
    tell: fn(&str),
}

impl Counts {
    fn new(places: usize, tell: fn(&str)) -> Self {
        let lines = (0..places).map(|_| OnceLock::new()).collect();
        Self { repeats: Repeats::new(places, SHOWN_MAX), lines, started: Instant::now(), tell }
    }

    fn window(&self) -> u32 {
        1 + (self.started.elapsed().as_secs() / WINDOW_SECONDS) as u32
    }

    fn tell(&self, slot: usize, hidden: u32) {
        let line = self.lines[slot].get().map_or("", String::as_str);
        (self.tell)(&format!("... {} more like: {line}", in_groups(hidden)));
    }

    fn tell_before(&self, window: u32) {
        for (slot, hidden) in self.repeats.take_hidden(window) {
            self.tell(slot, hidden);
        }
    }

    /// Whether an event is to be said.
    fn note(&self, event: &Event<'_>, window: u32) -> bool {
        let metadata = event.metadata();
        if metadata.target() == TARGET {
            return true;
        }
        let Some(noted) = self.repeats.note(place(metadata), window) else { return true };
        if noted.is_first {
            let _ = self.lines[noted.slot].set(line(event));
        }
        if noted.hidden > 0 {
            self.tell(noted.slot, noted.hidden);
        }
        noted.show
    }
}

/// A number for the place in the program: where its description lies.
fn place(metadata: &'static Metadata<'static>) -> u64 {
    std::ptr::from_ref(metadata).addr() as u64
}

static OF_THIS_PROCESS: OnceLock<Counts> = OnceLock::new();

/// Also from within the layer: the process has one subscriber, for all threads, and only one of a thread's own would keep it from that.
fn tell(what: &str) {
    tracing::warn!(target: TARGET, "{what}");
}

/// The layer that hides lines.
pub struct Limit {
    counts: &'static Counts,
    window: fn(&Counts) -> u32,
}

impl Limit {
    /// The one of this process.
    pub fn of_this_process() -> Self {
        Self { counts: OF_THIS_PROCESS.get_or_init(|| Counts::new(PLACES_MAX, tell)), window: Counts::window }
    }
}

/// Says what was hidden in windows that are over.
pub fn tell_hidden() {
    if let Some(counts) = OF_THIS_PROCESS.get() {
        counts.tell_before(counts.window());
    }
}

/// Says what was hidden, at the end of the process.
pub fn tell_all_hidden() {
    if let Some(counts) = OF_THIS_PROCESS.get() {
        counts.tell_before(u32::MAX);
    }
}

impl<S: Subscriber> Layer<S> for Limit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.counts.note(event, (self.window)(self.counts))
    }
}

/// The beginning of what an event says.
fn line(event: &Event<'_>) -> String {
    struct Message(String);
    impl Visit for Message {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            if field.name() == "message" {
                let _ = write!(self.0, "{value:?}");
            }
        }
    }
    let mut message = Message(String::new());
    event.record(&mut message);
    let first = message.0.lines().next().unwrap_or_default();
    match first.char_indices().nth(LINE_MAX) {
        Some((end, _)) => format!("{}...", &first[..end]),
        None => first.to_string(),
    }
}

/// 1,234
fn in_groups(number: u32) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::io;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::{Registry, fmt};

    thread_local! {
        static SAID: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        static WINDOW: Cell<u32> = const { Cell::new(1) };
    }

    /// Keeps what this thread writes.
    struct Kept;

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            SAID.with_borrow_mut(|said| said.extend_from_slice(bytes));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn keep(what: &str) {
        SAID.with_borrow_mut(|said| said.extend_from_slice(format!("{what}\n").as_bytes()));
    }

    type Lines = Box<dyn Layer<Registry> + Send + Sync>;
    type Writer = fn() -> Box<dyn io::Write>;

    /// What such lines say.
    pub fn said_by(lines: impl Fn(Writer) -> Lines, work: impl Fn()) -> String {
        let counts: &'static Counts = Box::leak(Box::new(Counts::new(4, keep)));
        let limit = Limit { counts, window: |_| WINDOW.get() };
        let subscriber = tracing_subscriber::registry().with(lines(|| Box::new(Kept))).with(limit);
        tracing::subscriber::with_default(subscriber, work);
        String::from_utf8(SAID.take()).expect("lines are text")
    }

    fn plain(writer: Writer) -> Lines {
        fmt::layer().without_time().with_target(false).with_ansi(false).with_writer(writer).boxed()
    }

    #[test]
    fn a_line_that_repeats_is_said_some_times_and_its_number_once() {
        let said = said_by(plain, || {
            WINDOW.set(1);
            let again = |number: u32| tracing::warn!("the same, number {number}, {}", "x".repeat(90));
            (1..=1_254).for_each(again);
            tracing::info!("another");
            WINDOW.set(2);
            again(1_255);
            again(1_256);
        });
        let lines: Vec<&str> = said.lines().collect();
        let shown = SHOWN_MAX as usize;
        assert!(
            lines[..shown]
                .iter()
                .enumerate()
                .all(|(at, line)| line.contains(&format!("the same, number {},", at + 1))),
            "{said}"
        );
        assert_eq!(lines[shown], " INFO another");
        assert_eq!(
            lines[shown + 1],
            format!("... 1,234 more like: the same, number 1, {}...", "x".repeat(LINE_MAX - 20))
        );
        assert!(
            lines[shown + 2].contains("number 1255,") && lines[shown + 3].contains("number 1256,"),
            "{said}"
        );
        assert_eq!(lines.len(), shown + 4);
    }

    #[test]
    fn places_that_are_not_counted_say_everything() {
        let said = said_by(plain, || {
            WINDOW.set(1);
            (0..4).for_each(|_| tracing::info!("a"));
            tracing::info!("b");
            tracing::info!("c");
            tracing::info!("d");
            (0..100).for_each(|_| tracing::info!("e"));
        });
        assert_eq!((said.matches("INFO a").count(), said.matches("INFO e").count()), (4, 100));
    }

    #[test]
    fn numbers_are_written_in_groups() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(in_groups), ["0", "999", "1,000", "1,234,567"]);
    }
}
