//! How a whole run went over time: its phases' series one behind the other, and what charts, `--csv` and `--hlog` show of them.

use crate::arrivals::{Slope, due_by};
use crate::phase::{Part, Phase};
use crate::report::StageRow;
use crate::series::{POINTS_MAX, Point, Series};
use auriga_plots::figures::Figures;
use auriga_plots::log::{self, Entry};
use auriga_plots::recording::Core;
use serde::Serialize;
use std::borrow::Cow;
use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime};

/// What rows of the generator's are called in a log: latency from the intended send time, and from the actual one.
const CORRECTED: &str = "corrected";
const RAW: &str = "raw";

/// A phase of the run.
#[derive(Debug)]
pub struct Stretch {
    /// Its name.
    pub name: String,
    /// Whether it is in the figures of the whole.
    pub measured: bool,
    /// Its start, seconds since the run's.
    pub start: f64,
    /// Until the last reply.
    pub seconds: f64,
    rate: Option<Vec<Slope>>,
    series: Series,
}

/// All phases of a run.
#[derive(Debug)]
pub struct Timeline {
    /// When the run began.
    pub began: SystemTime,
    started: Instant,
    /// The phases, one after the other.
    pub stretches: Vec<Stretch>,
}

/// A piece of time, and what happened in it.
#[derive(Debug)]
pub struct Moment<'a> {
    /// The phase it is of.
    pub stretch: &'a Stretch,
    /// Its start, seconds since the run's.
    pub start: f64,
    /// Its length.
    pub seconds: f64,
    /// Transfers that were due in it; none in a closed loop.
    pub due: Option<f64>,
    /// What happened.
    pub point: &'a Point,
}

impl Moment<'_> {
    /// Transfers acknowledged as created a second.
    pub fn rate(&self) -> f64 {
        self.per_second(self.point.created as f64)
    }

    /// So many a second.
    pub fn per_second(&self, number: f64) -> f64 {
        number / self.seconds.max(1e-9)
    }
}

impl Timeline {
    /// Of a run that begins now.
    pub fn new(started: Instant) -> Self {
        Self { began: SystemTime::now(), started, stretches: Vec::new() }
    }

    /// Adds a phase that is over.
    pub fn add(&mut self, phase: &Phase, part: &mut Part) {
        let mut series = std::mem::take(&mut part.series);
        if let Some(last) = series.points.last_mut() {
            last.errors += part.figures.unanswered;
        }
        self.stretches.push(Stretch {
            name: phase.name.clone(),
            measured: phase.measured,
            start: part.start.saturating_duration_since(self.started).as_secs_f64(),
            seconds: part.seconds,
            rate: phase.rate.clone(),
            series,
        });
        self.bound();
    }

    /// Of something that has one phase, which began with it.
    pub fn of_one(name: &str, started: Instant, seconds: f64, series: Series) -> Self {
        let began = SystemTime::now() - started.elapsed();
        let stretch = Stretch { name: name.into(), measured: true, start: 0.0, seconds, rate: None, series };
        let mut timeline = Self { began, started, stretches: vec![stretch] };
        timeline.bound();
        timeline
    }

    /// Folds points of all phases until they are not too many, or there is one for each phase.
    fn bound(&mut self) {
        let widest = self.stretches.iter().map(|stretch| stretch.series.width).max().unwrap_or(1);
        for stretch in &mut self.stretches {
            while stretch.series.width < widest {
                stretch.series.fold();
            }
        }
        let points = |stretches: &[Stretch]| {
            stretches.iter().map(|stretch| stretch.series.points.len()).sum::<usize>()
        };
        while points(&self.stretches) > POINTS_MAX
            && self.stretches.iter().any(|stretch| stretch.series.points.len() > 1)
        {
            self.stretches.iter_mut().for_each(|stretch| stretch.series.fold());
        }
        self.stretches.iter_mut().for_each(Stretch::close);
    }

