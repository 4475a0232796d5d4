//! When requests are due.
//!
//! In an open loop a request has an intended send time that doesn't depend on the replies before it, and its latency
//! counts from there: a server that stalls is charged for the requests that should have been sent meanwhile (the rule
//! of wrk2). Without a rate a request is due as soon as there is room for it.
//!
//! Send times are those at which the integral of the rate reaches certain values: whole numbers for constant arrivals, a
//! sum of exponential draws for Poisson arrivals. So a rate may change at any time without a request lost or doubled.

use std::time::{Duration, Instant};

/// What separates the requests of an open loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Process {
    /// The same time.
    Constant,
    /// Times drawn from an exponential distribution, as if very many clients acted without knowing of each other.
    Poisson,
}

impl Process {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Poisson => "poisson",
        }
    }
}

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

/// A part of the time, in which the rate goes evenly from one value to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// How long it lasts.
    pub seconds: f64,
    /// Rate at its begin, a second.
    pub from: f64,
    /// Rate at its end, a second.
    pub to: f64,
}

impl Slope {
    /// What is due in it, all in all.
    pub fn area(&self) -> f64 {
        self.seconds * (self.from + self.to) / 2.0
    }

    /// Seconds from its begin until so much of it is due; `area` is less than all of it.
    fn time_of(&self, area: f64) -> f64 {
        let gain = (self.to - self.from) / self.seconds;
        let root = (self.from * self.from + 2.0 * gain * area).max(0.0).sqrt();
        // The solution of a quadratic equation in the form that stays exact when the gain is 0.
        if area <= 0.0 { 0.0 } else { 2.0 * area / (self.from + root) }
    }
}

/// What is due until then, seconds from the begin of the first of these slopes.
pub fn due_by(slopes: &[Slope], seconds: f64) -> f64 {
    let (mut due, mut left) = (0.0, seconds);
    for slope in slopes {
        if left < slope.seconds {
            let to = slope.from + (slope.to - slope.from) * left / slope.seconds;
            return due + Slope { seconds: left, to, ..*slope }.area();
        }
        due += slope.area();
        left -= slope.seconds;
    }
    due
}

/// Whose send times these are: one of several workers that share a rate.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// Its number.
    pub worker: u32,
    /// How many there are.
    pub workers: u32,
    /// What Poisson arrivals are drawn from.
    pub seed: u64,
}

/// The intended send times of one worker.
#[derive(Clone, Debug)]
struct Times {
    slopes: Vec<Slope>,
    /// The slope of the next request, when it begins, in seconds from the start, and what was due before it.
    at: usize,
    begins: f64,
    before: f64,
    /// The value of the integral at which the next request is due.
    target: f64,
    /// Constant arrivals: requests that were due. Poisson: what the distances are drawn from.
    sent: u64,
    random: Option<fastrand::Rng>,
    share: Share,
}

impl Times {
    fn new(process: Process, slopes: Vec<Slope>, share: Share) -> Self {
        let random = (process == Process::Poisson)
            .then(|| fastrand::Rng::with_seed(share.seed ^ u64::from(share.worker).rotate_right(8)));
        let mut times = Self { slopes, at: 0, begins: 0.0, before: 0.0, target: 0.0, sent: 0, random, share };
        times.choose_target();
        times
    }

    /// Workers take turns, or each has its part of a Poisson process, which is one.
    fn choose_target(&mut self) {
        let workers = f64::from(self.share.workers);
        match &mut self.random {
            Some(random) => self.target -= workers * (1.0 - random.f64()).ln(),
            None => self.target = f64::from(self.share.worker) + workers * self.sent as f64,
        }
    }

    /// Seconds from the start until the next request is due; `None`: that is not before the end.
    fn next(&mut self) -> Option<f64> {
        while let Some(slope) = self.slopes.get(self.at) {
            if self.target < self.before + slope.area() {
                return Some(self.begins + slope.time_of(self.target - self.before));
            }
            self.begins += slope.seconds;
            self.before += slope.area();
            self.at += 1;
        }
        None
    }

