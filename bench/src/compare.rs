//! `auriga-bench compare`: runs, or groups of repeated runs, held against the first. Reads what `run --json` has printed.

mod file;
mod judge;
mod page;

use crate::budget::{self, Budget, Judged};
use crate::failure::Failure;
use crate::outputs::{Existing, Output};
use crate::report::say;
use auriga_plots::page::Section;
use file::RunFile;
use judge::{MEASURES, Measured, Verdict};
use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;

/// What to compare.
#[derive(Clone, Debug, clap::Args)]
pub struct CompareArgs {
    /// Runs: files with what run --json has printed; the first is what the others are compared with
    #[arg(value_name = "FILE", required_unless_present = "group", conflicts_with = "group")]
    pub files: Vec<PathBuf>,
    /// A group of repeated runs: its name and their files; may be repeated, the first is what the others are compared with
    #[arg(long, value_name = "NAME=FILE,...", value_parser = group)]
    pub group: Vec<NamedFiles>,
    /// Write the comparison for people: one HTML file that needs no other
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// What each of the others must reach in terms of the first, or the exit code is 1, as in ratio>=0.95 (transfers a second) or p99_ratio<=1.1
    #[arg(long, value_name = "BUDGET", value_parser = budget::of_a_comparison)]
    pub require: Vec<Budget>,
    /// Print one JSON object as the last line of stdout
    #[arg(long)]
    pub json: bool,
}

/// A group as the command line names it.
#[derive(Clone, Debug)]
pub struct NamedFiles {
    name: String,
    files: Vec<PathBuf>,
}

fn group(text: &str) -> Result<NamedFiles, String> {
    let form = "expected NAME=FILE,FILE,...";
    let (name, files) = text.split_once('=').ok_or_else(|| format!("found no `=`, {form}"))?;
    let files: Vec<PathBuf> = files.split(',').map(PathBuf::from).collect();
    if name.is_empty() || files.iter().any(|file| file.as_os_str().is_empty()) {
        return Err(format!("found an empty name, {form}"));
    }
    Ok(NamedFiles { name: name.into(), files })
}

/// Repeated runs.
#[derive(Debug)]
struct Group {
    name: String,
    runs: Vec<RunFile>,
}

impl Group {
    /// Its name and how many runs there are.
    fn title(&self) -> String {
        match self.runs.len() {
            1 => self.name.clone(),
            runs => format!("{} ({runs} runs)", self.name),
        }
    }
}

/// Compares; `Ok(false)` if a budget was missed.
pub fn run(args: &CompareArgs) -> Result<bool, Failure> {
    let groups = read(args)?;
    let output =
        args.report.as_ref().map(|path| Output::open("--report", path, Existing::Refused)).transpose()?;
    let measured: Vec<Measured> = MEASURES.iter().map(|measure| Measured::of(measure, &groups)).collect();
    let remarks = remarks(&groups);
    let told: Vec<(bool, String)> = (1..groups.len()).map(|other| tell(&groups, &measured, other)).collect();
    let budgets = hold(args, &groups, &measured);
    let missed: Vec<Judged> = budgets.iter().map(|(_, judged)| judged.clone()).collect();

    say(&judge::table(&groups, &measured).text());
    told.iter().for_each(|(_, text)| say(text));
    remarks.iter().for_each(|remark| say(remark));
    say(&budget::words(&missed));
    if let Some(output) = output {
        let mut verdicts: Vec<Section> =
            told.iter().map(|(good, text)| Section::Verdict(*good, text.clone())).collect();
        verdicts.extend(remarks.iter().map(|remark| Section::Verdict(false, remark.clone())));
        verdicts.extend(missed.iter().map(|judged| {
            let word = if judged.met { "met" } else { "missed" };
            Section::Verdict(judged.met, format!("Budget {word}: {}: {}", judged.require, judged.words))
        }));
        let page = page::of_a_comparison(&groups, &measured, verdicts);
        output.write(|out| out.write_all(page.html().as_bytes()))?;
    }
    if args.json {
        say(&in_json(&groups, &measured, &budgets).to_string());
    }
    Ok(missed.iter().all(|judged| judged.met))
}

