//! Death at every step of a checkpoint. What a checkpoint does to the disk is a sequence of calls of the C library and of writes
//! through io_uring; the process is killed before the first of these calls, in the next life before the second, and so on, until a
//! life has got through a whole checkpoint and what that removes of the log. The short form takes some of the calls.

use crate::ledger::{check, drive_until};
use auriga_shards::checkpoint::manifest::Manifest;
use auriga_tests::book::Book;
use auriga_tests::harness::{Scratch, Start, format, seed, text};
use auriga_tests::load::{connect, fill_log};
use auriga_tests::log_files::IDENTITY;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What the calls of a checkpoint are about.
const PLACES: &str = "/checkpoints:/spare/:/archive/:/keep:/cuts/00000000.log:/data$";
/// Large requests that fill a segment of a stream and begin the next one, and epochs that fill one of the cut log.
const REQUESTS: usize = 72;
const EPOCHS: usize = 4_096;
/// Accounts, so that each part of a checkpoint has several sheets.
const ACCOUNTS: usize = 8_000;
/// Submissions to io_uring, from the one that writes the first sheets, before each of which a life ends.
const SUBMISSIONS: usize = 8;
/// A life ends at one of so many steps, from a random one on, unless `AURIGA_STRIDE` (`tests/run faults --stride N`) says otherwise.
const STRIDE: usize = 4;
/// The call that begins a checkpoint.
const BEGIN: &str = "unlink manifest";

/// A log whose first segments are not needed behind a checkpoint. Returns its books.
fn prepare(data: &Path) -> Book {
    format(data);
    let mut book = Book::default();
    let server = Start::new(data).shards(2).with(&["--checkpoint-every", "0"]).serve();
    book.open_accounts(&mut connect(server.address()), ACCOUNTS);
    fill_log(server.address(), REQUESTS, 8_190, 8).expect("the server answers");
    fill_log(server.address(), EPOCHS, 1, 1).expect("the server answers");
    server.stop();
    book
}

/// A directory that is started again and again.
struct Ledger<'a> {
    scratch: &'a Path,
    options: &'a [&'a str],
    book: Book,
    random: fastrand::Rng,
    /// Segments that a checkpoint removes, and where copies of them are kept.
    removed: Vec<(PathBuf, PathBuf)>,
}

