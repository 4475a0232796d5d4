//! A full log: new batches are refused, reads go on, nothing acknowledged is lost, and with room it goes on. A full disk is in
//! `faults`.

use auriga_tests::full::{expect_readable, fill, go_on};
use auriga_tests::harness::{Scratch, Start, format, seed};

/// Room for the cut log and two segments of one stream.
const LOG_MAX: &str = "180000000";

#[test]
fn a_full_log_refuses_batches_and_loses_nothing() {
    let mut random = fastrand::Rng::with_seed(seed("full log"));
    let scratch = Scratch::new("full-log");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).with(&["--log-max", LOG_MAX]).shards(1).serve();
    let book = fill(&server, &mut random);
    // A restart into the same bound: still full, still readable.
    server.stop();
    let server = Start::new(&data).with(&["--log-max", LOG_MAX]).shards(1).serve();
    expect_readable(&book, &server);
    server.kill();
    go_on(&data, book, &mut random);
}
