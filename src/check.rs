//! `auriga check`: what of this machine a server needs, what was found, and what to do about it. Before a start, and unprivileged: what
//! can't be read is said and is no error.
//!
//! What is read of `/proc` and `/sys` is read below a directory, so that tests can give it other machines. What the server itself
//! would refuse is asked of the server's own code.

mod cores;
mod disk;
mod kernel;
mod memory;
#[cfg(test)]
mod tests;

use crate::cli::print_json;
use crate::failure::{Kind, Outcome};
use crate::options::{Metrics, Options, StartArguments};
use crate::output::write;
use crate::{monitor, server};
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};

#[derive(Args, Debug)]
pub struct Arguments {
    /// What `auriga start` takes.
    #[command(flatten)]
    pub start: StartArguments,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It is as it should be.
    Ok,
    /// It can't be told, or is no matter here.
    Note,
    /// A server runs, slower or less safely than it could.
    Warning,
    /// A server doesn't start.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    name: &'static str,
    found: String,
    need: &'static str,
    level: Level,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

impl Finding {
    /// Nothing to do.
    fn good(name: &'static str, found: impl Into<String>, need: &'static str) -> Self {
        Self { name, found: found.into(), need, level: Level::Ok, fix: None }
    }

    /// Something to know.
    fn note(name: &'static str, found: impl Into<String>, need: &'static str) -> Self {
        Self { level: Level::Note, ..Self::good(name, found, need) }
    }

    /// It can't be read: in a container, or by a service that may not.
    fn unknown(name: &'static str, what: &str, need: &'static str) -> Self {
        Self::note(name, format!("can't be told: {what}"), need)
    }

    /// Something to do.
    fn bad(
        level: Level,
        name: &'static str,
        found: impl Into<String>,
        need: &'static str,
        fix: impl Into<String>,
    ) -> Self {
        Self { level, fix: Some(fix.into()), ..Self::good(name, found, need) }
    }

    /// What the server itself says when it doesn't start.
    fn of(name: &'static str, need: &'static str, asked: Outcome<String>) -> Self {
        match asked {
            Ok(found) => Self::good(name, found, need),
            // Cause and remedy are in one message.
            Err(failure) => Self { level: Level::Error, ..Self::good(name, failure.message, need) },
        }
    }
}

/// Where `/proc` and `/sys` are.
pub struct Root(PathBuf);

impl Root {
    /// The first line of a file, or nothing if it can't be read.
    fn line(&self, path: &str) -> Option<String> {
        let text = self.text(path)?;
        Some(text.lines().next().unwrap_or_default().trim().to_string())
    }

    fn text(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.0.join(path)).ok()
    }

    /// The names in a directory, in order; none if it can't be read.
    fn names(&self, path: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join(path)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }
}

/// Runs the command: exit code 4 if a server would not start.
pub fn run(asked: &Arguments) -> Outcome<i32> {
    let findings = look(&Root("/".into()), &asked.start);
    let worst = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
    if asked.json {
        print_json(&serde_json::json!({ "starts": worst != Level::Error, "findings": findings }))?;
    } else {
        write(&table(&findings));
    }
    Ok(if worst == Level::Error { Kind::Environment as i32 } else { 0 })
}

/// All of it, of this machine.
fn look(root: &Root, asked: &StartArguments) -> Vec<Finding> {
    let mut findings = kernel::look(root);
    findings.extend(memory::look(root));
    let (listen, log_max, data) = (asked.listen, asked.log_max, asked.data.as_deref());
    let shards = match Options::check(asked) {
        Ok(topology) => {
            let shards: Vec<u32> = topology.shards.iter().map(|place| place.cpu).collect();
            let found = format!("{} shards, on CPUs {}", shards.len(), cores::list(&shards));
            findings.push(Finding::good("configuration", found, "fits this machine"));
            shards
        }
        Err(failure) => {
            findings.push(Finding::of("configuration", "fits this machine", Err(failure)));
            Vec::new()
        }
    };
    findings.push(Finding::of(
        "memory",
        "what is touched at the start can be given",
        memory::check(asked.prefault),
    ));
    findings.extend(cores::look(root, &shards));
    match data {
        Some(data) => findings.extend(disk::look(root, data, log_max, shards.len() as u64)),
        None => findings.push(Finding::unknown(
            "data directory",
            "none is named (--data)",
            "a formatted directory",
        )),
    }
    let bound = server::bind(listen).map(|_| format!("{listen} is free"));
    findings.push(Finding::of("port", "nobody else listens", bound));
    if let Metrics::On(address) = asked.metrics {
        let bound = monitor::bind(address).map(|_| format!("{address} is free"));
        findings.push(Finding::of("port of metrics", "nobody else listens", bound));
    }
    findings
}

/// For a person: what needs one first.
fn table(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let level = match finding.level {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Warning => "WARNING",
            Level::Error => "ERROR",
        };
        text += &format!(
            "{level:<8} {:<18} {}\n",
            finding.name,
            finding.found.replace('\n', "\n                            ")
        );
        if finding.level > Level::Note {
            text += &format!("         {:<18} need: {}\n", "", finding.need);
        }
        for line in finding.fix.iter().flat_map(|fix| fix.lines()) {
            text += &format!("         {:<18} fix:  {line}\n", "");
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (errors, warnings) = (count(Level::Error), count(Level::Warning));
    text + &format!("{errors} errors, {warnings} warnings, {} looked at\n", findings.len())
}

/// The nearest directory of a path that is there.
fn nearest_directory(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    path.ancestors().find(|path| path.is_dir()).map(Path::to_path_buf)
}
