//! CSV files of transfers and balances, by the names in their header. Errors name the line and the column.

use crate::failure::Failure;
use auriga_wire::record::TransferFlags;
use auriga_wire::{Transfer, TransferCode};
use csv::{Reader, ReaderBuilder, StringRecord};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
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
    /// Its time, nanoseconds since 1970; 0 if the file has none.
    pub time: i128,
    /// The number of the code that it must be refused with; `None`: it must be created.
    pub refusal: Option<u32>,
}

/// An account's posted sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Debits.
    pub debits: u128,
    /// Credits.
    pub credits: u128,
}

/// Columns that transfers must have, and those that they may have.
const COLUMNS: [&str; 5] = ["id", "debit_account", "credit_account", "amount_minor", "code"];
const MORE_COLUMNS: [&str; 5] = ["timestamp", "date", "flags", "pending_id", "result"];
/// Places of these among both.
const TIMESTAMP: usize = COLUMNS.len();
const DATE: usize = TIMESTAMP + 1;
const FLAGS: usize = TIMESTAMP + 2;
const PENDING_ID: usize = TIMESTAMP + 3;
const RESULT: usize = TIMESTAMP + 4;
/// The flags that a row may have, one of them.
const FLAG_NAMES: [(&str, u16); 4] = [
    ("", 0),
    ("pending", TransferFlags::PENDING),
    ("post_pending_transfer", TransferFlags::POST_PENDING_TRANSFER),
    ("void_pending_transfer", TransferFlags::VOID_PENDING_TRANSFER),
];

/// The transfers of a file, one after the other; not more than one of them is in memory.
pub struct Rows<'a, R = BufReader<File>> {
    table: Table<'a, R>,
    ledger: u32,
}

impl<'a> Rows<'a> {
    /// Opens a file: columns `id`, `debit_account`, `credit_account`, `amount_minor` and `code`, and perhaps `timestamp` or `date`,
    /// `flags`, `pending_id` and `result`; others are ignored.
    pub fn open(path: &'a Path, ledger: u32) -> Result<Self, Failure> {
        Self::new(path, open(path)?, ledger)
    }
}

impl<'a, R: Read> Rows<'a, R> {
    fn new(path: &'a Path, file: R, ledger: u32) -> Result<Self, Failure> {
        Ok(Self { table: Table::new(path, file, &COLUMNS, &MORE_COLUMNS)?, ledger })
    }

    /// Whether the file says when.
    pub fn has_times(&self) -> bool {
        self.table.has(TIMESTAMP) || self.table.has(DATE)
    }

