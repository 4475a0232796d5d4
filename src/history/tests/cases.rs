//! Cases that are easy to get wrong, and rare in random logs.

use auriga_history::{
    BlockOutcome, Builder, Epoch, Error, FORMAT_VERSION, Options, Page, RECORDS_EXAMINED_MAX,
};
use auriga_shards::log::block::{Block, Place};
use auriga_wire::frame::{self, Command, Header, REQUEST_RECORDS_MAX};
use auriga_wire::record::{AccountFlags, RECORD_SIZE, TransferFlags};
use auriga_wire::{Account, AccountBalance, Filter, FilterFlags, Transfer};
use std::path::PathBuf;

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_700_000_000 * SECOND;

/// A directory for one test, removed in the end.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("auriga-history-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn options(&self) -> Options {
        Options::new(&self.0, 1)
    }

    fn open(&self) -> Builder {
        Builder::open(&self.options()).expect("it can be opened")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A block with one request. Its first event has unit 2.
fn block(command: Command, body: &[u8]) -> Vec<u8> {
    let header = Header::request(command, 1, body.len());
    let mut frame = [bytemuck::bytes_of(&header), body].concat();
    frame::seal(&mut frame);
    let mut block = Block::with_size(RECORD_SIZE + frame.len());
    block.push(&frame);
    block.seal(&Place { cluster: 1, incarnation: 1, epoch: 1, stream: 0, offset: 0 });
    block.bytes().to_vec()
}

fn add(builder: &mut Builder, number: u64, time: u64, expire_through: u64, bytes: &[u8]) {
    let blocks = [BlockOutcome { base: 0, bytes, refused: &[], amounts: &[] }];
    let epoch = Epoch { number, checksum: 0, time, expire_through, blocks: &blocks };
    builder.add(&epoch).expect("it can be added");
}

fn accounts_with_history() -> Vec<u8> {
    let account = |id| Account { id, ledger: 1, code: 1, flags: AccountFlags::HISTORY, ..Account::default() };
    block(Command::CreateAccounts, bytemuck::cast_slice(&[account(1), account(2)]))
}

fn transfer(id: u128) -> Transfer {
    let accounts = Transfer { debit_account_id: 1, credit_account_id: 2, ..Transfer::default() };
    Transfer { id, amount: 10, ledger: 1, code: 1, ..accounts }
}

fn transfers(transfers: &[Transfer]) -> Vec<u8> {
    block(Command::CreateTransfers, bytemuck::cast_slice(transfers))
}

/// The pending and posted debits of account 1 after its newest transfer.
fn debits(builder: &Builder) -> (u128, u128) {
    let filter = Filter::newest_of(1, 1);
    let page: Page<AccountBalance> = builder.reader().account_balances(&filter).expect("it can be read");
    (page.records[0].debits_pending, page.records[0].debits_posted)
}

/// Whether a pending transfer with a timeout of a second is released when all up to `through` after its deadline are; by
/// a builder that has it in memory or in the store.
fn is_released(test: &str, committed: bool, after_deadline: i64) -> bool {
    let directory = Directory::new(test);
    let mut builder = directory.open();
    add(&mut builder, 1, START, 0, &accounts_with_history());
    let pending = Transfer { flags: TransferFlags::PENDING, timeout: 1, ..transfer(1) };
    let time = START + SECOND;
    add(&mut builder, 2, time, 0, &transfers(&[pending]));
    if committed {
        builder.commit().expect("it can be written");
    }
    let through = (time + 2 + SECOND).checked_add_signed(after_deadline).expect("a time");
    add(&mut builder, 3, through, through, &transfers(&[transfer(2)]));
    add(&mut builder, 4, through + SECOND, through, &transfers(&[transfer(3)]));
    builder.commit().expect("it can be written");
    let (pending, posted) = debits(&builder);
    assert_eq!(posted, 20);
    pending == 0
}

#[test]
fn a_pending_transfer_expires_at_its_deadline_and_not_before() {
    for committed in [false, true] {
        assert!(!is_released("before", committed, -1), "committed: {committed}");
        assert!(is_released("deadline", committed, 0), "committed: {committed}");
        assert!(is_released("after", committed, 1), "committed: {committed}");
    }
}

#[test]
fn an_epoch_that_is_there_is_skipped() {
    let directory = Directory::new("skipped");
    let mut builder = directory.open();
    let bytes = accounts_with_history();
    add(&mut builder, 1, START, 0, &bytes);
    add(&mut builder, 1, START, 0, &bytes);
    assert_eq!(builder.progress().epoch, 0, "nothing is committed yet");
    assert_eq!(builder.persist().expect("it can be written"), 1);
    add(&mut builder, 1, START, 0, &bytes);
    builder.commit().expect("it can be written");
    let filter = Filter { limit: 10, ..Filter::default() };
    let accounts = builder.reader().query_accounts(&filter).expect("it can be read").records;
    assert_eq!(accounts.iter().map(|account| account.id).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(accounts[1].timestamp, START + 3);
    assert_eq!(builder.progress().time, START + 3);
}

/// Who drives it has to know that again, to tell which later epochs change nothing.
#[test]
fn what_has_expired_is_known_after_a_restart() {
    let directory = Directory::new("expired");
    let mut builder = directory.open();
    assert_eq!(builder.expired_through(), 0);
    add(&mut builder, 1, START, START - SECOND, &accounts_with_history());
    assert_eq!(builder.expired_through(), START - SECOND);
    builder.persist().expect("it can be written");
    drop(builder);
    assert_eq!(directory.open().expired_through(), START - SECOND);
}

#[test]
fn another_clusters_directory_is_refused() {
    let directory = Directory::new("cluster");
    drop(directory.open());
    let error = Builder::open(&Options { cluster: 2, ..directory.options() }).expect_err("another cluster");
    assert!(matches!(error, Error::OtherCluster { found: 1, expected: 2, .. }), "{error:?}");
    let message = error.to_string();
    assert!(
        message.contains("cluster 1, expected 2") && message.contains("delete the directory"),
        "{message}"
    );
}

#[test]
fn another_versions_directory_is_refused() {
    let directory = Directory::new("version");
    drop(directory.open());
    {
        let database = fjall::Database::builder(&directory.0).open().expect("it can be opened");
        let state = database.keyspace("state", Default::default).expect("it is there");
        let mut progress = state.get("P").expect("it can be read").expect("it is there").to_vec();
        progress[..4].copy_from_slice(&(FORMAT_VERSION + 1).to_le_bytes());
        progress.push(0);
        state.insert("P", progress).expect("it can be written");
    }
    let error = Builder::open(&directory.options()).expect_err("another version");
    assert!(matches!(error, Error::OtherVersion { expected: FORMAT_VERSION, .. }), "{error:?}");
    assert!(error.to_string().contains("delete the directory"), "{error}");
}

#[test]
fn a_directory_that_is_open_is_refused() {
    let directory = Directory::new("locked");
    let _builder = directory.open();
    let error = Builder::open(&directory.options()).expect_err("it is open");
    assert!(error.to_string().contains("has it open"), "{error}");
}

#[test]
fn a_builder_that_failed_does_nothing_more() {
    let directory = Directory::new("failed");
    let mut builder = directory.open();
    add(&mut builder, 1, START, 0, &accounts_with_history());
    let flags = TransferFlags::POST_PENDING_TRANSFER;
    let bytes = transfers(&[transfer(1), Transfer { flags, pending_id: 7, ..transfer(2) }]);
    let blocks = [BlockOutcome { base: 0, bytes: &bytes, refused: &[], amounts: &[] }];
    let epoch = Epoch { number: 2, checksum: 0, time: START + SECOND, expire_through: 0, blocks: &blocks };
    assert!(matches!(builder.add(&epoch), Err(Error::Damaged { .. })), "nothing to post");
    assert!(matches!(builder.commit(), Err(Error::Failed { .. })));
    assert_eq!(builder.progress().epoch, 0);
}

/// One of many transfers has another code, and all have the same user data, whose list is searched.
#[test]
fn a_question_ends_when_it_has_looked_at_enough() {
    let directory = Directory::new("bound");
    let mut builder = directory.open();
    add(&mut builder, 1, START, 0, &accounts_with_history());
    let (mut number, mut id) = (1, 0);
    while id < 2 * RECORDS_EXAMINED_MAX as u128 {
        let of_epoch: Vec<Transfer> = (id + 1..)
            .take(REQUEST_RECORDS_MAX)
            .map(|id| Transfer { user_data_64: 5, ..transfer(id) })
            .collect();
        let time = START + number * SECOND;
        number += 1;
        id += of_epoch.len() as u128;
        add(&mut builder, number, time, 0, &transfers(&of_epoch));
    }
    let last = Transfer { user_data_64: 5, code: 2, ..transfer(id + 1) };
    add(&mut builder, number + 1, START + number * SECOND, 0, &transfers(&[last]));
    builder.commit().expect("it can be written");

    let mut filter = Filter { user_data_64: 5, code: 2, limit: 10, ..Filter::default() };
    let mut empty_pages = 0;
    let found = loop {
        let page = builder.reader().query_transfers(&filter).expect("it can be read");
        if page.cursor == 0 {
            break page.records;
        }
        assert_eq!(page.records, [], "only the last one has the code");
        empty_pages += 1;
        filter = filter.next(page.cursor);
    };
    assert_eq!(empty_pages, id as usize / RECORDS_EXAMINED_MAX);
    assert_eq!(found.iter().map(|transfer| transfer.id).collect::<Vec<_>>(), [id + 1]);
    filter = Filter { flags: FilterFlags::REVERSED, timestamp_min: 0, limit: 1, ..filter };
    let page = builder.reader().query_transfers(&filter).expect("it can be read");
    assert_eq!(
        (page.records, page.cursor),
        (found, START + (number - 1) * SECOND + 1 + REQUEST_RECORDS_MAX as u64)
    );
}
