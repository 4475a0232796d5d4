//! What is printed: tables, distributions, JSON.

use super::{Arguments, Read};
use crate::cli::print_json;
use crate::failure::{Failure, Outcome};
use crate::output::write;
use auriga_plots::figures::{Figures, distribution};
use auriga_plots::recording::{Core, Recording};
use auriga_plots::table::{of_differences, of_figures, pairs};
use serde_json::{Value, json};

/// Prints what was read in the way that was asked for.
pub(super) fn print(asked: &Arguments, read: &[Read]) -> Outcome<()> {
    if asked.diff.is_some() {
        let [first, second] = read else { unreachable!("two sources were read to be compared") };
        if pairs(&first.rows, &second.rows).next().is_none() {
            return Err(Failure::failed(format!(
                "{} and {} have no core and stage in common: compare all cores together with --merge",
                first.name, second.name
            )));
        }
        return match asked.json {
            true => print_json(&differences(first, second)),
            false => {
                write(&format!(
                    "A: {}, {:.1} s\nB: {}, {:.1} s\n{}",
                    first.name,
                    first.rows.seconds,
                    second.name,
                    second.rows.seconds,
                    of_differences(&first.rows, &second.rows).text()
                ));
                Ok(())
            }
        };
    }
    if asked.json {
        return print_json(&json!({"recordings": read.iter().map(recording).collect::<Vec<_>>()}));
    }
    for (number, one) in read.iter().enumerate() {
        let gap = if number > 0 { "\n" } else { "" };
        let head = if read.len() > 1 {
            format!("{gap}{}, {:.1} s\n", one.name, one.rows.seconds)
        } else {
            String::new()
        };
        let body = if asked.percentiles { distributions(&one.rows) } else { of_figures(&one.rows).text() };
        write(&(head + &body));
    }
    Ok(())
}

/// One after the other; if there are several, each with a line that says what it is.
fn distributions(recording: &Recording) -> String {
    let one = |row: &auriga_plots::recording::Row| {
        let head = if recording.rows.len() > 1 { format!("# {}\n", row.name()) } else { String::new() };
        head + &distribution(&row.histogram)
    };
    recording.rows.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn recording(read: &Read) -> Value {
    let rows: Vec<Value> = read
        .rows
        .rows
        .iter()
        .map(|row| {
            let mut value = json!(Figures::of(&row.histogram));
            value["core"] = core(row.core);
            value["stage"] = json!(row.stage);
            value
        })
        .collect();
    json!({"source": read.name, "seconds": read.rows.seconds, "rows": rows})
}

fn differences(first: &Read, second: &Read) -> Value {
    let row = |(a, b): (&auriga_plots::recording::Row, &auriga_plots::recording::Row)| {
        let (of_a, of_b) = (json!(Figures::of(&a.histogram)), json!(Figures::of(&b.histogram)));
        let ratio = |key: &String| match (of_a[key].as_f64(), of_b[key].as_f64()) {
            (Some(a), Some(b)) if a > 0.0 => json!(b / a),
            _ => Value::Null,
        };
        let names = of_a.as_object().expect("figures are an object").keys();
        let ratios: serde_json::Map<String, Value> =
            names.map(|key| (key.trim_end_matches("_ns").to_string(), ratio(key))).collect();
        json!({"core": core(a.core), "stage": a.stage, "a": of_a, "b": of_b, "ratio": ratios})
    };
    let rows: Vec<Value> = pairs(&first.rows, &second.rows).map(row).collect();
    json!({"a": first.name, "b": second.name, "rows": rows})
}

/// All cores: null. What the load generator measured: `client`.
fn core(core: Core) -> Value {
    match core {
        Core::One(number) => json!(number),
        Core::All => Value::Null,
        Core::Client => json!(core.to_string()),
    }
}
