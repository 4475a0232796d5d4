//! Reads a machine through hwloc. The only file that names hwlocality.
//!
//! Called once at start by the server's main thread before it pins anything, and by the `topology`
//! commands. Never binds a thread, never decides who runs where.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use hwlocality::Topology as Hwloc;
use hwlocality::object::TopologyObject;
use hwlocality::object::attributes::ObjectAttributes;
use hwlocality::object::distance::DistancesKind;
use hwlocality::object::types::{OSDeviceType, ObjectType};
use hwlocality::topology::builder::{BuildFlags, TopologyBuilder, TypeFilter};

use crate::error::Error;
use crate::machine::{Cache, Cpu, Device, DeviceKind, Distances, HugePages, Machine, Node};
use crate::place::allowed_cpus;
use crate::quota::cpu_quota_percent;

/// Parts of hwloc that start the drivers of graphics and computing cards to ask them; an installation
/// may have them as plugins.
const LEFT_OUT: [&str; 6] = ["cuda", "gl", "levelzero", "nvml", "opencl", "rsmi"];

/// How names of block devices begin that are no disks: memory, files, and what is built of other disks.
const VIRTUAL_DISKS: [&str; 8] = ["loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd"];

/// Reads the machine this process runs on: what is there, and what this process may use of it.
///
/// A CPU is allowed if both the cgroup cpuset and the calling thread's affinity mask have it, so call
/// this before the calling thread is pinned. hwloc's own variables are respected: with
/// `HWLOC_SYNTHETIC` or `HWLOC_XMLFILE` set it describes that machine instead, and
/// [`Machine::this_system`] is false.
///
/// # Errors
///
/// [`Error::Discover`] if hwloc cannot read the machine or the affinity mask cannot be read.
pub fn discover() -> Result<Machine, Error> {
    let hwloc = builder().map_err(discover_error)?.build().map_err(discover_error)?;
    let machine = read(&hwloc)?;
    if !machine.this_system {
        return Ok(machine);
    }
    let mask = allowed_cpus()?;
    let both: Vec<u32> = machine.allowed().map(|cpu| cpu.id).filter(|id| mask.contains(id)).collect();
    let cpu_quota_percent = cpu_quota_percent(Path::new("/"));
    Ok(Machine { cpu_quota_percent, ..machine.with_allowed_cpus(&both) })
}

/// Builds a machine from a recorded description, as `lstopo --disallowed --of xml` writes it.
///
/// What the description says is not allowed is not; [`Machine::this_system`] is false.
///
/// # Errors
///
/// [`Error::Xml`] if hwloc refuses the description.
pub fn from_xml(text: &str) -> Result<Machine, Error> {
    let refused = |detail: String| Error::Xml { detail };
    let hwloc = builder()
        .map_err(&refused)?
        .from_xml(text)
        .map_err(|error| refused(error.to_string()))?
        .build()
        .map_err(|error| refused(error.to_string()))?;
    read(&hwloc)
}

/// Builds a machine from an hwloc synthetic description, such as `"pack:2 [numa] core:4 pu:2"`.
///
/// Every CPU and node is allowed; restrict it with [`Machine::with_allowed_cpus`].
///
/// # Errors
///
/// [`Error::Synthetic`] if hwloc refuses the description.
pub fn from_synthetic(description: &str) -> Result<Machine, Error> {
    let refused = |detail: String| Error::Synthetic { description: description.to_owned(), detail };
    let hwloc = TopologyBuilder::new()
        .from_synthetic(description)
        .map_err(|error| refused(error.to_string()))?
        .build()
        .map_err(|error| refused(error.to_string()))?;
    read(&hwloc)
}

/// Also what this process may not use, disks and network interfaces included.
fn builder() -> Result<TopologyBuilder, String> {
    // Some hwloc back ends move the calling thread from CPU to CPU while they look around.
    let flags = BuildFlags::INCLUDE_DISALLOWED | BuildFlags::DONT_CHANGE_BINDING;
    let mut builder = TopologyBuilder::new().with_flags(flags).map_err(|error| error.to_string())?;
    for name in LEFT_OUT {
        // A part that is not installed can't be left out, and the refusal takes the builder with it.
        if TopologyBuilder::new().without_component(name).is_ok() {
            builder = builder.without_component(name).map_err(|error| error.to_string())?;
        }
    }
    builder.with_io_type_filter(TypeFilter::KeepImportant).map_err(|error| error.to_string())
}

