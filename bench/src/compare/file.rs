//! A run as its JSON tells it. What isn't one is refused, with the file and the field.

use crate::failure::Failure;
use auriga_plots::log::decode;
use hdrhistogram::Histogram;
use serde_json::Value;
use std::path::Path;

/// Fields that say what was done: runs in which they differ did not do the same.
const SETUP: [&str; 5] = ["workload", "batch", "sizes", "accounts_drawn", "shards"];

/// A run.
#[derive(Debug)]
pub struct RunFile {
    name: String,
    /// Numbers of the run, by the names that its JSON has for them.
    pub transfers_per_second: f64,
    /// Transfers refused.
    pub refused: f64,
    /// Requests that were due and not sent.
    pub unsent: f64,
    /// Whether its money was verified.
    pub verified: bool,
    /// Whether the generator held it back.
    pub bottleneck: bool,
    /// What was done, by field.
    pub setup: Vec<(&'static str, String)>,
    /// Latency of requests, from the time at which they should have been sent.
    pub latency: Histogram<u64>,
    /// The same from the time at which they were sent.
    pub raw_latency: Histogram<u64>,
}

impl RunFile {
    /// Reads a file: one JSON object, or the whole output of a run, of which it is the last line.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::Usage(format!("{name}: can't be read: {error}")))?;
        Self::of(&name, &text).map_err(|why| {
            Failure::Usage(format!("{name}: {why}; expected what `auriga-bench run --json` has printed"))
        })
    }

    fn of(name: &str, text: &str) -> Result<Self, String> {
        let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => serde_json::from_str(last).map_err(|_| format!("found no JSON: {error}"))?,
        };
        if !value.is_object() {
            return Err("found no JSON object".into());
        }
        let fields = Fields(&value);
        Ok(Self {
            name: name.into(),
            transfers_per_second: fields.number("transfers_per_second")?,
            refused: fields.number("refused")?,
            unsent: fields.number("unsent")?,
            verified: fields.truth("verified")?,
            bottleneck: fields.truth("generator.bottleneck")?,
            setup: SETUP
                .into_iter()
                .map(|field| Ok((field, fields.plain(field)?)))
                .collect::<Result<_, String>>()?,
            latency: fields.histogram("latency_histogram")?,
            raw_latency: fields.histogram("raw_latency_histogram")?,
        })
    }

    /// The file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A run of these figures, for tests.
    #[cfg(test)]
    pub fn sample(name: &str, transfers_per_second: f64, latencies: &[u64]) -> Self {
        let mut latency = crate::figures::latency_histogram();
        latencies.iter().for_each(|value| latency.saturating_record(*value));
        let raw_latency = latency.clone();
        Self {
            name: name.into(),
            transfers_per_second,
            refused: 0.0,
            unsent: 0.0,
            verified: true,
            bottleneck: false,
            setup: SETUP.map(|field| (field, "1".into())).into(),
            latency,
            raw_latency,
        }
    }
}

/// The fields of an object; those of an object in it are named with a point between.
struct Fields<'a>(&'a Value);

impl Fields<'_> {
    fn take(&self, field: &str) -> Result<&Value, String> {
        let found = field.split('.').try_fold(self.0, |value, part| value.get(part));
        found.ok_or_else(|| format!("field `{field}` is missing"))
    }

    fn wrong(&self, field: &str, expected: &str) -> String {
        let found = self.take(field).map(|value| value.to_string().chars().take(40).collect::<String>());
        format!("field `{field}`: found {}, expected {expected}", found.unwrap_or_default())
    }

    fn number(&self, field: &str) -> Result<f64, String> {
        let number = self.take(field)?.as_f64().filter(|number| *number >= 0.0);
        number.ok_or_else(|| self.wrong(field, "a number, 0 or more"))
    }

    fn truth(&self, field: &str) -> Result<bool, String> {
        self.take(field)?.as_bool().ok_or_else(|| self.wrong(field, "true or false"))
    }

    /// A text or a number.
    fn plain(&self, field: &str) -> Result<String, String> {
        match self.take(field)? {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            _ => Err(self.wrong(field, "a text or a number")),
        }
    }

    fn histogram(&self, field: &str) -> Result<Histogram<u64>, String> {
        let text = self.take(field)?.as_str().ok_or_else(|| self.wrong(field, "a histogram in base64"))?;
        decode(text).map_err(|why| format!("field `{field}`: the histogram can't be read: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auriga_plots::log::encode;
    use serde_json::json;

    fn good() -> Value {
        let mut histogram = crate::figures::latency_histogram();
        histogram.saturating_record(5_000_000);
        json!({
            "transfers_per_second": 5.5, "refused": 0, "unsent": 3, "verified": true, "generator": {"bottleneck": false},
            "workload": "plain", "batch": 8190, "sizes": "fixed:8190", "accounts_drawn": "uniform", "shards": 2,
            "latency_histogram": encode(&histogram), "raw_latency_histogram": encode(&histogram), "later": [],
        })
    }

    #[test]
    fn a_run_is_read_alone_or_behind_its_output() {
        for text in [good().to_string(), format!("server at ...\n{}\n\n", good())] {
            let run = RunFile::of("a.json", &text).expect("it is one");
            assert_eq!((run.transfers_per_second, run.unsent, run.latency.len()), (5.5, 3.0, 1));
            assert_eq!(run.setup[1], ("batch", "8190".into()));
        }
    }

    #[test]
    fn what_is_no_run_is_refused_by_field() {
        let with = |field: &str, value: Value| {
            let mut run = good();
            run[field] = value;
            run.to_string()
        };
        let mut without = good();
        without.as_object_mut().expect("an object").remove("latency_histogram");
        let cases = [
            (String::new(), "found no JSON"),
            ("[1]".into(), "found no JSON object"),
            ("{}".into(), "field `transfers_per_second` is missing"),
            (without.to_string(), "field `latency_histogram` is missing"),
            (with("refused", json!("many")), "field `refused`: found \"many\", expected a number"),
            (with("unsent", json!(-1)), "field `unsent`: found -1"),
            (with("verified", json!(1)), "field `verified`: found 1, expected true or false"),
            (with("generator", json!({})), "field `generator.bottleneck` is missing"),
            (with("workload", json!(null)), "field `workload`: found null"),
            (
                with("latency_histogram", json!("AAAA")),
                "field `latency_histogram`: the histogram can't be read",
            ),
            (with("raw_latency_histogram", json!(7)), "field `raw_latency_histogram`: found 7"),
        ];
        for (text, words) in cases {
            let why = RunFile::of("a.json", &text).expect_err("it is none");
            assert!(why.contains(words), "{why}, expected {words}");
        }
        let nowhere = RunFile::read(Path::new("/nowhere/a.json")).expect_err("it is not there");
        assert!(nowhere.exit_code() == 2 && nowhere.to_string().starts_with("/nowhere/a.json: "));
    }
}
