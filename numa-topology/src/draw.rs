//! Draws a machine and what a topology puts on it, for a terminal. Pure.
//!
//! A box for each socket; in it its nodes, each with one cell a core; in a cell the core's CPUs and what
//! runs there.

use std::collections::{BTreeMap, BTreeSet};

use crate::file::Topology;
use crate::machine::{Cpu, Machine};

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

fn summary(machine: &Machine) -> String {
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
    let mut lines = Vec::new();
    for (node, cores) in nodes {
        lines.push(node_heading(machine, node));
        let cells: Vec<String> =
            cores.values().map(|cpus| format!("{:cell_columns$}", cell(cpus, topology))).collect();
        lines.extend(cells.chunks(per_row).map(|row| format!("  {}", row.join(" ").trim_end())));
    }
    lines
}

fn node_heading(machine: &Machine, id: u32) -> String {
    let Some(node) = machine.node(id) else {
        return format!("node {id}");
    };
    let forbidden = if node.allowed { "" } else { ", not allowed" };
    let memory = match node.memory_bytes {
        0 if machine.has_memory(node) => "memory unknown".to_owned(),
        0 => "no memory".to_owned(),
        bytes => size(bytes),
    };
    format!("node {id}, {memory}{forbidden}")
}

/// One core: `[0:s0 64:-]`.
fn cell(cpus: &[&Cpu], topology: Option<&Topology>) -> String {
    let cpus: Vec<String> = cpus.iter().map(|cpu| cpu_text(cpu, topology)).collect();
    format!("[{}]", cpus.join(" "))
}

fn cpu_text(cpu: &Cpu, topology: Option<&Topology>) -> String {
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

/// Nodes without CPUs, and CPUs that are switched off.
fn beside_the_sockets(machine: &Machine) -> Vec<String> {
    let has_cpus = |id: u32| machine.cpus.iter().any(|cpu| cpu.node == id);
    let memory_only = machine.nodes.iter().filter(|node| !has_cpus(node.id));
    let mut lines: Vec<String> =
        memory_only.map(|node| format!("{}, no CPUs", node_heading(machine, node.id))).collect();
    if !machine.offline.is_empty() {
        let ids: Vec<String> = machine.offline.iter().map(u32::to_string).collect();
        lines.push(format!("offline CPUs: {}", ids.join(", ")));
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

/// Bytes in the unit that people buy memory in.
fn size(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    match bytes {
        0..GIB => format!("{} MiB", bytes / MIB),
        // One decimal, without floating point.
        _ => format!("{}.{} GiB", bytes / GIB, bytes % GIB * 10 / GIB),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::plan::plan;
    use crate::test_machines::{container, eight_nodes, four_by_28, laptop, memoryless_node, two_by_32, vm};

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
        let table = [(512 << 20, "512 MiB"), (1 << 30, "1.0 GiB"), ((47 << 30) / 2, "23.5 GiB")];
        for (bytes, text) in table {
            assert_eq!(size(bytes), text);
        }
    }
}