fn discover_error(error: impl std::fmt::Display) -> Error {
    Error::Discover { detail: error.to_string() }
}

fn read(hwloc: &Hwloc) -> Result<Machine, Error> {
    let nodes = read_nodes(hwloc);
    let cpus = read_cpus(hwloc, &nodes)?;
    let known = hwloc.complete_cpuset();
    let online = hwloc.cpuset();
    let offline = known.iter_set().filter(|&index| !online.is_set(index)).map(|i| id(usize::from(i)));
    Ok(Machine {
        this_system: hwloc.is_this_system(),
        offline: offline.collect(),
        distances: read_distances(hwloc)?,
        caches: read_caches(hwloc),
        devices: read_devices(hwloc, &cpus),
        cpu_quota_percent: None,
        cpus,
        nodes,
    })
}

fn read_nodes(hwloc: &Hwloc) -> Vec<Node> {
    let allowed = hwloc.allowed_nodeset();
    let by_id: BTreeMap<u32, Node> = hwloc
        .objects_with_type(ObjectType::NUMANode)
        .filter_map(|object| {
            let index = object.os_index()?;
            let mut node = Node {
                id: id(index),
                memory_bytes: 0,
                allowed: allowed.is_set(index),
                huge_pages: Vec::new(),
            };
            if let Some(ObjectAttributes::NUMANode(numa)) = object.attributes() {
                node.memory_bytes = numa.local_memory().map_or(0, u64::from);
                // The first, smallest size is that of ordinary pages.
                let sizes = numa.page_types().iter().skip(1);
                node.huge_pages =
                    sizes.map(|page| HugePages { bytes: page.size().into(), count: page.count() }).collect();
            }
            Some((node.id, node))
        })
        .collect();
    by_id.into_values().collect()
}

fn read_cpus(hwloc: &Hwloc, nodes: &[Node]) -> Result<Vec<Cpu>, Error> {
    let allowed = hwloc.allowed_cpuset();
    let cores = hwloc.objects_with_type(ObjectType::Core).len();
    let speeds = read_speeds(hwloc);
    let mut cpus = Vec::new();
    for pu in hwloc.objects_with_type(ObjectType::PU) {
        let index = pu.os_index().ok_or_else(|| discover_error("hwloc reports a CPU without a number"))?;
        let node = own_node(pu, nodes)
            .ok_or_else(|| discover_error(format!("hwloc reports no NUMA node for CPU {index}")))?;
        cpus.push(Cpu {
            id: id(index),
            // Some virtual machines tell nothing about cores: then every CPU is a core of its own,
            // numbered behind those that are known.
            core: logical(pu, ObjectType::Core).unwrap_or_else(|| id(cores + pu.logical_index())),
            socket: logical(pu, ObjectType::Package).unwrap_or(0),
            node,
            speed: speeds.get(&id(index)).copied().unwrap_or(0),
            allowed: allowed.is_set(index),
        });
    }
    cpus.sort_unstable_by_key(|cpu| cpu.id);
    Ok(cpus)
}

/// The lowest-numbered local node that has memory, or the lowest at all.
///
/// A CPU can have several local nodes (high-bandwidth or CXL memory beside the ordinary DRAM). Linux
/// numbers the ordinary ones first.
fn own_node(pu: &TopologyObject, nodes: &[Node]) -> Option<u32> {
    let local: Vec<u32> = pu.nodeset()?.iter_set().map(|index| id(usize::from(index))).collect();
    let has_memory = |id: &&u32| nodes.iter().any(|node| node.id == **id && node.memory_bytes > 0);
    local.iter().find(has_memory).or_else(|| local.first()).copied()
}

