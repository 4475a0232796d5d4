//! Writes what systemd has to be told so that a service runs where a topology says: drop-ins for its units. Pure.
//!
//! The server pins each shard's thread and binds its memory by itself. What is written here keeps everything else of the process on
//! the same CPUs and nodes, and must leave room for each of these: systemd's templates can't, since they don't expand
//! masks of nodes.

use std::collections::BTreeSet;

use crate::compare::ranges;
use crate::file::Topology;

/// The name of each file in its unit's directory.
const FILE_NAME: &str = "50-auriga-topology.conf";

/// What other programs' processes are in, from the top.
const OTHERS: [&str; 4] = ["init.scope", "machine.slice", "system.slice", "user.slice"];

/// What is wanted of [`drop_ins`].
#[derive(Clone, Copy, Debug)]
pub struct Services<'a> {
    /// Names of units, as `auriga.service`.
    pub units: &'a [String],
    /// The topology file that they start with; `None`: whatever they find.
    pub file: Option<&'a str>,
    /// Whether other units are kept off the shards' CPUs.
    pub alone: bool,
}

/// A file below a directory of units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropIn {
    /// Its path there: `auriga.service.d/50-auriga-topology.conf`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// The drop-ins for services, and for all others if the shards' CPUs are to be theirs alone.
///
/// CPUs that housekeeping may use are only known if the file lists them: without, services are not kept to
/// CPUs, and others not kept off.
#[must_use]
pub fn drop_ins(topology: &Topology, services: Services<'_>) -> Vec<DropIn> {
    let mut text = service(topology, services.file);
    let housekeeping: BTreeSet<u32> = topology.housekeeping.cpus.iter().copied().collect();
    let alone = services.alone && !housekeeping.is_empty();
    if alone {
        text += "\n# Not in a slice of others, which are kept off the shards' CPUs.\nSlice=auriga.slice\n";
    }
    let of_units = services.units.iter().map(|unit| drop_in(unit, &text));
    if !alone {
        return of_units.collect();
    }
    let cpus = ranges(housekeeping.into_iter());
    let of_others = OTHERS.iter().map(|unit| {
        let section = if unit.ends_with(".scope") { "Scope" } else { "Slice" };
        let text = format!(
            "{}# CPUs that run no shard: those of housekeeping in the topology file.\n[{section}]\nAllowedCPUs={cpus}\n",
            heading()
        );
        drop_in(unit, &text)
    });
    of_units.chain(of_others).collect()
}

fn drop_in(unit: &str, text: &str) -> DropIn {
    DropIn { path: format!("{unit}.d/{FILE_NAME}"), text: text.to_owned() }
}

fn heading() -> String {
    "# Written by `auriga topology systemd`: write it again when the topology file has changed.\n".to_owned()
}

