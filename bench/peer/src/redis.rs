//! Redis: a hash for each account, a string for each transfer, and a script for each request.
//!
//! A request is one call of the script, so that its transfers are applied as one, and one write of the append-only file is flushed for
//! it. Sending many calls at once (pipelining) would be another way to the same; here connections that wait side by side have the same
//! effect, because Redis flushes once for all calls that it found in a turn.

use crate::peer::{Balance, Peer, SILENCE_MAX, Sender, Settings, all_applied};
use ::redis::{Client, Cmd, Connection, FromRedisValue, RedisError, cmd, pipe};
use auriga_bench::failure::Failure;
use auriga_wire::Transfer;
use std::collections::BTreeMap;

/// Applies transfers: of each the keys of transfer, debit account and credit account, and its record and amount. Returns how many
/// were: both accounts must be there, and the id must be new.
const SCRIPT: &str = "
    local applied = 0
    for place = 1, #ARGV / 2 do
        local transfer, debit, credit = KEYS[3 * place - 2], KEYS[3 * place - 1], KEYS[3 * place]
        local record, amount = ARGV[2 * place - 1], ARGV[2 * place]
        if redis.call('EXISTS', debit, credit) == 2 and redis.call('SET', transfer, record, 'NX') then
            redis.call('HINCRBY', debit, 'debits', amount)
            redis.call('HINCRBY', credit, 'credits', amount)
            applied = applied + 1
        end
    end
    return applied
";

/// Settings that are told, beside the version.
const SETTINGS: [&str; 6] =
    ["appendonly", "appendfsync", "save", "auto-aof-rewrite-percentage", "io-threads", "maxmemory"];

/// Accounts that are created or read at once.
const ACCOUNTS_AT_ONCE: u32 = 1_000;

/// A server.
pub struct Redis {
    client: Client,
    connection: Connection,
    script: String,
    accounts: u32,
}

impl Redis {
    /// Connects to a server.
    pub fn connect(address: &str) -> Result<Self, Failure> {
        let client = Client::open(address).map_err(|error| {
            Failure::Usage(format!("--address: {error}; expected `redis://...` or `unix:///tmp/socket`"))
        })?;
        let connection = open(&client)?;
        Ok(Self { client, connection, script: String::new(), accounts: 0 })
    }

    fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, Failure> {
        command.query(&mut self.connection).map_err(failed)
    }

    fn keys(&mut self) -> Result<u64, Failure> {
        self.ask(&cmd("DBSIZE"))
    }

    /// The accounts' indexes, some at once.
    fn chunks(accounts: u32) -> impl Iterator<Item = std::ops::RangeInclusive<u32>> {
        let last = move |first: u32| accounts.min(first + (ACCOUNTS_AT_ONCE - 1));
        (1..=accounts).step_by(ACCOUNTS_AT_ONCE as usize).map(move |first| first..=last(first))
    }
}

fn open(client: &Client) -> Result<Connection, Failure> {
    let unreachable = |error| Failure::Environment(format!("can't connect to Redis: {error}"));
    let connection = client.get_connection_with_timeout(SILENCE_MAX).map_err(unreachable)?;
    connection.set_read_timeout(Some(SILENCE_MAX)).map_err(unreachable)?;
    Ok(connection)
}

impl Peer for Redis {
    fn settings(&mut self) -> Result<Settings, Failure> {
        let mut settings = Settings::new();
        for name in SETTINGS {
            let found: BTreeMap<String, String> = self.ask(cmd("CONFIG").arg("GET").arg(name))?;
            settings.extend(found);
        }
        let told: String = self.ask(cmd("INFO").arg("server"))?;
        if let Some(version) = told.lines().find_map(|line| line.strip_prefix("redis_version:")) {
            settings.insert("server_version".into(), version.trim().into());
        }
        Ok(settings)
    }

