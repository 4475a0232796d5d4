//! Look-ups see whole states, none older than what was acknowledged: there is one epoch after which everything that an answer
//! says is true, and it is not earlier than any that an answer has shown before the look-up was sent. Questions about the past
//! are answered from what history has, and if they ask for it, with everything acknowledged before.

use super::{Broken, Invariant, broken, compare};
use crate::World;
use crate::clients::{Answer, Ask, Sent};
use crate::history;
use crate::truth::Truth;
use auriga_shards::shard::whole_digest;
use auriga_wire::report::Status;
use auriga_wire::{Account, AlignedBuffer, Command, FilterFlags, Transfer};

/// The look-ups of a life.
pub(crate) fn check(world: &mut World, sent: &[Sent]) -> Result<(), Broken> {
    let World { truth, tally, history, .. } = world;
    let (truth, has_history) = (&*truth, history.is_some());
    let answered = |sent: &'_ Sent| sent.answer.as_ref().is_some_and(|answer| answer.status.is_none());
    let mut look_ups: Vec<(&Sent, &Answer)> = sent
        .iter()
        .filter(|sent| !sent.ask.is_creation() && answered(sent))
        .filter_map(|sent| Some((sent, sent.answer.as_ref()?)))
        .collect();
    look_ups.sort_unstable_by_key(|(_, answer)| answer.look_ups_before);
    // The newest epoch that is known to be seen, after so many look-ups.
    let mut seen = vec![0];
    for (sent, answer) in look_ups {
        let floor = truth.epoch_through(sent.told_before).max(seen[sent.look_ups_before]);
        let end = truth.end.epoch;
        let epoch = match &sent.ask {
            Ask::Accounts(ids) => {
                let found: Vec<Account> = bytemuck::pod_collect_to_vec(&answer.body);
                let floor = floor.max(truth.epoch_through(answer.timestamp));
                let at = |epoch: u64| ids.iter().filter_map(move |id| truth.account(*id, epoch));
                (floor..=end).find(|epoch| at(*epoch).eq(&found))
            }
            Ask::Transfers(ids) => {
                let found: Vec<Transfer> = bytemuck::pod_collect_to_vec(&answer.body);
                let floor = floor.max(truth.epoch_through(answer.timestamp));
                let at = |epoch: u64| {
                    let known = move |id: &&u128| has_history || !truth.is_forgotten(**id, epoch);
                    ids.iter().filter(known).filter_map(move |id| truth.transfer(*id, epoch))
                };
                (floor..=end).find(|epoch| at(*epoch).eq(&found))
            }
            Ask::Status(digest) => match check_status(truth, &answer.body, *digest)? {
                // It names the newest epoch with blocks; the seals behind it change nothing.
                Some(epoch) => (epoch >= truth.with_blocks(floor)).then(|| epoch.max(floor)),
                None => {
                    tally.early_statuses += 1;
                    Some(floor)
                }
            },
            Ask::Past(command, filter) => {
                check_past(truth, sent, *command, filter, answer)?;
                tally.questions += 1;
                Some(seen[sent.look_ups_before])
            }
            Ask::Histograms(_) | Ask::Create(_) => Some(floor),
        };
        let Some(epoch) = epoch else {
            let through = truth.epoch_through(answer.timestamp);
            let what = format!(
                "no epoch from {floor} to {end} explains a look-up, which says to be complete through epoch {through}: {sent:?}"
            );
            return broken(Invariant::LookUps, what);
        };
        tally.look_ups += 1;
        tally.look_ups_behind += u64::from(epoch > floor);
        seen.push(epoch.max(seen[seen.len() - 1]));
    }
    Ok(())
}

/// A status names its epoch, and everything in it must be of that epoch; `None` if it says that it does not serve yet, and then
/// nothing else.
fn check_status(truth: &Truth, body: &[u8], asks_digest: bool) -> Result<Option<u64>, Broken> {
    let mut bytes = AlignedBuffer::default();
    bytes.extend_from_slice(body);
    let status = match Status::decode(&bytes) {
        Ok(status) => status,
        Err(fault) => return broken(Invariant::LookUps, fault.to_string()),
    };
    let (state, expected) =
        (status.state.as_str(), if status.incarnation > 0 { "serving" } else { "replaying" });
    compare(Invariant::LookUps, "state in a status", &expected, &state)?;
    if status.incarnation == 0 {
        let found = (status.accounts, status.ids, status.pendings, asks_digest, status.digest);
        compare(Invariant::LookUps, "status before serving", &(0, 0, 0, false, None), &found)?;
        return Ok(None);
    }
    let number = status.epoch;
    let expected = match (number, truth.epoch(number)) {
        (0, _) => (0, 0, 0, Some(whole_digest(0, (0, 0)))),
        (_, Some(epoch)) => {
            if status.ids < epoch.ids || epoch.terms.horizon == 0 && status.ids > epoch.ids {
                let what = format!("a status with {} ids, expected {}", status.ids, epoch.ids);
                return broken(Invariant::LookUps, what);
            }
            (epoch.cut.time, epoch.accounts, epoch.pendings, Some(epoch.digest))
        }
        (_, None) => {
            return broken(
                Invariant::LookUps,
                format!("a status of epoch {number}, which is not in the log"),
            );
        }
    };
    let (time, accounts, pendings, digest) = expected;
    let expected = (time, accounts, pendings, digest.filter(|_| asks_digest));
    let found = (status.time_ns, status.accounts, status.pendings, status.digest);
    compare(Invariant::LookUps, format_args!("status of epoch {number}"), &expected, &found)?;
    Ok(Some(number))
}

/// A page of an answer about the past: what there was by the time that it names.
fn check_past(
    truth: &Truth,
    sent: &Sent,
    command: Command,
    filter: &auriga_wire::Filter,
    answer: &Answer,
) -> Result<(), Broken> {
    let (through, told) = (truth.epoch_through(answer.timestamp), truth.epoch_through(sent.told_before));
    if filter.is(FilterFlags::ACKNOWLEDGED) && through < told {
        let what = format!("the past through epoch {through}, and epoch {told} was acknowledged: {sent:?}");
        return broken(Invariant::LookUps, what);
    }
    if command == Command::QueryAccounts {
        // Their balances are the present ones, of any epoch since.
        let found: Vec<Account> = bytemuck::pod_collect_to_vec(&answer.body);
        let wanted = history::accounts(truth, filter, answer.timestamp);
        let at = |epoch: u64| wanted.iter().filter_map(move |created| truth.account(created.id, epoch));
        if !(through..=truth.end.epoch).any(|epoch| at(epoch).eq(&found)) {
            return broken(Invariant::LookUps, format!("no epoch explains the accounts of {sent:?}"));
        }
        return Ok(());
    }
    let found: Vec<Transfer> = bytemuck::pod_collect_to_vec(&answer.body);
    let expected = history::transfers(truth, command, filter, answer.timestamp);
    compare(Invariant::LookUps, format_args!("answer to {filter:?}"), &expected, &found)
}
