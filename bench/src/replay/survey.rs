//! The first look at a file, before anything is sent: mistakes, which accounts it names, and its time.
//!
//! A file may be larger than memory. Only its accounts are kept, and the pending transfers that are open at a time; whether an id comes
//! twice is found in as many readings as the ids need.

use crate::failure::Failure;
use crate::table::{Row, Rows};
use auriga_wire::record::TransferFlags;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

/// Ids that are held against each other at once, with some 50 bytes of memory each.
const IDS_AT_ONCE: usize = 4_000_000;
/// Pending transfers that may be open at once.
pub const OPEN_MAX: usize = 10_000_000;

/// What a file has.
#[derive(Debug, Default)]
pub struct Survey {
    /// Its transfers.
    pub rows: u64,
    /// Every account that it names, in order.
    pub accounts: Vec<u128>,
    /// The times of its first and its last row, nanoseconds since 1970; without times, 0.
    pub times: (i128, i128),
    /// Whether it says when.
    pub has_times: bool,
}

impl Survey {
    /// Reads a file and holds it against what can be sent; `fresh`: with other ids than it has.
    pub fn of(path: &Path, ledger: u32, fresh: bool) -> Result<Self, Failure> {
        let mut rows = Rows::open(path, ledger)?;
        let mut survey = Self { has_times: rows.has_times(), ..Self::default() };
        let (mut accounts, mut open, mut last) = (BTreeSet::new(), HashSet::new(), None::<Row>);
        let mut ascending = true;
        while let Some(row) = rows.next()? {
            accounts.extend([row.transfer.debit_account_id, row.transfer.credit_account_id]);
            survey.rows += 1;
            if let Some(last) = &last {
                ascending &= last.transfer.id < row.transfer.id;
                if row.time < last.time {
                    return Err(
                        rows.wrong_time(&format!("expected no time before that of line {}", last.line))
                    );
                }
            } else {
                survey.times.0 = row.time;
            }
            survey.times.1 = row.time;
            check_pending(&rows, &row, &mut open, fresh)?;
            last = Some(row);
        }
        if last.is_none() {
            return Err(Failure::Usage(format!("{}: found no transfers below the header", path.display())));
        }
        if !ascending {
            check_ids(path, ledger, IDS_AT_ONCE)?;
        }
        survey.accounts = accounts.into_iter().collect();
        Ok(survey)
    }
}

/// What a row resolves is open: only so it is known what the row moves.
fn check_pending(rows: &Rows<'_>, row: &Row, open: &mut HashSet<u128>, fresh: bool) -> Result<(), Failure> {
    let Row { transfer, refusal, .. } = row;
    if transfer.flags & TransferFlags::PENDING != 0 && refusal.is_none() {
        if open.len() >= OPEN_MAX {
            return Err(rows.wrong_id(&format!("expected at most {OPEN_MAX} pending transfers at a time")));
        }
        open.insert(transfer.id);
    }
    if transfer.flags & TransferFlags::RESOLVING == 0 {
        return Ok(());
    }
    let is_open = match refusal {
        None => open.remove(&transfer.pending_id),
        // With its own ids it is what it was; with fresh ones it would be refused for another reason.
        Some(_) => !fresh || open.contains(&transfer.pending_id),
    };
    let expected = "expected the id of a pending transfer above that is not resolved yet";
    if is_open { Ok(()) } else { Err(rows.wrong_pending_id(expected)) }
}

/// Fails if an id comes twice. Ids are looked at by parts of their hashes, so many at once; when they turn out to be more, the part gets
/// smaller, and the file is read again for the next one.
fn check_ids(path: &Path, ledger: u32, at_once: usize) -> Result<(), Failure> {
    let (mut from, mut width_bits) = (0_u64, u64::BITS);
    loop {
        let mut rows = Rows::open(path, ledger)?;
        let mut lines: HashMap<u128, u64> = HashMap::new();
        let is_in = |id: &u128, width_bits: u32| {
            hash(*id).wrapping_sub(from).checked_shr(width_bits).unwrap_or(0) == 0
        };
        while let Some(Row { transfer, line, .. }) = rows.next()? {
            if !is_in(&transfer.id, width_bits) {
                continue;
            }
            if let Some(other) = lines.insert(transfer.id, line) {
                return Err(rows.wrong_id(&format!("the id of line {other} again, expected every id once")));
            }
            while lines.len() > at_once {
                width_bits -= 1;
                lines.retain(|id, _| is_in(id, width_bits));
            }
        }
        let width = 1_u64.checked_shl(width_bits).unwrap_or(0);
        from = from.wrapping_add(width);
        if from == 0 {
            return Ok(());
        }
    }
}

/// Spreads ids evenly, whatever they have in common.
fn hash(id: u128) -> u64 {
    let mut mixed = (id as u64) ^ ((id >> 64) as u64).rotate_left(32);
    for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        mixed = (mixed ^ (mixed >> 33)).wrapping_mul(factor);
    }
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    /// However few ids are held against each other at once, the second one of a pair is found, and nothing else.
    #[test]
    fn an_id_that_comes_twice_is_found_in_parts_too() {
        let path = std::env::temp_dir().join(format!("auriga-bench-{}-ids.csv", std::process::id()));
        let check = |twice: Option<u32>, at_once| {
            let mut text = "id,debit_account,credit_account,amount_minor,code\n".to_string();
            for number in (0..200).rev().chain(twice) {
                writeln!(text, "{},1,2,3,4", number + 1).expect("memory");
            }
            std::fs::write(&path, text).expect("written");
            check_ids(&path, 1, at_once)
        };
        for at_once in [1, 3, 50, 1_000] {
            check(None, at_once).expect("every id comes once");
            for twice in [0, 77, 199] {
                let found = check(Some(twice), at_once).expect_err("it comes twice").to_string();
                let expected = format!(
                    "line 202, column `id`: found `{}`: the id of line {} again",
                    twice + 1,
                    201 - twice
                );
                assert!(found.contains(&expected), "{at_once}: {found}, expected {expected}");
            }
        }
        std::fs::remove_file(&path).expect("removed");
    }
}
