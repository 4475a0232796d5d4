//! PostgreSQL: a table of accounts, a table of transfers, and a transaction for each request.
//!
//! It gets what helps it: ids as `uuid` and amounts as `bigint`, room on the pages of accounts for their next versions, no foreign
//! keys (the statements tell a missing account all the same).

use crate::peer::{Balance, Peer, SILENCE_MAX, Sender, Settings, all_applied};
use ::postgres::error::SqlState;
use ::postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use ::postgres::{Client, Config, Error, NoTls, Row, Statement};
use auriga_bench::failure::Failure;
use auriga_wire::Transfer;
use bytes::BytesMut;
use std::collections::BTreeMap;
use std::error::Error as _;

/// Rows are locked in the order of their ids, so that transactions wait for each other and never in a circle. The function's plan is made
/// once a connection: a plan for each call takes longer than the call of one transfer.
const SCHEMA: &str = "
    CREATE TABLE accounts (
        id bigint PRIMARY KEY,
        debits_posted bigint NOT NULL DEFAULT 0,
        credits_posted bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 50);
    CREATE TABLE transfers (
        id uuid PRIMARY KEY,
        debit bigint NOT NULL,
        credit bigint NOT NULL,
        amount bigint NOT NULL,
        ledger integer NOT NULL,
        code integer NOT NULL,
        created timestamptz NOT NULL DEFAULT now()
    );
    CREATE FUNCTION create_transfers(
        ids uuid[], debits bigint[], credits bigint[], amounts bigint[], ledgers integer[], codes integer[]
    ) RETURNS bigint LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
    DECLARE
        applied bigint;
    BEGIN
        PERFORM 1 FROM accounts
            WHERE accounts.id IN (SELECT unnest(debits) UNION SELECT unnest(credits))
            ORDER BY accounts.id FOR UPDATE;
        WITH created AS (
            INSERT INTO transfers (id, debit, credit, amount, ledger, code)
            SELECT asked.*
                FROM unnest(ids, debits, credits, amounts, ledgers, codes)
                    AS asked (id, debit, credit, amount, ledger, code)
                JOIN accounts AS one ON one.id = asked.debit
                JOIN accounts AS other ON other.id = asked.credit
            ON CONFLICT (id) DO NOTHING
            RETURNING transfers.debit, transfers.credit, transfers.amount
        ), sums AS (
            SELECT legs.id, sum(legs.debit)::bigint AS debits, sum(legs.credit)::bigint AS credits
                FROM (
                    SELECT created.debit AS id, created.amount AS debit, 0 AS credit FROM created
                    UNION ALL SELECT created.credit, 0, created.amount FROM created
                ) AS legs
                GROUP BY legs.id
        ), changed AS (
            UPDATE accounts
                SET debits_posted = debits_posted + sums.debits, credits_posted = credits_posted + sums.credits
                FROM sums WHERE accounts.id = sums.id
        )
        SELECT count(*) INTO applied FROM created;
        RETURN applied;
    END $$;
";
const CREATE_ACCOUNTS: &str = "INSERT INTO accounts (id) SELECT generate_series(1, $1::bigint)";
const INSERT: &str =
    "INSERT INTO transfers (id, debit, credit, amount, ledger, code) VALUES ($1, $2, $3, $4, $5, $6)";
const DEBIT: &str = "UPDATE accounts SET debits_posted = debits_posted + $2 WHERE id = $1";
const CREDIT: &str = "UPDATE accounts SET credits_posted = credits_posted + $2 WHERE id = $1";
const CALL: &str = "SELECT create_transfers($1, $2, $3, $4, $5, $6)";
const BALANCES: &str = "SELECT id, debits_posted, credits_posted FROM accounts";
const LOOK_UP: &str =
    "SELECT id, debit, credit, amount, ledger, code FROM transfers WHERE id = ANY($1) ORDER BY id";

/// Settings that are told.
const SETTINGS: [&str; 10] = [
    "server_version",
    "synchronous_commit",
    "fsync",
    "full_page_writes",
    "wal_sync_method",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "max_connections",
    "data_checksums",
];

/// How a request becomes a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Prepared statements between `BEGIN` and `COMMIT`, one after the other; a request is one transfer.
    Statements,
    /// One call of a function that takes all transfers of the request.
    Function,
}

/// A server.
pub struct Postgres {
    config: Config,
    client: Client,
    manner: Manner,
}

