//! What was measured: a histogram for each core and stage, and how it went over time. Read from an interval log (`.hlog`,
//! HdrHistogram V2), and written as one.

use crate::figures::Figures;
use crate::log::{Entry, decode, write};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{
    IntervalLogHistogram, IntervalLogIterator, LogEntry, LogIteratorError,
};
use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

/// The first line of a log of Auriga's histograms.
pub const COMMENT: &str = "Auriga: latency in nanoseconds, a tag per core and stage";
/// The largest value in a log is written in seconds, for people.
pub const MAX_DIVISOR: f64 = 1e9;

/// The tag of a core's stage in an interval log.
pub fn tag(core: u32, stage: &str) -> String {
    format!("core{core}-{stage}")
}

/// What a tag says.
fn untag(tag: &str) -> Option<(Core, &str)> {
    let (whose, stage) = tag.split_once('-')?;
    let core = match whose {
        CLIENT => Core::Client,
        _ => Core::One(whose.strip_prefix("core")?.parse().ok()?),
    };
    Some((core, stage)).filter(|_| !stage.is_empty())
}

/// What the load generator's tags begin with, and what its rows are called.
const CLIENT: &str = "client";

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Core {
    /// One core.
    One(u32),
    /// All that were chosen.
    All,
    /// None: it was measured by the load generator.
    Client,
}

impl Core {
    /// The tag of its stage in an interval log; cores that were merged have none.
    pub fn tag(self, stage: &str) -> Option<String> {
        match self {
            Self::One(number) => Some(tag(number, stage)),
            Self::All => None,
            Self::Client => Some(format!("{CLIENT}-{stage}")),
        }
    }
}

impl fmt::Display for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(number) => write!(f, "{number}"),
            Self::All => f.write_str("all"),
            Self::Client => f.write_str(CLIENT),
        }
    }
}

/// What is wanted of a recording. By default everything.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Intervals whose middle lies before this are left out; seconds since the beginning.
    pub from: Option<f64>,
    /// And those whose middle lies at this or behind it.
    pub to: Option<f64>,
    /// These cores alone; none: all.
    pub cores: Vec<u32>,
    /// These stages alone; none: all.
    pub stages: Vec<String>,
    /// All cores in one row; what the load generator measured stays apart.
    pub merge: bool,
}

impl Choice {
    fn takes(&self, core: Core, stage: &str, middle: f64) -> bool {
        let is_chosen = |wanted: &u32| core == Core::One(*wanted);
        self.from.is_none_or(|from| middle >= from)
            && self.to.is_none_or(|to| middle < to)
            && (self.cores.is_empty() || self.cores.iter().any(is_chosen))
            && (self.stages.is_empty() || self.stages.iter().any(|wanted| wanted == stage))
    }
}

/// A piece of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// When it began, seconds since the recording did.
    pub start: f64,
    /// Its length in seconds.
    pub seconds: f64,
    /// What was measured in it.
    pub figures: Figures,
}

/// A core's stage.
#[derive(Debug)]
pub struct Row {
    /// The core.
    pub core: Core,
    /// The stage.
    pub stage: String,
    /// All that was measured, in nanoseconds.
    pub histogram: Histogram<u64>,
    /// How it went over time, in order.
    pub intervals: Vec<Interval>,
    open: Option<(f64, f64, Histogram<u64>)>,
}

impl Row {
    /// What the row is called in a plot.
    pub fn name(&self) -> String {
        match self.core {
            Core::One(core) => format!("core {core} {}", self.stage),
            Core::All => format!("all cores {}", self.stage),
            Core::Client => format!("{CLIENT} {}", self.stage),
        }
    }

    /// Cores of a merged row give their intervals away one after the other: what begins in the first half of the open one belongs
    /// to it.
    fn add(&mut self, start: f64, seconds: f64, histogram: &Histogram<u64>) {
        add(&mut self.histogram, histogram);
        match &mut self.open {
            Some((open, length, sum)) if start < *open + *length / 2.0 => {
                *length = length.max(start + seconds - *open);
                add(sum, histogram);
            }
            _ => {
                self.close();
                self.open = Some((start, seconds, histogram.clone()));
            }
        }
    }

