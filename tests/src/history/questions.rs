//! Random questions, put to the history and to the list.

use super::Tally;
use super::past::Past;
use auriga_history::{Error, Page, Reader};
use auriga_wire::{Filter, FilterFlags, Transfer};
use fastrand::Rng;
use std::fmt::Debug;

/// Questions of each kind.
const QUESTIONS: usize = 20;

/// Puts questions of every kind, as of a time.
pub(crate) fn ask_all(
    reader: &Reader,
    past: &Past,
    now: u64,
    rng: &mut Rng,
    tally: &mut Tally,
) -> Result<(), String> {
    let mut pages = Pages { now, tally, kind: 0 };
    for _ in 0..QUESTIONS {
        let filter = account_filter(past, rng);
        pages.follow(0, filter, |f| reader.account_transfers(f), |f, now| past.account_transfers(f, now))?;
        let filter = account_filter(past, rng);
        pages.follow(1, filter, |f| reader.account_balances(f), |f, now| past.account_balances(f, now))?;
        let filter = record_filter(past, rng);
        pages.follow(2, filter, |f| reader.query_transfers(f), |f, now| past.query_transfers(f, now))?;
        let filter = record_filter(past, rng);
        pages.follow(3, filter, |f| reader.query_accounts(f), |f, now| past.query_accounts(f, now))?;
    }
    look_up(reader, past, now, tally)
}

/// Looks up every transfer id that the log has ever consumed, and one that it has not.
fn look_up(reader: &Reader, past: &Past, now: u64, tally: &mut Tally) -> Result<(), String> {
    for id in past.model.ids().keys().chain(&[0]) {
        let expected = past.model.transfer(*id).filter(|transfer| transfer.timestamp <= now);
        let found = reader.transfer(*id).map_err(|error| error.to_string())?;
        if expected != found.as_ref() {
            return Err(format!("transfer {id}: expected {expected:?}, found {found:?}"));
        }
        tally.found += u64::from(found.is_some());
    }
    Ok(())
}

struct Pages<'a> {
    now: u64,
    tally: &'a mut Tally,
    kind: usize,
}

impl Pages<'_> {
    /// Asks page by page until there is none, and compares them all together.
    fn follow<T: PartialEq + Debug>(
        &mut self,
        kind: usize,
        filter: Filter,
        ask: impl Fn(&Filter) -> Result<Page<T>, Error>,
        list: impl Fn(&Filter, u64) -> Vec<T>,
    ) -> Result<(), String> {
        self.kind = kind;
        let expected = list(&filter, self.now);
        let (mut found, mut page_filter) = (Vec::new(), filter);
        loop {
            let page = ask(&page_filter).map_err(|error| error.to_string())?;
            let records = page.records.len();
            self.tally.pages[kind] += 1;
            self.tally.records[kind] += records as u64;
            found.extend(page.records);
            if page.cursor == 0 && records <= filter.limit as usize {
                break;
            }
            // The logs are short: there is always time to fill a page.
            if records != filter.limit as usize {
                return Err(format!("{filter:?}: a page of {records} records goes on at {}", page.cursor));
            }
            page_filter = page_filter.next(page.cursor);
        }
        if expected == found {
            return Ok(());
        }
        Err(format!("kind {kind}, {filter:?}:\n  expected {expected:?}\n  found    {found:?}"))
    }
}

/// A question about one account: mostly one that has transfers.
fn account_filter(past: &Past, rng: &mut Rng) -> Filter {
    let filter = record_filter(past, rng);
    let account_id = match example(&past.transfers, rng) {
        Some(transfer) if rng.bool() => transfer.debit_account_id,
        Some(transfer) => transfer.credit_account_id,
        None => 1,
    };
    let sides = rng.u16(1..=FilterFlags::SIDES);
    Filter { account_id, ledger: 0, flags: filter.flags | sides, ..filter }
}

/// A question about the fields and times of what is there, or nearly.
fn record_filter(past: &Past, rng: &mut Rng) -> Filter {
    let like = example(&past.transfers, rng).unwrap_or_default();
    let account = example(&past.accounts, rng).unwrap_or_default();
    let like = if rng.bool() {
        like
    } else {
        Transfer { user_data_128: account.user_data_128, timestamp: account.timestamp, ..like }
    };
    let percent = [0, 20, 60][rng.usize(..3)];
    let mut chance = |percent: u8| rng.u8(..100) < percent;
    let mut filter = Filter::default();
    if chance(percent) {
        filter.user_data_128 = like.user_data_128;
    }
    if chance(percent) {
        filter.user_data_64 = like.user_data_64;
    }
    if chance(percent) {
        filter.user_data_32 = like.user_data_32;
    }
    if chance(percent) {
        filter.code = like.code;
    }
    if chance(percent) {
        filter.ledger = like.ledger;
    }
    if chance(40) {
        filter.flags = FilterFlags::REVERSED;
    }
    let (from, to) = (chance(40), chance(40));
    if from {
        filter.timestamp_min = (like.timestamp + rng.u64(..3)).saturating_sub(1);
    }
    if to {
        let end = example(&past.transfers, rng).unwrap_or_default().timestamp + rng.u64(..3);
        filter.timestamp_max = end.max(filter.timestamp_min);
    }
    filter.limit = [1, 2, 7, 100, 8_190][rng.usize(..5)];
    filter
}

fn example<T: Copy>(records: &[T], rng: &mut Rng) -> Option<T> {
    (!records.is_empty()).then(|| records[rng.usize(..records.len())])
}
