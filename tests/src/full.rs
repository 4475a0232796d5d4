//! A server whose log has no more room: what it still does, and that it goes on when there is room again.

use crate::book::Book;
use crate::harness::{Server, Start};
use crate::load::{Pattern, Told, account, connect, connect_once, drive_many};
use auriga_wire::{Error, FaultCode};
use std::path::Path;

/// Fills the log until batches are refused, and checks what still works. Returns the books.
pub fn fill(server: &Server, random: &mut fastrand::Rng) -> Book {
    let mut book = Book::default();
    let mut client = connect(server.address());
    book.open_accounts(&mut client, 100);
    let patterns = [
        Pattern { batches: vec![8_190], in_flight: 4, transfers_max: 2_500_000, ..Pattern::ENDLESS },
        Pattern { batches: vec![500], in_flight: 4, transfers_max: 100_000, ..Pattern::ENDLESS },
    ];
    let told = drive_many(server.address(), random, &book.choice(), &patterns, u64::MAX, || {});
    let turned_away = told.iter().filter(|sent| sent.told == Told::TurnedAway(FaultCode::LogFull)).count();
    assert!(turned_away > 0, "the log was never full: {} transfers were taken", told.len());
    assert!(told.iter().all(|sent| sent.told != Told::Nothing), "every batch was answered");
    book.note(told);
    eprintln!("full log: {} transfers created, then {turned_away} turned away", book.created().len());
    assert!(book.created().len() > 100_000, "the log took much before it was full");
    // What is left may take a small batch, but no large one.
    let large: Vec<_> = (10_000..18_190).map(|id| account(id, 0)).collect();
    let error = connect_once(server.address()).create_accounts(&large).expect_err("full");
    assert!(matches!(&error, Error::Refused(fault) if fault.code == FaultCode::LogFull), "{error}");
    assert!(error.to_string().contains("free space or raise --log-max"), "{error} says what to do");
    expect_readable(&book, server);
    book
}

/// Reads go on, and tell of everything acknowledged.
pub fn expect_readable(book: &Book, server: &Server) {
    let mut client = connect(server.address());
    for batch in [&book.created()[..1_000], &book.created()[book.created().len() - 1_000..]] {
        let ids: Vec<_> = batch.iter().map(|transfer| transfer.id).collect();
        assert_eq!(client.lookup_transfers(&ids).expect("reads go on"), batch);
    }
    assert_eq!(client.lookup_accounts(&[1, 2, 3]).expect("reads go on").len(), 3);
    assert!(client.status(true).expect("reads go on").digest.is_some());
}

/// Restarts with room: everything is there and batches are taken again.
pub fn go_on(data: &Path, mut book: Book, random: &mut fastrand::Rng) {
    let server = Start::new(data).shards(2).serve();
    let mut client = connect(server.address());
    book.check(&mut client, random, true);
    book.open_accounts(&mut client, 10);
    let patterns =
        [Pattern { batches: vec![8_190], in_flight: 2, transfers_max: 50_000, ..Pattern::ENDLESS }];
    let before = book.created().len();
    book.note(drive_many(server.address(), random, &book.choice(), &patterns, u64::MAX, || {}));
    assert!(book.created().len() > before + 30_000, "batches are taken again");
    book.check(&mut client, random, false);
    server.stop();
}
