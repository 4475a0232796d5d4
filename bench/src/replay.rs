//! `auriga-bench replay`: sends the transfers of a file and compares what the ledger then holds.
//!
//! It can be stopped and started again, and the server under it, too: every transfer carries its id, so what is sent
//! twice answers `exists` and counts as applied. With `--repeat` or `--seconds` the ids are new, and the file is sent again and again.

mod holdings;
mod patience;
mod sending;
mod survey;

use crate::arrivals::Arrivals;
use crate::budget::{self, Budget, Judged};
use crate::differences::Differences;
use crate::drive::Driver;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::figures::Counts;
use crate::generator::{Clocks, Generator};
use crate::outputs::{OutputArgs, Outputs};
use crate::report::{self, Latency, count, latency_lines, say};
use crate::table::{self, Balance};
use auriga_wire::frame::REQUEST_RECORDS_MAX;
use auriga_wire::{Account, AccountCode};
use holdings::{Holdings, Sums};
use patience::{Patience, options};
use sending::Sending;
use serde::Serialize;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;
use survey::Survey;

/// Requests in flight.
const IN_FLIGHT: usize = 4;
/// The code of accounts that have to be created.
const ACCOUNT_CODE: u16 = 1;

/// Which file, and where it goes.
#[derive(Clone, Debug, clap::Args)]
#[command(args_override_self = true)]
pub struct ReplayArgs {
    /// Transfers: columns id, debit_account, credit_account, amount_minor, code, and perhaps timestamp (nanoseconds since 1970, or
    /// RFC 3339) or date, flags, pending_id, result; others are ignored
    pub file: PathBuf,
    /// What the ledger must hold afterwards: columns account, debits_posted, credits_posted [default: the file's sums]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["repeat", "seconds"])]
    pub balances: Option<PathBuf>,
    /// By the file's own times, so many times as fast as they passed, with latency from when a row was due [default: as fast as
    /// possible]
    #[arg(long, value_name = "FACTOR", value_parser = crate::args::factor)]
    pub speed: Option<f64>,
    /// Send the file so many times, with new ids
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub repeat: Option<u64>,
    /// Send the file again and again with new ids, for so many seconds
    #[arg(long, value_parser = crate::args::seconds, conflicts_with = "repeat")]
    pub seconds: Option<f64>,
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
    /// The files that it leaves.
    #[command(flatten)]
    pub outputs: OutputArgs,
    /// What must be reached, or the exit code is 1, as in p99<10ms or refused<=0; may be repeated
    #[arg(long, value_name = "BUDGET", value_parser = budget::of_a_run)]
    pub require: Vec<Budget>,
    /// Print one JSON object as the last line of stdout
    #[arg(long)]
    pub json: bool,
}

impl ReplayArgs {
    /// Whether transfers get new ids.
    fn is_fresh(&self) -> bool {
        self.repeat.is_some() || self.seconds.is_some()
    }

    fn passes_max(&self) -> u64 {
        match self.seconds {
            Some(_) => u64::MAX,
            None => self.repeat.unwrap_or(1),
        }
    }
}

/// The last line of stdout with `--json`. What `run` has, too, means the same here.
#[derive(Debug, Serialize)]
struct Report {
    transfers_per_second: f64,
    transfers: u64,
    seconds: f64,
    refused: u64,
    verified: bool,
    shards: u32,
    batch: u32,
    latency_us: Latency,
    raw_latency_us: Latency,
    unsent: u64,
    unanswered: u64,
    generator: Generator,
    pendings: u64,
    posts: u64,
    voids: u64,
    /// Rows that were sent, of all passes.
    rows: u64,
    /// Rows that had been applied before.
    existed: u64,
    /// How often the file was sent whole.
    passes: u64,
    /// How many times as fast as the file's times passed; `null`: as fast as possible.
    speed: Option<f64>,
    environment: Environment,
    budgets: Vec<Judged>,
}

/// Sends the file and compares; `Ok(false)` unless all is exact.
pub fn run(args: &ReplayArgs) -> Result<bool, Failure> {
    let survey = Survey::of(&args.file, args.ledger, args.is_fresh())?;
    if args.speed.is_some() && !survey.has_times {
        let path = args.file.display();
        return Err(Failure::Usage(format!(
            "{path}: --speed needs a column `timestamp` or `date`, and found none"
        )));
    }
    if args.speed.is_some() && args.seconds.is_some() && survey.times.0 == survey.times.1 {
        let path = args.file.display();
        return Err(Failure::Usage(format!(
            "{path}: --speed with --seconds: all rows have the same time, so no time would ever pass"
        )));
    }
    let expected = args.balances.as_deref().map(table::read_balances).transpose()?;
    let mut outputs = Outputs::open(&args.outputs, None, None)?;
    let mut patience = Patience::new(args.patience);
    let status = patience.insist(&args.address, |client| client.status(false))?;
    let environment = Environment::of(&args.address, &status, None);
    say(&environment.words());
    let (created, before) = create_missing(args, &mut patience, &survey.accounts)?;
    say(&format!(
        "{}: {} transfers between {} accounts, of which {} were created",
        args.file.display(),
        count(survey.rows),
        count(survey.accounts.len() as u64),
        count(created)
    ));
    let mut sending = Sending::new(args, &survey, patience)?;
    let clocks = Clocks::now();
    let failed = send_all(args, &mut sending).err();
    sending.figures.spent = clocks.spent();
    let failed = failed.or(sending.finish().err());
    outputs.write_measured(&sending.timeline(), &sending.figures.latency, &[])?;
    say(&sending.words());
    say(latency_lines(&sending.figures).trim_end());
    say(&Generator::of(&sending.figures).words());
    if sending.figures.unsent + sending.figures.unanswered > 0 {
        let (unsent, unanswered) = (count(sending.figures.unsent), count(sending.figures.unanswered));
        say(&format!(
            "behind: {unsent} requests were due and not sent, {unanswered} sent and never answered; they are in no latency above"
        ));
    }
    let is_verified = match failed {
        None => {
            sending.is_as_said() & compare(args, &mut sending, expected.as_ref(), &before, &survey.accounts)?
        }
        Some(_) => false,
    };
    let budgets = report::judge(&args.require, &sending.figures);
    say(&budget::words(&budgets));
    let kept = budgets.iter().all(|budget| budget.met);
    if args.json {
        let report = report_of(args, &sending, is_verified, status.shards, environment, budgets);
        say(&serde_json::to_string(&report).map_err(|error| Failure::Failed(error.to_string()))?);
    }
    failed.map_or(Ok(is_verified && kept), Err)
}

