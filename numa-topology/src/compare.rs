//! Holds a topology file against a machine and names every mismatch with its fix. Pure.
//!
//! An error means that the server would not start or would not get what the file promises; a warning
//! means that it runs, slower than it could.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::compare_disks::wrong_disk;
use crate::file::Topology;
use crate::machine::{Cpu, Machine};
use crate::plan::hundredths;

/// How much a mismatch matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It runs, slower than it could.
    Warning,
    /// It does not run, or not as the file says.
    Error,
}

/// What sort of mismatch it is, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MismatchKind {
    /// The machine has no CPU of this number. Error.
    CpuAbsent,
    /// The CPU exists and is switched off. Error.
    CpuOffline,
    /// The affinity mask or the cgroup cpuset lacks the CPU. Error.
    CpuNotAllowed,
    /// Two shards on one CPU. Error while a CPU the file could use is idle, else a warning.
    CpuShared,
    /// Two shards on SMT siblings of one core. Warning.
    CoreShared,
    /// Housekeeping on the CPU of a shard. Warning.
    HousekeepingOnShard,
    /// The machine has no node of this number. Error.
    NodeAbsent,
    /// The cgroup cpuset lacks the node. Error.
    NodeNotAllowed,
    /// The node has only CPUs. Error.
    NodeWithoutMemory,
    /// The node is not the one next to the shard's CPU. Error.
    NodeWrong,
    /// The machine has no disk of this name. Error.
    DiskAbsent,
    /// The disk is attached to another node. Warning.
    DiskWrongNode,
    /// The control group's CPU quota is below one CPU a shard. Warning.
    CpuQuotaLow,
    /// The data directory is on a disk that the file does not list. Warning.
    DataOnOtherDisk,
    /// No shard runs on the socket that the data directory's disk is attached to. Warning.
    DiskOnOtherSocket,
}

/// One point in which a file and a machine differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// How much it matters.
    pub severity: Severity,
    /// What sort it is.
    pub kind: MismatchKind,
    /// The entry of the file, such as `shard 3, cpu 40`.
    pub what: String,
    /// What the machine or the rest of the file says about it.
    pub found: String,
    /// What would have been right.
    pub expected: String,
    /// What to do.
    pub fix: String,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mismatch { severity, what, found, expected, fix, .. } = self;
        write!(f, "{severity}: {what}: {found}, expected {expected}; {fix}")
    }
}

/// Every mismatch, in the order of the file: shard by shard, all shards, disks, housekeeping.
#[must_use]
pub fn compare(machine: &Machine, topology: &Topology) -> Vec<Mismatch> {
    let mut mismatches = Vec::new();
    for (shard, place) in topology.shards.iter().enumerate() {
        let cpu_label = format!("shard {shard}, cpu {}", place.cpu);
        match usable_cpu(machine, place.cpu, &cpu_label) {
            Err(mismatch) => {
                mismatches.push(mismatch);
                mismatches.extend(unusable_node(machine, shard, place.node));
            }
            Ok(cpu) => {
                mismatches.extend(shared(machine, topology, shard, cpu, &cpu_label));
                let node = unusable_node(machine, shard, place.node);
                mismatches.extend(node.or_else(|| wrong_node(machine, shard, place.node, cpu)));
            }
        }
    }
    mismatches.extend(quota_low(machine, topology));
    mismatches.extend(topology.disks.iter().filter_map(|disk| wrong_disk(machine, disk)));
    for &id in &topology.housekeeping.cpus {
        let label = format!("housekeeping, cpu {id}");
        match usable_cpu(machine, id, &label) {
            Err(mismatch) => mismatches.push(mismatch),
            Ok(_) => mismatches.extend(housekeeping_on_shard(topology, id, &label)),
        }
    }
    mismatches
}

