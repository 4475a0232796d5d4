//! A copy of the workspace in which mistakes are made: where it lies, how it is built, and how its tests are run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What of the workspace is copied: all members, because the lock file is theirs together.
const COPIED: [&str; 7] = ["Cargo.toml", "Cargo.lock", "src", "shards", "bench", "numa-topology", "tests"];

/// Whatever goes wrong.
pub type Error = Box<dyn std::error::Error>;

/// The copied workspace and where it is built. Who comes next uses the same place: most of it is built already.
#[derive(Debug)]
pub struct Copy {
    /// The copy.
    pub root: PathBuf,
    target: PathBuf,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ending {
    /// Whether it succeeded.
    pub passed: bool,
    /// All that it printed.
    pub text: String,
}

impl Ending {
    /// The first seed that failed, if a seed did, and by which mismatch or by which assertion of the engine.
    pub fn caught(&self) -> Option<(String, String)> {
        let lines = || self.text.lines().map(str::trim);
        let first = lines().find_map(|line| Some(line.strip_prefix("seed ")?.split_once(':')?.0));
        let how =
            lines().find(|line| line.contains("mismatch on ") || line.contains("panicked at shards/src/"))?;
        Some((first.unwrap_or("-").into(), how.chars().take(160).collect()))
    }
}

impl Copy {
    /// Copies the workspace.
    pub fn new() -> Result<Self, Error> {
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

    /// Builds something. Fails if it does not compile, or if the engine was not compiled anew.
    pub fn build(&self, arguments: &[&str]) -> Result<(), Error> {
        let Ending { passed, text } = self.cargo(arguments, &[])?;
        if !passed {
            return Err(format!("it does not compile:\n{text}").into());
        }
        if !text.contains("Compiling auriga-shards") {
            return Err("the engine was not compiled: is the copy's time right?".into());
        }
        Ok(())
    }

    /// Builds the simulator.
    pub fn build_simulator(&self) -> Result<(), Error> {
        self.build(&["build", "-p", "auriga-sim", "--bin", "sim"])
    }

    /// Runs the simulator, from seed 0 on.
    pub fn simulate(&self, seeds: u64) -> Result<Ending, Error> {
        let seeds = seeds.to_string();
        self.cargo(&["run", "-p", "auriga-sim", "--bin", "sim", "--", "--seed", "0", "--count", &seeds], &[])
    }

    /// Runs cargo in the copy; the first argument is its command.
    pub fn cargo(&self, arguments: &[&str], environment: &[(&str, String)]) -> Result<Ending, Error> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let (command, arguments) = arguments.split_first().ok_or("cargo needs a command")?;
        let output: Output = Command::new(cargo)
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("RUST_BACKTRACE", "0")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .args([command, "--offline", "--locked"])
            .args(arguments)
            .output()
            .map_err(|error| format!("cargo can't be run: {error}"))?;
        let text = [output.stdout, output.stderr].concat();
        Ok(Ending { passed: output.status.success(), text: String::from_utf8_lossy(&text).into_owned() })
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
