//! A data directory has no number of shards of its own.

use auriga_tests::book::Book;
use auriga_tests::harness::{Scratch, Start, format, run_auriga, seed, text};
use auriga_tests::load::{Pattern, connect, drive_many};

#[test]
fn any_number_of_shards_reads_what_two_wrote() {
    let mut random = fastrand::Rng::with_seed(seed("shards"));
    let scratch = Scratch::new("shards");
    let data = scratch.join("data");
    format(&data);
    let mut book = Book::default();
    let server = Start::new(&data).shards(2).serve();
    let mut client = connect(server.address());
    book.open_accounts(&mut client, 200);
    let patterns = [
        Pattern { batches: vec![1, 50], in_flight: 8, transfers_max: 5_000, ..Pattern::ENDLESS },
        Pattern { batches: vec![500, 8_190], in_flight: 4, transfers_max: 60_000, ..Pattern::ENDLESS },
        Pattern { batches: vec![100], in_flight: 16, transfers_max: 20_000, ..Pattern::ENDLESS },
    ];
    let told = drive_many(server.address(), &mut random, &book.choice(), &patterns, u64::MAX, || {});
    book.note(told);
    let digest = client.status(true).expect("a status").digest;
    assert!(digest.is_some());
    server.stop();
    for shards in [1, 3, 4, 8, 2] {
        let server = Start::new(&data).shards(shards).serve();
        let mut client = connect(server.address());
        let status = client.status(true).expect("a status");
        assert_eq!((status.digest, status.shards), (digest, u32::from(shards)));
        assert_eq!(status.ids as usize, book.created().len() + book.refused().len());
        server.stop();
    }
    let report = run_auriga(&["inspect", "--data", text(&data), "--digest", "--json"]).expect(0, &[]).json();
    assert_eq!(report["state"]["digest"], format!("{:032x}", digest.unwrap_or_default()));
    let server = Start::new(&data).shards(3).serve();
    let mut client = connect(server.address());
    book.check(&mut client, &mut random, true);
    server.stop();
}
