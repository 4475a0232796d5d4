//! The page of metrics of a server as it is shipped: what it says is what the server did, whoever asks.

use auriga_tests::harness::{
    Scratch, Server, Start, becomes_so, bench, format, run_auriga, run_with, text, wait_until,
};
use auriga_tests::load::{account, connect, transfer};
use auriga_tests::scrape::{Page, address, ask, scrape};
use auriga_wire::{Filter, IdGenerator, Transfer, TransferCode};
use serde_json::Value;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// Waits for a scrape that is so, and returns it.
#[track_caller]
fn scrape_until(server: &Server, what: &str, mut is_so: impl FnMut(&Page) -> bool) -> Page {
    let mut page = scrape(server);
    wait_until(what, || {
        page = scrape(server);
        is_so(&page)
    });
    page
}

#[track_caller]
fn status(server: &Server) -> Value {
    run_auriga(&["status", "--address", server.address(), "--json"]).expect(0, &[]).json()
}

#[test]
fn results_are_counted_by_code() {
    let scratch = Scratch::new("results");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).serve();
    let page = scrape(&server);
    assert_eq!(page.sum("auriga_transfers_total", &[]), 0.0, "there are zeros before there is anything");
    assert_eq!(page.label("auriga_transfers_total", "result").len(), 1 + TransferCode::ALL.len());
    let mut client = connect(server.address());
    let mut ids = IdGenerator::with_seed(1);
    let again = transfer(ids.next_id(), 1, 2, 5);
    client.create_accounts(&[account(1, 0), account(2, 0), account(1, 0)]).expect("an answer");
    let batch = [
        again,
        transfer(ids.next_id(), 1, 2, 5),
        transfer(ids.next_id(), 1, 1, 5),
        transfer(ids.next_id(), 1, 9, 5),
        transfer(ids.next_id(), 9, 1, 5),
        transfer(ids.next_id(), 1, 8, 5),
    ];
    client.create_transfers(&batch).expect("an answer");
    // A retry, and one with another content, whose code is read from the log.
    client.create_transfers(&[again, Transfer { amount: 6, ..again }]).expect("an answer");
    client.account_transfers(&Filter::default()).expect_err("a question that makes no sense");
    let expected = [
        ("auriga_transfers_total", "result", "created", 2.0),
        ("auriga_transfers_total", "result", "accounts_must_be_different", 1.0),
        ("auriga_transfers_total", "result", "credit_account_not_found", 2.0),
        ("auriga_transfers_total", "result", "debit_account_not_found", 1.0),
        ("auriga_transfers_total", "result", "exists", 1.0),
        ("auriga_transfers_total", "result", "exists_with_different_amount", 1.0),
        ("auriga_account_creations_total", "result", "created", 2.0),
        ("auriga_account_creations_total", "result", "exists", 1.0),
        ("auriga_requests_refused_total", "reason", "bad_filter", 1.0),
    ];
    // Of the six ids one is not used up: what can be told without a look at the ledger.
    let held = [("auriga_accounts", 2.0), ("auriga_transfer_ids", 5.0)];
    let page = scrape_until(&server, "every result is counted", |page| {
        expected.iter().all(|(name, label, code, count)| page.sum(name, &[(label, code)]) == *count)
            && held.iter().all(|(name, count)| page.sum(name, &[]) == *count)
    });
    assert_eq!(page.sum("auriga_transfers_total", &[]), 8.0, "and no other");
    assert_eq!(page.sum("auriga_account_creations_total", &[]), 3.0);
    assert_eq!(page.sum("auriga_requests_refused_total", &[]), 1.0);
    assert_eq!(page.sum("auriga_request_seconds_count", &[]), 3.0, "requests that create");
    server.stop();
}

