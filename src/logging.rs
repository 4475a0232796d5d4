//! What the program says on stderr while it runs: lines for a person, for systemd's journal or for a program that reads JSON. Set up
//! once, by the command line, before anything is said; lines come from any thread.

mod journald;
mod repeats;

use crate::config::shipped;
use crate::failure::{Failure, Outcome};
use clap::ValueEnum;
use std::fmt::Display;
use std::io::IsTerminal;
use std::os::fd::AsRawFd;
use std::sync::OnceLock;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

pub use repeats::{tell_all_hidden, tell_hidden};

/// How lines are to be written.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Human on a terminal, journald where stderr is the journal's, otherwise JSON
    Auto,
    /// A line for a person
    Human,
    /// One JSON object a line
    Json,
    /// A line with systemd's priority in front
    Journald,
}

/// The format that was chosen.
static FORMAT: OnceLock<Format> = OnceLock::new();

/// What is logged, as [`EnvFilter`] reads it: `info,fjall=debug`. Of words that are no level it would make names of parts of the
/// program, and log nothing else.
pub fn levels(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let expected = "expected error, warn, info, debug or trace, or with parts of the program, as in \"info,fjall=debug\"";
    let is_level = |word: &str| LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level));
    let is_known = |part: &str| is_level(part) || part.contains(['=', '[']);
    if !text.split(',').all(is_known) {
        return Err(expected.into());
    }
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.into()),
        Err(e) => Err(format!("{expected} ({e})")),
    }
}

/// Sets up what a server says.
pub fn start(levels: &str, format: Format) {
    let is_terminal = std::io::stderr().is_terminal();
    let format = match format {
        Format::Auto if is_terminal => Format::Human,
        Format::Auto if is_journal() => Format::Journald,
        Format::Auto => Format::Json,
        chosen => chosen,
    };
    begin(levels, format, is_terminal);
}

/// Sets up what another command says: lines for whoever has typed it, unless the environment asks for others.
pub fn start_of_command() -> Outcome<()> {
    let levels = chosen("log", levels)?;
    let format = chosen("log-format", |text| {
        <Format as ValueEnum>::from_str(text, false)
            .map_err(|_| "expected auto, human, json or journald".into())
    })?;
    let is_terminal = std::io::stderr().is_terminal();
    begin(&levels, if format == Format::Auto { Format::Human } else { format }, is_terminal);
    Ok(())
}

/// What the environment says of a key, or else the shipped file.
fn chosen<T>(key: &str, read: impl Fn(&str) -> Result<T, String>) -> Outcome<T> {
    let setting = shipped::setting(key).expect("the shipped file has the keys of logging");
    let said = std::env::var_os(&setting.variable).map(|text| text.to_string_lossy().into_owned());
    let text = said.or_else(|| setting.default.clone()).unwrap_or_default();
    read(&text).map_err(|what| Failure::usage(format!("{}={text}: {what}", setting.variable)))
}

fn begin(levels: &str, format: Format, is_terminal: bool) {
    let _ = FORMAT.set(format);
    let lines = match format {
        Format::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_writer(std::io::stderr)
            .boxed(),
        Format::Journald => fmt::layer().event_format(journald::Lines).with_writer(std::io::stderr).boxed(),
        Format::Human | Format::Auto => fmt::layer::<Registry>()
            .with_target(false)
            .with_ansi(is_terminal)
            .with_writer(std::io::stderr)
            .boxed(),
    };
    let begun = tracing_subscriber::registry()
        .with(lines)
        .with(EnvFilter::new(levels))
        .with(repeats::Limit::of_this_process())
        .try_init();
    begun.expect("logging is set up once");
}

/// Whether stderr is the stream that systemd's journal has given this process (systemd.exec(5), `JOURNAL_STREAM`).
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    // SAFETY: stat is plain data, for which zeros are valid.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` is writable for the call.
    let known = unsafe { libc::fstat(std::io::stderr().as_raw_fd(), &raw mut stat) } == 0;
    known && stream == format!("{}:{}", stat.st_dev, stat.st_ino)
}

/// Says why the process ends, whatever the level is.
pub fn tell_failure(why: &dyn Display) {
    match FORMAT.get() {
        Some(Format::Json | Format::Journald) if tracing::enabled!(tracing::Level::ERROR) => {
            tracing::error!("{why}");
        }
        _ => eprintln!("auriga: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_level_is_refused() {
        for good in ["info", "WARN", "off", "info,fjall=warn,lsm_tree=warn", "auriga=debug"] {
            assert!(levels(good).is_ok(), "{good}");
        }
        for bad in ["", "inof", "info,", "fjall=loud", "info,fjall", "warn, fjall=info", "3=4=5"] {
            assert!(levels(bad).is_err_and(|said| said.contains("expected error, warn")), "{bad}");
        }
    }
}
