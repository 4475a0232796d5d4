//! Records of the store with any bytes: what can't be read is an error, and never a panic. The store below has checksums of its
//! own; what comes through them is looked at here.

use crate::packed::{decode_balances, decode_references, encode_balances, encode_references};
use crate::pendings::Pendings;
use crate::record::decode_page;
use crate::store::{PROGRESS, Store, check_owner};
use crate::sums::Histories;
use crate::{BlockOutcome, Builder, Epoch, Options, Reader};
use auriga_fuzzing::{Flips, damage, inputs};
use auriga_shards::log::block::{Block, Place};
use auriga_wire::frame::{Command, Header, seal};
use auriga_wire::record::{AccountFlags, RECORD_SIZE, TransferFlags};
use auriga_wire::{Account, Filter, FilterFlags, Transfer};
use fjall::{Keyspace, Readable};
use std::panic::{RefUnwindSafe, UnwindSafe};

#[test]
fn references_of_any_bytes() {
    inputs!((u64, Vec<u8>)).for_each(|(first, bytes)| {
        let Some(references) = decode_references(*first, bytes) else { return };
        let mut before = *first;
        for reference in &references {
            assert!(before <= reference.timestamp && reference.page <= reference.timestamp);
            before = reference.timestamp;
        }
        let again = encode_references(*first, references.iter().copied());
        assert_eq!(decode_references(*first, &again), Some(references));
    });
}

#[test]
fn balances_of_any_bytes() {
    inputs!((u64, Vec<u8>)).for_each(|(first, bytes)| {
        let Some(balances) = decode_balances(*first, bytes) else { return };
        let again = encode_balances(*first, &balances);
        assert_eq!(decode_balances(*first, &again), Some(balances));
    });
}

#[test]
fn a_page_of_any_bytes() {
    inputs!(Vec<u8>).for_each(|bytes| {
        let transfers = decode_page::<Transfer>(bytes);
        assert_eq!(transfers.is_some(), bytes.len().is_multiple_of(RECORD_SIZE));
        let _ = decode_page::<Account>(bytes);
    });
}

/// A block with one request.
fn block(command: Command, body: &[u8]) -> Vec<u8> {
    let header = Header::request(command, 1, body.len());
    let mut frame = [bytemuck::bytes_of(&header), body].concat();
    seal(&mut frame);
    let mut block = Block::with_size(RECORD_SIZE + frame.len());
    block.push(&frame);
    block.seal(&Place { cluster: 1, incarnation: 1, epoch: 1, stream: 0, offset: 0 });
    block.bytes().to_vec()
}

/// A history with records of every kind, committed.
fn history(options: &Options) -> Builder {
    let account = |id| Account { id, ledger: 1, code: 1, flags: AccountFlags::HISTORY, ..Account::default() };
    let transfer = |id: u128| Transfer {
        id,
        debit_account_id: 1,
        credit_account_id: 2,
        amount: 10,
        user_data_64: 5,
        ledger: 1,
        code: 1,
        // Some are pending, with a deadline or without.
        flags: if id.is_multiple_of(3) { TransferFlags::PENDING } else { 0 },
        timeout: if id.is_multiple_of(6) { 1_000 } else { 0 },
        ..Transfer::default()
    };
    let mut builder = Builder::open(options).expect("a new directory");
    let accounts = block(Command::CreateAccounts, bytemuck::cast_slice(&[account(1), account(2)]));
    let transfers: Vec<Transfer> = (1..=40).map(transfer).collect();
    let transfers = block(Command::CreateTransfers, bytemuck::cast_slice(&transfers));
    for (number, bytes) in [(1, &accounts), (2, &transfers)] {
        let blocks = [BlockOutcome { base: 0, bytes, refused: &[], amounts: &[] }];
        let time = number * 1_000_000_000;
        let epoch = Epoch { number, checksum: 0, time, expire_through: 0, blocks: &blocks };
        builder.add(&epoch).expect("a good epoch");
    }
    builder.commit().expect("written");
    builder
}

/// An open store, and what it holds by keyspace.
struct Opened {
    store: Store,
    reader: Reader,
    entries: Vec<Vec<(Vec<u8>, Vec<u8>)>>,
}

// Every input leaves the store as it was.
impl UnwindSafe for Opened {}
impl RefUnwindSafe for Opened {}

