//! A server's page of metrics: fetched as a scrape fetches it, and read by the rules of the text format, which it has to keep.

use crate::harness::Server;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;

/// What a request for metrics brought.
#[derive(Debug)]
pub struct Answer {
    /// The head, status line first.
    pub head: String,
    /// The body.
    pub body: String,
}

/// Where a server's metrics are, as it has said.
#[track_caller]
pub fn address(server: &Server) -> String {
    let line = server.wait_for("metrics on http://");
    let rest = line.split("metrics on http://").nth(1).unwrap_or_default();
    rest.strip_suffix("/metrics").unwrap_or_else(|| panic!("no address: {line}")).into()
}

/// Sends a head and reads to the end of the connection.
#[track_caller]
pub fn ask(address: &str, head: &str) -> Answer {
    let mut socket = TcpStream::connect(address).expect("metrics are served");
    socket.write_all(head.as_bytes()).expect("the request is sent");
    let mut said = String::new();
    socket.read_to_string(&mut said).expect("the answer is text");
    let (head, body) = said.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {said}"));
    Answer { head: head.into(), body: body.into() }
}

/// One scrape.
#[track_caller]
pub fn scrape(server: &Server) -> Page {
    let answer = ask(
        &address(server),
        "GET /metrics HTTP/1.1\r\nHost: test\r\nAccept: text/plain;version=0.0.4\r\n\r\n",
    );
    assert!(answer.head.starts_with("HTTP/1.1 200 OK\r\n"), "{}", answer.head);
    assert!(
        answer.head.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8"),
        "{}",
        answer.head
    );
    assert!(answer.head.contains(&format!("Content-Length: {}", answer.body.len())), "{}", answer.head);
    Page::parse(&answer.body)
}

/// The labels of a sample.
pub type Labels = BTreeMap<String, String>;

/// The samples of one scrape.
#[derive(Debug, Default)]
pub struct Page {
    samples: BTreeMap<(String, Labels), f64>,
    /// By metric: its type.
    pub types: BTreeMap<String, String>,
}

impl Page {
    /// Reads a page. Panics where it breaks a rule of the format, or a convention for names.
    #[track_caller]
    pub fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line is not ended");
        let mut page = Self::default();
        let mut current = String::new();
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').unwrap_or_default();
                assert!(!words.is_empty() && !words.contains(['\\', '"']), "{line}");
                current = name.into();
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap_or_default();
                assert_eq!(name, current, "the type follows the help: {line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                assert!(page.types.insert(name.into(), kind.into()).is_none(), "twice: {line}");
            } else {
                page.add(line, &current);
            }
        }
        page.check_histograms();
        page
    }

    fn add(&mut self, line: &str, current: &str) {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(value.is_finite() && value >= 0.0, "{line}");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let is_name = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        assert!(is_name(name), "{line}");
        let of_histogram = self.types.get(current).is_some_and(|kind| kind == "histogram");
        let expected = ["_bucket", "_sum", "_count"].iter().any(|end| name == format!("{current}{end}"));
        assert!(
            if of_histogram { expected } else { name == current },
            "of another metric than {current}: {line}"
        );
        let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("labels without end: {line}"));
        let labels: Labels = labels
            .split(',')
            .filter(|label| !label.is_empty())
            .map(|label| {
                let (name, value) = label.split_once('=').unwrap_or_default();
                let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
                assert!(is_name(name), "{line}");
                (name.to_string(), value.unwrap_or_else(|| panic!("no value of {name}: {line}")).to_string())
            })
            .collect();
        assert!(self.samples.insert((name.into(), labels), value).is_none(), "twice: {line}");
    }

    /// The buckets of a histogram grow with their bounds, to the count.
    fn check_histograms(&self) {
        for name in self.types.iter().filter(|(_, kind)| *kind == "histogram").map(|(name, _)| name) {
            let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
            for ((_, labels), count) in
                self.samples.iter().filter(|((of, _), _)| *of == format!("{name}_bucket"))
            {
                let mut labels = labels.clone();
                let bound = labels.remove("le").unwrap_or_else(|| panic!("{name}: a bucket without a bound"));
                let bound =
                    if bound == "+Inf" { f64::INFINITY } else { bound.parse().expect("a bound is a number") };
                buckets.entry(labels).or_default().push((bound, *count));
            }
            assert!(!buckets.is_empty(), "{name} has no buckets");
            for (labels, mut buckets) in buckets {
                buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
                assert!(buckets.is_sorted_by(|one, next| one.1 <= next.1), "{name} {labels:?}: {buckets:?}");
                let last = buckets.last().copied();
                let count = self.samples.get(&(format!("{name}_count"), labels.clone()));
                assert_eq!(last, count.map(|count| (f64::INFINITY, *count)), "{name} {labels:?}");
                assert!(self.samples.contains_key(&(format!("{name}_sum"), labels)), "{name} has no sum");
            }
        }
    }

    /// The values of all samples with this name and these labels.
    pub fn values(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let wanted = |found: &Labels| {
            labels.iter().all(|(label, value)| found.get(*label).is_some_and(|v| v == value))
        };
        let samples = self.samples.iter().filter(|((of, found), _)| of == name && wanted(found));
        samples.map(|(_, value)| *value).collect()
    }

    /// Their sum. There must be one.
    #[track_caller]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let values = self.values(name, labels);
        assert!(!values.is_empty(), "there is no {name} with {labels:?}");
        values.iter().sum()
    }

    /// What a label of a metric is, in all its samples.
    pub fn label(&self, name: &str, label: &str) -> BTreeSet<&str> {
        let samples = self.samples.keys().filter(|(of, _)| of == name);
        samples.filter_map(|(_, labels)| labels.get(label).map(String::as_str)).collect()
    }

    /// Counters and buckets that are less than in a scrape before. There is none while a server lives.
    pub fn shrunk_since(&self, before: &Self) -> Vec<String> {
        let only_grows =
            |name: &str| ["_total", "_bucket", "_sum", "_count"].iter().any(|end| name.ends_with(end));
        let shrunk = before.samples.iter().filter(|((name, labels), value)| {
            only_grows(name)
                && self.samples.get(&(name.clone(), labels.clone())).is_none_or(|now| now < *value)
        });
        shrunk.map(|((name, labels), value)| format!("{name} {labels:?} was {value}")).collect()
    }
}
