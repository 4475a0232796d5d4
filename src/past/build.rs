//! The builder: puts the shards' facts together epoch by epoch, reads the blocks from the log, and commits.

use super::{Source, options, shards};
use crate::directory;
use crate::doorbell::Doorbell;
use crate::keeper::DISK_RESERVE;
use crate::server::Shared;
use arc_swap::ArcSwapOption;
use auriga_history::{BlockOutcome, Builder, Epoch, Progress, Reader};
use auriga_shards::log::block::{Block, Place};
use auriga_shards::log::segment::stream_place;
use auriga_shards::past::{BlockFacts, Facts};
use auriga_shards::place::ShardId;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Commits are at least so far apart, unless somebody waits: entries of one commit are packed together.
const COMMIT_EVERY: Duration = Duration::from_millis(50);
/// How long the builder rests when it can't go on.
const RETRY: Duration = Duration::from_secs(1);
/// How often is looked whether an answer has been read from a store that is to be closed.
const READER_LOOK_EVERY: Duration = Duration::from_millis(10);
/// Facts are held until they are committed; after so many bytes of them a commit is due.
const HELD_MAX: u64 = 1 << 20;

/// An epoch, of all shards.
struct Whole {
    /// Of its cut.
    checksum: u128,
    facts: Vec<(ShardId, Box<Facts>)>,
}

struct Build<'a> {
    sources: Vec<Source>,
    /// `None` if it has failed and the store is not open again.
    builder: Option<Builder>,
    /// Of the builder's store, for the answerer.
    reader: &'a ArcSwapOption<Reader>,
    bells: [&'a Doorbell; 2],
    shared: &'a Shared,
    /// By shard: facts that are not put together yet.
    waiting: Vec<VecDeque<Box<Facts>>>,
    /// Memory for blocks that are read.
    spare: Vec<Block>,
    /// Epochs that are not committed, and how many of them the builder has.
    held: VecDeque<Whole>,
    added: usize,
    held_bytes: u64,
    committed: Instant,
    /// What was told through this epoch has gone back to the shards.
    given_back: u64,
    /// What keeps it from going on, as it was last said.
    trouble: Option<String>,
}

/// Builds until every executor has ended.
pub fn run(
    sources: Vec<Source>,
    builder: Builder,
    reader: &ArcSwapOption<Reader>,
    bells: [&Doorbell; 2],
    shared: &Shared,
) {
    let waiting = sources.iter().map(|_| VecDeque::new()).collect();
    let mut build = Build {
        sources,
        given_back: builder.progress().epoch,
        builder: Some(builder),
        reader,
        bells,
        shared,
        waiting,
        spare: Vec::new(),
        held: VecDeque::new(),
        added: 0,
        held_bytes: 0,
        committed: Instant::now(),
        trouble: None,
    };
    build.publish();
    shared.history.ask_durable();
    // What is left then is built by the next start.
    while !shared.has_ended() {
        match build.work() {
            Ok(true) => build.trouble = None,
            Ok(false) => build.rest(),
            Err(trouble) => build.wait_for_better(trouble),
        }
    }
    if let Some(Err(error)) = build.builder.as_mut().map(Builder::persist) {
        tracing::warn!("history is not made durable: {error}. The next start builds what is missing");
    }
}

