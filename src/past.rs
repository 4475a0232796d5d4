//! The threads that keep history: one builds it from the log and from what the shards tell of each epoch, one answers questions.
//!
//! Both run at a low priority. Shards hand over facts and questions through rings and go on; answers come the same way. What was
//! told and is not committed yet is kept here, so that a full disk costs nothing but time. All memory goes back to the thread that
//! has allocated it: freed elsewhere, it would make that thread and this one wait for each other in the allocator.

mod ask;
mod build;

use crate::directory::Directory;
use crate::doorbell::Doorbell;
use crate::failure::{Failure, Outcome};
use crate::server::Shared;
use arc_swap::ArcSwapOption;
use auriga_history::{Builder, Error, Options};
use auriga_shards::limits::{FACTS_MAX, SECTOR_SIZE};
use auriga_shards::log::recover::check_cut;
use auriga_shards::log::segment::cut_place;
use auriga_shards::past::{Answer, Facts, Question};
use auriga_shards::place::ShardId;
use auriga_shards::step::Input;
use rtrb::{Consumer, Producer, RingBuffer};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Questions of one shard that may be under way, with room: it has a bound of its own.
const QUESTION_SLOTS: usize = 256;
/// Facts of one shard that may be under way: the smallest have this size, and a shard stops at twice its bound.
const FACTS_SLOTS: usize = 2 * FACTS_MAX as usize / size_of::<Facts>() + 64;
/// How far below the shards' threads the builder is, as `nice` counts: it takes what they leave.
const NICE_BUILDER: i32 = 19;
/// And the answerer, for which somebody waits.
const NICE_ANSWERER: i32 = 5;

/// A shard's ends.
#[derive(Debug)]
pub struct Ends {
    /// What it tells.
    facts: Producer<Box<Facts>>,
    /// What it asks.
    questions: Producer<Question>,
    /// What it is answered.
    answers: Consumer<(Question, Answer)>,
    /// Facts that history has taken in.
    taken: Consumer<Box<Facts>>,
    /// Answers that the shard has used.
    used: Producer<Answer>,
    /// To wake the builder and the answerer.
    bells: [Arc<Doorbell>; 2],
}

impl Ends {
    /// Hands a shard's facts over.
    pub fn tell(&mut self, facts: Box<Facts>) {
        self.facts.push(facts).expect("a shard stops at a bound of facts");
        self.bells[0].ring();
    }

    /// Hands a shard's question over.
    pub fn ask(&mut self, question: Question) {
        self.questions.push(question).expect("a shard has few questions at a time");
        self.bells[1].ring();
    }

    /// Whether there is something for the shard.
    pub fn has_news(&self) -> bool {
        !self.answers.is_empty() || !self.taken.is_empty()
    }

    /// Gives what there is to the shard. `false` if there was nothing.
    pub fn hear(&mut self, mut step: impl FnMut(Input<'_>)) -> bool {
        if !self.has_news() {
            return false;
        }
        while let Ok(facts) = self.taken.pop() {
            step(Input::HistoryTook(facts));
        }
        while let Ok((question, answer)) = self.answers.pop() {
            step(Input::HistoryAnswer { job: question.job, answer: &answer });
            self.used.push(answer).expect("a shard has few questions at a time");
        }
        true
    }
}

/// History's ends of the rings to one shard.
#[derive(Debug)]
struct Source {
    facts: Consumer<Box<Facts>>,
    taken: Producer<Box<Facts>>,
    doorbell: Arc<Doorbell>,
}

/// The answerer's ends.
#[derive(Debug)]
struct Asker {
    questions: Consumer<Question>,
    answers: Producer<(Question, Answer)>,
    used: Consumer<Answer>,
    doorbell: Arc<Doorbell>,
}

/// Everything that history's threads need.
pub struct History {
    builder: Builder,
    sources: Vec<Source>,
    askers: Vec<Asker>,
    build_bell: Arc<Doorbell>,
    ask_bell: Arc<Doorbell>,
}

impl History {
    /// A history without shards so far.
    pub fn new(builder: Builder, build_bell: Arc<Doorbell>, ask_bell: Arc<Doorbell>) -> Self {
        Self { builder, sources: Vec::new(), askers: Vec::new(), build_bell, ask_bell }
    }

    /// Makes the rings to the next shard; returns its ends.
    pub fn connect(&mut self, doorbell: &Arc<Doorbell>) -> Ends {
        let (facts_in, facts) = RingBuffer::new(FACTS_SLOTS);
        let (questions_in, questions) = RingBuffer::new(QUESTION_SLOTS);
        let (answers_in, answers) = RingBuffer::new(QUESTION_SLOTS);
        let (taken_in, taken) = RingBuffer::new(FACTS_SLOTS);
        let (used_in, used) = RingBuffer::new(QUESTION_SLOTS);
        self.sources.push(Source { facts, taken: taken_in, doorbell: doorbell.clone() });
        self.askers.push(Asker { questions, answers: answers_in, used, doorbell: doorbell.clone() });
        let bells = [self.build_bell.clone(), self.ask_bell.clone()];
        Ends { facts: facts_in, questions: questions_in, answers, taken, used: used_in, bells }
    }

