//! What each phase has shown, and where the knee is: the rate up to which the server kept up.

use crate::figures::Figures;
use crate::generator::Generator;
use crate::phase::Phase;
use crate::report::{Latency, count};
use serde::Serialize;

/// A step is kept up with if this share of what was due was sent and answered.
const KEPT_UP: f64 = 0.99;

/// What a phase has shown.
#[derive(Clone, Debug, Serialize)]
pub struct PhaseReport {
    /// Its name.
    pub name: String,
    /// Whether it is in the figures of the whole run.
    pub measured: bool,
    /// From the first send to the last acknowledgement.
    pub seconds: f64,
    /// Transfers that were due a second, on average; `null` in a closed loop.
    pub offered_per_second: Option<f64>,
    /// Transfers acknowledged as created a second.
    pub transfers_per_second: f64,
    /// Transfers acknowledged as created.
    pub transfers: u64,
    /// Transfers refused.
    pub refused: u64,
    /// Requests that were due and were not sent.
    pub unsent: u64,
    /// Requests that were sent and not answered, because the connection was lost or the server said nothing for too long.
    pub unanswered: u64,
    /// Latency of requests, from the time at which they should have been sent.
    pub latency_us: Latency,
    /// The same from the time at which they were sent.
    pub raw_latency_us: Latency,
    /// The generator's p99 lateness.
    pub generator_lateness_p99_us: f64,
    /// Whether the generator was what held the load back.
    pub generator_bottleneck: bool,
    /// Whether it is a step of a ramp.
    #[serde(skip)]
    step: bool,
    /// The share of the due requests that was sent and answered.
    #[serde(skip)]
    kept_up: f64,
}

impl PhaseReport {
    /// Of a phase and what it measured.
    pub fn of(phase: &Phase, figures: &Figures) -> Self {
        let generator = Generator::of(figures);
        let answered = figures.latency.len();
        let due = answered + figures.unsent + figures.unanswered;
        Self {
            name: phase.name.clone(),
            measured: phase.measured,
            seconds: figures.seconds(),
            offered_per_second: phase.due().map(|due| due / phase.seconds),
            transfers_per_second: figures.counts.created as f64 / figures.seconds().max(1e-9),
            transfers: figures.counts.created,
            refused: figures.counts.refused,
            unsent: figures.unsent,
            unanswered: figures.unanswered,
            latency_us: Latency::of(&figures.latency),
            raw_latency_us: Latency::of(&figures.raw_latency),
            generator_lateness_p99_us: generator.lateness_us.p99,
            generator_bottleneck: generator.bottleneck,
            step: phase.step,
            kept_up: answered as f64 / due.max(1) as f64,
        }
    }

    /// The line above those of phases.
    pub fn header(width: usize) -> String {
        format!(
            "{:<width$} {:>12} {:>12} {:>10} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9}  generator",
            "phase",
            "offered/s",
            "created/s",
            "refused",
            "unsent",
            "p50 ms",
            "p99 ms",
            "p99.9 ms",
            "max ms",
            "raw p99"
        )
    }

    /// Its line.
    pub fn line(&self, width: usize) -> String {
        let offered = self.offered_per_second.map_or_else(|| "-".into(), |offered| count(offered as u64));
        let Latency { p50, p99, p999, max } = self.latency_us;
        let ms = |us: f64| format!("{:.2}", us / 1e3);
        format!(
            "{:<width$} {offered:>12} {:>12} {:>10} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9}  {}",
            self.name,
            count(self.transfers_per_second as u64),
            count(self.refused),
            count(self.unsent + self.unanswered),
            ms(p50),
            ms(p99),
            ms(p999),
            ms(max),
            ms(self.raw_latency_us.p99),
            if self.generator_bottleneck { "BOTTLENECK" } else { "in time" }
        )
    }
}

/// The last step of a rising ramp that the server kept up with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Knee {
    /// Transfers that were due a second in it.
    pub transfers_per_second: f64,
    /// Its p99 latency.
    pub p99_us: f64,
    /// Transfers that were due a second in the step behind it, which the server did not keep up with; `null`: there is none.
    pub too_fast: Option<f64>,
}

impl Knee {
    /// Of these phases; `None` if there are no steps, or not even the first was kept up with.
    pub fn of(phases: &[PhaseReport]) -> Option<Self> {
        let steps: Vec<&PhaseReport> = phases.iter().filter(|phase| phase.step).collect();
        let kept_up = steps.iter().take_while(|step| step.kept_up >= KEPT_UP).count();
        let last = steps.get(kept_up.checked_sub(1)?)?;
        Some(Self {
            transfers_per_second: last.offered_per_second?,
            p99_us: last.latency_us.p99,
            too_fast: steps.get(kept_up).and_then(|step| step.offered_per_second),
        })
    }

    /// In words.
    pub fn words(&self) -> String {
        let behind = match self.too_fast {
            Some(rate) => format!("{} transfers/s were too many", count(rate as u64)),
            None => "no step was too fast: the knee lies higher".into(),
        };
        format!(
            "knee: {} transfers/s were kept up with ({:.0} % of what was due, in time), p99 {:.2} ms; {behind}",
            count(self.transfers_per_second as u64),
            KEPT_UP * 100.0,
            self.p99_us / 1e3
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrivals::Slope;

    fn step(rate: f64, answered: u64, unsent: u64) -> PhaseReport {
        let rate = Some(vec![Slope { seconds: 1.0, from: rate, to: rate }]);
        let phase =
            Phase { name: "a".into(), seconds: 1.0, rate, in_flight: None, measured: true, step: true };
        let mut figures = Figures::new(false);
        figures.latency.record_n(5_000_000, answered).expect("it is in range");
        figures.unsent = unsent;
        PhaseReport::of(&phase, &figures)
    }

    #[test]
    fn the_knee_is_the_last_step_before_the_first_that_was_too_fast() {
        let (good, bad) = ((1_000, 9), (1_000, 12));
        // The knee's rate, and the one that was too fast, 0 if none was.
        let cases = [
            (vec![], None),
            (vec![bad, good], None),
            (vec![good, good, bad, good], Some((2.0, 3.0))),
            (vec![good, good], Some((2.0, 0.0))),
            (vec![good, (0, 5)], Some((1.0, 2.0))),
        ];
        for (steps, expected) in cases {
            let steps =
                (1..).zip(steps).map(|(rate, (answered, unsent))| step(f64::from(rate), answered, unsent));
            let found = Knee::of(&steps.collect::<Vec<_>>());
            assert_eq!(
                found.map(|knee| (knee.transfers_per_second, knee.too_fast.unwrap_or_default())),
                expected
            );
        }
    }
}
