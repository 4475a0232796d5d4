//! What the machine looks like, and which CPUs the shards get.
//!
//! Reads a host (`discover`), decides which CPUs run shards (`plan`), keeps that decision in a file
//! (`file`), holds a file against a host (`compare`), shows both (`draw`, `svg`), and puts threads and
//! memory where the file says (`place`). Planning and comparing are pure, so any machine can be tested anywhere.
//!
//! Called at start and by the `topology` commands, never while transfers run. Holds no ledger rule,
//! starts no thread, keeps no state.

mod boxes;
mod compare;
mod compare_disks;
mod discover;
mod disk;
mod draw;
mod error;
mod file;
mod kernel;
mod machine;
mod place;
mod plan;
mod quota;
mod svg;
mod systemd;
#[cfg(test)]
mod test_machines;

pub use compare::{Mismatch, MismatchKind, Severity, compare};
pub use compare_disks::compare_data;
pub use discover::{discover, from_synthetic, from_xml};
pub use disk::disks_of;
pub use draw::draw;
pub use error::{Error, ParseError};
pub use file::{DiskPlace, FORMAT, Housekeeping, ShardPlace, Topology};
pub use machine::{Cache, Cpu, Device, DeviceKind, Distances, HugePages, Machine, Node};
pub use place::{
    MemoryBinding, PageReport, Unavailable, allowed_cpus, bind_memory_to_node, bind_thread_to_cpu,
    pages_on_node,
};
pub use plan::{Plan, SHARDS_MAX, plan};
pub use svg::svg;
pub use systemd::{DropIn, Services, drop_ins};