    fn close(&mut self) {
        if let Some((start, seconds, histogram)) = self.open.take() {
            self.intervals.push(Interval { start, seconds, figures: Figures::of(&histogram) });
        }
    }
}

fn add(sum: &mut Histogram<u64>, other: &Histogram<u64>) {
    sum.auto(true);
    sum.add(other).expect("the sum grows as far as it has to");
}

/// What was measured.
#[derive(Debug, Default)]
pub struct Recording {
    /// By core, and each core's stages in the order in which they came.
    pub rows: Vec<Row>,
    /// Time from the first interval's start to the last one's end, seconds.
    pub seconds: f64,
    /// The log's last line is not whole: it is being written, or was cut off. The line is left out.
    pub torn: bool,
}

/// Why a log can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// A line, from 1, is not what it must be.
    Line(usize, String),
    /// Nothing in it.
    Empty,
    /// Nothing of what was chosen is in it; the tags that are.
    NotChosen(Vec<String>),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line, what) => write!(f, "line {line}: {what}"),
            Self::Empty => f.write_str("no interval is in it"),
            Self::NotChosen(tags) => {
                write!(f, "no interval of what was chosen is in it; there is: {}", tags.join(", "))
            }
        }
    }
}

impl Recording {
    /// Reads an interval log.
    pub fn read(log: &[u8], choice: &Choice) -> Result<Self, Unreadable> {
        let whole = log.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut builder = Builder::new(choice);
        let (mut start_time, mut base_time) = (0.0, None);
        for (number, line) in log[..whole].split_inclusive(|byte| *byte == b'\n').enumerate() {
            let bad = |what: String| Unreadable::Line(number + 1, what);
            for entry in IntervalLogIterator::new(line) {
                match entry {
                    Ok(LogEntry::StartTime(time)) => start_time = time.as_secs_f64(),
                    Ok(LogEntry::BaseTime(time)) => base_time = Some(time.as_secs_f64()),
                    Ok(LogEntry::Interval(interval)) => {
                        let stamp = interval.start_timestamp().as_secs_f64();
                        // Without a base, stamps count from 1970.
                        let start = if base_time.is_none() && stamp >= start_time {
                            stamp - start_time
                        } else {
                            stamp
                        };
                        builder.take(&interval, start).map_err(bad)?;
                    }
                    Err(LogIteratorError::ParseError { .. }) => {
                        let text = String::from_utf8_lossy(&line[..line.len().min(40)]);
                        return Err(bad(format!(
                            "found {:?}, expected an interval of a histogram log (Tag=coreN-STAGE,start,length,max,histogram)",
                            text.trim_end()
                        )));
                    }
                }
            }
        }
        if whole == 0 && !log.is_empty() {
            return Err(Unreadable::Line(
                1,
                "it has no end: the file is cut off, or no histogram log".into(),
            ));
        }
        builder.finish(whole < log.len())
    }

    /// A recording of one interval, from histograms of a core and stage each.
    pub fn of(
        histograms: impl IntoIterator<Item = (u32, String, Histogram<u64>)>,
        seconds: f64,
        choice: &Choice,
    ) -> Result<Self, Unreadable> {
        let mut builder = Builder::new(choice);
        for (core, stage, histogram) in histograms {
            builder.add(Core::One(core), &stage, 0.0, seconds, &histogram);
        }
        builder.finish(false)
    }

    /// The rows of a stage.
    pub fn of_stage<'a>(&'a self, stage: &'a str) -> impl Iterator<Item = &'a Row> {
        self.rows.iter().filter(move |row| row.stage == stage)
    }

    /// The stages of cores, in the order in which they came.
    pub fn stages_of_cores(&self) -> Vec<&str> {
        let of_client = |stage: &&str| self.of_stage(stage).all(|row| row.core == Core::Client);
        self.stages().into_iter().filter(|stage| !of_client(stage)).collect()
    }

