//! What leaves the shards for people: an interval log of every shard's histograms (`.hlog`, HdrHistogram V2, a tag per
//! core and stage), written by a housekeeping thread.

use crate::doorbell::Doorbell;
use auriga_plots::recording::{COMMENT, MAX_DIVISOR, tag};
use auriga_shards::histograms::{Histograms, Recorder, Stage};
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use rtrb::{Consumer, Producer, RingBuffer};
use std::fmt::Display;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A file that grows beyond this is renamed, and a new one begun.
const FILE_SIZE_MAX: u64 = 64 << 20;

/// One interval of one shard.
struct Interval {
    histograms: Box<Histograms>,
    length: Duration,
}

/// A shard's end: gives its interval away and gets the memory back.
pub struct Feed {
    full: Producer<Interval>,
    empty: Consumer<Box<Histograms>>,
    bell: Arc<Doorbell>,
    interval_ns: u64,
    since: Option<u64>,
}

/// The writer's end of one shard.
pub struct Source {
    full: Consumer<Interval>,
    empty: Producer<Box<Histograms>>,
}

/// A feed and its source.
pub fn channel(bell: Arc<Doorbell>, interval: Duration) -> (Feed, Source) {
    let (full_in, full_out) = RingBuffer::new(2);
    let (mut empty_in, empty_out) = RingBuffer::new(2);
    empty_in.push(Box::default()).expect("the ring is new");
    let interval_ns = interval.as_nanos() as u64;
    let feed = Feed { full: full_in, empty: empty_out, bell, interval_ns, since: None };
    (feed, Source { full: full_out, empty: empty_in })
}

impl Source {
    /// Takes every interval that is there, and gives its memory back.
    fn take(&mut self, mut write: impl FnMut(&mut Interval)) {
        while let Ok(mut interval) = self.full.pop() {
            write(&mut interval);
            interval.histograms.clear();
            let _ = self.empty.push(interval.histograms);
        }
    }
}

impl Feed {
    /// Gives the interval away when it is over. If the writer is late, the interval goes on.
    pub fn feed(&mut self, histograms: &mut Recorder, now_ns: u64) {
        let since = *self.since.get_or_insert(now_ns);
        if now_ns >= since + self.interval_ns {
            self.finish(histograms, now_ns);
        }
    }

    /// Gives the interval away as it is.
    pub fn finish(&mut self, histograms: &mut Recorder, now_ns: u64) {
        let since = self.since.unwrap_or(now_ns);
        if self.interval_ns == 0 || self.full.is_full() {
            return;
        }
        let Ok(mut empty) = self.empty.pop() else { return };
        histograms.take_interval(&mut empty);
        self.since = Some(now_ns);
        let interval = Interval { histograms: empty, length: Duration::from_nanos(now_ns - since) };
        if self.full.push(interval).is_ok() {
            self.bell.ring();
        }
    }
}

/// Writes intervals until `stop` says so, and then what is left. What can't be written is left out, and tried again with the next interval.
pub fn run(path: &Path, mut sources: Vec<Source>, bell: &Doorbell, stop: impl Fn() -> bool) {
    let mut fails = false;
    while !stop() {
        if let Err(e) = write_log(path, &mut sources, bell, &stop, &mut fails) {
            say_failure(path, &mut fails, &e);
            sources.iter_mut().for_each(|source| source.take(|_| {}));
            wait(bell);
        }
    }
}

fn say_failure(path: &Path, fails: &mut bool, why: &dyn Display) {
    if !std::mem::replace(fails, true) {
        tracing::warn!(
            "can't write {}: {why}. Intervals are missing in it until that works again",
            path.display()
        );
    }
}

/// Writes one file, until it is full or `stop` says so.
fn write_log(
    path: &Path,
    sources: &mut [Source],
    bell: &Doorbell,
    stop: &impl Fn() -> bool,
    fails: &mut bool,
) -> std::io::Result<()> {
    if std::fs::metadata(path).is_ok_and(|found| found.len() > 0) {
        std::fs::rename(path, old_name(path))?;
    }
    let start = SystemTime::now();
    let file = File::create(path)?;
    let mut lines = Lines { file: &file, length: 0, line: Vec::new() };
    let mut serializer = V2DeflateSerializer::new();
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment(COMMENT)
        .with_start_time(start)
        .with_base_time(start)
        .with_max_value_divisor(MAX_DIVISOR)
        .begin_log_with(&mut lines, &mut serializer)?;
    loop {
        let ends = stop();
        for (shard, source) in sources.iter_mut().enumerate() {
            source.take(|interval| {
                let begin = start.elapsed().unwrap_or_default().saturating_sub(interval.length);
                for stage in Stage::ALL {
                    let histogram = interval.histograms.stage(stage);
                    if histogram.is_empty() {
                        continue;
                    }
                    let tag = tag(shard as u32, stage.name());
                    match writer.write_histogram(histogram, begin, interval.length, Tag::new(&tag)) {
                        Err(e) => say_failure(path, fails, &format!("{e:?}")),
                        Ok(()) if std::mem::take(fails) => {
                            tracing::info!("{} is written again", path.display());
                        }
                        Ok(()) => {}
                    }
                }
            });
        }
        if ends || file.metadata()?.len() > FILE_SIZE_MAX {
            return Ok(());
        }
        wait(bell);
    }
}

/// A file that has whole lines only, also when the disk is full.
struct Lines<'a> {
    file: &'a File,
    length: u64,
    line: Vec<u8>,
}

impl Write for Lines<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if bytes.ends_with(b"\n") {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let written = self.file.write_all_at(&self.line, self.length);
        match &written {
            Ok(()) => self.length += self.line.len() as u64,
            Err(_) => self.file.set_len(self.length)?,
        }
        self.line.clear();
        written
    }
}

fn old_name(path: &Path) -> PathBuf {
    path.with_extension("old.hlog")
}

fn wait(bell: &Doorbell) {
    bell.park();
    // The time bound covers an interval that was given away before the bell was parked.
    bell.wait(1_000);
    bell.unpark();
}
