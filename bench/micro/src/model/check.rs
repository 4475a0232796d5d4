//! Whether the model foretells what can be measured here: time on one and two shards, instructions on 4 to 64.
//!
//! No prediction uses the figure that it is held against, nor another `whole.on_N`.

use super::Costs;
use crate::instructions::{FLAT, FLAT_FROM, Table};
use crate::stage::TRANSFERS;
use crate::steps::Steps;
use crate::whole::Whole;
use std::fmt::Write as _;

/// A prediction may be off by this share of what was measured.
pub const TOLERANCE: f64 = 0.2;
/// Shards whose instructions are foretold.
const SHARDS: [u16; 5] = [4, 8, 16, 32, 64];

const INSTRUCTIONS: &str = "instructions";

/// A prediction and what it is held against, for a transfer.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    unit: &'static str,
    shards: u16,
    predicted: f64,
    measured: f64,
}

impl Row {
    fn error(&self) -> f64 {
        self.predicted / self.measured - 1.0
    }

    fn name(&self) -> String {
        let plural = if self.shards == 1 { "" } else { "s" };
        format!("{} on {} shard{plural}", self.unit, self.shards)
    }

    fn line(&self) -> String {
        let Self { predicted, measured, .. } = self;
        let percent = 100.0 * self.error();
        format!("checked      {:<32}{predicted:>10.1} {measured:>10.1} {percent:>+7.1} %", self.name())
    }

    /// What is wrong with it, if anything is.
    fn fault(&self) -> Option<String> {
        let (percent, at_most) = (100.0 * self.error(), 100.0 * TOLERANCE);
        let is_off = percent.abs() > at_most;
        is_off.then(|| format!("{}: off by {percent:+.1} %, at most {at_most:.0} are expected", self.name()))
    }
}

/// A line for each prediction; `Err` if one of them is too far off, with the same lines and which ones.
pub fn check(steps: &Steps, counted: &Table) -> Result<String, String> {
    let rows = rows(steps, counted)?;
    let mut text =
        String::from("checked      for a transfer of a full epoch   predicted   measured    error\n");
    for row in &rows {
        let _ = writeln!(text, "{}", row.line());
    }
    let mut wrong: Vec<String> = rows.iter().filter_map(Row::fault).collect();
    wrong.extend(steepness(&rows, counted)?);
    if wrong.is_empty() { Ok(text) } else { Err(format!("{text}{}", wrong.join("\n"))) }
}

fn rows(steps: &Steps, counted: &Table) -> Result<Vec<Row>, String> {
    let time = |shards, predicted, measured| Row { unit: "nanoseconds", shards, predicted, measured };
    let execution = steps.execution();
    let mut rows = vec![
        time(1, steps.serial, steps.whole_on_1),
        time(2, execution.of_transfer(2, Whole::transfers(2)), steps.whole_on_2),
    ];
    let costs = instructions(counted)?;
    for shards in SHARDS {
        rows.push(Row {
            unit: INSTRUCTIONS,
            shards,
            predicted: costs.of_transfer(shards, Whole::transfers(shards)),
            measured: figure(counted, &format!("whole.on_{shards}"))?,
        });
    }
    Ok(rows)
}

/// What an execution costs in instructions.
fn instructions(counted: &Table) -> Result<Costs, String> {
    let mut transfer = 0.0;
    for stage in ["route", "hop", "legs", "ids", "vote", "apply"] {
        transfer += figure(counted, &format!("plain.{stage}"))?;
    }
    // Of an epoch's stage the table has the share of one of its transfers.
    let begin = figure(counted, "plain.begin")? * TRANSFERS as f64;
    let few = |shards: u16| {
        let transfers = Whole::few_transfers(shards);
        Ok::<_, String>((shards, transfers, figure(counted, &format!("few.on_{shards}"))? * transfers as f64))
    };
    Ok(Costs::new(transfer, begin, [few(3)?, few(12)?]))
}

fn figure(counted: &Table, name: &str) -> Result<f64, String> {
    let found = counted.by_name().get(name).copied();
    found.ok_or_else(|| format!("{name} is missing among the instructions: run bench/instructions"))
}

/// The instructions have to stay flat, as they were counted and as they are foretold.
fn steepness(rows: &[Row], counted: &Table) -> Result<Vec<String>, String> {
    let few = figure(counted, FLAT_FROM)?;
    let steep = rows.iter().filter(|row| row.unit == INSTRUCTIONS);
    let steep = steep.filter(|row| row.predicted.max(row.measured) > FLAT * few);
    Ok(steep
        .map(|row| format!("{}: more than {FLAT} times the instructions of {FLAT_FROM}", row.name()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed() -> (Steps, Table) {
        let steps = include_str!("../../model.txt").parse().expect("as it was written");
        (steps, include_str!("../../instructions.txt").parse().expect("as it was written"))
    }

    /// The table with another figure of this name.
    fn with(counted: &Table, name: &str, figure: f64) -> Table {
        let line = |line: &str| match line.split(' ').next() {
            Some(found) if found == name => format!("{name} {figure}\n"),
            _ => format!("{line}\n"),
        };
        counted.to_string().lines().map(line).collect::<String>().parse().expect("a table")
    }

    #[test]
    fn the_committed_steps_foretell_what_was_measured() {
        let (steps, counted) = committed();
        let told = check(&steps, &counted).expect("within the tolerance");
        assert_eq!(told.lines().count(), 1 + 2 + SHARDS.len());
    }

    #[test]
    fn a_prediction_that_is_off_is_named() {
        let (steps, counted) = committed();
        let slower = Steps { whole_on_2: 1.3 * steps.whole_on_2, ..steps };
        let why = check(&slower, &counted).expect_err("it is off");
        assert!(
            why.lines().last().is_some_and(|line| line.starts_with("nanoseconds on 2 shards: off by -2")),
            "{why}"
        );
        let costlier = Steps { legs: 2.0 * steps.legs, ..steps };
        assert!(
            check(&costlier, &counted).is_err_and(|why| why.contains("nanoseconds on 2 shards: off by +"))
        );
    }

    #[test]
    fn no_prediction_uses_what_it_is_held_against() {
        let (steps, counted) = committed();
        let predicted = |steps: &Steps, counted: &Table| -> Vec<f64> {
            rows(steps, counted).expect("all figures").iter().map(|row| row.predicted).collect()
        };
        let other = Steps { whole_on_1: 1.0, whole_on_2: 1.0, ..steps };
        let names = counted.by_name().into_keys().filter(|name| name.starts_with("whole."));
        let changed = names.fold(counted.clone(), |table, name| with(&table, name, 1.0));
        assert_eq!(predicted(&steps, &counted), predicted(&other, &changed));
    }

    #[test]
    fn instructions_that_are_missing_or_not_flat_are_told() {
        let (steps, counted) = committed();
        let without = counted.to_string().replace("few.on_12", "few.on_13").parse().expect("a table");
        assert!(check(&steps, &without).is_err_and(|why| why.contains("few.on_12 is missing")));
        let steep = with(&counted, "whole.on_64", 3_000.0);
        let why = check(&steps, &steep).expect_err("it is steep");
        assert!(why.contains("64 shards: more than 1.5 times"), "{why}");
    }
}
