//! Crashes: what was acknowledged survives kill -9, any number of shards reads what another number wrote, and damage
//! of every kind is told apart from an unfinished write.

mod backup;
mod damage;
mod dropped;
mod history;
mod idempotence;
mod kills;
mod log_files;
mod recycling;
mod repair;
mod serializable;
mod shards;
mod two_phase;
mod upgrade;