impl Postgres {
    /// Connects to the database that the address names.
    pub fn connect(address: &str, manner: Manner) -> Result<Self, Failure> {
        let config: Config = address.parse().map_err(|error: Error| {
            Failure::Usage(format!(
                "--address: {}; expected `host=/tmp/socket user=NAME dbname=NAME` or `postgres://...`",
                words(&error)
            ))
        })?;
        let client = open(&config)?;
        Ok(Self { config, client, manner })
    }
}

fn open(config: &Config) -> Result<Client, Failure> {
    let mut client = config
        .connect(NoTls)
        .map_err(|error| Failure::Environment(format!("can't connect to PostgreSQL: {}", words(&error))))?;
    client.batch_execute(&format!("SET statement_timeout = {}", SILENCE_MAX.as_millis())).map_err(failed)?;
    Ok(client)
}

impl Peer for Postgres {
    fn settings(&mut self) -> Result<Settings, Failure> {
        let mut settings = Settings::new();
        for name in SETTINGS {
            let row = self.client.query_one(&format!("SHOW {name}"), &[]).map_err(failed)?;
            settings.insert(name.into(), row.get(0));
        }
        Ok(settings)
    }

    fn durable(&self) -> &'static [(&'static str, &'static str)] {
        &[("synchronous_commit", "on"), ("fsync", "on"), ("full_page_writes", "on")]
    }

    fn create(&mut self, accounts: u32) -> Result<(), Failure> {
        self.client.batch_execute(SCHEMA).map_err(|error| match error.code() {
            Some(&SqlState::DUPLICATE_TABLE) => Failure::Usage(
                "the database has a table `accounts` or `transfers`, expected none: name an empty database"
                    .into(),
            ),
            _ => failed(error),
        })?;
        self.client.execute(CREATE_ACCOUNTS, &[&i64::from(accounts)]).map_err(failed)?;
        self.client.batch_execute("VACUUM ANALYZE accounts").map_err(failed)
    }

    fn sender(&mut self) -> Result<Box<dyn Sender>, Failure> {
        let mut client = open(&self.config)?;
        let mut prepare = |text| client.prepare(text).map_err(failed);
        Ok(match self.manner {
            Manner::Statements => {
                let (insert, debit, credit) = (prepare(INSERT)?, prepare(DEBIT)?, prepare(CREDIT)?);
                Box::new(Statements { client, insert, debit, credit })
            }
            Manner::Function => {
                let call = prepare(CALL)?;
                Box::new(Function { client, call, columns: Columns::default() })
            }
        })
    }

    fn balances(&mut self) -> Result<BTreeMap<u128, Balance>, Failure> {
        let rows = self.client.query(BALANCES, &[]).map_err(failed)?;
        let balance = |row: &Row| (account(row.get(0)), Balance { debits: row.get(1), credits: row.get(2) });
        Ok(rows.iter().map(balance).collect())
    }

    fn count(&mut self) -> Result<u64, Failure> {
        let row = self.client.query_one("SELECT count(*) FROM transfers", &[]).map_err(failed)?;
        Ok(row.get::<_, i64>(0).unsigned_abs())
    }

    fn transfers(&mut self, ids: &[u128]) -> Result<Vec<Transfer>, Failure> {
        let ids: Vec<Uuid> = ids.iter().copied().map(Uuid).collect();
        let rows = self.client.query(LOOK_UP, &[&ids]).map_err(failed)?;
        let transfer = |row: &Row| Transfer {
            id: row.get::<_, Uuid>(0).0,
            debit_account_id: account(row.get(1)),
            credit_account_id: account(row.get(2)),
            amount: u128::from(row.get::<_, i64>(3).unsigned_abs()),
            ledger: row.get::<_, i32>(4).unsigned_abs(),
            code: u16::try_from(row.get::<_, i32>(5)).unwrap_or_default(),
            ..Transfer::default()
        };
        Ok(rows.iter().map(transfer).collect())
    }
}

/// Sends a transfer as a transaction of its own.
struct Statements {
    client: Client,
    insert: Statement,
    debit: Statement,
    credit: Statement,
}

