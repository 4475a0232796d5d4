//! What is compared in a shard's gap after an epoch, right before it begins the next one.

use super::Mismatch;
use super::expected::{Codes, Id, Reserved};
use super::logged::Placed;
use super::shards::Shards;
use crate::random_log::Events;
use auriga_shards::execute::Execution;
use auriga_shards::execute::message::Original;
use auriga_shards::ledger::ids::{Status, check_of, content_hash};
use auriga_shards::ledger::pendings::Pending;
use auriga_shards::ledger::rules::{Rank, compare_transfers};
use auriga_shards::place::ShardId;
use auriga_wire::record::TransferFlags;
use auriga_wire::{Account, AccountCode, Transfer, TransferCode};
use std::collections::BTreeMap;

/// Compares what the shard has after its newest epoch.
pub(crate) fn check(run: &mut Shards<'_>, shard: ShardId) -> Result<(), Mismatch> {
    let epoch = run.executions[shard.index()].plan().number;
    if epoch == 0 {
        return Ok(());
    }
    let (logged, expected) = (run.logged, run.expected);
    let logged_epoch = &logged.epochs[epoch as usize - 1];
    if !logged_epoch.requests.is_empty() {
        check_hops(run, shard, epoch)?;
    }
    for (request, codes) in logged_epoch.requests.iter().zip(&expected.epochs[epoch as usize - 1].codes) {
        if run.placement.stream_owner(request.stream) == shard {
            check_answers(run, shard, epoch, request, codes)?;
        }
    }
    let taken = run.executions[shard.index()].take_own().len();
    let arrived = logged_epoch.cut.blocks.iter();
    let arrived =
        arrived.filter(|b| run.placement.stream_owner(auriga_shards::place::StreamId(b.stream)) == shard);
    run.compare(epoch, format_args!("blocks handed back by shard {shard}"), &arrived.count(), &taken)?;
    check_accounts(run, shard, epoch)?;
    check_ids(run, shard, epoch)?;
    let digest = run.executions[shard.index()].ledger.digest();
    let sum = &mut run.seen[epoch as usize - 1].digest;
    *sum = sum.wrapping_add(digest);
    Ok(())
}

/// Every shard takes the same branch.
fn check_hops(run: &mut Shards<'_>, shard: ShardId, epoch: u64) -> Result<(), Mismatch> {
    let hops = run.executions[shard.index()].hops();
    let all = *run.seen[epoch as usize - 1].hops.get_or_insert(hops);
    run.compare(epoch, format_args!("hops of shard {shard}"), &all, &hops)
}

fn check_answers(
    run: &mut Shards<'_>,
    shard: ShardId,
    epoch: u64,
    request: &Placed,
    codes: &Codes,
) -> Result<(), Mismatch> {
    match (&request.events, codes) {
        (Events::Accounts(accounts), Codes::Accounts(codes)) => {
            run.tally.accounts += codes.len() as u64;
            for ((account, index), code) in accounts.iter().zip(request.indexes()).zip(codes) {
                let rank = run.executions[shard.index()].outcomes.rank(index);
                let found = account_code(rank);
                run.compare(epoch, format_args!("event {index}, {account:?}"), &Ok(*code), &found)?;
                count(&mut run.tally.account_codes, *code);
            }
        }
        (Events::Transfers(transfers), Codes::Transfers(codes)) => {
            run.tally.transfers += codes.len() as u64;
            for ((transfer, index), code) in transfers.iter().zip(request.indexes()).zip(codes) {
                let found = transfer_code(run, shard, transfer, index);
                run.compare(epoch, format_args!("event {index}, {transfer:?}"), &Ok(*code), &found)?;
                if code.is_none() && transfer.flags & TransferFlags::BALANCING != 0 {
                    let moved = run.expected.model.transfer(transfer.id).map(|done| (index, done.amount));
                    let told = run.executions[shard.index()].outcomes.amounts(index, 1).next();
                    run.compare(epoch, format_args!("told amount of {transfer:?}"), &moved, &told)?;
                }
                count(&mut run.tally.transfer_codes, *code);
            }
        }
        _ => unreachable!("a request has answers of its own kind"),
    }
    Ok(())
}

fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, code: Option<K>) {
    if let Some(code) = code {
        *counts.entry(code).or_default() += 1;
    }
}

fn account_code(rank: Rank) -> Result<Option<AccountCode>, String> {
    match (rank, rank.account_code()) {
        (Rank::CREATED, _) => Ok(None),
        (_, Some(code)) => Ok(Some(code)),
        (rank, None) => Err(format!("{rank:?} is no account's")),
    }
}

