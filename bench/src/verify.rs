//! Does the ledger hold what it acknowledged? Asks the server for it, record by record, and compares with what the
//! generator knows by itself.

use crate::differences::Differences;
use crate::drive::{Sent, Work};
use crate::failure::Failure;
use crate::model::{Model, Sums};
use crate::report::count;
use crate::workload::account_id;
use auriga_wire::frame::{Command, REQUEST_RECORDS_MAX};
use auriga_wire::{Account, Client, Reply, ReplyBody, RequestFrame, Transfer};
use serde::Serialize;
use std::ops::Range;
use std::time::Instant;

/// A sample looks at one of this many groups of batches, but at `SAMPLE_MIN` of them or more.
const SAMPLE_STRIDE: u64 = 50;
const SAMPLE_MIN: u64 = 100;

/// What an account held before the load.
#[derive(Clone, Copy, Debug, Default)]
pub struct Balances {
    debits_pending: u128,
    debits_posted: u128,
    credits_pending: u128,
    credits_posted: u128,
}

/// Balances of the accounts before the load, by index.
pub type Before = Vec<Balances>;

/// What the look-up of every account found.
#[derive(Debug, Default)]
pub struct AccountCheck {
    /// Accounts that were looked up.
    pub accounts: u64,
    /// What the sums of all of them have changed by since before the load.
    pub changes: Changes,
    /// Accounts that differ from the model.
    pub differences: Differences,
}

/// What the sums of all accounts have changed by. Debits are equal to credits if all is well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Of pending debits.
    pub debits_pending: i128,
    /// Of posted debits.
    pub debits_posted: i128,
    /// Of pending credits.
    pub credits_pending: i128,
    /// Of posted credits.
    pub credits_posted: i128,
}

impl Changes {
    fn add(&mut self, found: &Account, before: &Balances) {
        let change = |found: u128, before: u128| found.wrapping_sub(before) as i128;
        self.debits_pending += change(found.debits_pending, before.debits_pending);
        self.debits_posted += change(found.debits_posted, before.debits_posted);
        self.credits_pending += change(found.credits_pending, before.credits_pending);
        self.credits_posted += change(found.credits_posted, before.credits_posted);
    }

    /// Whether debits are equal to credits, pending and posted.
    pub fn are_equal(&self) -> bool {
        self.debits_pending == self.credits_pending && self.debits_posted == self.credits_posted
    }
}

/// What accounts 1 to `accounts` hold; all must exist.
pub fn balances(client: &mut Client, accounts: u32) -> Result<Before, Failure> {
    let mut before = Vec::with_capacity(accounts as usize);
    each_account(client, 0..accounts, account_id, |index, found| match found {
        Some(Account { debits_pending, debits_posted, credits_pending, credits_posted, .. }) => {
            before.push(Balances { debits_pending, debits_posted, credits_pending, credits_posted });
            Ok(())
        }
        None => {
            let id = account_id(index);
            Err(Failure::Failed(format!("account {id} was just created and is not found")))
        }
    })?;
    Ok(before)
}

impl AccountCheck {
    /// Compares what an account holds with what it held before plus the model's sums.
    fn compare(&mut self, expected: Account, before: &Balances, sums: &Sums, found: Option<Account>) {
        self.accounts += 1;
        // A sum that would fall below 0 wraps to one that no account holds.
        let plus = |before: u128, sum: i64| before.wrapping_add_signed(i128::from(sum));
        let expected = Account {
            debits_pending: plus(before.debits_pending, sums.debits_pending),
            debits_posted: plus(before.debits_posted, sums.debits_posted),
            credits_pending: plus(before.credits_pending, sums.credits_pending),
            credits_posted: plus(before.credits_posted, sums.credits_posted),
            ..expected
        };
        let found = found.unwrap_or_default();
        self.changes.add(&found, before);
        if (Account { timestamp: 0, ..found }) != expected {
            self.differences.note(|| format!("account {}: {}", expected.id, differ(&found, &expected)));
        }
    }
}

/// Looks up every account of the plan, and those that workers have created meanwhile.
pub fn check_accounts(
    client: &mut Client,
    before: &Before,
    models: &[&Model],
) -> Result<AccountCheck, Failure> {
    let mut check = AccountCheck::default();
    let plan = models[0].plan;
    each_account(client, 0..plan.accounts, account_id, |index, found| {
        let mut sums = Sums::default();
        models.iter().for_each(|model| sums.add(&model.sums[index as usize]));
        check.compare(plan.account(0, index), &before[index as usize], &sums, found);
        Ok(())
    })?;
    for Model { worker, sums, created_accounts, refused_accounts, .. } in models {
        let created = plan.accounts..plan.accounts + created_accounts;
        each_account(
            client,
            created,
            |index| plan.account(*worker, index).id,
            |index, found| {
                if !refused_accounts.contains(&index) {
                    let account = plan.account(*worker, index);
                    check.compare(account, &Balances::default(), &sums[index as usize], found);
                } else if let Some(Account { id, .. }) = found {
                    check.differences.note(|| format!("account {id} was refused and is found all the same"));
                }
                Ok(())
            },
        )?;
    }
    Ok(check)
}

fn differ(found: &Account, expected: &Account) -> String {
    if found.id == 0 {
        return "not found".into();
    }
    let words = |account: &Account| {
        let Account { debits_posted, credits_posted, debits_pending, credits_pending, .. } = account;
        format!(
            "debits {debits_posted} and credits {credits_posted}, pending {debits_pending} and {credits_pending}"
        )
    };
    format!("found {}, expected {}", words(found), words(expected))
}

