//! `auriga topology`: discover, show, check, systemd.

use crate::cli::print_json;
use crate::failure::{Failure, Kind, Outcome};
use crate::output::{say, write};
use auriga_numa_topology::{DropIn, Machine, Mismatch, Services, Severity, Topology, drop_ins};
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
    /// Write drop-ins for systemd that keep the service where a topology file says
    Systemd(SystemdArguments),
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
pub(crate) struct SystemdArguments {
    /// The topology file, which the units then start with [default: what discover finds, now and at each start]
    #[arg(long, value_name = "FILE", visible_alias = "topology")]
    file: Option<PathBuf>,
    /// A unit that runs the server, or looks whether it could
    #[arg(long = "unit", value_name = "NAME", default_values = ["auriga.service", "auriga-check.service"])]
    units: Vec<String>,
    /// Keep all other units off the shards' CPUs, on those of housekeeping
    #[arg(long)]
    alone: bool,
    /// Where directories of drop-ins are, as /etc/systemd/system [default: standard output]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
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
            write(&plan.topology.to_toml());
            Ok(0)
        }
        Command::Show(asked) => show(&machine, &load(&asked.file.topology)?, asked),
        Command::Check(asked) => check(&machine, &load(&asked.file.topology)?, asked),
        Command::Systemd(asked) => systemd(asked, &load(&asked.file)?).map(|()| 0),
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
        write(&auriga_numa_topology::draw(machine, Some(topology)));
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
            say!("{mismatch}");
        }
        let strict = if topology.strict { " (strict = true: without a warning)" } else { "" };
        let verb = if fits { "fits" } else { "does not fit" };
        say!("the topology {verb} this machine{strict}");
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

/// Writes drop-ins. The topology may be that of another machine.
fn systemd(asked: &SystemdArguments, topology: &Topology) -> Outcome<()> {
    let is_unit = |name: &String| name.ends_with(".service") && is_plain(name) && !name.contains('/');
    if let Some(name) = asked.units.iter().find(|name| !is_unit(name)) {
        return Err(Failure::usage(format!(
            "--unit {name}: expected the name of a service, as auriga.service"
        )));
    }
    let file = asked.file.as_deref().map(absolute).transpose()?;
    if asked.alone && topology.housekeeping.cpus.is_empty() {
        return Err(Failure::usage(
            "--alone: the topology has no CPUs for housekeeping, so there are none to keep other units on: list some in its section \
             [housekeeping]",
        ));
    }
    let services = Services { units: &asked.units, file: file.as_deref(), alone: asked.alone };
    for (number, DropIn { path, text }) in drop_ins(topology, services).into_iter().enumerate() {
        let Some(directory) = &asked.output else {
            let space = if number == 0 { "" } else { "\n" };
            write(&format!("{space}# {path}\n{text}"));
            continue;
        };
        let path = directory.join(path);
        let parent = path.parent().expect("a drop-in is in a directory");
        std::fs::create_dir_all(parent).and_then(|()| std::fs::write(&path, text)).map_err(|e| {
            Failure::environment(format!(
                "can't write {}: {e}. Name a directory that may be written (--output)",
                path.display()
            ))
        })?;
        say!("{}", path.display());
    }
    Ok(())
}

/// The file's name as a unit needs it: systemd would take other characters for more than themselves.
fn absolute(path: &Path) -> Outcome<String> {
    let path =
        std::path::absolute(path).map_err(|e| Failure::environment(format!("{}: {e}", path.display())))?;
    match path.to_str() {
        Some(name) if is_plain(name) => Ok(name.into()),
        _ => Err(Failure::usage(format!(
            "--file {}: expected a path of letters, digits and any of / . _ - @ + : that a unit can name; move the file, as to \
             /etc/auriga/topology.toml",
            path.display()
        ))),
    }
}

fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-@+:".contains(c))
}

#[derive(Serialize)]
struct CheckReport<'a> {
    fits: bool,
    strict: bool,
    mismatches: &'a [Mismatch],
}