impl Statements {
    /// Five round trips, as an application makes them.
    fn transact(&mut self, transfer: &Transfer) -> Result<usize, Error> {
        let Columns { ids, debits, credits, amounts, ledgers, codes } =
            &Columns::of(std::slice::from_ref(transfer));
        let (debit, credit, amount) = (debits[0], credits[0], amounts[0]);
        let mut transaction = self.client.transaction()?;
        transaction.execute(&self.insert, &[&ids[0], &debit, &credit, &amount, &ledgers[0], &codes[0]])?;
        let mut legs = [(debit, &self.debit), (credit, &self.credit)];
        legs.sort_unstable_by_key(|(account, _)| *account);
        let mut changed = 0;
        for (account, statement) in legs {
            changed += transaction.execute(statement, &[&account, &amount])?;
        }
        if changed == 2 {
            transaction.commit()?;
        }
        Ok(usize::from(changed == 2))
    }
}

impl Sender for Statements {
    fn send(&mut self, transfers: &[Transfer]) -> Result<u64, Failure> {
        let mut again = 0;
        for transfer in transfers {
            all_applied(until_it_holds(&mut again, || self.transact(transfer))?, 1)?;
        }
        Ok(again)
    }
}

/// Sends a request as one call.
struct Function {
    client: Client,
    call: Statement,
    columns: Columns,
}

impl Sender for Function {
    fn send(&mut self, transfers: &[Transfer]) -> Result<u64, Failure> {
        self.columns.fill(transfers);
        let Columns { ids, debits, credits, amounts, ledgers, codes } = &self.columns;
        let mut again = 0;
        let applied: i64 = until_it_holds(&mut again, || {
            let row = self.client.query_one(&self.call, &[ids, debits, credits, amounts, ledgers, codes])?;
            row.try_get(0)
        })?;
        all_applied(usize::try_from(applied).unwrap_or_default(), transfers.len())?;
        Ok(again)
    }
}

/// Tries a transaction until no other one is in its way; counts the tries that were.
fn until_it_holds<T>(again: &mut u64, mut transact: impl FnMut() -> Result<T, Error>) -> Result<T, Failure> {
    loop {
        match transact() {
            Ok(done) => return Ok(done),
            Err(error) if is_in_the_way(&error) => *again += 1,
            Err(error) => return Err(failed(error)),
        }
    }
}

fn is_in_the_way(error: &Error) -> bool {
    let code = error.code();
    code == Some(&SqlState::T_R_DEADLOCK_DETECTED) || code == Some(&SqlState::T_R_SERIALIZATION_FAILURE)
}

/// Transfers as the columns of their table.
#[derive(Debug, Default)]
struct Columns {
    ids: Vec<Uuid>,
    debits: Vec<i64>,
    credits: Vec<i64>,
    amounts: Vec<i64>,
    ledgers: Vec<i32>,
    codes: Vec<i32>,
}

impl Columns {
    fn of(transfers: &[Transfer]) -> Self {
        let mut columns = Self::default();
        columns.fill(transfers);
        columns
    }

    /// The generator's accounts, amounts and ledgers are small.
    fn fill(&mut self, transfers: &[Transfer]) {
        let Self { ids, debits, credits, amounts, ledgers, codes } = self;
        ids.clear();
        [&mut *debits, &mut *credits, &mut *amounts].into_iter().for_each(Vec::clear);
        [&mut *ledgers, &mut *codes].into_iter().for_each(Vec::clear);
        for transfer in transfers {
            ids.push(Uuid(transfer.id));
            debits.push(transfer.debit_account_id as i64);
            credits.push(transfer.credit_account_id as i64);
            amounts.push(transfer.amount as i64);
            ledgers.push(transfer.ledger as i32);
            codes.push(i32::from(transfer.code));
        }
    }
}

fn account(id: i64) -> u128 {
    u128::from(id.unsigned_abs())
}

/// An id as PostgreSQL's `uuid`: 16 bytes, the highest first, so that both are in the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Uuid(u128);

type BoxedError = Box<dyn std::error::Error + Sync + Send>;

impl ToSql for Uuid {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, BoxedError> {
        out.extend_from_slice(&self.0.to_be_bytes());
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::UUID
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Uuid {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, BoxedError> {
        Ok(Self(u128::from_be_bytes(raw.try_into()?)))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::UUID
    }
}

#[allow(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
fn failed(error: Error) -> Failure {
    Failure::Failed(format!("PostgreSQL: {}", words(&error)))
}

/// An error with what lies behind it.
fn words(error: &Error) -> String {
    match error.as_db_error() {
        Some(told) => format!("{told}"),
        None => match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}