/// Looks these accounts up and shows each, or that it is missing, by index.
fn each_account(
    client: &mut Client,
    indexes: Range<u32>,
    id_of: impl Fn(u32) -> u128,
    mut show: impl FnMut(u32, Option<Account>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for first in indexes.clone().step_by(REQUEST_RECORDS_MAX) {
        let chunk = first..indexes.end.min(first.saturating_add(REQUEST_RECORDS_MAX as u32));
        let ids: Vec<u128> = chunk.clone().map(&id_of).collect();
        let found = client.lookup_accounts(&ids)?;
        let mut found = found.into_iter().peekable();
        for (index, id) in chunk.zip(ids) {
            show(index, found.next_if(|account| account.id == id))?;
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
    model: &'a Model,
    /// Of those that are remembered, the first batch that is looked at.
    from: u64,
    /// Batches that one request looks up.
    group: u64,
    /// Every how many groups one is looked up, and which is next.
    stride: u64,
    next: u64,
    /// Acknowledged transfers that were looked up.
    pub acknowledged: u64,
    /// Refused transfers that were looked up, and must not be there.
    pub refused: u64,
    /// How much was looked at.
    pub coverage: Coverage,
    /// Transfers that differ.
    pub differences: Differences,
}

/// How much of the requests that created transfers was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// All of them.
    pub requests: u64,
    /// Those whose transfers were looked up.
    pub looked_up: u64,
    /// Those that can't be, because the server has forgotten their ids.
    pub forgotten_by_server: u64,
    /// Those that can't be, because the generator had no memory for them.
    pub forgotten_here: u64,
}

impl Coverage {
    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.looked_up += other.looked_up;
        self.forgotten_by_server += other.forgotten_by_server;
        self.forgotten_here += other.forgotten_here;
    }

    /// In words.
    pub fn words(&self) -> String {
        let Self { requests, looked_up, forgotten_by_server, forgotten_here } = *self;
        if looked_up == requests {
            return "all of them".into();
        }
        let share = looked_up as f64 * 100.0 / requests as f64;
        let mut text =
            format!("a sample: {} of {} requests, {share:.1} %", count(looked_up), count(requests));
        if forgotten_by_server > 0 {
            text += &format!(
                "; the ids of {} older ones are forgotten by the server",
                count(forgotten_by_server)
            );
        }
        if forgotten_here > 0 {
            text += &format!("; {} others are not remembered here (--verify-memory)", count(forgotten_here));
        }
        text
    }
}

impl<'a> TransferCheck<'a> {
    /// Looks at all batches that are remembered here, and by the server, or at a sample of them. Ids with a time before `ids_from_ms`
    /// are forgotten by the server.
    pub fn new(model: &'a Model, sample: bool, ids_from_ms: u64) -> Self {
        let group = (REQUEST_RECORDS_MAX as u64 / u64::from(model.plan.sizes.max())).max(1);
        let (sent, remembered) = (model.kept.sent(), model.kept.remembered());
        let from = model.kept.place_from(|number| model.oldest_ms(number) >= ids_from_ms);
        let groups = (remembered - from).div_ceil(group);
        let stride = if sample { (groups / SAMPLE_MIN).clamp(1, SAMPLE_STRIDE) } else { 1 };
        let coverage = Coverage {
            requests: sent,
            looked_up: 0,
            forgotten_by_server: from,
            forgotten_here: sent - remembered,
        };
        let (next, differences) = (fastrand::u64(..stride), Differences::default());
        Self { model, from, group, stride, next, acknowledged: 0, refused: 0, coverage, differences }
    }

    /// The batches of a group.
    fn group(&self, number: u64) -> impl Iterator<Item = u64> + use<'a> {
        let (model, end) = (self.model, self.model.kept.remembered());
        let place = |number: u64| (self.from + number * self.group).min(end);
        (place(number)..place(number + 1)).map(|place| model.kept.number_at(place))
    }

    /// Adds another worker's counts.
    pub fn add(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.coverage.add(&other.coverage);
        self.differences.add(other.differences);
    }

    fn compare_group(&mut self, number: u64, found: &[Transfer]) {
        let mut found = found.iter().peekable();
        for batch in self.group(number) {
            self.coverage.looked_up += 1;
            let (acknowledged, refused) = self.model.compare(batch, &mut found, &mut self.differences);
            self.acknowledged += acknowledged;
            self.refused += refused;
        }
        if let Some(stray) = found.next() {
            self.differences.note(|| format!("a look-up answered transfer {:032x} out of order", stray.id));
        }
    }
}

impl Work for TransferCheck<'_> {
    fn next(&mut self, _: Instant, frame: &mut RequestFrame) -> Option<u64> {
        let number = self.next;
        let size = |batch| self.model.size(batch) as usize;
        let items = self.group(number).map(size).sum();
        if items == 0 {
            return None;
        }
        self.next += self.stride;
        frame.begin(Command::LookupTransfers, items);
        let ids = self.group(number).flat_map(|batch| (self.model.first_id(batch)..).take(size(batch)));
        for (place, id) in frame.records_mut::<u128>().iter_mut().zip(ids) {
            *place = id;
        }
        Some(number)
    }

    fn answered(&mut self, tag: u64, reply: &Reply<'_>, _: Sent, _: Instant) -> Result<bool, Failure> {
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
