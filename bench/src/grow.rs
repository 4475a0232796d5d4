//! Fills a ledger with so many accounts, transfers and pending transfers, one request after the other: to see what they cost.

use crate::failure::Failure;
use crate::report::{count, say};
use auriga_wire::frame::REQUEST_RECORDS_MAX;
use auriga_wire::record::TransferFlags;
use auriga_wire::{Account, Client, Created, IdGenerator, Options, Transfer};
use fastrand::Rng;

/// Timeout of the pending transfers, seconds: longer than anybody measures.
const TIMEOUT: u32 = 30 * 86_400;

/// What to create.
#[derive(Clone, Debug, clap::Args)]
#[command(args_override_self = true)]
pub struct GrowArgs {
    /// The server
    #[arg(long, default_value = "127.0.0.1:7400", value_name = "HOST:PORT")]
    pub address: String,
    /// Accounts: ids 1 to N
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(2..))]
    pub accounts: u64,
    /// Plain transfers, with fresh ids
    #[arg(long, default_value_t = 0)]
    pub transfers: u64,
    /// Pending transfers, with fresh ids
    #[arg(long, default_value_t = 0)]
    pub pendings: u64,
}

/// Creates it; `false` if something was refused that isn't there already.
pub fn run(args: &GrowArgs) -> Result<bool, Failure> {
    let mut client = Client::connect(&args.address, Options::default())?;
    let mut refused = 0;
    let accounts: Vec<u64> = (1..=args.accounts).collect();
    for ids in accounts.chunks(REQUEST_RECORDS_MAX) {
        let account = |id: &u64| Account { id: u128::from(*id), ledger: 1, code: 1, ..Account::default() };
        let request: Vec<Account> = ids.iter().map(account).collect();
        let created = client.create_accounts(&request)?;
        let exists = auriga_wire::AccountCode::Exists.number();
        refused += created.refusals.iter().filter(|refusal| refusal.code != exists).count();
    }
    let mut random = Rng::with_seed(1);
    let mut ids = IdGenerator::new();
    for (flags, transfers) in [(0, args.transfers), (TransferFlags::PENDING, args.pendings)] {
        let mut left = transfers;
        while left > 0 {
            let size = left.min(REQUEST_RECORDS_MAX as u64);
            left -= size;
            let request: Vec<Transfer> =
                (0..size).map(|_| draw(args.accounts, flags, &mut random, &mut ids)).collect();
            let Created { refusals, .. } = client.create_transfers(&request)?;
            refused += refusals.len();
        }
    }
    say(&format!(
        "{} accounts, {} transfers, {} pending ones; {refused} refused",
        count(args.accounts),
        count(args.transfers),
        count(args.pendings)
    ));
    Ok(refused == 0)
}

fn draw(accounts: u64, flags: u16, random: &mut Rng, ids: &mut IdGenerator) -> Transfer {
    let debit = random.u64(1..=accounts);
    let credit = 1 + (debit + random.u64(0..accounts - 1)) % accounts;
    Transfer {
        id: ids.next_id(),
        debit_account_id: u128::from(debit),
        credit_account_id: u128::from(credit),
        amount: 1,
        timeout: if flags == 0 { 0 } else { TIMEOUT },
        ledger: 1,
        code: 1,
        flags,
        ..Transfer::default()
    }
}
