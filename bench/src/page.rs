//! The report of a run for people: one page of HTML that needs no other file (`run --report`).

use crate::args::RunArgs;
use crate::report::{Report, StageRow, count};
use crate::run::Measured;
use crate::steps::PhaseReport;
use crate::timeline::{Moment, Timeline};
use auriga_plots::axis::{Axis, Unit};
use auriga_plots::chart::{Chart, Curve, latency_axis};
use auriga_plots::figures::{Figures, curve};
use auriga_plots::number::{microseconds, time};
use auriga_plots::page::{Page, Section};
use auriga_plots::recording::{Choice, Recording};
use auriga_plots::table::{Table, of_figures};
use auriga_plots::views::latency_by_percentile;
use hdrhistogram::Histogram;

/// What a report is about.
#[derive(Debug)]
pub struct Run<'a> {
    /// What was asked for.
    pub args: &'a RunArgs,
    /// What was measured.
    pub measured: &'a Measured,
    /// Its figures.
    pub report: &'a Report,
    /// Why the server wanted no more, if it did.
    pub stopped: Option<&'a String>,
}

/// A name and a value.
pub type Pair = (String, String);

fn pair(name: &str, value: impl Into<String>) -> Pair {
    (name.into(), value.into())
}

/// The page, with these names and values of where it ran.
pub fn of_a_run(run: &Run<'_>, environment: &[Pair]) -> Page {
    let Run { args, measured, report, .. } = run;
    let mut sections = verdicts(run);
    sections.push(Section::Heading("Result".into()));
    sections.push(Section::Pairs(result(args, report)));
    sections.push(Section::Table(latencies(measured)));
    sections.push(Section::Heading("Over time".into()));
    over_time(measured, &mut sections);
    sections.push(Section::Heading("Latency by percentile".into()));
    let curves = [("corrected", &measured.figures.latency), ("raw", &measured.figures.raw_latency)];
    let mut curves = curves.map(|(name, histogram)| Curve::new(name, curve(histogram)));
    curves[1].dashed = true;
    let title = "Latency of a request, from the intended send (corrected) and from the actual one (raw)";
    sections.push(Section::Chart(Chart::percentiles(title, curves.into(), true)));
    sections.push(Section::Heading("Where the time goes in the server".into()));
    stages(&measured.stages, measured.timeline.measured().1, &mut sections);
    if measured.phases.len() > 1 {
        sections.push(Section::Heading("Phases".into()));
        sections.push(Section::Table(phases(&measured.phases)));
    }
    sections.push(Section::Heading("Environment".into()));
    sections.push(Section::Pairs(environment.to_vec()));
    let title =
        format!("Load run: {} transfers/s, {}", count(report.transfers_per_second as u64), report.workload);
    Page { title, sections }
}

/// What a reader must know before any figure.
fn verdicts(run: &Run<'_>) -> Vec<Section> {
    let Run { measured, report, stopped, .. } = run;
    let mut sections = Vec::new();
    let mut say = |good: bool, text: String| sections.push(Section::Verdict(good, text));
    if let Some(failure) = &measured.failed {
        say(false, format!("The run failed: {failure}"));
    }
    if let Some(why) = stopped {
        say(false, format!("Stopped early, the server refused a request: {why}"));
    }
    match report.verification {
        Some(coverage) if report.verified => {
            let looked_up = count(coverage.looked_up);
            let words = coverage.words();
            say(
                true,
                format!("Verified: every balance, and the transfers of {looked_up} requests ({words})"),
            );
        }
        None if measured.failed.is_none() => say(false, "Not verified: --verify none".into()),
        _ => say(false, "NOT VERIFIED: the ledger is not what the generator's model says".into()),
    }
    match &report.generator.reason {
        Some(reason) => {
            say(
                false,
                format!("The generator was the bottleneck, the figures are not the server's: {reason}"),
            );
        }
        None => say(true, "The generator was not the bottleneck".into()),
    }
    if report.unsent > 0 {
        say(false, format!("Behind schedule: {} requests were due and not sent", count(report.unsent)));
    }
    if report.unanswered > 0 {
        say(false, format!("{} requests were sent and never answered", count(report.unanswered)));
    }
    for budget in &report.budgets {
        let word = if budget.met { "met" } else { "missed" };
        say(budget.met, format!("Budget {word}: {}: {}", budget.require, budget.words));
    }
    sections
}