/// Sends until all is answered, over a new connection when one is lost.
fn send_all(args: &ReplayArgs, sending: &mut Sending<'_>) -> Result<(), Failure> {
    loop {
        let result = Driver::connect(&args.address, &options(), 1, IN_FLIGHT)
            .and_then(|mut driver| driver.run(sending, &mut Arrivals::unbounded(Instant::now())));
        match result {
            Ok(()) => return Ok(()),
            Err(failure) => {
                sending.lose();
                sending.patience.wait(failure)?;
            }
        }
    }
}

fn report_of(
    args: &ReplayArgs,
    sending: &Sending<'_>,
    verified: bool,
    shards: u32,
    environment: Environment,
    budgets: Vec<Judged>,
) -> Report {
    let figures = &sending.figures;
    let Counts { created, refused, pendings, posts, voids, .. } = figures.counts;
    Report {
        transfers_per_second: figures.rate(),
        transfers: created,
        seconds: figures.seconds(),
        refused,
        verified,
        shards,
        batch: args.batch,
        latency_us: Latency::of(&figures.latency),
        raw_latency_us: Latency::of(&figures.raw_latency),
        unsent: figures.unsent,
        unanswered: figures.unanswered,
        generator: Generator::of(figures),
        pendings,
        posts,
        voids,
        rows: sending.rows_sent,
        existed: sending.existed(),
        passes: sending.passes,
        speed: args.speed,
        environment,
        budgets,
    }
}

/// Creates the accounts that don't exist; returns how many, and what the others hold.
fn create_missing(
    args: &ReplayArgs,
    patience: &mut Patience,
    accounts: &[u128],
) -> Result<(u64, Holdings), Failure> {
    let (mut created, mut before) = (0, Holdings::default());
    for ids in accounts.chunks(REQUEST_RECORDS_MAX) {
        let found = patience.insist(&args.address, |client| client.lookup_accounts(ids))?;
        found.iter().for_each(|account| before.set(account.id, Sums::of(account)));
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
    Ok((created, before))
}

/// Compares the balances of the accounts in the file and of those expected. With new ids accounts hold what they held before, too; with
/// the file's own some rows may have been applied before, so the accounts must have been new then.
fn compare(
    args: &ReplayArgs,
    sending: &mut Sending<'_>,
    expected: Option<&HashMap<u128, Balance>>,
    before: &Holdings,
    accounts: &[u128],
) -> Result<bool, Failure> {
    let more = expected.into_iter().flat_map(HashMap::keys);
    let mut all: Vec<u128> = accounts.iter().chain(more).copied().collect();
    all.sort_unstable();
    all.dedup();
    let mut differences = Differences::default();
    for ids in all.chunks(REQUEST_RECORDS_MAX) {
        let found = sending.patience.insist(&args.address, |client| client.lookup_accounts(ids))?;
        let mut found = found.into_iter().peekable();
        for id in ids {
            let found = found.next_if(|account| account.id == *id).map(|account| Sums::of(&account));
            let expected = match expected {
                // The file of balances says nothing of what is pending.
                Some(balances) => balances.get(id).map(|balance| Sums {
                    debits_posted: balance.debits,
                    credits_posted: balance.credits,
                    ..found.unwrap_or_default()
                }),
                None => {
                    let before = if args.is_fresh() { before.get(*id) } else { Sums::default() };
                    Some(before.plus(&sending.holdings.get(*id)))
                }
            };
            if found != expected {
                differences.note(|| format!("  account {id}: {}", differ(found, expected)));
            }
        }
    }
    let source = match &args.balances {
        Some(path) => path.display().to_string(),
        None if args.is_fresh() => format!("the file says, sent {}", sending.times()),
        None => "the sums of the file".into(),
    };
    let exact = all.len() as u64 - differences.count;
    let word = if differences.count == 0 { "verified" } else { "NOT VERIFIED" };
    let says = if args.is_fresh() { "" } else { " says" };
    say(&format!(
        "{word}: {} of {} accounts hold exactly what {source}{says}",
        count(exact),
        count(all.len() as u64)
    ));
    differences.told.iter().for_each(|text| say(text));
    Ok(differences.count == 0)
}

fn differ(found: Option<Sums>, expected: Option<Sums>) -> String {
    let words = |sums: Option<Sums>, none: &str| match sums {
        Some(Sums { debits_pending, debits_posted, credits_pending, credits_posted }) => {
            let pending = match debits_pending | credits_pending {
                0 => String::new(),
                _ => format!(", pending {debits_pending} and {credits_pending}"),
            };
            format!("debits {debits_posted} and credits {credits_posted}{pending}")
        }
        None => none.into(),
    };
    format!("found {}, expected {}", words(found, "no such account"), words(expected, "none in the balances"))
}
