//! Questions about the past, one after the other: how long each takes, and that it is answered rightly.

use crate::args::seconds;
use crate::failure::Failure;
use crate::report::{count, say};
use auriga_wire::{Client, Filter, Options, Transfer};
use fastrand::Rng;
use hdrhistogram::Histogram;
use std::time::{Duration, Instant};

/// The longest latency that is told from longer ones, nanoseconds.
const LATENCY_MAX: u64 = 60_000_000_000;

/// Whom to ask, and what.
#[derive(Clone, Debug, clap::Args)]
pub struct AskArgs {
    /// The server
    #[arg(long, default_value = "127.0.0.1:7400", value_name = "HOST:PORT")]
    pub address: String,
    /// Accounts that are asked about, drawn at random: ids 1 to N
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub accounts: u32,
    /// Transfers that are asked for: the newest of the account
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=8_190))]
    pub limit: u32,
    /// Seconds
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    pub seconds: f64,
    /// Seed of the accounts
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print one JSON object as the last line of stdout
    #[arg(long)]
    pub json: bool,
}

/// Asks for so long; `false` if an answer was wrong.
pub fn run(args: &AskArgs) -> Result<bool, Failure> {
    let mut client = Client::connect(&args.address, Options::default())?;
    let mut random = Rng::with_seed(args.seed);
    let mut latency = Histogram::<u64>::new_with_max(LATENCY_MAX, 3).expect("the bounds are fine");
    let (mut found, mut wrong) = (0, 0);
    let end = Instant::now() + Duration::from_secs_f64(args.seconds);
    while Instant::now() < end {
        let account = u128::from(random.u32(1..=args.accounts));
        let asked = Instant::now();
        let page = client.account_transfers(&Filter::newest_of(account, args.limit))?;
        latency.saturating_record(asked.elapsed().as_nanos() as u64);
        found += page.records.len() as u64;
        wrong += u64::from(!is_right(&page.records, account, args.limit));
    }
    let at = |quantile: f64| latency.value_at_quantile(quantile) / 1_000;
    let (asked, p50, p99, max) = (latency.len(), at(0.5), at(0.99), latency.max() / 1_000);
    say(&format!("{} questions with {} transfers, {wrong} wrong", count(asked), count(found)));
    say(&format!("latency of a question: p50 {p50} us, p99 {p99} us, max {max} us"));
    if args.json {
        println!(
            "{{\"questions\":{asked},\"transfers\":{found},\"wrong\":{wrong},\"p50_us\":{p50},\"p99_us\":{p99},\"max_us\":{max}}}"
        );
    }
    Ok(wrong == 0)
}

/// Whether these can be the newest transfers of the account.
pub(crate) fn is_right(transfers: &[Transfer], account: u128, limit: u32) -> bool {
    let is_of_it = |t: &Transfer| t.debit_account_id == account || t.credit_account_id == account;
    transfers.len() <= limit as usize
        && transfers.iter().all(is_of_it)
        && transfers.is_sorted_by(|a, b| a.timestamp > b.timestamp)
}
