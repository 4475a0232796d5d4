//! Each shipped example file fits the machine it is for, and is what the planner would write there.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use auriga_numa_topology::{Machine, Topology, compare, from_xml, plan};

fn examples_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// File and the machine it is for.
fn examples() -> Vec<(&'static str, Machine)> {
    let machine = |file| {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(file);
        from_xml(&std::fs::read_to_string(path).unwrap()).unwrap()
    };
    vec![
        ("laptop.toml", machine("described/laptop.xml")),
        ("two-sockets-32-cores.toml", machine("described/two-sockets-32-cores.xml")),
        ("four-sockets-28-cores.toml", machine("described/four-sockets-28-cores.xml")),
        ("eight-nodes.toml", machine("described/eight-nodes.xml")),
        ("container-3-of-64.toml", machine("described/container-3-of-64.xml")),
        ("vm-2-cpus.toml", machine("recorded/vm-2-cpus.xml")),
    ]
}

#[test]
fn every_example_fits_its_machine() {
    for (file, machine) in examples() {
        let topology = Topology::load(&examples_dir().join(file)).unwrap();
        assert_eq!(compare(&machine, &topology), [], "{file}");
    }
}

#[test]
fn every_example_is_what_the_planner_writes() {
    for (file, machine) in examples() {
        let text = std::fs::read_to_string(examples_dir().join(file)).unwrap();
        let written = plan(&machine, None).unwrap().topology.to_toml();
        assert!(text.ends_with(&written), "{file} differs from the plan:\n{written}");
        let heading = text.strip_suffix(&written).unwrap();
        assert!(heading.lines().count() >= 2 && heading.lines().all(|line| line.starts_with('#')), "{file}");
    }
}

#[test]
fn no_example_is_left_out_here() {
    let named: BTreeSet<String> = examples().iter().map(|(file, _)| (*file).to_owned()).collect();
    let entries = std::fs::read_dir(examples_dir()).unwrap();
    let found: BTreeSet<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(found, named);
}

#[test]
fn an_example_does_not_fit_another_machine() {
    let (_, vm) = examples().pop().unwrap();
    let laptop = Topology::load(&examples_dir().join("laptop.toml")).unwrap();
    let lines: Vec<String> = compare(&vm, &laptop).iter().map(ToString::to_string).collect();
    let (cpus, rest): (Vec<_>, Vec<_>) =
        lines.iter().partition(|line| line.contains("the machine has CPUs 0-1"));
    assert_eq!(cpus.len(), 3, "shard 0 on cpu 1 and housekeeping on cpu 0 fit: {lines:?}");
    assert_eq!(rest.len(), 1, "{lines:?}");
    assert!(rest[0].contains("disk nvme0n1, node 0: the machine has vda"), "{lines:?}");
}

#[test]
fn the_file_in_the_readme_fits_the_laptop() {
    let readme = include_str!("../README.md");
    let block = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let (_, laptop) = examples().swap_remove(0);
    let topology = Topology::parse(block).unwrap();
    assert_eq!(topology, plan(&laptop, None).unwrap().topology);
}
