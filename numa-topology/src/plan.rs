//! Decides which CPUs run shards and which are left for housekeeping. Pure: the same machine and number
//! of shards always give the same plan.
//!
//! # The rule
//!
//! 1. Only allowed CPUs count, and of these only those with a node to take memory from
//!    ([`Machine::memory_node`]). A core is what SMT siblings share; it counts if one of them does.
//! 2. From four cores on, one core in sixteen, rounded up, is reserved for housekeeping. Reserved cores are
//!    taken one by one from the node that has most left; of those with equally many, from one that a
//!    network interface or an NVMe disk is attached to, because their interrupts are served there, else
//!    from the lowest. On a node the slowest kind of core goes first ([`Cpu::speed`](crate::Cpu::speed)),
//!    then the lowest CPU: Linux puts its own work on CPU 0. With fewer cores none is reserved.
//! 3. By default every core that is not reserved gets one shard, on its lowest CPU.
//! 4. When a number of shards is asked for, CPUs are taken in this order until there are enough: unreserved
//!    cores, reserved cores, SMT siblings of cores that already have a shard. Then the order starts again
//!    and shards share CPUs. Within each step fast kinds of cores come first; then the order is by node and
//!    by CPU, so that few shards stay on few nodes.
//! 5. Shards are numbered node by node, so that neighbours share a node.
//! 6. Housekeeping gets every CPU of the cores without a shard; if there is no such core, the idle SMT
//!    siblings; if there are none either, no CPU of its own.
//!
//! 7. The disks of the file are all whose node is known, NVMe first.
//!
//! Shards on cores of different kinds and a CPU time quota below the number of shards give a warning and no
//! fewer shards. Not considered: caches, and on which node the data directory is.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::error::Error;
use crate::file::{DiskPlace, Housekeeping, ShardPlace, Topology};
use crate::machine::{DeviceKind, Machine};

/// Shards a server can have. Every pair of shards has a ring, so the cost grows with the square.
pub const SHARDS_MAX: usize = 128;

/// Cores below which none is reserved for housekeeping: a third or more of the machine is too much.
const RESERVE_FROM_CORES: usize = 4;

/// Cores for which one is reserved.
const CORES_PER_RESERVED: usize = 16;

const _: () = assert!(CORES_PER_RESERVED >= 2, "shards get most of the cores");
const _: () = assert!(RESERVE_FROM_CORES >= 2, "a reserved core leaves at least one for a shard");

/// A topology for a machine, and what its operator should know about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// What runs where.
    pub topology: Topology,
    /// One line each; empty when there is nothing unusual.
    pub warnings: Vec<String>,
}

/// One physical core, with the CPUs of it that can be used.
struct Core {
    /// Where its threads take memory from.
    node: u32,
    /// Usable CPUs, ascending, at least one.
    cpus: Vec<u32>,
    /// The rank of its kind, 0 for the slowest.
    speed: u32,
    reserved: bool,
}

/// Plans `shards` shards on this machine, or as many as the rule gives it.
///
/// The plan has no [`Severity::Error`](crate::Severity::Error) when compared with the same machine.
///
/// # Errors
///
/// [`Error::ShardCount`] for 0 or more than [`SHARDS_MAX`] shards; [`Error::NothingUsable`] if no CPU can
/// be used.
pub fn plan(machine: &Machine, shards: Option<usize>) -> Result<Plan, Error> {
    if let Some(asked) = shards
        && !(1..=SHARDS_MAX).contains(&asked)
    {
        return Err(Error::ShardCount { asked });
    }
    let mut cores = usable_cores(machine);
    if cores.is_empty() {
        return Err(Error::NothingUsable);
    }
    reserve(&mut cores, &interrupt_nodes(machine));
    let unreserved = cores.iter().filter(|core| !core.reserved).count();
    let count = shards.unwrap_or_else(|| unreserved.min(SHARDS_MAX));
    let places = shard_places(&cores, count);
    let housekeeping = housekeeping_cpus(&cores, &places);

    let mut warnings = machine_warnings(machine);
    if shards.is_none() && unreserved > SHARDS_MAX {
        warnings.push(format!(
            "{unreserved} cores could run shards and {SHARDS_MAX} is the limit: the rest goes to housekeeping"
        ));
    }
    warnings.extend(crowding_warning(&cores, count));
    warnings.extend(speed_warning(machine, &places));
    warnings.extend(quota_warning(machine, count));
    let disks =
        machine.disks().filter_map(|disk| Some(DiskPlace { device: disk.name.clone(), node: disk.node? }));
    let topology = Topology {
        strict: false,
        shards: places,
        disks: disks.collect(),
        housekeeping: Housekeeping { cpus: housekeeping },
    };
    Ok(Plan { topology, warnings })
}

