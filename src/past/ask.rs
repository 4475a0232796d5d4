//! The answerer: takes questions of all shards, and answers each once history has got as far as it needs.

use super::{Asker, NICE_ANSWERER, lower_priority, shards};
use crate::doorbell::Doorbell;
use crate::server::Shared;
use arc_swap::ArcSwapOption;
use auriga_history::{Page, Reader};
use auriga_shards::past::{self, Asked, Question, Records};
use auriga_shards::place::ShardId;
use auriga_wire::{Command, Fault, FaultCode, Filter};
use std::time::{Duration, Instant};

/// How long a question waits for history to get as far as it needs.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often that is looked at, milliseconds.
const LOOK_EVERY_MS: i32 = 100;

struct Waiting {
    shard: ShardId,
    question: Question,
    until: Instant,
}

/// Answers until every executor has ended. While the store is not open there is no reader, and questions wait.
pub fn run(mut askers: Vec<Asker>, reader: &ArcSwapOption<Reader>, bells: [&Doorbell; 2], shared: &Shared) {
    lower_priority(NICE_ANSWERER);
    let mut waiting: Vec<Waiting> = Vec::new();
    while !shared.has_ended() {
        for (shard, asker) in shards(askers.len()).zip(&mut askers) {
            while asker.used.pop().is_ok() {}
            while let Ok(question) = asker.questions.pop() {
                waiting.push(Waiting { shard, question, until: Instant::now() + PATIENCE });
            }
        }
        let now = Instant::now();
        let reached = shared.history.epoch();
        let mut answered = false;
        let current = reader.load_full();
        let readable = |question: &Question| current.as_ref().filter(|_| question.after <= reached);
        let due = |waiting: &mut Waiting| readable(&waiting.question).is_some() || now >= waiting.until;
        for Waiting { shard, question, .. } in waiting.extract_if(.., due) {
            let answer = match readable(&question) {
                Some(reader) => answer(reader, &question.asked),
                None => Err(behind(question.after, reached)),
            };
            let asker = &mut askers[shard.index()];
            asker.answers.push((question, answer)).expect("a shard has few questions at a time");
            asker.doorbell.ring();
            answered = true;
        }
        drop(current);
        shared.history.want(!waiting.is_empty());
        if !waiting.is_empty() {
            bells[0].ring();
        }
        if !answered {
            let has_got_on = || !waiting.is_empty() && shared.history.epoch() != reached;
            rest(&askers, bells[1], waiting.is_empty(), has_got_on);
        }
    }
}

fn rest(askers: &[Asker], bell: &Doorbell, nobody_waits: bool, has_got_on: impl Fn() -> bool) {
    bell.park();
    if askers.iter().all(|asker| asker.questions.is_empty()) && !has_got_on() {
        bell.wait(if nobody_waits { -1 } else { LOOK_EVERY_MS });
    }
    bell.unpark();
}

fn behind(wanted: u64, reached: u64) -> Fault {
    let text = if wanted > reached {
        format!(
            "history has got to epoch {reached}, the answer needs epoch {wanted}: ask again later, or without the flag \
             acknowledged"
        )
    } else {
        "history's store has failed and is not open again: the server's log says why. Ask again later".into()
    };
    Fault::new(FaultCode::HistoryBehind, text)
}

fn answer(reader: &Reader, asked: &Asked) -> past::Answer {
    // What is committed meanwhile may be in the answer, and is not said to be.
    let progress = reader.progress();
    let result = match asked {
        Asked::Filter(command, filter) => ask(reader, *command, filter),
        Asked::Transfers(ids) => {
            let found: Result<Vec<_>, _> =
                ids.iter().filter_map(|id| reader.transfer(*id).transpose()).collect();
            found.map(|found| (Records::Transfers(found), 0))
        }
    };
    match result {
        Ok((records, cursor)) => Ok(past::Page { records, cursor, time: progress.time }),
        Err(error) => {
            tracing::error!("history can't be read: {error}");
            let text = format!(
                "history can't be read: {error}. It can be built anew: remove its directory and restart"
            );
            Err(Fault::new(FaultCode::HistoryBehind, text))
        }
    }
}

fn ask(reader: &Reader, command: Command, filter: &Filter) -> Result<(Records, u64), auriga_history::Error> {
    fn page<T>(records: fn(Vec<T>) -> Records, page: Page<T>) -> (Records, u64) {
        (records(page.records), page.cursor)
    }
    Ok(match command {
        Command::AccountTransfers => page(Records::Transfers, reader.account_transfers(filter)?),
        Command::AccountBalances => page(Records::Balances, reader.account_balances(filter)?),
        Command::QueryAccounts => page(Records::Accounts, reader.query_accounts(filter)?),
        _ => page(Records::Transfers, reader.query_transfers(filter)?),
    })
}
