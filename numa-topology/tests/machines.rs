//! From the description of a machine to what is planned there and compared with it, over all descriptions
//! in `tests/recorded` and `tests/described` (README.md says how they were made).

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use auriga_numa_topology::{DeviceKind, Machine, Topology, compare, compare_data, draw, from_xml, plan, svg};

fn directory(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn machine(file: &str) -> Machine {
    from_xml(&std::fs::read_to_string(directory(file)).unwrap()).unwrap()
}

struct Expected {
    file: &'static str,
    /// Online CPUs, allowed ones, cores, nodes.
    counts: [usize; 4],
    /// Caches of level 3.
    shared_caches: usize,
    /// Shards that are planned, and the CPUs kept for housekeeping.
    shards: usize,
    housekeeping: &'static [u32],
    /// Names and nodes of the devices.
    devices: &'static [(&'static str, Option<u32>)],
    /// Part of the only warning.
    warning: Option<&'static str>,
}

const MACHINES: [Expected; 7] = [
    Expected {
        file: "recorded/vm-2-cpus.xml",
        counts: [2, 2, 2, 1],
        shared_caches: 1,
        shards: 2,
        housekeeping: &[],
        devices: &[("vda", Some(0)), ("eth0", Some(0))],
        warning: None,
    },
    Expected {
        file: "described/laptop.xml",
        counts: [8, 8, 4, 1],
        shared_caches: 1,
        shards: 3,
        housekeeping: &[0, 4],
        devices: &[("nvme0n1", Some(0)), ("wlan0", Some(0))],
        warning: None,
    },
    Expected {
        file: "described/laptop-two-kinds.xml",
        counts: [12, 12, 10, 1],
        shared_caches: 1,
        shards: 9,
        housekeeping: &[4],
        devices: &[("nvme0n1", Some(0))],
        warning: Some("7 of 9 shards are on cores of a slower kind"),
    },
    Expected {
        file: "described/two-sockets-32-cores.xml",
        counts: [128, 128, 64, 2],
        shared_caches: 8,
        shards: 60,
        housekeeping: &[0, 1, 32, 33, 64, 65, 96, 97],
        devices: &[
            ("nvme0n1", Some(1)),
            ("nvme1n1", Some(1)),
            ("sda", Some(0)),
            ("eth0", Some(1)),
            ("eth1", Some(1)),
        ],
        warning: None,
    },
    Expected {
        file: "described/four-sockets-28-cores.xml",
        counts: [224, 224, 112, 4],
        shared_caches: 4,
        shards: 105,
        housekeeping: &[0, 1, 28, 29, 56, 57, 84, 112, 113, 140, 141, 168, 169, 196],
        devices: &[
            ("nvme0n1", Some(0)),
            ("nvme1n1", Some(1)),
            ("nvme2n1", Some(2)),
            ("nvme3n1", Some(3)),
            ("sda", None),
            ("eth0", Some(0)),
        ],
        warning: None,
    },
    Expected {
        file: "described/eight-nodes.xml",
        counts: [64, 64, 64, 8],
        shared_caches: 8,
        shards: 60,
        // Of nodes 2 and 5, which have devices, then of the lowest two.
        housekeeping: &[0, 8, 16, 40],
        devices: &[("nvme0n1", Some(2)), ("nvme1n1", Some(5)), ("eth0", Some(5))],
        warning: None,
    },
    Expected {
        file: "described/container-3-of-64.xml",
        counts: [64, 3, 64, 1],
        shared_caches: 8,
        shards: 3,
        housekeeping: &[],
        devices: &[("nvme0n1", Some(0)), ("eth0", Some(0))],
        warning: Some("3 of 64 CPUs are allowed"),
    },
];