fn service(topology: &Topology, file: Option<&str>) -> String {
    let shards: BTreeSet<u32> = topology.shards.iter().map(|place| place.cpu).collect();
    let nodes: BTreeSet<u32> = topology.shards.iter().map(|place| place.node).collect();
    let nodes = ranges(nodes.into_iter());
    let mut text = heading() + "[Service]\n";
    if let Some(file) = file {
        text += &format!("Environment=TOPOLOGY=--topology={file}\n\n");
    }
    if topology.housekeeping.cpus.is_empty() {
        text += "# Housekeeping has no CPUs of its own in the topology file: it runs where the kernel puts it, so the\n\
                 # service is not kept to CPUs. Each shard's thread is pinned all the same, by the server.\n";
    } else {
        let all = ranges(
            shards
                .iter()
                .copied()
                .chain(topology.housekeeping.cpus.iter().copied())
                .collect::<BTreeSet<_>>()
                .into_iter(),
        );
        text += &format!(
            "# CPUs of the shards and of housekeeping. Each shard's thread is pinned to one of them by the server. The\n\
             # second line says it to the control group, where there are such (cgroup v2): no thread can leave them.\n\
             CPUAffinity={all}\nAllowedCPUs={all}\n"
        );
    }
    text += &format!(
        "\n# Nodes of the shards' memory, all of them: threads that are not shards take theirs from the nearest of these.\n\
         # Each shard's thread replaces this by its own node, which the control group has to allow.\n\
         NUMAPolicy=bind\nNUMAMask={nodes}\nAllowedMemoryNodes={nodes}\n"
    );
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::file::{Housekeeping, ShardPlace};
    use crate::plan::plan;
    use crate::test_machines::{eight_nodes, four_by_28, memoryless_node, two_by_32, vm};

    fn two_units() -> Vec<String> {
        vec!["auriga.service".to_owned(), "auriga-check.service".to_owned()]
    }

    fn of(topology: &Topology, file: Option<&str>, alone: bool) -> Vec<DropIn> {
        drop_ins(topology, Services { units: &two_units(), file, alone })
    }

    /// What a line of a drop-in sets.
    fn set<'a>(text: &'a str, key: &str) -> Option<&'a str> {
        let mut values = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        let value = values.next();
        assert_eq!(values.next(), None, "{key} is set once in\n{text}");
        value
    }

    #[test]
    fn a_service_gets_all_cpus_and_nodes_of_the_file() {
        let shards = [(5, 1), (1, 0), (2, 0)].map(|(cpu, node)| ShardPlace { cpu, node }).to_vec();
        let topology = Topology {
            shards,
            housekeeping: Housekeeping { cpus: vec![4, 0] },
            strict: false,
            disks: Vec::new(),
        };
        let written = of(&topology, Some("/etc/auriga/topology.toml"), false);
        let paths: Vec<_> = written.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(
            paths,
            ["auriga.service.d/50-auriga-topology.conf", "auriga-check.service.d/50-auriga-topology.conf"]
        );
        assert_eq!(written[0].text, written[1].text, "a check is of use where the server will run");
        let lines: Vec<_> =
            written[0].text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
        let expected = [
            "[Service]",
            "Environment=TOPOLOGY=--topology=/etc/auriga/topology.toml",
            "CPUAffinity=0-2,4-5",
            "AllowedCPUs=0-2,4-5",
            "NUMAPolicy=bind",
            "NUMAMask=0-1",
            "AllowedMemoryNodes=0-1",
        ];
        assert_eq!(lines, expected);
    }

    /// Else a shard could not run, or not have its memory, where the file says.
    #[test]
    fn what_is_allowed_holds_every_shard() {
        for machine in [two_by_32(), four_by_28(), eight_nodes(), memoryless_node()] {
            let topology = plan(&machine, None).unwrap().topology;
            let text = of(&topology, None, false).remove(0).text;
            let holds = |key, number| {
                let ranges = set(&text, key).unwrap().split(',').map(|range| match range.split_once('-') {
                    Some((first, last)) => first.parse().unwrap()..=last.parse::<u32>().unwrap(),
                    None => range.parse().unwrap()..=range.parse().unwrap(),
                });
                ranges.into_iter().any(|range| range.contains(&number))
            };
            for place in &topology.shards {
                assert!(
                    holds("CPUAffinity", place.cpu) && holds("AllowedCPUs", place.cpu),
                    "{place:?}\n{text}"
                );
                assert!(
                    holds("NUMAMask", place.node) && holds("AllowedMemoryNodes", place.node),
                    "{place:?}\n{text}"
                );
            }
            for cpu in &topology.housekeeping.cpus {
                assert!(holds("CPUAffinity", *cpu), "{cpu}\n{text}");
            }
            assert_eq!(set(&text, "Environment"), None, "no file was named");
        }
    }

    #[test]
    fn housekeeping_without_cpus_of_its_own_is_not_kept_from_any() {
        let topology = plan(&vm(), None).unwrap().topology;
        let written = of(&topology, None, true);
        assert_eq!(written.len(), 2, "where others are to go is not known: {written:?}");
        let text = &written[0].text;
        assert_eq!((set(text, "CPUAffinity"), set(text, "AllowedCPUs")), (None, None), "{text}");
        assert_eq!(set(text, "NUMAMask"), Some("0"));
    }

    #[test]
    fn others_are_kept_to_the_cpus_of_housekeeping() {
        let topology = plan(&two_by_32(), None).unwrap().topology;
        let written = of(&topology, None, true);
        let others: Vec<_> = written[2..].iter().map(|file| file.path.as_str()).collect();
        let expected = ["init.scope", "machine.slice", "system.slice", "user.slice"]
            .map(|unit| format!("{unit}.d/50-auriga-topology.conf"));
        assert_eq!(others, expected);
        assert_eq!(set(&written[0].text, "Slice"), Some("auriga.slice"), "not with the others");
        for file in &written[2..] {
            let section = if file.path.starts_with("init.scope") { "[Scope]" } else { "[Slice]" };
            assert!(file.text.lines().any(|line| line == section), "{}", file.text);
            let cpus = set(&file.text, "AllowedCPUs").unwrap();
            assert_eq!(cpus, "0-1,32-33,64-65,96-97");
        }
    }
}
