//! Machines that the tests of this crate plan for and compare with. Numbered as Linux numbers them:
//! first one CPU of every core, then the SMT siblings.

use crate::discover::from_synthetic;
use crate::machine::{Device, DeviceKind, Distances, Machine};

fn machine(description: &str) -> Machine {
    from_synthetic(description).expect("a synthetic description that hwloc understands")
}

/// A virtual machine: one node, two CPUs, no SMT.
pub(crate) fn vm() -> Machine {
    machine("pack:1 [numa(memory=16GiB)] core:2 pu:1")
}

/// A virtual machine whose two CPUs are the siblings of one core.
pub(crate) fn vm_of_siblings() -> Machine {
    machine("pack:1 [numa(memory=16GiB)] core:1 pu:2")
}

/// A laptop: one socket, four cores, eight CPUs.
pub(crate) fn laptop() -> Machine {
    machine("pack:1 [numa(memory=32GiB)] core:4 pu:2(indexes=2*4:1*2)")
}

/// Two sockets of 32 cores with SMT, a node each.
pub(crate) fn two_by_32() -> Machine {
    machine("pack:2 [numa(memory=256GiB)] core:32 pu:2(indexes=2*64:1*2)")
}

/// Four sockets of 28 cores with SMT, a node each.
pub(crate) fn four_by_28() -> Machine {
    machine("pack:4 [numa(memory=192GiB)] core:28 pu:2(indexes=2*112:1*2)")
}

/// Two sockets with four nodes each (sub-NUMA clustering), eight cores a node.
pub(crate) fn eight_nodes() -> Machine {
    machine("pack:2 group:4 [numa(memory=64GiB)] core:8 pu:1")
}

/// A container that may use three of 64 CPUs.
pub(crate) fn container() -> Machine {
    machine("pack:1 [numa(memory=256GiB)] core:64 pu:1").with_allowed_cpus(&[12, 13, 14])
}

/// Three nodes of two cores; node 1 has no memory and is nearer to node 2 than to node 0.
pub(crate) fn memoryless_node() -> Machine {
    let mut machine = machine("pack:3 [numa(memory=16GiB)] core:2 pu:1");
    machine.nodes[1].memory_bytes = 0;
    machine.distances = Some(Distances {
        nodes: vec![0, 1, 2],
        rows: vec![vec![10, 31, 32], vec![31, 10, 21], vec![32, 21, 10]],
    });
    machine
}

/// The same machine with these devices.
pub(crate) fn with_devices(machine: Machine, devices: &[(&str, DeviceKind, Option<u32>)]) -> Machine {
    let device =
        |&(name, kind, node): &(&str, DeviceKind, Option<u32>)| Device { name: name.to_owned(), kind, node };
    Machine { devices: devices.iter().map(device).collect(), ..machine }
}