impl Build<'_> {
    /// Takes an epoch, or commits. `false` if there is nothing to do now.
    fn work(&mut self) -> Result<bool, String> {
        for (source, waiting) in self.sources.iter_mut().zip(&mut self.waiting) {
            while let Ok(facts) = source.facts.pop() {
                waiting.push_back(facts);
            }
        }
        self.publish();
        let asked = self.shared.history.take_ask_durable();
        let whole = self.put_together();
        if !asked && whole.is_none() && self.held.is_empty() && self.builder.is_some() {
            return Ok(false);
        }
        self.held.extend(whole);
        self.look_for_room()?;
        self.open_again()?;
        let builder = self.builder.as_mut().expect("it was opened");
        let taken = self.added < self.held.len();
        while let Some(whole) = self.held.get(self.added) {
            add(builder, whole, &mut self.spare, self.shared)?;
            self.added += 1;
            self.held_bytes += whole.facts.iter().map(|(_, facts)| facts.size()).sum::<u64>();
        }
        if asked {
            self.commit()?;
            return self.make_durable().map(|()| true);
        }
        let waits = self.shared.history.is_wanted() || self.committed.elapsed() >= COMMIT_EVERY;
        if !taken && waits || self.held_bytes >= HELD_MAX {
            self.commit()?;
            return Ok(true);
        }
        Ok(taken)
    }

    /// The store gets none of the room that the log needs.
    fn look_for_room(&self) -> Result<(), String> {
        let free = directory::free_bytes(&self.shared.directory.path).map_err(|e| e.to_string())?;
        if free < DISK_RESERVE {
            return Err(format!("the disk has {free} bytes left, {DISK_RESERVE} are kept for the log"));
        }
        Ok(())
    }

    /// Closes a store in which something has failed, as on a full disk, and opens it again: what was not committed is still held.
    fn open_again(&mut self) -> Result<(), String> {
        if self.builder.as_ref().is_some_and(|builder| !builder.has_failed()) {
            return Ok(());
        }
        (self.builder, self.added, self.held_bytes) = (None, 0, 0);
        // What the answerer is reading holds the store open.
        let mut reader = self.reader.swap(None);
        while let Some(used) = reader.take() {
            reader = Arc::try_unwrap(used).err();
            std::thread::sleep(READER_LOOK_EVERY);
        }
        // What a sync has failed for may be in memory only, and look durable: what the disk holds is what counts.
        let options = options(&self.shared.directory);
        forget_what_was_read(&options.directory)
            .map_err(|e| format!("{}: {e}", options.directory.display()))?;
        let builder = Builder::open(&options).map_err(|error| error.to_string())?;
        let (found, expected) = (builder.progress().epoch, self.given_back);
        if found < expected {
            return Err(format!(
                "the store has got to epoch {found}, and had to epoch {expected}. Restart: what is missing is built from the log"
            ));
        }
        tracing::info!("history goes on behind epoch {found}");
        self.reader.store(Some(Arc::new(builder.reader())));
        self.builder = Some(builder);
        Ok(())
    }

    /// The next epoch, if all shards have told of it, and there is one behind it: that proves it, so that no start drops it any
    /// more.
    fn put_together(&mut self) -> Option<Whole> {
        let (first, next) = (self.waiting[0].front()?, self.waiting[0].get(1)?);
        let checksum = next.previous;
        let (epoch, expected) = (first.epoch, first.blocks_in_all);
        let is_of_it =
            |waiting: &VecDeque<Box<Facts>>| waiting.front().is_some_and(|facts| facts.epoch == epoch);
        let told = self.waiting.iter().filter(|waiting| is_of_it(waiting));
        if told.map(|waiting| waiting[0].blocks.len()).sum::<usize>() < expected {
            return None;
        }
        let mut whole = Whole { checksum, facts: Vec::new() };
        for (shard, waiting) in shards(self.waiting.len()).zip(&mut self.waiting) {
            if is_of_it(waiting) {
                whole.facts.extend(waiting.pop_front().map(|facts| (shard, facts)));
            }
        }
        Some(whole)
    }

    /// Makes known what can be asked about: what is committed, and epochs behind it in which nothing has happened.
    fn publish(&self) {
        let Some(builder) = &self.builder else { return };
        let Progress { mut epoch, time, .. } = builder.progress();
        if self.held.is_empty() {
            let expired_through = builder.expired_through();
            let idle = self.waiting[0]
                .iter()
                .take_while(|facts| facts.blocks_in_all == 0 && facts.expire_through <= expired_through);
            epoch = idle.last().map_or(epoch, |facts| facts.epoch.max(epoch));
        }
        if self.shared.history.publish(epoch, time) {
            self.bells[1].ring();
        }
    }

    /// Makes durable what is committed: a checkpoint waits for it, because the log before it may go.
    fn make_durable(&mut self) -> Result<(), String> {
        let builder = self.builder.as_mut().expect("it was opened");
        let epoch = builder.persist().map_err(|error| error.to_string())?;
        self.shared.history.note_durable(epoch);
        Ok(())
    }

    /// Commits what was taken, and gives its memory back.
    fn commit(&mut self) -> Result<(), String> {
        let builder = self.builder.as_mut().expect("it was opened");
        builder.commit().map_err(|error| error.to_string())?;
        self.given_back = builder.progress().epoch;
        self.committed = Instant::now();
        (self.added, self.held_bytes) = (0, 0);
        for (shard, facts) in self.held.drain(..).flat_map(|whole| whole.facts) {
            let source = &mut self.sources[shard.index()];
            source.taken.push(facts).expect("a shard stops at a bound of facts");
        }
        self.sources.iter().for_each(|source| source.doorbell.ring());
        self.publish();
        Ok(())
    }

    fn rest(&self) {
        let bell = self.bells[0];
        bell.park();
        let wanted = !self.held.is_empty() && self.shared.history.is_wanted();
        if wanted || self.sources.iter().any(|source| !source.facts.is_empty()) {
            return bell.unpark();
        }
        bell.wait(if self.held.is_empty() { -1 } else { COMMIT_EVERY.as_millis() as i32 });
        bell.unpark();
    }

    /// Says what is wrong, once, and rests a while.
    fn wait_for_better(&mut self, trouble: String) {
        if self.trouble.as_ref() != Some(&trouble) {
            tracing::error!(
                "history stands still: {trouble}. When its memory is full new batches are refused"
            );
        }
        self.trouble = Some(trouble);
        std::thread::sleep(RETRY);
    }
}

