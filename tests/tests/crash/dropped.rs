//! The end of a log that was being written when the power went: dropped, said, and never back.

use auriga_tests::harness::{Scratch, Start, format, run_auriga, seed, text};
use auriga_tests::load::{account, connect, transfer};
use auriga_tests::log_files::{Area, LogFiles, hashes};
use auriga_wire::{Client, IdGenerator, Transfer};
use std::fs;
use std::path::Path;

/// What a power failure can leave of the last epoch. Every variant changes the block, the cut, or both.
type Tear = fn(&mut Vec<u8>);

/// Half of a block's sectors were written, or a half with bytes of another time.
const BLOCK_TEARS: [(&str, Tear); 4] = [
    ("the block was not written", |bytes| bytes.fill(0)),
    ("the end of the block was not written", |bytes| {
        let half = bytes.len() / 2;
        bytes[half..].fill(0);
    }),
    ("the start of the block was not written", |bytes| bytes[..4_096].fill(0)),
    ("a byte of the block is another", |bytes| bytes[5_000] ^= 0x40),
];

const CUT_TEARS: [(&str, Tear); 3] = [
    ("half of the cut was written", |bytes| bytes[200..].fill(0xee)),
    ("a byte of the cut is another", |bytes| bytes[70] ^= 1),
    ("the cut was not written", |bytes| bytes.fill(0)),
];

/// Batches that were acknowledged and are expected to be there.
struct Ledger<'a> {
    data: &'a Path,
    ids: IdGenerator,
    batches: Vec<Vec<Transfer>>,
}

impl Ledger<'_> {
    fn client(address: &str) -> Client {
        connect(address)
    }

    /// Starts with a number of shards, adds batches one at a time, so that each is an epoch, and stops.
    fn add(&mut self, shards: u16, batches: usize) {
        let server = Start::new(self.data).shards(shards).serve();
        let mut client = Self::client(server.address());
        for _ in 0..batches {
            let batch: Vec<_> =
                (0..100).map(|i| transfer(self.ids.next_id(), 1 + i % 5, 6 + i % 3, 1)).collect();
            assert_eq!(client.create_transfers(&batch).expect("created").refusals, []);
            self.batches.push(batch);
        }
        server.stop();
    }

    /// Starts, checks that all batches but these are there, and stops. Returns the digest and what the server said.
    #[track_caller]
    fn check_without(&self, shards: u16, gone: &[&Vec<Transfer>]) -> (u128, String) {
        let server = Start::new(self.data).shards(shards).serve();
        let mut client = Self::client(server.address());
        let ids = |batch: &[Transfer]| batch.iter().map(|transfer| transfer.id).collect::<Vec<_>>();
        for batch in &self.batches {
            assert_eq!(
                client.lookup_transfers(&ids(batch)).expect("looked up").len(),
                batch.len(),
                "a batch is missing"
            );
        }
        for batch in gone {
            assert_eq!(
                client.lookup_transfers(&ids(batch)).expect("looked up"),
                [],
                "a dropped batch is back"
            );
        }
        let posted: u128 =
            (1..=5).map(|id| client.lookup_accounts(&[id]).expect("looked up")[0].debits_posted).sum();
        assert_eq!(
            posted,
            100 * self.batches.len() as u128,
            "the balances are those of the batches that are there"
        );
        let digest = client.status(true).expect("a status").digest.expect("asked for");
        (digest, server.stop().stderr)
    }
}

/// History has what a later cut proves: it knows nothing of an epoch that nothing proves, or that was dropped.
fn forget_history(data: &Path) {
    fs::remove_dir_all(data.join("history")).expect("it was kept");
}

#[test]
fn an_unproven_end_is_dropped_said_and_stays_dropped() {
    let mut random = fastrand::Rng::with_seed(seed("dropped"));
    let scratch = Scratch::new("unproven");
    let data = scratch.join("data");
    format(&data);
    let mut ledger = Ledger { data: &data, ids: IdGenerator::with_seed(random.u64(..)), batches: Vec::new() };
    let server = Start::new(&data).serve();
    let accounts: Vec<_> = (1..=8).map(|id| account(id, 0)).collect();
    assert_eq!(Ledger::client(server.address()).create_accounts(&accounts).expect("created").refusals, []);
    server.stop();
    let mut gone: Vec<Vec<Transfer>> = Vec::new();
    let blocks = BLOCK_TEARS.map(|(what, tear)| (what, tear, true));
    for (what, tear, is_block) in blocks.into_iter().chain(CUT_TEARS.map(|(what, tear)| (what, tear, false)))
    {
        ledger.add(random.u16(1..=3), 3);
        let mut log = LogFiles::read(&data);
        let last = log.unseal();
        let area = if is_block { Area::of_block(&last.blocks[0]) } else { Area::of_cut(last.epoch) };
        let (good, cut) = (log.bytes(area), log.bytes(Area::of_cut(last.epoch)));
        log.change(area, tear);
        forget_history(&data);
        gone.push(ledger.batches.pop().expect("just added"));
        let gone: Vec<_> = gone.iter().collect();

        // A cut that was never written is no end that anything could be said of.
        let says = log.bytes(Area::of_cut(last.epoch)).iter().any(|byte| *byte != 0);
        let before = hashes(&data);
        let found =
            run_auriga(&["inspect", "--data", text(&data), "--digest", "--json"]).expect(0, &[]).json();
        assert!(hashes(&data) == before, "{what}: inspect changed something");
        let dropped = found["state"]["dropped"].as_str().unwrap_or_default();
        let would = format!("epoch {} would be dropped", last.epoch);
        assert_eq!(dropped.contains(&would), says, "{what}: {found}");

        let (digest, said) = ledger.check_without(random.u16(1..=3), &gone);
        assert_eq!(said.contains(&format!("dropped epoch {}", last.epoch)), says, "{what}:\n{said}");
        assert_eq!(found["state"]["digest"], format!("{digest:032x}"), "{what}");

        // 1. The drive brings the epoch back whole, its cut over the first opening cut of the start that dropped it: that one
        //    is missing then, and the second proves it.
        if is_block {
            log.write(area, &good);
        }
        let opening = log.bytes(Area::of_cut(last.epoch));
        log.write(Area::of_cut(last.epoch), &cut);
        forget_history(&data);
        let text = format!("epoch {}, {} at byte", last.epoch, Area::of_cut(last.epoch).file);
        Start::new(&data).fail().expect(3, &[&text, "continues another one", "Nothing was changed"]);
        log.write(Area::of_cut(last.epoch), &opening);
        // 2. Its block alone is whole again, as if the drive had held it back: no cut points to it.
        let (again, said) = ledger.check_without(random.u16(1..=3), &gone);
        assert_eq!(again, digest, "{what}: the same state");
        assert!(!said.contains("dropped"), "{what}: nothing is dropped a second time:\n{said}");
    }
    // What was dropped is unknown: sent again, it is created.
    let server = Start::new(&data).shards(2).serve();
    let mut client = Ledger::client(server.address());
    for batch in &gone {
        assert_eq!(client.create_transfers(batch).expect("created").refusals, []);
    }
    server.stop();
    ledger.batches.extend(gone);
    ledger.check_without(2, &[]);
}