#[test]
fn a_scrape_under_load_is_what_the_server_did() {
    let scratch = Scratch::new("scrape");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).with(&["--checkpoint-every", "5000000"]).serve();
    let load = "run --connections 3 --in-flight 2 --batch 499 --accounts 200 --warm-up 0 --seconds 3 --failing-share 0.1 --json";
    let load: Vec<_> = load.split(' ').chain(["--address", server.address()]).collect();
    let mut scrapes = Vec::new();
    let finished = run_with(bench(&load), |process| {
        // One after the other, for as long as it runs.
        while runs(process) {
            scrapes.push(scrape(&server));
        }
    });
    let report: Value =
        serde_json::from_str(finished.expect(0, &[]).stdout.lines().last().unwrap_or_default())
            .expect("the last line is JSON");
    let number = |value: &Value| value.as_f64().expect("a number");
    let page = scrape_until(&server, "everything is counted and a checkpoint taken", |page| {
        page.sum("auriga_transfers_total", &[]) == number(&report["transfers"]) + number(&report["refused"])
            && page.sum("auriga_checkpoint_epoch", &[]) > 0.0
            && page.sum("auriga_history_lag_epochs", &[]) == 0.0
    });
    scrapes.push(page);
    assert!(scrapes.len() > 10, "only {} scrapes", scrapes.len());
    for pair in scrapes.windows(2) {
        assert_eq!(pair[1].shrunk_since(&pair[0]), Vec::<String>::new());
    }
    let page = scrapes.last().expect("looked at above");
    let created = page.sum("auriga_transfers_total", &[("result", "created")]);
    assert_eq!(created, number(&report["transfers"]), "{report}");
    let same = [
        ("auriga_transfer_ids", "ids"),
        ("auriga_accounts", "accounts"),
        ("auriga_epochs_total", "flushes"),
        ("auriga_log_written_bytes_total", "bytes_logged"),
        ("auriga_epoch", "epoch"),
        ("auriga_log_size_bytes", "log_bytes"),
        ("auriga_checkpoint_epoch", "checkpoint_epoch"),
    ];
    let mut said = Value::Null;
    // A checkpoint may still be taken, and segments be made.
    let page = scrape_until(&server, "a page that says what the status says", |page| {
        said = status(&server);
        same.iter().all(|(name, field)| page.sum(name, &[]) == number(&said[field]))
    });
    // Each shard has a part of it.
    for shard in ["0", "1"] {
        let shard = ("shard", shard);
        for name in ["auriga_log_written_bytes_total", "auriga_accounts", "auriga_flush_seconds_count"] {
            assert!(page.sum(name, &[shard]) > 0.0, "{name} {shard:?}");
        }
        assert!(page.sum("auriga_core_seconds_total", &[shard, ("mode", "busy")]) > 0.0);
        assert!(page.sum("auriga_pool_chunks", &[shard, ("state", "free")]) > 0.0);
    }
    let flushes = page.sum("auriga_flush_seconds_count", &[]);
    assert!(
        flushes >= 2.0 * page.sum("auriga_epochs_total", &[]) * 0.5,
        "a write for each cut, and the blocks"
    );
    // A core's time is divided, nothing of it twice: no core has had more than there was.
    let up = number(&said["uptime_ns"]) / 1e9;
    for shard in ["0", "1"] {
        let spent = page.sum("auriga_core_seconds_total", &[("shard", shard)]);
        assert!(spent > 0.5 && spent < up + 1.0, "{spent} s of {up} s");
    }
    let [resident, window] =
        ["process_resident_memory_bytes", "auriga_id_horizon_seconds"].map(|of| page.sum(of, &[]));
    assert!(resident > 10e6, "{resident}");
    assert!((window - 86_400.0).abs() < 60.0, "the horizon lies behind by the window: {window}");
    server.stop();
}

/// Whether a child of this process that nobody waits for yet has not ended.
fn runs(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

#[test]
fn a_client_that_is_held_shows() {
    let scratch = Scratch::new("held");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(1).serve();
    let held = |page: &Page| page.sum("auriga_back_pressure_seconds_total", &[("reason", "unanswered")]);
    assert_eq!(held(&scrape(&server)), 0.0);
    let load = "run --connections 1 --in-flight 200 --batch 10 --accounts 100 --seconds 1 --warm-up 0";
    let load: Vec<_> = load.split(' ').chain(["--address", server.address()]).collect();
    run_with(bench(&load), |_| {}).expect(0, &[]);
    scrape_until(&server, "time in which its socket was not read", |page| held(page) > 0.0);
    server.stop();
}

#[test]
fn what_is_no_scrape_is_refused_and_harms_nobody() {
    let scratch = Scratch::new("http");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).serve();
    let address = address(&server);
    let host = "Host: x\r\n\r\n";
    for (line, expected) in [
        ("GET /metrics HTTP/1.1", "HTTP/1.1 200 OK"),
        ("GET / HTTP/1.1", "HTTP/1.1 404 Not Found"),
        ("POST /metrics HTTP/1.1", "HTTP/1.1 405 Method Not Allowed"),
        ("nonsense", "HTTP/1.1 400 Bad Request"),
    ] {
        let answer = ask(&address, &format!("{line}\r\n{host}"));
        assert!(answer.head.starts_with(expected), "{line}: {}", answer.head);
        assert!(answer.head.contains("Connection: close"), "{}", answer.head);
    }
    // Who says nothing is waited for, but not for long, and the server's end doesn't wait for it.
    let mut silent = TcpStream::connect(&address).expect("connected");
    let mut said = String::new();
    silent.read_to_string(&mut said).expect("it is answered");
    assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
    let _silent = TcpStream::connect(&address).expect("connected");
    server.stop();
    assert!(
        becomes_so(Duration::from_secs(10), || TcpStream::connect(&address).is_err()),
        "the port is free"
    );
}

#[test]
fn where_metrics_are_is_chosen() {
    let scratch = Scratch::new("metrics");
    let data = scratch.join("data");
    format(&data);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let start = ["start", "--data", text(&data), "--listen", "127.0.0.1:0", "--metrics"];
    let run = |metrics: &str| run_auriga(&[&start[..], &[metrics]].concat());
    run(&address).expect(4, &[&address, "taken by another process", "--metrics off"]);
    run("192.0.2.1:7401").expect(4, &["192.0.2.1:7401", "--metrics"]);
    run("nowhere").expect(2, &["--metrics", "expected an address and a port", "or off"]);
    let help = run_auriga(&["start", "--help"]).expect(0, &[]).stdout;
    assert!(help.contains("[default: 127.0.0.1:7401]"), "{help}");
    let server = Start::new(&data).metrics("off").serve();
    assert!(!server.log().contains("metrics on"), "{}", server.log());
    server.stop();
}