/// The cores shards can run on, by node and then by lowest CPU.
fn usable_cores(machine: &Machine) -> Vec<Core> {
    let mut by_core: BTreeMap<u32, Core> = BTreeMap::new();
    for cpu in machine.allowed() {
        let Some(node) = machine.memory_node(cpu) else {
            continue;
        };
        let core = by_core.entry(cpu.core).or_insert_with(|| Core {
            node,
            cpus: Vec::new(),
            speed: cpu.speed,
            reserved: false,
        });
        core.cpus.push(cpu.id);
    }
    let mut cores: Vec<Core> = by_core.into_values().collect();
    cores.sort_by_key(|core| (core.node, core.cpus[0]));
    cores
}

/// The nodes whose CPUs the interrupts of network interfaces and NVMe disks are near to.
fn interrupt_nodes(machine: &Machine) -> BTreeSet<u32> {
    let devices = machine.devices.iter().filter(|device| device.kind != DeviceKind::Disk);
    devices.filter_map(|device| device.node).collect()
}

/// Marks the cores that rule 2 keeps from shards.
fn reserve(cores: &mut [Core], interrupts: &BTreeSet<u32>) {
    if cores.len() < RESERVE_FROM_CORES {
        return;
    }
    for _ in 0..cores.len().div_ceil(CORES_PER_RESERVED) {
        let mut left: BTreeMap<u32, usize> = BTreeMap::new();
        for core in cores.iter().filter(|core| !core.reserved) {
            *left.entry(core.node).or_default() += 1;
        }
        let fullest =
            left.into_iter().max_by_key(|&(node, cores)| (cores, interrupts.contains(&node), Reverse(node)));
        let Some((node, _)) = fullest else { return };
        let left = cores.iter_mut().filter(|core| !core.reserved && core.node == node);
        if let Some(core) = left.min_by_key(|core| core.speed) {
            core.reserved = true;
        }
    }
}

/// Rules 3 to 5.
fn shard_places(cores: &[Core], count: usize) -> Vec<ShardPlace> {
    let mut fast_first: Vec<&Core> = cores.iter().collect();
    fast_first.sort_by_key(|core| Reverse(core.speed));
    let lowest = |reserved: bool| {
        let cores = fast_first.iter().filter(move |core| core.reserved == reserved);
        cores.map(|core| ShardPlace { cpu: core.cpus[0], node: core.node })
    };
    let mut siblings: Vec<(Reverse<u32>, u32, u32)> = cores
        .iter()
        .flat_map(|core| core.cpus[1..].iter().map(|&cpu| (Reverse(core.speed), core.node, cpu)))
        .collect();
    siblings.sort_unstable();
    let siblings = siblings.into_iter().map(|(_, node, cpu)| ShardPlace { cpu, node });

    let order: Vec<ShardPlace> = lowest(false).chain(lowest(true)).chain(siblings).collect();
    let mut chosen: Vec<(usize, ShardPlace)> =
        (0..count).map(|shard| (shard / order.len(), order[shard % order.len()])).collect();
    chosen.sort_by_key(|&(round, place)| (place.node, round, place.cpu));
    chosen.into_iter().map(|(_, place)| place).collect()
}

