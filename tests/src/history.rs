//! The comparison of the history with the reference model's past: random logs, with commits and reopenings in between,
//! and every kind of question, each followed to its last page.

mod past;
mod questions;

use crate::exact::logged::{Logged, LoggedEpoch};
use crate::random_log::{Events, RandomLog};
use crate::seeds::Count;
use auriga_history::{BlockOutcome, Builder, Epoch, Error, Options, Progress};
use auriga_shards::log::cut::Cut;
use auriga_wire::record::AccountFlags;
use fastrand::Rng;
use past::{Outcomes, Past};
use std::path::PathBuf;

const CLUSTER: u64 = 7;

/// What was compared, and what occurred while it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Epochs that were taken.
    pub epochs: u64,
    /// Commits, those by the builder itself included.
    pub commits: u64,
    /// Times that the directory was opened again.
    pub reopenings: u64,
    /// Epochs that had been taken, and were lost at a reopening because they had not been committed.
    pub lost: u64,
    /// Pages of answers that were compared: an account's transfers, its balances, transfers, accounts.
    pub pages: [u64; 4],
    /// Records in these.
    pub records: [u64; 4],
    /// Transfers that were looked up and found.
    pub found: u64,
}

impl Count for Tally {
    fn add(&mut self, other: &Self) {
        self.epochs += other.epochs;
        self.commits += other.commits;
        self.reopenings += other.reopenings;
        self.lost += other.lost;
        self.found += other.found;
        for i in 0..4 {
            self.pages[i] += other.pages[i];
            self.records[i] += other.records[i];
        }
    }
}

/// Builds the history of the seed's log, and compares it whenever something was committed.
pub fn compare(seed: u64) -> Result<Tally, String> {
    let mut rng = Rng::with_seed(seed);
    let mut log = RandomLog::new(seed);
    add_histories(&mut log, &mut rng);
    let logged = Logged::new(&log, &mut rng);
    let directory = std::env::temp_dir().join(format!("auriga-history-{}-{seed}", std::process::id()));
    let run = Run::new(&logged, directory.clone(), rng).and_then(Run::run);
    std::fs::remove_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    run
}

/// Gives some of the accounts a history, in all their creations.
fn add_histories(log: &mut RandomLog, rng: &mut Rng) {
    let (mask, threshold) = (rng.u128(..), rng.u32(..4));
    for request in log.epochs.iter_mut().flat_map(|epoch| &mut epoch.requests) {
        if let Events::Accounts(accounts) = &mut request.events {
            let chosen =
                accounts.iter_mut().filter(|account| (account.id & mask).count_ones() % 4 < threshold);
            chosen.for_each(|account| account.flags |= AccountFlags::HISTORY);
        }
    }
}

struct Run<'a> {
    logged: &'a Logged,
    past: Past,
    /// By epoch.
    outcomes: Vec<Outcomes>,
    options: Options,
    builder: Option<Builder>,
    seen: Progress,
    rng: Rng,
    tally: Tally,
}

impl<'a> Run<'a> {
    fn new(logged: &'a Logged, directory: PathBuf, mut rng: Rng) -> Result<Self, String> {
        let mut past = Past::default();
        let outcomes = logged.epochs.iter().map(|epoch| past.execute(epoch)).collect();
        let options = Options {
            memtable_bytes: [0, 12 << 20][rng.usize(..2)],
            collected_bytes: [1, 5_000, 30_000, 1 << 20][rng.usize(..4)],
            recent_bytes: [0, 5_000, 20_000, 1 << 20][rng.usize(..4)],
            ..Options::new(directory, CLUSTER)
        };
        let builder = Some(Builder::open(&options).map_err(text)?);
        let (seen, tally) = (Progress::default(), Tally::default());
        Ok(Self { logged, past, outcomes, options, builder, seen, rng, tally })
    }

