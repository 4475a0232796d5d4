//! What the generator itself costs, and whether it was what held the load back.
//!
//! A worker is late when it sends a request after the request was due and there was room for it. A worker is busy while it is
//! on a CPU or waits for one. If either is large, the figures show the generator and not the server.

use crate::figures::Figures;
use crate::report::Latency;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use std::time::{Duration, Instant};

/// The generator is the bottleneck from this share of the p99 latency on, if its own p99 lateness is as long.
const LATENESS_SHARE_MAX: f64 = 0.1;
/// The generator is the bottleneck if its busiest thread was busy for more than this share of the time.
const BUSY_SHARE_MAX: f64 = 0.9;

/// The clocks of the calling thread.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    wall: Instant,
    on_cpu: Duration,
    waited: Duration,
}

impl Clocks {
    /// What they show now.
    pub fn now() -> Self {
        let on_cpu = clock_gettime(ClockId::ThreadCPUTime);
        let on_cpu = Duration::new(on_cpu.tv_sec as u64, on_cpu.tv_nsec as u32);
        Self { wall: Instant::now(), on_cpu, waited: waited_for_a_cpu() }
    }

    /// What the thread has spent since.
    pub fn spent(&self) -> Spent {
        let now = Self::now();
        let (whole, on_cpu) = (now.wall - self.wall, now.on_cpu - self.on_cpu);
        let waited = now.waited.saturating_sub(self.waited);
        let busy = (on_cpu + waited).as_secs_f64() / whole.as_secs_f64().max(1e-9);
        Spent { whole, on_cpu, waited, busiest: busy.min(1.0) }
    }
}

/// How long the calling thread could have run and had no CPU; 0 where the kernel doesn't say.
fn waited_for_a_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().nth(1).and_then(|field| field.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

/// What threads spent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// The time that passed, of every thread.
    whole: Duration,
    /// On a CPU.
    on_cpu: Duration,
    /// Waiting for one.
    waited: Duration,
    /// The share of the time in which the busiest of them was on a CPU or waited for one.
    busiest: f64,
}

impl Spent {
    /// Adds another thread's, or another time's.
    pub fn add(&mut self, other: &Self) {
        self.whole += other.whole;
        self.on_cpu += other.on_cpu;
        self.waited += other.waited;
        self.busiest = self.busiest.max(other.busiest);
    }
}

/// What is said of the generator.
#[derive(Debug, Serialize)]
pub struct Generator {
    /// From the time at which a request was due and there was room for it until it was sent; zeros in a closed loop.
    pub lateness_us: Latency,
    /// Share of the time that its threads were on a CPU.
    pub cpu_share: f64,
    /// Share of the time that its threads waited for a CPU.
    pub waiting_share: f64,
    /// Share of the time that the busiest of them was on a CPU or waited for one.
    pub busiest_share: f64,
    /// Whether it was what held the load back.
    pub bottleneck: bool,
    /// Why, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Generator {
    /// Judges what was measured.
    pub fn of(figures: &Figures) -> Self {
        let Figures { spent, latency, lateness, .. } = figures;
        let share = |part: Duration| part.as_secs_f64() / spent.whole.as_secs_f64().max(1e-9);
        let lateness_us = Latency::of(lateness);
        let reason = reason(lateness_us.p99, Latency::of(latency).p99, spent.busiest);
        Self {
            lateness_us,
            cpu_share: share(spent.on_cpu),
            waiting_share: share(spent.waited),
            busiest_share: spent.busiest,
            bottleneck: reason.is_some(),
            reason,
        }
    }

    /// In words.
    pub fn words(&self) -> String {
        let Self { lateness_us: Latency { p50, p99, max, .. }, cpu_share, waiting_share, .. } = self;
        let percent = |share: f64| share * 100.0;
        let mut text = format!(
            "generator: on a CPU {:.0} % of its threads' time, waiting for one {:.0} %",
            percent(*cpu_share),
            percent(*waiting_share)
        );
        if *max > 0.0 {
            text += &format!("; its own lateness: p50 {p50:.0} us, p99 {p99:.0} us, max {max:.0} us");
        }
        if let Some(reason) = &self.reason {
            text +=
                &format!("\nTHE GENERATOR WAS THE BOTTLENECK, the figures are not the server's: {reason}");
        }
        text
    }
}

/// Why the generator was the bottleneck, if it was: of its p99 lateness, of the p99 latency, and of how busy its busiest thread was.
fn reason(lateness_us: f64, latency_us: f64, busiest: f64) -> Option<String> {
    if lateness_us > latency_us * LATENESS_SHARE_MAX {
        return Some(format!(
            "its p99 lateness of {lateness_us:.0} us is more than {:.0} % of the p99 latency of {latency_us:.0} us",
            LATENESS_SHARE_MAX * 100.0
        ));
    }
    (busiest > BUSY_SHARE_MAX).then(|| {
        format!(
            "its busiest thread ran or waited for a CPU {:.0} % of the time, more than {:.0} %: give it more --workers, or a \
             CPU of its own",
            busiest * 100.0,
            BUSY_SHARE_MAX * 100.0
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_blamed_for_lateness_and_for_a_full_cpu() {
        let cases = [
            ((0.0, 0.0, 0.0), None),
            ((99.0, 1_000.0, 0.9), None),
            ((101.0, 1_000.0, 0.2), Some("p99 lateness of 101 us")),
            ((0.0, 1_000.0, 0.91), Some("91 % of the time")),
        ];
        for ((lateness, latency, busiest), expected) in cases {
            let reason = reason(lateness, latency, busiest);
            assert_eq!(reason.is_some(), expected.is_some(), "{lateness} {latency} {busiest}: {reason:?}");
            assert!(reason.unwrap_or_default().contains(expected.unwrap_or_default()));
        }
    }

    #[test]
    fn a_thread_that_computes_is_busy_and_one_that_sleeps_is_not() {
        let clocks = Clocks::now();
        while clocks.wall.elapsed() < Duration::from_millis(20) {
            std::hint::black_box(clocks);
        }
        let computed = clocks.spent();
        // Two clocks, read one after the other, one of which is disciplined.
        let most = computed.whole + Duration::from_millis(1);
        assert!(computed.on_cpu > Duration::ZERO && computed.on_cpu <= most, "{computed:?}");
        let clocks = Clocks::now();
        std::thread::park_timeout(Duration::from_millis(20));
        let slept = clocks.spent();
        assert!(slept.on_cpu < slept.whole / 2, "{slept:?}");
        let mut both = computed;
        both.add(&slept);
        assert_eq!(
            (both.whole, both.busiest),
            (computed.whole + slept.whole, computed.busiest.max(slept.busiest))
        );
    }
}
