//! Draws a machine and what a topology puts on it, for a terminal. Pure.
//!
//! A box for each socket; in it its nodes, each with the caches that cores share, its devices, and one cell
//! a core; in a cell the core's CPUs and what runs there.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::compare::ranges;
use crate::file::Topology;
use crate::machine::{Cache, Cpu, Device, DeviceKind, Machine};
use crate::plan::hundredths;

/// Columns that cells may take within a box; with the frame the drawing fits 100 columns.
const CELL_COLUMNS_MAX: usize = 94;

/// The drawing, lines ended by `\n`. Without a topology it shows the machine alone.
#[must_use]
pub fn draw(machine: &Machine, topology: Option<&Topology>) -> String {
    let mut lines = vec![summary(machine)];
    let sockets: BTreeSet<u32> = machine.cpus.iter().map(|cpu| cpu.socket).collect();
    let cell_columns = cell_columns(machine, topology);
    for socket in sockets {
        lines.extend(framed(
            &format!("socket {socket}"),
            &socket_lines(machine, topology, socket, cell_columns),
        ));
    }
    lines.extend(beside_the_sockets(machine));
    lines.push(legend(machine, topology));
    lines.join("\n") + "\n"
}

pub(crate) fn summary(machine: &Machine) -> String {
    let count = |number: usize, name: &str| format!("{number} {name}{}", if number == 1 { "" } else { "s" });
    let distinct = |of: fn(&Cpu) -> u32| machine.cpus.iter().map(of).collect::<BTreeSet<u32>>().len();
    format!(
        "{}{}, {}, {}, {}, {} allowed",
        if machine.this_system { "" } else { "not this machine: " },
        count(distinct(|cpu| cpu.socket), "socket"),
        count(machine.nodes.len(), "NUMA node"),
        count(distinct(|cpu| cpu.core), "core"),
        count(machine.cpus.len(), "CPU"),
        machine.allowed().count()
    )
}

/// The nodes of one socket, each a heading and rows of cells.
fn socket_lines(
    machine: &Machine,
    topology: Option<&Topology>,
    socket: u32,
    cell_columns: usize,
) -> Vec<String> {
    let mut nodes: BTreeMap<u32, BTreeMap<u32, Vec<&Cpu>>> = BTreeMap::new();
    for cpu in machine.cpus.iter().filter(|cpu| cpu.socket == socket) {
        nodes.entry(cpu.node).or_default().entry(cpu.core).or_default().push(cpu);
    }
    let per_row = (CELL_COLUMNS_MAX / (cell_columns + 1)).max(1);
    let cpus = |node: Option<u32>| -> BTreeSet<u32> {
        let own = machine.cpus.iter().filter(|cpu| cpu.socket == socket);
        own.filter(|cpu| node.is_none_or(|node| cpu.node == node)).map(|cpu| cpu.id).collect()
    };
    let of_node =
        |cache: &Cache| nodes.keys().any(|&node| cache.cpus.iter().all(|id| cpus(Some(node)).contains(id)));
    let mut lines = cache_lines(machine, &cpus(None), |cache| !of_node(cache));
    for (&node, cores) in &nodes {
        lines.push(node_heading(machine, node));
        let mut below = cache_lines(machine, &cpus(Some(node)), of_node);
        below.extend(wrapped("devices: ", ", ", machine.devices_at(node).map(device_text)));
        lines.extend(below.into_iter().map(|line| format!("  {line}")));
        let cells: Vec<String> =
            cores.values().map(|cpus| format!("{:cell_columns$}", cell(cpus, topology))).collect();
        lines.extend(cells.chunks(per_row).map(|row| format!("  {}", row.join(" ").trim_end())));
    }
    lines
}

pub(crate) fn node_heading(machine: &Machine, id: u32) -> String {
    let Some(node) = machine.node(id) else {
        return format!("node {id}");
    };
    let forbidden = if node.allowed { "" } else { ", not allowed" };
    let memory = match node.memory_bytes {
        0 if machine.has_memory(node) => "memory unknown".to_owned(),
        0 => "no memory".to_owned(),
        bytes => size(bytes),
    };
    let huge = node.huge_pages.iter().filter(|pages| pages.count > 0);
    let huge: Vec<String> = huge.map(|pages| format!("{} x {}", pages.count, size(pages.bytes))).collect();
    let huge = if huge.is_empty() { String::new() } else { format!(", huge pages {}", huge.join(" + ")) };
    format!("node {id}, {memory}{huge}{forbidden}")
}

