//! Crashes: what was acknowledged survives, any number of shards reads what another number wrote, and damage of every kind is told
//! apart from an unfinished write. Kills under load are in `faults`.

mod backup;
mod damage;
mod dropped;
mod history;
mod idempotence;
mod recycling;
mod repair;
mod serializable;
mod shards;
mod two_phase;
mod upgrade;
