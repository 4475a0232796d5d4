//! `auriga-bench replay` from its command line, with files made here.

#[allow(dead_code, reason = "each test file uses its part of the helper")]
mod fake_ledger;

use fake_ledger::{Manner, start};
use std::path::PathBuf;
use std::process::{Command, Output};

const HEADER: &str = "date,id,debit_account,credit_account,amount_minor,code\n";

/// A file that is removed with this value.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("auriga-bench-{}-{name}.csv", std::process::id()));
        std::fs::write(&path, text).expect("written");
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).expect("removed");
    }
}

fn replay(address: &str, file: &Temporary, more: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_auriga-bench"))
        .args(["replay", "--address", address, "--batch", "7"])
        .arg(&file.0)
        .args(more)
        .output()
        .expect("the program starts");
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
    let path = expected.0.to_str().expect("UTF-8");
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
    let (code, text) =
        replay(&start(Manner::Honest), &file, &["--balances", wrong.0.to_str().expect("UTF-8")]);
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

#[test]
fn no_server_at_all_is_told_at_once() {
    let file = Temporary::new("nobody", &rows());
    let (code, text) = replay("127.0.0.1:1", &file, &[]);
    assert_eq!(code, Some(4), "{text}");
}