/// Rule 6; ascending.
fn housekeeping_cpus(cores: &[Core], places: &[ShardPlace]) -> Vec<u32> {
    let runs_shard = |cpu: &u32| places.iter().any(|place| place.cpu == *cpu);
    let idle_cores = cores.iter().filter(|core| !core.cpus.iter().any(runs_shard));
    let mut cpus: Vec<u32> = idle_cores.flat_map(|core| core.cpus.clone()).collect();
    if cpus.is_empty() {
        let all = cores.iter().flat_map(|core| core.cpus.clone());
        cpus = all.filter(|cpu| !runs_shard(cpu)).collect();
    }
    cpus.sort_unstable();
    cpus
}

/// What the operator should know about the machine, whatever the number of shards.
fn machine_warnings(machine: &Machine) -> Vec<String> {
    let mut warnings = Vec::new();
    let allowed = machine.allowed().count();
    if allowed < machine.cpus.len() {
        warnings.push(format!(
            "{allowed} of {} CPUs are allowed by the affinity mask and the cgroup cpuset: the others are left alone",
            machine.cpus.len()
        ));
    }
    for node in &machine.nodes {
        let own = machine.allowed().filter(|cpu| cpu.node == node.id);
        let other = own.filter_map(|cpu| machine.memory_node(cpu)).find(|&other| other != node.id);
        if let Some(other) = other {
            let why = if machine.has_memory(node) { "is not in the cgroup cpuset" } else { "has no memory" };
            warnings.push(format!("node {} {why}: its CPUs take memory from node {other}", node.id));
        }
    }
    warnings
}

/// What a number of shards above that of the unreserved cores costs; the gravest only.
fn crowding_warning(cores: &[Core], count: usize) -> Option<String> {
    let unreserved = cores.iter().filter(|core| !core.reserved).count();
    let cpus: usize = cores.iter().map(|core| core.cpus.len()).sum();
    if count > cpus {
        Some(format!(
            "{count} shards on {cpus} CPUs: shards share CPUs and must park, which suits tests and not speed"
        ))
    } else if count > cores.len() {
        Some(format!(
            "{count} shards on {} cores: SMT siblings share a core and slow each other down",
            cores.len()
        ))
    } else if count > unreserved {
        Some(format!(
            "{count} shards on {} cores: fewer cores are left for housekeeping than the {} planned",
            cores.len(),
            cores.len() - unreserved
        ))
    } else {
        None
    }
}

/// An epoch is executed by all shards together, so the slowest sets the pace.
fn speed_warning(machine: &Machine, places: &[ShardPlace]) -> Option<String> {
    let speed = |place: &ShardPlace| machine.cpu(place.cpu).map(|cpu| cpu.speed);
    let fastest = places.iter().filter_map(speed).max()?;
    let slow = places.iter().filter(|place| speed(place) < Some(fastest)).count();
    (slow > 0).then(|| {
        format!(
            "{slow} of {} shards are on cores of a slower kind and hold the others up: compare with --shards {}",
            places.len(),
            places.len() - slow
        )
    })
}

fn quota_warning(machine: &Machine, count: usize) -> Option<String> {
    let quota = machine.cpu_quota_percent.filter(|&quota| quota < count as u64 * 100)?;
    Some(format!(
        "{count} shards, and the control group's CPU quota is that of {} CPUs: all shards stand still when it is used \
         up; raise it (systemd CPUQuota=, container --cpus) or use fewer shards",
        hundredths(quota)
    ))
}

