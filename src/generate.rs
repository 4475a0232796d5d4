//! `auriga generate`: man pages and shell completions, made of the command line itself. For packages; the directories must be there.

use crate::config;
use crate::failure::{Failure, Outcome};
use clap::Args;
use clap_complete::Shell;
use std::path::{Path, PathBuf};

/// Shells that have completions.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

#[derive(Args, Debug)]
pub struct Arguments {
    /// Where man pages go, one for each command
    #[arg(long, value_name = "DIR", required_unless_present = "completions")]
    man: Option<PathBuf>,
    /// Where completions go: auriga.bash, _auriga and auriga.fish
    #[arg(long, value_name = "DIR")]
    completions: Option<PathBuf>,
}

/// Runs the command.
pub fn run(asked: &Arguments) -> Outcome<()> {
    let cannot = |folder: &Path, e: std::io::Error| {
        Failure::environment(format!(
            "can't write to {}: {e}: name a directory that is there",
            folder.display()
        ))
    };
    if let Some(folder) = &asked.man {
        clap_mangen::generate_to(config::described(), folder).map_err(|e| cannot(folder, e))?;
    }
    if let Some(folder) = &asked.completions {
        for shell in SHELLS {
            clap_complete::generate_to(shell, &mut config::described(), "auriga", folder)
                .map_err(|e| cannot(folder, e))?;
        }
    }
    Ok(())
}