    fn sent(&mut self) {
        self.sent += 1;
        self.choose_target();
    }

    /// Requests that are due until then, seconds from the start, and were not sent; of Poisson arrivals how many are to be expected.
    fn left(&self, seconds: f64) -> u64 {
        let left = (due_by(&self.slopes, seconds) - self.target) / f64::from(self.share.workers);
        match &self.random {
            _ if left <= 0.0 => 0,
            Some(_) => 1 + left.round() as u64,
            None => left.ceil() as u64,
        }
    }
}

/// The send times of one worker's requests.
#[derive(Clone, Debug)]
pub struct Arrivals {
    start: Instant,
    end: Option<Instant>,
    times: Option<Times>,
    /// When the next request is due, if something says when.
    intended: Option<Instant>,
}

impl Arrivals {
    /// As fast as possible, for as long as there is work.
    pub fn unbounded(start: Instant) -> Self {
        Self { start, end: None, times: None, intended: None }
    }

    /// As fast as possible for `length`.
    pub fn flat_out(start: Instant, length: Duration) -> Self {
        Self { end: Some(start + length), ..Self::unbounded(start) }
    }

    /// At this rate of requests a second, of all workers together, until its last slope is over.
    pub fn at_rate(start: Instant, process: Process, rate: Vec<Slope>, share: Share) -> Self {
        let length = Duration::from_secs_f64(rate.iter().map(|slope| slope.seconds).sum());
        let times = Times::new(process, rate, share);
        let mut arrivals = Self { times: Some(times), ..Self::flat_out(start, length) };
        arrivals.choose_intended();
        arrivals
    }

    fn choose_intended(&mut self) {
        let seconds = self.times.as_mut().and_then(Times::next);
        self.intended = seconds.map(|seconds| self.start + Duration::from_secs_f64(seconds));
    }

    /// When the next request is due, seen from `now`.
    pub fn next(&self, now: Instant) -> Due {
        match (self.intended, &self.times) {
            _ if self.end.is_some_and(|end| now >= end) => Due::Over,
            (None, None) => Due::Now,
            (None, Some(_)) => Due::Over,
            (Some(intended), _) if intended > now => Due::At(intended),
            (Some(intended), _) => Due::Since(intended),
        }
    }

    /// The request that was due has been sent.
    pub fn sent(&mut self) {
        if let Some(times) = &mut self.times {
            times.sent();
            self.choose_intended();
        }
    }

    /// Requests that were due before the end and were not sent, because there was no room for them.
    pub fn unsent(&self) -> u64 {
        self.times.as_ref().map_or(0, |times| times.left(f64::INFINITY))
    }

