//! Directories that any earlier version of the format has written are read, to the byte, and go on.

use auriga_shards::checkpoint::{manifest, sheet};
use auriga_shards::log::{block, cut, segment};
use auriga_tests::harness::{Scratch, Start, run_auriga, text};
use auriga_tests::load::{account, connect, transfer};
use auriga_wire::IdGenerator;
use std::fs;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_128;

#[test]
fn every_version_of_the_format_is_read() {
    let scratch = Scratch::new("upgrade");
    let present = format!(
        "segment-{}-block-{}-cut-{}-rules-{}-sheet-{}-manifest-{}",
        segment::VERSION,
        block::VERSION,
        cut::VERSION,
        cut::RULES,
        sheet::VERSION,
        manifest::VERSION
    );
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    assert!(all.join(&present).is_dir(), "a version has changed: run tests/data/make tests/data/{present}");
    let folders = fs::read_dir(&all).expect("the folder is there").flatten().map(|entry| entry.path());
    for version in folders.filter(|path| path.is_dir()) {
        for ids in ["time", "any"] {
            let (backup, data) = (version.join(ids), scratch.join(ids));
            let restored =
                run_auriga(&["restore", text(&backup), "--data", text(&data)]).expect(0, &[]).stdout;
            let verified = run_auriga(&["inspect", "--verify", "--data", text(&data)]).expect(0, &[]).stdout;
            assert!(verified.contains("as a replay says"), "{}: {verified}", version.display());
            for shards in [2, 4] {
                // The clock is far ahead of an old directory's.
                let server = Start::new(&data).shards(shards).with(&["--accept-clock"]).serve();
                let mut client = connect(server.address());
                let id = 1_000 + u128::from(shards);
                let created = client.create_accounts(&[account(id, 0), account(id + 1_000, 0)]);
                assert!(created.expect("the server answers").refusals.is_empty());
                let transfer = transfer(IdGenerator::new().next_id(), id, id + 1_000, 5);
                assert!(
                    client.create_transfers(&[transfer]).expect("the server answers").refusals.is_empty()
                );
                let found = client.lookup_accounts(&[id]).expect("the server answers");
                assert_eq!((found.len(), found[0].debits_posted), (1, 5), "{restored}");
                server.stop();
            }
            fs::remove_dir_all(&data).expect("removed");
        }
    }
}

/// Whoever goes back to an older program learns what is missing, and not that a checkpoint is damaged.
#[test]
fn checkpoints_of_a_newer_version_are_refused_by_name() {
    let scratch = Scratch::new("newer-checkpoint");
    let folders =
        fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("data")).expect("the folder is there");
    let version =
        folders.flatten().map(|entry| entry.path()).find(|path| path.is_dir()).expect("a directory");
    let data = scratch.join("data");
    run_auriga(&["restore", text(&version.join("any")), "--data", text(&data)]).expect(0, &[]);
    let path = data.join("checkpoints/0/manifest");
    let good = fs::read(&path).expect("the restored directory has a checkpoint");
    let (newer_format, newer_rules) = (manifest::VERSION + 1, cut::RULES + 1);
    let cases = [
        (52, newer_format, format!("manifest format {newer_format} and rules {}", cut::RULES)),
        (54, newer_rules, format!("manifest format {} and rules {newer_rules}", manifest::VERSION)),
    ];
    for (place, number, words) in cases {
        let mut bytes = good.clone();
        bytes[place..place + 2].copy_from_slice(&number.to_le_bytes());
        let checksum = xxh3_128(&bytes[16..]);
        bytes[..16].copy_from_slice(&checksum.to_le_bytes());
        fs::write(&path, &bytes).expect("written");
        let expected = [&*words, "start the newer one that wrote it", "checkpoints/0/manifest"];
        Start::new(&data).shards(2).with(&["--accept-clock"]).fail().expect(4, &expected);
        for mode in ["--digest", "--verify"] {
            run_auriga(&["inspect", mode, "--data", text(&data)]).expect(4, &expected);
        }
    }
    fs::write(&path, &good).expect("written");
    Start::new(&data).shards(2).with(&["--accept-clock"]).serve().stop();
}
