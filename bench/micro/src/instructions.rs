//! Instructions a transfer: from what gungraun counts to the committed table, and whether the two are alike.

use crate::stage::TRANSFERS;
use crate::whole::Whole;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// A figure may differ by this share: other addresses, other tables of the C library.
pub const TOLERANCE: f64 = 0.02;
/// A figure may differ by so many instructions, whatever share that is.
pub const TOLERANCE_LEAST: f64 = 0.1;
/// More shards may take so many times the instructions of [`FLAT_FROM`].
pub const FLAT: f64 = 1.5;
/// The least number of shards that send each other messages.
pub const FLAT_FROM: &str = "whole.on_2";

/// Instructions a transfer, by stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// What compiled the stages.
    pub compiler: String,
    figures: Vec<(String, f64)>,
}

impl Table {
    /// The table of what gungraun printed: one JSON object a line for each benchmark. `Err` says what can't be read.
    pub fn counted(lines: &str, compiler: &str) -> Result<Self, String> {
        let mut table = Self { compiler: compiler.trim().into(), figures: Vec::new() };
        for line in lines.lines().filter(|line| !line.trim().is_empty()) {
            let said: serde_json::Value = serde_json::from_str(line)
                .map_err(|error| format!("not gungraun's JSON: {error}: {line:.80}"))?;
            let words = [&said["function_name"], &said["id"]].map(|word| word.as_str().unwrap_or_default());
            let counted = said.pointer("/profiles/0/data/total/metrics/Ir/values/new");
            let Some(instructions) = counted.and_then(serde_json::Value::as_u64) else {
                return Err(format!("no instructions were counted for {}.{}", words[0], words[1]));
            };
            let transfers = transfers(words)?;
            table.figures.push((words.join("."), instructions as f64 / transfers as f64));
        }
        if table.figures.is_empty() {
            return Err("gungraun has counted nothing".into());
        }
        Ok(table)
    }

    /// Says that this table is like the committed one, and flat; or `Err`: what is not, by stage.
    pub fn compare(&self, committed: &Self) -> Result<String, String> {
        let mut wrong = Vec::new();
        let found: BTreeMap<&str, f64> = self.by_name();
        let expected = committed.by_name();
        for (name, expected) in &expected {
            match found.get(name) {
                None => wrong.push(format!("{name}: was not counted, expected {expected:.2}")),
                Some(found) if !are_alike(*found, *expected) => wrong.push(format!(
                    "{name}: {found:.2} instructions a transfer, expected {expected:.2} ({:+.1} %)",
                    100.0 * (found / expected - 1.0)
                )),
                Some(_) => {}
            }
        }
        for (name, found) in found.iter().filter(|(name, _)| !expected.contains_key(*name)) {
            wrong.push(format!("{name}: {found:.2} instructions a transfer, and the table has none"));
        }
        wrong.extend(self.steepness());
        if wrong.is_empty() {
            let count = found.len();
            let percent = 100.0 * TOLERANCE;
            return Ok(format!(
                "all {count} figures are within {percent:.0} % or {TOLERANCE_LEAST} instructions of the table's, and more shards \
                 take at most {FLAT} times those of {FLAT_FROM}"
            ));
        }
        if self.compiler != committed.compiler {
            wrong.push(format!("the table is of {}, this is {}", committed.compiler, self.compiler));
        }
        Err(wrong.join("\n"))
    }

    /// What takes too many times the instructions of few shards.
    fn steepness(&self) -> Vec<String> {
        let figures = self.by_name();
        let Some(few) = figures.get(FLAT_FROM) else {
            return Vec::new();
        };
        let whole =
            figures.iter().filter(|(name, figure)| name.starts_with("whole.") && **figure > few * FLAT);
        let told = whole.map(|(name, figure)| {
            let times = figure / few;
            format!("{name}: {figure:.2} instructions a transfer, {times:.2} times {FLAT_FROM}; at most {FLAT} are expected")
        });
        told.collect()
    }

    /// The figures, by stage.
    pub fn by_name(&self) -> BTreeMap<&str, f64> {
        self.figures.iter().map(|(name, figure)| (name.as_str(), *figure)).collect()
    }
}

fn are_alike(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= (expected * TOLERANCE).max(TOLERANCE_LEAST)
}

/// Transfers of the epoch that a benchmark, by function and id, is about.
fn transfers(words: [&str; 2]) -> Result<u64, String> {
    let [function, id] = words;
    match (function, id.strip_prefix("on_").map(str::parse)) {
        ("plain" | "tight", None) => Ok(TRANSFERS),
        ("whole", Some(Ok(shards))) => Ok(Whole::transfers(shards)),
        ("few", Some(Ok(shards))) => Ok(Whole::few_transfers(shards)),
        _ => {
            Err(format!("found the benchmark {function}.{id}, expected plain, tight, whole.on_N or few.on_N"))
        }
    }
}

