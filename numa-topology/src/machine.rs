//! The machine as the planner sees it: CPUs, NUMA nodes, and what this process may use of them.
//!
//! Plain data without a clock, file or system call; `discover` fills it, everything else reads it.

use serde::Serialize;

/// A host as this process sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// False when the description is synthetic or was recorded elsewhere: nothing can be pinned by it.
    pub this_system: bool,
    /// The CPUs that are online, in the order of their numbers.
    pub cpus: Vec<Cpu>,
    /// Numbers of CPUs that exist but are switched off, ascending. Nothing else is known of them.
    pub offline: Vec<u32>,
    /// The NUMA nodes, in the order of their numbers. A host without NUMA has one.
    pub nodes: Vec<Node>,
    /// How far the nodes are from each other, if the firmware tells.
    pub distances: Option<Distances>,
    /// The data and unified caches, by level and then by their lowest CPU.
    pub caches: Vec<Cache>,
    /// Disks and network interfaces, by kind and then by name. Virtual ones (loop, ram, dm, bridges) are
    /// left out, and so is a disk that the kernel shows under several paths (NVMe multipath).
    pub devices: Vec<Device>,
    /// How much CPU time the control groups give this process, in hundredths of a CPU (systemd's
    /// `CPUQuota=250%` is 250); none if they do not limit it.
    pub cpu_quota_percent: Option<u64>,
}

/// One online CPU: what Linux schedules a thread on (an SMT sibling is a CPU of its own).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cpu {
    /// The number Linux gives it (`/proc/cpuinfo`, `taskset`).
    pub id: u32,
    /// Its physical core, numbered through the whole machine; CPUs with the same core are SMT siblings.
    pub core: u32,
    /// Its socket, numbered from 0.
    pub socket: u32,
    /// Linux's number of the NUMA node it belongs to.
    pub node: u32,
    /// The rank of its kind of core among the machine's, 0 for the slowest; 0 for all where there is one
    /// kind or hwloc cannot rank them.
    pub speed: u32,
    /// Whether the affinity mask and the cgroup cpuset let this process run on it.
    pub allowed: bool,
}

/// One NUMA node: memory, usually with CPUs beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    /// The number Linux gives it (`/sys/devices/system/node/nodeN`).
    pub id: u32,
    /// Bytes of memory installed; 0 if there is none or hwloc cannot tell ([`Machine::has_memory`]).
    pub memory_bytes: u64,
    /// Whether the cgroup cpuset lets this process allocate there.
    pub allowed: bool,
    /// The sizes of huge pages that the kernel knows, ascending, also those of which it keeps none.
    pub huge_pages: Vec<HugePages>,
}

/// Huge pages of one size that the kernel keeps on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct HugePages {
    /// Bytes of one page.
    pub bytes: u64,
    /// How many it keeps (`nr_hugepages`), used or not.
    pub count: u64,
}

/// One cache for data, of a CPU or shared by several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cache {
    /// 1 is nearest to the CPU.
    pub level: u32,
    /// Bytes; 0 if hwloc cannot tell.
    pub bytes: u64,
    /// The online CPUs that share it, ascending.
    pub cpus: Vec<u32>,
}

/// A disk or a network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Linux's name of it (`/sys/block`, `/sys/class/net`).
    pub name: String,
    /// What it is.
    pub kind: DeviceKind,
    /// The node it is attached to: the lowest, if it is attached to a socket of several. None if that is
    /// not known; on a machine of one node it always is.
    pub node: Option<u32>,
}

/// What a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// A namespace of an NVMe disk.
    Nvme,
    /// Another block device.
    Disk,
    /// A network interface.
    Network,
}

/// Relative latencies between nodes as the firmware states them; 10 is a node to itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Distances {
    /// The node of each row and column.
    pub nodes: Vec<u32>,
    /// `rows[i][j]`: from `nodes[i]` to `nodes[j]`.
    pub rows: Vec<Vec<u64>>,
}

impl Machine {
    /// The online CPU with this number.
    #[must_use]
    pub fn cpu(&self, id: u32) -> Option<&Cpu> {
        self.cpus.iter().find(|cpu| cpu.id == id)
    }

    /// The node with this number.
    #[must_use]
    pub fn node(&self, id: u32) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// The disks, NVMe first.
    pub fn disks(&self) -> impl Iterator<Item = &Device> {
        self.devices.iter().filter(|device| device.kind != DeviceKind::Network)
    }

