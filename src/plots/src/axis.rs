//! Axes: which value lies where, which ticks there are, and what they say.

use crate::number;

/// Ticks that an axis has at most, about.
const TICKS: f64 = 6.0;
/// Lengths of time between ticks, seconds.
const STEPS_SECONDS: [f64; 15] = [
    1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 7_200.0, 21_600.0, 86_400.0,
];

/// How values lie along an axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// Values are 1 / (1 - percentile), to this one: each nine is as wide as the one before.
    Percentile(f64),
    /// Evenly, from 0 to this.
    Linear(f64),
    /// Each power of ten as wide as the one before.
    Logarithmic(f64, f64),
}

/// What values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds of a latency.
    Nanoseconds,
    /// Seconds since a beginning.
    Seconds,
    /// A number of things.
    Amount,
    /// 1 / (1 - percentile).
    Percentile,
}

/// An axis.
#[derive(Clone, Debug)]
pub struct Axis {
    /// What it shows, with the unit.
    pub title: String,
    /// What values are.
    pub unit: Unit,
    /// How they lie.
    pub scale: Scale,
}

impl Axis {
    /// Percentiles, as far as the largest 1 / (1 - percentile) of all curves.
    pub fn percentiles(largest: f64) -> Self {
        let title = "percentile, each nine as wide as the one before".into();
        Self { title, unit: Unit::Percentile, scale: Scale::Percentile(largest.max(10.0)) }
    }

    /// Time since a beginning.
    pub fn time(seconds: f64) -> Self {
        Self { title: "time".into(), unit: Unit::Seconds, scale: Scale::Linear(seconds.max(1e-3)) }
    }

    /// From 0 to the largest of the values.
    pub fn linear(title: &str, unit: Unit, values: impl Iterator<Item = f64>) -> Self {
        let largest = values.fold(0.0, f64::max);
        let largest = if largest > 0.0 { largest } else { 1.0 };
        let step = step_of(largest);
        Self { title: title.into(), unit, scale: Scale::Linear((largest / step).ceil() * step) }
    }

    /// From the power of ten below the smallest of the values to the one above the largest. What isn't above 0 has no place there.
    pub fn logarithmic(title: &str, unit: Unit, values: impl Iterator<Item = f64>) -> Self {
        let (mut least, mut largest) = (f64::INFINITY, 0.0);
        for value in values.filter(|value| *value > 0.0) {
            (least, largest) = (f64::min(least, value), f64::max(largest, value));
        }
        let (least, largest) = if least <= largest { (least, largest) } else { (1.0, 10.0) };
        let (low, high) = (10f64.powf(least.log10().floor()), 10f64.powf(largest.log10().ceil()));
        Self {
            title: title.into(),
            unit,
            scale: Scale::Logarithmic(low, if high > low { high } else { low * 10.0 }),
        }
    }

    /// Where a value lies, 0 to 1; what is outside lies at the end.
    pub fn place(&self, value: f64) -> f64 {
        let place = match self.scale {
            Scale::Percentile(largest) => value.log10() / largest.log10(),
            Scale::Linear(largest) => value / largest,
            Scale::Logarithmic(low, high) => (value / low).log10() / (high / low).log10(),
        };
        if place.is_nan() { 0.0 } else { place.clamp(0.0, 1.0) }
    }

    /// What a value is called.
    pub fn text(&self, value: f64) -> String {
        match self.unit {
            Unit::Nanoseconds => number::time(value),
            Unit::Seconds => clock(value),
            Unit::Amount => number::amount(value),
            Unit::Percentile => number::percentile(1.0 - 1.0 / value),
        }
    }

    /// Values that have a line and a name.
    pub fn ticks(&self) -> Vec<f64> {
        let powers = |from: f64, to: f64| {
            let (first, last) = (from.log10().round() as i32, (to.log10() + 1e-9).floor() as i32);
            (first..=last).map(|power| 10f64.powi(power)).collect::<Vec<f64>>()
        };
        match self.scale {
            Scale::Percentile(largest) => {
                let mut ticks = powers(1.0, largest);
                ticks.insert(1, 2.0);
                ticks
            }
            Scale::Linear(largest) => {
                let step = if self.unit == Unit::Seconds { step_of_time(largest) } else { step_of(largest) };
                (0..)
                    .map(|tick| f64::from(tick) * step)
                    .take_while(|value| *value <= largest * 1.000_001)
                    .collect()
            }
            Scale::Logarithmic(low, high) => powers(low, high),
        }
    }
}

/// 1, 2 or 5 times a power of ten.
fn step_of(largest: f64) -> f64 {
    let raw = largest / TICKS;
    let power = 10f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= raw * 0.999_999);
    factor.unwrap_or(10.0) * power
}

fn step_of_time(seconds: f64) -> f64 {
    let raw = seconds / TICKS;
    if raw < STEPS_SECONDS[0] {
        return step_of(seconds);
    }
    STEPS_SECONDS.into_iter().find(|step| *step >= raw).unwrap_or_else(|| (raw / 86_400.0).ceil() * 86_400.0)
}

/// Seconds up to two minutes, then minutes and hours.
fn clock(seconds: f64) -> String {
    if seconds < 120.0 {
        let text = format!("{seconds:.2}");
        return format!("{} s", text.trim_end_matches('0').trim_end_matches('.'));
    }
    let whole = seconds.round() as u64;
    let (hours, minutes, rest) = (whole / 3_600, whole / 60 % 60, whole % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{rest:02}") } else { format!("{minutes}:{rest:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|tick| axis.text(tick)).collect()
    }

    #[test]
    fn percentiles_have_a_tick_for_each_nine() {
        let axis = Axis::percentiles(12_000.0);
        assert_eq!(texts(&axis), ["0%", "50%", "90%", "99%", "99.9%", "99.99%"]);
        let places: Vec<f64> = [10.0, 100.0, 1_000.0].map(|inverse| axis.place(inverse)).into();
        assert!(
            (places[1] - 2.0 * places[0]).abs() < 1e-9 && (places[2] - 3.0 * places[0]).abs() < 1e-9,
            "{places:?}"
        );
        assert_eq!((axis.place(1.0), axis.place(12_000.0)), (0.0, 1.0));
    }

    #[test]
    fn ticks_are_round() {
        let linear = |largest| Axis::linear("", Unit::Nanoseconds, [largest].into_iter());
        assert_eq!(
            texts(&linear(1_130_000.0)),
            ["0 ns", "200 µs", "400 µs", "600 µs", "800 µs", "1 ms", "1.2 ms"]
        );
        assert_eq!(texts(&Axis::time(100.0)), ["0 s", "30 s", "60 s", "90 s"]);
        assert_eq!(texts(&Axis::time(7_200.0)), ["0 s", "30:00", "1:00:00", "1:30:00", "2:00:00"]);
        let log = Axis::logarithmic("", Unit::Nanoseconds, [0.0, 40_000.0, 3e6].into_iter());
        assert_eq!(texts(&log), ["10 µs", "100 µs", "1 ms", "10 ms"]);
        assert_eq!(log.place(0.0), 0.0, "what has no logarithm lies at the end");
        for axis in [linear(0.0), Axis::time(0.0), Axis::logarithmic("", Unit::Amount, std::iter::empty())] {
            assert!((2..=12).contains(&axis.ticks().len()), "{axis:?}");
        }
    }
}
