//! The topology file.

use auriga_fuzzing::{Flips, damage, inputs};
use auriga_numa_topology::Topology;

const GOOD: &str = "format = 1\nshards = [\n    { cpu = 0, node = 0 },\n    { cpu = 1, node = 1 },\n]\n\n[housekeeping]\ncpus = [2, 3]\n";

/// What is accepted can be written and read again.
fn parse(text: &str) {
    if let Ok(topology) = Topology::parse(text) {
        assert!(!topology.shards.is_empty());
        let again = Topology::parse(&topology.to_toml()).expect("what is written can be read");
        assert_eq!(again, topology);
    }
}

#[test]
fn any_text() {
    inputs!(String).for_each(|text| parse(text));
}

#[test]
fn a_damaged_file() {
    assert!(Topology::parse(GOOD).is_ok());
    inputs!(Flips).for_each(|flips| {
        let mut bytes = GOOD.as_bytes().to_vec();
        damage(&mut bytes, flips);
        parse(&String::from_utf8_lossy(&bytes));
    });
}

#[test]
fn numbers_of_any_size() {
    let input = inputs!((i64, Vec<(i64, i64)>, Vec<u64>));
    input.for_each(|(format, shards, cpus)| {
        let format = if format % 2 == 0 { 1 } else { *format };
        let shards: Vec<_> =
            shards.iter().map(|(cpu, node)| format!("{{ cpu = {cpu}, node = {node} }}")).collect();
        parse(&format!(
            "format = {format}\nshards = [{}]\n[housekeeping]\ncpus = {cpus:?}\n",
            shards.join(", ")
        ));
    });
}
