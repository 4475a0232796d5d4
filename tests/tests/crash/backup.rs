//! Backups: taken from a server under load, they are the state after an epoch, to the byte; and nothing else passes for one.

use auriga_tests::book::Book;
use auriga_tests::harness::{Scratch, Start, format, run_auriga, seed, text};
use auriga_tests::load::{Pattern, connect, drive_while, wait_for_answers};
use auriga_tests::log_files::hashes;
use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

/// Makes a backup; returns its epoch and digest.
#[track_caller]
fn back_up(data: &Path, backup: &Path) -> (u64, String) {
    run_auriga(&["backup", text(backup), "--data", text(data)]).expect(0, &[]);
    let list = fs::read_to_string(backup.join("backup.toml")).expect("a whole backup has a list");
    let field = |name: &str| {
        let line = list.lines().find(|line| line.starts_with(name)).expect("the list has this field");
        line.split('"').nth(1).unwrap_or_else(|| line.split(" = ").nth(1).expect("a value")).to_string()
    };
    (field("epoch").parse().expect("a number"), field("digest"))
}

/// The digest that a replay gives, of a part of the log.
#[track_caller]
fn digest(data: &Path, through: u64) -> String {
    let through = through.to_string();
    let report = ["inspect", "--data", text(data), "--digest", "--json", "--through", &through];
    let report = run_auriga(&report).expect(0, &[]).json();
    report["state"]["digest"].as_str().expect("a digest").to_string()
}

/// 1. Backups are taken while clients write and the server takes checkpoints.
/// 2. Another one is taken after a kill: it has all that was acknowledged.
/// 3. Each is restored, is the state after its epoch, and goes on.
#[test]
fn a_backup_is_the_state_after_its_epoch() {
    let mut random = fastrand::Rng::with_seed(seed("backup"));
    let scratch = Scratch::new("backup");
    let data = scratch.join("data");
    format(&data);
    let mut book = Book::default();
    let server = Start::new(&data).shards(2).with(&["--checkpoint-every", "3000000"]).serve();
    let mut client = connect(server.address());
    book.open_accounts(&mut client, 200);
    let pattern = Pattern { batches: vec![1, 30, 2_000], in_flight: 4, ..Pattern::ENDLESS };
    let mut backups = Vec::new();
    let told = drive_while(server.address(), random.u64(..), &book.choice(), &pattern, |answers| {
        for number in 0..3 {
            wait_for_answers(answers, answers.load(Ordering::Relaxed) + 100);
            if number == 2 {
                server.wait_for("is whole");
            }
            let backup = scratch.join(&format!("backup-{number}"));
            backups.push((back_up(&data, &backup), backup));
        }
    });
    book.note(told);
    let epoch = client.status(false).expect("a status").epoch;
    server.kill();
    let backup = scratch.join("backup-at-rest");
    let at_rest = back_up(&data, &backup);
    assert!(at_rest.0 >= epoch, "found a backup through epoch {}, expected {epoch} or later", at_rest.0);
    backups.push((at_rest, backup));

    let mut checkpoints = 0;
    for (number, ((epoch, expected), backup)) in backups.iter().enumerate() {
        assert_eq!(digest(&data, *epoch), *expected, "what the log gives, and the backup of epoch {epoch}");
        checkpoints += usize::from(backup.join("checkpoints").exists());
        let restored = scratch.join(&format!("restored-{number}"));
        let before = hashes(backup);
        run_auriga(&["restore", text(backup), "--data", text(&restored)]).expect(0, &[]);
        assert!(hashes(backup) == before, "restore changed the backup");
        assert_eq!(digest(&restored, u64::MAX), *expected, "what was restored of epoch {epoch}");
        run_auriga(&["inspect", "--verify", "--data", text(&restored)]).expect(0, &[]);
        let server = Start::new(&restored).shards(1 + number as u16).serve();
        let mut client = connect(server.address());
        let found = client.status(true).expect("a status").digest.expect("it was asked for");
        assert_eq!(format!("{found:032x}"), *expected, "what a server made of it");
        if number + 1 == backups.len() {
            book.check(&mut client, &mut random, true);
            book.open_accounts(&mut client, 1);
        }
        server.stop();
    }
    assert!(checkpoints > 0, "no backup has a checkpoint, but the third is behind one");
}

#[test]
fn what_is_no_whole_backup_is_refused() {
    let scratch = Scratch::new("no-backup");
    let (data, backup) = (scratch.join("data"), scratch.join("backup"));
    format(&data);
    let server = Start::new(&data).shards(2).serve();
    Book::default().open_accounts(&mut connect(server.address()), 100);
    back_up(&data, &backup);
    run_auriga(&["backup", text(&backup), "--data", text(&data)]).expect(1, &["is not empty"]);
    server.stop();

    let mut count = 0;
    let mut restore = |code: i32, words: &[&str]| {
        count += 1;
        let target = scratch.join(&format!("restored-{count}"));
        run_auriga(&["restore", text(&backup), "--data", text(&target)]).expect(code, words);
        let start = Start::new(&target).fail();
        assert_eq!(start.code, Some(4), "nothing starts on what is no backup: {start:?}");
    };
    let cuts = backup.join("cuts/00000000.log");
    let good = fs::read(&cuts).expect("read");
    let mut bad = good.clone();
    bad[4_096 + 300] ^= 1;
    fs::write(&cuts, &bad).expect("written");
    restore(3, &["checksum of cuts/00000000.log", "restore another backup"]);
    fs::write(&cuts, &good[..8_000]).expect("written");
    restore(4, &["cuts/00000000.log"]);
    fs::write(&cuts, &good).expect("written");
    let list = backup.join("backup.toml");
    let text_of_list = fs::read_to_string(&list).expect("read");
    let with = |from: &str, to: &str| {
        let changed = text_of_list.replacen(from, to, 1);
        assert_ne!(changed, text_of_list);
        fs::write(&list, changed).expect("written");
    };
    with("digest = \"", "digest = \"0");
    restore(3, &["digest after epoch"]);
    with("name = \"cuts/", "name = \"../../cuts/");
    restore(3, &["is no file of a backup"]);
    with("format = 1", "format = 2");
    restore(4, &["found format 2"]);
    fs::remove_file(&list).expect("removed");
    restore(4, &["is no whole backup"]);
}