/// The machine-wide number of the ancestor of this type; numbers given by the firmware repeat from
/// socket to socket.
fn logical(pu: &TopologyObject, ancestor: ObjectType) -> Option<u32> {
    pu.first_ancestor_with_type(ancestor).map(|object| id(object.logical_index()))
}

/// hwloc's rank of each CPU's kind of core, as far as it ranks them.
fn read_speeds(hwloc: &Hwloc) -> BTreeMap<u32, u32> {
    let mut speeds = BTreeMap::new();
    for kind in hwloc.cpu_kinds().into_iter().flatten() {
        let Some(rank) = kind.efficiency else { continue };
        speeds.extend(kind.cpuset.iter_set().map(|index| (id(usize::from(index)), id(rank))));
    }
    speeds
}

fn read_caches(hwloc: &Hwloc) -> Vec<Cache> {
    let levels = [
        ObjectType::L1Cache,
        ObjectType::L2Cache,
        ObjectType::L3Cache,
        ObjectType::L4Cache,
        ObjectType::L5Cache,
    ];
    let mut caches = Vec::new();
    for (level, kind) in (1..).zip(levels) {
        let mut of_level: Vec<Cache> = hwloc
            .objects_with_type(kind)
            .filter_map(|object| {
                let bytes = match object.attributes() {
                    Some(ObjectAttributes::Cache(cache)) => cache.size().map_or(0, u64::from),
                    _ => 0,
                };
                let cpus = object.cpuset()?.iter_set().map(|index| id(usize::from(index))).collect();
                Some(Cache { level, bytes, cpus })
            })
            .collect();
        of_level.sort_by(|one, other| one.cpus.cmp(&other.cpus));
        caches.extend(of_level);
    }
    caches
}

/// Disks and network interfaces; hwloc itself leaves out the virtual ones.
fn read_devices(hwloc: &Hwloc, cpus: &[Cpu]) -> Vec<Device> {
    let mut devices: Vec<Device> = hwloc
        .objects_with_type(ObjectType::OSDevice)
        .filter_map(|object| {
            let Some(ObjectAttributes::OSDevice(attributes)) = object.attributes() else { return None };
            let name = object.name()?.to_str().ok()?.to_owned();
            let kind = match attributes.device_type() {
                OSDeviceType::Storage if VIRTUAL_DISKS.iter().any(|&start| name.starts_with(start)) => {
                    return None;
                }
                OSDeviceType::Storage if name.starts_with("nvme") => DeviceKind::Nvme,
                OSDeviceType::Storage => DeviceKind::Disk,
                OSDeviceType::Network if name == "lo" => return None,
                OSDeviceType::Network => DeviceKind::Network,
                _ => return None,
            };
            Some(Device { name, kind, node: device_node(object, cpus) })
        })
        .collect();
    devices.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
    devices.dedup();
    devices
}

/// Where hwloc knows nothing it hangs a device below the whole machine: then it is attached to no
/// node in particular, unless there is only one.
fn device_node(device: &TopologyObject, cpus: &[Cpu]) -> Option<u32> {
    let near = device.first_non_io_ancestor()?.nodeset()?;
    let all: BTreeSet<u32> = cpus.iter().map(|cpu| cpu.node).collect();
    let own: Vec<u32> = all.iter().copied().filter(|&node| near.is_set(node as usize)).collect();
    if own.len() == all.len() && all.len() > 1 {
        return None;
    }
    own.first().copied()
}

fn read_distances(hwloc: &Hwloc) -> Result<Option<Distances>, Error> {
    let kind = DistancesKind::MEANS_LATENCY;
    let matrices = hwloc.distances_with_type(Some(kind), ObjectType::NUMANode).map_err(discover_error)?;
    let Some(matrix) = matrices.first() else {
        return Ok(None);
    };
    let nodes: Option<Vec<u32>> = matrix.objects().map(|object| object?.os_index().map(id)).collect();
    let Some(nodes) = nodes else { return Ok(None) };
    let rows = matrix.distances().chunks(nodes.len()).map(<[u64]>::to_vec).collect();
    Ok(Some(Distances { nodes, rows }))
}

