//! The comparison for people: one page of HTML that needs no other file.

use super::Group;
use super::file::RunFile;
use super::judge::{self, Measured};
use auriga_plots::chart::Chart;
use auriga_plots::page::{Page, Section};
use auriga_plots::views::spread_curve;
use hdrhistogram::Histogram;

/// How the table is to be read.
const RULE: &str = "A difference is within the spread if a run of one group lies among the other's, or if the medians are no further apart \
    than three times the larger MAD: the median distance of a group's runs from their median.";

/// The page, which begins with these verdicts.
pub fn of_a_comparison(groups: &[Group], measured: &[Measured], verdicts: Vec<Section>) -> Page {
    let mut sections = verdicts;
    sections.push(Section::Heading("Latency by percentile".into()));
    let more = if groups.iter().any(|group| group.runs.len() > 1) {
        ": each group's median, and the area between its outer runs"
    } else {
        ""
    };
    let chart = |title: &str, pick: fn(&RunFile) -> &Histogram<u64>| {
        let curve = |group: &Group| {
            let histograms: Vec<&Histogram<u64>> = group.runs.iter().map(pick).collect();
            spread_curve(group.title(), &histograms)
        };
        let curves = groups.iter().map(curve).collect();
        Section::Chart(Chart::percentiles(&format!("{title}{more}"), curves, true))
    };
    sections.push(chart("From the intended send (corrected)", |run| &run.latency));
    sections.push(chart("From the actual send (raw)", |run| &run.raw_latency));
    sections.push(Section::Heading(format!("Compared with {}", groups[0].name)));
    sections.push(Section::Table(judge::table(groups, measured)));
    sections.push(Section::Text(RULE.into()));
    sections.push(Section::Heading("Runs".into()));
    let files = |group: &Group| {
        let names: Vec<&str> = group.runs.iter().map(RunFile::name).collect();
        (group.name.clone(), names.join(", "))
    };
    sections.push(Section::Pairs(groups.iter().map(files).collect()));
    let work = groups[0].runs[0].setup.iter().map(|(name, value)| ((*name).into(), value.clone()));
    sections.push(Section::Heading("Work".into()));
    sections.push(Section::Pairs(work.collect()));
    let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
    Page { title: format!("Comparison: {}", names.join(", ")), sections }
}