const TITLE: &str = "# Instructions a transfer, counted by callgrind. bench/instructions writes this file; bench/micro/README.md tells\n\
                     # what each stage is. whole.on_N is the execution of a full epoch on N shards, all of them together, few.on_N of one\n\
                     # of few transfers.\n";
const COMPILER: &str = "# Compiled by ";

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{TITLE}{COMPILER}{}", self.compiler)?;
        self.figures.iter().try_for_each(|(name, figure)| writeln!(f, "{name:<16}{figure:>10.2}"))
    }
}

impl FromStr for Table {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut table = Self::default();
        for line in text.lines() {
            if let Some(compiler) = line.strip_prefix(COMPILER) {
                table.compiler = compiler.into();
            }
            if line.starts_with('#') || line.is_empty() {
                continue;
            }
            let figure =
                line.split_once(' ').and_then(|(name, figure)| Some((name, figure.trim().parse().ok()?)));
            let (name, figure) = figure
                .ok_or_else(|| format!("found `{line}` in the table, expected a stage and a number"))?;
            table.figures.push((name.into(), figure));
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(figures: &[(&str, f64)]) -> Table {
        let figures = figures.iter().map(|(name, figure)| ((*name).into(), *figure)).collect();
        Table { compiler: "rustc 1.92.0".into(), figures }
    }

    fn line(function: &str, id: &str, instructions: u64) -> String {
        let data =
            serde_json::json!({ "total": { "metrics": { "Ir": { "values": { "new": instructions } } } } });
        serde_json::json!({ "function_name": function, "id": id, "profiles": [{ "data": data }] }).to_string()
    }

    #[test]
    fn what_was_counted_is_divided_by_the_transfers_and_read_again_as_written() {
        let lines =
            [line("plain", "legs", 65_520 * 50), line("whole", "on_16", (65_536 - 32) * 500)].join("\n");
        let counted = Table::counted(&lines, "rustc 1.92.0\n").expect("good lines");
        assert_eq!(counted, table(&[("plain.legs", 50.0), ("whole.on_16", 500.0)]));
        assert_eq!(counted.to_string().parse(), Ok(counted));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let cases = [
            ("", "counted nothing"),
            ("error: no valgrind", "not gungraun's JSON"),
            (r#"{"function_name":"plain","id":"legs","profiles":[]}"#, "plain.legs"),
            (&line("other", "legs", 1), "other.legs"),
            (&line("whole", "legs", 1), "whole.legs"),
        ];
        for (lines, words) in cases {
            assert!(Table::counted(lines, "").is_err_and(|why| why.contains(words)), "{lines}");
        }
        assert!("plain.legs many".parse::<Table>().is_err_and(|why| why.contains("plain.legs many")));
    }

    #[test]
    fn a_stage_that_differs_is_named() {
        let committed = table(&[("plain.legs", 100.0), ("plain.hop", 1.0)]);
        let alike =
            [[("plain.legs", 101.9), ("plain.hop", 1.09)], [("plain.legs", 98.1), ("plain.hop", 0.91)]];
        for figures in alike {
            assert!(table(&figures).compare(&committed).is_ok_and(|said| said.contains("all 2 figures")));
        }
        let cases = [
            (vec![("plain.legs", 102.1), ("plain.hop", 1.0)], "plain.legs: 102.10"),
            (vec![("plain.legs", 97.9), ("plain.hop", 1.0)], "plain.legs: 97.90"),
            (vec![("plain.legs", 100.0), ("plain.hop", 1.2)], "plain.hop: 1.20"),
            (vec![("plain.legs", 100.0)], "plain.hop: was not counted"),
            (vec![("plain.legs", 100.0), ("plain.hop", 1.0), ("plain.ids", 9.0)], "plain.ids: 9.00"),
        ];
        for (figures, words) in cases {
            let why = table(&figures).compare(&committed).expect_err("they differ");
            assert!(why.contains(words) && why.lines().count() == 1, "{why}");
        }
        let newer =
            Table { compiler: "rustc 1.95.0".into(), ..table(&[("plain.legs", 1.0), ("plain.hop", 1.0)]) };
        assert!(
            newer
                .compare(&committed)
                .is_err_and(|why| why.ends_with("the table is of rustc 1.92.0, this is rustc 1.95.0"))
        );
    }

    #[test]
    fn the_execution_must_stay_flat() {
        let flat = table(&[("whole.on_1", 10.0), ("whole.on_2", 100.0), ("whole.on_64", 149.0)]);
        assert!(flat.compare(&flat).is_ok());
        let steep = table(&[("whole.on_2", 100.0), ("whole.on_64", 151.0)]);
        assert!(steep.compare(&steep).is_err_and(|why| why.starts_with("whole.on_64: 151.00")));
    }

    #[test]
    fn the_committed_table_can_be_read() {
        let committed: Table = include_str!("../instructions.txt").parse().expect("as it was written");
        assert_eq!(committed.compare(&committed).map(|_| ()), Ok(()));
        assert_eq!(committed.to_string(), include_str!("../instructions.txt"));
    }
}
