//! After the load: is the money where the generator's model says? Looks at all of it, or at a sample, and says which.

use crate::args::{RunArgs, Verify};
use crate::arrivals::Arrivals;
use crate::differences::Differences;
use crate::failure::Failure;
use crate::load::Load;
use crate::model::Model;
use crate::phase::connect;
use crate::report::{count, say};
use crate::verify::{self, AccountCheck, Before, Changes, Coverage, TransferCheck};
use crate::workload::LEDGER;
use auriga_wire::{Client, Options};
use std::thread;
use std::time::Instant;

/// Connections and requests in flight that look transfers up after a run: replies of 1 MiB, so a few do.
const VERIFY_CONNECTIONS_MAX: usize = 8;
const VERIFY_IN_FLIGHT: usize = 4;

/// How often transfers are looked up again if the server forgets ids meanwhile.
const ATTEMPTS_MAX: usize = 3;

/// What was found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Verdict {
    /// Whether nothing differs.
    pub is_right: bool,
    /// Whether anything was looked at beside replies, and how many of the transfers.
    pub coverage: Option<Coverage>,
}

/// Compares the ledger with the model and says what was compared.
pub fn verify_money(
    args: &RunArgs,
    options: &Options,
    client: &mut Client,
    before: &Before,
    loads: &mut [Load<'_>],
) -> Result<Verdict, Failure> {
    if args.verify != Verify::None {
        loads.iter_mut().for_each(|load| load.model.sum_up());
    }
    let replies = check_replies(loads);
    if args.verify == Verify::None {
        say("not verified: --verify none");
        let is_right = tell_differences(&[&replies], args.accounts);
        return Ok(Verdict { is_right, coverage: None });
    }
    let models: Vec<&Model> = loads.iter().map(|load| &load.model).collect();
    let accounts = verify::check_accounts(client, before, &models)?;
    let transfers = check_transfers(args, options, client, loads)?;
    let looked_up = loads.iter().map(|load| load.looked_up).sum();
    tell(&accounts, &transfers, looked_up);
    let balanced = accounts.changes.are_equal();
    let differences = [&replies, &accounts.differences, &transfers.differences];
    let is_right = tell_differences(&differences, args.accounts) && balanced;
    Ok(Verdict { is_right, coverage: Some(transfers.coverage) })
}

/// Looks transfers up. Others may write meanwhile, so that the server forgets ids: then what is not found is looked up once more.
fn check_transfers<'a>(
    args: &RunArgs,
    options: &Options,
    client: &mut Client,
    loads: &'a [Load<'_>],
) -> Result<TransferCheck<'a>, Failure> {
    let mut ids_from = ids_from(client)?;
    for attempt in 1.. {
        let check = look_up(args, options, loads, ids_from)?;
        let now_from = self::ids_from(client)?;
        if check.differences.count == 0 || now_from == ids_from || attempt == ATTEMPTS_MAX {
            return Ok(check);
        }
        ids_from = now_from;
    }
    unreachable!("the last attempt returns")
}

/// Transfers with older ids, Unix milliseconds, can't be looked up. With a history that is complete, all can.
fn ids_from(client: &mut Client) -> Result<u64, Failure> {
    let status = client.status(false)?;
    let has_all = status.history_epoch.is_some_and(|epoch| epoch >= status.epoch);
    Ok(if has_all { 0 } else { status.ids_from_ms })
}

/// Looks up those of every worker.
fn look_up<'a>(
    args: &RunArgs,
    options: &Options,
    loads: &'a [Load<'_>],
    ids_from_ms: u64,
) -> Result<TransferCheck<'a>, Failure> {
    let sample = args.verify == Verify::Sample;
    let connections = VERIFY_CONNECTIONS_MAX.min(args.connections as usize).max(usize::from(args.workers));
    let mut drivers = connect(args, options, connections, VERIFY_IN_FLIGHT)?;
    let checks = thread::scope(|scope| {
        let workers: Vec<_> = loads
            .iter()
            .zip(&mut drivers)
            .map(|(load, driver)| {
                let model = &load.model;
                scope.spawn(move || {
                    let mut check = TransferCheck::new(model, sample, ids_from_ms);
                    driver.run(&mut check, &mut Arrivals::unbounded(Instant::now())).map(|()| check)
                })
            })
            .collect();
        let joined = workers.into_iter().map(|worker| worker.join().expect("a worker doesn't panic"));
        joined.collect::<Result<Vec<_>, Failure>>()
    })?;
    let Some(transfers) = checks.into_iter().reduce(|mut sum, part| {
        sum.add(part);
        sum
    }) else {
        unreachable!("there is at least one worker")
    };
    Ok(transfers)
}

/// What was wrong in replies during the load: in answers that contradict each other, and in look-ups.
fn check_replies(loads: &mut [Load<'_>]) -> Differences {
    let mut differences = Differences::default();
    for load in loads {
        differences.add(std::mem::take(&mut load.model.contradictions));
        differences.add(std::mem::take(&mut load.lookup_differences));
    }
    differences
}

/// Says what was verified.
fn tell(accounts: &AccountCheck, transfers: &TransferCheck<'_>, looked_up: u64) {
    let word = |good| if good { "verified" } else { "NOT VERIFIED" };
    let sample = transfers.coverage.words();
    let Changes { debits_posted, credits_posted, debits_pending, credits_pending } = accounts.changes;
    let balanced = accounts.changes.are_equal();
    say(&format!(
        "{}: ledger {LEDGER}: debits {debits_posted} and credits {credits_posted}, pending {debits_pending} and \
         {credits_pending}, of this run {}\n\
         {}: {} of {} accounts hold exactly what the generator's model says\n\
         {}: {} acknowledged transfers found with the right content and timestamp, {} refused ones not found \
         ({sample})",
        word(balanced),
        if balanced { "are equal" } else { "DIFFER" },
        word(accounts.differences.count == 0),
        count(accounts.accounts - accounts.differences.count),
        count(accounts.accounts),
        word(transfers.differences.count == 0),
        count(transfers.acknowledged),
        count(transfers.refused),
    ));
    if looked_up > 0 {
        say(&format!("look-ups during the load found {} records as they must be", count(looked_up)));
    }
}

/// Says what differs; true if nothing does.
fn tell_differences(differences: &[&Differences], accounts: u32) -> bool {
    let count_of_all = differences.iter().map(|differences| differences.count).sum();
    for text in differences.iter().flat_map(|differences| &differences.told) {
        say(&format!("  {text}"));
    }
    if count_of_all > 0 {
        say(&format!(
            "  NOT VERIFIED: {} differences in all; does something else write to accounts 1 to {accounts}?",
            count(count_of_all),
        ));
    }
    count_of_all == 0
}