impl Ledger<'_> {
    fn data(&self) -> PathBuf {
        self.scratch.join("data")
    }

    /// Starts a server with orders for its death, and drives it until so many checkpoints are whole or it is gone. Whether it is
    /// gone, and the steps that it has made.
    fn live(&mut self, orders: &[(&str, &str)], checkpoints: usize) -> (bool, Vec<String>) {
        self.restore();
        let file = self.scratch.join("steps");
        let _ = fs::remove_file(&file);
        let steps = [("AURIGA_STEPS", text(&file)), ("AURIGA_STEPS_AT", PLACES)];
        let start = Start::new(&self.data()).shards(2).with(&["--checkpoint-every", "1"]).with(self.options);
        let mut server = start.preload(&[&steps, orders].concat()).spawn();
        let seed = self.random.u64(..);
        let lives = server.serves() && drive_until(&server, &mut self.book, seed, "is whole", checkpoints);
        server.kill();
        (!lives, steps_of(&file))
    }

    /// A life that nothing ends. Returns its steps, all that there are: in the first life the second checkpoint tells what of the
    /// log goes with the third.
    fn live_undisturbed(&mut self) -> Vec<String> {
        let (died, steps) = self.live(&[], 3);
        assert!(!died, "nothing ends it, after {steps:?}");
        steps
    }

    /// Brings back what a checkpoint may have removed, and takes the room for its parts from the slot that is cleared next, so that
    /// the next checkpoint has to make it as the first one did. The other slot is the one that counts, whatever happens.
    fn restore(&self) {
        for (segment, copy) in &self.removed {
            if !segment.exists() {
                fs::copy(copy, segment).expect("copied");
            }
        }
        let slot = |number: &str| self.data().join("checkpoints").join(number);
        let epoch = |number: &&str| {
            let bytes = fs::read(slot(number).join("manifest")).ok()?;
            Some(Manifest::decode(&IDENTITY, &bytes).expect("a good manifest").end.epoch)
        };
        let next = ["0", "1"].into_iter().min_by_key(epoch).expect("there are two");
        for entry in fs::read_dir(slot(next)).into_iter().flatten().flatten() {
            if entry.file_name() != "manifest" {
                fs::write(entry.path(), []).expect("cut short");
            }
        }
    }

    /// Holds the directory against the book. There is a checkpoint, whatever became of the newest one.
    fn check(&mut self, what: &str) {
        eprintln!("  {what}");
        let (data, shards) = (self.data(), self.random.u16(1..=3));
        let said = check(&data, shards, self.options, &mut self.book, &mut self.random);
        assert!(said.contains("from a checkpoint"), "{what}:\n{said}");
    }

    /// A life in which calls fail, each once. The server goes on; returns what it has said.
    fn live_with(&mut self, failures: &[(&str, i32)]) -> String {
        let failures: Vec<_> = failures.iter().map(|(call, error)| format!("{call} {error}")).collect();
        let file = self.scratch.join("steps");
        let orders = [
            ("AURIGA_STEPS", text(&file)),
            ("AURIGA_STEPS_AT", PLACES),
            ("AURIGA_FAILURES", &failures.join(":")),
        ];
        self.restore();
        let start = Start::new(&self.data()).shards(2).with(&["--checkpoint-every", "1"]).with(self.options);
        let server = start.preload(&orders).serve();
        let seed = self.random.u64(..);
        assert!(drive_until(&server, &mut self.book, seed, "is whole", 2), "it goes on");
        assert_eq!(self.book.turned_away(), 0, "no request is refused");
        server.kill()
    }

    /// A life for each step from the `first` to the beginning of the second checkpoint, or for some of them. Returns the steps.
    fn die_at_steps_from(&mut self, first: usize) -> Vec<String> {
        let stride = stride();
        for step in (first + self.random.usize(..stride)..).step_by(stride) {
            let (died, steps) = self.live(&[("AURIGA_DIE_AT", &step.to_string())], 2);
            assert!(died && steps.len() == step, "it dies at step {step}, after {steps:?}");
            self.check(&format!("death at step {step}: {}", steps[step - 1]));
            if steps.iter().filter(|step| *step == BEGIN).count() > 1 {
                return steps;
            }
        }
        unreachable!("steps don't end")
    }

    /// A life for each of some submissions from a step on.
    fn die_at_submissions(&mut self, from: usize) {
        for submission in (1..=SUBMISSIONS).step_by(stride()) {
            let orders = [("AURIGA_SUBMISSIONS_FROM", from), ("AURIGA_DIE_AT_SUBMISSION", submission)];
            let orders = orders.map(|(name, number)| (name, number.to_string()));
            let orders = orders.each_ref().map(|(name, number)| (*name, number.as_str()));
            let (died, _) = self.live(&orders, 2);
            assert!(died, "it dies while sheets are written");
            self.check(&format!("death at submission {submission} with sheets"));
        }
    }
}

fn kinds(steps: &[String]) -> BTreeSet<&str> {
    steps.iter().map(String::as_str).collect()
}

fn stride() -> usize {
    let asked = std::env::var("AURIGA_STRIDE").ok();
    asked.map_or(STRIDE, |text| text.parse().expect("AURIGA_STRIDE is a number"))
}

/// Calls, each with what kind of file it was about.
fn steps_of(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let kind = |path: &str| {
        let mut names = path.rsplit('/');
        let (name, folder) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit());
        match (name, folder) {
            ("", "spare") => "spare".to_string(),
            ("", _) => "slot".to_string(),
            ("part-", _) => "part".to_string(),
            _ if name.ends_with(".log") => format!("segment in {folder}"),
            _ => name.to_string(),
        }
    };
    let call = |line: &str| {
        let mut words = line.split(' ').skip(1);
        let (call, path) = (words.next().unwrap_or_default(), words.last().unwrap_or_default());
        format!("{call} {}", kind(path))
    };
    text.lines().map(call).collect()
}

