//! What leaves the shards for people: an interval log of every shard's histograms (`.hlog`, HdrHistogram V2, a tag per
//! core and stage), written by a housekeeping thread.

use crate::doorbell::Doorbell;
use crate::failure::Outcome;
use auriga_plots::recording::{COMMENT, MAX_DIVISOR, tag};
use auriga_shards::histograms::{Histograms, Recorder, Stage};
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use rtrb::{Consumer, Producer, RingBuffer};
use std::fs::File;
use std::io::{LineWriter, Write};
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

impl Feed {
    /// Gives the interval away when it is over. If the writer is late, the interval goes on.
    pub fn feed(&mut self, histograms: &mut Recorder, now_ns: u64) {
        let since = *self.since.get_or_insert(now_ns);
        if self.interval_ns == 0 || now_ns < since + self.interval_ns || self.full.is_full() {
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

/// Writes intervals until `stop` says so.
pub fn run(path: &Path, mut sources: Vec<Source>, bell: &Doorbell, stop: impl Fn() -> bool) -> Outcome<()> {
    while !stop() {
        match write_log(path, &mut sources, bell, &stop) {
            Ok(()) => {}
            Err(e) => {
                tracing::warn!("can't write {}: {e}. Histograms are not logged any more", path.display());
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Writes one file, until it is full or `stop` says so.
fn write_log(
    path: &Path,
    sources: &mut [Source],
    bell: &Doorbell,
    stop: &impl Fn() -> bool,
) -> std::io::Result<()> {
    if path.exists() {
        std::fs::rename(path, old_name(path))?;
    }
    let start = SystemTime::now();
    let mut file = LineWriter::new(File::create(path)?);
    let mut serializer = V2DeflateSerializer::new();
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment(COMMENT)
        .with_start_time(start)
        .with_base_time(start)
        .with_max_value_divisor(MAX_DIVISOR)
        .begin_log_with(&mut file, &mut serializer)?;
    let mut written = 0;
    while !stop() && written < FILE_SIZE_MAX {
        wait(bell);
        for (shard, source) in sources.iter_mut().enumerate() {
            while let Ok(mut interval) = source.full.pop() {
                let end = start.elapsed().unwrap_or_default();
                for stage in Stage::ALL {
                    let histogram = interval.histograms.stage(stage);
                    if histogram.is_empty() {
                        continue;
                    }
                    let tag = tag(shard as u32, stage.name());
                    let begin = end.saturating_sub(interval.length);
                    writer
                        .write_histogram(histogram, begin, interval.length, Tag::new(&tag))
                        .map_err(|e| std::io::Error::other(format!("{e:?}")))?;
                    written += 4_096;
                }
                interval.histograms.clear();
                let _ = source.empty.push(interval.histograms);
            }
        }
    }
    drop(writer);
    file.flush()
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
