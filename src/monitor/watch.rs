//! What a core notes of itself while it works, on its own thread: plain numbers, which it shows on its board a few times a second. No lock,
//! no allocation, no system call but a look at the clock behind what a turn has done.

use super::figures::{Figures, Held, Where, durations, event_place, fault_place};
use crate::clock;
use auriga_shards::shard::{Gauges, Shard};
use auriga_signals::Board;
use auriga_wire::EventResult;
use auriga_wire::frame::{Command, HEADER_SIZE, Header, REPLY};
use bytemuck::Zeroable;
use std::cell::Cell;

/// What a core does at a stretch for longer is a stall: all that wait for it are held up, and other cores with them.
const STALL_NS: u64 = 10_000_000;
/// Between two looks for work that take longer than this, the core did something else, or another process had it.
const SPIN_TURN_MAX_NS: u64 = 10_000;
/// Time between two looks at the board's figures, at least.
const SHOW_EVERY_NS: u64 = 100_000_000;

/// A core's own figures.
pub struct Watch {
    /// What is shown next.
    pub figures: Box<Figures>,
    /// When the last thing was done in a turn; 0: before the first turn since the core was parked.
    done_ns: u64,
    parked: bool,
    /// When the core last found nothing to do, if it has done nothing since.
    idle_ns: Option<u64>,
    shown_ns: u64,
}

impl Watch {
    /// For the calling thread.
    pub fn new() -> Self {
        let mut figures = Box::new(Figures::zeroed());
        // SAFETY: it takes and returns numbers.
        figures.thread = unsafe { libc::gettid() } as u64;
        Self { figures, done_ns: 0, parked: false, idle_ns: None, shown_ns: 0 }
    }

    /// A turn begins. A beat has one now and then while the core is parked: what lies between these is no stall.
    #[inline]
    pub fn begin(&mut self, now_ns: u64) {
        if self.done_ns > 0 && !self.parked {
            self.note(Where::Between, now_ns);
        }
        self.done_ns = now_ns;
    }

    /// A part of the turn is over. Whether it had anything to do, which is returned, decides whether it has taken any time.
    #[inline]
    pub fn lap(&mut self, worked: bool, what: Where) -> bool {
        if worked {
            self.idle_ns = None;
            let now_ns = clock::monotonic_ns();
            self.note(what, now_ns);
            self.done_ns = now_ns;
        }
        worked
    }

    #[inline]
    fn note(&mut self, what: Where, now_ns: u64) {
        let took = now_ns.saturating_sub(self.done_ns);
        if took > STALL_NS {
            self.figures.stalls[what as usize] += 1;
            self.figures.stalls_ns[what as usize] += took;
        }
    }

    /// A request was taken between two turns, from this time on. While the core is parked no turn would see that it took too long.
    #[inline]
    pub fn worked(&mut self, from_ns: u64) {
        self.idle_ns = None;
        if self.parked {
            self.done_ns = from_ns;
            self.note(Where::Between, clock::monotonic_ns());
        }
    }

    /// A turn has found nothing to do. What lies between two such turns, with no request in between, is spent on nothing else.
    #[inline]
    pub fn idles(&mut self, now_ns: u64) {
        let length = self.idle_ns.replace(now_ns).map_or(0, |since| now_ns.saturating_sub(since));
        if length < SPIN_TURN_MAX_NS {
            self.figures.spin_ns += length;
        }
    }

    /// The core parks.
    #[inline]
    pub fn parks(&mut self) {
        self.parked = true;
        self.idle_ns = None;
    }

    /// It was woken.
    #[inline]
    pub fn wakes(&mut self) {
        self.parked = false;
        self.done_ns = 0;
    }

    /// Counts what a reply refuses.
    pub fn count_refusals(&mut self, header: &Header, reply: &[u8]) {
        if header.status != 0 {
            self.figures.faults[fault_place(header.status)] += 1;
            return;
        }
        let codes = match Command::from_number(header.command & !REPLY) {
            Some(Command::CreateAccounts) => &mut self.figures.accounts_refused,
            Some(Command::CreateTransfers) => &mut self.figures.transfers_refused,
            _ => return,
        };
        for result in reply[HEADER_SIZE..].chunks_exact(size_of::<EventResult>()) {
            let result: EventResult = bytemuck::pod_read_unaligned(result);
            if result.is_refused() {
                codes[event_place(result.code)] += 1;
            }
        }
    }

    /// Whether the figures are to be shown again.
    pub fn is_time(&self, now_ns: u64) -> bool {
        now_ns >= self.shown_ns + SHOW_EVERY_NS
    }