    /// The stages, in the order in which they came.
    pub fn stages(&self) -> Vec<&str> {
        let mut stages: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !stages.contains(&row.stage.as_str()) {
                stages.push(&row.stage);
            }
        }
        stages
    }

    /// Writes it as a log of one interval that ends now. Rows of all cores can't be told from one core's: there must be none.
    pub fn write(&self, out: &mut impl Write, now: SystemTime) -> io::Result<()> {
        let length = Duration::from_secs_f64(self.seconds);
        let start = now.checked_sub(length).unwrap_or(SystemTime::UNIX_EPOCH);
        let merged = || io::Error::other("cores that were merged have no tag");
        let entries = self.rows.iter().map(|row| {
            let tag = row.core.tag(&row.stage).ok_or_else(merged)?;
            Ok(Entry { tag, start: Duration::ZERO, length, histogram: Cow::Borrowed(&row.histogram) })
        });
        write(out, start, entries.collect::<io::Result<Vec<_>>>()?)
    }
}

struct Builder<'a> {
    choice: &'a Choice,
    rows: Vec<Row>,
    span: Option<(f64, f64)>,
    tags: Vec<String>,
}

impl<'a> Builder<'a> {
    fn new(choice: &'a Choice) -> Self {
        Self { choice, rows: Vec::new(), span: None, tags: Vec::new() }
    }

    fn take(&mut self, interval: &IntervalLogHistogram<'_>, start: f64) -> Result<(), String> {
        let found = interval.tag().map_or("", |tag| tag.as_str());
        let (core, stage) = untag(found)
            .ok_or_else(|| format!("found the tag {found:?}, expected coreN-STAGE or client-STAGE"))?;
        let histogram = decode(interval.encoded_histogram());
        let histogram = histogram.map_err(|e| format!("the histogram of {found} can't be read: {e}"))?;
        self.add(core, stage, start, interval.duration().as_secs_f64(), &histogram);
        Ok(())
    }

    fn add(&mut self, core: Core, stage: &str, start: f64, seconds: f64, histogram: &Histogram<u64>) {
        let tag = core.tag(stage).unwrap_or_default();
        if !self.tags.contains(&tag) {
            self.tags.push(tag);
        }
        if !self.choice.takes(core, stage, start + seconds / 2.0) {
            return;
        }
        let (first, last) = self.span.unwrap_or((start, start + seconds));
        self.span = Some((first.min(start), last.max(start + seconds)));
        let core = if self.choice.merge && core != Core::Client { Core::All } else { core };
        let at =
            self.rows.iter().position(|row| row.core == core && row.stage == stage).unwrap_or_else(|| {
                let mut histogram = histogram.clone();
                histogram.reset();
                self.rows.push(Row {
                    core,
                    stage: stage.into(),
                    histogram,
                    intervals: Vec::new(),
                    open: None,
                });
                self.rows.len() - 1
            });
        self.rows[at].add(start, seconds, histogram);
    }

