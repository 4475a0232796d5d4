//! How a phase went over time: a point for each second, or for so many seconds that there are not too many points.
//!
//! A worker has a [`Recorder`] of its own and closes a point once a second, so nothing is allocated for a transfer and nothing is
//! shared. When the phase is over, the main thread adds the workers' [`Series`] up ([`crate::timeline`]).

use crate::figures::{Counts, latency_histogram};
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// Points of a worker's phase, and of a whole run: with more of them neighbours are folded into one.
pub const POINTS_MAX: usize = 1_000;

/// A histogram without its empty places: values, and how often each is there. By growing value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sparse(Vec<(u64, u64)>);

impl Sparse {
    /// What a histogram holds.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let values = histogram.iter_recorded();
        Self(values.map(|value| (value.value_iterated_to(), value.count_at_value())).collect())
    }

    /// The histogram.
    pub fn histogram(&self) -> Histogram<u64> {
        let mut histogram = latency_histogram();
        self.0.iter().for_each(|(value, number)| histogram.saturating_record_n(*value, *number));
        histogram
    }

    /// Adds another one.
    fn add(&mut self, other: &Self) {
        let (mut one, mut two) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut sum: Vec<(u64, u64)> = Vec::with_capacity(self.0.len().max(other.0.len()));
        loop {
            let next = match (one.peek(), two.peek()) {
                (Some(a), Some(b)) if a.0 <= b.0 => one.next(),
                (Some(_), None) => one.next(),
                _ => two.next(),
            };
            let Some(&(value, number)) = next else { break };
            match sum.last_mut().filter(|last| last.0 == value) {
                Some(last) => last.1 += number,
                None => sum.push((value, number)),
            }
        }
        self.0 = sum;
    }
}

/// What happened in a slot of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// The slot, counted from the phase's start in widths of the series.
    pub slot: u32,
    /// Transfers acknowledged as created.
    pub created: u64,
    /// Transfers refused.
    pub refused: u64,
    /// Requests that the server refused as a whole, or that have no answer.
    pub errors: u64,
    /// Requests that were due at its end and not sent.
    pub unsent: u64,
    /// Latency of requests that were answered in it, from the time at which they should have been sent.
    pub latency: Sparse,
    /// The same from the time at which they were sent.
    pub raw_latency: Sparse,
}

impl Point {
    /// Adds what happened there, too.
    fn add(&mut self, other: &Self) {
        self.created += other.created;
        self.refused += other.refused;
        self.errors += other.errors;
        self.latency.add(&other.latency);
        self.raw_latency.add(&other.raw_latency);
    }

    /// Adds a later time's.
    pub fn add_later(&mut self, later: &Self) {
        self.add(later);
        self.unsent = later.unsent;
    }
}

/// The points of a phase, by slot; a slot in which nothing was noted has none.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Seconds of a slot.
    pub width: u32,
    /// The points.
    pub points: Vec<Point>,
}

impl Default for Series {
    fn default() -> Self {
        Self { width: 1, points: Vec::new() }
    }
}

impl Series {
    /// Adds a point behind the others, and folds them if there are too many.
    fn push(&mut self, point: Point) {
        match self.points.last_mut().filter(|last| last.slot == point.slot) {
            Some(last) => last.add_later(&point),
            None => self.points.push(point),
        }
        if self.points.len() > POINTS_MAX {
            self.fold();
        }
    }

    /// Doubles the width of all slots.
    pub fn fold(&mut self) {
        self.width *= 2;
        let mut folded: Vec<Point> = Vec::with_capacity(self.points.len() / 2 + 1);
        for mut point in self.points.drain(..) {
            point.slot /= 2;
            match folded.last_mut().filter(|last| last.slot == point.slot) {
                Some(last) => last.add_later(&point),
                None => folded.push(point),
            }
        }
        self.points = folded;
    }

    /// Adds another worker's, of the same phase.
    pub fn add(&mut self, mut other: Self) {
        while self.width < other.width {
            self.fold();
        }
        while other.width < self.width {
            other.fold();
        }
        for point in other.points {
            match self.points.binary_search_by_key(&point.slot, |there| there.slot) {
                Ok(place) => {
                    self.points[place].add(&point);
                    self.points[place].unsent += point.unsent;
                }
                Err(place) => self.points.insert(place, point),
            }
        }
    }
}

/// What one worker notes while it works.
#[derive(Debug)]
pub struct Recorder {
    start: Instant,
    /// The open second of the phase, and its end.
    second: u64,
    until: Instant,
    /// Since it began.
    latency: Histogram<u64>,
    raw_latency: Histogram<u64>,
    errors: u64,
    /// What there was before it.
    before: Counts,
    series: Series,
}

impl Recorder {
    /// Of a phase that begins at this time.
    pub fn new(start: Instant) -> Self {
        Self {
            start,
            second: 0,
            until: start + Duration::from_secs(1),
            latency: latency_histogram(),
            raw_latency: latency_histogram(),
            errors: 0,
            before: Counts::default(),
            series: Series::default(),
        }
    }

    /// Begins another phase.
    pub fn begin(&mut self, start: Instant) {
        self.start = start;
        self.open(0);
    }

    fn open(&mut self, second: u64) {
        self.second = second;
        self.until = self.start + Duration::from_secs(second + 1);
    }