/// `250` is `2.50`.
pub(crate) fn hundredths(number: u64) -> String {
    format!("{}.{:02}", number / 100, number % 100)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::compare::{Severity, compare, ranges};
    use crate::test_machines::*;

    /// Machine, shards asked for, CPUs of the shards in order, housekeeping CPUs, part of the warning.
    type Case = (Machine, Option<usize>, &'static str, &'static str, Option<&'static str>);

    fn cases() -> Vec<Case> {
        let siblings = Some("SMT siblings share a core");
        let sharing = Some("shards share CPUs");
        let reserve = Some("fewer cores are left for housekeeping than the 1 planned");
        let restricted = Some("3 of 64 CPUs are allowed");
        let moved = Some("node 1 has no memory: its CPUs take memory from node 2");
        vec![
            (vm(), None, "0-1", "", None),
            (vm(), Some(1), "0", "1", None),
            (vm(), Some(3), "0-1,0", "", sharing),
            (vm(), Some(4), "0-1,0-1", "", sharing),
            (vm_of_siblings(), None, "0", "1", None),
            (vm_of_siblings(), Some(2), "0-1", "", siblings),
            (laptop(), None, "1-3", "0,4", None),
            (laptop(), Some(2), "1-2", "0,3-4,7", None),
            (laptop(), Some(4), "0-3", "4-7", reserve),
            (laptop(), Some(6), "0-5", "6-7", siblings),
            (laptop(), Some(9), "0-7,1", "", sharing),
            (two_by_32(), None, "2-31,34-63", "0-1,32-33,64-65,96-97", None),
            (two_by_32(), Some(31), "2-31,34", "0-1,32-33,35-65,96-97,99-127", None),
            (container(), None, "12-14", "", restricted),
            (eight_nodes(), Some(9), "1-7,9-10", "0,8,11-63", None),
            (memoryless_node(), None, "0-1,3-5", "2", moved),
        ]
    }

    #[test]
    fn the_rule_on_known_machines() {
        for (machine, shards, expected_cpus, expected_housekeeping, warning) in cases() {
            let Plan { topology, warnings } = plan(&machine, shards).unwrap();
            let case = format!("{shards:?} shards, {warnings:?} on {machine:?}");
            assert_eq!(ranges(topology.shards.iter().map(|place| place.cpu)), expected_cpus, "{case}");
            assert_eq!(ranges(topology.housekeeping.cpus.into_iter()), expected_housekeeping, "{case}");
            assert_eq!(warnings.len(), usize::from(warning.is_some()), "{case}");
            if let Some(warning) = warning {
                assert!(warnings[0].contains(warning), "{case}");
            }
        }
    }

    #[test]
    fn big_machines_leave_housekeeping_cores_on_every_node_they_can() {
        for (name, machine, shards, per_node) in [
            ("2x32", two_by_32(), 60, vec![30, 30]),
            ("4x28", four_by_28(), 105, vec![26, 26, 26, 27]),
            ("8 nodes", eight_nodes(), 60, vec![7, 7, 7, 7, 8, 8, 8, 8]),
        ] {
            let plan = plan(&machine, None).unwrap();
            assert_eq!(plan.topology.shards.len(), shards, "{name}");
            assert_eq!(plan.warnings, Vec::<String>::new(), "{name}");
            for (node, count) in (0u32..).zip(per_node) {
                let found = plan.topology.shards.iter().filter(|place| place.node == node).count();
                assert_eq!(found, count, "{name}, node {node}");
            }
            assert!(plan.topology.shards.is_sorted_by_key(|place| place.node), "{name}: node by node");
        }
    }

    #[test]
    fn a_plan_fits_its_machine_whatever_the_number_of_shards() {
        let machines = [
            vm(),
            vm_of_siblings(),
            laptop(),
            two_by_32(),
            four_by_28(),
            eight_nodes(),
            container(),
            memoryless_node(),
        ];
        for machine in machines {
            for shards in (1..=SHARDS_MAX).map(Some).chain([None]) {
                let plan = plan(&machine, shards).unwrap();
                assert_eq!(plan.topology.shards.len(), shards.unwrap_or(plan.topology.shards.len()));
                let found = compare(&machine, &plan.topology);
                let errors: Vec<_> = found.iter().filter(|one| one.severity == Severity::Error).collect();
                assert!(errors.is_empty(), "{shards:?} shards: {errors:?}");
                let crowded = found.iter().any(|one| one.severity == Severity::Warning);
                assert!(!crowded || !plan.warnings.is_empty(), "{shards:?} shards: unannounced {found:?}");
            }
        }
    }

    #[test]
    fn more_cores_than_shards_can_be_are_capped_and_said() {
        let machine = crate::discover::from_synthetic("pack:2 [numa] core:96 pu:1").unwrap();
        let plan = plan(&machine, None).unwrap();
        assert_eq!(plan.topology.shards.len(), SHARDS_MAX);
        assert!(plan.warnings[0].starts_with("180 cores could run shards"), "{:?}", plan.warnings);
        assert_eq!(plan.topology.housekeeping.cpus.len(), 192 - SHARDS_MAX);
    }

    #[test]
    fn a_quota_below_a_cpu_a_shard_is_said() {
        for (quota, expected) in [(None, false), (Some(200), false), (Some(199), true), (Some(0), true)] {
            let machine = Machine { cpu_quota_percent: quota, ..vm() };
            let plan = plan(&machine, None).unwrap();
            assert_eq!(plan.topology.shards.len(), 2, "{quota:?}");
            assert_eq!(plan.warnings.len(), usize::from(expected), "{quota:?}");
            let found = compare(&machine, &plan.topology);
            assert_eq!(found.len(), usize::from(expected), "{quota:?}: {found:?}");
        }
        let machine = Machine { cpu_quota_percent: Some(150), ..vm() };
        assert!(plan(&machine, None).unwrap().warnings[0].contains("CPU quota is that of 1.50 CPUs"));
    }

    #[test]
    fn interrupts_are_near_kept_cores_and_disks_are_listed() {
        // Three nodes of six cores: two cores are kept.
        let machine = crate::discover::from_synthetic("pack:3 [numa(memory=1GiB)] core:6 pu:1").unwrap();
        for (devices, housekeeping) in [
            (&[][..], "0,6"),
            (&[("eth0", DeviceKind::Network, Some(2))], "0,12"),
            (&[("eth0", DeviceKind::Network, None)], "0,6"),
            (&[("sda", DeviceKind::Disk, Some(2))], "0,6"),
            (&[("nvme0n1", DeviceKind::Nvme, Some(1)), ("eth0", DeviceKind::Network, Some(2))], "6,12"),
        ] {
            let machine = with_devices(machine.clone(), devices);
            let topology = plan(&machine, None).unwrap().topology;
            assert_eq!(ranges(topology.housekeeping.cpus.into_iter()), housekeeping, "{devices:?}");
            let disks: Vec<_> = topology.disks.iter().map(|disk| (disk.device.as_str(), disk.node)).collect();
            let known = devices.iter().filter(|(_, kind, _)| *kind != DeviceKind::Network);
            let known: Vec<_> = known.filter_map(|&(name, _, node)| Some((name, node?))).collect();
            assert_eq!(disks, known, "{devices:?}");
        }
    }

    #[test]
    fn slow_cores_are_kept_first_and_run_shards_last() {
        let mut machine = laptop();
        for cpu in machine.cpus.iter_mut().filter(|cpu| [2, 3].contains(&cpu.core)) {
            cpu.speed = 0;
        }
        for cpu in machine.cpus.iter_mut().filter(|cpu| [0, 1].contains(&cpu.core)) {
            cpu.speed = 1;
        }
        for (shards, cpus, warning) in [
            (Some(2), "0-1", None),
            (Some(3), "0-1,3", Some("1 of 3 shards")),
            (None, "0-1,3", Some("1 of 3 shards")),
            (Some(6), "0-5", Some("SMT siblings")),
        ] {
            let plan = plan(&machine, shards).unwrap();
            assert_eq!(ranges(plan.topology.shards.iter().map(|place| place.cpu)), cpus, "{shards:?}");
            let found = plan.warnings.first().map(String::as_str).unwrap_or_default();
            assert_eq!(found.is_empty(), warning.is_none(), "{shards:?}: {found}");
            assert!(found.contains(warning.unwrap_or_default()), "{shards:?}: {found}");
        }
    }

    #[test]
    fn impossible_plans_are_refused() {
        for asked in [0, SHARDS_MAX + 1, usize::MAX] {
            let error = plan(&vm(), Some(asked)).unwrap_err();
            assert!(error.to_string().starts_with(&format!("{asked} shards asked for, expected 1 to 128")));
        }
        let nothing_allowed = vm().with_allowed_cpus(&[]);
        assert!(matches!(plan(&nothing_allowed, None), Err(Error::NothingUsable)));
        let mut no_node = vm();
        no_node.nodes[0].allowed = false;
        assert!(matches!(plan(&no_node, None), Err(Error::NothingUsable)));
    }
}