    /// Requests that are due until `now` and are not sent.
    pub fn behind(&self, now: Instant) -> u64 {
        let seconds = now.saturating_duration_since(self.start).as_secs_f64();
        self.times.as_ref().map_or(0, |times| times.left(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn alone(seed: u64) -> Share {
        Share { worker: 0, workers: 1, seed }
    }

    fn flat(seconds: f64, rate: f64) -> Slope {
        Slope { seconds, from: rate, to: rate }
    }

    /// Seconds from the start of every request.
    fn times(process: Process, slopes: &[Slope], share: Share) -> Vec<f64> {
        let mut times = Times::new(process, slopes.to_vec(), share);
        std::iter::from_fn(|| times.next().inspect(|_| times.sent())).collect()
    }

    #[test]
    fn intended_times_do_not_move_when_sending_is_late() {
        let start = Instant::now();
        let rate = vec![flat(0.01, 500.0)];
        let mut arrivals = Arrivals::at_rate(start, Process::Constant, rate, alone(1));
        assert_eq!(arrivals.next(start), Due::Since(start));
        arrivals.sent();
        assert_eq!(arrivals.next(start), Due::At(start + 2 * MS));
        assert_eq!(arrivals.next(start + 7 * MS), Due::Since(start + 2 * MS));
        arrivals.sent();
        assert_eq!(arrivals.next(start + 7 * MS), Due::Since(start + 4 * MS));
        assert_eq!((arrivals.behind(start + 3 * MS), arrivals.behind(start + 7 * MS)), (0, 2));
        assert_eq!(arrivals.next(start + 10 * MS), Due::Over);
        assert_eq!(arrivals.unsent(), 3);
    }

    #[test]
    fn flat_out_is_due_at_once_until_the_end() {
        let start = Instant::now();
        let arrivals = Arrivals::flat_out(start, 10 * MS);
        assert_eq!(arrivals.next(start + MS), Due::Now);
        assert_eq!(arrivals.next(start + 10 * MS), Due::Over);
        assert_eq!(arrivals.unsent(), 0);
        assert_eq!(Arrivals::unbounded(start).next(start + 99 * MS), Due::Now);
    }

    #[test]
    fn a_changing_rate_is_met_in_each_of_its_parts() {
        let rest = Slope { seconds: 2.0, from: 0.0, to: 0.0 };
        let ramp = Slope { seconds: 4.0, from: 0.0, to: 1_000.0 };
        let slopes =
            [flat(1.0, 100.0), rest, ramp, flat(1.0, 1_000.0), Slope { to: 200.0, ..flat(2.0, 600.0) }];
        // Requests due from second to second.
        let expected = [100, 0, 0, 125, 375, 625, 875, 1_000, 500, 300];
        let times = times(Process::Constant, &slopes, alone(1));
        assert!(times.is_sorted() && times.len() == 3_900, "{}", times.len());
        for (second, expected) in (0..).zip(expected) {
            let count = times.iter().filter(|time| **time as i64 == second).count();
            assert!(count.abs_diff(expected) <= 1, "second {second}: {count}, not {expected}");
        }
    }

    #[test]
    fn workers_share_a_rate_and_take_turns() {
        let slopes = [flat(1.0, 1_000.0), Slope { seconds: 1.0, from: 1_000.0, to: 3_000.0 }];
        let whole = times(Process::Constant, &slopes, alone(1));
        let part = |worker| times(Process::Constant, &slopes, Share { worker, workers: 3, seed: 1 });
        let mut parts: Vec<f64> = (0..3).flat_map(part).collect();
        parts.sort_by(f64::total_cmp);
        assert_eq!((whole.len(), &parts), (3_000, &whole));
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread_of_a_poisson_process() {
        for workers in [1, 4] {
            let part = |worker| {
                let share = Share { worker, workers, seed: 7 };
                times(Process::Poisson, &[flat(50.0, 1_000.0)], share)
            };
            let mut all: Vec<f64> = (0..workers).flat_map(part).collect();
            all.sort_by(f64::total_cmp);
            // Five standard deviations.
            assert!(all.len().abs_diff(50_000) < 1_120, "{}", all.len());
            let gaps: Vec<f64> = all.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
            let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
            let spread = variance.sqrt() / mean;
            assert!((0.97..1.03).contains(&spread), "an exponential distribution has 1, found {spread}");
            assert_eq!(part(0), part(0), "it is repeatable");
        }
    }

    #[test]
    fn what_is_left_is_counted_or_expected() {
        let slopes = [flat(1.0, 1_000.0), flat(1.0, 500.0)];
        for process in [Process::Constant, Process::Poisson] {
            for share in [alone(3), Share { worker: 1, workers: 2, seed: 3 }] {
                let mut times = Times::new(process, slopes.to_vec(), share);
                let mut sent = 0;
                while times.next().is_some_and(|time| time < 0.5) {
                    times.sent();
                    sent += 1;
                }
                let (left, workers) = (times.left(f64::INFINITY), u64::from(share.workers));
                assert!((sent + left).abs_diff(1_500 / workers) <= 100, "{sent} and {left}");
                while times.next().is_some() {
                    times.sent();
                }
                assert_eq!(times.left(f64::INFINITY), 0);
            }
        }
    }
}
