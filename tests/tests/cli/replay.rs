//! A file that is replayed again and again against a real server, which dies meanwhile.

use auriga_tests::harness::{Scratch, Start, bench, format, run_with, text, wait_until};
use auriga_tests::load::connect;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;

/// Groups of five rows: a plain transfer, two pending ones, a post of a part of the first, a void of the second.
fn file(groups: u64) -> String {
    let mut text =
        "timestamp,id,debit_account,credit_account,amount_minor,code,flags,pending_id\n".to_string();
    for group in 0..groups {
        let id = group * 5 + 1;
        let accounts = format!("{},{}", 1 + group % 90, 100 + group % 110);
        let rows = [
            (id, 10, "", 0),
            (id + 1, 100, "pending", 0),
            (id + 2, 30, "pending", 0),
            (id + 3, 60, "post_pending_transfer", id + 1),
            (id + 4, 30, "void_pending_transfer", id + 2),
        ];
        for (id, amount, flags, pending) in rows {
            let time = id * 10_000;
            writeln!(text, "{time},{id},{accounts},{amount},9,{flags},{pending}").expect("memory");
        }
    }
    text
}

/// 1. The file is sent twice with new ids, and then once at its own times, 1.5 s, half as fast.
/// 2. The server is killed in the middle, and started again on the same address.
/// 3. All of it is there once, and what stays pending is.
#[test]
fn a_file_is_applied_as_often_as_it_is_sent_though_the_server_dies() {
    let scratch = Scratch::new("replay");
    let (data, path) = (scratch.join("data"), scratch.join("transfers.csv"));
    fs::write(&path, file(30_000)).expect("written");
    format(&data);
    let mut server = Some(Start::new(&data).shards(2).serve());
    let address = server.as_ref().map(|server| server.address().to_string()).expect("it serves");
    let address: &'static str = Box::leak(address.into_boxed_str());
    let replay = ["replay", text(&path), "--address", address, "--json", "--batch", "500"];
    for (more, passes) in [(&["--repeat", "2"][..], 2_u64), (&["--repeat", "1", "--speed", "0.5"], 1)] {
        let finished = run_with(bench(&[&replay, more].concat()), |_| {
            let mut client = connect(address);
            let mut created = || client.status(false).expect("a status").transfers_created;
            let before = created();
            wait_until("some rows are applied", || created() > before + 20_000);
            server.take().expect("it runs").kill();
            server = Some(Start::new(&data).shards(2).listen(address).serve());
        });
        let finished = finished.expect(0, &["trying again", "the server answers again"]);
        let last = finished.stdout.lines().last().expect("a last line");
        let report: Value = serde_json::from_str(last).expect("JSON");
        let number = |name: &str| report[name].as_u64().expect("a number");
        assert_eq!((&report["verified"], number("rows")), (&true.into(), passes * 150_000), "{report}");
        assert_eq!(
            (number("transfers") + number("existed"), number("refused")),
            (number("rows"), 0),
            "{report}"
        );
        assert_eq!((number("unsent"), number("unanswered")), (0, 0), "{report}");
        assert!(finished.stdout.contains("verified: 200 of 200 accounts"), "{}", finished.stdout);
    }
    server.expect("it runs").stop();
}
