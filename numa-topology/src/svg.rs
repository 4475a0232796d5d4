//! Draws a machine and what a topology puts on it, as an SVG image. Pure.
//!
//! Boxes in boxes: the page, its sockets, their nodes, in a node the caches that several cores share, the
//! cores, in a core its CPUs with a colour for what runs there. Disks and network interfaces are in the box
//! of their node. What is in which box is decided here, where it comes to lie in `boxes`.

use std::collections::{BTreeMap, BTreeSet};

use crate::boxes::{Block, Colour, render, text_px};
use crate::compare::ranges;
use crate::draw::{cpu_text, node_heading, size, summary};
use crate::file::Topology;
use crate::machine::{Cache, Cpu, Device, DeviceKind, Machine};

/// Cores beside each other, at most.
const CORES_PER_ROW: u32 = 8;
/// Pixels that caches and nodes beside each other take, at most, unless one alone is wider.
const ROW_PX_MAX: u32 = 1_600;

/// One core's number and its CPUs.
type Core<'m> = (u32, Vec<&'m Cpu>);

struct Drawing<'m> {
    machine: &'m Machine,
    topology: &'m Topology,
    /// Columns of the longest CPU's text.
    cpu_columns: usize,
}

/// The image, a whole SVG file.
#[must_use]
pub fn svg(machine: &Machine, topology: &Topology) -> String {
    let columns = machine.cpus.iter().map(|cpu| cpu_text(cpu, Some(topology)).len());
    // A core's heading needs room, too.
    let cpu_columns = columns.chain([8]).max().unwrap_or(0);
    let drawing = Drawing { machine, topology, cpu_columns };
    let sockets: BTreeSet<u32> = machine.cpus.iter().map(|cpu| cpu.socket).collect();
    let sockets = sockets.into_iter().map(|socket| drawing.socket(socket)).collect();
    let mut page = Block::new("page", Colour::Page, vec![summary(machine)]);
    page.rows = vec![sockets, drawing.beside_the_sockets(), drawing.distances(), drawing.legend()];
    page.row_px_max = ROW_PX_MAX;
    render(page, &summary(machine))
}