    /// The pieces of time, one behind the other without a gap within a phase.
    pub fn moments(&self) -> impl Iterator<Item = Moment<'_>> {
        self.stretches.iter().flat_map(Stretch::moments)
    }

    /// When the measured phases began, and how long they took, seconds.
    pub fn measured(&self) -> (f64, f64) {
        let measured = || self.stretches.iter().filter(|stretch| stretch.measured);
        let start = measured().next().map_or(0.0, |first| first.start);
        (start, measured().next_back().map_or(0.0, |last| last.start + last.seconds - start))
    }

    /// Writes a log of histograms: of the measured phases, each core's stages in one interval, and the generator's latencies piece
    /// by piece.
    pub fn write_hlog(&self, out: &mut impl Write, stages: &[StageRow]) -> io::Result<()> {
        let seconds = Duration::from_secs_f64;
        let entry = |core: Core, stage: &str, (start, length), histogram| {
            let tag = core.tag(stage).expect("a single core has a tag");
            Entry { tag, start: seconds(start), length: seconds(length), histogram }
        };
        let of_cores = stages.iter().map(|row| {
            entry(Core::One(row.shard), &row.stage, self.measured(), Cow::Borrowed(&row.histogram))
        });
        let of_client = self.moments().filter(|moment| moment.stretch.measured).flat_map(|moment| {
            let Point { latency, raw_latency, .. } = moment.point;
            [(CORRECTED, latency), (RAW, raw_latency)].map(|(stage, histogram)| {
                let time = (moment.start, moment.seconds);
                entry(Core::Client, stage, time, Cow::Owned(histogram.histogram()))
            })
        });
        log::write(out, self.began, of_cores.chain(of_client))
    }

    /// Writes a line for each piece of time.
    pub fn write_csv(&self, out: &mut impl Write) -> io::Result<()> {
        let mut csv = csv::Writer::from_writer(out);
        for moment in self.moments() {
            csv.serialize(Line::of(&moment)).map_err(io::Error::other)?;
        }
        csv.flush()
    }
}

impl Stretch {
    /// Slots without a point get one. What is left behind the last whole slot belongs to that, if it is short: a rate of so short
    /// a time says nothing.
    fn close(&mut self) {
        let width = f64::from(self.series.width);
        let mut whole: Vec<Point> = Vec::with_capacity(self.series.points.len());
        for point in self.series.points.drain(..) {
            while whole.len() < point.slot as usize {
                let unsent = whole.last().map_or(0, |last| last.unsent);
                whole.push(Point { slot: whole.len() as u32, unsent, ..Point::default() });
            }
            whole.push(point);
        }
        if let [.., before, last] = &mut whole[..]
            && self.seconds - f64::from(last.slot) * width < width / 2.0
        {
            before.add_later(last);
            whole.pop();
        }
        self.series.points = whole;
    }

    fn moments(&self) -> impl Iterator<Item = Moment<'_>> {
        let (width, last) = (f64::from(self.series.width), self.series.points.len());
        self.series.points.iter().map(move |point| {
            let start = f64::from(point.slot) * width;
            let end = if point.slot as usize + 1 == last { self.seconds } else { start + width };
            let due = self.rate.as_ref().map(|rate| due_by(rate, end) - due_by(rate, start));
            Moment { stretch: self, start: self.start + start, seconds: end - start, due, point }
        })
    }
}

/// A line of `--csv`. Latencies are empty where nothing was answered.
#[derive(Debug, Serialize)]
struct Line<'a> {
    start_s: f64,
    seconds: f64,
    phase: &'a str,
    measured: bool,
    offered_per_second: Option<f64>,
    transfers_per_second: f64,
    transfers: u64,
    refused: u64,
    errors: u64,
    unsent: u64,
    requests: u64,
    p50_us: Option<f64>,
    p99_us: Option<f64>,
    max_us: Option<f64>,
    raw_p50_us: Option<f64>,
    raw_p99_us: Option<f64>,
    raw_max_us: Option<f64>,
}

