//! Files that are not what they were: unreadable, cut short, exchanged, or put back to an earlier copy. The server refuses to start,
//! says which file it is, what it found and what to do, and changes nothing; or it goes on with exactly the state that it had.

use crate::ledger::{check, drive_until, stop_with_two_checkpoints};
use auriga_shards::limits::{CUT_SEGMENT_SLOTS, STREAM_SEGMENT_SIZE};
use auriga_shards::log::File;
use auriga_tests::book::Book;
use auriga_tests::harness::{Scratch, Server, Start, becomes_so, format, run_auriga, seed, text, wait_until};
use auriga_tests::load::{Pattern, connect, connect_once, drive_many, fill_log};
use auriga_tests::log_files::{LogFiles, hashes};
use auriga_wire::{Error, FaultCode};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Large requests of each day.
const REQUESTS: usize = 8;

/// Bytes of the log between two checkpoints.
const CHECKPOINT_EVERY: &str = "100000";

/// A directory as it is today, and the copy of yesterday.
struct Days<'a> {
    scratch: &'a Scratch,
    today: PathBuf,
    yesterday: PathBuf,
    book: Book,
    random: fastrand::Rng,
    /// Of the state today.
    digest: String,
}

/// What comes of a change.
enum Then {
    /// The start is refused, with this code and these words.
    Refused(i32, &'static [&'static str]),
    /// It goes on, and says these words.
    GoesOn(&'static [&'static str]),
}

impl<'a> Days<'a> {
    /// Two days of a server, with checkpoints, and a log that is whole.
    fn new(scratch: &'a Scratch) -> Self {
        let (today, yesterday) = (scratch.join("today"), scratch.join("yesterday"));
        format(&today);
        let random = fastrand::Rng::with_seed(seed("files"));
        let mut days =
            Self { scratch, today, yesterday, book: Book::default(), random, digest: String::new() };
        for day in 0..2 {
            let server = serve(&days.today, CHECKPOINT_EVERY);
            days.book.open_accounts(&mut connect(server.address()), 1_000);
            let seed = days.random.u64(..);
            assert!(drive_until(&server, &mut days.book, seed, "is whole", 2), "it goes on");
            fill_log(server.address(), REQUESTS, 8_190, 4).expect("the server answers");
            days.end(server);
            if day == 0 {
                copy(&days.today, &days.yesterday);
            }
        }
        days.digest = digest_offline(&days.today);
        // What is put back is the newest file of cuts.
        assert!(
            LogFiles::read(&days.today).cuts.len() < CUT_SEGMENT_SLOTS as usize,
            "one file holds all cuts"
        );
        days
    }

    /// Two more checkpoints; and then, by a server that takes none, something behind them, for a start to read.
    fn end(&mut self, server: Server) {
        let seed = self.random.u64(..);
        let again = || serve(&self.today, CHECKPOINT_EVERY);
        stop_with_two_checkpoints(server, &self.today, &mut self.book, seed, again);
        let server = serve(&self.today, "0");
        let more = [Pattern { batches: vec![20], in_flight: 1, transfers_max: 200, ..Pattern::ENDLESS }];
        let choice = self.book.choice();
        let told = drive_many(server.address(), &mut self.random, &choice, &more, u64::MAX, || {});
        self.book.note(told);
        let mut client = connect(server.address());
        self.book.check(&mut client, &mut self.random, true);
        self.book.check_history(&mut client, &mut self.random);
        server.stop();
    }

    /// The directory as it is today, changed.
    fn changed(&self, change: impl FnOnce(&Path)) -> PathBuf {
        let data = self.scratch.join("data");
        copy(&self.today, &data);
        change(&data);
        data
    }

    /// Puts yesterday's copy of a file or folder into its place.
    fn put_back(&self, data: &Path, name: &str) {
        remove(&data.join(name));
        copy(&self.yesterday.join(name), &data.join(name));
    }

    /// Starts with a change, and expects what comes of it.
    #[track_caller]
    fn expect(&mut self, what: &str, change: impl FnOnce(&Path), then: &Then) {
        eprintln!("  {what}");
        let data = self.changed(change);
        match then {
            Then::Refused(code, words) => expect_refused(&data, *code, words),
            Then::GoesOn(words) => self.expect_goes_on(&data, words),
        }
    }