    /// The devices that are attached to this node.
    pub fn devices_at(&self, node: u32) -> impl Iterator<Item = &Device> {
        self.devices.iter().filter(move |device| device.node == Some(node))
    }

    /// The socket whose CPUs this node is next to; none for a node without CPUs.
    #[must_use]
    pub fn socket_of(&self, node: u32) -> Option<u32> {
        self.cpus.iter().find(|cpu| cpu.node == node).map(|cpu| cpu.socket)
    }

    /// The CPUs this process may run on, in the order of their numbers.
    pub fn allowed(&self) -> impl Iterator<Item = &Cpu> {
        self.cpus.iter().filter(|cpu| cpu.allowed)
    }

    /// The node that a thread on this CPU takes its memory from: the CPU's own if that has memory and is
    /// allowed, else the nearest that does (the lowest number where distances are equal or unknown).
    ///
    /// `None` if no node has memory that this process may use.
    #[must_use]
    pub fn memory_node(&self, cpu: &Cpu) -> Option<u32> {
        let usable = self.usable_nodes().map(|node| node.id);
        usable.min_by_key(|&id| (id != cpu.node, self.distance(cpu.node, id), id))
    }

    /// The nodes this process can take memory from, in the order of their numbers.
    pub fn usable_nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.allowed && self.has_memory(node))
    }

    /// False for a node that has only CPUs. Where no node's memory is known (a sandbox without
    /// `/sys`), all are taken to have some.
    #[must_use]
    pub fn has_memory(&self, node: &Node) -> bool {
        node.memory_bytes > 0 || self.nodes.iter().all(|node| node.memory_bytes == 0)
    }

    /// The same machine with only these CPUs allowed, of those that were; unknown numbers are ignored.
    #[must_use]
    pub fn with_allowed_cpus(mut self, ids: &[u32]) -> Machine {
        for cpu in &mut self.cpus {
            cpu.allowed = cpu.allowed && ids.contains(&cpu.id);
        }
        self
    }

    /// Unknown is as far as can be.
    fn distance(&self, from: u32, to: u32) -> u64 {
        let known = self.distances.as_ref().and_then(|distances| {
            let index = |id| distances.nodes.iter().position(|&node| node == id);
            distances.rows.get(index(from)?)?.get(index(to)?).copied()
        });
        known.unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::test_machines::{memoryless_node, vm};

    #[test]
    fn memory_comes_from_the_own_node_or_the_nearest_with_memory() {
        let machine = memoryless_node();
        let node_of = |machine: &Machine, cpu: u32| machine.memory_node(machine.cpu(cpu).unwrap());
        assert_eq!(node_of(&machine, 0), Some(0));
        assert_eq!(node_of(&machine, 2), Some(2), "node 1 has no memory and node 2 is nearer than node 0");
        assert_eq!(node_of(&machine, 4), Some(2));

        let mut blind = machine.clone();
        blind.distances = None;
        assert_eq!(node_of(&blind, 2), Some(0), "without distances: the lowest number");

        let mut forbidden = machine;
        forbidden.nodes[2].allowed = false;
        assert_eq!(node_of(&forbidden, 4), Some(0), "the own node is not in the cpuset");
        for node in &mut forbidden.nodes {
            node.allowed = false;
        }
        assert_eq!(node_of(&forbidden, 4), None);
    }

    #[test]
    fn where_no_memory_is_known_every_node_is_taken_to_have_some() {
        let mut machine = memoryless_node();
        for node in &mut machine.nodes {
            node.memory_bytes = 0;
        }
        assert_eq!(machine.memory_node(machine.cpu(2).unwrap()), Some(1));
        assert_eq!(machine.usable_nodes().count(), 3);
    }

    #[test]
    fn restricting_only_ever_takes_away() {
        let machine = vm().with_allowed_cpus(&[1, 77]);
        assert_eq!(machine.allowed().map(|cpu| cpu.id).collect::<Vec<_>>(), [1]);
        assert_eq!(machine.with_allowed_cpus(&[0, 1]).allowed().count(), 1);
    }

    #[test]
    fn a_machine_serialises_with_the_names_of_its_fields() {
        let json = serde_json::to_value(vm()).unwrap();
        let cpu =
            serde_json::json!({"id": 1, "core": 1, "socket": 0, "node": 0, "speed": 0, "allowed": true});
        assert_eq!(json["cpus"][1], cpu);
        assert_eq!(json["offline"], serde_json::json!([]));
        assert_eq!(json["nodes"][0]["id"], 0);
    }
}
