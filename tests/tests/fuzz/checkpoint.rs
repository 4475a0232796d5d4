//! Sheets and manifests of checkpoints: of any bytes, and of good ones with damage.

use auriga_fuzzing::{Flips, damage, inputs};
use auriga_shards::checkpoint::manifest::{Manifest, Part};
use auriga_shards::checkpoint::sheet::{SHEET_SIZE, Sheet, SheetPlace, open_sheet};
use auriga_shards::checkpoint::verify::PartCheck;
use auriga_shards::ledger::Ledger;
use auriga_shards::ledger::saved::SavedKind;
use auriga_shards::limits::STREAMS;
use auriga_shards::log::segment::cut_place;
use auriga_shards::log::{IdMode, Identity};
use auriga_shards::pacer::{Counts, LogEnd};
use auriga_shards::place::{Placement, ShardId};
use auriga_wire::Account;
use xxhash_rust::xxh3::xxh3_128;

const IDENTITY: Identity = Identity { cluster: 7, id_mode: IdMode::Time };
const PLACE: SheetPlace = SheetPlace { epoch: 12, part: 3, number: 2 };

/// A sheet with a few accounts, as a read of the disk brings it; and bytes that are in use.
fn good_sheet() -> (Vec<u8>, usize) {
    let accounts: Vec<Account> = (1..=9).map(|id| Account { id, ..Account::default() }).collect();
    let mut sheet = Sheet::new();
    let records: &[u8] = bytemuck::cast_slice(&accounts);
    assert_eq!(sheet.push(SavedKind::Account, records), records.len());
    sheet.seal(&IDENTITY, &PLACE);
    let mut bytes = sheet.bytes().to_vec();
    bytes.resize(SHEET_SIZE, 0);
    (bytes, 64 + records.len())
}

fn good_manifest() -> Manifest {
    Manifest {
        end: LogEnd { epoch: 12, checksum: 1, time_end: 2, incarnation: 3, expired_through: 4, horizon: 5 },
        newest: (11, 6),
        digest: 7,
        held: Counts { accounts: 8, ids: 9, pendings: 10 },
        ids_from: 3,
        pendings_from: u64::MAX,
        parts: vec![Part::new(1, 4_096, 13), Part::new(2, 8_192, 14)],
        stream_ends: Box::new([4_096; STREAMS]),
    }
}

#[test]
fn a_sheet_of_any_bytes() {
    let (good, used) = good_sheet();
    let (kind, records, _) = open_sheet(&IDENTITY, &PLACE, &good).expect("a good sheet");
    assert_eq!((kind, records.len()), (SavedKind::Account, used - 64));
    inputs!((bool, Flips), 10).for_each(|(resealed, flips)| {
        let mut sheet = good.clone();
        let changed = !flips.is_empty() && damage(&mut sheet[..used], flips);
        if *resealed {
            // Whatever the header says: no panic, and not more records than there are bytes.
            let checksum = xxh3_128(&sheet[16..used]);
            sheet[..16].copy_from_slice(&checksum.to_le_bytes());
            let _ = open_sheet(&IDENTITY, &PLACE, &sheet);
        } else if changed {
            assert!(open_sheet(&IDENTITY, &PLACE, &sheet).is_err(), "damage is noticed");
        }
    });
}

#[test]
fn a_sheet_is_good_in_its_place_only() {
    let (good, _) = good_sheet();
    for place in [
        SheetPlace { epoch: 11, ..PLACE },
        SheetPlace { part: 2, ..PLACE },
        SheetPlace { number: 3, ..PLACE },
    ] {
        assert!(open_sheet(&IDENTITY, &place, &good).is_err(), "{place:?}");
    }
    let other = Identity { cluster: 8, ..IDENTITY };
    assert!(open_sheet(&other, &PLACE, &good).is_err());
}

#[test]
fn a_manifest_of_any_bytes() {
    let manifest = good_manifest();
    let good: Vec<u8> = bytemuck::cast_slice(&manifest.encode(&IDENTITY)).to_vec();
    assert_eq!(Manifest::decode(&IDENTITY, &good), Ok(manifest));
    inputs!((bool, Flips)).for_each(|(resealed, flips)| {
        let mut bytes = good.clone();
        let changed = !flips.is_empty() && damage(&mut bytes, flips);
        if *resealed {
            let checksum = xxh3_128(&bytes[16..]);
            bytes[..16].copy_from_slice(&checksum.to_le_bytes());
            if let Ok(manifest) = Manifest::decode(&IDENTITY, &bytes) {
                let _ = cut_place(manifest.end.epoch);
                assert!((1..=STREAMS).contains(&manifest.parts.len()));
            }
        } else if changed {
            assert!(Manifest::decode(&IDENTITY, &bytes).is_err(), "damage is noticed");
        }
    });
    assert!(Manifest::decode(&IDENTITY, &good[..100]).is_err(), "half a manifest");
}

/// Records of any content, under good checksums: each is put back or refused. What was put back is the state whose digest the
/// reading back gave.
#[test]
fn records_of_any_content() {
    const KINDS: [SavedKind; 4] = [SavedKind::Account, SavedKind::Id, SavedKind::Done, SavedKind::Pending];
    inputs!(Vec<(u8, u8, Vec<u8>)>, 10).for_each(|records| {
        let mut ledger = Ledger::new(Placement::new(1, 0));
        let mut check = PartCheck::new(IDENTITY, PLACE.epoch, PLACE.part);
        let mut refused = 0;
        for (number, (kind, id, bytes)) in (0..).zip(records) {
            let kind = KINDS[usize::from(*kind) % KINDS.len()];
            let mut record = vec![0; kind.size()];
            let size = bytes.len().min(record.len());
            record[..size].copy_from_slice(&bytes[..size]);
            // Few ids, so that records are about each other.
            record[..16].copy_from_slice(&u128::from(*id % 8).to_le_bytes());
            let (mut sheet, place) = (Sheet::new(), SheetPlace { number, ..PLACE });
            assert_eq!(sheet.push(kind, &record), record.len());
            sheet.seal(&IDENTITY, &place);
            let mut sheet = sheet.bytes().to_vec();
            sheet.resize(SHEET_SIZE, 0);
            check.take(&sheet).expect("a good sheet");
            let (_, records, _) = open_sheet(&IDENTITY, &place, &sheet).expect("a good sheet");
            refused += usize::from(ledger.restore(ShardId(0), kind, records).is_err());
        }
        assert!(ledger.accounts.len() + refused <= records.len());
        let _ = ledger.digest();
    });
}