    #[track_caller]
    fn expect_goes_on(&mut self, data: &Path, words: &[&str]) {
        let server = Start::new(data).shards(2).with(&["--checkpoint-every", "0"]).serve();
        let mut client = connect(server.address());
        let digest = client.status(true).expect("a status").digest.expect("the digest was asked for");
        assert_eq!(format!("{digest:032x}"), self.digest, "the state is that of today");
        self.book.check_history(&mut client, &mut self.random);
        let said = server.kill();
        for word in words {
            assert!(said.contains(word), "{word:?} is missing in:\n{said}");
        }
        assert_eq!(digest_offline(data), self.digest, "and for inspect, too");
    }

    /// A segment of a stream that both days have written to, the second one behind its newest checkpoint: that of the newest transfer.
    fn segment_of_both_days(&self) -> String {
        let (yesterday, today) = (LogFiles::read(&self.yesterday), LogFiles::read(&self.today));
        let newest = self.book.created().last().expect("there are some");
        let epochs = today.with_blocks();
        let last = epochs.iter().rev().find(|epoch| epoch.time <= newest.timestamp).expect("it is logged");
        let block = last.blocks[0];
        let segment =
            File::Stream { stream: block.stream, segment: (block.offset / STREAM_SEGMENT_SIZE) as u32 };
        assert!(last.epoch > yesterday.cuts.len() as u64 && yesterday.path(segment).exists(), "{segment}");
        segment.to_string()
    }
}

fn serve(data: &Path, checkpoint_every: &str) -> Server {
    Start::new(data).shards(2).with(&["--checkpoint-every", checkpoint_every]).serve()
}

/// What `inspect` finds.
#[track_caller]
fn digest_offline(data: &Path) -> String {
    let report = run_auriga(&["inspect", "--data", text(data), "--digest", "--json"]).expect(0, &[]).json();
    report["state"]["digest"].as_str().expect("the digest was asked for").into()
}

/// Copies a file or a folder. Zeros take no room.
fn copy(from: &Path, to: &Path) {
    remove(to);
    let copied = Command::new("cp").args(["-a", "--sparse=always"]).args([from, to]).status();
    assert!(copied.expect("cp runs").success(), "{} is copied", from.display());
}

fn remove(path: &Path) {
    let _ = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
}

fn exchange(data: &Path, one: &str, other: &str) {
    let (one, other, aside) = (data.join(one), data.join(other), data.join("aside"));
    for (from, to) in [(&one, &aside), (&other, &one), (&aside, &other)] {
        fs::rename(from, to).expect("renamed");
    }
}

fn cut_short(path: &Path) {
    let file = fs::OpenOptions::new().write(true).open(path).expect("the file is there");
    let size = file.metadata().expect("a size").len();
    file.set_len(size / 2).expect("cut short");
}

/// A start that has no rights but those that modes of files give: of root, too.
fn start_without_privileges(data: &Path) -> Start {
    const PR_CAPBSET_DROP: i32 = 24;
    const CAPABILITIES: [u64; 2] = [1, 2]; // to override modes of files, and to read in spite of them
    let mut start = Start::new(data).shards(2).with(&["--checkpoint-every", "0"]);
    // SAFETY: prctl is async-signal-safe and takes no pointer here. Who has no such rights can't drop them, and needn't.
    unsafe {
        start.command().pre_exec(|| {
            for capability in CAPABILITIES {
                libc::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
            }
            Ok(())
        });
    }
    start
}

/// Fails unless a start is refused with this code and these words, and leaves everything as it is.
#[track_caller]
fn expect_refused(data: &Path, code: i32, words: &[&str]) {
    let before = hashes(data);
    Start::new(data).shards(2).with(&["--checkpoint-every", "0"]).fail().expect(code, words);
    assert!(hashes(data) == before, "the refused start changed something");
}

