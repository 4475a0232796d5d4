//! `auriga-bench replay`: sends the transfers of a file and compares what the ledger then holds.
//!
//! It can be stopped and started again, and the server under it, too: every transfer carries its id, so what is sent
//! twice answers `exists` and counts as applied.

use crate::differences::Differences;
use crate::failure::Failure;
use crate::model::code_name;
use crate::report::{count, say};
use crate::table::{self, Balance, Row};
use auriga_wire::frame::REQUEST_RECORDS_MAX;
use auriga_wire::{
    Account, AccountCode, Client, Error, EventResult, Options, Pipeline, ReplyBody, RequestFrame, Transfer,
    TransferCode,
};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Requests in flight.
const IN_FLIGHT: usize = 4;
/// Wait before the next attempt to reach the server.
const PAUSE: Duration = Duration::from_millis(200);
/// Refused rows that are told one by one.
const TOLD_MAX: usize = 10;
/// The code of accounts that have to be created.
const ACCOUNT_CODE: u16 = 1;

/// Which file, and where it goes.
#[derive(Clone, Debug, clap::Args)]
#[command(args_override_self = true)]
pub struct ReplayArgs {
    /// Transfers: columns id, debit_account, credit_account, amount_minor, code; others are ignored
    pub file: PathBuf,
    /// What the ledger must hold afterwards: columns account, debits_posted, credits_posted [default: the file's sums]
    #[arg(long, value_name = "FILE")]
    pub balances: Option<PathBuf>,
    /// The server
    #[arg(long, default_value = "127.0.0.1:7400", value_name = "HOST:PORT")]
    pub address: String,
    /// The ledger of all accounts and transfers
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub ledger: u32,
    /// Transfers a request
    #[arg(long, default_value_t = 8_190, value_parser = clap::value_parser!(u32).range(1..=REQUEST_RECORDS_MAX as i64))]
    pub batch: u32,
    /// Seconds without any progress after which it gives up: a server that is killed and started again is waited for
    #[arg(long, default_value_t = 60.0, value_parser = crate::args::seconds)]
    pub patience: f64,
}

/// Sends the file and compares; `Ok(false)` unless all is exact.
pub fn run(args: &ReplayArgs) -> Result<bool, Failure> {
    let rows = table::read_transfers(&args.file, args.ledger)?;
    let sums = sums(&rows);
    let expected = match &args.balances {
        Some(path) => table::read_balances(path)?,
        None => sums.clone(),
    };
    let mut accounts: Vec<u128> = sums.keys().copied().collect();
    accounts.sort_unstable();
    let mut patience = Patience::new(args);
    let created = create_missing(args, &mut patience, &accounts)?;
    say(&format!(
        "{}: {} transfers between {} accounts, of which {} were created",
        args.file.display(),
        count(rows.len() as u64),
        count(accounts.len() as u64),
        count(created)
    ));
    let start = Instant::now();
    let mut replay = Replay::new(args, &rows);
    replay.send_all(&mut patience)?;
    let exact_rows = replay.tell(start.elapsed());
    let exact_balances = compare(args, &mut patience, &expected, &accounts)?;
    Ok(exact_rows && exact_balances)
}

fn sums(rows: &[Row]) -> HashMap<u128, Balance> {
    let mut sums: HashMap<u128, Balance> = HashMap::new();
    for Row { transfer, .. } in rows {
        let debits = &mut sums.entry(transfer.debit_account_id).or_default().debits;
        *debits = debits.saturating_add(transfer.amount);
        let credits = &mut sums.entry(transfer.credit_account_id).or_default().credits;
        *credits = credits.saturating_add(transfer.amount);
    }
    sums
}

/// How long a server that doesn't answer is waited for.
#[derive(Debug)]
struct Patience {
    limit: Duration,
    progress: Instant,
    waiting: bool,
    reached: bool,
}

impl Patience {
    fn new(args: &ReplayArgs) -> Self {
        let limit = Duration::from_secs_f64(args.patience);
        Self { limit, progress: Instant::now(), waiting: false, reached: false }
    }

    /// The server has answered.
    fn renew(&mut self) {
        self.progress = Instant::now();
        self.reached = true;
        if std::mem::take(&mut self.waiting) {
            eprintln!("auriga-bench: the server answers again");
        }
    }

