//! What is compared with the truth: the state of shards at rest, and after each life every reply that a client had.

use super::World;
use super::clients::{Answer, Ask, Sent};
use super::machine::Machine;
use super::truth::Truth;
use crate::exact::expected::status;
use auriga_shards::arrival::ConnectionId;
use auriga_shards::place::Position;
use auriga_shards::shard::whole_digest;
use auriga_wire::report::Status;
use auriga_wire::{Account, AlignedBuffer, EventResult, FaultCode, Transfer};
use std::collections::HashMap;
use std::fmt::Debug;

/// Nothing can happen any more: everything must be answered, idle and equal to the model.
pub(crate) fn at_rest(machine: &mut Machine<'_>) -> Result<(), String> {
    let unanswered = machine.world.clients.unanswered().count();
    if unanswered > 0 || !machine.serves() {
        return Err(format!("standstill with {unanswered} requests unanswered\n{}", machine.dump()));
    }
    if !machine.shards.iter().all(|shard| shard.is_idle()) || !machine.is_tidy() {
        return Err(format!("at rest, but not idle, or with a chunk away from home\n{}", machine.dump()));
    }
    read(machine.world)?;
    state(machine)?;
    after(machine)
}

/// The life is over: what its clients were told must be what the log says.
pub(crate) fn after(machine: &mut Machine<'_>) -> Result<(), String> {
    let was_full = machine.keeper.was_full;
    let world = &mut *machine.world;
    read(world)?;
    let sent = world.clients.disconnect(&mut world.rng);
    world.tally.unknown += sent.iter().filter(|s| s.answer.is_none() && s.ask.is_creation()).count() as u64;
    check_limits(world)?;
    check_order(&world.truth, &sent)?;
    for sent in &sent {
        let Some(answer) = &sent.answer else { continue };
        check_answer(world, sent, answer, was_full)?;
    }
    check_look_ups(world, &sent)
}

/// Reads the log. What is new in it must be of this life.
pub(crate) fn read(world: &mut World) -> Result<(), String> {
    let World { truth, disk, clients, .. } = world;
    truth.read(disk, |number| number >= clients.first_number || number > u64::MAX / 2)
}

/// Compares the shards' state with the model's. Nothing may have been logged since the truth was read.
pub(crate) fn state(machine: &Machine<'_>) -> Result<(), String> {
    let (truth, placement) = (&machine.world.truth, machine.placement);
    let mut digest = 0u128;
    for (number, shard) in placement.all().zip(&machine.shards) {
        let ledger = &shard.execution().ledger;
        let is_own = |id: u128| placement.owner(placement.hash(id)) == number;
        let mut accounts: Vec<Account> = ledger.accounts.records().collect();
        accounts.sort_unstable_by_key(|account| account.id);
        let model = truth.model.accounts().values().filter(|account| is_own(account.id));
        compare(format_args!("accounts of shard {number}"), &model.copied().collect(), &accounts)?;
        let mut ids: Vec<_> = ledger.ids.iter().collect();
        ids.sort_unstable();
        let remembered = |id: u128| !truth.model.terms.is_forgotten(id);
        let model = truth.ids.iter().filter(|(id, _)| is_own(**id) && remembered(**id));
        let model = model.map(|(id, position)| (*id, *position, status(&truth.model, *id))).collect();
        compare(format_args!("ids of shard {number}"), &model, &ids)?;
        digest = digest.wrapping_add(ledger.digest());
    }
    compare("the digest", &truth.digest(), &digest)?;
    let whole = truth.epochs.last().map(|epoch| epoch.digest);
    if let ([shard], Some(whole)) = (&machine.shards[..], whole) {
        compare("the digest of the whole", &whole, &shard.digest())?;
    }
    Ok(())
}

/// Nothing that is limited grows beyond its bound.
fn check_limits(world: &World) -> Result<(), String> {
    let World { truth, limits, epochs_given, .. } = world;
    for (number, pair) in truth.epochs.windows(2).enumerate().skip(*epochs_given) {
        let counts = |epoch: &super::truth::Epoch| [epoch.accounts, epoch.ids, epoch.pendings];
        let bounds = [limits.accounts_max, limits.ids_max, limits.pendings_max];
        for ((before, after), max) in counts(&pair[0]).into_iter().zip(counts(&pair[1])).zip(bounds) {
            if after > max && after > before {
                return Err(format!("epoch {} makes {after} of what at most {max} may be", number + 2));
            }
        }
    }
    Ok(())
}