impl Drawing<'_> {
    fn socket(&self, socket: u32) -> Block {
        let cpus = || self.machine.cpus.iter().filter(|cpu| cpu.socket == socket);
        let nodes: BTreeSet<u32> = cpus().map(|cpu| cpu.node).collect();
        let mut heading = vec![format!("socket {socket}")];
        for cache in &self.machine.caches {
            let of: BTreeSet<u32> =
                cpus().filter(|cpu| cache.cpus.contains(&cpu.id)).map(|cpu| cpu.node).collect();
            if of.len() > 1 {
                heading.push(format!("{}: CPUs {}", cache_text(cache), ranges(cache.cpus.iter().copied())));
            }
        }
        let mut block = Block::new("socket", Colour::Socket, heading);
        block.rows = vec![nodes.into_iter().map(|node| self.node(socket, node)).collect()];
        block.row_px_max = ROW_PX_MAX;
        block
    }

    fn node(&self, socket: u32, node: u32) -> Block {
        let mut cores: BTreeMap<u32, Vec<&Cpu>> = BTreeMap::new();
        for cpu in self.machine.cpus.iter().filter(|cpu| (cpu.socket, cpu.node) == (socket, node)) {
            cores.entry(cpu.core).or_default().push(cpu);
        }
        let cores: Vec<Core<'_>> = cores.into_iter().collect();
        let mut block = Block::new("node", Colour::Node, vec![node_heading(self.machine, node)]);
        block.heading.extend(self.private_caches(&cores));
        let top = self.machine.caches.iter().map(|cache| cache.level).max().unwrap_or(0);
        let within = self.cores(&cores, top);
        block.row_px_max =
            if within.iter().any(|child| child.class == "cache") { ROW_PX_MAX } else { self.cores_px() };
        block.rows = vec![within, self.machine.devices_at(node).map(device).collect()];
        block
    }

    /// Caches that belong to one core, as text: a box for each would say no more.
    fn private_caches(&self, cores: &[Core<'_>]) -> Option<String> {
        let of_core = |(_, cpus): &Core<'_>| {
            let own = |cache: &&Cache| cache.cpus.iter().all(|id| cpus.iter().any(|cpu| cpu.id == *id));
            self.machine.caches.iter().filter(own).map(|cache| (cache.level, cache.bytes)).collect::<Vec<_>>()
        };
        let kinds: BTreeSet<(u32, u64)> = cores.iter().flat_map(of_core).collect();
        let texts: Vec<String> =
            kinds.into_iter().map(|(level, bytes)| format!("L{level} {}", size(bytes))).collect();
        (!texts.is_empty()).then(|| format!("a core: {}", texts.join(", ")))
    }

    /// Cores of one node, in boxes of the caches up to this level that several of them share.
    fn cores(&self, cores: &[Core<'_>], level: u32) -> Vec<Block> {
        if level == 0 {
            return cores.iter().map(|core| self.core(core)).collect();
        }
        let mut by_cache: BTreeMap<Option<usize>, Vec<Core<'_>>> = BTreeMap::new();
        for core in cores {
            by_cache.entry(self.shared_cache(core, cores, level)).or_default().push(core.clone());
        }
        let mut blocks = Vec::new();
        for (cache, cores) in by_cache {
            let within = self.cores(&cores, level - 1);
            let Some(cache) = cache else {
                blocks.extend(within);
                continue;
            };
            let mut block = Block::new("cache", Colour::Cache, vec![cache_text(&self.machine.caches[cache])]);
            block.rows = vec![within];
            block.row_px_max = self.cores_px();
            blocks.push(block);
        }
        blocks
    }

    /// The cache of this level that the core shares with others of these, and with no others.
    fn shared_cache(&self, core: &Core<'_>, cores: &[Core<'_>], level: u32) -> Option<usize> {
        let first = core.1[0].id;
        let index = self
            .machine
            .caches
            .iter()
            .position(|cache| cache.level == level && cache.cpus.contains(&first))?;
        let cpus = &self.machine.caches[index].cpus;
        let shares = |core: &&Core<'_>| core.1.iter().any(|cpu| cpus.contains(&cpu.id));
        let sharing = cores.iter().filter(shares).count();
        let known: BTreeSet<u32> = cores.iter().flat_map(|core| core.1.iter().map(|cpu| cpu.id)).collect();
        (sharing > 1 && cpus.iter().all(|id| known.contains(id))).then_some(index)
    }

    fn core(&self, (number, cpus): &Core<'_>) -> Block {
        let mut block = Block::new("core", Colour::Core, vec![format!("core {number}")]);
        // One below the other.
        block.rows = cpus.iter().map(|cpu| vec![self.cpu(cpu)]).collect();
        block
    }

    fn cpu(&self, cpu: &Cpu) -> Block {
        let shards = self.topology.shards.iter().filter(|place| place.cpu == cpu.id).count();
        let colour = match shards {
            _ if !cpu.allowed => Colour::NotAllowed,
            0 if self.topology.housekeeping.cpus.contains(&cpu.id) => Colour::Housekeeping,
            0 => Colour::Idle,
            1 => Colour::Shard,
            _ => Colour::Shared,
        };
        let mut block = Block::new("cpu", colour, vec![cpu_text(cpu, Some(self.topology))]);
        block.columns_min = self.cpu_columns;
        block
    }

    /// Pixels that a row of cores takes.
    fn cores_px(&self) -> u32 {
        CORES_PER_ROW * (text_px(self.cpu_columns) + Block::CORE_EXTRA_PX)
    }

    /// Nodes without CPUs, devices of which it is not known where they are, CPUs that are switched off.
    fn beside_the_sockets(&self) -> Vec<Block> {
        let machine = self.machine;
        let mut blocks = Vec::new();
        for node in machine.nodes.iter().filter(|node| machine.socket_of(node.id).is_none()) {
            let heading = format!("{}, no CPUs", node_heading(machine, node.id));
            let mut block = Block::new("node", Colour::Node, vec![heading]);
            block.rows = vec![machine.devices_at(node.id).map(device).collect()];
            blocks.push(block);
        }
        let unknown: Vec<Block> =
            machine.devices.iter().filter(|device| device.node.is_none()).map(device).collect();
        if !unknown.is_empty() {
            let mut block = Block::new("group", Colour::Socket, vec!["node not known".to_owned()]);
            block.rows = vec![unknown];
            block.row_px_max = ROW_PX_MAX;
            blocks.push(block);
        }
        if !machine.offline.is_empty() {
            let ids: Vec<String> = machine.offline.iter().map(u32::to_string).collect();
            let lines = ids.chunks(CORES_PER_ROW as usize * 2).map(|ids| ids.join(" "));
            let heading = std::iter::once("offline CPUs".to_owned()).chain(lines).collect();
            blocks.push(Block::new("group", Colour::Socket, heading));
        }
        blocks
    }

    /// A table: from the node of the row to that of the column.
    fn distances(&self) -> Vec<Block> {
        let Some(distances) = &self.machine.distances else { return Vec::new() };
        let line = |name: String, cells: Vec<String>| {
            let cells: Vec<String> = cells.into_iter().map(|cell| format!("{cell:>4}")).collect();
            format!("{name:>8} {}", cells.concat())
        };
        let names = distances.nodes.iter().map(u32::to_string).collect();
        let mut table = vec!["distances of the nodes".to_owned(), line("node".to_owned(), names)];
        for (node, row) in distances.nodes.iter().zip(&distances.rows) {
            table.push(line(node.to_string(), row.iter().map(u64::to_string).collect()));
        }
        vec![Block::new("group", Colour::Socket, table)]
    }

    fn legend(&self) -> Vec<Block> {
        let housekeeping = if self.topology.housekeeping.cpus.is_empty() {
            "housekeeping runs anywhere"
        } else {
            "h: housekeeping"
        };
        [
            (Colour::Shard, "sN: shard N"),
            (Colour::Shared, "several shards"),
            (Colour::Housekeeping, housekeeping),
            (Colour::Idle, "-: idle"),
            (Colour::NotAllowed, "x: not allowed"),
            (Colour::Disk, "disk"),
            (Colour::Network, "network interface"),
        ]
        .into_iter()
        .map(|(colour, text)| Block::new("legend", colour, vec![text.to_owned()]))
        .collect()
    }
}