    /// Waits a little after an error that may pass; returns it as the failure if it can't or if it has been too long.
    fn wait(&mut self, error: Error) -> Result<(), Failure> {
        let never_reached = !self.reached && matches!(error, Error::Connect { .. });
        if !error.is_transient() || never_reached || self.progress.elapsed() >= self.limit {
            return Err(error.into());
        }
        if !std::mem::replace(&mut self.waiting, true) {
            eprintln!("auriga-bench: {error}; trying again for {} s", self.limit.as_secs_f64());
        }
        std::thread::sleep(PAUSE);
        Ok(())
    }

    /// Repeats `request` with a fresh client until it is answered.
    fn insist<T>(
        &mut self,
        address: &str,
        mut request: impl FnMut(&mut Client) -> Result<T, Error>,
    ) -> Result<T, Failure> {
        loop {
            match Client::connect(address, options()).and_then(|mut client| request(&mut client)) {
                Ok(answer) => {
                    self.renew();
                    return Ok(answer);
                }
                Err(error) => self.wait(error)?,
            }
        }
    }
}

fn options() -> Options {
    let brief = Duration::from_secs(10);
    Options {
        connect_timeout: brief,
        read_timeout: brief,
        write_timeout: brief,
        attempts: 1,
        ..Options::default()
    }
}

/// Creates the accounts that don't exist; returns how many.
fn create_missing(args: &ReplayArgs, patience: &mut Patience, accounts: &[u128]) -> Result<u64, Failure> {
    let mut created = 0;
    for ids in accounts.chunks(REQUEST_RECORDS_MAX) {
        let found = patience.insist(&args.address, |client| client.lookup_accounts(ids))?;
        let mut there = found.iter().map(|account| account.id).peekable();
        let missing: Vec<Account> = ids
            .iter()
            .filter(|id| there.next_if_eq(*id).is_none())
            .map(|id| Account { id: *id, ledger: args.ledger, code: ACCOUNT_CODE, ..Account::default() })
            .collect();
        if missing.is_empty() {
            continue;
        }
        let answer = patience.insist(&args.address, |client| client.create_accounts(&missing))?;
        // A retry may meet what the attempt before it has created.
        let exists = AccountCode::Exists.number();
        if let Some(refusal) = answer.refusals.iter().find(|refusal| refusal.code != exists) {
            let id = missing[refusal.index as usize].id;
            let code = AccountCode::from_number(refusal.code);
            let reason = code.map_or_else(|| format!("code {}", refusal.code), |code| code.text().into());
            return Err(Failure::Failed(format!("account {id} can't be created: {reason}")));
        }
        created += missing.len() as u64;
    }
    Ok(created)
}

/// The sending of the rows, in requests of a batch each.
#[derive(Debug)]
struct Replay<'a> {
    args: &'a ReplayArgs,
    rows: &'a [Row],
    /// Requests to be sent, by number from 0; those that were lost come back here.
    todo: VecDeque<usize>,
    applied: u64,
    existed: u64,
    refused: BTreeMap<u32, u64>,
    told: Vec<String>,
}

impl<'a> Replay<'a> {
    fn new(args: &'a ReplayArgs, rows: &'a [Row]) -> Self {
        let todo = (0..rows.len().div_ceil(args.batch as usize)).collect();
        Self { args, rows, todo, applied: 0, existed: 0, refused: BTreeMap::new(), told: Vec::new() }
    }

