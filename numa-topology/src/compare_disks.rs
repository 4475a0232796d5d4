//! Holds the disks of a topology file, and the disk of a data directory, against a machine. Pure.

use std::collections::BTreeSet;

use crate::compare::{Mismatch, MismatchKind, Severity, ranges};
use crate::file::{DiskPlace, Topology};
use crate::machine::Machine;

/// What is wrong with a data directory on this disk ([`disks_of`](crate::disks_of)); one call for each disk.
#[must_use]
pub fn compare_data(machine: &Machine, topology: &Topology, device: &str) -> Vec<Mismatch> {
    [on_other_disk(topology, device), on_other_socket(machine, topology, device)]
        .into_iter()
        .flatten()
        .collect()
}

/// An entry of the file that names no disk, or another node than the disk's.
pub(crate) fn wrong_disk(machine: &Machine, disk: &DiskPlace) -> Option<Mismatch> {
    let DiskPlace { device, node } = disk;
    let what = format!("disk {device}, node {node}");
    let Some(found) = machine.disks().find(|found| found.name == *device) else {
        let names: Vec<&str> = machine.disks().map(|disk| disk.name.as_str()).collect();
        let found = match names[..] {
            [] => "no disk of this machine is known".to_owned(),
            _ => format!("the machine has {}", names.join(", ")),
        };
        return Some(Mismatch {
            severity: Severity::Error,
            kind: MismatchKind::DiskAbsent,
            what,
            found,
            expected: "a disk of this machine".to_owned(),
            fix: "correct the name (ls /sys/block), or remove the entry".to_owned(),
        });
    };
    let right = found.node.filter(|right| right != node)?;
    Some(Mismatch {
        severity: Severity::Warning,
        kind: MismatchKind::DiskWrongNode,
        what,
        found: format!("it is attached to node {right}"),
        expected: "the node it is attached to".to_owned(),
        fix: format!("write `node = {right}`"),
    })
}

fn on_other_disk(topology: &Topology, device: &str) -> Option<Mismatch> {
    if topology.disks.is_empty() || topology.disks.iter().any(|disk| disk.device == device) {
        return None;
    }
    let names: Vec<&str> = topology.disks.iter().map(|disk| disk.device.as_str()).collect();
    Some(Mismatch {
        severity: Severity::Warning,
        kind: MismatchKind::DataOnOtherDisk,
        what: "data directory".to_owned(),
        found: format!("it is on disk {device}"),
        expected: format!("one of the file's disks, {}", names.join(", ")),
        fix: format!("move it there, or list {device} in `disks`"),
    })
}