fn result(args: &RunArgs, report: &Report) -> Vec<Pair> {
    let number = |name: &str, number: u64| pair(name, count(number));
    let mut pairs = vec![
        number("transfers a second", report.transfers_per_second as u64),
        number("transfers created", report.transfers),
        number("transfers refused", report.refused),
        pair("measured time", format!("{:.3} s", report.seconds)),
        pair(
            "work",
            format!(
                "{}, {} accounts drawn {}",
                report.workload,
                count(args.accounts.into()),
                report.accounts_drawn
            ),
        ),
        pair("transfers a request", report.sizes.clone()),
        pair(
            "connections",
            format!("{} with {} requests in flight", count(args.connections.into()), args.in_flight),
        ),
        pair("logged", format!("{} bytes in {} flushes", count(report.bytes_logged), count(report.flushes))),
        pair(
            "generator",
            format!("{:.0} % of its threads' time on a CPU", report.generator.cpu_share * 100.0),
        ),
    ];
    let more = [
        ("pending transfers", report.pendings),
        ("posts", report.posts),
        ("voids", report.voids),
        ("linked chains", report.chains),
        ("look-ups and queries", report.lookups),
        ("accounts created under load", report.accounts),
        ("requests refused as a whole", report.errors),
    ];
    pairs.extend(more.into_iter().filter(|(_, value)| *value > 0).map(|(name, value)| number(name, value)));
    if let Some(knee) = &report.knee {
        pairs.push(pair("knee", knee.words().trim_start_matches("knee: ")));
    }
    pairs
}

/// The figures of what the generator measured, microseconds.
fn latencies(measured: &Measured) -> Table {
    let times = Figures::TIMES.map(|name| format!("{name} us"));
    let mut table = Table::new(1, ["latency", "count"].map(String::from).into_iter().chain(times));
    let figures = &measured.figures;
    let rows: [(&str, &Histogram<u64>); 5] = [
        ("corrected", &figures.latency),
        ("raw", &figures.raw_latency),
        ("reads", &figures.lookups),
        ("new accounts", &figures.new_accounts),
        ("generator's lateness", &figures.lateness),
    ];
    for (name, histogram) in rows.into_iter().filter(|(_, histogram)| !histogram.is_empty()) {
        let figures = Figures::of(histogram);
        let cells = [name.to_string(), count(figures.count)];
        table.rows.push(cells.into_iter().chain(figures.times().map(microseconds)).collect());
    }
    table
}

