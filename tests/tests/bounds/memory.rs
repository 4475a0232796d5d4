//! Memory of a server at rest, and memory that it takes before it needs it.

use crate::raw::resident_bytes;
use auriga_tests::harness::{Scratch, Start, format};

/// Resident memory of a server that nobody has asked for more.
const AT_REST_MAX: u64 = 256 << 20;
const PREFAULT: u64 = 64 << 20;

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
fn memory_that_is_asked_for_is_there_before_the_server_serves() {
    let scratch = Scratch::new("prefault");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).with(&["--prefault", &PREFAULT.to_string()]).serve();
    let bytes = resident_bytes(&server);
    assert!(bytes >= PREFAULT, "{bytes} bytes are resident, {PREFAULT} were asked for");
    server.stop();
}
