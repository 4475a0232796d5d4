//! Tables, as text and as HTML.

use crate::figures::Figures;
use crate::number::{grouped, microseconds};
use crate::page::escape;
use crate::recording::{Recording, Row};
use std::fmt::Write as _;

/// A table. Its first columns are names and stand to the left, the others numbers.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// How many columns are names.
    pub names: usize,
    /// The columns' heads.
    pub head: Vec<String>,
    /// As many cells each as there are heads.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Without rows.
    pub fn new(names: usize, head: impl IntoIterator<Item = String>) -> Self {
        Self { names, head: head.into_iter().collect(), rows: Vec::new() }
    }

    /// What is in a row that has not a cell for each head would stand below another one.
    fn check(&self) {
        let odd = self.rows.iter().find(|row| row.len() != self.head.len());
        assert!(odd.is_none(), "{odd:?} has not as many cells as there are heads: {:?}", self.head);
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        self.check();
        let width = |column: usize| {
            let cells = self.rows.iter().chain([&self.head]).map(|row| row[column].chars().count());
            cells.max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let mut text = String::new();
        for row in [&self.head].into_iter().chain(&self.rows) {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                // Writing to a string can't fail.
                let _ = match column < self.names {
                    true => write!(line, "{cell:<width$}  "),
                    false => write!(line, "{cell:>width$}  "),
                };
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }

    /// For a page.
    pub fn html(&self) -> String {
        self.check();
        let mut html = String::from("<table><thead>");
        let row = |tag: &str, cells: &[String]| {
            let cell = |(column, cell): (usize, &String)| {
                let class = if column < self.names { " class=\"name\"" } else { "" };
                format!("<{tag}{class}>{}</{tag}>", escape(cell))
            };
            format!("<tr>{}</tr>\n", cells.iter().enumerate().map(cell).collect::<String>())
        };
        html += &row("th", &self.head);
        html += "</thead><tbody>\n";
        html.extend(self.rows.iter().map(|cells| row("td", cells)));
        html + "</tbody></table>\n"
    }
}

/// The figures of every row, in microseconds.
pub fn of_figures(recording: &Recording) -> Table {
    let times = Figures::TIMES.map(|name| format!("{name} us"));
    let mut table = Table::new(2, ["core", "stage", "count"].map(String::from).into_iter().chain(times));
    for Row { core, stage, histogram, .. } in &recording.rows {
        let figures = Figures::of(histogram);
        let mut cells = vec![core.to_string(), stage.clone(), grouped(figures.count)];
        cells.extend(figures.times().map(microseconds));
        table.rows.push(cells);
    }
    table
}

/// Both figures of every row that two recordings have, and the second one's in terms of the first.
pub fn of_differences(first: &Recording, second: &Recording) -> Table {
    let times = Figures::TIMES.map(|name| format!("{name} us"));
    let mut table = Table::new(3, ["core", "stage", "", "count"].map(String::from).into_iter().chain(times));
    for (row, other) in pairs(first, second) {
        let figures = [Figures::of(&row.histogram), Figures::of(&other.histogram)];
        for (name, figures) in ["A", "B"].into_iter().zip(&figures) {
            let mut cells = vec![String::new(), String::new(), name.into(), grouped(figures.count)];
            if name == "A" {
                cells[0] = row.core.to_string();
                cells[1].clone_from(&row.stage);
            }
            cells.extend(figures.times().map(microseconds));
            table.rows.push(cells);
        }
        let [a, b] = figures;
        let mut cells =
            vec![String::new(), String::new(), "B/A".into(), ratio(a.count as f64, b.count as f64)];
        cells.extend(a.times().into_iter().zip(b.times()).map(|(a, b)| ratio(a, b)));
        table.rows.push(cells);
    }
    table
}

/// Rows of the same core and stage.
pub fn pairs<'a>(first: &'a Recording, second: &'a Recording) -> impl Iterator<Item = (&'a Row, &'a Row)> {
    first.rows.iter().filter_map(|row| {
        let other = second.rows.iter().find(|other| other.core == row.core && other.stage == row.stage)?;
        Some((row, other))
    })
}

/// `b` in terms of `a`.
pub fn ratio(a: f64, b: f64) -> String {
    if a == 0.0 { "-".into() } else { format!("{:.3}", b / a) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Choice;
    use hdrhistogram::Histogram;

    fn recording(values: &[u64], stages: &[&str]) -> Recording {
        let rows = stages.iter().map(|stage| {
            let mut histogram =
                Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("the bounds are good");
            values.iter().for_each(|value| histogram.saturating_record(*value));
            (3, (*stage).to_string(), histogram)
        });
        Recording::of(rows, 1.0, &Choice::default()).expect("there are rows")
    }

    #[test]
    fn columns_are_as_wide_as_they_have_to_be() {
        let text = of_figures(&recording(&[5_000, 1_000_000], &["flush", "reply"])).text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("core  stage  count  p50 us"), "{text}");
        assert!(lines[1].starts_with("3     flush      2     5.1  1000.4"), "{text}");
        assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{text}");
    }

    #[test]
    fn differences_have_both_values_and_their_ratio() {
        let (one, two) =
            (recording(&[1_000_000], &["flush", "reply"]), recording(&[2_000_000; 3], &["flush", "total"]));
        let table = of_differences(&one, &two);
        let cells: Vec<Vec<&str>> =
            table.rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        assert_eq!(cells.len(), 3, "reply and total are in one of them alone");
        assert_eq!(cells[0][..4], ["3", "flush", "A", "1"]);
        assert_eq!(cells[1][..4], ["", "", "B", "3"]);
        assert_eq!(cells[2][2..4], ["B/A", "3.000"]);
        let growth: f64 = cells[2][4].parse().expect("a ratio");
        assert!((growth - 2.0).abs() < 0.01, "{growth}");
        assert_eq!(ratio(0.0, 1.0), "-");
    }

    #[test]
    fn html_is_escaped() {
        let table = Table { names: 1, head: vec!["<a>".into()], rows: vec![vec!["b&c".into()]] };
        assert!(table.html().contains("<th class=\"name\">&lt;a&gt;</th>"), "{}", table.html());
        assert!(table.html().contains("b&amp;c"), "{}", table.html());
    }
}
