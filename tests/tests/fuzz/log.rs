//! The readers of the log: segment headers, cuts, blocks, and what recovery accepts of a chain of cuts.

use auriga_fuzzing::{Flips, damage, inputs};
use auriga_shards::ledger::terms::Limited;
use auriga_shards::limits::{EPOCH_BLOCKS_MAX, EPOCH_UNITS_MAX, SECTOR_SIZE};
use auriga_shards::log::block::{Block, Place};
use auriga_shards::log::cut::{BlockEntry, Cut, CutSector};
use auriga_shards::log::recover::Recovery;
use auriga_shards::log::{File, IdMode, Identity};
use auriga_shards::pacer::LogEnd;
use auriga_wire::Transfer;
use auriga_wire::frame::{Command, Header, seal};
use xxhash_rust::xxh3::xxh3_128;

const IDENTITY: Identity = Identity { cluster: 77, id_mode: IdMode::Time };
const PLACE: Place = Place { cluster: 77, incarnation: 3, epoch: 9, stream: 5, offset: 8_192 };

/// Writes a fitting checksum, so that what lies behind it is looked at.
fn reseal(sector: &mut [u8]) {
    let checksum = xxh3_128(&sector[16..SECTOR_SIZE]);
    sector[..16].copy_from_slice(&checksum.to_le_bytes());
}

/// A good cut of the third epoch with two blocks.
fn good_cut() -> Cut {
    let blocks = vec![BlockEntry::new(4, 40, 0, 11), BlockEntry::new(90, 8_192, 4_096, 12)];
    Cut {
        epoch: 3,
        time: 1_000_000,
        incarnation: 1,
        previous: 5,
        committed_through: 2,
        horizon: 0,
        ids_through: 2_000_000,
        limited: Limited::default(),
        expire_through: 0,
        blocks,
    }
}

fn encode(cut: &Cut) -> (Box<CutSector>, u128) {
    let mut sector = CutSector::new();
    let checksum = cut.encode(&IDENTITY, &mut sector);
    (sector, checksum)
}

/// A sealed block of two requests.
fn good_block() -> (Block, BlockEntry) {
    let mut block = Block::new();
    for request in 0..2u64 {
        let transfers: Vec<_> = (1..=30u128).map(|id| Transfer { id, ..Transfer::default() }).collect();
        let body: &[u8] = bytemuck::cast_slice(&transfers);
        let mut frame =
            bytemuck::bytes_of(&Header::request(Command::CreateTransfers, request, body.len())).to_vec();
        frame.extend_from_slice(body);
        seal(&mut frame);
        block.push(&frame);
    }
    let entry = block.seal(&PLACE);
    (block, entry)
}

#[test]
fn a_segment_header_of_any_bytes() {
    let file = File::Stream { stream: 9, segment: 2 };
    let good = file.header(&IDENTITY);
    assert_eq!(file.check_header(&IDENTITY, &good), Ok(()));
    inputs!((bool, Flips)).for_each(|(resealed, flips)| {
        let mut sector = good.to_vec();
        let changed = damage(&mut sector, flips);
        if *resealed {
            reseal(&mut sector);
            let _ = file.check_header(&IDENTITY, &sector);
        } else if changed {
            assert!(file.check_header(&IDENTITY, &sector).is_err(), "damage was not noticed");
        }
    });
}

#[test]
fn a_damaged_cut_is_refused() {
    let (good, _) = encode(&good_cut());
    inputs!(Flips).for_each(|flips| {
        let mut sector = good.0.to_vec();
        if damage(&mut sector, flips) {
            assert!(Cut::decode(&IDENTITY, &sector).is_err(), "damage was not noticed");
        }
    });
}

#[test]
fn a_cut_of_any_bytes_under_a_good_checksum() {
    let (good, _) = encode(&good_cut());
    inputs!(Flips).for_each(|flips| {
        let mut sector = good.0.to_vec();
        // Most of a sector is unused: damage goes to header and entries.
        damage(&mut sector[16..16 + 512], flips);
        reseal(&mut sector);
        let _ = Cut::other_version(&sector);
        let Ok((cut, _)) = Cut::decode(&IDENTITY, &sector) else { return };
        assert!(cut.blocks.len() <= EPOCH_BLOCKS_MAX && cut.units() <= EPOCH_UNITS_MAX);
        for index in [0, 1, 39, 40, 8_231, u16::MAX] {
            let _ = cut.locate(index);
        }
    });
}