#[test]
fn death_at_every_step_of_a_checkpoint_loses_nothing() {
    let scratch = Scratch::new("steps");
    let data = scratch.join("data");
    let book = prepare(&data);
    let copy = |name| {
        let copy = scratch.join(&str::replace(name, "/", "-"));
        fs::copy(data.join(name), &copy).expect("copied");
        (data.join(name), copy)
    };
    let removed = ["cuts/00000000.log", "streams/000-00000000.log", "streams/064-00000000.log"].map(copy);
    let archive = scratch.join("archive");
    let mut ledger = Ledger {
        scratch: scratch.path(),
        options: &["--archive", text(&archive)],
        book,
        random: fastrand::Rng::with_seed(seed("steps")),
        removed: removed.into(),
    };
    // Both slots get a checkpoint; of the next one every step is the last.
    ledger.live_undisturbed();
    let undisturbed = ledger.live_undisturbed();
    ledger.check("checkpoints");
    let steps = ledger.die_at_steps_from(1);
    let first_seal = steps.iter().position(|step| step == "open64 manifest.making").expect("it comes so far");
    let made = steps[..first_seal].iter().rposition(|step| step == "fsync slot").expect("parts are made");
    ledger.die_at_submissions(made + 1);
    let expected = [
        // The start makes the log durable, the slot is cleared,
        "fdatasync segment in cuts",
        "mkdir slot",
        "unlink manifest",
        "fsync slot",
        "fsync checkpoints",
        "fsync data",
        // parts are made, and made durable when they are written,
        "open64 part",
        "fallocate part",
        "ftruncate64 part",
        "fsync part",
        // the manifest makes it a checkpoint,
        "open64 manifest.making",
        "write manifest.making",
        "fsync manifest.making",
        "rename manifest",
        // and the log before the other one goes to the archive.
        "mkdir cuts",
        "mkdir streams",
        "open64 keep",
        "rename segment in cuts",
        "rename segment in streams",
        "fsync cuts",
        "fsync streams",
    ];
    assert_eq!(kinds(&undisturbed), expected.into(), "steps of checkpoints");
    // A life that dies has no others. It needn't have all: what the one before has let go needn't go once more.
    let unknown: Vec<_> = kinds(&steps).difference(&expected.into()).copied().collect();
    assert!(unknown.is_empty(), "steps of a life that dies: {unknown:?}");

    // Calls that fail: the checkpoint comes to nothing, and the next one is taken.
    let failures = [
        ("unlink manifest", libc::EIO),
        ("fallocate part-000", libc::ENOSPC),
        ("fsync part-000", libc::EIO),
        ("write manifest", libc::ENOSPC),
        ("rename manifest", libc::EIO),
        ("rename archive", libc::EIO),
    ];
    let said = ledger.live_with(&failures);
    let full = "the disk is full; free space. It is tried again; nothing is lost";
    for words in [
        "no checkpoint could be taken: can't remove",
        "no checkpoint could be taken: can't make",
        "no checkpoint could be taken: can't write",
        full,
        "can't be removed",
    ] {
        assert!(said.contains(words), "{words:?} is missing in:\n{said}");
    }
    assert_eq!(said.matches("no checkpoint could be taken").count(), 5, "one for each failure:\n{said}");
    ledger.check("failures");

    // Without an archive it goes in another way, and is used again.
    ledger.options = &[];
    ledger.live_undisturbed();
    let steps = ledger.live_undisturbed();
    let recycled = steps.iter().position(|step| step == "open64 keep").expect("it comes so far");
    for expected in ["unlink segment in cuts", "rename spare"] {
        assert!(kinds(&steps[recycled..]).contains(expected), "{expected} is missing in {steps:?}");
    }
    ledger.die_at_steps_from(recycled + 1);
}

/// A segment that is used again, and death at every step of that. Its names are durable before it gets another header: otherwise the
/// power could bring the old name back, and the log would have a segment with a header that is not its own.
#[test]
fn death_at_every_step_of_using_a_segment_again_loses_nothing() {
    let mut random = fastrand::Rng::with_seed(seed("spare"));
    let scratch = Scratch::new("spare");
    let (data, file) = (scratch.join("data"), scratch.join("steps"));
    format(&data);
    let mut book = Book::default();
    let server = Start::new(&data).serve();
    book.open_accounts(&mut connect(server.address()), ACCOUNTS);
    server.stop();
    // The first one is every start's.
    let expected = [
        "fsync streams",
        "fsync spare",
        "fsync streams",
        "pwrite64 spare",
        "fsync spare",
        "rename segment in streams",
    ];
    for step in 1..=expected.len() {
        // A spare, as a checkpoint leaves one.
        let spare = data.join("spare/00000000");
        if !spare.exists() {
            fs::copy(data.join("streams/000-00000000.log"), &spare).expect("copied");
        }
        let _ = fs::remove_file(&file);
        let died_at = step.to_string();
        let orders = [
            ("AURIGA_STEPS", text(&file)),
            ("AURIGA_STEPS_AT", "/spare:/streams$"),
            ("AURIGA_DIE_AT", &died_at),
        ];
        let mut server = Start::new(&data).with(&["--checkpoint-every", "0"]).preload(&orders).spawn();
        // It may need the segment before it serves.
        if server.serves() {
            let lost = fill_log(server.address(), 2 * REQUESTS, 8_190, 4);
            assert!(lost.is_err(), "it needs a segment, and dies");
        }
        server.kill();
        assert_eq!(steps_of(&file), expected[..step], "steps of using a segment again");
        check(&data, random.u16(1..=3), &[], &mut book, &mut random);
    }
}
