//! Runs the simulator: `sim [--seed N] [--count M] [--verbose]`.

use auriga_sim::run;
use auriga_tests::seeds::run_each;
use clap::Parser;
use std::cell::Cell;
use std::process::{Command, ExitCode};

/// Runs the real shards on a simulated disk, clock and clients, driven by seeds.
///
/// The same seed gives the same run, to the byte: its trace is a hash of every step, write and reply.
#[derive(Parser, Debug)]
struct Arguments {
    /// The first seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many seeds
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Print each seed's trace, and what it reaches
    #[arg(long)]
    verbose: bool,
}

thread_local! {
    static SEED: Cell<Option<u64>> = const { Cell::new(None) };
}

fn main() -> ExitCode {
    let Arguments { seed, count, verbose } = Arguments::parse();
    let last = seed.saturating_add(count - 1);
    println!("seeds {seed} to {last}, commit {}", commit());
    name_the_seed_of_a_panic();
    let seeds: Vec<u64> = (seed..=last).collect();
    let runs = run_each(&seeds, |seed| {
        SEED.set(Some(seed));
        let run = run(seed);
        if let (true, Ok(tally)) = (verbose, &run) {
            let counts = tally.counts().into_iter().filter(|(_, count)| *count > 0);
            let counts: Vec<String> = counts.map(|(name, count)| format!("{count} {name}")).collect();
            println!("seed {seed}: trace {:032x}: {}", tally.trace, counts.join("; "));
        }
        run
    });
    match runs {
        Ok(runs) => {
            println!("{}", runs.tally);
            println!("{} seeds in {:.1} s: every invariant held", runs.seeds, runs.seconds);
            ExitCode::SUCCESS
        }
        Err(failed) => {
            println!("tests/run sim --seed {} repeats it", failed.seed);
            ExitCode::FAILURE
        }
    }
}

/// Where a panic ends the process, nobody else does.
fn name_the_seed_of_a_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if let Some(seed) = SEED.get() {
            eprintln!("in seed {seed}:");
        }
        print(panic);
    }));
}

/// The commit of what is run, and whether it was changed since.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(arguments)
            .output()
            .ok()
            .filter(|o| o.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    let Some(commit) = git(&["rev-parse", "HEAD"]) else { return "unknown".into() };
    let changed = git(&["status", "--porcelain"]).is_none_or(|changed| !changed.is_empty());
    if changed { commit + ", modified" } else { commit }
}