    /// Shows what the core and its shard have come to.
    pub fn show(&mut self, shard: &Shard, now_ns: u64, board: &Board) {
        self.shown_ns = now_ns;
        let Gauges { counters, incarnation, newest, ids_from_ms, chunks, blocks, untold, is_full } =
            shard.gauges();
        let figures = &mut *self.figures;
        figures.incarnation = incarnation;
        (figures.epoch, figures.epoch_time_ns) = newest;
        figures.ids_from_ms = ids_from_ms.unwrap_or(0);
        (figures.accounts, figures.ids, figures.pendings) =
            (counters.accounts, counters.ids, counters.pendings);
        figures.accounts_created = counters.accounts_created;
        figures.transfers_created = counters.transfers_created;
        figures.bytes_logged = counters.bytes_logged;
        figures.epochs = counters.flushes;
        (figures.chunks, figures.chunks_free) = (chunks.0 as u64, chunks.1 as u64);
        (figures.blocks, figures.blocks_free) = (blocks.0 as u64, blocks.1 as u64);
        figures.untold = untold;
        figures.is_full = is_full.into();
        figures.commits = durations(&shard.histograms.commits);
        figures.requests = durations(&shard.histograms.requests);
        figures.show(board);
    }
}

/// How long sockets were not read because of a bound, the sum over a core's connections.
#[derive(Default)]
pub struct Pressure {
    /// By [`Held`]: connections that are held, and the sum of their times so far as if all of them had been let go at the clock's zero.
    held: [Cell<(u64, u64)>; Held::ALL.len()],
}

impl Pressure {
    /// Waits, and counts the time.
    pub async fn during<T>(&self, why: Held, wait: impl Future<Output = T>) -> T {
        let place = &self.held[why as usize];
        let (count, sum) = place.get();
        place.set((count + 1, sum.wrapping_sub(clock::monotonic_ns())));
        let done = wait.await;
        let (count, sum) = place.get();
        place.set((count - 1, sum.wrapping_add(clock::monotonic_ns())));
        done
    }

    /// Nanoseconds by [`Held`], those of connections that are held now included.
    pub fn ns(&self, now_ns: u64) -> [u64; Held::ALL.len()] {
        self.held.each_ref().map(|place| {
            let (count, sum) = place.get();
            sum.wrapping_add(count.wrapping_mul(now_ns))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};

    const MS: u64 = 1_000_000;

    #[test]
    fn what_takes_too_long_is_a_stall_where_it_was() {
        let mut watch = Watch::new();
        watch.begin(1_000 * MS);
        watch.begin(1_010 * MS);
        assert_eq!(
            watch.figures.stalls,
            [0; Where::ALL.len()],
            "what takes no longer than the bound is none"
        );
        watch.begin(1_025 * MS);
        watch.parks();
        [2_000, 3_000].into_iter().for_each(|beat| watch.begin(beat * MS));
        watch.worked(clock::monotonic_ns());
        assert_eq!(watch.figures.stalls[Where::Between as usize], 1, "a request that takes no time is none");
        watch.wakes();
        watch.begin(9_000 * MS);
        let between = Where::Between as usize;
        assert_eq!((watch.figures.stalls[between], watch.figures.stalls_ns[between]), (1, 15 * MS));
        watch.parks();
        watch.worked(1);
        watch.wakes();
        assert_eq!(watch.figures.stalls[between], 2, "a request took too long while the core was parked");
        // A turn that began long ago, by the clock that a lap looks at.
        watch.begin(1);
        assert!(watch.lap(true, Where::Route) && !watch.lap(false, Where::Control));
        assert_eq!(watch.figures.stalls[Where::Route as usize], 1);
        assert_eq!(watch.figures.stalls[Where::Control as usize], 0);
    }

    #[test]
    fn a_core_spins_from_one_look_to_the_next_that_find_nothing() {
        let mut watch = Watch::new();
        [100, 103, 107].into_iter().for_each(|now| watch.idles(now));
        watch.worked(0);
        [200, 201].into_iter().for_each(|now| watch.idles(now));
        watch.parks();
        watch.idles(300);
        assert_eq!(watch.figures.spin_ns, 3 + 4 + 1);
    }

    #[test]
    fn only_short_looks_without_a_request_are_spinning() {
        let mut watch = Watch::new();
        [1_000, 3_000, 4_000].into_iter().for_each(|now| watch.idles(now));
        assert_eq!(watch.figures.spin_ns, 3_000);
        watch.idles(4_000 + SPIN_TURN_MAX_NS);
        watch.worked(0);
        watch.idles(15_000);
        assert!(watch.lap(true, Where::Route));
        watch.idles(16_000);
        assert_eq!(watch.figures.spin_ns, 3_000, "another process, a request and work are none");
    }

    #[test]
    fn time_is_counted_while_it_passes() {
        let pressure = Pressure::default();
        let mut waits = [(); 2].map(|()| Box::pin(pressure.during(Held::Room, std::future::pending::<()>())));
        let before = clock::monotonic_ns();
        for wait in &mut waits {
            assert_eq!(wait.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
        }
        let after = clock::monotonic_ns();
        let [unanswered, buffers, room] = pressure.ns(after + 1_000);
        assert_eq!((unanswered, buffers), (0, 0));
        assert!((2_000..=2_000 + 2 * (after - before)).contains(&room), "{room}");
        let waited = pressure.during(Held::Buffers, std::future::ready(5));
        let waited = std::pin::pin!(waited).poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(waited, Poll::Ready(5));
        let [_, buffers, _] = pressure.ns(0);
        assert_eq!(pressure.ns(u64::MAX)[1], buffers, "nobody waits any more");
    }
}