    fn finish(mut self, torn: bool) -> Result<Recording, Unreadable> {
        if self.tags.is_empty() {
            return Err(Unreadable::Empty);
        }
        let Some((first, last)) = self.span else {
            return Err(Unreadable::NotChosen(self.tags));
        };
        self.rows.iter_mut().for_each(Row::close);
        self.rows.sort_by_key(|row| row.core);
        Ok(Recording { rows: self.rows, seconds: last - first, torn })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use hdrhistogram::serialization::V2DeflateSerializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

    fn histogram(values: &[u64]) -> Histogram<u64> {
        let mut histogram =
            Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("the bounds are good");
        values.iter().for_each(|value| histogram.saturating_record(*value));
        histogram
    }

    /// Two cores, three intervals of ten seconds, in the order in which a server writes them.
    fn log() -> Vec<u8> {
        let mut log = Vec::new();
        let mut serializer = V2DeflateSerializer::new();
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let mut writer = IntervalLogWriterBuilder::new()
            .add_comment(COMMENT)
            .with_start_time(start)
            .with_base_time(start)
            .begin_log_with(&mut log, &mut serializer)
            .expect("memory takes it");
        for interval in 0..3u64 {
            for core in 0..2 {
                for (place, stage) in ["flush", "total"].into_iter().enumerate() {
                    let value = (interval + 1) * 1_000_000 * (place as u64 + 1);
                    let begin = Duration::from_millis(interval * 10_000 + u64::from(core) * 7);
                    let tag = tag(core, stage);
                    writer
                        .write_histogram(
                            &histogram(&[value; 5]),
                            begin,
                            Duration::from_secs(10),
                            Tag::new(&tag),
                        )
                        .expect("memory takes it");
                }
            }
        }
        drop(writer);
        log
    }

    #[test]
    fn a_log_is_read_by_core_and_stage_and_over_time() {
        let recording = Recording::read(&log(), &Choice::default()).expect("it is good");
        let names: Vec<String> = recording.rows.iter().map(Row::name).collect();
        assert_eq!(names, ["core 0 flush", "core 0 total", "core 1 flush", "core 1 total"]);
        assert_eq!(recording.stages(), ["flush", "total"]);
        assert!((recording.seconds - 30.007).abs() < 1e-6 && !recording.torn, "{}", recording.seconds);
        for row in &recording.rows {
            assert_eq!((row.histogram.len(), row.intervals.len()), (15, 3));
            assert!(row.intervals.iter().all(|interval| interval.figures.count == 5));
        }
    }

    #[test]
    fn cores_are_merged_interval_by_interval() {
        let choice = Choice { merge: true, stages: vec!["total".into()], ..Choice::default() };
        let recording = Recording::read(&log(), &choice).expect("it is good");
        let [row] = &recording.rows[..] else { panic!("{:?}", recording.rows.len()) };
        assert_eq!((row.name().as_str(), row.histogram.len()), ("all cores total", 30));
        let counts: Vec<u64> = row.intervals.iter().map(|interval| interval.figures.count).collect();
        assert_eq!(counts, [10, 10, 10]);
        assert!(row.intervals.is_sorted_by(|a, b| a.figures.p50 < b.figures.p50));
    }

    #[test]
    fn a_span_cores_and_stages_are_chosen() {
        let cases = [
            (Choice { from: Some(10.0), ..Choice::default() }, 4, 10),
            (Choice { to: Some(10.0), ..Choice::default() }, 4, 5),
            (Choice { from: Some(10.0), to: Some(20.0), cores: vec![1], ..Choice::default() }, 2, 5),
            (Choice { stages: vec!["flush".into()], ..Choice::default() }, 2, 15),
        ];
        for (choice, rows, values) in cases {
            let recording = Recording::read(&log(), &choice).expect("it is good");
            assert_eq!(recording.rows.len(), rows, "{choice:?}");
            assert!(recording.rows.iter().all(|row| row.histogram.len() == values), "{choice:?}");
        }
        let nothing = Choice { stages: vec!["lunch".into()], ..Choice::default() };
        let why = Recording::read(&log(), &nothing).expect_err("there is no such stage");
        assert!(why.to_string().contains("core0-flush, core0-total, core1-flush"), "{why}");
    }

    #[test]
    fn what_is_written_is_read_again() {
        let first = Recording::read(&log(), &Choice::default()).expect("it is good");
        let mut bytes = Vec::new();
        first.write(&mut bytes, SystemTime::now()).expect("memory takes it");
        let second = Recording::read(&bytes, &Choice::default()).expect("it is good");
        assert!((first.seconds - second.seconds).abs() < 1e-3);
        for (first, second) in first.rows.iter().zip(&second.rows) {
            assert_eq!((first.name(), &first.histogram), (second.name(), &second.histogram));
        }
        let merged =
            Recording::read(&bytes, &Choice { merge: true, ..Choice::default() }).expect("it is good");
        assert!(merged.write(&mut Vec::new(), SystemTime::now()).is_err(), "merged cores have no tag");
    }

    #[test]
    fn what_a_client_measured_stays_apart() {
        let (start, length, one) = (Duration::ZERO, Duration::from_secs(1), histogram(&[5_000_000]));
        let tags = ["client-corrected", "client-raw", "core0-total", "core1-total"].map(String::from);
        let entries = tags.map(|tag| Entry { tag, start, length, histogram: Cow::Borrowed(&one) });
        let mut bytes = Vec::new();
        write(&mut bytes, SystemTime::now(), entries).expect("memory takes it");
        let recording = Recording::read(&bytes, &Choice::default()).expect("it is good");
        let names: Vec<String> = recording.rows.iter().map(Row::name).collect();
        assert_eq!(names, ["core 0 total", "core 1 total", "client corrected", "client raw"]);
        assert_eq!(recording.stages_of_cores(), ["total"]);
        let merged =
            Recording::read(&bytes, &Choice { merge: true, ..Choice::default() }).expect("it is good");
        assert_eq!(
            merged.rows.iter().map(|row| row.core).collect::<Vec<_>>(),
            [Core::All, Core::Client, Core::Client]
        );
        let one = Choice { cores: vec![1], ..Choice::default() };
        assert_eq!(Recording::read(&bytes, &one).expect("it is good").rows.len(), 1);
        let mut again = Vec::new();
        recording.write(&mut again, SystemTime::now()).expect("memory takes it");
        assert_eq!(Recording::read(&again, &Choice::default()).expect("it is good").rows.len(), 4);
    }

    #[test]
    fn damage_names_its_line_and_a_torn_end_is_left_out() {
        let log = log();
        let lines = log.split_inclusive(|byte| *byte == b'\n').count();
        let torn = Recording::read(&log[..log.len() - 20], &Choice::default())
            .expect("all but the last line is whole");
        assert!(torn.torn);
        assert_eq!(torn.rows[3].histogram.len(), 10, "the last line is left out");
        let with = |line: &str| [&log[..], line.as_bytes()].concat();
        let cases = [
            (b"#!/bin/sh\nexit 0\n".to_vec(), "line 2: found \"exit 0\""),
            (b"no end".to_vec(), "line 1: it has no end"),
            (Vec::new(), "no interval"),
            (b"# a comment\n".to_vec(), "no interval"),
            (with("Tag=core0-flush,1.0,1.0,1.0,AAAA\n"), "the histogram of core0-flush"),
            (
                with("Tag=lunch,1.0,1.0,1.0,AAAA\n"),
                "found the tag \"lunch\", expected coreN-STAGE or client-STAGE",
            ),
            (with("1.0,1.0,1.0,AAAA\n"), "found the tag \"\""),
        ];
        for (bytes, words) in cases {
            let why = Recording::read(&bytes, &Choice::default()).expect_err("it is bad").to_string();
            assert!(why.contains(words), "{why}, expected {words}");
        }
        let why = Recording::read(&with("rubbish\n"), &Choice::default()).expect_err("it is bad");
        assert!(matches!(why, Unreadable::Line(line, _) if line == lines + 1), "{why}");
    }

    /// Any bit may be another one: of the compressed form, and of the plain one, where it isn't found by a checksum.
    #[test]
    fn damage_is_no_panic() {
        use hdrhistogram::serialization::{Serializer, V2Serializer};
        let (mut packed, mut plain) = (Vec::new(), Vec::new());
        let one = histogram(&[1_000_000, 2_000_000]);
        V2DeflateSerializer::new().serialize(&one, &mut packed).expect("memory takes it");
        V2Serializer::new().serialize(&one, &mut plain).expect("memory takes it");
        let (mut good, mut bad) = (0, 0);
        for bytes in [packed, plain] {
            for bit in 0..bytes.len().min(64) * 8 {
                let mut bytes = bytes.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let line = format!("Tag=core0-total,1.0,1.0,1.0,{}\n", STANDARD.encode(&bytes));
                match Recording::read(line.as_bytes(), &Choice::default()) {
                    Ok(_) => good += 1,
                    Err(_) => bad += 1,
                }
            }
        }
        assert!(bad > 100, "{good} of {} were read", good + bad);
    }
}