/// Lets the kernel forget what it holds in memory of the files below a folder, as far as it doesn't still have to write it.
fn forget_what_was_read(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            forget_what_was_read(&path)?;
            continue;
        }
        let file = File::open(&path)?;
        // SAFETY: the descriptor is open; no memory is passed.
        let error = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        if error != 0 {
            return Err(std::io::Error::from_raw_os_error(error));
        }
    }
    Ok(())
}

/// Gives an epoch to the builder, unless it has it.
fn add(builder: &mut Builder, whole: &Whole, spare: &mut Vec<Block>, shared: &Shared) -> Result<(), String> {
    let Facts { epoch, time, expire_through, .. } = *whole.facts[0].1;
    if epoch <= builder.progress().epoch {
        return Ok(());
    }
    let mut blocks = Vec::new();
    for (_, facts) in &whole.facts {
        for block in &facts.blocks {
            blocks.push((block, read(facts, block, spare.pop().unwrap_or_default(), shared)?));
        }
    }
    blocks.sort_unstable_by_key(|(facts, _)| facts.base);
    let outcomes: Vec<_> = blocks
        .iter()
        .map(|(facts, block)| BlockOutcome {
            base: facts.base,
            bytes: block.bytes(),
            refused: &facts.refused,
            amounts: &facts.amounts,
        })
        .collect();
    let epoch = Epoch { number: epoch, checksum: whole.checksum, time, expire_through, blocks: &outcomes };
    let added = builder.add(&epoch).map_err(|error| error.to_string());
    spare.extend(blocks.into_iter().map(|(_, block)| block));
    added
}

/// Reads a block from the log into this memory, and checks it.
fn read(facts: &Facts, block: &BlockFacts, mut memory: Block, shared: &Shared) -> Result<Block, String> {
    let entry = &block.entry;
    let (file, offset) = stream_place(entry.stream, entry.offset);
    let path = shared.directory.file(file);
    memory.make_room(entry.size());
    File::open(&path)
        .and_then(|file| file.read_exact_at(memory.memory_mut(), offset))
        .map_err(|e| format!("{} at byte {offset} can't be read: {e}", path.display()))?;
    let place = Place::of(shared.directory.identity.cluster, facts.incarnation, facts.epoch, entry);
    memory.open(entry, &place).map_err(|damage| format!("{} at byte {offset}: {damage}", path.display()))?;
    Ok(memory)
}
