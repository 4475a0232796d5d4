//! What a cut leaves, at every position of a small history and of random ones.

use super::record::{Fate, Left, Number, Position, Record, SECTOR};
use crate::harness::{Scratch, seed};
use fastrand::Rng;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

const SECTORS: usize = 64;

fn open(scratch: &Scratch, name: &str) -> File {
    let options = OpenOptions::new().create(true).truncate(true).read(true).write(true).clone();
    options.open(scratch.join(name)).expect("a file can be made")
}

/// The first byte of every sector after a cut.
fn sectors(record: &Record, at: Position, fate: Fate, seed: u64, scratch: &Scratch) -> (Vec<u8>, Left) {
    let image = open(scratch, "image");
    image.write_all_at(&[0xff; SECTORS * SECTOR], 0).expect("written");
    let left = record.cut(at, fate, &mut Rng::with_seed(seed), &image).expect("the image can be made");
    let mut bytes = vec![0; SECTORS * SECTOR];
    image.read_exact_at(&mut bytes, 0).expect("read");
    for sector in bytes.chunks(SECTOR) {
        assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is never torn");
    }
    (bytes.iter().step_by(SECTOR).copied().collect(), left)
}

#[test]
fn a_flush_covers_what_was_done_before_it_began() {
    let scratch = Scratch::new("record");
    let mut record = Record::new(open(&scratch, "bytes"));
    let write = |record: &mut Record, sector: u64, byte: u8| {
        record.begin_write(sector * SECTOR as u64, &[byte; SECTOR]).expect("noted")
    };
    let done = write(&mut record, 0, 1);
    record.end_write(done);
    let under_way = write(&mut record, 1, 2);
    let flush = record.begin_flush();
    record.end_write(under_way);
    let late = write(&mut record, 2, 0);
    record.end_write(late);
    record.end_flush(flush);
    let zeros = write(&mut record, 3, 0);
    record.end_write(zeros);
    let flush = record.begin_flush();
    record.end_flush(flush);
    let end = record.position();
    assert_eq!((end, record.counts()), (12, (4, 2)));

    let old = 0xff;
    let all = |durable, lost| Left { durable, lost, ..Left::default() };
    let expected = [
        (end, [1, 2, 0, 0], all(4, 0)),
        // The second flush was not reported.
        (end - 1, [1, old, old, old], all(1, 3)),
        // Nor the first one; the last write hadn't come.
        (end - 5, [old, old, old, old], all(0, 3)),
        (0, [old, old, old, old], all(0, 0)),
    ];
    assert_eq!([end, end - 1, end - 5, end - 6, 0].map(|at| record.volatile(at)), [0, 3, 3, 2, 0]);
    for (at, first, left) in expected {
        let (found, said) = sectors(&record, at, Fate::Lost, 0, &scratch);
        assert_eq!((&found[..4], said), (&first[..], left), "cut at {at}");
        assert!(found[4..].iter().all(|byte| *byte == old), "nothing else is touched");
    }
}

/// A write of a model disk that is asked of the record afterwards.
struct Written {
    number: Number,
    byte: u8,
    sectors: std::ops::Range<usize>,
    begun: Position,
    done: Option<Position>,
}

/// Writes of other sectors each time, so that each sector says which of its one write is there.
#[test]
fn chance_decides_of_the_rest_only() {
    let seed = seed("record");
    let scratch = Scratch::new("record-chance");
    let mut seen = Left::default();
    for round in 0..20 {
        let mut random = Rng::with_seed(seed.wrapping_add(round));
        let mut record = Record::new(open(&scratch, "bytes"));
        let mut written: Vec<Written> = Vec::new();
        let mut flushes: Vec<(Number, Position, Option<Position>)> = Vec::new();
        let mut next = 0;
        while next < SECTORS {
            let open_writes: Vec<usize> = (0..written.len()).filter(|i| written[*i].done.is_none()).collect();
            let open_flush = flushes.last().filter(|flush| flush.2.is_none()).map(|flush| flush.0);
            let now = record.position();
            match (random.u32(..4), open_flush) {
                (0, _) | (1, _) if random.bool() || open_writes.is_empty() => {
                    let sectors = next..SECTORS.min(next + random.usize(1..6));
                    let byte = random.u8(..0xff);
                    let bytes = vec![byte; sectors.len() * SECTOR];
                    let number = record.begin_write((next * SECTOR) as u64, &bytes).expect("noted");
                    next = sectors.end;
                    written.push(Written { number, byte, sectors, begun: now, done: None });
                }
                (0..=2, _) if !open_writes.is_empty() => {
                    let ended = open_writes[random.usize(..open_writes.len())];
                    record.end_write(written[ended].number);
                    written[ended].done = Some(now);
                }
                (_, None) => flushes.push((record.begin_flush(), now, None)),
                (_, Some(number)) => {
                    record.end_flush(number);
                    flushes.last_mut().expect("it is open").2 = Some(now);
                }
            }
        }
        for at in 0..=record.position() {
            let ended = flushes.iter().filter(|flush| flush.2.is_some_and(|ended| ended < at));
            let flushed = ended.map(|flush| flush.1).max().unwrap_or(0);
            let (found, left) = sectors(&record, at, Fate::Mixed, random.u64(..), &scratch);
            for write in &written {
                let there = found[write.sectors.clone()].iter().filter(|byte| **byte == write.byte).count();
                if write.begun >= at {
                    assert_eq!(there, 0, "a write is there before it came");
                } else if write.done.is_some_and(|done| done < flushed) {
                    assert_eq!(there, write.sectors.len(), "a durable write is not there, cut at {at}");
                }
            }
            assert_eq!(
                left.durable + left.kept + left.lost + left.torn,
                written.iter().filter(|write| write.begun < at).count()
            );
            seen.kept += left.kept;
            seen.lost += left.lost;
            seen.torn += left.torn;
        }
    }
    assert!(seen.kept > 100 && seen.lost > 100 && seen.torn > 100, "{seen:?}");
}