/// A curve of a value of each moment that has one, which holds until its end.
fn steps(name: &str, timeline: &Timeline, value: impl Fn(&Moment<'_>) -> Option<f64>) -> Curve {
    let mut points: Vec<(f64, f64)> = Vec::new();
    let mut end = None;
    for moment in timeline.moments() {
        if let Some(value) = value(&moment) {
            points.push((moment.start, value));
            end = Some((moment.start + moment.seconds, value));
        }
    }
    points.extend(end);
    Curve { steps: true, ..Curve::new(name, points) }
}

fn chart(
    title: &str,
    axis: impl Fn(&mut dyn Iterator<Item = f64>) -> Axis,
    curves: Vec<Curve>,
    timeline: &Timeline,
) -> Chart {
    let y = axis(&mut curves.iter().flat_map(|curve| &curve.points).map(|(_, value)| *value));
    let mut chart = Chart::over_time(title, y, curves);
    if timeline.stretches.len() > 1 {
        chart.marks =
            timeline.stretches.iter().map(|stretch| (stretch.start, stretch.name.clone())).collect();
    }
    chart
}

fn dashed(curve: Curve) -> Curve {
    Curve { dashed: true, ..curve }
}

fn over_time(measured: &Measured, sections: &mut Vec<Section>) {
    let timeline = &measured.timeline;
    let amount = |title: &'static str| {
        move |values: &mut dyn Iterator<Item = f64>| Axis::linear(title, Unit::Amount, values)
    };
    let mut curves = vec![steps("created", timeline, |moment| Some(moment.rate()))];
    if timeline.moments().any(|moment| moment.due.is_some()) {
        curves.push(dashed(steps("due", timeline, |moment| moment.due.map(|due| moment.per_second(due)))));
    }
    if timeline.moments().any(|moment| moment.point.refused > 0) {
        curves
            .push(steps("refused", timeline, |moment| Some(moment.per_second(moment.point.refused as f64))));
    }
    sections.push(Section::Chart(chart(
        "Throughput over time",
        amount("transfers a second"),
        curves,
        timeline,
    )));

    let figures: Vec<(Figures, Figures)> = timeline
        .moments()
        .map(|moment| {
            [&moment.point.latency, &moment.point.raw_latency].map(|sparse| Figures::of(&sparse.histogram()))
        })
        .map(|[corrected, raw]| (corrected, raw))
        .collect();
    let line = |name: &str, value: fn(&(Figures, Figures)) -> (u64, u64)| {
        let each = std::cell::Cell::new(0);
        steps(name, timeline, |_| {
            let (count, value) = value(&figures[each.replace(each.get() + 1)]);
            (count > 0).then_some(value as f64)
        })
    };
    let mut curves = vec![
        line("p50", |(corrected, _)| (corrected.count, corrected.p50)),
        line("p99", |(corrected, _)| (corrected.count, corrected.p99)),
        line("max", |(corrected, _)| (corrected.count, corrected.max)),
    ];
    if !measured.figures.lateness.is_empty() {
        curves.push(dashed(line("raw p50", |(_, raw)| (raw.count, raw.p50))));
        curves.push(dashed(line("raw p99", |(_, raw)| (raw.count, raw.p99))));
    }
    let axis = |values: &mut dyn Iterator<Item = f64>| latency_axis(values, true);
    sections.push(Section::Chart(chart("Latency of a request over time", axis, curves, timeline)));

    if timeline.moments().any(|moment| moment.point.unsent + moment.point.errors > 0) {
        let curves = vec![
            steps("due and not sent", timeline, |moment| Some(moment.point.unsent as f64)),
            steps("errors", timeline, |moment| Some(moment.point.errors as f64)),
        ];
        sections.push(Section::Chart(chart(
            "Requests that were not served",
            amount("requests"),
            curves,
            timeline,
        )));
    }
}

/// Each core's stages of the measured time, and those of all cores together.
fn stages(rows: &[StageRow], seconds: f64, sections: &mut Vec<Section>) {
    let parts = || rows.iter().map(|row| (row.shard, row.stage.clone(), row.histogram.clone()));
    let read = |merge| Recording::of(parts(), seconds, &Choice { merge, ..Choice::default() });
    let (Ok(cores), Ok(merged)) = (read(false), read(true)) else {
        sections.push(Section::Text("The server could not be asked after the load.".into()));
        return;
    };
    let of_all = merged.stages();
    let title = "Each stage, all cores together";
    sections.push(Section::Chart(latency_by_percentile(title, &[("", &merged)], &of_all, true)));
    for stage in &of_all {
        let title = format!("Each core: {stage}");
        sections.push(Section::Chart(latency_by_percentile(&title, &[("", &cores)], &[stage], true)));
    }
    sections.push(Section::Table(of_figures(&cores)));
    sections.push(Section::Text("All cores together:".into()));
    sections.push(Section::Table(of_figures(&merged)));
}

fn phases(phases: &[PhaseReport]) -> Table {
    let head = [
        "phase",
        "seconds",
        "due/s",
        "created/s",
        "refused",
        "unsent",
        "p50",
        "p99",
        "max",
        "raw p99",
        "generator",
    ];
    let mut table = Table::new(1, head.map(String::from));
    for phase in phases {
        let us = |value: f64| time(value * 1e3);
        let latency = phase.latency_us;
        let remark = if phase.measured { "" } else { ", not measured" };
        let generator = if phase.generator_bottleneck { "bottleneck" } else { "in time" };
        table.rows.push(vec![
            format!("{}{remark}", phase.name),
            format!("{:.1}", phase.seconds),
            phase.offered_per_second.map_or_else(|| "-".into(), |due| count(due as u64)),
            count(phase.transfers_per_second as u64),
            count(phase.refused),
            count(phase.unsent + phase.unanswered),
            us(latency.p50),
            us(latency.p99),
            us(latency.max),
            us(phase.raw_latency_us.p99),
            generator.into(),
        ]);
    }
    table
}
