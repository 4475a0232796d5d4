//! A configuration file of an operator: its keys, each with its line. What it may say is in the shipped file.

use super::shipped::{Setting, settings};
use crate::failure::{Failure, Outcome};
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What a file says.
#[derive(Debug)]
pub struct ConfigFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its keys, in the order of their lines.
    pub given: Vec<Given>,
}

/// A key of a file.
#[derive(Debug)]
pub struct Given {
    /// The key.
    pub key: &'static str,
    /// Its value, as its option would take it.
    pub text: String,
    /// The line, from 1.
    pub line: usize,
}

impl ConfigFile {
    /// Reads a file. `check` says what is wrong with a key's value, if something is.
    pub fn load(path: &Path, check: impl Fn(&Setting, &str) -> Result<(), String>) -> Outcome<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            Failure::environment(format!(
                "can't read the configuration {}: {e}: name the right file (--config), or make it readable for this user; `auriga \
                 config print` prints the shipped one",
                path.display()
            ))
        })?;
        let given = parse(&text, check).map_err(|mut problems| {
            problems.sort();
            let lines = problems.iter().map(|(line, what)| format!("{}:{line}: {what}", path.display()));
            Failure::usage(lines.collect::<Vec<_>>().join("\n"))
        })?;
        Ok(Self { path: path.into(), given })
    }

    /// What it says of a key.
    pub fn get(&self, key: &str) -> Option<&Given> {
        self.given.iter().find(|given| given.key == key)
    }
}

type Problems = Vec<(usize, String)>;

/// The keys of a file, or all that is wrong with it, by line.
fn parse(text: &str, check: impl Fn(&Setting, &str) -> Result<(), String>) -> Result<Vec<Given>, Problems> {
    let line_of =
        |at: usize| text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1;
    let table = DeTable::parse(text).map_err(|e| {
        let at = e.span().map_or(0, |span| span.start);
        vec![(
            line_of(at),
            format!("{}: expected lines of the form key = value", e.message().replace('\n', ", ")),
        )]
    })?;
    let (mut given, mut problems) = (Vec::new(), Vec::new());
    for (key, value) in table.get_ref() {
        let line = line_of(key.span().start);
        let name: &str = key.get_ref();
        let Some(setting) = settings().iter().find(|setting| setting.key == name) else {
            problems.push((line, unknown(name)));
            continue;
        };
        let written = text.get(value.span()).unwrap_or_default().to_string();
        match text_of(value) {
            Ok(text) => match check(setting, &text) {
                Ok(()) => given.push(Given { key: setting.key, text, line }),
                Err(what) => problems.push((line, format!("{name} = {written}: {what}"))),
            },
            Err(found) => problems.push((line, format!("{name}: found {found}, expected {}", kind(setting)))),
        }
    }
    given.sort_by_key(|given| given.line);
    if problems.is_empty() { Ok(given) } else { Err(problems) }
}

/// A value as an option takes it, or what it is instead.
fn text_of(value: &Spanned<DeValue<'_>>) -> Result<String, &'static str> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().into()),
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|_| "too large a number"),
        DeValue::Float(_) => Err("a number with a fraction"),
        DeValue::Boolean(_) => Err("true or false"),
        DeValue::Datetime(_) => Err("a date"),
        DeValue::Array(_) => Err("a list"),
        DeValue::Table(_) => Err("a table"),
    }
}

fn kind(setting: &Setting) -> &'static str {
    match setting.default.as_deref() {
        _ if setting.bounds.is_some() => "a whole number, or text with a unit",
        Some("on" | "off") => "\"on\" or \"off\"",
        _ => "text in quotes",
    }
}

/// Of a key that is none, with the nearest one that is.
fn unknown(name: &str) -> String {
    match nearest(name) {
        Some(key) => format!("unknown key {name}: did you mean {key}? `auriga config print` lists all"),
        None => {
            format!("unknown key {name}: remove it, or correct its name; `auriga config print` lists all")
        }
    }
}

/// The key that a name is most like, if it is much like it.
pub fn nearest(name: &str) -> Option<&'static str> {
    const ALIKE: f64 = 0.8;
    let name = name.to_lowercase().replace('_', "-");
    let likeness = |key: &str| strsim::jaro_winkler(&name, key);
    let nearest =
        settings().iter().map(|setting| setting.key).max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(nearest) >= ALIKE).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Result<Vec<(&'static str, String, usize)>, Problems> {
        let check =
            |_: &Setting, text: &str| if text == "bad" { Err("expected good".into()) } else { Ok(()) };
        parse(text, check)
            .map(|given| given.into_iter().map(|given| (given.key, given.text, given.line)).collect())
    }

    #[test]
    fn keys_have_their_lines() {
        let text = "# about\nlisten = \"[::1]:0\"\n\nwindow = 60 # s\nlog-max = \"1 GiB\"\nspin = 0x10\nids-max = 1_000\n";
        let expected = [
            ("listen", "[::1]:0", 2),
            ("window", "60", 4),
            ("log-max", "1 GiB", 5),
            ("spin", "16", 6),
            ("ids-max", "1000", 7),
        ];
        let found = lines(text).expect("a good file");
        assert_eq!(
            found.iter().map(|(key, text, line)| (*key, text.replace('_', ""), *line)).collect::<Vec<_>>(),
            expected.map(|(key, text, line)| (key, text.to_string(), line))
        );
        assert_eq!(lines(""), Ok(Vec::new()));
    }

    #[test]
    fn everything_wrong_is_named_with_its_line() {
        let cases = [
            ("a = 1\nlog_max = 1", vec![(1, "unknown key a: remove it"), (2, "did you mean log-max?")]),
            ("checkpoint-evry = 1", vec![(1, "did you mean checkpoint-every?")]),
            ("\n[limits]\nx = 1", vec![(2, "unknown key limits")]),
            ("listen = \"bad\"", vec![(1, "listen = \"bad\": expected good")]),
            (
                "window = 1.5",
                vec![(1, "window: found a number with a fraction, expected a whole number, or text")],
            ),
            ("history = true", vec![(1, "history: found true or false, expected \"on\" or \"off\"")]),
            ("data = [1]", vec![(1, "data: found a list, expected text in quotes")]),
            ("window = 60\nwindow = 60", vec![(2, "duplicate key")]),
            ("window 60", vec![(1, "expected lines of the form key = value")]),
        ];
        for (text, expected) in cases {
            let problems = lines(text).expect_err(text);
            assert_eq!(problems.len(), expected.len(), "{text}: {problems:?}");
            for (line, what) in expected {
                assert!(
                    problems.iter().any(|(at, said)| *at == line && said.contains(what)),
                    "{text}: {problems:?}"
                );
            }
        }
    }
}