fn on_other_socket(machine: &Machine, topology: &Topology, device: &str) -> Option<Mismatch> {
    let node = machine.disks().find(|disk| disk.name == device)?.node?;
    let socket = machine.socket_of(node)?;
    let cpus = topology.shards.iter().filter_map(|place| machine.cpu(place.cpu));
    let sockets: BTreeSet<u32> = cpus.map(|cpu| cpu.socket).collect();
    if sockets.is_empty() || sockets.contains(&socket) {
        return None;
    }
    let near = machine.allowed().filter(|cpu| cpu.socket == socket).map(|cpu| cpu.id);
    let near = ranges(near);
    Some(Mismatch {
        severity: Severity::Warning,
        kind: MismatchKind::DiskOnOtherSocket,
        what: format!("data directory, disk {device}"),
        found: format!(
            "the disk is attached to node {node} on socket {socket}, and the shards run on socket {}",
            ranges(sockets.into_iter())
        ),
        expected: "the disk on a socket that runs shards".to_owned(),
        fix: match near.as_str() {
            "" => "use a disk of the shards' socket".to_owned(),
            _ => format!("use a disk of the shards' socket, or let shards run on CPUs {near}"),
        },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::compare::compare;
    use crate::machine::{Device, DeviceKind};
    use crate::plan::plan;
    use crate::test_machines::{two_by_32, with_devices};

    /// Two sockets of 32 cores; a disk on each, one of which nothing is known, and a network interface.
    fn machine() -> Machine {
        with_devices(
            two_by_32(),
            &[
                ("nvme0n1", DeviceKind::Nvme, Some(0)),
                ("nvme1n1", DeviceKind::Nvme, Some(1)),
                ("sda", DeviceKind::Disk, None),
                ("eth0", DeviceKind::Network, Some(0)),
            ],
        )
    }

    fn with_disks(disks: &[(&str, u32)]) -> Topology {
        let disk = |&(device, node): &(&str, u32)| DiskPlace { device: device.to_owned(), node };
        Topology { disks: disks.iter().map(disk).collect(), ..plan(&machine(), None).unwrap().topology }
    }

    fn lines(found: &[Mismatch]) -> Vec<String> {
        found.iter().map(Mismatch::to_string).collect()
    }

    #[test]
    fn an_entry_names_a_disk_and_its_node() {
        let fitting = with_disks(&[("nvme0n1", 0), ("sda", 1)]);
        assert_eq!(compare(&machine(), &fitting), [], "where sda is attached is not known");
        let found = compare(&machine(), &with_disks(&[("nvme7n1", 0), ("nvme1n1", 0), ("eth0", 0)]));
        assert_eq!(
            lines(&found),
            [
                "error: disk nvme7n1, node 0: the machine has nvme0n1, nvme1n1, sda, expected a disk of this \
                 machine; correct the name (ls /sys/block), or remove the entry",
                "warning: disk nvme1n1, node 0: it is attached to node 1, expected the node it is attached to; \
                 write `node = 1`",
                "error: disk eth0, node 0: the machine has nvme0n1, nvme1n1, sda, expected a disk of this \
                 machine; correct the name (ls /sys/block), or remove the entry",
            ]
        );
        let kinds: Vec<MismatchKind> = found.iter().map(|one| one.kind).collect();
        assert_eq!(kinds, [MismatchKind::DiskAbsent, MismatchKind::DiskWrongNode, MismatchKind::DiskAbsent]);
        let without = Machine { devices: Vec::<Device>::new(), ..machine() };
        let found = compare(&without, &with_disks(&[("sda", 0)]));
        assert!(lines(&found)[0].contains("no disk of this machine is known"), "{found:?}");
    }

    #[test]
    fn a_data_directory_is_on_a_disk_of_the_file_if_that_lists_any() {
        let topology = with_disks(&[("nvme0n1", 0), ("nvme1n1", 1)]);
        assert_eq!(compare_data(&machine(), &topology, "nvme1n1"), []);
        assert_eq!(compare_data(&machine(), &with_disks(&[]), "sdz"), []);
        let found = compare_data(&machine(), &topology, "sda");
        assert_eq!(found[0].kind, MismatchKind::DataOnOtherDisk);
        assert_eq!(
            lines(&found),
            [
                "warning: data directory: it is on disk sda, expected one of the file's disks, nvme0n1, nvme1n1; \
              move it there, or list sda in `disks`"
            ]
        );
    }

    #[test]
    fn a_data_directory_is_on_a_socket_that_runs_shards() {
        let mut topology = with_disks(&[]);
        topology.shards.retain(|place| place.node == 0);
        assert_eq!(compare_data(&machine(), &topology, "nvme0n1"), []);
        assert_eq!(compare_data(&machine(), &topology, "sda"), [], "where it is is not known");
        let found = compare_data(&machine(), &topology, "nvme1n1");
        assert_eq!(found[0].kind, MismatchKind::DiskOnOtherSocket);
        assert_eq!(
            lines(&found),
            [
                "warning: data directory, disk nvme1n1: the disk is attached to node 1 on socket 1, and the shards \
              run on socket 0, expected the disk on a socket that runs shards; use a disk of the shards' socket, \
              or let shards run on CPUs 32-63,96-127"
            ]
        );
        let restricted = machine().with_allowed_cpus(&(0..32).collect::<Vec<u32>>());
        let found = compare_data(&restricted, &topology, "nvme1n1");
        assert!(lines(&found)[0].ends_with("; use a disk of the shards' socket"), "{found:?}");
    }
}
