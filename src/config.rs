//! The configuration of a start: the shipped file's defaults, under an operator's file, under the environment, under what was typed.
//! The command line reads it, before anything else runs.

pub mod command;
pub mod file;
pub mod shipped;
pub mod units;

use crate::cli::Cli;
use crate::failure::{Failure, Outcome};
use crate::options::StartArguments;
use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches};
use file::ConfigFile;
use shipped::{Setting, settings};
use std::ffi::OsString;
use std::path::PathBuf;

/// Where a value comes from; a later one overrides an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The shipped file, or there is none.
    #[default]
    Default,
    /// A line of an operator's file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The variable of the key.
    Environment,
    /// The option of the key.
    Flag,
}

/// A key's value, as it was given, and where it comes from.
#[derive(Clone, Debug)]
pub struct Value {
    /// The key.
    pub setting: &'static Setting,
    /// As it was given; `None` if nobody gave one.
    pub text: Option<String>,
    /// Where it comes from.
    pub origin: Origin,
}

/// All values of a start.
#[derive(Clone, Debug, Default)]
pub struct Values(Vec<Value>);

impl Values {
    /// In the order of the shipped file.
    pub fn iter(&self) -> impl Iterator<Item = &Value> {
        self.0.iter()
    }

    /// Each key that has a value, and the value as it counts.
    pub fn shown(&self) -> Vec<(String, String)> {
        let with_value = self.0.iter().filter(|value| value.text.is_some());
        with_value.map(|value| (value.setting.key.to_string(), command::text(value))).collect()
    }

    /// Where a key's value comes from.
    pub fn origin(&self, key: &str) -> Origin {
        self.0
            .iter()
            .find(|value| value.setting.key == key)
            .map_or(Origin::Default, |value| value.origin.clone())
    }

    /// How a value was given, for a message about it.
    pub fn says(&self, key: &str, number: u64) -> String {
        let Some(value) = self.0.iter().find(|value| value.setting.key == key) else {
            return format!("--{key} {number}");
        };
        let text = value.text.as_deref().unwrap_or_default();
        match &value.origin {
            Origin::Default | Origin::Flag => format!("--{key} {number}"),
            Origin::Environment => format!("{}={text}", value.setting.variable),
            Origin::File { path, line } => format!("{}:{line}: {key} = {text}", path.display()),
        }
    }

    /// A value that another one takes the place of.
    fn drop(&mut self, key: &str) {
        for value in self.0.iter_mut().filter(|value| value.setting.key == key) {
            (value.text, value.origin) = (None, Origin::Default);
        }
    }
}

/// Why there is no command.
#[derive(Debug)]
pub enum Refused {
    /// What was typed is no command, or asks for help.
    Typed(clap::Error),
    /// The configuration is wrong.
    Configuration(Failure),
}

impl From<clap::Error> for Refused {
    fn from(error: clap::Error) -> Self {
        Self::Typed(error)
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Configuration(failure)
    }
}

/// The command line with what the shipped file says: defaults and variables.
pub fn described() -> clap::Command {
    layered(None, &[])
}

