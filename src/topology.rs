//! `auriga topology`: discover, show, check.

use crate::cli::print_json;
use crate::failure::{Failure, Kind, Outcome};
use auriga_numa_topology::{Severity, Topology};
use clap::{Args, Subcommand};
use serde::Serialize;
use std::path::PathBuf;

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Write a topology file for this machine to standard output
    Discover(DiscoverArguments),
    /// Draw this machine and where the shards run
    Show(FileArguments),
    /// Hold a topology file against this machine
    Check(FileArguments),
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
        Command::Show(asked) => {
            let topology = load(&asked.topology)?;
            if asked.json {
                print_json(&serde_json::json!({ "machine": machine, "topology": topology }))?;
            } else {
                print!("{}", auriga_numa_topology::draw(&machine, Some(&topology)));
            }
            Ok(0)
        }
        Command::Check(asked) => {
            let topology = load(&asked.topology)?;
            let mismatches = auriga_numa_topology::compare(&machine, &topology);
            let fits = mismatches.iter().all(|mismatch| mismatch.severity != Severity::Error);
            if asked.json {
                print_json(&CheckReport { fits, mismatches: &mismatches })?;
            } else {
                for mismatch in &mismatches {
                    println!("{mismatch}");
                }
                println!(
                    "{}",
                    if fits {
                        "the topology fits this machine"
                    } else {
                        "the topology does not fit this machine"
                    }
                );
            }
            Ok(if fits { 0 } else { Kind::Failed as i32 })
        }
    }
}

#[derive(Serialize)]
struct CheckReport<'a, M: Serialize> {
    fits: bool,
    mismatches: &'a [M],
}