#[test]
fn every_description_is_read_planned_and_compared() {
    for expected in MACHINES {
        let Expected { file, .. } = expected;
        let machine = machine(file);
        let cores: BTreeSet<u32> = machine.cpus.iter().map(|cpu| cpu.core).collect();
        let counts = [machine.cpus.len(), machine.allowed().count(), cores.len(), machine.nodes.len()];
        assert_eq!(counts, expected.counts, "{file}");
        assert!(!machine.this_system, "{file}");
        assert_eq!(
            machine.caches.iter().filter(|cache| cache.level == 3).count(),
            expected.shared_caches,
            "{file}"
        );
        let devices: Vec<_> =
            machine.devices.iter().map(|device| (device.name.as_str(), device.node)).collect();
        assert_eq!(devices, expected.devices, "{file}");

        let planned = plan(&machine, None).unwrap();
        let Topology { shards, disks, housekeeping, strict } = &planned.topology;
        assert_eq!(
            (shards.len(), &housekeeping.cpus[..]),
            (expected.shards, expected.housekeeping),
            "{file}"
        );
        assert!(!strict, "{file}");
        let known = machine.disks().filter(|disk| disk.node.is_some()).count();
        assert_eq!(disks.len(), known, "{file}");
        assert_eq!(planned.warnings.len(), usize::from(expected.warning.is_some()), "{file}");
        for (found, part) in planned.warnings.iter().zip(expected.warning) {
            assert!(found.contains(part), "{file}: {found}");
        }

        assert_eq!(compare(&machine, &planned.topology), [], "{file}");
        for disk in disks {
            assert_eq!(compare_data(&machine, &planned.topology, &disk.device), [], "{file}");
        }
        assert_eq!(Topology::parse(&planned.topology.to_toml()).unwrap(), planned.topology, "{file}");
    }
}

#[test]
fn no_description_is_left_out() {
    let named: BTreeSet<String> = MACHINES.iter().map(|one| one.file.to_owned()).collect();
    let mut found = BTreeSet::new();
    for folder in ["recorded", "described"] {
        for entry in std::fs::read_dir(directory(folder)).unwrap() {
            found.insert(format!("{folder}/{}", entry.unwrap().file_name().into_string().unwrap()));
        }
    }
    assert_eq!(found, named);
}

#[test]
fn descriptions_name_no_place() {
    for Expected { file, .. } in MACHINES {
        let text = std::fs::read_to_string(directory(file)).unwrap();
        for name in ["HostName", "Address", "Serial", "LinuxCgroup", "OSVersion", "UUID", "DMI"] {
            assert!(!text.contains(name), "{file} has {name}");
        }
    }
}