    /// A request was answered.
    pub fn record(&mut self, latency_ns: u64, raw_latency_ns: u64) {
        self.latency.saturating_record(latency_ns);
        self.raw_latency.saturating_record(raw_latency_ns);
    }

    /// A request was refused as a whole.
    pub fn error(&mut self) {
        self.errors += 1;
    }

    /// Whether the open second is over.
    pub fn is_over(&self, now: Instant) -> bool {
        now >= self.until
    }

    /// Closes the second, of which `counts` are those at its end, and opens that of `now`. The p99 latency of it, nanoseconds.
    pub fn close(&mut self, now: Instant, counts: &Counts, unsent: u64) -> u64 {
        self.series.push(Point {
            slot: (self.second / u64::from(self.series.width)) as u32,
            created: counts.created - self.before.created,
            refused: counts.refused - self.before.refused,
            errors: std::mem::take(&mut self.errors),
            unsent,
            latency: Sparse::of(&self.latency),
            raw_latency: Sparse::of(&self.raw_latency),
        });
        self.before = *counts;
        self.open(now.saturating_duration_since(self.start).as_secs());
        let p99 = self.latency.value_at_quantile(0.99);
        self.latency.reset();
        self.raw_latency.reset();
        p99
    }

    /// The series of the phase that is over; its last second must be closed.
    pub fn take(&mut self) -> Series {
        self.before = Counts::default();
        std::mem::take(&mut self.series)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(created: u64) -> Counts {
        Counts { created, refused: created / 10, ..Counts::default() }
    }

    fn at(start: Instant, seconds: f64) -> Instant {
        start + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn what_is_noted_lies_in_its_second() {
        let start = Instant::now();
        let mut recorder = Recorder::new(start);
        recorder.record(5_000_000, 2_000_000);
        assert!(!recorder.is_over(at(start, 0.999)) && recorder.is_over(at(start, 1.0)));
        let p99 = recorder.close(at(start, 1.0), &counts(100), 0);
        assert!((4_990_000..5_010_000).contains(&p99), "{p99}");
        recorder.error();
        // It looks at the clock again after two seconds and more, in which nothing came.
        recorder.close(at(start, 4.2), &counts(100), 7);
        recorder.record(9_000_000, 9_000_000);
        recorder.close(at(start, 4.5), &counts(300), 3);
        let series = recorder.take();
        let told: Vec<_> = series
            .points
            .iter()
            .map(|point| (point.slot, point.created, point.refused, point.errors, point.unsent))
            .collect();
        assert_eq!(told, [(0, 100, 10, 0, 0), (1, 0, 0, 1, 7), (4, 200, 20, 0, 3)]);
        let lengths: Vec<u64> = series.points.iter().map(|point| point.latency.histogram().len()).collect();
        assert_eq!(lengths, [1, 0, 1]);
        assert_eq!(recorder.take(), Series::default(), "nothing is left for the next phase");
    }

    #[test]
    fn a_long_phase_has_no_more_points_and_loses_nothing() {
        let start = Instant::now();
        let mut recorder = Recorder::new(start);
        let seconds = 8 * 3_600;
        for second in 1..=seconds {
            recorder.record(second * 1_000_000, second * 500_000);
            if recorder.is_over(at(start, second as f64)) {
                recorder.close(at(start, second as f64), &counts(second * 10), second);
            }
        }
        let series = recorder.take();
        assert!(series.points.len() <= POINTS_MAX, "{}", series.points.len());
        assert_eq!(series.width, 32);
        assert_eq!(series.points.iter().map(|point| point.created).sum::<u64>(), seconds * 10);
        assert!(series.points.is_sorted_by(|a, b| a.slot < b.slot && a.unsent < b.unsent));
        let mut all = latency_histogram();
        for point in &series.points {
            all.add(point.latency.histogram()).expect("both have the same bounds");
        }
        assert_eq!(all.len(), seconds);
    }

    #[test]
    fn workers_are_added_slot_by_slot_whatever_their_widths() {
        let point = |slot, created, unsent, value| {
            let mut histogram = latency_histogram();
            histogram.saturating_record(value);
            Point { slot, created, unsent, latency: Sparse::of(&histogram), ..Point::default() }
        };
        let mut one = Series { width: 1, points: vec![point(0, 1, 0, 1_000_000), point(3, 2, 5, 3_000_000)] };
        let two = Series { width: 2, points: vec![point(0, 10, 2, 1_000_000), point(2, 20, 0, 2_000_000)] };
        one.add(two);
        let told: Vec<_> = one.points.iter().map(|point| (point.slot, point.created, point.unsent)).collect();
        assert_eq!((one.width, told), (2, vec![(0, 11, 2), (1, 2, 5), (2, 20, 0)]));
        assert_eq!(one.points[0].latency.0.len(), 1, "the same value is one");
        assert_eq!(one.points[0].latency.histogram().len(), 2);
    }

    #[test]
    fn a_sparse_histogram_is_the_same() {
        let mut histogram = latency_histogram();
        [0, 1_000, 1_001, 5_555_555, 5_555_555, 77_777_777_777, u64::MAX]
            .into_iter()
            .for_each(|value| histogram.saturating_record(value));
        let sparse = Sparse::of(&histogram);
        assert_eq!(sparse.histogram(), histogram);
        let mut twice = sparse.clone();
        twice.add(&sparse);
        assert_eq!(twice.histogram().len(), histogram.len() * 2);
        assert_eq!(twice.0.len(), sparse.0.len());
    }
}