fn read(args: &CompareArgs) -> Result<Vec<Group>, Failure> {
    let alone = |file: &PathBuf| {
        let stem = |path: &PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let same = args.files.iter().filter(|other| stem(other) == stem(file)).count();
        let name = stem(file).filter(|_| same == 1).unwrap_or_else(|| file.display().to_string());
        NamedFiles { name, files: vec![file.clone()] }
    };
    let named = match args.group.is_empty() {
        true => args.files.iter().map(alone).collect(),
        false => args.group.clone(),
    };
    if named.len() < 2 {
        return Err(Failure::Usage(
            "found one run or group, expected two or more: name the files of two runs, or say --group twice"
                .into(),
        ));
    }
    let mut groups: Vec<Group> = Vec::new();
    for NamedFiles { name, files } in named {
        if groups.iter().any(|group| group.name == name) {
            return Err(Failure::Usage(format!("--group {name}: two groups have this name")));
        }
        let runs = files.iter().map(|file| RunFile::read(file)).collect::<Result<_, _>>()?;
        groups.push(Group { name, runs });
    }
    Ok(groups)
}

/// What a reader must know before any ratio.
fn remarks(groups: &[Group]) -> Vec<String> {
    let first = &groups[0].runs[0];
    let mut remarks = Vec::new();
    for run in groups.iter().flat_map(|group| &group.runs) {
        for ((name, found), (_, expected)) in run.setup.iter().zip(&first.setup) {
            if found != expected {
                remarks.push(format!(
                    "not the same work: `{name}` is {expected} in {} and {found} in {}",
                    first.name(),
                    run.name()
                ));
            }
        }
    }
    let names = |is_meant: fn(&RunFile) -> bool| {
        let runs = groups.iter().flat_map(|group| &group.runs).filter(|run| is_meant(run));
        runs.map(RunFile::name).collect::<Vec<_>>().join(", ")
    };
    let (unverified, late) = (names(|run| !run.verified), names(|run| run.bottleneck));
    if !unverified.is_empty() {
        remarks.push(format!("not verified: {unverified}"));
    }
    if !late.is_empty() {
        remarks.push(format!("the generator was the bottleneck, the figures are not the server's: {late}"));
    }
    remarks
}

/// A group in terms of the first, in a sentence; and whether nothing in it became worse.
fn tell(groups: &[Group], measured: &[Measured], other: usize) -> (bool, String) {
    let has_spread = groups[other].runs.len() + groups[0].runs.len() > 2;
    let told = || measured.iter().filter(|measured| measured.measure.is_told);
    let texts: Vec<String> = told()
        .map(|Measured { measure, groups }| {
            let ratio = groups[other].ratio.map_or_else(|| "-".into(), |ratio| format!("{ratio:.3}"));
            let words = groups[other].verdict.words();
            let verdict = if has_spread { format!(" ({words})") } else { String::new() };
            format!("{} × {ratio}{verdict}", measure.name)
        })
        .collect();
    let mut text = format!("{} to {}: {}", groups[other].name, groups[0].name, texts.join(", "));
    if !has_spread {
        text += ". One run each: nothing tells a difference from chance; repeat the runs and compare groups (--group)";
    }
    (told().all(|measured| measured.groups[other].verdict != Verdict::Worse), text)
}

/// Holds each group but the first against the budgets.
fn hold(args: &CompareArgs, groups: &[Group], measured: &[Measured]) -> Vec<(String, Judged)> {
    let mut held = Vec::new();
    for (other, group) in groups.iter().enumerate().skip(1) {
        for budget in &args.require {
            let of = measured.iter().find(|measured| measured.measure.budget == Some(budget.measure));
            let of = of.expect("every budget of a comparison is one of a measure");
            let mut judged = budget.judge(of.groups[other].ratio);
            judged.words = format!("{} to {}: {}", group.name, groups[0].name, judged.words);
            held.push((group.name.clone(), judged));
        }
    }
    held
}

fn in_json(groups: &[Group], measured: &[Measured], budgets: &[(String, Judged)]) -> Value {
    let group = |(number, group): (usize, &Group)| {
        let measures: serde_json::Map<String, Value> = measured
            .iter()
            .map(|measured| {
                let compared = &measured.groups[number];
                let mut value = json!(compared.spread);
                value["ratio"] = json!(compared.ratio);
                value["verdict"] = json!(compared.verdict);
                (measured.measure.key.into(), value)
            })
            .collect();
        let files: Vec<&str> = group.runs.iter().map(RunFile::name).collect();
        json!({"name": group.name, "runs": files, "measures": measures})
    };
    let budget = |(name, judged): &(String, Judged)| {
        let mut value = json!(judged);
        value["group"] = json!(name);
        value
    };
    json!({
        "groups": groups.iter().enumerate().map(group).collect::<Vec<_>>(),
        "budgets": budgets.iter().map(budget).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_a_name_and_files() {
        let good = group("before=a.json,b.json").expect("it is good");
        assert_eq!((good.name.as_str(), good.files.len()), ("before", 2));
        for bad in ["before", "=a.json", "before=", "before=a.json,,b.json"] {
            assert!(group(bad).is_err(), "{bad}");
        }
    }
}