fn device(device: &Device) -> Block {
    let colour = match device.kind {
        DeviceKind::Nvme | DeviceKind::Disk => Colour::Disk,
        DeviceKind::Network => Colour::Network,
    };
    Block::new("device", colour, vec![device.name.clone()])
}

fn cache_text(cache: &Cache) -> String {
    format!("L{} {}", cache.level, size(cache.bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::discover::from_synthetic;
    use crate::machine::DeviceKind::{Disk, Network};
    use crate::plan::plan;
    use crate::test_machines::{laptop, memoryless_node, with_devices};

    /// What the image says, box by box.
    fn words(machine: &Machine, shards: Option<usize>) -> Vec<(String, String)> {
        let image = svg(machine, &plan(machine, shards).unwrap().topology);
        let document = roxmltree::Document::parse(&image).unwrap();
        let texts = document.descendants().filter(|node| node.has_tag_name("text"));
        texts
            .map(|node| (node.attribute("class").unwrap().to_owned(), node.text().unwrap().to_owned()))
            .collect()
    }

    fn has(words: &[(String, String)], class: &str, text: &str) {
        let found = words.iter().any(|(of, said)| of == class && said == text);
        assert!(found, "{class}: {text} is missing in {words:?}");
    }

    #[test]
    fn a_cache_is_where_its_cores_are() {
        let machine =
            from_synthetic("pack:1 l3:1(size=64MiB) group:2 [numa(memory=1GiB)] l2:2(size=2MiB) core:2 pu:1")
                .unwrap();
        let words = words(&machine, None);
        has(&words, "socket", "L3 64 MiB: CPUs 0-7");
        assert_eq!(words.iter().filter(|(class, text)| class == "cache" && text == "L2 2 MiB").count(), 4);
    }

    #[test]
    fn what_is_not_in_a_socket_is_beside_them() {
        let mut machine = with_devices(
            memoryless_node(),
            &[("disk<&>", Disk, None), ("sda", Disk, Some(2)), ("eth0", Network, Some(0))],
        );
        machine.cpus.retain(|cpu| cpu.node != 2);
        machine.offline = (4..40).collect();
        let words = words(&machine, None);
        for (class, text) in [
            ("node", "node 1, no memory"),
            ("node", "node 2, 16.0 GiB, no CPUs"),
            ("group", "node not known"),
            ("device", "disk<&>"),
            ("device", "sda"),
            ("device", "eth0"),
            ("group", "4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19"),
            ("group", "36 37 38 39"),
            ("group", "       1   31  10  21"),
        ] {
            has(&words, class, text);
        }
    }

    #[test]
    fn colours_say_what_runs_there() {
        let machine = laptop().with_allowed_cpus(&[0, 1, 2, 3, 4]);
        let topology = plan(&machine, Some(6)).unwrap().topology;
        let image = svg(&machine, &topology);
        let count = |colour: &str| {
            let document = roxmltree::Document::parse(&image).unwrap();
            let cpus = document.descendants().filter(|node| node.attribute("class") == Some("cpu"));
            cpus.filter(|node| node.attribute("fill") == Some(colour)).count()
        };
        // Shard 5 shares CPU 1 or another with a shard before it; three CPUs are not allowed.
        assert_eq!((count("#8fd19e"), count("#f4a582"), count("#b9bdc4")), (4, 1, 3), "{topology:?}");
    }
}
