//! Whether the comparison with the reference model notices mistakes: applies each mutation of a list to a copy of the
//! workspace, and requires that the tests fail there by a mismatch or by an assertion of the engine.
//!
//! `cargo run -p auriga-tests --bin mutants [-- PART-OF-A-NAME]`. The copy and its build lie in `target/mutants`. A
//! mutation whose text is not found exactly once fails: whoever changes the engine keeps the list true.

mod list;

use list::{Catcher, MUTATIONS, Mutation};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::time::Instant;

/// What of the workspace is copied: all members, because the lock file is theirs together.
const COPIED: [&str; 7] = ["Cargo.toml", "Cargo.lock", "src", "shards", "bench", "numa-topology", "tests"];

type Error = Box<dyn std::error::Error>;

/// The copied workspace and where it is built.
struct Copy {
    root: PathBuf,
    target: PathBuf,
}

/// How a test ended.
struct Ending {
    passed: bool,
    text: String,
}

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
    copy.check_unmutated()?;
    println!("{:<75} {:>6} {:>12}  caught by", "mutation", "within", "first seed");
    let mut missed = 0;
    for mutation in &chosen {
        let within = match mutation.catcher {
            Catcher::Seeds(seeds) | Catcher::Lives(seeds) => seeds.to_string(),
            Catcher::Cases => "cases".into(),
        };
        let (first, how) = match copy.try_mutation(mutation) {
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

impl Copy {
    fn new() -> Result<Self, Error> {
        let workspace =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("tests lies in the workspace")?;
        let place = workspace.join("target/mutants");
        let copy = Self { root: place.join("workspace"), target: place.join("target") };
        if copy.root.exists() {
            fs::remove_dir_all(&copy.root)?;
        }
        fs::create_dir_all(&copy.root)?;
        for name in COPIED {
            copy_all(&workspace.join(name), &copy.root.join(name))?;
        }
        Ok(copy)
    }

    /// What fails without a mutation proves nothing with one.
    fn check_unmutated(&self) -> Result<(), Error> {
        self.build()?;
        let seeds = MUTATIONS.iter().filter_map(|m| match m.catcher {
            Catcher::Seeds(seeds) => Some(seeds),
            _ => None,
        });
        let lives = MUTATIONS.iter().filter_map(|m| match m.catcher {
            Catcher::Lives(seeds) => Some(seeds),
            _ => None,
        });
        let (seeds, lives) = (seeds.max().unwrap_or(1), lives.max().unwrap_or(1));
        for catcher in [Catcher::Seeds(seeds), Catcher::Cases, Catcher::Lives(lives)] {
            let ending = self.test(catcher)?;
            if !ending.passed {
                return Err(format!("the tests fail without a mutation:\n{}", ending.text).into());
            }
        }
        Ok(())
    }

    /// The first seed that noticed it, and by what; an error if nothing did.
    fn try_mutation(&self, mutation: &Mutation) -> Result<(String, String), Error> {
        let file = self.root.join("shards/src").join(mutation.file);
        let original = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let found = original.matches(mutation.text).count();
        if found != 1 {
            return Err(format!("{}: the text is there {found} times, expected once", mutation.file).into());
        }
        fs::write(&file, original.replace(mutation.text, mutation.replacement))?;
        let ending = self.build().and_then(|()| self.test(mutation.catcher));
        fs::write(&file, original)?;
        let ending = ending?;
        if ending.passed {
            return Err("the tests pass".into());
        }
        let lines = || ending.text.lines().map(str::trim);
        let first = lines().find_map(|line| Some(line.strip_prefix("seed ")?.split_once(':')?.0));
        let how =
            lines().find(|line| line.contains("mismatch on ") || line.contains("panicked at shards/src/"));
        let how = how.ok_or_else(|| format!("the tests fail in another way:\n{}", ending.text))?;
        Ok((first.unwrap_or("-").into(), how.chars().take(100).collect()))
    }

    /// Fails if the code does not compile, or if the engine was not compiled anew.
    fn build(&self) -> Result<(), Error> {
        let output = self.cargo(&["--no-run"], &[])?;
        let text = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return Err(format!("it does not compile:\n{text}").into());
        }
        if !text.contains("Compiling auriga-shards") {
            return Err("the engine was not compiled: is the copy's time right?".into());
        }
        Ok(())
    }

    fn test(&self, catcher: Catcher) -> Result<Ending, Error> {
        let random = |test, seeds: u64| {
            let environment = [("AURIGA_SEED", "0".to_string()), ("AURIGA_SEEDS", seeds.to_string())];
            self.cargo(&["--test", test, "--", "--nocapture"], &environment)
        };
        let output = match catcher {
            Catcher::Seeds(seeds) => random("exact", seeds)?,
            Catcher::Lives(seeds) => random("exact_shards", seeds)?,
            Catcher::Cases => self.cargo(&["--test", "exact_cases"], &[])?,
        };
        let text = [output.stdout, output.stderr].concat();
        Ok(Ending { passed: output.status.success(), text: String::from_utf8_lossy(&text).into_owned() })
    }

    fn cargo(&self, arguments: &[&str], environment: &[(&str, String)]) -> Result<Output, Error> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Command::new(cargo)
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("RUST_BACKTRACE", "0")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .args(["test", "--offline", "--locked", "-p", "auriga-tests"])
            .args(if arguments == ["--no-run"] {
                &["--test", "exact", "--test", "exact_cases", "--test", "exact_shards"][..]
            } else {
                &[]
            })
            .args(arguments)
            .output()
            .map_err(|error| format!("cargo can't be run: {error}").into())
    }
}

fn copy_all(from: &Path, to: &Path) -> Result<(), Error> {
    if from.is_file() {
        fs::copy(from, to).map_err(|error| format!("{}: {error}", from.display()))?;
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).map_err(|error| format!("{}: {error}", from.display()))? {
        let name = entry?.file_name();
        copy_all(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}