/// The caches of these CPUs that several cores share and that are asked for, a line each level and size:
/// `L3 2 x 32.0 MiB: 0-7,16-23 | 8-15,24-31`.
fn cache_lines(machine: &Machine, cpus: &BTreeSet<u32>, asked: impl Fn(&Cache) -> bool) -> Vec<String> {
    let core = |id: &u32| machine.cpu(*id).map(|cpu| cpu.core);
    let shared = |cache: &Cache| cache.cpus.iter().map(core).collect::<BTreeSet<_>>().len() > 1;
    let mut alike: BTreeMap<(Reverse<u32>, u64), Vec<String>> = BTreeMap::new();
    for cache in &machine.caches {
        if cache.cpus.iter().any(|id| cpus.contains(id)) && shared(cache) && asked(cache) {
            let key = (Reverse(cache.level), cache.bytes);
            alike.entry(key).or_default().push(ranges(cache.cpus.iter().copied()));
        }
    }
    let lines = alike.into_iter().map(|((Reverse(level), bytes), groups)| {
        let count = if groups.len() > 1 { format!("{} x ", groups.len()) } else { String::new() };
        wrapped(&format!("L{level} {count}{}: ", size(bytes)), " | ", groups.into_iter())
    });
    lines.flatten().collect()
}

fn device_text(device: &Device) -> String {
    let kind = match device.kind {
        DeviceKind::Nvme => "NVMe",
        DeviceKind::Disk => "disk",
        DeviceKind::Network => "network",
    };
    format!("{} ({kind})", device.name)
}

/// The parts behind a heading, in lines that fit; none if there are no parts.
fn wrapped(heading: &str, between: &str, parts: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if line.len() + between.len() + part.len() < CELL_COLUMNS_MAX => {
                line.push_str(between);
                line.push_str(&part);
            }
            Some(_) => lines.push(format!("{:1$}{part}", "", heading.len())),
            None => lines.push(format!("{heading}{part}")),
        }
    }
    lines
}

/// One core: `[0:s0 64:-]`.
fn cell(cpus: &[&Cpu], topology: Option<&Topology>) -> String {
    let cpus: Vec<String> = cpus.iter().map(|cpu| cpu_text(cpu, topology)).collect();
    format!("[{}]", cpus.join(" "))
}

pub(crate) fn cpu_text(cpu: &Cpu, topology: Option<&Topology>) -> String {
    let mut marks: Vec<String> = Vec::new();
    if let Some(topology) = topology {
        let shards = topology.shards.iter().enumerate().filter(|(_, place)| place.cpu == cpu.id);
        marks.extend(shards.map(|(shard, _)| format!("s{shard}")));
        if topology.housekeeping.cpus.contains(&cpu.id) {
            marks.push("h".to_owned());
        }
    }
    if !cpu.allowed {
        marks.push("x".to_owned());
    }
    match (marks.is_empty(), topology) {
        (false, _) => format!("{}:{}", cpu.id, marks.join("+")),
        (true, Some(_)) => format!("{}:-", cpu.id),
        (true, None) => cpu.id.to_string(),
    }
}

fn cell_columns(machine: &Machine, topology: Option<&Topology>) -> usize {
    let mut cores: BTreeMap<u32, Vec<&Cpu>> = BTreeMap::new();
    for cpu in &machine.cpus {
        cores.entry(cpu.core).or_default().push(cpu);
    }
    cores.values().map(|cpus| cell(cpus, topology).len()).max().unwrap_or(0)
}

fn framed(title: &str, lines: &[String]) -> Vec<String> {
    let columns = |text: &str| text.chars().count();
    let inner = lines.iter().map(|line| columns(line)).max().unwrap_or(0).max(columns(title) + 2);
    let mut framed = vec![format!("┌─ {title} {}┐", "─".repeat(inner - columns(title) - 1))];
    framed.extend(lines.iter().map(|line| format!("│ {line}{} │", " ".repeat(inner - columns(line)))));
    framed.push(format!("└{}┘", "─".repeat(inner + 2)));
    framed
}

/// What is in no socket or not known to be in one, and what limits all of them.
fn beside_the_sockets(machine: &Machine) -> Vec<String> {
    let has_cpus = |id: u32| machine.cpus.iter().any(|cpu| cpu.node == id);
    let memory_only = machine.nodes.iter().filter(|node| !has_cpus(node.id));
    let mut lines = Vec::new();
    for node in memory_only {
        lines.push(format!("{}, no CPUs", node_heading(machine, node.id)));
        lines.extend(wrapped("  devices: ", ", ", machine.devices_at(node.id).map(device_text)));
    }
    let unknown = machine.devices.iter().filter(|device| device.node.is_none());
    lines.extend(wrapped("node not known: ", ", ", unknown.map(device_text)));
    if !machine.offline.is_empty() {
        let ids: Vec<String> = machine.offline.iter().map(u32::to_string).collect();
        lines.push(format!("offline CPUs: {}", ids.join(", ")));
    }
    if let Some(quota) = machine.cpu_quota_percent {
        lines.push(format!("CPU quota of the control group: {} CPUs", hundredths(quota)));
    }
    lines
}

fn legend(machine: &Machine, topology: Option<&Topology>) -> String {
    let mut parts = vec!["[core's CPUs]"];
    if let Some(topology) = topology {
        parts.push("sN shard N");
        if topology.housekeeping.cpus.is_empty() {
            parts.push("housekeeping anywhere");
        } else {
            parts.push("h housekeeping");
        }
        parts.push("- idle");
    }
    if machine.allowed().count() < machine.cpus.len() {
        parts.push("x not allowed");
    }
    parts.join("   ")
}

