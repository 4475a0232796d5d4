//! Does the ledger hold what it acknowledged? Asks the server for it, record by record, and compares with what the
//! generator knows by itself.

use crate::drive::Work;
use crate::failure::Failure;
use crate::load::{BatchState, Load, Sums};
use crate::workload::{CODE, LEDGER, Plan, account_id};
use auriga_wire::frame::{Command, REQUEST_RECORDS_MAX};
use auriga_wire::{Account, Client, Reply, ReplyBody, RequestFrame, Transfer};
use std::iter::Peekable;
use std::ops::Range;
use std::slice::Iter;
use std::time::Instant;

/// Differences that are told in full; the rest is counted.
const TOLD_MAX: usize = 5;

/// Differences between what was found and what was expected.
#[derive(Debug, Default)]
pub struct Differences {
    /// The first of them, in words.
    pub told: Vec<String>,
    /// All of them.
    pub count: u64,
}

impl Differences {
    /// Notes one.
    pub fn note(&mut self, text: impl FnOnce() -> String) {
        self.count += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push(text());
        }
    }

    /// Adds another worker's.
    pub fn add(&mut self, other: Self) {
        self.count += other.count;
        self.told.extend(other.told);
        self.told.truncate(TOLD_MAX);
    }
}

/// A sample looks at one of this many groups of batches, but at `SAMPLE_MIN` of them or more.
const SAMPLE_STRIDE: u64 = 50;
const SAMPLE_MIN: u64 = 100;

/// Balances of the accounts before the load, by index.
pub type Before = Vec<(u128, u128)>;

/// What the look-up of every account found.
#[derive(Debug, Default)]
pub struct AccountCheck {
    /// Accounts that were looked up.
    pub accounts: u64,
    /// Debits of all of them, since before the load; equal to the credits if all is well.
    pub debits: u128,
    /// Credits of all of them, since before the load.
    pub credits: u128,
    /// Accounts that differ from the model.
    pub differences: Differences,
}

/// Posted debits and credits of accounts 1 to `accounts`; all must exist.
pub fn balances(client: &mut Client, accounts: u32) -> Result<Before, Failure> {
    let mut before = Vec::with_capacity(accounts as usize);
    each_account(client, accounts, |index, found| match found {
        Some(account) => {
            before.push((account.debits_posted, account.credits_posted));
            Ok(())
        }
        None => {
            let id = account_id(index);
            Err(Failure::Failed(format!("account {id} was just created and is not found")))
        }
    })?;
    Ok(before)
}

/// Looks up every account and compares it with what it held before plus the model's sums.
pub fn check_accounts(client: &mut Client, before: &Before, sums: &[Sums]) -> Result<AccountCheck, Failure> {
    let mut check = AccountCheck::default();
    each_account(client, sums.len() as u32, |index, found| {
        let (sums, (debits, credits)) = (sums[index as usize], before[index as usize]);
        check.accounts += 1;
        let expected = Account {
            id: account_id(index),
            debits_posted: debits + u128::from(sums.debits),
            credits_posted: credits + u128::from(sums.credits),
            ledger: LEDGER,
            code: CODE,
            ..Account::default()
        };
        let found = found.unwrap_or_default();
        check.debits += found.debits_posted.saturating_sub(debits);
        check.credits += found.credits_posted.saturating_sub(credits);
        if (Account { timestamp: 0, ..found }) != expected {
            check.differences.note(|| format!("account {}: {}", expected.id, differ(&found, &expected)));
        }
        Ok(())
    })?;
    Ok(check)
}

fn differ(found: &Account, expected: &Account) -> String {
    if found.id == 0 {
        return "not found".into();
    }
    format!(
        "found debits {} and credits {}, expected {} and {}; pending {} and {}, expected 0",
        found.debits_posted,
        found.credits_posted,
        expected.debits_posted,
        expected.credits_posted,
        found.debits_pending,
        found.credits_pending
    )
}

/// Looks accounts 1 to `accounts` up and shows each, or that it is missing, by index.
fn each_account(
    client: &mut Client,
    accounts: u32,
    mut show: impl FnMut(u32, Option<Account>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let indexes: Vec<u32> = (0..accounts).collect();
    for chunk in indexes.chunks(REQUEST_RECORDS_MAX) {
        let ids: Vec<u128> = chunk.iter().map(|index| account_id(*index)).collect();
        let found = client.lookup_accounts(&ids)?;
        let mut found = found.into_iter().peekable();
        for (index, id) in chunk.iter().zip(ids) {
            show(*index, found.next_if(|account| account.id == id))?;
        }
        if let Some(stray) = found.next() {
            return Err(Failure::Failed(format!("a look-up answered account {} out of order", stray.id)));
        }
    }
    Ok(())
}

/// Looks up the transfers of one worker, as many batches a request as fit, and compares each transfer.
#[derive(Debug)]
pub struct TransferCheck<'a> {
    load: &'a Load<'a>,
    /// Batches that one request looks up.
    group: u64,
    /// Every how many groups one is looked up, and which is next.
    stride: u64,
    next: u64,
    /// Acknowledged transfers that were looked up.
    pub acknowledged: u64,
    /// Refused transfers that were looked up, and must not be there.
    pub refused: u64,
    /// Batches that were looked up.
    pub batches: u64,
    /// Transfers that differ.
    pub differences: Differences,
}

