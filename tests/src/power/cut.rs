//! The power fails at a position: what is left, and whether a start finds in it everything that was acknowledged.

use super::age;
use super::life::Life;
use super::record::{Fate, Left, Position};
use super::tools::{LEDGER, Tools, copy_image};
use crate::harness::{Scratch, Start, run_auriga, text};
use crate::load::connect;
use fastrand::Rng;
use std::fmt;
use std::path::{Path, PathBuf};

/// What a start says of an end of the log that it can't prove.
const DROPPED: &str = "dropped epoch";
const FROM_CHECKPOINT: &str = "from a checkpoint";

/// A power cut.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// Where.
    pub at: Position,
    /// What becomes of what was not durable,
    pub fate: Fate,
    /// by this seed.
    pub seed: u64,
}

/// What a start found after a cut.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// What became of the writes.
    pub left: Left,
    /// Acknowledged transfers, all of them looked up.
    pub acknowledged: usize,
    /// Of those that were sent and not answered: there, and not there.
    pub unanswered: (usize, usize),
    /// The end of the log was dropped.
    pub dropped: bool,
    /// The start was from a checkpoint.
    pub from_checkpoint: bool,
    /// The log had passed the ends of segments.
    pub is_past: bool,
}

impl fmt::Display for Found {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Left { durable, kept, lost, torn } = self.left;
        write!(out, "{durable} writes durable; of the others {kept} kept, {torn} torn, {lost} lost; ")?;
        let (there, absent) = self.unanswered;
        write!(out, "{} acknowledged; of the unanswered {there} there, {absent} not", self.acknowledged)?;
        let said = [
            (self.dropped, "an epoch dropped"),
            (!self.from_checkpoint, "no checkpoint"),
            (self.is_past, "past segments"),
        ];
        said.iter().filter(|(is, _)| *is).try_for_each(|(_, text)| write!(out, "; {text}"))
    }
}

impl Cut {
    /// A cut at a position, the rest by chance.
    pub fn new(at: Position, random: &mut Rng) -> Self {
        Self { at, fate: [Fate::Lost, Fate::Mixed][random.usize(..2)], seed: random.u64(..) }
    }

    /// Makes the image that it leaves.
    pub fn make_image(&self, life: &Life, base: &Path, to: &Path) -> Left {
        let image = copy_image(base, to).expect("the image can be copied");
        let left = life.record().cut(self.at, self.fate, &mut Rng::with_seed(self.seed), &image);
        left.expect("the image can be written")
    }

    /// Starts a server on what it leaves, on this machine, and holds it against what was known.
    ///
    /// # Errors
    ///
    /// What is wrong, and the image where it can be seen.
    pub fn check(&self, life: &Life, base: &Path, tools: &Tools, scratch: &Scratch) -> Result<Found, Wrong> {
        let (image, data) = (scratch.join("cut"), scratch.join(LEDGER));
        let left = self.make_image(life, base, &image);
        // The check panics at what is wrong; processes that it starts end with its thread.
        let checked = std::thread::scope(|scope| {
            let check = || self.check_image(life, left, tools, &image, scratch.path());
            let thread = std::thread::Builder::new().name(CHECK.into());
            thread.spawn_scoped(scope, check).expect("a thread can be started").join()
        });
        if data.exists() {
            std::fs::remove_dir_all(&data).expect("it was made here");
        }
        checked.map_err(|panic| {
            let message = panic.downcast_ref::<String>().cloned();
            let message = message.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            Wrong { message: message.unwrap_or_default(), image }
        })
    }

    fn check_image(&self, life: &Life, left: Left, tools: &Tools, image: &Path, folder: &Path) -> Found {
        tools.repair(image);
        tools.extract(image, folder);
        let (data, mut random) = (folder.join(LEDGER), Rng::with_seed(self.seed));
        let mut book = life.book_at(self.at);
        let server = Start::new(&data).shards(random.u16(1..=3)).serve();
        let mut client = connect(server.address());
        let (before, acknowledged) = (book.resolved, book.created().len());
        book.check(&mut client, &mut random, true);
        book.check_history(&mut client, &mut random);
        let digest = client.status(true).expect("a status").digest.expect("the digest was asked for");
        let said = server.stop().stderr;
        let report =
            run_auriga(&["inspect", "--data", text(&data), "--digest", "--json"]).expect(0, &[]).json();
        assert_eq!(report["state"]["digest"], format!("{digest:032x}"), "{report}");
        Found {
            left,
            acknowledged,
            unanswered: (book.resolved.0 - before.0, book.resolved.1 - before.1),
            dropped: said.contains(DROPPED),
            from_checkpoint: said.contains(FROM_CHECKPOINT),
            is_past: age::is_past(&data),
        }
    }
}

/// The name of threads in which a panic is a result.
pub const CHECK: &str = "check";

/// What a check has found.
#[derive(Debug)]
pub struct Wrong {
    /// What is wrong.
    pub message: String,
    /// The image that the cut has left, after the replay of its journal.
    pub image: PathBuf,
}