/// The answer as the reply would have it: how a duplicate differs from its original is read from the log.
fn transfer_code(
    run: &Shards<'_>,
    shard: ShardId,
    transfer: &Transfer,
    index: u16,
) -> Result<Option<TransferCode>, String> {
    let outcomes = &run.executions[shard.index()].outcomes;
    let rank = outcomes.rank(index);
    if rank == Rank::CREATED {
        return Ok(None);
    }
    if rank != Rank::EXISTS {
        return rank.transfer_code().map(Some).ok_or_else(|| format!("{rank:?} is no transfer's"));
    }
    let Original { position, same, check } = outcomes.original(index);
    let Some(original) = run.logged.transfer(position) else {
        return Err(format!("exists, with an original at {position:?}, where no transfer is"));
    };
    if original.id != transfer.id {
        return Err(format!("exists, but {original:?} at {position:?} has another id"));
    }
    let code = compare_transfers(transfer, &original);
    if same != (code == TransferCode::Exists) {
        return Err(format!("{code}, but same content: {same}"));
    }
    if check != check_of(original.id, content_hash(&original)) {
        return Err(format!("exists, with a check that {original:?} doesn't have"));
    }
    Ok(Some(code))
}

fn check_accounts(run: &Shards<'_>, shard: ShardId, epoch: u64) -> Result<(), Mismatch> {
    let mut found: Vec<Account> = run.executions[shard.index()].ledger.accounts.records().collect();
    found.sort_unstable_by_key(|account| account.id);
    let expected = run.expected.epochs[epoch as usize - 1].accounts.iter();
    let expected = expected.filter(|account| is_owner(run, shard, account.id)).copied();
    check_lists(run, epoch, format_args!("accounts of shard {shard}"), expected, found)
}

fn check_ids(run: &Shards<'_>, shard: ShardId, epoch: u64) -> Result<(), Mismatch> {
    let ledger = &run.executions[shard.index()].ledger;
    let mut found: Vec<Id> =
        ledger.ids.iter().map(|(id, position, status)| Id { id, position, status }).collect();
    found.sort_unstable();
    let expected = &run.expected.epochs[epoch as usize - 1];
    let ids = expected.ids.iter().copied().filter(|id| is_owner(run, shard, id.id));
    check_lists(run, epoch, format_args!("ids of shard {shard}"), ids, found)?;
    let mut found: Vec<Reserved> = ledger.pendings.iter().map(reserved).collect();
    found.sort_unstable();
    let pendings = expected.pendings.iter().copied().filter(|pending| is_owner(run, shard, pending.id));
    check_lists(run, epoch, format_args!("pending transfers of shard {shard}"), pendings, found)?;
    for id in expected.ids.iter().filter(|id| is_owner(run, shard, id.id)) {
        let Some(transfer) = run.expected.model.transfer(id.id) else { continue };
        const EXECUTED_OTHERWISE: u16 = TransferFlags::BALANCING | TransferFlags::RESOLVING;
        if transfer.flags & EXECUTED_OTHERWISE != 0 && id.status != Status::Refused {
            let number = ledger.ids.number(run.placement.hash(id.id), id.id);
            let amount = number.and_then(|number| ledger.ids.done(number)).map(|done| done.amount);
            run.compare(epoch, format_args!("amount of {transfer:?}"), &Some(transfer.amount), &amount)?;
        }
    }
    Ok(())
}

fn reserved(pending: &Pending) -> Reserved {
    Reserved {
        id: pending.id,
        debit_account_id: pending.debit_account_id,
        credit_account_id: pending.credit_account_id,
        amount: pending.amount,
    }
}

fn is_owner(run: &Shards<'_>, shard: ShardId, id: u128) -> bool {
    run.placement.owner(run.placement.hash(id)) == shard
}

/// Compares two lists and names the first items that differ.
fn check_lists<T: PartialEq + Copy + std::fmt::Debug>(
    run: &Shards<'_>,
    epoch: u64,
    what: impl std::fmt::Display,
    expected: impl Iterator<Item = T>,
    found: Vec<T>,
) -> Result<(), Mismatch> {
    let mut found = found.into_iter();
    for expected in expected {
        run.compare(epoch, &what, &Some(expected), &found.next())?;
    }
    run.compare(epoch, &what, &None, &found.next())
}

/// On every ledger, debits equal credits.
pub(crate) fn check_sums(run: &Shards<'_>) -> Result<(), Mismatch> {
    let mut sums: BTreeMap<u32, (u128, u128)> = BTreeMap::new();
    for account in run.executions.iter().flat_map(|e: &Execution| e.ledger.accounts.records()) {
        let (debits, credits) = sums.entry(account.ledger).or_default();
        // Several balances near 2^128 add up to more; then the sums are equal modulo 2^128.
        *debits = debits.wrapping_add(account.debits_posted).wrapping_add(account.debits_pending);
        *credits = credits.wrapping_add(account.credits_posted).wrapping_add(account.credits_pending);
    }
    let epochs = run.logged.epochs.len() as u64;
    for (ledger, (debits, credits)) in sums {
        run.compare(epochs, format_args!("debits and credits of ledger {ledger}"), &debits, &credits)?;
    }
    Ok(())
}