/// hwloc's numbers fit: Linux supports fewer than 2^16 CPUs and nodes.
fn id(index: usize) -> u32 {
    u32::try_from(index).expect("hwloc numbers its objects with unsigned 32-bit integers")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use hwlocality::object::distance::AddDistancesFlags;

    use super::*;
    use crate::place::bind_thread_to_cpu;

    fn hwloc(description: &str) -> Hwloc {
        TopologyBuilder::new().from_synthetic(description).unwrap().build().unwrap()
    }

    #[test]
    fn this_machine_is_described_as_the_calling_thread_may_use_it() {
        std::thread::spawn(|| {
            let machine = discover().unwrap();
            assert!(machine.this_system);
            let allowed: Vec<u32> = machine.allowed().map(|cpu| cpu.id).collect();
            assert_eq!(allowed, allowed_cpus().unwrap());
            assert!(machine.cpus.iter().all(|cpu| machine.node(cpu.node).is_some()));
            assert!(machine.usable_nodes().any(|node| node.memory_bytes > 0));

            let last = *allowed.last().unwrap();
            bind_thread_to_cpu(last).unwrap();
            let pinned = discover().unwrap();
            assert_eq!(pinned.allowed().map(|cpu| cpu.id).collect::<Vec<_>>(), [last]);
            assert_eq!(pinned.cpus.len(), machine.cpus.len(), "the others are still there");
        })
        .join()
        .unwrap();
    }

    #[test]
    fn cores_and_sockets_are_numbered_through_the_machine() {
        let machine = from_synthetic("pack:2 [numa(memory=1GiB)] core:2 pu:2(indexes=2*4:1*2)").unwrap();
        let found: Vec<_> = machine.cpus.iter().map(|cpu| (cpu.id, cpu.core, cpu.socket, cpu.node)).collect();
        let expected = [
            (0, 0, 0, 0),
            (1, 1, 0, 0),
            (2, 2, 1, 1),
            (3, 3, 1, 1),
            (4, 0, 0, 0),
            (5, 1, 0, 0),
            (6, 2, 1, 1),
            (7, 3, 1, 1),
        ];
        assert_eq!(found, expected);
        assert!(!machine.this_system);
        assert_eq!(machine.node(1).unwrap().memory_bytes, 1 << 30);
        assert_eq!(machine.distances, None);
    }

    #[test]
    fn a_machine_that_tells_nothing_of_cores_and_sockets_has_one_core_a_cpu() {
        let machine = from_synthetic("[numa] pu:3").unwrap();
        let found: Vec<_> = machine.cpus.iter().map(|cpu| (cpu.id, cpu.core, cpu.socket, cpu.node)).collect();
        assert_eq!(found, [(0, 0, 0, 0), (1, 1, 0, 0), (2, 2, 0, 0)]);
    }

    fn two_nodes(hwloc: &Hwloc) -> (Vec<Option<&TopologyObject>>, Vec<u64>) {
        let nodes = hwloc.objects_with_type(ObjectType::NUMANode).map(Some).collect();
        (nodes, vec![10, 21, 20, 10])
    }

    #[test]
    fn distances_are_read_row_by_row() {
        let mut hwloc = hwloc("pack:2 [numa(memory=1GiB)] pu:2");
        hwloc.edit(|editor| {
            let kind = DistancesKind::MEANS_LATENCY | DistancesKind::FROM_USER;
            editor.add_distances(None, kind, AddDistancesFlags::empty(), two_nodes).unwrap();
        });
        let distances = read(&hwloc).unwrap().distances.unwrap();
        assert_eq!(distances, Distances { nodes: vec![0, 1], rows: vec![vec![10, 21], vec![20, 10]] });
    }

    #[test]
    fn a_description_that_hwloc_refuses_is_quoted() {
        for description in ["", "nonsense", "pack:0", "pack:1\0"] {
            let error = from_synthetic(description).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("hwloc refuses the synthetic topology \"{description}\"")),
                "{error}"
            );
        }
    }
}