/// Reads a command and, if it has one, its configuration.
pub fn read(words: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Cli, Refused> {
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    let wrong = wrong_variables();
    let wrong_keys: Vec<&str> = wrong.iter().map(|(key, _)| *key).collect();
    let mut matches = layered(None, &wrong_keys).try_get_matches_from(&words)?;
    let mut file = None;
    if let Some(asked) = configured(&matches) {
        if !wrong.is_empty() {
            let lines: Vec<_> = wrong.into_iter().map(|(_, what)| what).collect();
            return Err(Failure::usage(lines.join("\n")).into());
        }
        if let Some(path) = asked.get_one::<PathBuf>("config") {
            let read = ConfigFile::load(path, check)?;
            matches = layered(Some(&read), &[]).try_get_matches_from(&words)?;
            file = Some(read);
        }
    }
    let mut cli = Cli::from_arg_matches(&matches)?;
    if let (Some(asked), Some(given)) = (cli.command.configured(), configured(&matches)) {
        asked.values = values(given, file.as_ref());
        settle(asked)?;
    }
    Ok(cli)
}

/// The commands that take the options of a start.
const CONFIGURED: [&[&str]; 3] = [&["start"], &["check"], &["config", "check"]];

/// The command line with the defaults of the shipped file and a file over them. Variables of these keys are not looked at.
fn layered(file: Option<&ConfigFile>, wrong: &[&str]) -> clap::Command {
    CONFIGURED.iter().fold(Cli::command(), |command, path| layer(command, path, file, wrong))
}

fn layer(command: clap::Command, path: &[&str], file: Option<&ConfigFile>, wrong: &[&str]) -> clap::Command {
    if let Some((first, rest)) = path.split_first() {
        return command.mut_subcommand(first, |command| layer(command, rest, file, wrong));
    }
    command.mut_args(|arg| {
        let Some(setting) = arg.get_long().and_then(shipped::setting) else { return arg };
        let given = file.and_then(|file| file.get(setting.key)).map(|given| given.text.clone());
        let arg = match given.or_else(|| setting.default.clone()) {
            Some(text) => arg.required(false).default_value(text),
            None => arg,
        };
        if wrong.contains(&setting.key) {
            arg
        } else {
            arg.env(setting.variable.clone()).hide_env_values(true)
        }
    })
}

/// What was typed for a command that takes the options of a start.
fn configured(matches: &ArgMatches) -> Option<&ArgMatches> {
    CONFIGURED
        .iter()
        .find_map(|path| path.iter().try_fold(matches, |matches, name| matches.subcommand_matches(name)))
}

/// What is wrong with variables, by key.
fn wrong_variables() -> Vec<(&'static str, String)> {
    let given = settings().iter().filter_map(|setting| Some((setting, std::env::var_os(&setting.variable)?)));
    let wrong = given.filter_map(|(setting, text)| {
        let text = text.to_str()?;
        let what = check(setting, text).err()?;
        Some((setting.key, format!("{}={text}: {what}", setting.variable)))
    });
    wrong.collect()
}

/// Says what is wrong with a value, as its option would.
fn check(setting: &Setting, text: &str) -> Result<(), String> {
    let command = StartArguments::augment_args(clap::Command::new("value").no_binary_name(true));
    let arg = command.get_arguments().find(|arg| arg.get_long() == Some(setting.key));
    let Some(arg) = arg.cloned() else { return Err("no option has this name".into()) };
    let value = clap::Command::new("value").no_binary_name(true).arg(arg);
    match value.try_get_matches_from([format!("--{}={text}", setting.key)]) {
        Ok(_) => Ok(()),
        Err(error) => Err(explain(&error)),
    }
}

fn explain(error: &clap::Error) -> String {
    if let Some(source) = std::error::Error::source(error) {
        return source.to_string();
    }
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => {
            format!("expected one of: {}", values.join(", "))
        }
        _ => "expected a value".into(),
    }
}

fn values(given: &ArgMatches, file: Option<&ConfigFile>) -> Values {
    let of = |setting: &'static Setting| {
        let id = setting.key.replace('-', "_");
        let text = given.get_raw(&id).and_then(|mut raw| Some(raw.next()?.to_string_lossy().into_owned()));
        let in_file = file.and_then(|file| Some((&file.path, file.get(setting.key)?.line)));
        let origin = match (given.value_source(&id), in_file) {
            (Some(ValueSource::CommandLine), _) => Origin::Flag,
            (Some(ValueSource::EnvVariable), _) => Origin::Environment,
            (_, Some((path, line))) => Origin::File { path: path.clone(), line },
            _ => Origin::Default,
        };
        Value { setting, text, origin }
    };
    Values(settings().iter().map(of).collect())
}

/// Of shards and topology one counts: the one that was given later.
fn settle(asked: &mut StartArguments) -> Outcome<()> {
    if asked.shards.is_none() || asked.topology.is_none() {
        return Ok(());
    }
    let (shards, topology) = (asked.values.origin("shards"), asked.values.origin("topology"));
    let rank = |origin: &Origin| match origin {
        Origin::Default => 0,
        Origin::File { .. } => 1,
        Origin::Environment => 2,
        Origin::Flag => 3,
    };
    match rank(&shards).cmp(&rank(&topology)) {
        std::cmp::Ordering::Less => {
            asked.shards = None;
            asked.values.drop("shards");
        }
        std::cmp::Ordering::Greater => {
            asked.topology = None;
            asked.values.drop("topology");
        }
        std::cmp::Ordering::Equal => {
            let place = match topology {
                Origin::File { path, line } => format!("{}:{line}: shards and topology", path.display()),
                Origin::Environment => "AURIGA_SHARDS and AURIGA_TOPOLOGY".into(),
                Origin::Flag | Origin::Default => "--shards and --topology".into(),
            };
            return Err(Failure::usage(format!(
                "{place}: a topology file says which shards there are: leave one of them out"
            )));
        }
    }
    Ok(())
}