    fn batch(&self, number: usize) -> &'a [Row] {
        let size = self.args.batch as usize;
        &self.rows[number * size..self.rows.len().min((number + 1) * size)]
    }

    fn send_all(&mut self, patience: &mut Patience) -> Result<(), Failure> {
        while !self.todo.is_empty() {
            let mut sent = HashMap::new();
            let result = self.session(&mut sent, patience);
            // What has no answer is sent again: ids make that safe, in any order.
            self.todo.extend(sent.into_values());
            if let Err(error) = result {
                patience.wait(error)?;
            }
        }
        Ok(())
    }

    /// Sends over one connection until all is answered or something goes wrong; `sent` is what has no answer.
    fn session(&mut self, sent: &mut HashMap<u64, usize>, patience: &mut Patience) -> Result<(), Error> {
        let mut pipeline = Pipeline::connect(&self.args.address, &options(), IN_FLIGHT)?;
        while !self.todo.is_empty() || pipeline.in_flight() > 0 {
            while pipeline.has_room() {
                let Some(&number) = self.todo.front() else { break };
                let transfers: Vec<Transfer> = self.batch(number).iter().map(|row| row.transfer).collect();
                let request = pipeline.submit(RequestFrame::create_transfers(&transfers))?;
                self.todo.pop_front();
                sent.insert(request, number);
            }
            let (request, reply) = pipeline.receive()?;
            let number = sent[&request];
            match reply.body {
                ReplyBody::CreatedTransfers(refusals) => self.answered(number, refusals),
                ReplyBody::Refused(fault) => return Err(Error::Refused(fault)),
                _ => unreachable!("the pipeline matches a reply's command with the request's"),
            }
            sent.remove(&request);
            patience.renew();
        }
        Ok(())
    }

    fn answered(&mut self, number: usize, results: &[EventResult]) {
        let rows = self.batch(number);
        let refusals = results.iter().filter(|result| result.is_refused());
        self.applied += (rows.len() - refusals.clone().count()) as u64;
        for refusal in refusals {
            if refusal.code == TransferCode::Exists.number() {
                self.existed += 1;
                continue;
            }
            *self.refused.entry(refusal.code).or_default() += 1;
            if self.told.len() < TOLD_MAX {
                let Row { transfer, line } = rows[refusal.index as usize];
                self.told.push(format!(
                    "  line {line}: transfer {}: {}",
                    transfer.id,
                    code_name(refusal.code)
                ));
            }
        }
    }

    /// Says what became of the rows; true if all are applied.
    fn tell(&self, elapsed: Duration) -> bool {
        let rate = self.rows.len() as f64 / elapsed.as_secs_f64().max(1e-9);
        say(&format!(
            "sent in {:.3} s ({} rows/s): {} applied, {} had been applied before, {} refused",
            elapsed.as_secs_f64(),
            count(rate as u64),
            count(self.applied),
            count(self.existed),
            count(self.refused.values().sum())
        ));
        for (code, number) in &self.refused {
            say(&format!("  refused: {} {}", count(*number), code_name(*code)));
        }
        self.told.iter().for_each(|text| say(text));
        self.refused.is_empty()
    }
}

/// Compares the balances of the accounts in the file and of those expected.
fn compare(
    args: &ReplayArgs,
    patience: &mut Patience,
    expected: &HashMap<u128, Balance>,
    accounts: &[u128],
) -> Result<bool, Failure> {
    let mut all: Vec<u128> = accounts.iter().chain(expected.keys()).copied().collect();
    all.sort_unstable();
    all.dedup();
    let mut differences = Differences::default();
    for ids in all.chunks(REQUEST_RECORDS_MAX) {
        let found = patience.insist(&args.address, |client| client.lookup_accounts(ids))?;
        let mut found = found.into_iter().peekable();
        for id in ids {
            let found = found.next_if(|account| account.id == *id);
            let held = found
                .map(|account| Balance { debits: account.debits_posted, credits: account.credits_posted });
            if held != expected.get(id).copied() {
                differences.note(|| format!("  account {id}: {}", differ(held, expected.get(id).copied())));
            }
        }
    }
    let source = match &args.balances {
        Some(path) => path.display().to_string(),
        None => "the sums of the file".into(),
    };
    let exact = all.len() as u64 - differences.count;
    let word = if differences.count == 0 { "verified" } else { "NOT VERIFIED" };
    say(&format!(
        "{word}: {} of {} accounts hold exactly what {source} says",
        count(exact),
        count(all.len() as u64)
    ));
    differences.told.iter().for_each(|text| say(text));
    Ok(differences.count == 0)
}

fn differ(found: Option<Balance>, expected: Option<Balance>) -> String {
    let words = |balance: Option<Balance>, none: &str| match balance {
        Some(Balance { debits, credits }) => format!("debits {debits} and credits {credits}"),
        None => none.into(),
    };
    format!("found {}, expected {}", words(found, "no such account"), words(expected, "none in the balances"))
}
