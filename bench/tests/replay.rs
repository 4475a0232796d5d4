//! `auriga-bench replay` from its command line, with files made here.

#[allow(dead_code, reason = "each test file uses its part of the helper")]
mod fake_ledger;
#[allow(dead_code, reason = "each test file uses its part of the helper")]
mod program;

use fake_ledger::{Manner, STALL, start};
use program::{Temporary, run};
use std::process::Output;

const HEADER: &str = "date,id,debit_account,credit_account,amount_minor,code\n";

fn replay(address: &str, file: &Temporary, more: &[&str]) -> (Option<i32>, String) {
    let replay = ["replay", "--address", address, "--batch", "7", file.path()];
    let Output { status, stdout, stderr } = run(&[&replay, more].concat());
    (status.code(), [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat())
}

/// 100 rows between accounts 1 to 9, amounts 1 to 100.
fn rows() -> String {
    let row = |i: u32| format!("1993-01-01,{},{},{},{},{}\n", 5_000 - i * 7, 1 + i % 4, 5 + i % 5, i + 1, 10);
    HEADER.to_string() + &(0..100).map(row).collect::<String>()
}

fn balances(change: u64) -> String {
    let mut sums = [(0, 0); 10];
    for i in 0..100 {
        sums[1 + i % 4].0 += i as u64 + 1;
        sums[5 + i % 5].1 += i as u64 + 1;
    }
    sums[3].0 += change;
    let rows = sums.iter().enumerate().skip(1);
    let rows = rows.map(|(account, (debits, credits))| format!("{account},{debits},{credits}\n"));
    "account,debits_posted,credits_posted\n".to_string() + &rows.collect::<String>()
}

#[test]
fn a_file_is_applied_once_however_often_it_is_sent() {
    let (file, expected) = (Temporary::new("rows", &rows()), Temporary::new("balances", &balances(0)));
    let path = expected.path();
    let address = start(Manner::Honest);
    let (code, text) = replay(&address, &file, &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("100 applied, 0 had been applied before, 0 refused"), "{text}");
    let (code, text) = replay(&address, &file, &["--balances", path]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("0 applied, 100 had been applied before, 0 refused"), "{text}");
    assert!(text.contains("verified: 9 of 9 accounts"), "{text}");
}

#[test]
fn a_server_that_hangs_up_again_and_again_is_survived() {
    let file = Temporary::new("hangs-up", &rows());
    let (code, text) = replay(&start(Manner::HangsUp), &file, &["--patience", "30"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("trying again") && text.contains("verified: 9 of 9 accounts"), "{text}");
}

#[test]
fn other_balances_and_refused_rows_are_told() {
    let (file, wrong) = (Temporary::new("wrong", &rows()), Temporary::new("wrong-balances", &balances(1)));
    let (code, text) = replay(&start(Manner::Honest), &file, &["--balances", wrong.path()]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("NOT VERIFIED: 8 of 9") && text.contains("account 3: found debits"), "{text}");
    let (code, text) = replay(&start(Manner::RefusesSome), &file, &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("exceeds_credits") && text.contains("line 2: transfer 5000"), "{text}");
}

#[test]
fn mistakes_in_the_file_name_line_and_column() {
    let cases = [
        ("id,debit_account,credit_account,code\n", "line 1: found columns"),
        (
            "id,debit_account,credit_account,amount_minor,code\n1,2,3,4,5\n2,2,3,x,5\n",
            "line 3, column `amount_minor`: found `x`",
        ),
        (
            "id,debit_account,credit_account,amount_minor,code\n1,2,3,4,70000\n",
            "line 2, column `code`: found `70000`",
        ),
        (
            "id,debit_account,credit_account,amount_minor,code\n1,2,3,4,0\n",
            "line 2, column `code`: found `0`",
        ),
        (
            "id,debit_account,credit_account,amount_minor,code\n1,0,3,4,5\n",
            "line 2, column `debit_account`: found `0`",
        ),
        (
            "id,debit_account,credit_account,amount_minor,code\n1,2,3,4,5\n1,2,3,4,5\n",
            "line 3, column `id`: found `1`: the id of line 2",
        ),
        ("id,debit_account,credit_account,amount_minor,code\n1,2,3\n", "line: 2"),
        (HEADER, "found no transfers"),
    ];
    for (index, (text, expected)) in cases.into_iter().enumerate() {
        let file = Temporary::new(&format!("mistake-{index}"), text);
        let (code, found) = replay("127.0.0.1:1", &file, &[]);
        assert_eq!(code, Some(2), "{found}");
        assert!(found.contains(expected), "expected {expected} in {found}");
    }
}

/// Replays with these options, and returns the exit code, what was said, and the last line's JSON.
fn report(address: &str, file: &Temporary, more: &[&str]) -> (Option<i32>, String, serde_json::Value) {
    let (code, text) = replay(address, file, &[more, &["--json"]].concat());
    let last = text.lines().rfind(|line| line.starts_with('{')).unwrap_or("null");
    let json = serde_json::from_str(last).expect("JSON");
    (code, text, json)
}

const TWO_PHASE: &str = "timestamp,id,debit_account,credit_account,amount_minor,code,flags,pending_id\n";

/// 40 groups of five rows, two milliseconds apart: a plain one, two pending ones, a post of a part of the first, a void of the second; after
/// every fourth group one that stays open.
fn two_phase() -> String {
    let mut text = TWO_PHASE.to_string();
    let mut time = 1_000_000_000_i64;
    let mut row = |id: i64, amount: i64, flags: &str, pending: &str| {
        time += 2_000_000;
        let (debit, credit) = (1 + id / 5 % 4, 5 + id / 5 % 3);
        text += &format!("{time},{id},{debit},{credit},{amount},9,{flags},{pending}\n");
    };
    for group in 1..=40 {
        let id = group * 5;
        row(id, 10, "", "");
        row(id + 1, 100, "pending", "");
        row(id + 2, 30, "pending", "");
        row(id + 3, 60, "post_pending_transfer", &(id + 1).to_string());
        row(id + 4, 30, "void_pending_transfer", &(id + 2).to_string());
        if group % 4 == 0 {
            row(1_000_000 + group * 5, 7, "pending", "");
        }
    }
    text
}

#[test]
fn a_file_is_sent_again_and_again_with_new_ids() {
    let file = Temporary::new("repeat", &two_phase());
    let address = start(Manner::Honest);
    // Twice on the same ledger: what accounts held before is taken into account.
    for passes in [3, 2] {
        let (code, text, json) = report(&address, &file, &["--repeat", &passes.to_string()]);
        assert_eq!(code, Some(0), "{text}");
        let rows = 210 * passes;
        assert_eq!(
            (&json["transfers"], &json["rows"], &json["passes"]),
            (&rows.into(), &rows.into(), &passes.into())
        );
        assert_eq!(
            (&json["pendings"], &json["posts"], &json["voids"]),
            (&(90 * passes).into(), &(40 * passes).into(), &(40 * passes).into())
        );
        assert_eq!(
            (&json["verified"], &json["refused"], &json["existed"]),
            (&true.into(), &0.into(), &0.into()),
            "{text}"
        );
        assert!(text.contains(&format!("what the file says, sent {passes} times")), "{text}");
    }
    let (code, text, json) = report(&address, &file, &["--seconds", "0.3"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(json["rows"].as_u64() > Some(210) && json["verified"] == true, "{text}");
}

#[test]
fn a_server_that_hangs_up_is_survived_with_new_ids_too() {
    let file = Temporary::new("repeat-hangs-up", &two_phase());
    let (code, text, json) = report(&start(Manner::HangsUp), &file, &["--repeat", "2", "--patience", "30"]);
    assert_eq!((code, &json["rows"]), (Some(0), &420.into()), "{text}");
    // What was executed without an answer exists already when it is sent again.
    let [created, existed] = ["transfers", "existed"].map(|name| json[name].as_u64().expect("a number"));
    assert!(created + existed == 420 && existed > 0, "{text}");
}

#[test]
fn what_is_lost_behind_an_acknowledgement_is_found() {
    let file = Temporary::new("repeat-lies", &two_phase());
    for manner in [Manner::LosesAPost, Manner::ForgetsAVoid, Manner::InventsMoney] {
        let (code, text, json) = report(&start(manner), &file, &["--repeat", "3"]);
        assert_eq!((code, &json["verified"]), (Some(1), &false.into()), "{manner:?}: {text}");
        assert!(text.contains("NOT VERIFIED"), "{manner:?}: {text}");
    }
}

#[test]
fn rows_are_sent_at_their_times() {
    let file = Temporary::new("speed", &two_phase());
    // 210 rows, 2 ms apart. However late anything is, the last one is not sent before its time.
    for (speed, passes, seconds) in [("1", "1", 0.418), ("10", "3", 0.1254)] {
        let (code, text, json) =
            report(&start(Manner::Honest), &file, &["--speed", speed, "--repeat", passes]);
        assert_eq!((code, &json["verified"]), (Some(0), &true.into()), "{text}");
        assert!(json["seconds"].as_f64() >= Some(seconds), "{text}");
        assert_eq!(json["unsent"], 0, "{text}");
    }
}

/// A stall is charged to all rows that were due meanwhile.
#[test]
fn a_stall_is_charged_from_the_time_of_the_row() {
    let row = |i: u32| format!("{},{},1,2,3,4\n", i64::from(i) * 2_000_000, i + 1);
    let rows = "timestamp,id,debit_account,credit_account,amount_minor,code\n".to_string();
    let file = Temporary::new("stall", &(rows + &(0..600).map(row).collect::<String>()));
    let (code, text, json) = report(&start(Manner::Stalls), &file, &["--speed", "1"]);
    assert_eq!(code, Some(0), "{text}");
    let of = |latency: &str, quantile: &str| json[latency][quantile].as_f64().expect("a number");
    let stall = STALL.as_micros() as f64;
    assert!(of("latency_us", "max") >= stall && of("latency_us", "p99") > stall / 2.0, "{text}");
    assert!(of("raw_latency_us", "p99") < of("latency_us", "p99"), "{text}");
    assert!(text.contains("from its actual send") && text.contains("its own lateness"), "{text}");
}

#[test]
fn answers_are_held_against_what_the_file_says() {
    // The ledger refuses every id that is a multiple of 10.
    let row = |i: u32| {
        format!("{i},1,2,3,4,{}\n", if i.is_multiple_of(10) { "exceeds_credits" } else { "created" })
    };
    let header = "id,debit_account,credit_account,amount_minor,code,result\n".to_string();
    let file = Temporary::new("result", &(header + &(1..=50).map(row).collect::<String>()));
    let address = start(Manner::RefusesSome);
    let (code, text, json) = report(&address, &file, &[]);
    assert_eq!((code, &json["refused"], &json["transfers"]), (Some(0), &5.into(), &45.into()), "{text}");
    assert!(text.contains("5 refused, 5 of them as the file says"), "{text}");
    let (code, text, _) = report(&start(Manner::Honest), &file, &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("created, and should not be: 5")
            && text.contains("line 11: transfer 10: created, expected exceeds_credits"),
        "{text}"
    );
}

#[test]
fn mistakes_in_times_flags_and_references_name_file_line_and_column() {
    let header = "timestamp,id,debit_account,credit_account,amount_minor,code,flags,pending_id,result\n";
    let cases: [(&str, &[&str], &str); 10] = [
        ("noon,1,2,3,4,5,,,\n", &[], "line 2, column `timestamp`: found `noon`: expected nanoseconds"),
        (
            "9,1,2,3,4,5,,,\n8,2,2,3,4,5,,,\n",
            &[],
            "line 3, column `timestamp`: found `8`: expected no time before that of line 2",
        ),
        ("9,1,2,3,4,5,linked,,\n", &[], "line 2, column `flags`: found `linked`: expected nothing, pending"),
        ("9,1,2,3,4,5,post_pending_transfer,,\n", &[], "line 2, column `pending_id`: found ``"),
        (
            "9,1,2,3,4,5,void_pending_transfer,7,\n",
            &[],
            "line 2, column `pending_id`: found `7`: expected the id of a pending",
        ),
        ("9,1,2,3,4,5,,,fine\n", &[], "line 2, column `result`: found `fine`"),
        (
            "9,1,2,3,4,5,void_pending_transfer,7,pending_transfer_not_found\n",
            &["--repeat", "1"],
            "line 2, column `pending_id`",
        ),
        ("9,1,2,3,4,5,,,\n", &["--speed", "0"], "--speed"),
        ("9,1,2,3,4,5,,,\n", &["--seconds", "1", "--repeat", "2"], "--repeat"),
        ("9,1,2,3,4,5,,,\n", &["--speed", "1", "--seconds", "1"], "all rows have the same time"),
    ];
    for (index, (rows, more, expected)) in cases.into_iter().enumerate() {
        let file = Temporary::new(&format!("wrong-{index}"), &(header.to_string() + rows));
        let (code, found) = replay("127.0.0.1:1", &file, more);
        assert_eq!(code, Some(2), "{found}");
        assert!(found.contains(expected), "expected {expected} in {found}");
    }
    let file = Temporary::new("timeless", "id,debit_account,credit_account,amount_minor,code\n1,2,3,4,5\n");
    let (code, found) = replay("127.0.0.1:1", &file, &["--speed", "1"]);
    assert!(code == Some(2) && found.contains("--speed needs a column `timestamp`"), "{found}");
}

#[test]
fn no_server_at_all_is_told_at_once() {
    let file = Temporary::new("nobody", &rows());
    let (code, text) = replay("127.0.0.1:1", &file, &[]);
    assert_eq!(code, Some(4), "{text}");
}