/// A connection's requests are logged in the order in which it sent them, and behind what was answered before.
fn check_order(truth: &Truth, sent: &[Sent]) -> Result<(), String> {
    let mut last: HashMap<ConnectionId, Position> = HashMap::new();
    for sent in sent {
        let Some(logged) = truth.requests.get(&sent.number) else { continue };
        let before = last.insert(sent.connection, logged.position);
        if before.is_some_and(|before| before >= logged.position) {
            return Err(format!("request {} overtook one of its connection", sent.number));
        }
        if logged.timestamp <= sent.told_before
            || truth.epoch_through(sent.told_before) >= logged.position.epoch()
        {
            let what = "is logged in an epoch that was answered before it was sent";
            return Err(format!("request {} {what}: {:?}", sent.number, logged.position));
        }
    }
    Ok(())
}

fn check_answer(world: &mut World, sent: &Sent, answer: &Answer, was_full: bool) -> Result<(), String> {
    let World { truth, tally, .. } = world;
    let logged = truth.requests.get(&sent.number);
    if let Some(code) = answer.status {
        let count = tally.faults.entry(code.name()).or_default();
        *count += 1;
        let fine = match code {
            FaultCode::NotReady => logged.is_none(),
            FaultCode::LogFull => logged.is_none() && was_full && sent.ask.is_creation(),
            FaultCode::LimitReached => logged.is_none() && world.limits.ids_max < u64::from(u32::MAX),
            FaultCode::DamagedData => logged.is_some() == sent.ask.is_creation() && tally.bad_reads > 0,
            _ => false,
        };
        let text = String::from_utf8_lossy(&answer.body);
        return if fine { Ok(()) } else { Err(format!("{sent:?} was refused: {code}, {text}")) };
    }
    if !sent.ask.is_creation() {
        return Ok(());
    }
    let Some(logged) = logged else {
        return Err(format!("an acknowledged request is not in the log: {sent:?}"));
    };
    tally.requests += 1;
    tally.events += (logged.body.len() / size_of::<Account>()) as u64;
    let found: Vec<EventResult> = bytemuck::pod_collect_to_vec(&answer.body);
    let what = format_args!("results of request {} at {:?}", sent.number, logged.position);
    compare(what, &logged.results, &found)?;
    compare(format_args!("timestamp of request {}", sent.number), &logged.timestamp, &answer.timestamp)
}

/// Each look-up must see the state after one epoch: not older than what was answered before it was sent.
fn check_look_ups(world: &mut World, sent: &[Sent]) -> Result<(), String> {
    let World { truth, tally, .. } = world;
    let truth = &*truth;
    let is_look_up = |sent: &Sent| !sent.ask.is_creation();
    let answered = |sent: &'_ Sent| sent.answer.as_ref().is_some_and(|answer| answer.status.is_none());
    let mut look_ups: Vec<(&Sent, &Answer)> = sent
        .iter()
        .filter(|sent| is_look_up(sent) && answered(sent))
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
                let at = |epoch: u64| ids.iter().filter_map(move |id| truth.transfer(*id, epoch));
                (floor..=end).find(|epoch| at(*epoch).eq(&found))
            }
            Ask::Status => {
                // It names the newest epoch with blocks; the seals behind it change nothing.
                let epoch = check_status(truth, &answer.body)?;
                (epoch >= truth.with_blocks(floor)).then(|| epoch.max(floor))
            }
            Ask::Histograms(_) | Ask::Create(_) => Some(floor),
        };
        let Some(epoch) = epoch else {
            return Err(format!(
                "no epoch from {floor} to {end} explains a look-up, which says to be complete through epoch {}: {sent:?}",
                truth.epoch_through(answer.timestamp)
            ));
        };
        tally.look_ups += 1;
        tally.look_ups_behind += u64::from(epoch > floor);
        seen.push(epoch.max(seen[seen.len() - 1]));
    }
    Ok(())
}

/// A status names its epoch; everything in it must be of that epoch.
fn check_status(truth: &Truth, body: &[u8]) -> Result<u64, String> {
    let mut bytes = AlignedBuffer::default();
    bytes.extend_from_slice(body);
    let status = Status::decode(&bytes).map_err(|fault| fault.to_string())?;
    let expected = match status.epoch.checked_sub(1) {
        None => (0, 0, 0, Some(whole_digest(0, (0, 0)))),
        Some(index) => match truth.epochs.get(index as usize) {
            Some(epoch) => {
                if status.ids < epoch.ids || epoch.terms.horizon == 0 && status.ids > epoch.ids {
                    return Err(format!("a status with {} ids, expected {}", status.ids, epoch.ids));
                }
                (epoch.time, epoch.accounts, epoch.pendings, Some(epoch.digest))
            }
            None => return Err(format!("a status of epoch {}, which is not in the log", status.epoch)),
        },
    };
    let found = (status.time_ns, status.accounts, status.pendings, status.digest);
    compare(format_args!("status of epoch {}", status.epoch), &expected, &found)?;
    Ok(status.epoch)
}

fn compare<T: PartialEq + Debug>(
    what: impl std::fmt::Display,
    expected: &T,
    found: &T,
) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    Err(format!("{what}:\n  expected {expected:?}\n  found    {found:?}"))
}