impl Opened {
    fn new(builder: &Builder) -> Self {
        let store = builder.store().clone();
        let all = |keyspace: &Keyspace| {
            let snapshot = store.snapshot();
            let entries = snapshot.iter(keyspace).map(|entry| entry.into_inner().expect("it can be read"));
            entries.map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
        };
        let entries = store.keyspaces().into_iter().map(all).collect();
        Self { reader: builder.reader(), store, entries }
    }

    /// Everything that is read from a store.
    fn read_all(&self) {
        let Self { store, reader, .. } = self;
        let flags = FilterFlags::SIDES;
        let of_account = Filter { account_id: 1, limit: 100, flags, ..Filter::default() };
        for filter in [of_account, Filter { flags: flags | FilterFlags::REVERSED, ..of_account }] {
            let _ = reader.account_transfers(&filter);
            let _ = reader.account_balances(&filter);
        }
        let of_field = Filter { limit: 100, ledger: 1, ..Filter::default() };
        for filter in [of_field, Filter { user_data_64: 5, ..of_field }, Filter { ledger: 0, ..of_field }] {
            let _ = reader.query_transfers(&filter);
            let _ = reader.query_accounts(&filter);
        }
        for id in 1..=4 {
            let _ = reader.transfer(id);
        }
        let opened = Pendings::open(store, 0);
        let _ = opened.and_then(|mut pendings| pendings.expire(store, u64::MAX).map(|_| ()));
        let _ = Histories::open(store);
    }

    /// Reads everything while a record has another key or value.
    fn read_with(&self, keyspace: u8, number: u16, of_key: bool, cut: u8, flips: &Flips) {
        let at = usize::from(keyspace) % self.entries.len();
        let (keyspace, entries) = (self.store.keyspaces()[at], &self.entries[at]);
        let (key, value) = &entries[usize::from(number) % entries.len()];
        let (mut bad_key, mut bad_value) = (key.clone(), value.clone());
        let bytes = if of_key { &mut bad_key } else { &mut bad_value };
        bytes.truncate(bytes.len().saturating_sub(usize::from(cut % 4)));
        // An open looks at the progress first, see below; and no record has an empty key.
        if key[..] == [PROGRESS] || bytes.is_empty() && of_key {
            return;
        }
        if !bytes.is_empty() {
            damage(bytes, flips);
        }
        keyspace.remove(key.as_slice()).expect("removed");
        keyspace.insert(bad_key.as_slice(), &bad_value).expect("inserted");
        self.read_all();
        keyspace.remove(bad_key.as_slice()).expect("removed");
        for (key, value) in entries.iter().filter(|(other, _)| *other == bad_key || other == key) {
            keyspace.insert(key.as_slice(), value).expect("put back");
        }
    }

    /// Looks at the progress while it is something else.
    fn read_progress(&self, options: &Options, bytes: &[u8]) {
        self.store.state.insert([PROGRESS], bytes).expect("inserted");
        if check_owner(options, &self.store.state).is_ok() {
            self.store.position(&self.store.snapshot()).expect("it can be read").expect("there is one");
        }
    }
}

/// Opens a history in a directory of its own, and removes that in the end.
fn with_history(name: &str, test: impl FnOnce(&Opened, &Options)) {
    let directory = std::env::temp_dir().join(format!("auriga-history-fuzz-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    // Nothing in memory: everything is read from the store.
    let options = Options { recent_bytes: 0, ..Options::new(&directory, 1) };
    let builder = history(&options);
    test(&Opened::new(&builder), &options);
    drop(builder);
    std::fs::remove_dir_all(&directory).expect("removed");
}

#[test]
fn a_store_with_a_damaged_record() {
    with_history("record", |opened, _| {
        assert!(opened.entries.iter().all(|entries| !entries.is_empty()), "there are records of every kind");
        inputs!((u8, u16, bool, u8, Flips), 10).for_each(|(keyspace, number, of_key, cut, flips)| {
            opened.read_with(*keyspace, *number, *of_key, *cut, flips);
        });
    });
}

/// Progress of any bytes: another version, another cluster's, damaged, or good.
#[test]
fn a_store_with_any_progress() {
    with_history("progress", |opened, options| {
        inputs!((bool, Vec<u8>), 10).for_each(|(is_whole, bytes)| {
            let mut bytes = bytes.clone();
            if *is_whole {
                bytes.resize(52, 0);
            }
            opened.read_progress(options, &bytes);
        });
    });
}