impl<'a> Line<'a> {
    fn of(moment: &Moment<'a>) -> Self {
        let Moment { stretch, start, seconds, due, point } = *moment;
        let latency = Figures::of(&point.latency.histogram());
        let raw = Figures::of(&point.raw_latency.histogram());
        let thousandth = |value: f64| (value * 1e3).round() / 1e3;
        let us = |value: u64| (latency.count > 0).then_some(value as f64 / 1e3);
        Line {
            start_s: thousandth(start),
            seconds: thousandth(seconds),
            phase: &stretch.name,
            measured: stretch.measured,
            offered_per_second: due.map(|due| thousandth(moment.per_second(due))),
            transfers_per_second: thousandth(moment.rate()),
            transfers: point.created,
            refused: point.refused,
            errors: point.errors,
            unsent: point.unsent,
            requests: latency.count,
            p50_us: us(latency.p50),
            p99_us: us(latency.p99),
            max_us: us(latency.max),
            raw_p50_us: us(raw.p50),
            raw_p99_us: us(raw.p99),
            raw_max_us: us(raw.max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Figures as Measured;

    fn add(timeline: &mut Timeline, name: &str, start: f64, seconds: f64, slots: &[(u32, u64)]) {
        let rate = Some(vec![Slope { seconds: seconds.floor().max(0.5), from: 0.0, to: 100.0 }]);
        let phase = Phase { name: name.into(), seconds, rate, in_flight: None, measured: true, step: false };
        let point =
            |(slot, created): &(u32, u64)| Point { slot: *slot, created: *created, ..Point::default() };
        let series = Series { width: 1, points: slots.iter().map(point).collect() };
        let start = timeline.started + Duration::from_secs_f64(start);
        let figures = Measured { unanswered: 3, ..Measured::new(false) };
        timeline.add(&phase, &mut Part { figures, series, start, seconds, failed: None });
    }

    #[test]
    fn phases_follow_each_other_without_gaps_and_short_ends() {
        let mut timeline = Timeline::new(Instant::now());
        add(&mut timeline, "a", 0.0, 4.1, &[(0, 10), (2, 20), (3, 30), (4, 1)]);
        add(&mut timeline, "b", 5.0, 0.5, &[(0, 5)]);
        let told: Vec<_> = timeline
            .moments()
            .map(|moment| {
                let tenth = |value: f64| (value * 10.0).round() as u64;
                let Point { created, errors, .. } = moment.point;
                (moment.stretch.name.as_str(), tenth(moment.start), tenth(moment.seconds), *created, *errors)
            })
            .collect();
        let expected = [("a", 0, 10, 10, 0), ("a", 10, 10, 0, 0), ("a", 20, 10, 20, 0), ("a", 30, 11, 31, 3)];
        assert_eq!(told, [&expected[..], &[("b", 50, 5, 5, 3)]].concat());
        let due: f64 = timeline.moments().filter_map(|moment| moment.due).sum();
        assert!((due - (4.0 * 50.0 + 0.5 * 50.0)).abs() < 1e-6, "{due}: all that is due is due once");
    }

    #[test]
    fn many_phases_have_one_width_and_not_too_many_points() {
        let mut timeline = Timeline::new(Instant::now());
        let slots: Vec<(u32, u64)> = (0..90).map(|slot| (slot, 1)).collect();
        for phase in 0..40 {
            add(&mut timeline, "step", f64::from(phase) * 90.0, 90.0, &slots);
        }
        assert!(timeline.moments().count() <= POINTS_MAX);
        assert_eq!(timeline.moments().map(|moment| moment.point.created).sum::<u64>(), 3_600);
        assert!(timeline.moments().all(|moment| moment.seconds <= 6.0 && moment.seconds >= 2.0));
        let end = timeline.moments().last().map(|moment| moment.start + moment.seconds);
        assert_eq!(end, Some(3_600.0));
    }

    #[test]
    fn the_table_has_a_line_for_each_moment() {
        let mut timeline = Timeline::new(Instant::now());
        add(&mut timeline, "one, two", 0.0, 2.0, &[(0, 10), (1, 20)]);
        let mut text = Vec::new();
        timeline.write_csv(&mut text).expect("memory takes it");
        let text = String::from_utf8(text).expect("UTF-8");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("start_s,seconds,phase,measured,offered_per_second,"), "{text}");
        assert_eq!(lines[1], "0.0,1.0,\"one, two\",true,25.0,10.0,10,0,0,0,0,,,,,,");
        assert_eq!(lines.len(), 3, "{text}");
    }
}