    /// The next one; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Row>, Failure> {
        let Some(line) = self.table.next_line()? else { return Ok(None) };
        let table = &self.table;
        let number = |column| table.number::<u128>(column, "a number from 1 to 2^128-2");
        let flags = self.flags()?;
        let transfer = Transfer {
            id: number(0)?,
            debit_account_id: number(1)?,
            credit_account_id: number(2)?,
            amount: table.number(3, "an amount from 0 to 2^128-1")?,
            code: table.number::<NonZeroU16>(4, "a number from 1 to 65535")?.get(),
            pending_id: if flags & TransferFlags::RESOLVING == 0 { 0 } else { number(PENDING_ID)? },
            ledger: self.ledger,
            flags,
            ..Transfer::default()
        };
        for (column, value) in
            [transfer.id, transfer.debit_account_id, transfer.credit_account_id].iter().enumerate()
        {
            if matches!(*value, 0 | u128::MAX) {
                return Err(table.wrong(column, "expected a number from 1 to 2^128-2"));
            }
        }
        Ok(Some(Row { transfer, line, time: self.time()?, refusal: self.refusal()? }))
    }

    /// The row that was read last can't be sent, because of its id.
    pub fn wrong_id(&self, what: &str) -> Failure {
        self.table.wrong(0, what)
    }

    /// It can't be sent, because of its time.
    pub fn wrong_time(&self, what: &str) -> Failure {
        self.table.wrong(if self.table.has(TIMESTAMP) { TIMESTAMP } else { DATE }, what)
    }

    /// It can't be sent, because of what it resolves.
    pub fn wrong_pending_id(&self, what: &str) -> Failure {
        self.table.wrong(PENDING_ID, what)
    }

    fn flags(&self) -> Result<u16, Failure> {
        let text = self.table.text(FLAGS);
        let known = FLAG_NAMES.iter().find(|(name, _)| *name == text).map(|(_, flags)| *flags);
        let names: Vec<_> = FLAG_NAMES.iter().skip(1).map(|(name, _)| *name).collect();
        known.ok_or_else(|| self.table.wrong(FLAGS, &format!("expected nothing, {}", names.join(" or "))))
    }

    fn time(&self) -> Result<i128, Failure> {
        let (column, expected) = match self.table.has(TIMESTAMP) {
            true => (TIMESTAMP, "nanoseconds since 1970, or a time as in 2026-01-31T12:00:00.5Z"),
            false if self.table.has(DATE) => {
                (DATE, "a date as in 2026-01-31, or a time as in 2026-01-31T12:00:00.5Z")
            }
            false => return Ok(0),
        };
        time_of(self.table.text(column))
            .ok_or_else(|| self.table.wrong(column, &format!("expected {expected}")))
    }

    fn refusal(&self) -> Result<Option<u32>, Failure> {
        let text = self.table.text(RESULT);
        if matches!(text, "" | "created") {
            return Ok(None);
        }
        let mut codes = (1..CODES_END).filter_map(TransferCode::from_number);
        let code = codes.find(|code| code.name() == text);
        let wrong = || {
            self.table.wrong(RESULT, "expected nothing, created, or the name of a code, as exceeds_credits")
        };
        code.map(|code| Some(code.number())).ok_or_else(wrong)
    }
}

/// All codes have lower numbers.
const CODES_END: u32 = 2_000;

/// Nanoseconds since 1970: of a number as it is, of a time as RFC 3339 has it, of a date its begin in UTC.
fn time_of(text: &str) -> Option<i128> {
    if let Ok(nanoseconds) = text.parse::<i64>() {
        return Some(nanoseconds.into());
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_nanosecond());
    }
    // A time without an offset would be cut to its date.
    let date = text.parse::<jiff::civil::Date>().ok().filter(|_| text.len() == "2026-01-31".len())?;
    let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(midnight.timestamp().as_nanosecond())
}

/// Reads balances: columns `account`, `debits_posted` and `credits_posted`; others are ignored.
pub fn read_balances(path: &Path) -> Result<HashMap<u128, Balance>, Failure> {
    balances_in(path, open(path)?)
}

