//! A data directory that has been used for a while: its log is about to pass the end of a segment, into one that was used
//! before, and the cut log into its second segment.
//!
//! What fills it are transfers that can't be: they are logged and executed like all others and leave nothing behind, so that
//! the log goes at the next checkpoint but one.

use crate::book::Book;
use crate::harness::{HANG, Start, format};
use crate::load::{connect, transfer};
use auriga_shards::limits::{CUT_SEGMENT_SLOTS, SECTOR_SIZE, STREAM_SEGMENT_SIZE};
use auriga_shards::log::segment::next_block_offset;
use auriga_wire::frame::REQUEST_RECORDS_MAX;
use auriga_wire::record::RECORD_SIZE;
use auriga_wire::{Client, Transfer};
use std::path::Path;
use std::time::{Duration, Instant};

/// Accounts, before anything else.
const ACCOUNTS: usize = 60;
/// Segments of the first stream that are filled: when the server comes into one, it prepares the next but one, so that the
/// fifth is the first one that was in use before.
const SEGMENTS: u64 = 4;
/// Epochs that are left in the first segment of the cut log.
const CUTS_LEFT: u64 = 60;
/// Bytes of the log between checkpoints.
const CHECKPOINT_EVERY: u64 = 12 << 20;

/// Formats a directory and uses it.
#[track_caller]
pub fn make(data: &Path) -> Book {
    format(data);
    let every = CHECKPOINT_EVERY.to_string();
    let server = Start::new(data).shards(2).with(&["--checkpoint-every", &every]).serve();
    // The first shard's client, and the second one's.
    let mut clients = [connect(server.address()), connect(server.address())];
    let mut book = Book::default();
    book.open_accounts(&mut clients[0], ACCOUNTS);
    let mut end = block_size(ACCOUNTS);
    let (mut checkpoint, mut since) = (0, 0);
    for records in [REQUEST_RECORDS_MAX, REQUEST_RECORDS_MAX / 16] {
        let size = block_size(records);
        while next_block_offset(end, size) + size < SEGMENTS * STREAM_SEGMENT_SIZE {
            log_nothing(&mut clients[0], records);
            end = next_block_offset(end, size) + size;
            since += size;
            if since > 2 * CHECKPOINT_EVERY {
                (checkpoint, since) = (wait_for_checkpoint(&mut clients[0], checkpoint), 0);
            }
        }
    }
    while clients[1].status(false).expect("a status").epoch < CUT_SEGMENT_SLOTS - CUTS_LEFT {
        for _ in 0..CUTS_LEFT / 10 {
            log_nothing(&mut clients[1], 1);
        }
    }
    server.stop();
    let spares = std::fs::read_dir(data.join("spare")).expect("it is there").count();
    let segment = data.join(format!("streams/000-{SEGMENTS:08}.log"));
    assert!(spares > 0 && segment.exists(), "segments were used again: {spares} spare ones");
    book
}

/// Whether the log of the directory has passed the ends of the segments before which it was left.
pub fn is_past(data: &Path) -> bool {
    // A stream has two segments more than it uses, the cut log one.
    let next = format!("streams/000-{:08}.log", SEGMENTS + 2);
    data.join(next).exists() && data.join("cuts/00000002.log").exists()
}

/// Logs a request of transfers that are refused.
#[track_caller]
fn log_nothing(client: &mut Client, transfers: usize) {
    let impossible = Transfer { ledger: 0, ..transfer(0, 1, 2, 1) };
    let answer = client.create_transfers(&vec![impossible; transfers]).expect("the server answers");
    assert_eq!(answer.refusals.len(), transfers, "all are refused");
}

/// Waits until there is a newer checkpoint than that of an epoch; returns its epoch.
#[track_caller]
fn wait_for_checkpoint(client: &mut Client, than: u64) -> u64 {
    let begun = Instant::now();
    loop {
        let newest = client.status(false).expect("a status").checkpoint_epoch;
        if newest > than {
            return newest;
        }
        assert!(begun.elapsed() < HANG, "no checkpoint was taken since that of epoch {than}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Bytes of a block with one request.
fn block_size(records: usize) -> u64 {
    ((2 + records) * RECORD_SIZE).next_multiple_of(SECTOR_SIZE) as u64
}