fn usable_cpu<'m>(machine: &'m Machine, id: u32, what: &str) -> Result<&'m Cpu, Mismatch> {
    let mismatch = |kind, found: String, expected: &str, fix: String| Mismatch {
        severity: Severity::Error,
        kind,
        what: what.to_owned(),
        found,
        expected: expected.to_owned(),
        fix,
    };
    match machine.cpu(id) {
        Some(cpu) if cpu.allowed => Ok(cpu),
        Some(_) => Err(mismatch(
            MismatchKind::CpuNotAllowed,
            "this process may not run there".to_owned(),
            "a CPU in the affinity mask and in the cgroup cpuset",
            format!(
                "use one of {}, or allow it (taskset, systemd CPUAffinity= and AllowedCPUs=, container --cpuset-cpus)",
                ranges(machine.allowed().map(|cpu| cpu.id))
            ),
        )),
        None if machine.offline.contains(&id) => Err(mismatch(
            MismatchKind::CpuOffline,
            "it is offline".to_owned(),
            "an online CPU",
            format!("switch it on (echo 1 > /sys/devices/system/cpu/cpu{id}/online) or use another"),
        )),
        None => Err(mismatch(
            MismatchKind::CpuAbsent,
            format!("the machine has CPUs {}", ranges(machine.cpus.iter().map(|cpu| cpu.id))),
            "one of them",
            format!("use one of {}", ranges(machine.allowed().map(|cpu| cpu.id))),
        )),
    }
}

/// The CPU, or a sibling of it, has an earlier shard.
fn shared(machine: &Machine, topology: &Topology, shard: usize, cpu: &Cpu, what: &str) -> Option<Mismatch> {
    let earlier = &topology.shards[..shard];
    if let Some(first) = earlier.iter().position(|place| place.cpu == cpu.id) {
        let taken: BTreeSet<u32> = topology
            .shards
            .iter()
            .map(|place| place.cpu)
            .chain(topology.housekeeping.cpus.iter().copied())
            .collect();
        let idle = ranges(machine.allowed().map(|cpu| cpu.id).filter(|id| !taken.contains(id)));
        let (severity, fix) = if idle.is_empty() {
            (
                Severity::Warning,
                "use fewer shards, unless this is a test: sharing shards must park".to_owned(),
            )
        } else {
            (Severity::Error, format!("use an idle CPU: {idle}"))
        };
        return Some(Mismatch {
            severity,
            kind: MismatchKind::CpuShared,
            what: what.to_owned(),
            found: format!("shard {first} runs there too"),
            expected: "one shard a CPU".to_owned(),
            fix,
        });
    }
    let core_of = |id: u32| machine.cpu(id).map(|other| other.core);
    let first = earlier.iter().position(|place| core_of(place.cpu) == Some(cpu.core))?;
    Some(Mismatch {
        severity: Severity::Warning,
        kind: MismatchKind::CoreShared,
        what: what.to_owned(),
        found: format!("its SMT sibling, cpu {}, runs shard {first}", topology.shards[first].cpu),
        expected: "one shard a core".to_owned(),
        fix: "use a CPU of another core, or fewer shards".to_owned(),
    })
}

fn unusable_node(machine: &Machine, shard: usize, id: u32) -> Option<Mismatch> {
    let usable = ranges(machine.usable_nodes().map(|node| node.id));
    let (kind, found, expected, fix) = match machine.node(id) {
        None => (
            MismatchKind::NodeAbsent,
            format!("the machine has nodes {}", ranges(machine.nodes.iter().map(|node| node.id))),
            "one of them",
            format!("use one of {usable}"),
        ),
        Some(node) if !machine.has_memory(node) => (
            MismatchKind::NodeWithoutMemory,
            "it has no memory".to_owned(),
            "a node with memory",
            format!("use one of {usable}"),
        ),
        Some(node) if !node.allowed => (
            MismatchKind::NodeNotAllowed,
            "this process may not allocate there".to_owned(),
            "a node in the cgroup cpuset",
            format!(
                "use one of {usable}, or allow it (systemd AllowedMemoryNodes=, container --cpuset-mems)"
            ),
        ),
        Some(_) => return None,
    };
    let what = format!("shard {shard}, node {id}");
    Some(Mismatch { severity: Severity::Error, kind, what, found, expected: expected.to_owned(), fix })
}

fn wrong_node(machine: &Machine, shard: usize, id: u32, cpu: &Cpu) -> Option<Mismatch> {
    let right = machine.memory_node(cpu).filter(|&right| right != id)?;
    Some(Mismatch {
        severity: Severity::Error,
        kind: MismatchKind::NodeWrong,
        what: format!("shard {shard}, node {id}"),
        found: format!("cpu {} belongs to node {}", cpu.id, cpu.node),
        expected: format!("node {right}"),
        fix: format!("write `node = {right}`, or use a CPU of node {id}"),
    })
}