    fn durable(&self) -> &'static [(&'static str, &'static str)] {
        &[("appendonly", "yes"), ("appendfsync", "always")]
    }

    fn create(&mut self, accounts: u32) -> Result<(), Failure> {
        let keys = self.keys()?;
        if keys > 0 {
            return Err(Failure::Usage(format!(
                "the database has {keys} keys, expected none: name an empty one"
            )));
        }
        for chunk in Self::chunks(accounts) {
            let mut commands = pipe();
            for id in chunk {
                commands
                    .cmd("HSET")
                    .arg(account_key(id.into()))
                    .arg(&["debits", "0", "credits", "0"])
                    .ignore();
            }
            commands.query::<()>(&mut self.connection).map_err(failed)?;
        }
        self.script = self.ask(cmd("SCRIPT").arg("LOAD").arg(SCRIPT))?;
        self.accounts = accounts;
        Ok(())
    }

    fn sender(&mut self) -> Result<Box<dyn Sender>, Failure> {
        Ok(Box::new(Script { connection: open(&self.client)?, script: self.script.clone() }))
    }

    fn balances(&mut self) -> Result<BTreeMap<u128, Balance>, Failure> {
        let mut balances = BTreeMap::new();
        for chunk in Self::chunks(self.accounts) {
            let mut commands = pipe();
            for id in chunk.clone() {
                commands.cmd("HMGET").arg(account_key(id.into())).arg(&["debits", "credits"]);
            }
            let found: Vec<(Option<i64>, Option<i64>)> =
                commands.query(&mut self.connection).map_err(failed)?;
            for (id, sums) in chunk.zip(found) {
                if let (Some(debits), Some(credits)) = sums {
                    balances.insert(id.into(), Balance { debits, credits });
                }
            }
        }
        Ok(balances)
    }

    /// Every key that is no account's.
    fn count(&mut self) -> Result<u64, Failure> {
        Ok(self.keys()?.saturating_sub(self.accounts.into()))
    }

    fn transfers(&mut self, ids: &[u128]) -> Result<Vec<Transfer>, Failure> {
        let keys: Vec<Vec<u8>> = ids.iter().copied().map(transfer_key).collect();
        let found: Vec<Option<Vec<u8>>> = self.ask(cmd("MGET").arg(keys))?;
        ids.iter().zip(found).filter_map(|(id, record)| record.map(|record| read(*id, &record))).collect()
    }
}

/// Sends a request as one call.
struct Script {
    connection: Connection,
    script: String,
}

impl Sender for Script {
    fn send(&mut self, transfers: &[Transfer]) -> Result<u64, Failure> {
        let mut call = cmd("EVALSHA");
        call.arg(&self.script).arg(3 * transfers.len());
        for transfer in transfers {
            call.arg(transfer_key(transfer.id));
            call.arg(account_key(transfer.debit_account_id)).arg(account_key(transfer.credit_account_id));
        }
        for transfer in transfers {
            call.arg(&record(transfer)[..]).arg(transfer.amount as u64);
        }
        let applied: usize = call.query(&mut self.connection).map_err(failed)?;
        all_applied(applied, transfers.len())?;
        Ok(0)
    }
}

fn account_key(id: u128) -> String {
    format!("a:{id}")
}

fn transfer_key(id: u128) -> Vec<u8> {
    [&b"t:"[..], &id.to_be_bytes()].concat()
}

const RECORD_SIZE: usize = 30;

/// What a transfer's key holds: debit account, credit account, amount, ledger, code, little-endian. The generator's are small.
fn record(transfer: &Transfer) -> [u8; RECORD_SIZE] {
    let mut record = [0; RECORD_SIZE];
    record[..8].copy_from_slice(&(transfer.debit_account_id as u64).to_le_bytes());
    record[8..16].copy_from_slice(&(transfer.credit_account_id as u64).to_le_bytes());
    record[16..24].copy_from_slice(&(transfer.amount as u64).to_le_bytes());
    record[24..28].copy_from_slice(&transfer.ledger.to_le_bytes());
    record[28..].copy_from_slice(&transfer.code.to_le_bytes());
    record
}

fn read(id: u128, record: &[u8]) -> Result<Transfer, Failure> {
    if record.len() != RECORD_SIZE {
        return Err(Failure::Failed(format!(
            "transfer {id:032x}: found {} bytes in Redis, expected {RECORD_SIZE}",
            record.len()
        )));
    }
    let number = |from: usize, to: usize| {
        record[from..to].iter().rev().fold(0_u128, |number, byte| number << 8 | u128::from(*byte))
    };
    Ok(Transfer {
        id,
        debit_account_id: number(0, 8),
        credit_account_id: number(8, 16),
        amount: number(16, 24),
        ledger: number(24, 28) as u32,
        code: number(28, 30) as u16,
        ..Transfer::default()
    })
}

#[allow(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
fn failed(error: RedisError) -> Failure {
    Failure::Failed(format!("Redis: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let transfer = Transfer {
            id: 7 << 80,
            debit_account_id: 10_000,
            credit_account_id: 9_999_999_999,
            amount: 1_024,
            ledger: 70_000,
            code: 513,
            ..Transfer::default()
        };
        assert_eq!(read(transfer.id, &record(&transfer)).expect("it is whole"), transfer);
        assert!(read(transfer.id, &record(&transfer)[1..]).is_err());
    }

    #[test]
    fn chunks_hold_every_account_once() {
        for accounts in [2, 999, 1_000, 1_001, 2_500] {
            let ids: Vec<u32> = Redis::chunks(accounts).flatten().collect();
            assert_eq!(ids, (1..=accounts).collect::<Vec<_>>());
        }
    }
}
