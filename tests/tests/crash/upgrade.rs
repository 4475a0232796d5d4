//! Directories that any earlier version of the format has written are read, to the byte, and go on.

use auriga_shards::checkpoint::{manifest, sheet};
use auriga_shards::log::{block, cut, segment};
use auriga_tests::harness::{Scratch, Start, run_auriga, text};
use auriga_tests::load::{account, connect, transfer};
use auriga_wire::IdGenerator;
use std::fs;
use std::path::Path;

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
