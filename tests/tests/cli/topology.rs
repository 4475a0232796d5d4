//! `topology`: the image, what a data directory's disk adds to a check, and files that allow no warning.

use auriga_numa_topology::{Machine, Topology, disks_of, from_xml};
use auriga_tests::harness::{Finished, Scratch, Start, auriga, format, not_run, run, run_auriga, text};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Two sockets of 32 cores with SMT; NVMe disks on the second.
fn server_description() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../numa-topology/tests/described/two-sockets-32-cores.xml");
    std::fs::read_to_string(path).expect("the description is there")
}

fn described(text: &str) -> Machine {
    from_xml(text).expect("hwloc reads its own format")
}

/// A description of a machine in a file, for hwloc to read in place of this machine.
fn write(scratch: &Scratch, name: &str, text: &str) -> PathBuf {
    let path = scratch.join(name);
    std::fs::write(&path, text).expect("the file is written");
    path
}

/// The program, on the machine that is described.
fn run_on(description: &Path, arguments: &[&str]) -> Finished {
    let mut command = auriga(arguments);
    command.env("HWLOC_XMLFILE", description);
    run(command)
}

/// A CPU of this machine that the planner gives a shard.
fn some_cpu() -> u64 {
    let plan = run_auriga(&["topology", "discover", "--json"]).expect(0, &[]).json();
    plan["plan"]["topology"]["shards"][0]["cpu"].as_u64().expect("a shard has a CPU")
}

#[test]
fn discover_tells_of_caches_huge_pages_and_devices() {
    let scratch = Scratch::new("topology-json");
    let file = write(&scratch, "server.xml", &server_description());
    let found = run_on(&file, &["topology", "discover", "--json"]).expect(0, &[]).json();
    let machine = &found["machine"];
    let first: Vec<u32> = (0..8).chain(64..72).collect();
    let of_level_3 = |cache: &&Value| cache["level"] == 3;
    let cache = machine["caches"].as_array().and_then(|caches| caches.iter().find(of_level_3));
    assert_eq!(cache, Some(&json!({"level": 3, "bytes": 32 << 20, "cpus": first})));
    assert_eq!(machine["nodes"][0]["huge_pages"][0], json!({"bytes": 2 << 20, "count": 1024}));
    assert_eq!(machine["devices"][0], json!({"name": "nvme0n1", "kind": "nvme", "node": 1}));
    assert_eq!(found["plan"]["topology"]["disks"][2], json!({"device": "sda", "node": 0}));
    let written = run_on(&file, &["topology", "discover"]).expect(0, &[]).stdout;
    assert!(written.contains("\n    { device = \"nvme1n1\", node = 1 },\n"), "{written}");
}

#[test]
fn show_draws_an_image() {
    let scratch = Scratch::new("topology-svg");
    let image = scratch.join("machine.svg");
    let said = run_auriga(&["topology", "show", "--svg", text(&image)]).expect(0, &[]);
    assert_eq!(said.stdout, "");
    let drawn = std::fs::read_to_string(&image).expect("the image is there");
    assert!(drawn.starts_with("<svg ") && drawn.ends_with("</svg>\n"), "{drawn}");
    assert!(drawn.contains(&format!(">{}:s0</text>", some_cpu())), "{drawn}");
    run_auriga(&["topology", "show", "--svg", "/nowhere/machine.svg"]).expect(4, &["/nowhere/machine.svg"]);
    run_auriga(&["topology", "show", "--json", "--svg", text(&image)]).expect(2, &["--svg"]);
}