#[test]
fn files_that_are_something_else() {
    use Then::{GoesOn, Refused};
    let scratch = Scratch::new("something-else");
    let mut days = Days::new(&scratch);
    let cases = [
        ("auriga.toml", Refused(4, &["auriga.toml", "Is a directory", "restore it from a copy"])),
        ("lock", Refused(4, &["lock", "Is a directory", "Put it right"])),
        (
            "cuts/00000000.log",
            Refused(3, &["cuts/00000000.log", "found 4096 bytes, expected 16781312", "Restore it"]),
        ),
        (
            "streams/000-00000000.log",
            Refused(3, &["streams/000-00000000.log", "found 4096 bytes", "Restore it"]),
        ),
        (
            "checkpoints/0/manifest",
            GoesOn(&["checkpoints/0/manifest", "Is a directory", "The checkpoint is not used"]),
        ),
        ("checkpoints/1/part-001", GoesOn(&[])),
    ];
    for (name, then) in &cases {
        let folder = |data: &Path| {
            remove(&data.join(name));
            fs::create_dir(data.join(name)).expect("made");
        };
        days.expect(&format!("a folder in the place of {name}"), folder, then);
    }
    let cases = [
        ("cuts", Refused(4, &["cuts", "Not a directory", "restore it from a copy"])),
        ("streams", Refused(4, &["streams", "Not a directory", "restore it from a copy"])),
        ("checkpoints", GoesOn(&["checkpoints/0/manifest", "Not a directory", "The checkpoint is not used"])),
        ("history", Refused(4, &["history", "Not a directory", "Put it right"])),
        ("auriga.toml", Refused(3, &["auriga.toml", "missing field", "restore it from a copy"])),
    ];
    for (name, then) in &cases {
        let file = |data: &Path| {
            remove(&data.join(name));
            fs::write(data.join(name), "").expect("made");
        };
        days.expect(&format!("an empty file in the place of {name}"), file, then);
    }
    let cases = [
        ("cuts", Refused(4, &["cuts", "No such file", "restore it from a copy"])),
        ("streams", Refused(4, &["streams", "No such file", "restore it from a copy"])),
        ("checkpoints", GoesOn(&[])),
        ("history", GoesOn(&[])),
    ];
    for (name, then) in &cases {
        days.expect(&format!("{name} is not there"), |data| remove(&data.join(name)), then);
    }
}

#[test]
fn files_without_permission() {
    let scratch = Scratch::new("permission");
    let days = Days::new(&scratch);
    let names = [
        "auriga.toml",
        "lock",
        "cuts/00000000.log",
        "streams/000-00000000.log",
        "streams",
        "checkpoints",
        "checkpoints/1/part-000",
        "history",
    ];
    let data = days.changed(|_| {});
    for name in names {
        eprintln!("  no permission to read {name}");
        let path = data.join(name);
        let mode = fs::metadata(&path).expect("it is there").permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o0)).expect("it is ours");
        let said = match name {
            // Nothing is lost without a checkpoint: it is only said, and later ones can't be taken.
            "checkpoints" | "checkpoints/1/part-000" => {
                let server = start_without_privileges(&data).serve();
                server.kill()
            }
            _ => start_without_privileges(&data).fail().expect(4, &[]).stderr,
        };
        fs::set_permissions(&path, mode).expect("it is ours");
        let is_said = said.contains(name) && said.contains("Permission denied");
        assert!(is_said || name.ends_with("part-000"), "{said}");
    }
    let Days { mut book, mut random, .. } = days;
    check(&data, 2, &[], &mut book, &mut random);
}

#[test]
fn files_that_are_cut_short_or_exchanged() {
    use Then::{GoesOn, Refused};
    let scratch = Scratch::new("exchanged");
    let mut days = Days::new(&scratch);
    for name in [
        "checkpoints/0/manifest",
        "checkpoints/1/manifest",
        "checkpoints/0/part-000",
        "checkpoints/1/part-001",
    ] {
        days.expect(&format!("half of {name}"), |data| cut_short(&data.join(name)), &GoesOn(&[]));
    }
    let refused = Refused(3, &["kind, stream and number of the segment: found", "expected"]);
    let cases = [
        ("streams/000-00000000.log", "streams/064-00000000.log", refused),
        (
            "streams/000-00000000.log",
            "streams/000-00000001.log",
            Refused(3, &["streams/000-00000000.log", "found (2, 0, 1)"]),
        ),
        (
            "cuts/00000000.log",
            "cuts/00000001.log",
            Refused(3, &["cuts/00000000.log", "found (1, 0, 1), expected (1, 0, 0)"]),
        ),
        ("checkpoints/0/part-000", "checkpoints/0/part-001", GoesOn(&[])),
        (
            "checkpoints/0/part-000",
            "checkpoints/1/part-000",
            GoesOn(&["a checkpoint is damaged: checkpoints", "The start goes on without it"]),
        ),
        (
            "checkpoints/0/manifest",
            "checkpoints/1/manifest",
            GoesOn(&["place of the checkpoint's sheet: found", "The start goes on without it"]),
        ),
        // A checkpoint is good in either slot.
        ("checkpoints/0", "checkpoints/1", GoesOn(&["from a checkpoint"])),
    ];
    for (one, other, then) in &cases {
        days.expect(&format!("{one} and {other} exchanged"), |data| exchange(data, one, other), then);
    }
}

