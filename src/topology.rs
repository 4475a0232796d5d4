//! `auriga topology`: discover, show, check.

use crate::cli::print_json;
use crate::failure::{Failure, Kind, Outcome};
use auriga_numa_topology::{Machine, Mismatch, Severity, Topology};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::path::{Path, PathBuf};

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Write a topology file for this machine to standard output
    Discover(DiscoverArguments),
    /// Draw this machine and where the shards run
    Show(ShowArguments),
    /// Hold a topology file against this machine
    Check(CheckArguments),
}

#[derive(Args, Debug)]
pub(crate) struct DiscoverArguments {
    /// Shards [default: one for each core]
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
    /// One JSON object: the machine and the plan
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct FileArguments {
    /// The topology file [default: what discover finds]
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ShowArguments {
    #[command(flatten)]
    file: FileArguments,
    /// Write the drawing to this file, as an SVG image
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    svg: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct CheckArguments {
    #[command(flatten)]
    file: FileArguments,
    /// A data directory, whose disk is checked, too
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

pub(crate) fn run(command: &Command) -> Outcome<i32> {
    let environment = |e: auriga_numa_topology::Error| Failure::environment(e.to_string());
    let machine = auriga_numa_topology::discover().map_err(environment)?;
    let chosen =
        |shards| auriga_numa_topology::plan(&machine, shards).map_err(|e| Failure::usage(e.to_string()));
    let load = |file: &Option<PathBuf>| match file {
        Some(path) => Topology::load(path).map_err(environment),
        None => chosen(None).map(|plan| plan.topology),
    };
    match command {
        Command::Discover(asked) => {
            let plan = chosen(asked.shards)?;
            if asked.json {
                print_json(&serde_json::json!({ "machine": machine, "plan": plan }))?;
                return Ok(0);
            }
            for warning in &plan.warnings {
                eprintln!("auriga: warning: {warning}");
            }
            print!("{}", plan.topology.to_toml());
            Ok(0)
        }
        Command::Show(asked) => show(&machine, &load(&asked.file.topology)?, asked),
        Command::Check(asked) => check(&machine, &load(&asked.file.topology)?, asked),
    }
}

fn show(machine: &Machine, topology: &Topology, asked: &ShowArguments) -> Outcome<i32> {
    if let Some(path) = &asked.svg {
        std::fs::write(path, auriga_numa_topology::svg(machine, topology)).map_err(|e| {
            Failure::environment(format!(
                "can't write {}: {e}; name a file that can be written (--svg FILE)",
                path.display()
            ))
        })?;
    } else if asked.file.json {
        print_json(&serde_json::json!({ "machine": machine, "topology": topology }))?;
    } else {
        print!("{}", auriga_numa_topology::draw(machine, Some(topology)));
    }
    Ok(0)
}

fn check(machine: &Machine, topology: &Topology, asked: &CheckArguments) -> Outcome<i32> {
    let mut mismatches = auriga_numa_topology::compare(machine, topology);
    if let Some(data) = &asked.data {
        mismatches.extend(data_mismatches(machine, topology, data)?);
    }
    let fits = fits(topology, &mismatches);
    if asked.file.json {
        print_json(&CheckReport { fits, strict: topology.strict, mismatches: &mismatches })?;
    } else {
        for mismatch in &mismatches {
            println!("{mismatch}");
        }
        let strict = if topology.strict { " (strict = true: without a warning)" } else { "" };
        let verb = if fits { "fits" } else { "does not fit" };
        println!("the topology {verb} this machine{strict}");
    }
    Ok(if fits { 0 } else { Kind::Failed as i32 })
}

/// Whether a server may start with this; a strict topology allows no warning either.
pub(crate) fn fits(topology: &Topology, mismatches: &[Mismatch]) -> bool {
    let bearable = |mismatch: &Mismatch| !topology.strict && mismatch.severity == Severity::Warning;
    mismatches.iter().all(bearable)
}

/// What is wrong with a data directory in this place.
pub(crate) fn data_mismatches(machine: &Machine, topology: &Topology, data: &Path) -> Outcome<Vec<Mismatch>> {
    let disks = auriga_numa_topology::disks_of(data).map_err(|e| Failure::environment(e.to_string()))?;
    let found = disks.iter().flat_map(|disk| auriga_numa_topology::compare_data(machine, topology, disk));
    Ok(found.collect())
}

#[derive(Serialize)]
struct CheckReport<'a> {
    fits: bool,
    strict: bool,
    mismatches: &'a [Mismatch],
}
