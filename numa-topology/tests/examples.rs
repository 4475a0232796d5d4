//! Each shipped example file fits the machine it is for, and is what the planner would write there.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use auriga_numa_topology::{Machine, Topology, compare, from_synthetic, plan};

fn examples_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// File and the machine it is for.
fn examples() -> Vec<(&'static str, Machine)> {
    let container = from_synthetic("pack:1 [numa(memory=256GiB)] core:64 pu:1").unwrap();
    let machine = |description| from_synthetic(description).unwrap();
    vec![
        ("laptop.toml", machine("pack:1 [numa(memory=32GiB)] core:4 pu:2(indexes=2*4:1*2)")),
        ("two-sockets-32-cores.toml", machine("pack:2 [numa(memory=256GiB)] core:32 pu:2(indexes=2*64:1*2)")),
        (
            "four-sockets-28-cores.toml",
            machine("pack:4 [numa(memory=192GiB)] core:28 pu:2(indexes=2*112:1*2)"),
        ),
        ("container-3-of-64.toml", container.with_allowed_cpus(&[12, 13, 14])),
        ("vm-2-cpus.toml", machine("pack:1 [numa(memory=16GiB)] core:2 pu:1")),
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
    assert_eq!(lines.len(), 3, "shard 0 on cpu 1 and housekeeping on cpu 0 fit: {lines:?}");
    assert!(lines.iter().all(|line| line.contains("the machine has CPUs 0-1")), "{lines:?}");
}

#[test]
fn the_file_in_the_readme_fits_the_laptop() {
    let readme = include_str!("../README.md");
    let block = readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let (_, laptop) = examples().swap_remove(0);
    let topology = Topology::parse(block).unwrap();
    assert_eq!(topology, plan(&laptop, None).unwrap().topology);
}
