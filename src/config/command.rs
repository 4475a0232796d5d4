//! `auriga config`: what counts and where it comes from, and the shipped file.

use super::shipped::TEXT;
use super::units::Unit;
use super::{Origin, Value};
use crate::cli::print_json;
use crate::failure::Outcome;
use crate::options::{Options, StartArguments};
use crate::output::{say, write};
use clap::{Args, Subcommand};
use serde::Serialize;

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Hold a configuration against what a start takes and this machine has, and say which values count and where each comes from
    Check(Box<CheckArguments>),
    /// Print the shipped file: every key with its unit, bounds, default and reason
    Print(PrintArguments),
}

#[derive(Args, Debug)]
pub struct CheckArguments {
    /// What `auriga start` takes.
    #[command(flatten)]
    pub start: StartArguments,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub struct PrintArguments {
    /// With every key commented out: a file in which only what an operator changes counts, also beside a later version's defaults
    #[arg(long)]
    commented: bool,
}

/// The first lines of a file in which every key is commented out.
const COMMENTED: &str = "\
# Every key is commented out here, so that the server's own default counts, also a later version's. Uncomment what you change. The value
# that is shown is the default, where no line `# default:` says something else.
#
";

/// A value as JSON.
#[derive(Serialize)]
struct Shown<'a> {
    key: &'static str,
    value: serde_json::Value,
    unit: &'static str,
    from: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    otherwise: Option<&'a str>,
}

/// Runs the command.
pub fn run(command: &Command) -> Outcome<i32> {
    match command {
        Command::Print(PrintArguments { commented: false }) => {
            write(TEXT);
        }
        Command::Print(PrintArguments { commented: true }) => {
            write(&(COMMENTED.to_owned() + &commented(TEXT)));
        }
        Command::Check(asked) => {
            Options::check(&asked.start)?;
            let values = asked.start.values.iter();
            if asked.json {
                print_json(&serde_json::json!({ "values": values.map(show).collect::<Vec<_>>() }))?;
            } else {
                for value in values {
                    say!("{:<20} {:<30} {}", value.setting.key, text(value), from(value));
                }
            }
        }
    }
    Ok(0)
}

/// A file without any of its values.
fn commented(text: &str) -> String {
    let is_key = |line: &str| line.starts_with(|first: char| first.is_ascii_lowercase());
    let lines = text.split_inclusive('\n');
    lines.map(|line| if is_key(line) { format!("#{line}") } else { line.to_owned() }).collect()
}

/// A value as it counts, in the largest unit in which it is whole.
pub fn text(value: &Value) -> String {
    let unit = value.setting.unit;
    match &value.text {
        // As it counts, whatever it was written in.
        Some(text) => unit
            .parse(text)
            .ok()
            .filter(|_| unit != Unit::Text)
            .map_or(text.clone(), |number| unit.show(number)),
        None => "-".into(),
    }
}

fn from(value: &Value) -> String {
    match (&value.origin, &value.text, value.setting.otherwise) {
        (Origin::Default, None, Some(otherwise)) => format!("default: {otherwise}"),
        (Origin::Default, ..) => "default".into(),
        (Origin::File { path, line }, ..) => format!("{}:{line}", path.display()),
        (Origin::Environment, ..) => value.setting.variable.clone(),
        (Origin::Flag, ..) => format!("--{}", value.setting.key),
    }
}

fn show(value: &Value) -> Shown<'_> {
    let unit = value.setting.unit;
    let shown = value.text.as_ref().map(|text| match unit.parse(text) {
        Ok(number) if unit != Unit::Text => number.into(),
        _ => text.clone().into(),
    });
    let (from, file, line) = match &value.origin {
        Origin::Default => ("default", None, None),
        Origin::File { path, line } => ("file", Some(path.display().to_string()), Some(*line)),
        Origin::Environment => ("environment", None, None),
        Origin::Flag => ("flag", None, None),
    };
    let otherwise = value.setting.otherwise.filter(|_| value.text.is_none());
    let (key, unit) = (value.setting.key, unit.name().trim());
    Shown { key, value: shown.unwrap_or_default(), unit, from, file, line, otherwise }
}
