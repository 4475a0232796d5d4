//! What a recovery accepts that goes on from a checkpoint.

use auriga_shards::ledger::terms::Limited;
use auriga_shards::limits::SECTOR_SIZE;
use auriga_shards::log::cut::{Cut, CutSector};
use auriga_shards::log::recover::Recovery;
use auriga_shards::log::{IdMode, Identity};
use auriga_shards::pacer::LogEnd;

const IDENTITY: Identity = Identity { cluster: 7, id_mode: IdMode::Time };
/// Epochs of the log, and the one whose state a checkpoint has.
const EPOCHS: u64 = 8;
const FROM: u64 = 5;
const EMPTY: [u8; SECTOR_SIZE] = [0; SECTOR_SIZE];

/// The slots of a log of empty epochs, from 1, and the log's end behind each.
fn log() -> (Vec<[u8; SECTOR_SIZE]>, Vec<LogEnd>) {
    let mut end = LogEnd::default();
    let mut write = |_| {
        let (slot, next) = cut_behind(&end, 1);
        end = next;
        (slot, next)
    };
    (1..=EPOCHS).map(&mut write).unzip()
}

/// The slot of an empty epoch behind a log's end, and the end behind that.
fn cut_behind(end: &LogEnd, incarnation: u64) -> ([u8; SECTOR_SIZE], LogEnd) {
    let epoch = end.epoch + 1;
    let cut = Cut {
        epoch,
        time: epoch * 1_000,
        incarnation,
        previous: end.checksum,
        committed_through: end.epoch,
        horizon: 0,
        ids_through: u64::MAX,
        limited: Limited::default(),
        expire_through: 0,
        blocks: Vec::new(),
    };
    let mut sector = CutSector::new();
    let checksum = cut.encode(&IDENTITY, &mut sector);
    (sector.0, LogEnd { epoch, checksum, time_end: cut.time + 1, incarnation, ..LogEnd::default() })
}

/// The epoch at which the log ends that goes on from the checkpoint, or the epoch of the hole.
fn recover(slots: &[[u8; SECTOR_SIZE]], from: LogEnd, first: u64, proven: u64) -> Result<u64, u64> {
    let mut recovery = Recovery::new(IDENTITY, from);
    recovery.prove(first, proven);
    for (epoch, slot) in (1..).zip(slots).filter(|(epoch, _)| *epoch >= first) {
        if let Some(cut) = recovery.take(epoch, slot) {
            assert!(
                cut.epoch == epoch && epoch > from.epoch,
                "only what is behind the checkpoint is executed"
            );
        }
    }
    recovery.finish(None).map(|(end, _)| end.epoch).map_err(|hole| hole.epoch)
}

#[test]
fn the_cut_of_the_checkpoint_or_one_that_continues_it_has_to_be_there() {
    let (slots, ends) = log();
    let from = ends[FROM as usize - 1];
    let before = |epoch: u64| slots[..epoch as usize].to_vec();
    let changed = |change: &dyn Fn(&mut Vec<[u8; SECTOR_SIZE]>)| {
        let mut slots = slots.clone();
        change(&mut slots);
        slots
    };
    let at = FROM as usize - 1;
    let cases = [
        ("all is there", slots.clone(), Ok(EPOCHS)),
        ("nothing follows", before(FROM), Ok(FROM)),
        ("an earlier copy of the cut log", [before(3), vec![EMPTY; 5]].concat(), Err(FROM)),
        ("an earlier copy that ends before", before(3), Err(FROM)),
        ("its own cut is rotten", changed(&|slots| slots[at][300] ^= 1), Ok(EPOCHS)),
        ("its own cut is gone", changed(&|slots| slots[at] = EMPTY), Ok(EPOCHS)),
        ("its own cut is another", changed(&|slots| slots[at] = slots[at - 1]), Ok(EPOCHS)),
        ("it is gone and the next one, too", changed(&|slots| slots[at..=at + 1].fill(EMPTY)), Err(FROM)),
        ("it is another, and nothing continues it", [before(4), before(1)].concat(), Err(FROM)),
    ];
    for (what, slots, expected) in cases {
        assert_eq!(recover(&slots, from, FROM, 0), expected, "{what}");
    }
    // A log that begins behind the checkpoint doesn't have its cut.
    assert_eq!(recover(&slots, from, FROM + 1, 0), Ok(EPOCHS));
}

#[test]
fn the_checkpoint_of_an_epoch_that_a_start_has_dropped_is_none() {
    let (slots, ends) = log();
    let (before, from) = (ends[FROM as usize - 2], ends[FROM as usize - 1]);
    let (later, _) = cut_behind(&before, 2);
    let (other, _) = cut_behind(&LogEnd { checksum: 7, ..before }, 1);
    for (slot, is_dropped) in
        [(slots[FROM as usize - 1], false), (later, true), (other, false), (EMPTY, false)]
    {
        let mut recovery = Recovery::new(IDENTITY, from);
        recovery.prove(FROM, FROM);
        assert!(recovery.take(FROM, &slot).is_none(), "it is in the checkpoint");
        assert_eq!(recovery.is_other_log(), is_dropped);
    }
}

#[test]
fn what_another_checkpoint_holds_has_to_be_there() {
    let (slots, ends) = log();
    for (from, first) in [(LogEnd::default(), 1), (ends[1], 2)] {
        assert_eq!(recover(&slots, from, first, EPOCHS), Ok(EPOCHS));
        assert_eq!(recover(&slots[..6], from, first, 6), Ok(6));
        assert_eq!(recover(&slots[..6], from, first, 7), Err(7), "the next file is missing");
        let copy = [slots[..4].to_vec(), vec![EMPTY; 4]].concat();
        assert_eq!(recover(&copy, from, first, 4), Ok(4));
        assert_eq!(recover(&copy, from, first, 5), Err(5));
    }
}
