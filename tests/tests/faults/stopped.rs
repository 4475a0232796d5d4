//! Processes that stand still for a while (SIGSTOP): the server, and clients in the middle of a request.

use crate::ledger::check;
use auriga_tests::book::Book;
use auriga_tests::harness::{
    Scratch, Server, Start, bench, format, run_with, seed, signal, stop_process, wait_until,
};
use auriga_tests::load::{Pattern, Sent, Told, connect, drive_while, options, transfer, wait_for_answers};
use auriga_wire::record::TransferFlags;
use auriga_wire::{Client, Error, IdGenerator, RequestFrame, Transfer, TransferCode};
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long an impatient client waits, and how many such waits the server stands still.
const PATIENCE: Duration = Duration::from_secs(1);
const WAITS: usize = 3;
/// Batches that are answered before and after.
const ANSWERS: u64 = 100;

fn small_batches() -> Pattern {
    Pattern { batches: vec![1, 20], ..Pattern::ENDLESS }
}

/// Connections that the server closed for a reason of its own.
fn closed_by_server(client: &mut Client) -> Vec<(String, u64)> {
    let status = client.status(false).expect("a status");
    status.closed.into_iter().filter(|(reason, _)| reason != "client_closed").collect()
}

/// Sends batches to a server that stands still: each comes back without an answer, in its time.
fn send_in_vain(server: &Server, ids: &mut IdGenerator) -> Vec<Transfer> {
    let impatient = auriga_wire::Options { read_timeout: PATIENCE, attempts: 1, ..options() };
    let mut all = Vec::new();
    for _ in 0..WAITS {
        let batch: Vec<_> = (0..50).map(|i| transfer(ids.next_id(), 1 + i % 3, 5, 1)).collect();
        // The kernel takes the connection and the request for it.
        let mut client = Client::connect(server.address(), impatient.clone()).expect("the kernel answers");
        let error = client.create_transfers(&batch).expect_err("the server stands still");
        assert!(
            matches!(&error, Error::Lost { source, .. } if source.kind() == std::io::ErrorKind::TimedOut),
            "{error}"
        );
        assert!(error.is_transient() && error.is_outcome_unknown());
        all.extend(batch);
    }
    all
}

#[test]
fn a_server_that_stood_still_goes_on_and_applies_nothing_twice() {
    let mut random = fastrand::Rng::with_seed(seed("stopped server"));
    let scratch = Scratch::new("stopped");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).with(&["--checkpoint-every", "1000000"]).serve();
    let mut control = connect(server.address());
    let mut book = Book::default();
    book.open_accounts(&mut control, 100);
    let mut ids = IdGenerator::with_seed(random.u64(..));
    // It expires while the server stands still.
    let expiring =
        Transfer { flags: TransferFlags::PENDING, timeout: 1, ..transfer(ids.next_id(), 1, 2, 10) };
    let mut sent_in_vain = Vec::new();
    let told = drive_while(
        server.address(),
        random.u64(..),
        &book.choice_of_two_phases(),
        &small_batches(),
        |answers| {
            wait_for_answers(answers, ANSWERS);
            assert_eq!(control.create_transfers(&[expiring]).expect("created").refusals, []);
            stop_process(server.id());
            sent_in_vain = send_in_vain(&server, &mut ids);
            let before = answers.load(Ordering::Relaxed);
            server.signal(libc::SIGCONT);
            wait_for_answers(answers, before + ANSWERS);
        },
    );
    assert!(told.iter().all(|sent| sent.told != Told::Nothing), "who waits is answered");
    book.note(told);

    // The same again: created now, or by what the kernel had kept of the first attempt.
    let again = control.create_transfers(&sent_in_vain).expect("answered");
    let exists = TransferCode::Exists.number();
    assert!(again.refusals.iter().all(|refusal| refusal.code == exists), "{:?}", again.refusals);
    book.note(
        sent_in_vain
            .iter()
            .map(|transfer| Sent { transfer: *transfer, told: Told::Nothing, times: (0, 0) })
            .collect(),
    );
    let post = Transfer {
        pending_id: expiring.id,
        flags: TransferFlags::POST_PENDING_TRANSFER,
        id: ids.next_id(),
        amount: u128::MAX,
        ..Transfer::default()
    };
    let posted = control.create_transfers(&[post]).expect("answered");
    assert_eq!(posted.refusals[0].code, TransferCode::PendingTransferExpired.number());
    wait_until("what has expired is given back", || {
        let status = control.status(false).expect("a status");
        status.pendings as usize == book.pendings()
    });
    assert_eq!(closed_by_server(&mut control), [], "nobody is closed because the server stood still");
    // The transfer that expired is unknown to the book, and leaves no trace in a balance.
    book.check(&mut control, &mut random, true);
    assert_eq!(book.resolved, (sent_in_vain.len(), 0));
    server.stop();
    check(&data, 3, &[], &mut book, &mut random);
}

