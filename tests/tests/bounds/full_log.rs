//! A full log: new batches are refused, reads go on, nothing acknowledged is lost, and with room it goes on. A full disk is in
//! `faults`.

use auriga_shards::limits::CUT_SEGMENT_SLOTS;
use auriga_shards::log::File;
use auriga_tests::book::Book;
use auriga_tests::full::{expect_readable, fill, go_on};
use auriga_tests::harness::{Scratch, Start, format, seed, wait_until};
use auriga_tests::load::{connect, fill_log};
use std::fs;

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

/// Segments that are kept to be used again are of streams. A file of cuts takes their room, and the batches go on.
#[test]
fn spare_segments_give_way_to_cuts() {
    const SPARES: u64 = 3;
    let mut random = fastrand::Rng::with_seed(seed("spare segments"));
    let scratch = Scratch::new("spare-segments");
    let data = scratch.join("data");
    format(&data);
    let options = ["--checkpoint-every", "0", "--history", "off"];
    let server = Start::new(&data).with(&options).shards(1).serve();
    let segment = data.join("streams/000-00000000.log");
    wait_until("the segment is made", || segment.exists());
    server.stop();
    let (cuts, stream) = (File::Cuts { segment: 0 }.size(), File::Stream { stream: 0, segment: 0 }.size());
    let spares = data.join("spare");
    fs::create_dir_all(&spares).expect("made");
    for number in 0..SPARES {
        fs::copy(&segment, spares.join(format!("{number:08}"))).expect("copied");
    }
    let files = |folder: &str| fs::read_dir(data.join(folder)).expect("it is there").count() as u64;
    // All that is there, and half a file of cuts.
    let log_max = cuts * files("cuts") + stream * (files("streams") + SPARES) + cuts / 2;
    let log_max = log_max.to_string();
    let server = Start::new(&data).with(&options).with(&["--log-max", &log_max]).shards(1).serve();
    let mut book = Book::default();
    book.open_accounts(&mut connect(server.address()), 10);
    let cuts = files("cuts");
    fill_log(server.address(), (cuts * CUT_SEGMENT_SLOTS) as usize, 1, 1).expect("the server answers");
    wait_until("there is another file of cuts", || files("cuts") > cuts);
    book.check(&mut connect(server.address()), &mut random, true);
    server.stop();
}
