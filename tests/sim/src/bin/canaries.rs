//! Whether the simulator notices mistakes: applies each patch of `canaries/` to a copy of the workspace, builds it, and requires
//! that an invariant doesn't hold there, or an assertion of the engine, within the seeds that the patch states.
//!
//! `canaries [--all] [PART-OF-A-NAME]`: those that every run of the tests proves, or all. The copy and its build lie in
//! `target/mutants`. A patch that doesn't apply fails: whoever changes the engine keeps the canaries alive.

use auriga_tests::copy::{Copy, Error};
use clap::Parser;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;

/// Puts mistakes into a copy of the engine, and requires that the simulator notices each.
#[derive(Parser, Debug)]
struct Arguments {
    /// All canaries, not only those that every run of the tests proves
    #[arg(long)]
    all: bool,
    /// Only those with this in their names
    part: Option<String>,
}

/// A mistake.
#[derive(Debug)]
struct Canary {
    name: String,
    patch: PathBuf,
    /// It must be noticed by one of so many seeds.
    within: u64,
    is_always_proven: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("canaries: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns how many were not caught.
fn run(arguments: &Arguments) -> Result<usize, Error> {
    let start = Instant::now();
    let mut canaries = read_all()?;
    canaries.retain(|canary| match &arguments.part {
        Some(part) => canary.name.contains(part),
        None => arguments.all || canary.is_always_proven,
    });
    let Some(seeds) = canaries.iter().map(|canary| canary.within).max() else {
        return Err("there is no such canary".into());
    };
    let copy = Copy::new()?;
    copy.build_simulator()?;
    let ending = copy.simulate(seeds)?;
    if !ending.passed {
        return Err(format!("the simulator fails without a canary:\n{}", ending.text).into());
    }
    println!("{:<40} {:>6} {:>12}  caught by", "canary", "within", "first seed");
    let mut missed = 0;
    for canary in &canaries {
        let (first, how) = match canary.sing(&copy) {
            Ok(caught) => caught,
            Err(error) => {
                missed += 1;
                ("-".into(), format!("NOT CAUGHT: {error}"))
            }
        };
        println!("{:<40} {:>6} {first:>12}  {how}", canary.name, canary.within);
    }
    let caught = canaries.len() - missed;
    println!("canaries: {caught} caught, {missed} not, {:.0} s", start.elapsed().as_secs_f64());
    Ok(missed)
}

/// The canaries by name.
fn read_all() -> Result<Vec<Canary>, Error> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("canaries");
    let mut canaries = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let patch = entry?.path();
        let text = fs::read_to_string(&patch)?;
        let name = patch.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let line = |start: &str| text.lines().find_map(|line| line.strip_prefix(start).map(str::trim));
        let within = line("within:").and_then(|line| line.strip_suffix("seeds")?.trim().parse().ok());
        let Some(within) = within else {
            return Err(format!("{}: no line `within: N seeds`", patch.display()).into());
        };
        let is_always_proven = line("proven:") == Some("always");
        canaries.push(Canary { name: name.unwrap_or_default(), patch, within, is_always_proven });
    }
    canaries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(canaries)
}

impl Canary {
    /// The first seed that notices it, and by what; an error if none does.
    fn sing(&self, copy: &Copy) -> Result<(String, String), Error> {
        self.apply(copy, &[])?;
        let ending = copy.build_simulator().and_then(|()| copy.simulate(self.within));
        self.apply(copy, &["--reverse"])?;
        let ending = ending?;
        if ending.passed {
            return Err(format!("every invariant holds for {} seeds", self.within).into());
        }
        let other = || format!("the simulator fails in another way:\n{}", ending.text);
        ending.caught().ok_or_else(|| other().into())
    }

    fn apply(&self, copy: &Copy, options: &[&str]) -> Result<(), Error> {
        // To git the copy is no part of this repository: there it would leave out what it doesn't track.
        let output = Command::new("git")
            .current_dir(&copy.root)
            .env("GIT_CEILING_DIRECTORIES", copy.root.parent().unwrap_or(&copy.root))
            .arg("apply")
            .args(options)
            .arg(&self.patch)
            .output()
            .map_err(|error| format!("git can't be run: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let why = String::from_utf8_lossy(&output.stderr);
        Err(format!("{} doesn't apply: {}", self.patch.display(), why.trim()).into())
    }
}