    fn run(mut self) -> Result<Tally, String> {
        let mut next = 1;
        while next <= self.logged.epochs.len() {
            self.add(next)?;
            next += 1;
            match self.rng.u8(..10) {
                0..3 => self.builder().commit().map_err(text)?,
                3 => self.persist()?,
                4 => next = self.reopen(next)?,
                _ => {}
            }
            self.look()?;
        }
        self.builder().commit().map_err(text)?;
        self.look()?;
        self.reopen(next)?;
        self.look()?;
        expect("epochs in the end", &(self.logged.epochs.len() as u64), &self.seen.epoch)?;
        Ok(self.tally)
    }

    fn builder(&mut self) -> &mut Builder {
        self.builder.as_mut().expect("it is open")
    }

    /// Gives the builder an epoch, by its number.
    fn add(&mut self, number: usize) -> Result<(), String> {
        let LoggedEpoch { cut, .. } = &self.logged.epochs[number - 1];
        let blocks = block_outcomes(cut, &self.outcomes[number - 1]);
        let blocks: Vec<BlockOutcome<'_>> = blocks
            .iter()
            .zip(&cut.blocks)
            .map(|((base, outcomes), entry)| BlockOutcome {
                base: *base,
                bytes: self.logged.bytes(entry),
                refused: &outcomes.refused,
                amounts: &outcomes.amounts,
            })
            .collect();
        let epoch = Epoch {
            number: cut.epoch,
            checksum: u128::from(cut.epoch),
            time: cut.time,
            expire_through: cut.expire_through,
            blocks: &blocks,
        };
        self.tally.epochs += 1;
        self.builder.as_mut().expect("it is open").add(&epoch).map_err(text)
    }

    fn persist(&mut self) -> Result<(), String> {
        let durable = self.builder().persist().map_err(text)?;
        let committed = self.builder().progress().epoch;
        expect("durable epoch", &committed, &durable)
    }

    /// Opens the directory again; returns the epoch to go on with, sometimes one that the history has.
    fn reopen(&mut self, next: usize) -> Result<usize, String> {
        let committed = self.builder().progress();
        self.builder = None;
        self.builder = Some(Builder::open(&self.options).map_err(text)?);
        let found = self.builder().progress();
        expect("progress after a reopening", &committed, &found)?;
        self.tally.reopenings += 1;
        self.tally.lost += (next as u64 - 1).saturating_sub(found.epoch);
        Ok((found.epoch as usize + 1).saturating_sub(self.rng.usize(..3)).max(1))
    }

    /// Compares everything, if something was committed.
    fn look(&mut self) -> Result<(), String> {
        let reader = self.builder().reader();
        let progress = reader.progress();
        let committed = self.builder().progress();
        expect("progress that a reader sees", &committed, &progress)?;
        if progress.epoch == 0 || progress == self.seen {
            return Ok(());
        }
        let LoggedEpoch { cut, .. } = &self.logged.epochs[progress.epoch as usize - 1];
        let last_unit = (cut.units() as u64).saturating_sub(1);
        expect("time of the progress", &(cut.time + last_unit), &progress.time)?;
        self.seen = progress;
        self.tally.commits += 1;
        questions::ask_all(&reader, &self.past, progress.time, &mut self.rng, &mut self.tally)
            .map_err(|mismatch| format!("through epoch {}: {mismatch}", progress.epoch))
    }
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, found: &T) -> Result<(), String> {
    if expected == found { Ok(()) } else { Err(format!("{what}: expected {expected:?}, found {found:?}")) }
}

/// The first unit of each block of an epoch, and the outcomes by unit of the block.
fn block_outcomes(cut: &Cut, outcomes: &Outcomes) -> Vec<(u16, Outcomes)> {
    cut.bases()
        .map(|(base, entry)| {
            let units = base..base + entry.units;
            let within = |index: u16| units.contains(&u32::from(index));
            let base = u16::try_from(base).expect("an index fits 16 bits");
            let refused = outcomes.refused.iter().filter(|index| within(**index)).map(|index| index - base);
            let amounts = outcomes.amounts.iter().filter(|(index, _)| within(*index));
            let amounts = amounts.map(|(index, amount)| (index - base, *amount));
            (base, Outcomes { refused: refused.collect(), amounts: amounts.collect() })
        })
        .collect()
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err calls it")]
fn text(error: Error) -> String {
    error.to_string()
}
