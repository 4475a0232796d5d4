//! CSV files of transfers and balances, by the names in their header. Errors name the line and the column.

use crate::failure::Failure;
use auriga_wire::Transfer;
use csv::{Reader, ReaderBuilder, StringRecord};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::num::NonZeroU16;
use std::path::Path;
use std::str::FromStr;

/// A transfer of a file, and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What is sent.
    pub transfer: Transfer,
    /// Its line, from 1.
    pub line: u64,
}

/// An account's posted sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Debits.
    pub debits: u128,
    /// Credits.
    pub credits: u128,
}

/// Reads transfers: columns `id`, `debit_account`, `credit_account`, `amount_minor` and `code`; others are ignored.
pub fn read_transfers(path: &Path, ledger: u32) -> Result<Vec<Row>, Failure> {
    transfers_in(path, open(path)?, ledger)
}

fn transfers_in(path: &Path, file: impl Read, ledger: u32) -> Result<Vec<Row>, Failure> {
    let columns = ["id", "debit_account", "credit_account", "amount_minor", "code"];
    let mut table = Table::new(path, file, &columns)?;
    let mut rows = Vec::new();
    let mut lines = HashMap::new();
    while let Some(line) = table.next_line()? {
        let id = table.number::<u128>(0, "a number from 1 to 2^128-2")?;
        if let Some(other) = lines.insert(id, line) {
            return Err(table.wrong(0, &format!("the id of line {other} again, expected every id once")));
        }
        let transfer = Transfer {
            id,
            debit_account_id: table.number(1, "an account's number")?,
            credit_account_id: table.number(2, "an account's number")?,
            amount: table.number(3, "an amount from 0 to 2^128-1")?,
            code: table.number::<NonZeroU16>(4, "a number from 1 to 65535")?.get(),
            ledger,
            ..Transfer::default()
        };
        for (column, value) in [id, transfer.debit_account_id, transfer.credit_account_id].iter().enumerate()
        {
            if matches!(*value, 0 | u128::MAX) {
                return Err(table.wrong(column, "expected a number from 1 to 2^128-2"));
            }
        }
        rows.push(Row { transfer, line });
    }
    if rows.is_empty() {
        return Err(Failure::Usage(format!("{}: found no transfers below the header", path.display())));
    }
    Ok(rows)
}

/// Reads balances: columns `account`, `debits_posted` and `credits_posted`; others are ignored.
pub fn read_balances(path: &Path) -> Result<HashMap<u128, Balance>, Failure> {
    balances_in(path, open(path)?)
}

fn balances_in(path: &Path, file: impl Read) -> Result<HashMap<u128, Balance>, Failure> {
    let mut table = Table::new(path, file, &["account", "debits_posted", "credits_posted"])?;
    let mut balances = HashMap::new();
    while table.next_line()?.is_some() {
        let account = table.number::<u128>(0, "an account's number")?;
        let sum = "a sum from 0 to 2^128-1";
        let balance = Balance { debits: table.number(1, sum)?, credits: table.number(2, sum)? };
        if balances.insert(account, balance).is_some() {
            return Err(table.wrong(0, "an account that stood above, expected every account once"));
        }
    }
    Ok(balances)
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::Usage(format!("{}: can't be read: {error}", path.display())))
}

struct Table<'a, R> {
    path: &'a Path,
    reader: Reader<R>,
    /// Names of the wanted columns, and where each stands in the file.
    columns: Vec<(&'static str, usize)>,
    record: StringRecord,
}

impl<'a, R: Read> Table<'a, R> {
    fn new(path: &'a Path, file: R, wanted: &[&'static str]) -> Result<Self, Failure> {
        let broken =
            |error: csv::Error| Failure::Usage(format!("{}: can't be read: {error}", path.display()));
        let mut reader = ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
        let header = reader.headers().map_err(broken)?;
        let mut columns = Vec::new();
        for name in wanted {
            let Some(place) = header.iter().position(|found| found == *name) else {
                let found = header.iter().collect::<Vec<_>>().join(", ");
                return Err(Failure::Usage(format!(
                    "{}: line 1: found columns {found}; expected `{name}` among them",
                    path.display()
                )));
            };
            columns.push((*name, place));
        }
        Ok(Self { path, reader, columns, record: StringRecord::new() })
    }

    /// Reads the next line and returns its number; `None` at the end.
    fn next_line(&mut self) -> Result<Option<u64>, Failure> {
        match self.reader.read_record(&mut self.record) {
            Ok(true) => Ok(Some(self.line())),
            Ok(false) => Ok(None),
            Err(error) => Err(Failure::Usage(format!("{}: {error}", self.path.display()))),
        }
    }

    fn line(&self) -> u64 {
        self.record.position().map_or(0, csv::Position::line)
    }

    fn number<T: FromStr>(&self, column: usize, expected: &str) -> Result<T, Failure> {
        let text = self.record.get(self.columns[column].1).unwrap_or_default();
        text.parse().map_err(|_| self.wrong(column, &format!("expected {expected}")))
    }

    fn wrong(&self, column: usize, what: &str) -> Failure {
        let (name, place) = self.columns[column];
        let found = self.record.get(place).unwrap_or_default();
        Failure::Usage(format!(
            "{}: line {}, column `{name}`: found `{found}`: {what}",
            self.path.display(),
            self.line()
        ))
    }
}

#[cfg(test)]
mod fuzz {
    use super::*;
    use auriga_fuzzing::{Flips, damage, inputs};

    const GOOD: &str =
        "id,debit_account,credit_account,amount_minor,code\n1,2,3,400,5\n2,3,2,4,5\n3,2,9,0,1\n";

    /// What is taken can be sent; what isn't is refused with the file's name.
    fn read(bytes: &[u8]) {
        let path = Path::new("table.csv");
        match transfers_in(path, bytes, 1) {
            Ok(rows) => {
                assert!(!rows.is_empty());
                for Row { transfer, line } in rows {
                    assert!(transfer.id != 0 && transfer.code != 0 && line > 1, "{transfer:?}");
                }
            }
            Err(failure) => assert!(failure.to_string().starts_with("table.csv: "), "{failure}"),
        }
        let _ = balances_in(path, bytes);
    }

    #[test]
    fn a_table_of_any_bytes() {
        inputs!(Vec<u8>).for_each(|bytes| read(bytes));
    }

    #[test]
    fn a_damaged_table() {
        assert_eq!(transfers_in(Path::new("table.csv"), GOOD.as_bytes(), 1).expect("a good table").len(), 3);
        inputs!(Flips).for_each(|flips| {
            let mut bytes = GOOD.as_bytes().to_vec();
            damage(&mut bytes, flips);
            read(&bytes);
            let balances =
                GOOD.replace("id,debit_account,credit_account", "account,debits_posted,credits_posted");
            let mut bytes = balances.into_bytes();
            damage(&mut bytes, flips);
            read(&bytes);
        });
    }
}