/// A client process that sends what comes from its standard input.
fn forwarding_client(server: &Server) -> std::process::Child {
    let (host, port) = server.address().split_once(':').expect("an address has a port");
    let script = format!("exec cat >/dev/tcp/{host}/{port}");
    let client = Command::new("bash").args(["-c", &script]).stdin(Stdio::piped()).spawn();
    client.expect("bash runs")
}

/// Bytes that a process has written.
fn written(process: u32) -> u64 {
    let counts = fs::read_to_string(format!("/proc/{process}/io")).expect("the process is there");
    let line = counts.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.and_then(|number| number.parse().ok()).expect("a count")
}

#[test]
fn a_client_that_stands_still_in_the_middle_of_a_request_holds_up_nobody() {
    let mut random = fastrand::Rng::with_seed(seed("stopped client"));
    let scratch = Scratch::new("stopped-client");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).serve();
    let mut control = connect(server.address());
    let mut book = Book::default();
    book.open_accounts(&mut control, 100);
    let mut ids = IdGenerator::with_seed(random.u64(..));
    // More than fits the small buffer of a connection: the client holds one of the large ones.
    let batch: Vec<_> = (0..1_000).map(|_| transfer(ids.next_id(), 1, 2, 1)).collect();
    let ids: Vec<_> = batch.iter().map(|transfer| transfer.id).collect();
    let mut frame = RequestFrame::create_transfers(&batch);
    frame.seal(1, 0);
    let (half, rest) = frame.bytes().split_at(frame.bytes().len() / 2);
    let mut slow = forwarding_client(&server);
    let mut input = slow.stdin.take().expect("piped");
    input.write_all(half).expect("the client takes it");
    wait_until("half of the request is sent", || written(slow.id()) >= half.len() as u64);
    stop_process(slow.id());
    // The kernel keeps the rest for the client, which doesn't take it.
    let rest = rest.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&rest).map(|()| input));

    let told = drive_while(server.address(), random.u64(..), &book.choice(), &small_batches(), |answers| {
        wait_for_answers(answers, ANSWERS);
        let found = control.lookup_transfers(&ids).expect("look-ups go on");
        assert_eq!(found, [], "half a request is not executed");
        signal(slow.id(), libc::SIGCONT);
        wait_until("the whole request is executed", || {
            control.lookup_transfers(&ids).expect("look-ups go on").len() == ids.len()
        });
    });
    assert!(told.iter().all(|sent| sent.told != Told::Nothing), "the others are answered");
    book.note(told);
    book.note(
        batch.into_iter().map(|transfer| Sent { transfer, told: Told::Nothing, times: (0, 0) }).collect(),
    );
    assert_eq!(closed_by_server(&mut control), [], "it was not too slow");
    book.check(&mut control, &mut random, true);
    drop(writer.join().expect("no panic").expect("the client takes the rest"));
    slow.wait().expect("the client ends with its input");
    server.stop();
}

/// The load generator, stopped under full load: its requests and replies are under way on every connection.
#[test]
fn a_load_generator_that_stood_still_ends_with_all_verified() {
    let mut random = fastrand::Rng::with_seed(seed("stopped generator"));
    let scratch = Scratch::new("stopped-generator");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).serve();
    let mut control = connect(server.address());
    let mut book = Book::default();
    // Far from the accounts of the load generator.
    book.open_accounts_from(1_000_000, &mut control, 100);
    let load =
        ["run", "--address", server.address(), "--accounts", "1000", "--seconds", "3", "--workload", "mixed"];
    let mut told = Vec::new();
    let finished = run_with(bench(&load), |process| {
        wait_until("it is at work", || control.status(false).expect("a status").transfers_created > 1_000);
        stop_process(process);
        told = drive_while(server.address(), random.u64(..), &book.choice(), &small_batches(), |answers| {
            wait_for_answers(answers, ANSWERS);
        });
        signal(process, libc::SIGCONT);
    });
    finished.expect(0, &[]);
    book.note(told);
    assert_eq!(closed_by_server(&mut control), []);
    book.check(&mut control, &mut random, true);
    server.stop();
}