#[test]
fn huge_pages_and_kinds_of_cores_are_read() {
    let server = machine("described/two-sockets-32-cores.xml");
    let pages: Vec<_> = server.nodes[1].huge_pages.iter().map(|pages| (pages.bytes, pages.count)).collect();
    assert_eq!(pages, [(2 << 20, 1024), (1 << 30, 0)]);
    assert_eq!(server.nodes[1].memory_bytes, 256 << 30);
    assert_eq!(server.distances.unwrap().rows, [[10, 32], [32, 10]]);
    let laptop = machine("described/laptop-two-kinds.xml");
    let speeds: Vec<u32> = laptop.cpus.iter().map(|cpu| cpu.speed).collect();
    assert_eq!(speeds, [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(plan(&laptop, Some(2)).unwrap().warnings, Vec::<String>::new(), "both on the fast kind");
    assert!(server.devices.iter().any(|device| device.kind == DeviceKind::Nvme));
}

#[test]
fn a_file_for_one_machine_does_not_fit_another() {
    let topology = plan(&machine("described/eight-nodes.xml"), None).unwrap().topology;
    let kinds: BTreeSet<String> = compare(&machine("described/two-sockets-32-cores.xml"), &topology)
        .iter()
        .map(|one| serde_json::to_value(one.kind).unwrap().as_str().unwrap().to_owned())
        .collect();
    for kind in ["node_absent", "node_wrong", "disk_wrong_node"] {
        assert!(kinds.contains(kind), "{kind} is missing in {kinds:?}");
    }
}

#[test]
fn what_is_no_description_is_refused() {
    for text in
        ["", "nonsense", "<topology/>", "<?xml version=\"1.0\"?>\n<topology version=\"2.0\"></topology>"]
    {
        let error = from_xml(text).unwrap_err().to_string();
        assert!(
            error.starts_with("hwloc refuses the recorded topology") && error.contains("lstopo"),
            "{error}"
        );
    }
}

/// x, y, width, height.
type Box = [u32; 4];

/// The class of each box and where it is, from the image.
fn boxes(image: &str) -> Vec<(String, Box)> {
    let document = roxmltree::Document::parse(image).unwrap();
    let boxes = document.descendants().filter(|node| node.has_tag_name("rect"));
    boxes
        .map(|node| {
            let number = |name: &str| node.attribute(name).unwrap().parse().unwrap();
            (node.attribute("class").unwrap().to_owned(), ["x", "y", "width", "height"].map(number))
        })
        .collect()
}

fn apart(one: Box, other: Box) -> bool {
    let clear =
        |axis: usize| one[axis] + one[axis + 2] < other[axis] || other[axis] + other[axis + 2] < one[axis];
    clear(0) || clear(1)
}

#[test]
fn an_image_has_every_cpu_once_and_boxes_that_do_not_overlap() {
    for Expected { file, .. } in MACHINES {
        let machine = machine(file);
        let topology = plan(&machine, None).unwrap().topology;
        let image = svg(&machine, &topology);
        let document = roxmltree::Document::parse(&image).unwrap();
        let mut shown: Vec<u32> = document
            .descendants()
            .filter(|node| node.has_tag_name("text") && node.attribute("class") == Some("cpu"))
            .map(|node| node.text().unwrap().split(':').next().unwrap().parse().unwrap())
            .collect();
        shown.sort_unstable();
        let all: Vec<u32> = machine.cpus.iter().map(|cpu| cpu.id).collect();
        assert_eq!(shown, all, "{file}");

        let boxes = boxes(&image);
        let count = |class: &str| boxes.iter().filter(|(other, _)| other == class).count();
        assert_eq!((count("cpu"), count("node")), (machine.cpus.len(), machine.nodes.len()), "{file}");
        assert_eq!(count("device"), machine.devices.len(), "{file}");
        let page = boxes[0].1;
        for (number, (class, place)) in boxes.iter().enumerate() {
            assert!(
                place[0] + place[2] <= page[2] && place[1] + place[3] <= page[3],
                "{file}: {class} {place:?}"
            );
            for (other_class, other) in &boxes[..number] {
                assert!(
                    class != other_class || apart(*place, *other),
                    "{file}: {class} {place:?} on {other:?}"
                );
            }
        }
    }
}

#[test]
fn text_is_within_its_box() {
    // Fonts of equal width need 0.6 of their size for a character.
    const CHARACTER_PX: f64 = 12.0 * 0.6;
    for Expected { file, .. } in MACHINES {
        let machine = machine(file);
        let image = svg(&machine, &plan(&machine, None).unwrap().topology);
        let document = roxmltree::Document::parse(&image).unwrap();
        let mut outer: Option<[f64; 4]> = None;
        for node in document.descendants() {
            let number = |name: &str| node.attribute(name).unwrap().parse::<f64>().unwrap();
            if node.has_tag_name("rect") {
                outer = Some(["x", "y", "width", "height"].map(number));
            } else if node.has_tag_name("text") {
                let [x, y, width, height] = outer.unwrap();
                let text = node.text().unwrap();
                let end =
                    number("x") + CHARACTER_PX * f64::from(u32::try_from(text.chars().count()).unwrap());
                assert!(number("x") > x && end < x + width, "{file}: {text}");
                assert!(number("y") > y && number("y") < y + height, "{file}: {text}");
            }
        }
    }
}

#[test]
fn a_terminal_shows_caches_huge_pages_and_devices_at_their_node() {
    let two = machine("described/two-sockets-32-cores.xml");
    let drawing = draw(&two, Some(&plan(&two, None).unwrap().topology));
    for line in [
        "node 1, 256.0 GiB, huge pages 1024 x 2 MiB",
        "L3 4 x 32 MiB: 0-7,64-71 | 8-15,72-79 | 16-23,80-87 | 24-31,88-95",
        "devices: nvme0n1 (NVMe), nvme1n1 (NVMe), eth0 (network), eth1 (network)",
        "devices: sda (disk)",
    ] {
        assert!(drawing.contains(line), "{line} is missing:\n{drawing}");
    }
    let four = machine("described/four-sockets-28-cores.xml");
    assert!(draw(&four, None).contains("node not known: sda (disk)"));
    for Expected { file, .. } in MACHINES {
        let machine = machine(file);
        let widest = draw(&machine, None).lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= 100, "{file}: {widest} columns");
    }
}
