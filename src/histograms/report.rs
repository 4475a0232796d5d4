//! What is drawn: the plot, and the page of all plots and tables.

use super::{Read, WHOLE};
use auriga_plots::chart::Chart;
use auriga_plots::page::{Page, Section};
use auriga_plots::recording::{Core, Recording};
use auriga_plots::table::of_figures;
use auriga_plots::views::{
    Named, comparison, figures_over_time, has_times, latency_by_percentile, latency_over_time, spread,
    spread_by_percentile, throughput,
};

/// Latency by percentile: the rows of the whole, or of the stages that were chosen.
pub(super) fn plot(read: &[Read], logarithmic: bool) -> Chart {
    let named: Vec<Named<'_>> = read.iter().map(|one| (one.name.as_str(), &one.rows)).collect();
    let stages = stages(&read[0].rows);
    latency_by_percentile(&title(&stages), &named, &stages, logarithmic)
}

/// The whole if it is there and others are, too, which are its parts, and what a client measured; else all.
fn stages(recording: &Recording) -> Vec<&str> {
    let stages = recording.stages();
    let of_client = |stage: &str| recording.of_stage(stage).any(|row| row.core == Core::Client);
    match stages.contains(&WHOLE) {
        true => stages.into_iter().filter(|stage| *stage == WHOLE || of_client(stage)).collect(),
        false => stages,
    }
}

fn title(stages: &[&str]) -> String {
    match stages {
        [WHOLE] => "Latency of requests by percentile".into(),
        stages => format!("Latency by percentile: {}", stages.join(", ")),
    }
}

/// The page of one recording, or of several that are compared.
pub(super) fn page(read: &[Read], logarithmic: bool) -> Page {
    let stages = stages(&read[0].rows);
    let mut sections = Vec::new();
    if let [one] = read {
        sections.push(Section::Text(format!("{}, {:.1} s", one.name, one.rows.seconds)));
        show_one(one, &stages, logarithmic, &mut sections);
        return Page { title: "Latencies of an Auriga server".into(), sections };
    }
    for (number, one) in read.iter().enumerate() {
        sections.push(Section::Text(format!("{}: {}, {:.1} s", number + 1, one.name, one.rows.seconds)));
    }
    compare(read, &stages, logarithmic, &mut sections);
    Page { title: format!("{} recordings of Auriga servers", read.len()), sections }
}

fn show_one(one: &Read, stages: &[&str], logarithmic: bool, sections: &mut Vec<Section>) {
    let (rows, merged) = ([(one.name.as_str(), &one.rows)], [(one.name.as_str(), &one.merged)]);
    sections.push(Section::Heading("Latency by percentile".into()));
    sections.push(Section::Chart(latency_by_percentile(&title(stages), &rows, stages, logarithmic)));
    let all = one.merged.stages_of_cores();
    if all.len() > 1 {
        let title = "Where the time goes: each stage, all cores together";
        sections.push(Section::Chart(latency_by_percentile(title, &merged, &all, logarithmic)));
    }
    if has_times(&one.rows) {
        sections.push(Section::Heading("Over time".into()));
        let has_course = |stage: &&&str| one.rows.of_stage(stage).any(|row| row.intervals.len() > 1);
        for stage in stages.iter().filter(has_course) {
            sections.push(Section::Chart(throughput(&rows, stage)));
            for row in one.merged.of_stage(stage) {
                let whose = if row.core == Core::Client { "of the client" } else { "all cores together" };
                let title = format!("Latency over time, {whose}: {stage}");
                sections.push(Section::Chart(figures_over_time(&title, row, logarithmic)));
            }
            let title = format!("p99 over time: {stage}");
            sections.push(Section::Chart(latency_over_time(&title, &rows, stage, logarithmic, |f| f.p99)));
        }
    }
    sections.push(Section::Heading("Figures".into()));
    sections.push(Section::Table(of_figures(&one.rows)));
    sections.push(Section::Text("All cores together:".into()));
    sections.push(Section::Table(of_figures(&one.merged)));
}

fn compare(read: &[Read], stages: &[&str], logarithmic: bool, sections: &mut Vec<Section>) {
    let short: Vec<String> = (1..=read.len()).map(|number| format!("run {number}")).collect();
    let named = |pick: fn(&Read) -> &Recording| -> Vec<Named<'_>> {
        short.iter().map(String::as_str).zip(read.iter().map(pick)).collect()
    };
    let (rows, merged) = (named(|one| &one.rows), named(|one| &one.merged));
    sections.push(Section::Heading("Latency by percentile".into()));
    let together = format!("{}, all cores together", title(stages));
    sections.push(Section::Chart(latency_by_percentile(&together, &merged, stages, logarithmic)));
    sections.push(Section::Chart(latency_by_percentile(&title(stages), &rows, stages, logarithmic)));
    if read.iter().any(|one| has_times(&one.merged)) {
        sections.push(Section::Heading("Over time".into()));
        for stage in stages {
            sections.push(Section::Chart(throughput(&merged, stage)));
            let title = format!("p99 over time, all cores together: {stage}");
            sections.push(Section::Chart(latency_over_time(&title, &merged, stage, logarithmic, |f| f.p99)));
        }
    }
    sections.push(Section::Heading("Compared with the first, all cores together".into()));
    sections.push(Section::Table(comparison(&merged)));
    sections.push(Section::Heading("How far they are apart".into()));
    for stage in stages {
        let title =
            format!("Median of {} recordings, and the area between the outer ones: {stage}", read.len());
        sections.push(Section::Chart(spread_by_percentile(&title, &merged, stage, logarithmic)));
    }
    sections.push(Section::Table(spread(&merged)));
}