fn housekeeping_on_shard(topology: &Topology, id: u32, what: &str) -> Option<Mismatch> {
    let shard = topology.shards.iter().position(|place| place.cpu == id)?;
    Some(Mismatch {
        severity: Severity::Warning,
        kind: MismatchKind::HousekeepingOnShard,
        what: what.to_owned(),
        found: format!("shard {shard} runs there"),
        expected: "a CPU without a shard".to_owned(),
        fix: "remove it from `housekeeping.cpus`, or the shard from `shards`".to_owned(),
    })
}

fn quota_low(machine: &Machine, topology: &Topology) -> Option<Mismatch> {
    let shards = topology.shards.len();
    let quota = machine.cpu_quota_percent.filter(|&quota| quota < shards as u64 * 100)?;
    Some(Mismatch {
        severity: Severity::Warning,
        kind: MismatchKind::CpuQuotaLow,
        what: format!("shards, {shards} of them"),
        found: format!("the control group's CPU quota is that of {} CPUs", hundredths(quota)),
        expected: "a CPU for each shard".to_owned(),
        fix: "raise it (systemd CPUQuota=, container --cpus) or use fewer shards".to_owned(),
    })
}

/// Ascending numbers as Linux writes them: `0-3,8`.
pub(crate) fn ranges(ids: impl Iterator<Item = u32>) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for id in ids {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == id => *last = id,
            _ => runs.push((id, id)),
        }
    }
    let texts: Vec<String> = runs
        .into_iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
        .collect();
    texts.join(",")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::file::{Housekeeping, ShardPlace};
    use crate::test_machines::{container, laptop, memoryless_node, two_by_32, vm};
    use MismatchKind::*;

    fn topology(shards: &[(u32, u32)], housekeeping: &[u32]) -> Topology {
        Topology {
            strict: false,
            disks: Vec::new(),
            shards: shards.iter().map(|&(cpu, node)| ShardPlace { cpu, node }).collect(),
            housekeeping: Housekeeping { cpus: housekeeping.to_vec() },
        }
    }

    fn offline() -> Machine {
        let mut machine = vm();
        machine.cpus.pop();
        machine.offline = vec![1];
        machine
    }

    fn forbidden_node() -> Machine {
        let mut machine = two_by_32();
        machine.nodes[1].allowed = false;
        machine
    }

    /// Machine, (cpu, node) of each shard, housekeeping CPUs, the whole line expected.
    type Case = (MismatchKind, fn() -> Machine, &'static [(u32, u32)], &'static [u32], &'static str);

    const CASES: &[Case] = &[
        (
            CpuAbsent,
            vm,
            &[(0, 0), (2, 0)],
            &[],
            "error: shard 1, cpu 2: the machine has CPUs 0-1, expected one of them; use one of 0-1",
        ),
        (
            CpuAbsent,
            vm,
            &[(0, 0)],
            &[9],
            "error: housekeeping, cpu 9: the machine has CPUs 0-1, expected one of them; use \
             one of 0-1",
        ),
        (
            CpuOffline,
            offline,
            &[(1, 0)],
            &[],
            "error: shard 0, cpu 1: it is offline, expected an online CPU; switch it on (echo 1 \
             > /sys/devices/system/cpu/cpu1/online) or use another",
        ),
        (
            CpuNotAllowed,
            container,
            &[(0, 0)],
            &[],
            "error: shard 0, cpu 0: this process may not run there, expected a CPU in the \
             affinity mask and in the cgroup cpuset; use one of 12-14, or allow it (taskset, \
             systemd CPUAffinity= and AllowedCPUs=, container --cpuset-cpus)",
        ),
        (
            CpuShared,
            laptop,
            &[(1, 0), (1, 0)],
            &[0],
            "error: shard 1, cpu 1: shard 0 runs there too, expected one shard a CPU; use an \
             idle CPU: 2-7",
        ),
        (
            CpuShared,
            vm,
            &[(0, 0), (1, 0), (1, 0)],
            &[],
            "warning: shard 2, cpu 1: shard 1 runs there too, expected one shard a CPU; use \
             fewer shards, unless this is a test: sharing shards must park",
        ),
        (
            CoreShared,
            laptop,
            &[(1, 0), (5, 0)],
            &[],
            "warning: shard 1, cpu 5: its SMT sibling, cpu 1, runs shard 0, expected one shard \
             a core; use a CPU of another core, or fewer shards",
        ),
        (
            HousekeepingOnShard,
            vm,
            &[(0, 0), (1, 0)],
            &[1],
            "warning: housekeeping, cpu 1: shard 1 runs there, expected a CPU without a shard; \
             remove it from `housekeeping.cpus`, or the shard from `shards`",
        ),
        (
            NodeAbsent,
            two_by_32,
            &[(0, 2)],
            &[],
            "error: shard 0, node 2: the machine has nodes 0-1, expected one of them; use one of 0-1",
        ),
        (
            NodeNotAllowed,
            forbidden_node,
            &[(32, 1)],
            &[],
            "error: shard 0, node 1: this process may not allocate there, expected a node in \
             the cgroup cpuset; use one of 0, or allow it (systemd AllowedMemoryNodes=, \
             container --cpuset-mems)",
        ),
        (
            NodeWithoutMemory,
            memoryless_node,
            &[(2, 1)],
            &[],
            "error: shard 0, node 1: it has no memory, expected a node with memory; use one of 0,2",
        ),
        (
            NodeWrong,
            two_by_32,
            &[(0, 0), (1, 1)],
            &[],
            "error: shard 1, node 1: cpu 1 belongs to node 0, expected node 0; write `node = \
             0`, or use a CPU of node 1",
        ),
        (
            NodeWrong,
            memoryless_node,
            &[(2, 0)],
            &[],
            "error: shard 0, node 0: cpu 2 belongs to node 1, expected node 2; write `node = \
             2`, or use a CPU of node 0",
        ),
    ];

    #[test]
    fn every_kind_of_mismatch_is_one_line_with_its_fix() {
        let mut seen = BTreeSet::new();
        for &(kind, machine, shards, housekeeping, line) in CASES {
            let found = compare(&machine(), &topology(shards, housekeeping));
            let lines: Vec<String> = found.iter().map(Mismatch::to_string).collect();
            assert_eq!(lines, [line], "{kind:?}");
            assert_eq!(found[0].kind, kind);
            seen.insert(kind);
        }
        assert_eq!(seen.len(), 10, "every kind of CPU and node has a case");
    }

    #[test]
    fn one_entry_can_be_wrong_twice_and_the_order_is_that_of_the_file() {
        let found = compare(&vm(), &topology(&[(7, 3), (0, 0), (0, 5)], &[8]));
        let kinds: Vec<MismatchKind> = found.iter().map(|one| one.kind).collect();
        assert_eq!(kinds, [CpuAbsent, NodeAbsent, CpuShared, NodeAbsent, CpuAbsent]);
    }

    #[test]
    fn a_fitting_file_has_no_mismatch() {
        assert_eq!(compare(&vm(), &topology(&[(0, 0), (1, 0)], &[])), []);
        assert_eq!(compare(&two_by_32(), &topology(&[(1, 0), (32, 1)], &[0, 64])), []);
        assert_eq!(compare(&memoryless_node(), &topology(&[(2, 2)], &[])), []);
    }

    #[test]
    fn a_quota_below_a_cpu_a_shard_is_a_warning() {
        let machine = Machine { cpu_quota_percent: Some(150), ..vm() };
        assert_eq!(compare(&machine, &topology(&[(0, 0)], &[])), []);
        let found = compare(&machine, &topology(&[(0, 0), (1, 0)], &[]));
        assert_eq!(found[0].kind, CpuQuotaLow);
        assert_eq!(
            found[0].to_string(),
            "warning: shards, 2 of them: the control group's CPU quota is that of 1.50 CPUs, expected a CPU for each \
             shard; raise it (systemd CPUQuota=, container --cpus) or use fewer shards"
        );
    }

    #[test]
    fn a_mismatch_serialises_for_programs() {
        let found = compare(&vm(), &topology(&[(0, 1)], &[]));
        let json = serde_json::to_value(&found[0]).unwrap();
        let expected = serde_json::json!({
            "severity": "error", "kind": "node_absent", "what": "shard 0, node 1",
            "found": "the machine has nodes 0", "expected": "one of them", "fix": "use one of 0",
        });
        assert_eq!(json, expected);
    }
}