    /// Starts both threads in a scope.
    pub fn run<'scope>(self, scope: &'scope std::thread::Scope<'scope, '_>, shared: &'scope Arc<Shared>) {
        let Self { builder, sources, askers, build_bell, ask_bell } = self;
        let reader = Arc::new(ArcSwapOption::from_pointee(builder.reader()));
        let (readers, bells) = (reader.clone(), [build_bell.clone(), ask_bell.clone()]);
        scope.spawn(move || ask::run(askers, &readers, [&bells[0], &bells[1]], shared));
        scope.spawn(move || {
            lower_priority(NICE_BUILDER);
            build::run(sources, builder, &reader, [&build_bell, &ask_bell], shared);
        });
    }
}

/// Where a directory's history is, and the memory that it takes.
fn options(directory: &Directory) -> Options {
    Options::new(directory.path.join("history"), directory.identity.cluster)
}

/// Opens the store, on a thread of the builder's priority: so are the store's own threads, which that one starts. It stays
/// until the process ends: a shard's thread would get its part of the allocator, in which the store's memory lies.
pub fn open_store(directory: &Arc<Directory>) -> Outcome<Builder> {
    let options = options(directory);
    let (mut opened_in, mut opened) = RingBuffer::new(1);
    let (directory, caller) = (directory.clone(), std::thread::current());
    std::thread::spawn(move || {
        lower_priority(NICE_BUILDER);
        opened_in.push(open(&options, &directory)).expect("the ring was made for it");
        caller.unpark();
        loop {
            std::thread::park();
        }
    });
    loop {
        if let Ok(opened) = opened.pop() {
            return opened;
        }
        std::thread::park();
    }
}

/// Opens the store. One that can't be opened is made anew, if all of it can be built from the log.
fn open(options: &Options, directory: &Directory) -> Outcome<Builder> {
    let why = match Builder::open(options) {
        Ok(builder) => {
            check_log(options, builder.progress(), directory)?;
            return Ok(builder);
        }
        // Another cluster's is somebody's mistake. What is damaged, half made or of another version can be made again.
        Err(error @ Error::OtherCluster { .. }) => return Err(failure(&error)),
        Err(error) => error.to_string(),
    };
    if !directory.is_whole()? {
        return Err(Failure::damaged(format!(
            "{why}. It can't be built anew, because the log doesn't have its beginning any more: restore {} from a copy, or start \
             with the --archive that the log was moved to, or with --history off",
            options.directory.display()
        )));
    }
    tracing::warn!("{why}. History is built anew from the log");
    std::fs::remove_dir_all(&options.directory)
        .map_err(|e| crate::directory::cannot("remove", &options.directory, &e))?;
    Builder::open(options).map_err(|error| failure(&error))
}

/// Checks that the newest epoch is in the log as it was when history took it. Then so are all before it: each cut names the one
/// before. History takes an epoch when a later one is durable, so one that it has and the log hasn't is no end that was being written.
fn check_log(options: &Options, newest: auriga_history::Progress, directory: &Directory) -> Outcome<()> {
    let (file, offset) = cut_place(newest.epoch.max(1));
    let path = directory.file(file);
    if newest.epoch == 0 || directory.begins_with(file).is_some() {
        // Of a log that begins later, it is said when it is replayed what follows from that.
        return Ok(());
    }
    // Where there is no file, there is an empty slot.
    let mut sector = vec![0; SECTOR_SIZE];
    if path.exists() {
        let read = File::open(&path).and_then(|file| file.read_exact_at(&mut sector, offset));
        read.map_err(|e| crate::directory::cannot("read", &path, &e))?;
    }
    check_cut(&directory.identity, &sector, newest.checksum).map_err(|damage| {
        let (history, epoch) = (options.directory.display(), newest.epoch);
        Failure::damaged(format!(
            "epoch {epoch}, {} at byte {offset}: {damage}. The history in {history} has this epoch, so it was durable. Either the log \
             is not as it was written, and acknowledged transfers are missing: restore the file from a copy of this directory, or the \
             directory from a backup. Or the history is not this log's: remove its directory, and it is built anew. Nothing of the \
             log was changed",
            path.display()
        ))
    })
}

fn failure(error: &Error) -> Failure {
    Failure::environment(format!(
        "history can't be opened: {error}. It can be built anew: remove its directory and start again, or start with --history off"
    ))
}

/// The number of shards is that of the sources; a shard is named where it is told something.
fn shards(count: usize) -> impl Iterator<Item = ShardId> {
    (0..count as u16).map(ShardId)
}

/// This thread, and those that it starts, leave the cores to the shards.
fn lower_priority(nice: i32) {
    // SAFETY: no memory is passed; 0 is the calling thread.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) } != 0 {
        tracing::debug!("can't lower history's priority: {}", std::io::Error::last_os_error());
    }
}
