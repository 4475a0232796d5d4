//! What must hold, one file each, and when it is looked at: after each cut, at each restart, with each reply, at the end.

pub(crate) mod acknowledged;
pub(crate) mod balanced;
pub(crate) mod damage;
pub(crate) mod digests;
pub(crate) mod dropped;
pub(crate) mod limits;
pub(crate) mod look_ups;
pub(crate) mod model;
pub(crate) mod order;
pub(crate) mod progress;
pub(crate) mod refused;
pub(crate) mod time;

use crate::World;
use crate::machine::Machine;
use crate::truth::Coming;
use std::fmt::{self, Debug, Display};

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// Every acknowledged transfer is present exactly once.
    Acknowledged,
    /// What was refused is never present.
    Refused,
    /// Debits equal credits.
    Balanced,
    /// The state is the reference model's at every cut.
    Model,
    /// Digests are equal across restarts.
    Digests,
    /// Damage is detected, and never served.
    Damage,
    /// Dropped epochs never return.
    Dropped,
    /// After the faults have stopped, the engine makes progress.
    Progress,
    /// Requests are logged in the order in which they were sent.
    Order,
    /// Look-ups see whole states, none older than what was acknowledged.
    LookUps,
    /// What is limited stays within its bound.
    Limits,
    /// The log's time runs with the monotonic clock, whatever the wall clock does.
    Time,
    /// The shards ask for what they may: writes where there is room and nothing committed, one flush at a time, rings that
    /// don't overflow; and the log holds what a pacer writes.
    Contract,
}

impl Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Acknowledged => "acknowledged",
            Self::Refused => "refused",
            Self::Balanced => "balanced",
            Self::Model => "model",
            Self::Digests => "digests",
            Self::Damage => "damage",
            Self::Dropped => "dropped",
            Self::Progress => "progress",
            Self::Order => "order",
            Self::LookUps => "look_ups",
            Self::Limits => "limits",
            Self::Time => "time",
            Self::Contract => "contract",
        })
    }
}

/// An invariant that doesn't hold.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) invariant: Invariant,
    pub(crate) what: String,
}

/// The error that an invariant doesn't hold.
pub(crate) fn broken<T>(invariant: Invariant, what: impl Into<String>) -> Result<T, Broken> {
    Err(Broken { invariant, what: what.into() })
}

/// Fails with both if they differ.
pub(crate) fn compare<T: PartialEq + Debug>(
    invariant: Invariant,
    what: impl Display,
    expected: &T,
    found: &T,
) -> Result<(), Broken> {
    if expected == found {
        return Ok(());
    }
    broken(invariant, format!("{what}:\n  expected {expected:?}\n  found    {found:?}"))
}

/// What was promised, refused, seen and dropped, over all lives.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) promised: acknowledged::Promised,
    pub(crate) refused: refused::Refused,
    pub(crate) digests: digests::Digests,
    pub(crate) dropped: dropped::Dropped,
    pub(crate) time: time::Cuts,
}

/// Reads the log. What is new in it must be of this life.
pub(crate) fn read(world: &mut World) -> Result<(), Broken> {
    let World { truth, disk, clients, memory, .. } = world;
    truth.read(disk, |coming| match coming {
        Coming::Cut(cut, checksum) => memory.dropped.check_cut(cut, checksum),
        Coming::Request(number, epoch) => {
            memory.refused.check_request(number, epoch)?;
            memory.dropped.check_request(number, epoch, clients.first_number)
        }
    })
}

/// The life is over: what its clients were told must be what the log says.
pub(crate) fn at_end_of_life(machine: &mut Machine<'_>) -> Result<(), Broken> {
    let was_full = machine.keeper.was_full;
    let world = &mut *machine.world;
    read(world)?;
    let sent = world.clients.disconnect(&mut world.rng);
    world.tally.unknown += sent.iter().filter(|s| s.answer.is_none() && s.ask.is_creation()).count() as u64;
    limits::check(world)?;
    order::check(&world.truth, &sent)?;
    for sent in &sent {
        let Some(answer) = &sent.answer else { continue };
        match answer.status {
            Some(code) => refused::check_whole(world, sent, answer, code, was_full)?,
            None if sent.ask.is_creation() => {
                acknowledged::check(world, sent, answer)?;
                refused::check_events(world, sent, answer)?;
            }
            None => {}
        }
    }
    look_ups::check(world, &sent)?;
    world.memory.promised.check(&world.truth)
}
