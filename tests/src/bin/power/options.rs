//! What `power` is told.

use std::path::PathBuf;
use std::str::FromStr;

/// Cuts of each life.
const CUTS: usize = 20;
const USAGE: &str = "usage: power --tools FOLDER --guest FILE --broken FILE [--cuts N] [--seed N]; tests/run power gives the first \
                     three";

/// Its options.
#[derive(Debug)]
pub struct Options {
    /// What `tests/power/fetch` has filled.
    pub tools: PathBuf,
    /// What `tests/power/pack` has made of the server.
    pub guest: PathBuf,
    /// And of the one that can be told to flush too little.
    pub broken: PathBuf,
    /// Cuts of each life.
    pub cuts: usize,
    /// The seed of all that chance decides; how threads and processes interleave is not among that.
    pub seed: u64,
}

impl Options {
    /// Reads `--name value` pairs.
    ///
    /// # Errors
    ///
    /// What is missing or unknown.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let (mut tools, mut guest, mut broken) = (None, None, None);
        let (mut cuts, mut seed) = (CUTS, fastrand::u64(..1 << 32));
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value; {USAGE}"))?;
            match name.as_str() {
                "--tools" => tools = Some(PathBuf::from(value)),
                "--guest" => guest = Some(PathBuf::from(value)),
                "--broken" => broken = Some(PathBuf::from(value)),
                "--cuts" => cuts = number(&name, &value)?,
                "--seed" => seed = number(&name, &value)?,
                _ => return Err(format!("unknown option {name}; {USAGE}")),
            }
        }
        let (Some(tools), Some(guest), Some(broken)) = (tools, guest, broken) else {
            return Err(USAGE.into());
        };
        if cuts == 0 {
            return Err("--cuts 0: expected 1 or more".into());
        }
        Ok(Self { tools, guest, broken, cuts, seed })
    }
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name} {value}: expected a number"))
}