impl<'a> TransferCheck<'a> {
    /// Looks at all batches or at a sample. The load's refused events must be sorted.
    pub fn new(load: &'a Load<'a>, sample: bool) -> Self {
        let group = (REQUEST_RECORDS_MAX as u64 / u64::from(load.plan.batch)).max(1);
        let groups = (load.batches.len() as u64).div_ceil(group);
        let stride = if sample { (groups / SAMPLE_MIN).clamp(1, SAMPLE_STRIDE) } else { 1 };
        let (next, differences) = (fastrand::u64(..stride), Differences::default());
        Self { load, group, stride, next, acknowledged: 0, refused: 0, batches: 0, differences }
    }

    /// The batches of a group.
    fn group(&self, number: u64) -> Range<u64> {
        let batches = self.load.batches.len() as u64;
        (number * self.group).min(batches)..((number + 1) * self.group).min(batches)
    }

    /// Adds another worker's counts.
    pub fn add(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.batches += other.batches;
        self.differences.add(other.differences);
    }

    fn compare_group(&mut self, number: u64, found: &[Transfer]) {
        let mut found = found.iter().peekable();
        for batch in self.group(number) {
            self.batches += 1;
            self.compare(batch, &mut found);
        }
        if let Some(stray) = found.next() {
            self.differences.note(|| format!("a look-up answered transfer {:032x} out of order", stray.id));
        }
    }

    /// Compares a batch with what was found, which it takes as far as it belongs to the batch.
    fn compare(&mut self, number: u64, found: &mut Peekable<Iter<'_, Transfer>>) {
        let Load { plan, worker, batches, .. } = self.load;
        let batch = batches[number as usize];
        let first_id = plan.first_id(*worker, number, batch.ms);
        let mut refused = self.load.refused_of(number).iter().map(|event| event.index).peekable();
        for (index, draw) in (0..plan.batch).zip(plan.draws(*worker, number)) {
            let id = first_id + u128::from(index);
            let there = found.next_if(|transfer| transfer.id == id);
            let created = batch.state == BatchState::Executed && refused.next_if_eq(&index).is_none();
            let expected =
                Transfer { timestamp: batch.first_timestamp + u64::from(index), ..Plan::transfer(id, draw) };
            let wrong = match (created, there) {
                (true, Some(transfer)) if *transfer == expected => {
                    self.acknowledged += 1;
                    continue;
                }
                (false, None) => {
                    self.refused += 1;
                    continue;
                }
                (true, Some(transfer)) => format!("found {transfer:?}, expected {expected:?}"),
                (true, None) => "was acknowledged and is not found".into(),
                (false, Some(_)) => "was refused and is found all the same".into(),
            };
            self.differences.note(|| format!("transfer {id:032x} {wrong}"));
        }
    }
}

impl Work for TransferCheck<'_> {
    fn next(&mut self, _: Instant, frame: &mut RequestFrame) -> Option<u64> {
        let number = self.next;
        let batches = self.group(number);
        if batches.is_empty() {
            return None;
        }
        self.next += self.stride;
        let Load { plan, worker, .. } = self.load;
        let size = plan.batch as usize;
        frame.begin(Command::LookupTransfers, size * (batches.end - batches.start) as usize);
        for (ids, batch) in frame.records_mut::<u128>().chunks_exact_mut(size).zip(batches) {
            let first_id = plan.first_id(*worker, batch, self.load.batches[batch as usize].ms);
            for (index, id) in ids.iter_mut().enumerate() {
                *id = first_id + index as u128;
            }
        }
        Some(number)
    }

    fn answered(&mut self, tag: u64, reply: &Reply<'_>, _: Instant, _: Instant) -> Result<bool, Failure> {
        match &reply.body {
            ReplyBody::Transfers(found) => {
                self.compare_group(tag, found);
                Ok(true)
            }
            ReplyBody::Refused(fault) => Err(Failure::Failed(format!("a look-up was refused: {fault}"))),
            other => Err(Failure::Failed(format!("expected transfers, found {other:?}"))),
        }
    }
}
