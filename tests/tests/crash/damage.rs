//! Damage at or below what a later cut proves: the start is refused, says where and what, and changes nothing; `inspect`
//! says the same.

use auriga_shards::limits::SECTOR_SIZE;
use auriga_shards::log::File;
use auriga_tests::book::Book;
use auriga_tests::harness::{Scratch, Start, format, run_auriga, seed, text};
use auriga_tests::load::{Pattern, connect, drive_many};
use auriga_tests::log_files::{Area, LogFiles, hashes, reseal};
use std::fs;
use std::path::Path;

/// Writes a log with two shards and returns its books.
fn write_log(data: &Path, random: &mut fastrand::Rng) -> Book {
    format(data);
    let mut book = Book::default();
    let server = Start::new(data).shards(2).serve();
    let mut client = connect(server.address());
    book.open_accounts(&mut client, 100);
    // Two clients: the gate gives one to each shard, so both streams get blocks.
    let patterns = [
        Pattern { batches: vec![100], in_flight: 1, transfers_max: 2_000, ..Pattern::ENDLESS },
        Pattern { batches: vec![100], in_flight: 1, transfers_max: 2_000, ..Pattern::ENDLESS },
    ];
    book.note(drive_many(server.address(), random, &book.choice(), &patterns, u64::MAX, || {}));
    server.stop();
    book
}

/// Fails unless start and inspect refuse the directory with this code and these words, and leave it as it is.
#[track_caller]
fn expect_refused(data: &Path, code: i32, words: &[&str]) {
    let before = hashes(data);
    let verified = run_auriga(&["inspect", "--data", text(data), "--verify"]).expect(code, &[]);
    for word in words {
        let said = verified.stdout.contains(word) || verified.stderr.contains(word);
        assert!(said, "{word:?} is missing in:\n{verified:#?}");
    }
    assert!(hashes(data) == before, "inspect --verify changed something");
    run_auriga(&["inspect", "--data", text(data), "--digest"]).expect(code, words);
    assert!(hashes(data) == before, "inspect changed something");
    Start::new(data).shards(2).fail().expect(code, words);
    assert!(hashes(data) == before, "the refused start changed something");
}

/// Damages an area, expects that this is noticed, and puts the area right.
#[track_caller]
fn expect_damage(
    log: &LogFiles<'_>,
    data: &Path,
    area: Area,
    words: &[&str],
    change: impl FnOnce(&mut Vec<u8>),
) {
    let good = log.bytes(area);
    log.change(area, change);
    assert_ne!(log.bytes(area), good, "the damage is some");
    let (file, offset) = (area.file.to_string(), format!("at byte {}", area.offset));
    expect_refused(data, 3, &[words, &[&file, &offset, "is damaged", "Nothing was changed"]].concat());
    log.write(area, &good);
}

#[test]
fn damaged_blocks_and_cuts_are_named_and_nothing_is_changed() {
    let mut random = fastrand::Rng::with_seed(seed("damage"));
    let scratch = Scratch::new("damage");
    let data = scratch.join("data");
    let mut book = write_log(&data, &mut random);
    let log = LogFiles::read(&data);
    let epochs = log.with_blocks();
    let old = epochs[epochs.len() / 2];
    let (epoch, block) = (format!("epoch {}", old.epoch), Area::of_block(&old.blocks[0]));
    let cut = Area::of_cut(old.epoch);

    let place = random.usize(2 * 128..block.size.min(100 * 128));
    expect_damage(&log, &data, block, &[&epoch, "bad_checksum"], |bytes| bytes[place] ^= 0x10);
    expect_damage(&log, &data, block, &[&epoch, "checksum of the block"], |bytes| bytes[3] ^= 1);
    expect_damage(&log, &data, block, &[&epoch, "magic"], |bytes| bytes.fill(0));
    // A stale copy: what another epoch has written to the same stream.
    let same_stream = |cut: &&&auriga_shards::log::cut::Cut| {
        cut.epoch != old.epoch && cut.blocks.iter().any(|b| b.stream == old.blocks[0].stream)
    };
    let other = epochs.iter().find(same_stream).expect("a stream has several blocks");
    let entry = other.blocks.iter().find(|b| b.stream == old.blocks[0].stream).expect("looked at");
    let stale = log.bytes(Area::of_block(entry));
    expect_damage(&log, &data, block, &[&epoch, "epoch of the block"], |bytes| {
        let size = bytes.len().min(stale.len());
        bytes[..size].copy_from_slice(&stale[..size]);
    });

    expect_damage(&log, &data, cut, &[&epoch, "checksum of the cut"], |bytes| bytes[300] ^= 1);
    expect_damage(&log, &data, cut, &[&epoch, "the slot is empty"], |bytes| bytes.fill(0));
    let stale = log.bytes(Area::of_cut(other.epoch));
    expect_damage(&log, &data, cut, &[&epoch, "epoch of the cut"], |bytes| bytes.copy_from_slice(&stale));

    let server = Start::new(&data).shards(2).serve();
    let mut client = connect(server.address());
    book.check(&mut client, &mut random, true);
    server.stop();
}

