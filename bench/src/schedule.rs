//! When requests are due.
//!
//! In an open loop a request has an intended send time that doesn't depend on the replies before it, and its latency
//! counts from there: a server that stalls is charged for the requests that should have been sent meanwhile (the rule
//! of wrk2). Without a rate a request is due as soon as there is room for it.

use std::time::{Duration, Instant};

/// When the next request is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// At once: it should have been sent at this time.
    Since(Instant),
    /// At once: nothing says when.
    Now,
    /// Not before this time.
    At(Instant),
    /// No more requests are to be sent.
    Over,
}

/// The send times of one worker's requests.
#[derive(Clone, Debug)]
pub struct Schedule {
    start: Instant,
    end: Option<Instant>,
    interval_ns: Option<f64>,
    sent: u64,
}

impl Schedule {
    /// As fast as possible, for as long as there is work.
    pub fn unbounded(start: Instant) -> Self {
        Self { start, end: None, interval_ns: None, sent: 0 }
    }

    /// As fast as possible for `length`.
    pub fn flat_out(start: Instant, length: Duration) -> Self {
        Self { end: Some(start + length), ..Self::unbounded(start) }
    }

    /// A request every `interval_ns` for `length`, the first at `start`.
    pub fn constant(start: Instant, length: Duration, interval_ns: f64) -> Self {
        Self { interval_ns: Some(interval_ns.max(1.0)), ..Self::flat_out(start, length) }
    }

    /// When the next request is due, seen from `now`.
    pub fn next(&self, now: Instant) -> Due {
        let intended = self.interval_ns.map(|interval| {
            let nanoseconds = interval * self.sent as f64;
            self.start + Duration::from_nanos(nanoseconds as u64)
        });
        let over = |time| self.end.is_some_and(|end| time >= end);
        match intended {
            _ if over(now) => Due::Over,
            None => Due::Now,
            Some(intended) if over(intended) => Due::Over,
            Some(intended) if intended > now => Due::At(intended),
            Some(intended) => Due::Since(intended),
        }
    }

    /// The request that was due has been sent.
    pub fn sent(&mut self) {
        self.sent += 1;
    }

    /// Requests that were due before the end and were not sent, because there was no room for them.
    pub fn unsent(&self) -> u64 {
        let (Some(interval), Some(end)) = (self.interval_ns, self.end) else {
            return 0;
        };
        let due = ((end - self.start).as_nanos() as f64 / interval).ceil() as u64;
        due.saturating_sub(self.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn intended_times_do_not_move_when_sending_is_late() {
        let start = Instant::now();
        let mut schedule = Schedule::constant(start, 10 * MS, 2e6);
        assert_eq!(schedule.next(start), Due::Since(start));
        schedule.sent();
        assert_eq!(schedule.next(start), Due::At(start + 2 * MS));
        assert_eq!(schedule.next(start + 7 * MS), Due::Since(start + 2 * MS));
        schedule.sent();
        assert_eq!(schedule.next(start + 7 * MS), Due::Since(start + 4 * MS));
        assert_eq!(schedule.next(start + 10 * MS), Due::Over);
        assert_eq!(schedule.unsent(), 3);
    }

    #[test]
    fn flat_out_is_due_at_once_until_the_end() {
        let start = Instant::now();
        let schedule = Schedule::flat_out(start, 10 * MS);
        assert_eq!(schedule.next(start + MS), Due::Now);
        assert_eq!(schedule.next(start + 10 * MS), Due::Over);
        assert_eq!(schedule.unsent(), 0);
        assert_eq!(Schedule::unbounded(start).next(start + 99 * MS), Due::Now);
    }
}
