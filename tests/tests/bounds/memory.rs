//! Memory of a server at rest, and memory that it takes before it needs it.

use crate::raw::{client, resident_bytes};
use auriga_tests::book::Book;
use auriga_tests::harness::{Scratch, Start, format, seed};
use auriga_tests::load::{Pattern, drive_many};

/// Resident memory of a server that nobody has asked for more.
const AT_REST_MAX: u64 = 256 << 20;
const PREFAULT: u64 = 64 << 20;
/// Their ids take 30 MiB.
const TRANSFERS: usize = 600_000;

#[test]
fn a_server_at_rest_takes_little_memory() {
    let scratch = Scratch::new("at-rest");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).serve();
    let bytes = resident_bytes(&server);
    eprintln!("memory: {} MiB at rest", bytes >> 20);
    assert!(bytes < AT_REST_MAX, "{bytes} bytes");
    server.stop();
}

#[test]
fn tables_grow_into_memory_that_was_touched_at_the_start() {
    let mut random = fastrand::Rng::with_seed(seed("prefault"));
    let [grown, grown_into] = [0, PREFAULT].map(|prefault| {
        let scratch = Scratch::new("prefault");
        let data = scratch.join("data");
        format(&data);
        let options = ["--history", "off", "--prefault", &prefault.to_string()];
        let server = Start::new(&data).shards(1).with(&options).serve();
        let before = resident_bytes(&server);
        assert!(before >= prefault, "{before} bytes are resident, {prefault} were asked for");
        let mut book = Book::default();
        book.open_accounts(&mut client(&server), 100);
        let pattern = [Pattern { batches: vec![8_190], transfers_max: TRANSFERS, ..Pattern::ENDLESS }];
        let told = drive_many(server.address(), &mut random, &book.choice(), &pattern, u64::MAX, || {});
        book.note(told);
        let grown = resident_bytes(&server).saturating_sub(before);
        server.stop();
        grown
    });
    eprintln!("memory: {} MiB more, {} with touched memory", grown >> 20, grown_into >> 20);
    assert!(grown_into + (10 << 20) < grown, "{grown_into} bytes more with touched memory, {grown} without");
}
