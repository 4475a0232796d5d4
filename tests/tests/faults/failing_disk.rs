//! A disk that fails: a write that can't be made, and places that can't be read.

use crate::ledger::{check, stop_with_two_checkpoints};
use crate::small_disk::SmallDisk;
use auriga_shards::checkpoint::manifest::Manifest;
use auriga_tests::book::Book;
use auriga_tests::harness::{Scratch, Start, format, not_run, run_auriga, seed, text};
use auriga_tests::load::{Pattern, Told, connect, connect_once, drive_many, drive_while, wait_for_answers};
use auriga_tests::log_files::{Area, IDENTITY, LogFiles, hashes};
use auriga_wire::{Error, FaultCode};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;

const DISK: u64 = 100 << 20;

/// The kernel refuses a write beyond a limit on the size of files, which is set while the server runs.
#[test]
fn a_failed_write_ends_the_server_and_loses_nothing() {
    let mut random = fastrand::Rng::with_seed(seed("failed write"));
    let scratch = Scratch::new("failed-write");
    let data = scratch.join("data");
    format(&data);
    let mut start = Start::new(&data).shards(2);
    // SAFETY: signal is async-signal-safe; it gets no function here. Ignored, the signal leaves the write with an error.
    unsafe {
        start.command().pre_exec(|| {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            Ok(())
        });
    }
    let server = start.serve();
    let mut book = Book::default();
    book.open_accounts(&mut connect(server.address()), 100);
    let pattern = Pattern { batches: vec![1, 50], ..Pattern::ENDLESS };
    let choice = book.choice_of_two_phases();
    let (mut said, address) = (None, server.address().to_string());
    let told = drive_while(&address, random.u64(..), &choice, &pattern, |answers| {
        wait_for_answers(answers, 100);
        let limit = libc::rlimit { rlim_cur: 4_096, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: the limit lives for the call, and no other is asked for.
        let set = unsafe {
            libc::prlimit(server.id() as i32, libc::RLIMIT_FSIZE, &raw const limit, std::ptr::null_mut())
        };
        assert_eq!(set, 0, "the limit of our own child can be set");
        said = Some(server.wait());
    });
    let words =
        ["a write failed", "at byte", "File too large", "What the disk holds is unknown", "Check the disk"];
    said.expect("it has ended").expect(4, &words);
    assert!(told.iter().any(|sent| sent.told == Told::Nothing), "what was under way was not answered");
    book.note(told);
    check(&data, 3, &[], &mut book, &mut random);
}

/// A write of history's store fails. The store is closed and opened again while the server runs, and answers for all that was told.
#[test]
fn a_history_whose_store_has_failed_is_opened_again() {
    let mut random = fastrand::Rng::with_seed(seed("failed store"));
    let scratch = Scratch::new("failed-store");
    let data = scratch.join("data");
    format(&data);
    let mut book = Book::default();
    let server = Start::new(&data).shards(2).serve();
    book.open_accounts(&mut connect(server.address()), 100);
    server.stop();

    let steps = scratch.join("steps");
    let failure = format!("write .jnl {}", libc::ENOSPC);
    let orders =
        [("AURIGA_STEPS", text(&steps)), ("AURIGA_STEPS_AT", ".jnl"), ("AURIGA_FAILURES", failure.as_str())];
    let server = Start::new(&data).shards(2).preload(&orders).serve();
    let pattern = [Pattern { batches: vec![20], in_flight: 1, transfers_max: 2_000, ..Pattern::ENDLESS }];
    book.note(drive_many(server.address(), &mut random, &book.choice(), &pattern, u64::MAX, || {}));
    server.wait_for("history stands still");
    server.wait_for("history goes on behind epoch");
    book.check_history(&mut connect(server.address()), &mut random);
    assert_eq!(book.turned_away(), 0, "no request is refused");
    server.stop();
}

/// The name of a new file of the log can't be made durable. No shard may write into it, also if a second try said that all is well.
#[test]
fn a_name_that_may_be_lost_ends_the_server() {
    let mut random = fastrand::Rng::with_seed(seed("lost name"));
    let scratch = Scratch::new("lost-name");
    let (data, steps) = (scratch.join("data"), scratch.join("steps"));
    format(&data);
    for folder in ["cuts", "streams"] {
        // A start makes names durable before it makes files: those are let through.
        let failures = format!("fallocate {folder}/ {}:fsync {folder}$ {}", libc::ENOSPC, libc::EIO);
        let orders = [
            ("AURIGA_STEPS", text(&steps)),
            ("AURIGA_STEPS_AT", "/cuts:/streams"),
            ("AURIGA_FAILURES", failures.as_str()),
        ];
        let words = [
            "can't prepare",
            "It is tried again",
            "can't sync",
            folder,
            "the disk failed",
            "What the disk holds is unknown",
        ];
        Start::new(&data).shards(2).preload(&orders).fail().expect(4, &words);
        fs::remove_dir_all(&data).expect("removed");
        format(&data);
    }
    let server = Start::new(&data).shards(2).serve();
    let mut book = Book::default();
    book.open_accounts(&mut connect(server.address()), 100);
    server.stop();
    check(&data, 3, &[], &mut book, &mut random);
}

/// Places of a disk that can't be read. Needs root and loop devices.
#[test]
fn what_can_t_be_read_is_named_and_what_is_not_needed_is_not_missed() {
    let mut random = fastrand::Rng::with_seed(seed("failing disk"));
    let scratch = Scratch::new("failing-disk");
    let disk = match SmallDisk::mount(&scratch, DISK) {
        Ok(disk) => disk,
        Err(why) => return not_run("a disk that can't be read, which needs root and loop devices", &why),
    };
    let data = scratch.join("data");
    format(&data);
    let mut book = Book::default();
    let server = Start::new(&data).with(&["--checkpoint-every", "0"]).serve();
    book.open_accounts(&mut connect(server.address()), 1_000);
    let pattern = [Pattern { batches: vec![100], in_flight: 1, transfers_max: 5_000, ..Pattern::ENDLESS }];
    book.note(drive_many(server.address(), &mut random, &book.choice(), &pattern, u64::MAX, || {}));
    server.stop();

    // A block in the middle of the log, at a start: refused.
    let log = LogFiles::read(&data);
    let epochs = log.with_blocks();
    let block = Area::of_block(&epochs[epochs.len() / 2].blocks[0]);
    let before = hashes(&data);
    let segment = disk.take_over(&log.path(block.file));
    disk.forget_what_was_read();
    let lost = disk.lose_from(&segment, block.offset);
    let file = block.file.to_string();
    let words =
        ["the log is damaged", &file, "Input/output error", "Restore the file", "Nothing was changed"];
    // Which byte of it is not said here: the kernel may make one read of this block's and of those before it.
    Start::new(&data).with(&["--checkpoint-every", "0"]).fail().expect(3, &words);
    run_auriga(&["inspect", "--data", text(&data), "--digest"]).expect(3, &words);
    disk.find_again(&lost);
    disk.forget_what_was_read();
    assert!(hashes(&data) == before, "the refused start changed something");

    // The same block while a server runs: who asks for it is told, and nobody else notices.
    let server = Start::new(&data).with(&["--checkpoint-every", "0"]).serve();
    let mut client = connect_once(server.address());
    let lost = disk.lose_from(&segment, block.offset);
    let (first, last) = (book.created()[0], *book.created().last().expect("there are some"));
    assert_eq!(client.lookup_transfers(&[first.id]).expect("its block can be read"), [first]);
    let error = client.lookup_transfers(&[last.id]).expect_err("its block can't be read");
    assert!(matches!(&error, Error::Refused(fault) if fault.code == FaultCode::DamagedData), "{error}");
    assert!(error.to_string().contains("Input/output error"), "{error}");
    assert_eq!(client.lookup_accounts(&[1]).expect("state is in memory").len(), 1);
    disk.find_again(&lost);
    assert_eq!(client.lookup_transfers(&[last.id]).expect("its block can be read"), [last]);
    server.stop();
    fs::remove_file(log.path(block.file)).expect("the link");
    fs::copy(&segment, log.path(block.file)).expect("back again");

    // A part of the newest checkpoint: the one before it is taken.
    let start = || Start::new(&data).with(&["--checkpoint-every", "1"]).serve();
    stop_with_two_checkpoints(start(), &data, &mut book, random.u64(..), start);
    let slot = newest_slot(&data);
    let part = disk.take_over(&data.join(&slot).join("part-000"));
    disk.forget_what_was_read();
    let _lost = disk.lose_from(&part, 0);
    let said = check(&data, 1, &[], &mut book, &mut random);
    let damaged = format!("a checkpoint is damaged: {slot}/part-000 at byte 0: Input/output error");
    assert!(said.contains(&damaged) && said.contains("from a checkpoint"), "{said}");
}

/// The folder of the newest checkpoint, below a data directory.
fn newest_slot(data: &Path) -> String {
    let epoch = |slot: &String| {
        let bytes = fs::read(data.join(slot).join("manifest")).ok()?;
        Manifest::decode(&IDENTITY, &bytes).ok().map(|manifest| manifest.end.epoch)
    };
    let slots = ["0", "1"].map(|number| format!("checkpoints/{number}"));
    slots.into_iter().max_by_key(epoch).expect("there are two slots")
}