fn balances_in(path: &Path, file: impl Read) -> Result<HashMap<u128, Balance>, Failure> {
    let mut table = Table::new(path, file, &["account", "debits_posted", "credits_posted"], &[])?;
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

fn open(path: &Path) -> Result<BufReader<File>, Failure> {
    let file = File::open(path).map(|file| BufReader::with_capacity(BUFFER_SIZE, file));
    file.map_err(|error| Failure::Usage(format!("{}: can't be read: {error}", path.display())))
}

/// Bytes that are read at once.
const BUFFER_SIZE: usize = 1 << 18;

struct Table<'a, R> {
    path: &'a Path,
    reader: Reader<R>,
    /// Names of the wanted columns, and where each stands in the file, if it is there.
    columns: Vec<(&'static str, Option<usize>)>,
    record: StringRecord,
}

impl<'a, R: Read> Table<'a, R> {
    fn new(path: &'a Path, file: R, wanted: &[&'static str], more: &[&'static str]) -> Result<Self, Failure> {
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
            columns.push((*name, Some(place)));
        }
        columns.extend(more.iter().map(|name| (*name, header.iter().position(|found| found == *name))));
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

    /// Whether the file has a column.
    fn has(&self, column: usize) -> bool {
        self.columns[column].1.is_some()
    }

    /// What stands in a column; nothing if the file doesn't have it.
    fn text(&self, column: usize) -> &str {
        self.columns[column].1.and_then(|place| self.record.get(place)).unwrap_or_default()
    }

    fn number<T: FromStr>(&self, column: usize, expected: &str) -> Result<T, Failure> {
        self.text(column).parse().map_err(|_| self.wrong(column, &format!("expected {expected}")))
    }

    fn wrong(&self, column: usize, what: &str) -> Failure {
        let (name, found) = (self.columns[column].0, self.text(column));
        Failure::Usage(format!(
            "{}: line {}, column `{name}`: found `{found}`: {what}",
            self.path.display(),
            self.line()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auriga_fuzzing::{Flips, damage, inputs};

    const GOOD: &str = "id,debit_account,credit_account,amount_minor,code,flags,pending_id,timestamp,result\n\
        1,2,3,400,5,pending,,1,\n2,3,2,4,5,,,2,created\n3,2,3,0,1,void_pending_transfer,1,1970-01-01T00:00:03Z,exists\n";

    fn rows(bytes: &[u8]) -> Result<Vec<Row>, Failure> {
        let mut rows = Rows::new(Path::new("table.csv"), bytes, 1)?;
        std::iter::from_fn(|| rows.next().transpose()).collect()
    }

    /// What is taken can be sent; what isn't is refused with the file's name.
    fn read(bytes: &[u8]) {
        match rows(bytes) {
            Ok(rows) => {
                for Row { transfer, line, .. } in rows {
                    assert!(transfer.id != 0 && transfer.code != 0 && line > 1, "{transfer:?}");
                }
            }
            Err(failure) => assert!(failure.to_string().starts_with("table.csv: "), "{failure}"),
        }
        let _ = balances_in(Path::new("table.csv"), bytes);
    }

    #[test]
    fn times_are_nanoseconds_or_written_out() {
        let second = 1_000_000_000;
        let cases = [
            ("17", Some(17)),
            ("1970-01-02", Some(86_400 * second)),
            ("1970-01-01T00:00:01.5Z", Some(1_500_000_000)),
            ("1970-01-01T01:00:01+01:00", Some(second)),
            ("1969-12-31T23:59:59Z", Some(-second)),
            ("", None),
            ("1970-02-30", None),
            ("1970-01-01T00:00:00", None),
            ("yesterday", None),
        ];
        for (text, expected) in cases {
            assert_eq!(time_of(text), expected, "{text}");
        }
    }

    #[test]
    fn rows_have_what_their_columns_say() {
        let text = "timestamp,flags,pending_id,result,id,debit_account,credit_account,amount_minor,code\n\
                    7,pending,,created,1,2,3,4,5\n9,post_pending_transfer,1,exceeds_credits,2,2,3,4,5\n";
        let rows = rows(text.as_bytes()).expect("it is good");
        let found: Vec<_> = rows
            .iter()
            .map(|row| (row.time, row.transfer.flags, row.transfer.pending_id, row.refusal))
            .collect();
        let refusal = Some(TransferCode::ExceedsCredits.number());
        let post = TransferFlags::POST_PENDING_TRANSFER;
        assert_eq!(found, [(7, TransferFlags::PENDING, 0, None), (9, post, 1, refusal)]);
    }

    /// The highest code that there is lies below the end of the search, and is found.
    #[test]
    fn every_code_has_a_name_that_is_read() {
        assert_eq!((CODES_END..u32::from(u16::MAX)).find_map(TransferCode::from_number), None);
    }

    #[test]
    fn a_table_of_any_bytes() {
        inputs!(Vec<u8>).for_each(|bytes| read(bytes));
    }

    #[test]
    fn a_damaged_table() {
        assert_eq!(rows(GOOD.as_bytes()).expect("a good table").len(), 3);
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