#[test]
fn a_damaged_block_is_refused() {
    let (mut block, entry) = good_block();
    let good = block.bytes().to_vec();
    let used = entry.units as usize * 128;
    assert_eq!(block.open(&entry, &PLACE), Ok(()));
    inputs!(Flips, 10).for_each(|flips| {
        let mut damaged = Block::with_size(good.len());
        let memory = damaged.memory_mut();
        memory[..good.len()].copy_from_slice(&good);
        if damage(&mut memory[..used], flips) {
            assert!(damaged.open(&entry, &PLACE).is_err(), "damage was not noticed");
        }
    });
}

#[test]
fn a_block_with_requests_of_any_kind_under_good_checksums() {
    let input = inputs!((u16, u8, Flips), 10);
    input.for_each(|(command, records, flips)| {
        let body = vec![0; 128 * (usize::from(*records) % 40)];
        let mut header = Header::request(Command::CreateAccounts, 1, body.len());
        header.command = *command % 8;
        let mut frame = bytemuck::bytes_of(&header).to_vec();
        frame.extend_from_slice(&body);
        let size = frame.len();
        damage(&mut frame[16..size], flips);
        frame[24..28].copy_from_slice(&(size as u32).to_le_bytes());
        seal(&mut frame);
        let mut block = Block::new();
        block.push(&frame);
        let entry = block.seal(&PLACE);
        let _ = block.open(&entry, &PLACE);
    });
}

#[test]
fn recovery_of_a_damaged_chain() {
    let mut previous = 0;
    let cuts: Vec<(Cut, Vec<u8>)> = (1..=8)
        .map(|epoch| {
            let time = epoch * 100_000;
            let cut = Cut { epoch, time, previous, committed_through: epoch - 1, ..good_cut() };
            let (sector, checksum) = encode(&cut);
            previous = checksum;
            (cut, sector.0.to_vec())
        })
        .collect();
    let input = inputs!((u8, u8, Flips), 4);
    input.for_each(|(swap, with, flips)| {
        let mut sectors: Vec<_> = cuts.iter().map(|(_, sector)| sector.clone()).collect();
        sectors.swap(usize::from(*swap) % 8, usize::from(*with) % 8);
        for (place, mask) in flips {
            let place = *place as usize % (8 * 512);
            sectors[place / 512][place % 512] ^= mask;
        }
        let mut recovery = Recovery::new(IDENTITY, LogEnd::default());
        let mut accepted = 0;
        for (epoch, sector) in (1..).zip(&sectors) {
            if let Some(cut) = recovery.take(epoch, sector) {
                assert_eq!(cut, cuts[accepted].0, "only the log as it was written is accepted, in order");
                accepted += 1;
            }
        }
        assert_eq!(recovery.end().epoch, accepted as u64);
        match recovery.finish(None) {
            Ok((end, _)) => assert_eq!(end.epoch, accepted as u64),
            Err(hole) => assert!(hole.epoch == accepted as u64 + 1 && hole.epoch <= hole.proven),
        }
    });
}

/// Any bytes where any good cut may point to.
#[test]
fn a_block_of_any_bytes() {
    let input = inputs!((u16, u128, bool, Vec<u8>), 10);
    input.for_each(|(units, checksum, magic, bytes)| {
        let units = u32::from(*units) % 8_191 + 2;
        let entry = BlockEntry::new(PLACE.stream, units, PLACE.offset, *checksum);
        let mut block = Block::with_size(entry.size());
        let memory = block.memory_mut();
        let size = bytes.len().min(memory.len());
        memory[..size].copy_from_slice(&bytes[..size]);
        if *magic {
            memory[16..20].copy_from_slice(b"AUBK");
        }
        assert!(block.open(&entry, &PLACE).is_err(), "random bytes are no block");
    });
}
