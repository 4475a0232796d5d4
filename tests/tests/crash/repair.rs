//! What is damaged and can be had again from what is not: it is named, and mended only when that is asked for.

use auriga_shards::log::File;
use auriga_tests::book::Book;
use auriga_tests::harness::{Scratch, Start, format, run_auriga, seed, text};
use auriga_tests::load::{Pattern, connect, drive_many};
use auriga_tests::log_files::{Area, LogFiles, hashes};
use std::fs;
use std::path::{Path, PathBuf};

/// Bytes of a segment's header and of a manifest that mean something, at least.
const HEADER: usize = 48;

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("read");
    bytes[at] ^= 4;
    fs::write(path, bytes).expect("written");
}

/// Looks at a directory, and says in which words; nothing is changed.
#[track_caller]
fn expect_findings(data: &Path, code: i32, words: &[&str]) {
    let before = hashes(data);
    let verify = run_auriga(&["inspect", "--verify", "--data", text(data)]).expect(code, &[]);
    let repair = run_auriga(&["repair", "--data", text(data)]);
    for word in words {
        assert!(verify.stdout.contains(word), "{word:?} is missing in:\n{}", verify.stdout);
    }
    assert!(hashes(data) == before, "something was changed:\n{}{}", verify.stdout, repair.stdout);
}

#[test]
fn what_can_be_mended_is_mended_and_nothing_else_is_touched() {
    let mut random = fastrand::Rng::with_seed(seed("repair"));
    let scratch = Scratch::new("repair");
    let data = scratch.join("data");
    format(&data);
    let mut book = Book::default();
    let server = Start::new(&data).shards(2).with(&["--checkpoint-every", "1000000"]).serve();
    let mut client = connect(server.address());
    book.open_accounts(&mut client, 100);
    let pattern = Pattern { batches: vec![1_000], in_flight: 4, transfers_max: 40_000, ..Pattern::ENDLESS };
    book.note(drive_many(server.address(), &mut random, &book.choice(), &[pattern], u64::MAX, || {}));
    server.wait_for("is whole");
    run_auriga(&["inspect", "--verify", "--data", text(&data)]).expect(4, &["is in use by another auriga"]);
    server.stop();
    expect_findings(&data, 0, &["checkpoint     after epoch", "as a replay says", "good"]);

    let manifest = |slot: u8| data.join(format!("checkpoints/{slot}/manifest"));
    let slot = (0..2).find(|slot| manifest(*slot).exists()).expect("a checkpoint was taken");
    let segment = data.join(File::Stream { stream: 0, segment: 0 }.to_string());
    let damaged: [(PathBuf, usize); 2] = [(manifest(slot), 200), (segment, random.usize(..HEADER))];
    for (path, at) in &damaged {
        flip(path, *at);
    }
    let words = ["checksum of the manifest", "streams/000-00000000.log", "can be mended without loss"];
    expect_findings(&data, 3, &words);
    let log = LogFiles::read(&data);
    let block = Area::of_block(&log.with_blocks()[0].blocks[0]);
    let good = log.bytes(block);
    log.change(block, |bytes| bytes[200] ^= 1);
    expect_findings(&data, 3, &["checksum of the manifest", "bad_checksum", "restore the file from a copy"]);
    let before = hashes(&data);
    run_auriga(&["repair", "--apply", "--data", text(&data)]).expect(3, &["can't be mended without loss"]);
    assert!(hashes(&data) == before, "a repair that can't mend everything changes nothing");
    log.write(block, &good);

    let before = hashes(&data);
    let done = run_auriga(&["repair", "--apply", "--data", text(&data)]).expect(0, &[]);
    assert_eq!(done.stdout.matches("\ndone ").count(), 2, "{}", done.stdout);
    let after = hashes(&data);
    let touched: Vec<_> = before.keys().filter(|path| before.get(*path) != after.get(*path)).collect();
    assert_eq!(touched, damaged.iter().map(|(path, _)| path).collect::<Vec<_>>(), "only these");
    expect_findings(&data, 0, &["good"]);
    let server = Start::new(&data).shards(3).serve();
    book.check(&mut connect(server.address()), &mut random, true);
    server.stop();
}