/// Bytes in the unit that people buy memory or caches in.
pub(crate) fn size(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    match bytes {
        0 => "of unknown size".to_owned(),
        1..MIB => format!("{} KiB", bytes / KIB),
        MIB..GIB => format!("{} MiB", bytes / MIB),
        // One decimal, without floating point.
        _ => format!("{}.{} GiB", bytes / GIB, bytes % GIB * 10 / GIB),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::plan::plan;
    use crate::test_machines::{
        container, eight_nodes, four_by_28, laptop, memoryless_node, two_by_32, vm, with_devices,
    };

    #[test]
    fn a_virtual_machine_with_two_shards() {
        let machine = Machine { this_system: true, ..vm() };
        let topology = plan(&machine, None).unwrap().topology;
        let expected = "\
1 socket, 1 NUMA node, 2 cores, 2 CPUs, 2 allowed
┌─ socket 0 ───────┐
│ node 0, 16.0 GiB │
│   [0:s0] [1:s1]  │
└──────────────────┘
[core's CPUs]   sN shard N   housekeeping anywhere   - idle
";
        assert_eq!(draw(&machine, Some(&topology)), expected);
    }

    #[test]
    fn siblings_share_a_cell_and_shards_a_cpu() {
        let topology = plan(&laptop(), Some(9)).unwrap().topology;
        let expected = "\
not this machine: 1 socket, 1 NUMA node, 4 cores, 8 CPUs, 8 allowed
┌─ socket 0 ─────────────────────────────────────────────────┐
│ node 0, 32.0 GiB                                           │
│   [0:s0 4:s4]    [1:s1+s8 5:s5] [2:s2 6:s6]    [3:s3 7:s7] │
└────────────────────────────────────────────────────────────┘
[core's CPUs]   sN shard N   housekeeping anywhere   - idle
";
        assert_eq!(draw(&laptop(), Some(&topology)), expected);
    }

    #[test]
    fn a_machine_alone_shows_what_is_not_allowed_offline_or_without_cpus() {
        let mut machine = memoryless_node().with_allowed_cpus(&[0, 1, 2]);
        machine.cpus.retain(|cpu| cpu.node != 2);
        machine.offline = vec![4, 5];
        let expected = "\
not this machine: 2 sockets, 3 NUMA nodes, 4 cores, 4 CPUs, 3 allowed
┌─ socket 0 ───────┐
│ node 0, 16.0 GiB │
│   [0]   [1]      │
└──────────────────┘
┌─ socket 1 ────────┐
│ node 1, no memory │
│   [2]   [3:x]     │
└───────────────────┘
node 2, 16.0 GiB, no CPUs
offline CPUs: 4, 5
[core's CPUs]   x not allowed
";
        assert_eq!(draw(&machine, None), expected);
    }

    #[test]
    fn what_no_node_has_is_below() {
        let mut machine =
            with_devices(vm(), &[("sda", DeviceKind::Disk, None), ("eth0", DeviceKind::Network, Some(0))]);
        machine.cpu_quota_percent = Some(150);
        let expected = "\
not this machine: 1 socket, 1 NUMA node, 2 cores, 2 CPUs, 2 allowed
┌─ socket 0 ────────────────┐
│ node 0, 16.0 GiB          │
│   devices: eth0 (network) │
│   [0] [1]                 │
└───────────────────────────┘
node not known: sda (disk)
CPU quota of the control group: 1.50 CPUs
[core's CPUs]
";
        assert_eq!(draw(&machine, None), expected);
    }

    #[test]
    fn long_lists_are_broken_where_a_part_ends() {
        let lines = wrapped("devices: ", ", ", (0..12).map(|number| format!("nvme{number}n1 (NVMe)")));
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines.iter().all(|line| line.len() <= CELL_COLUMNS_MAX), "{lines:?}");
        assert!(lines[1].starts_with("         nvme"), "{lines:?}");
    }

    #[test]
    fn big_machines_fit_a_terminal_and_show_every_cpu_once() {
        for machine in [two_by_32(), four_by_28(), eight_nodes(), container()] {
            let topology = plan(&machine, None).unwrap().topology;
            let drawing = draw(&machine, Some(&topology));
            let widest = drawing.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= 100, "{widest} columns:\n{drawing}");
            for cpu in &machine.cpus {
                let text = cpu_text(cpu, Some(&topology));
                let shown = drawing.split(['[', ']', ' ']).filter(|word| *word == text).count();
                assert_eq!(shown, 1, "{text}:\n{drawing}");
            }
        }
    }

    #[test]
    fn sizes_are_what_people_buy() {
        let table = [
            (0, "of unknown size"),
            (48 << 10, "48 KiB"),
            (512 << 20, "512 MiB"),
            (1 << 30, "1.0 GiB"),
            ((47 << 30) / 2, "23.5 GiB"),
        ];
        for (bytes, text) in table {
            assert_eq!(size(bytes), text);
        }
    }
}