/// Takes a file's place, expects that the directory is refused, and puts the file back.
#[track_caller]
fn expect_file_damage(path: &Path, data: &Path, code: i32, words: &[&str], change: impl FnOnce(&Path)) {
    let kept = data.with_extension("kept");
    fs::copy(path, &kept).expect("copied");
    change(path);
    expect_refused(
        data,
        code,
        &[words, &[path.file_name().and_then(|name| name.to_str()).expect("a name")]].concat(),
    );
    fs::rename(&kept, path).expect("put back");
}

#[test]
fn damaged_missing_and_misplaced_files_are_named() {
    let mut random = fastrand::Rng::with_seed(seed("files"));
    let scratch = Scratch::new("files");
    let data = scratch.join("data");
    let mut book = write_log(&data, &mut random);
    let log = LogFiles::read(&data);
    let used = |stream| log.cuts.iter().any(|cut| cut.blocks.iter().any(|block| block.stream == stream));
    assert!(used(0) && used(64), "both shards have logged");
    let segment = |stream| log.path(File::Stream { stream, segment: 0 });
    let cuts = |segment| log.path(File::Cuts { segment });
    let truncate = |path: &Path| {
        let file = fs::OpenOptions::new().write(true).open(path).expect("opened");
        let size = file.metadata().expect("a size").len();
        file.set_len(size - SECTOR_SIZE as u64).expect("truncated");
    };
    let header = |change: fn(&mut [u8])| {
        move |path: &Path| {
            let mut bytes = fs::read(path).expect("read");
            change(&mut bytes);
            fs::write(path, bytes).expect("written");
        }
    };
    for path in [segment(0), cuts(0)] {
        expect_file_damage(&path, &data, 3, &["expected", "Restore it from a copy"], truncate);
        expect_file_damage(
            &path,
            &data,
            3,
            &["checksum of the segment's header"],
            header(|bytes| bytes[60] ^= 1),
        );
        let newer = ["segment format version: found 2", "start the newer one"];
        let version = |bytes: &mut [u8]| {
            bytes[20] = 2;
            reseal(&mut bytes[..SECTOR_SIZE]);
        };
        expect_file_damage(&path, &data, 4, &newer, header(version));
        let cluster = |bytes: &mut [u8]| {
            bytes[24] = 8;
            reseal(&mut bytes[..SECTOR_SIZE]);
        };
        expect_file_damage(
            &path,
            &data,
            3,
            &["cluster of the segment: found 8, expected 7"],
            header(cluster),
        );
    }
    let missing = |path: &Path| fs::remove_file(path).expect("removed");
    expect_file_damage(&segment(0), &data, 3, &["No such file", "at byte"], missing);
    expect_file_damage(&cuts(0), &data, 3, &["missing, although later segments"], missing);
    let other = segment(64);
    expect_file_damage(&segment(0), &data, 3, &["kind, stream and number of the segment"], |path| {
        fs::copy(&other, path).expect("copied");
    });
    // The whole cut log: without it the streams mean nothing.
    let later = data.with_extension("later");
    fs::rename(cuts(1), &later).expect("moved");
    expect_file_damage(&cuts(0), &data, 3, &["missing, although streams are there"], missing);
    fs::rename(&later, cuts(1)).expect("put back");

    let server = Start::new(&data).shards(1).serve();
    let mut client = connect(server.address());
    book.check(&mut client, &mut random, true);
    server.stop();
}

/// What a binary of another version has written at the end of the log is no unfinished write: it is not dropped.
#[test]
fn cuts_of_another_version_are_refused_by_name() {
    let mut random = fastrand::Rng::with_seed(seed("newer"));
    let scratch = Scratch::new("newer");
    let data = scratch.join("data");
    write_log(&data, &mut random);
    let log = LogFiles::read(&data);
    let last = Area::of_cut(log.cuts.len() as u64);
    let good = log.bytes(last);
    let (file, offset) = (last.file.to_string(), format!("at byte {}", last.offset));
    let cases = [
        (36, 2, "cut format 2 and rules 3"),
        (36, 4, "cut format 4 and rules 3"),
        (38, 2, "cut format 3 and rules 2"),
        (38, 4, "cut format 3 and rules 4"),
    ];
    for (place, version, words) in cases {
        log.change(last, |bytes| {
            bytes[place] = version;
            reseal(bytes);
        });
        expect_refused(&data, 4, &[words, "start the version that wrote it", &file, &offset]);
        log.write(last, &good);
    }
    Start::new(&data).shards(2).serve().stop();
}
