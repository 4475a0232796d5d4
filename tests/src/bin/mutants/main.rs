//! Whether the comparison with the reference model notices mistakes: applies each mutation of a list to a copy of the
//! workspace, and requires that the tests fail there by a mismatch or by an assertion of the engine.
//!
//! `cargo run -p auriga-tests --bin mutants [-- PART-OF-A-NAME]`. The copy and its build lie in `target/mutants`. A
//! mutation whose text is not found exactly once ends it at once: whoever changes the engine keeps the list true.

mod list;

use auriga_tests::copy::{Copy, Ending, Error};
use list::{Catcher, MUTATIONS, Mutation};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let part = std::env::args().nth(1).unwrap_or_default();
    match run(&part) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mutants: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns how many mutations were not caught.
fn run(part: &str) -> Result<usize, Error> {
    let start = Instant::now();
    let copy = Copy::new()?;
    let chosen: Vec<&Mutation> = MUTATIONS.iter().filter(|m| m.name.contains(part)).collect();
    if chosen.is_empty() {
        return Err(format!("no mutation has {part:?} in its name").into());
    }
    for mutation in &chosen {
        read(&copy, mutation)?;
    }
    check_unmutated(&copy)?;
    println!("{:<75} {:>6} {:>12}  caught by", "mutation", "within", "first seed");
    let mut missed = 0;
    for mutation in &chosen {
        let within = match mutation.catcher {
            Catcher::Seeds(seeds) | Catcher::Lives(seeds) => seeds.to_string(),
            Catcher::Cases => "cases".into(),
        };
        let (first, how) = match try_mutation(&copy, mutation) {
            Ok(ending) => ending,
            Err(error) => {
                missed += 1;
                ("-".into(), format!("NOT CAUGHT: {error}"))
            }
        };
        println!("{:<75} {within:>6} {first:>12}  {how}", mutation.name);
    }
    println!(
        "mutants: {} caught, {missed} not, {:.0} s",
        chosen.len() - missed,
        start.elapsed().as_secs_f64()
    );
    Ok(missed)
}

/// What fails without a mutation proves nothing with one.
fn check_unmutated(copy: &Copy) -> Result<(), Error> {
    let catchers = || MUTATIONS.iter().map(|mutation| mutation.catcher);
    let seeds = catchers().filter_map(|c| if let Catcher::Seeds(seeds) = c { Some(seeds) } else { None });
    let lives = catchers().filter_map(|c| if let Catcher::Lives(seeds) = c { Some(seeds) } else { None });
    let (seeds, lives) = (seeds.max().unwrap_or(1), lives.max().unwrap_or(1));
    build(copy, Catcher::Cases)?;
    for catcher in [Catcher::Seeds(seeds), Catcher::Cases, Catcher::Lives(lives)] {
        let ending = test(copy, catcher)?;
        if !ending.passed {
            return Err(format!("the tests fail without a mutation:\n{}", ending.text).into());
        }
    }
    Ok(())
}

/// A mutation's file and what is in it; an error if the mutation can't be made.
fn read(copy: &Copy, mutation: &Mutation) -> Result<(PathBuf, String), Error> {
    let Mutation { name, file, text, .. } = mutation;
    let path = copy.root.join("shards/src").join(file);
    let content = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    match content.matches(text).count() {
        1 => Ok((path, content)),
        found => Err(format!("{name}: {file}: the text is there {found} times, expected once").into()),
    }
}

/// The first seed that noticed it, and by what; an error if nothing did.
fn try_mutation(copy: &Copy, mutation: &Mutation) -> Result<(String, String), Error> {
    let (file, original) = read(copy, mutation)?;
    fs::write(&file, original.replace(mutation.text, mutation.replacement))?;
    let ending = build(copy, mutation.catcher).and_then(|()| test(copy, mutation.catcher));
    fs::write(&file, original)?;
    let ending = ending?;
    if ending.passed {
        return Err("the tests pass".into());
    }
    let other = || format!("the tests fail in another way:\n{}", ending.text);
    ending.caught().ok_or_else(|| other().into())
}

/// Builds what must notice a mutation.
fn build(copy: &Copy, catcher: Catcher) -> Result<(), Error> {
    match catcher {
        Catcher::Lives(_) => copy.build_simulator(),
        _ => copy.build(&[
            "test",
            "-p",
            "auriga-tests",
            "--test",
            "exact",
            "--test",
            "exact_cases",
            "--no-run",
        ]),
    }
}

fn test(copy: &Copy, catcher: Catcher) -> Result<Ending, Error> {
    let test = ["test", "-p", "auriga-tests", "--test"];
    match catcher {
        Catcher::Seeds(seeds) => {
            let environment = [("AURIGA_SEED", "0".to_string()), ("AURIGA_SEEDS", seeds.to_string())];
            copy.cargo(&[&test[..], &["exact", "--", "--nocapture"]].concat(), &environment)
        }
        Catcher::Lives(seeds) => copy.simulate(seeds),
        Catcher::Cases => copy.cargo(&[&test[..], &["exact_cases"]].concat(), &[]),
    }
}
