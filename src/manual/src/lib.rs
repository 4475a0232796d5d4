//! Man pages and shell completions, made of a command line itself. Each program has a hidden command `generate` for it, which packages and
//! `systemd/install` run.

use clap::{Args, Command};
use clap_complete::Shell;
use std::io;
use std::path::{Path, PathBuf};

/// Shells that have completions.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// What `generate` is asked for. The directories must be there.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Where man pages go, one for each command
    #[arg(long, value_name = "DIR", required_unless_present = "completions")]
    man: Option<PathBuf>,
    /// Where completions go: NAME.bash, _NAME and NAME.fish
    #[arg(long, value_name = "DIR")]
    completions: Option<PathBuf>,
}

/// Writes what was asked for, of a program's command line.
///
/// # Errors
///
/// A sentence that names the directory, and says what to do.
pub fn generate(command: &Command, asked: &Arguments) -> Result<(), String> {
    let cannot = |folder: &Path, e: io::Error| {
        format!("can't write to {}: {e}: name a directory that is there", folder.display())
    };
    if let Some(folder) = &asked.man {
        clap_mangen::generate_to(command.clone(), folder).map_err(|e| cannot(folder, e))?;
    }
    if let Some(folder) = &asked.completions {
        for shell in SHELLS {
            clap_complete::generate_to(shell, &mut command.clone(), command.get_name(), folder)
                .map_err(|e| cannot(folder, e))?;
        }
    }
    Ok(())
}