#[test]
fn a_strict_file_allows_no_warning() {
    let scratch = Scratch::new("strict");
    let data = scratch.join("data");
    format(&data);
    let cpu = some_cpu();
    let file = |strict: bool| {
        let content = format!(
            "format = 1\nstrict = {strict}\nshards = [{{ cpu = {cpu}, node = 0 }}]\n[housekeeping]\ncpus = [{cpu}, {cpu}]\n"
        );
        write(&scratch, &format!("strict-{strict}.toml"), &content)
    };
    let warning = format!("warning: housekeeping, cpu {cpu}: shard 0 runs there");

    let lenient = file(false);
    let said = run_auriga(&["topology", "check", "--topology", text(&lenient)]).expect(0, &[]);
    assert!(said.stdout.contains(&warning) && said.stdout.contains("fits this machine"), "{}", said.stdout);
    let server = Start::new(&data).with(&["--topology", text(&lenient)]).serve();
    server.wait_for(&warning[9..]);
    server.stop();

    let strict = file(true);
    let check = ["topology", "check", "--topology", text(&strict)];
    let said = run_auriga(&check).expect(1, &[]);
    assert!(said.stdout.contains(&warning), "{}", said.stdout);
    assert!(said.stdout.contains("does not fit this machine (strict = true"), "{}", said.stdout);
    let report = run_auriga(&[&check[..], &["--json"]].concat()).expect(1, &[]).json();
    assert_eq!((&report["fits"], &report["strict"]), (&json!(false), &json!(true)));
    assert_eq!(report["mismatches"].as_array().map(Vec::len), Some(2));
    let refused = Start::new(&data).with(&["--topology", text(&strict)]).fail();
    let refused = refused.expect(4, &["does not fit this machine, and says `strict = true`"]);
    assert_eq!(refused.stderr.matches(&warning).count(), 2, "all are named: {}", refused.stderr);

    let calm = format!("format = 1\nstrict = true\nshards = [{{ cpu = {cpu}, node = 0 }}]\n");
    let calm = write(&scratch, "calm.toml", &calm);
    if run_auriga(&["topology", "check", "--topology", text(&calm)]).code == Some(0) {
        Start::new(&data).with(&["--topology", text(&calm)]).serve().stop();
    } else {
        not_run(
            "cli: a strict server that starts",
            "the first shard's CPU is not on node 0, or its time is limited",
        );
    }
}

#[test]
fn a_data_directory_is_checked_for_its_disk() {
    let scratch = Scratch::new("data-disk");
    let disks = disks_of(scratch.path()).expect("the directory is there");
    let [disk] = &disks[..] else {
        return not_run("cli: the disk of a data directory", "it is on no disk, or on several");
    };
    let data = scratch.join("data");
    format(&data);
    let check = |description: &Path, file: &Path| {
        run_on(description, &["topology", "check", "--topology", text(file), "--data", text(&data)])
    };

    // The disk is none that the file lists.
    let description = server_description();
    let xml = write(&scratch, "server.xml", &description);
    let on = |cpu| {
        format!("shards = [{{ cpu = {cpu}, node = 0 }}]\ndisks = [{{ device = \"nvme0n1\", node = 1 }}]\n")
    };
    let file = write(&scratch, "other.toml", &format!("format = 1\n{}", on(2)));
    let said = check(&xml, &file).expect(0, &[]);
    let elsewhere =
        format!("data directory: it is on disk {disk}, expected one of the file's disks, nvme0n1");
    assert!(said.stdout.contains(&elsewhere), "{}", said.stdout);

    // It is, and is attached to the other socket. Names of NVMe disks are known to be on the second.
    let moved = description.replace("\"nvme0n1\"", &format!("\"{disk}\""));
    let node = described(&moved).disks().find(|found| found.name == *disk).and_then(|found| found.node);
    assert_eq!(node, Some(1), "{moved}");
    let moved = write(&scratch, "moved.xml", &moved);
    let one_socket = "format = 1\nstrict = true\nshards = [{ cpu = 2, node = 0 }]\n";
    let file = write(&scratch, "socket.toml", one_socket);
    let said = check(&moved, &file).expect(1, &[]);
    let far = format!("data directory, disk {disk}: the disk is attached to node 1 on socket 1");
    assert!(said.stdout.contains(&far), "{}", said.stdout);
    assert_eq!(
        run_on(&moved, &["topology", "check", "--topology", text(&file)]).code,
        Some(0),
        "no data: no word"
    );
    let missing = ["topology", "check", "--data", "/nowhere/data"];
    run_auriga(&missing).expect(4, &["cannot tell on which disk /nowhere/data lies"]);

    // The server says the same, and refuses if it is to be strict.
    let cpu = some_cpu();
    for strict in [false, true] {
        let content = format!("format = 1\nstrict = {strict}\n{}", on(cpu));
        let topology = Topology::parse(&content).expect("a topology");
        if !auriga_numa_topology::compare(&described(&description), &topology).is_empty() {
            return not_run(
                "cli: a server on another disk",
                "this machine's first shard is on none of the described CPUs",
            );
        }
        let file = write(&scratch, "server.toml", &content);
        let mut start = Start::new(&data).with(&["--topology", text(&file)]);
        start.command().env("HWLOC_XMLFILE", &xml);
        if strict {
            start.fail().expect(4, &["strict = true", &elsewhere]);
        } else {
            let server = start.serve();
            server.wait_for(&elsewhere);
            server.stop();
        }
    }
}