#[test]
fn yesterdays_copies() {
    use Then::{GoesOn, Refused};
    let scratch = Scratch::new("yesterday");
    let mut days = Days::new(&scratch);
    let put_back = |days: &Days<'_>, names: &[&str], data: &Path| {
        names.iter().for_each(|name| days.put_back(data, name));
    };
    let segment = days.segment_of_both_days();
    let lost = "acknowledged transfers are missing";
    let cuts = "cuts/00000000.log";
    let history_knows = Refused(
        3,
        &[
            "cuts/00000000.log at byte",
            "the slot is empty",
            "The history in",
            "it was durable",
            "restore the file",
        ],
    );
    let cases: [(&[&str], &Then); 8] = [
        (
            &[&segment],
            &Refused(3, &["the log is damaged: epoch", "streams/", "A later cut", "Nothing was changed"]),
        ),
        (&[cuts], &history_knows),
        (&[cuts, "checkpoints"], &history_knows),
        (&["checkpoints/0/manifest"], &GoesOn(&[])),
        (&["checkpoints/1/part-000"], &GoesOn(&[])),
        (&["checkpoints/0"], &GoesOn(&["from a checkpoint"])),
        (&["checkpoints"], &GoesOn(&["from a checkpoint"])),
        (&["history"], &GoesOn(&[])),
    ];
    for (names, then) in cases {
        let data = days.changed(|_| {});
        put_back(&days, names, &data);
        eprintln!("  yesterday's {names:?}");
        match then {
            Refused(code, words) => {
                expect_refused(&data, *code, words);
                // With the right files it goes on, and history is still there.
                for name in names {
                    copy(&days.today.join(name), &data.join(name));
                }
                let server = Start::new(&data).shards(2).with(&["--checkpoint-every", "0"]).serve();
                days.book.check_history(&mut connect(server.address()), &mut days.random);
                let said = server.kill();
                assert!(!said.contains("built anew"), "{said}");
            }
            GoesOn(words) => days.expect_goes_on(&data, words),
        }
    }

    // Without a history the checkpoints know.
    let data = days.changed(|_| {});
    put_back(&days, &[cuts], &data);
    let refused = |words: &[&str]| {
        let before = hashes(&data);
        run_auriga(&["inspect", "--data", text(&data)]).expect(3, words);
        Start::new(&data).with(&["--history", "off"]).fail().expect(3, words);
        assert!(hashes(&data) == before, "the refused start changed something");
    };
    let damaged = "the log is damaged: epoch";
    refused(&[damaged, cuts, "at byte", "the slot is empty", "a checkpoint, proves", lost]);
    for slot in ["0", "1"] {
        // Even one that can't be loaded.
        fs::write(data.join("checkpoints").join(slot).join("part-000"), "").expect("written");
    }
    refused(&[damaged, cuts, "at byte", "the slot is empty", "a checkpoint, proves", lost]);
}

/// What lies before a checkpoint is read by look-ups alone: they tell of the damage, and the state is right.
#[test]
fn yesterdays_segment_before_a_checkpoint_is_told_by_who_reads_it() {
    let scratch = Scratch::new("before");
    let mut days = Days::new(&scratch);
    let segment = days.segment_of_both_days();
    let server = Start::new(&days.today).shards(2).with(&["--checkpoint-every", "1"]).serve();
    let mut client = connect(server.address());
    days.book.check(&mut client, &mut days.random, true);
    // One is taken when the log has grown by as much as a checkpoint has. What is under way may have begun before that.
    wait_until("all that was logged is in a checkpoint", || {
        fill_log(server.address(), 4, 8_190, 4).expect("the server answers");
        let logged = client.status(false).expect("a status").epoch;
        let is_in_one = || client.status(false).expect("a status").checkpoint_epoch >= logged;
        becomes_so(Duration::from_secs(2), is_in_one)
    });
    let digest = client.status(true).expect("a status").digest;
    server.stop();
    let data = days.changed(|_| {});
    days.put_back(&data, &segment);
    let server = Start::new(&data).shards(2).with(&["--checkpoint-every", "0"]).serve();
    let mut client = connect_once(server.address());
    assert_eq!(client.status(true).expect("a status").digest, digest, "the state is right");
    days.book.check_history(&mut client, &mut days.random);
    let newest = days.book.created().last().expect("there are some").id;
    let error = client.lookup_transfers(&[newest]).expect_err("its block is not there");
    assert!(matches!(&error, Error::Refused(fault) if fault.code == FaultCode::DamagedData), "{error}");
    assert!(error.to_string().contains(&segment) && error.to_string().contains("auriga inspect"), "{error}");
    server.stop();
}
