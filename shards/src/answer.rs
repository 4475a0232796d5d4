//! Answers that need other shards or the log: look-ups, the status, histograms, and creations whose refusal has to be
//! read from the log (`exists_with_different_*`). Here is the side that asks, for a connection; [`asked`] is the other.

mod asked;
mod history;

use crate::arrival::{Batch, ConnectionId};
use crate::chunk::Chunk;
use crate::execute::Execution;
use crate::fetch::Fetch;
use crate::ledger::rules::compare_transfers;
use crate::limits::QUERIES_MAX;
use crate::log::{Damage, Identity};
use crate::place::{Position, ShardId};
use crate::query::{Counters, Found, Located, QueryMessage, Wanted, What};
use crate::reply::Results;
use crate::step::{Output, Outputs};
use asked::Asked;
use auriga_wire::frame::{Command, Header};
use auriga_wire::{EventResult, Fault, FaultCode, Transfer};
use history::Past;

/// Something that is under way for a connection.
#[derive(Debug)]
struct Job {
    caller: ConnectionId,
    header: Header,
    /// Shards that have not answered yet.
    waiting: usize,
    /// Of a look-up: the epoch after which it is answered, and what it has seen then.
    epoch: u64,
    seen: Seen,
    work: Work,
    fetch: Option<Fetch>,
    past: Past,
    /// Why it comes to nothing. It ends all the same only when no read and no question of it is under way: what comes later
    /// would be taken for that of another job.
    fault: Option<Fault>,
}

#[derive(Debug)]
enum Work {
    Accounts(Vec<Found>),
    Transfers(Vec<Located>),
    Status(Box<Counters>, bool),
    Histograms,
    /// A question about the past.
    Past,
    /// A creation whose duplicates are compared with what was logged: results so far, retries by index in the request.
    Creation {
        first: u64,
        times: (u64, u64),
        events: Vec<EventResult>,
        retries: Vec<(u32, Transfer)>,
    },
}

/// Number and time of the newest epoch with blocks that an answer includes.
pub type Seen = (u64, u64);

/// Whether the body of a status request asks for the digest.
pub fn wants_digest(body: &[u8]) -> bool {
    body[0] == 1
}

/// Encodes the status: all shards' counters, whether the digest was asked for, and what they include.
pub type EncodeStatus<'a> = dyn FnMut(&Counters, bool, Seen) -> Vec<u8> + 'a;

/// What the answers need of their shard.
pub struct Desk<'a> {
    /// The state, in a gap, and the way out.
    pub execution: &'a mut Execution,
    /// The shard's own part of the status.
    pub counters: Counters,
    /// Encoded histograms, made when asked for.
    pub histograms: &'a mut dyn FnMut() -> Vec<u8>,
    /// The newest epoch with blocks that this shard has executed.
    pub newest: Seen,
    /// Completes a status.
    pub status: &'a mut EncodeStatus<'a>,
    /// The way out.
    pub out: &'a mut Outputs,
}

/// The answers under way at one shard.
#[derive(Debug)]
pub struct Answers {
    identity: Identity,
    history: bool,
    /// The log has no epochs before this one.
    log_from: u64,
    jobs: Vec<Option<Job>>,
    queries: usize,
    asked: Vec<Asked>,
}

impl Answers {
    /// Nothing under way.
    pub fn new(identity: Identity, history: bool) -> Self {
        Self { identity, history, log_from: 1, jobs: Vec::new(), queries: 0, asked: Vec::new() }
    }

    /// The log loses its epochs before this one.
    pub fn log_begins_with(&mut self, epoch: u64) {
        self.log_from = epoch;
    }

    /// Whether another look-up can be started.
    pub fn has_room(&self) -> bool {
        self.queries < QUERIES_MAX
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.queries == 0 && self.asked.is_empty()
    }

    fn add(&mut self, job: Job) -> usize {
        match self.jobs.iter().position(Option::is_none) {
            Some(free) => {
                self.jobs[free] = Some(job);
                free
            }
            None => {
                self.jobs.push(Some(job));
                self.jobs.len() - 1
            }
        }
    }

    /// Starts a look-up. It will see every epoch through `epoch`.
    pub fn start(
        &mut self,
        caller: ConnectionId,
        command: Command,
        header: Header,
        body: &[u8],
        epoch: u64,
        desk: &mut Desk<'_>,
    ) {
        if command.is_of_history() {
            return self.ask_history(caller, command, header, body, epoch, desk);
        }
        let shards = desk.execution.ledger.placement.shards();
        let work = match command {
            Command::LookupAccounts => Work::Accounts(Vec::new()),
            Command::LookupTransfers => Work::Transfers(Vec::new()),
            Command::Status => Work::Status(Box::default(), wants_digest(body)),
            _ => Work::Histograms,
        };
        let what = match &work {
            Work::Accounts(_) => What::Accounts,
            Work::Transfers(_) => What::Transfers,
            Work::Status(_, digest) => What::Counters { digest: *digest },
            _ => What::Histograms,
        };
        let shard: u32 = bytemuck::pod_read_unaligned(&body[..4]);
        if what == What::Histograms && shard >= u32::from(shards) {
            let message = format!("found shard {shard}, expected 0 to {}", shards - 1);
            let fault = Fault::new(FaultCode::NoSuchShard, message);
            return desk.out.refuse(caller, &header, self.identity.cluster, &fault);
        }
        let mut job = Job::new(caller, header, epoch, work);
        if self.history && what == What::Transfers {
            job.past.ids = bytemuck::pod_collect_to_vec(body);
        }
        let query = self.add(job) as u32;
        self.queries += 1;
        self.look_up(query, what, body, shard, desk);
    }

    /// Asks every shard that is concerned, for the job `query`.
    fn look_up(&mut self, query: u32, what: What, body: &[u8], shard: u32, desk: &mut Desk<'_>) {
        let epoch = self.jobs[query as usize].as_ref().expect("it was added").epoch;
        let mut chunks = sort_ids(what, body, query, desk.execution);
        for to in desk.execution.ledger.placement.all() {
            let chunks = std::mem::take(&mut chunks[to.index()]);
            let asked = match what {
                What::Accounts | What::Transfers => !chunks.is_empty(),
                What::Counters { .. } => true,
                What::Histograms => u32::from(to.0) == shard,
            };
            if asked {
                self.jobs[query as usize].as_mut().expect("added above").waiting += 1;
                let from = desk.execution.mail.shard();
                let asked = Asked { from, query, what, epoch, chunks_missing: 0, wanted: chunks };
                self.ask(to, asked, desk);
            }
        }
        self.answer_ready(desk);
    }

    fn ask(&mut self, to: ShardId, asked: Asked, desk: &mut Desk<'_>) {
        let mail = &mut desk.execution.mail;
        if to == mail.shard() {
            self.asked.push(asked);
            return;
        }
        let Asked { query, what, epoch, wanted, .. } = asked;
        mail.send(to, QueryMessage::Ask { query, what, epoch, chunks: wanted.len() as u32 }.into());
        for chunk in wanted {
            mail.send_chunk(to, chunk);
        }
    }

    /// Takes a message of another shard.
    pub fn take(&mut self, from: ShardId, message: QueryMessage, desk: &mut Desk<'_>) {
        match message {
            QueryMessage::Ask { query, what, epoch, chunks } => {
                let wanted = Vec::with_capacity(chunks as usize);
                self.asked.push(Asked { from, query, what, epoch, chunks_missing: chunks, wanted });
                self.answer_ready(desk);
            }
            QueryMessage::Answered { query } => self.shard_answered(query, desk),
            QueryMessage::Counters(query, counters) => self.add_counters(query, &counters, desk),
            QueryMessage::Histograms(query, bytes) => self.take_histograms(query, &bytes, desk),
        }
    }

    /// Takes what another shard found.
    pub fn take_found(&mut self, chunk: Chunk, desk: &mut Desk<'_>) {
        let job = self.jobs[chunk.step() as usize].as_mut().expect("answers come to their question");
        match &mut job.work {
            Work::Accounts(found) => found.extend_from_slice(chunk.items()),
            Work::Transfers(located) => located.extend_from_slice(chunk.items()),
            _ => unreachable!("a status has no ids"),
        }
        desk.execution.mail.recycle(chunk);
    }

    fn add_counters(&mut self, query: u32, counters: &Counters, desk: &mut Desk<'_>) {
        let job = self.jobs[query as usize].as_mut().expect("answers come to their question");
        let Work::Status(sum, _) = &mut job.work else { unreachable!("counters answer a status") };
        sum.accounts += counters.accounts;
        sum.ids += counters.ids;
        sum.pendings += counters.pendings;
        sum.transfers_created += counters.transfers_created;
        sum.transfers_refused += counters.transfers_refused;
        sum.bytes_logged += counters.bytes_logged;
        sum.flushes += counters.flushes;
        sum.digest = sum.digest.wrapping_add(counters.digest);
        self.shard_answered(query, desk);
    }

    fn take_histograms(&mut self, query: u32, bytes: &[u8], desk: &mut Desk<'_>) {
        let job = self.finish(query as usize);
        self.reply(&job, 0, bytes, desk);
    }

    fn shard_answered(&mut self, query: u32, desk: &mut Desk<'_>) {
        let job = self.jobs[query as usize].as_mut().expect("answers come to their question");
        job.waiting -= 1;
        if job.waiting > 0 {
            return;
        }
        // The others may be done with an epoch that is still executed here; what this shard has begun ahead of the
        // question's epoch they had not when they answered.
        let plan = desk.execution.plan();
        let runs = plan.units > 0 && (desk.newest.0 + 1..=job.epoch).contains(&plan.number);
        job.seen = if runs { (plan.number, plan.time) } else { desk.newest };
        match &mut job.work {
            Work::Transfers(located) => {
                let mut located = std::mem::take(located);
                let mut wanted = job.past.forgotten(&located, &desk.execution.plan().terms);
                let log_from = self.log_from;
                let gone = located.extract_if(.., |located| located.ended_before(log_from));
                let ids = &job.past.ids;
                wanted.extend(gone.map(|gone| (gone.index, ids[gone.index as usize])));
                let after = job.epoch;
                self.fetch(query as usize, located, wanted, after, desk);
            }
            _ => self.complete(query as usize, desk),
        }
    }

    /// Replies to a creation once its duplicates were compared with what lies in the log.
    pub fn compare(
        &mut self,
        batch: &Batch,
        first: u64,
        executed_ns: u64,
        results: Results,
        desk: &mut Desk<'_>,
    ) {
        let (mut located, mut wanted, mut retries) = (Vec::new(), Vec::new(), Vec::new());
        let mut after = 0;
        for (original, retry) in results.duplicates {
            retries.push((original.index, retry));
            if original.ended_before(self.log_from) {
                wanted.push((original.index, retry.id));
                after = after.max(Position(original.position).epoch());
            } else {
                located.push(original);
            }
        }
        let times = (batch.arrived_ns, executed_ns);
        let work = Work::Creation { first, times, events: results.events, retries };
        let job = self.add(Job::new(batch.caller, batch.header, 0, work));
        self.queries += 1;
        self.fetch(job, located, wanted, after, desk);
    }

    /// Reads transfers from the log, and asks history, which must have got to the epoch `after`, for what isn't there.
    fn fetch(
        &mut self,
        number: usize,
        located: Vec<Located>,
        wanted: Vec<(u32, u128)>,
        after: u64,
        desk: &mut Desk<'_>,
    ) {
        if !self.history && !wanted.is_empty() {
            let job = self.finish(number);
            let text = "a pending transfer that was posted or voided lies in a part of the log that is gone: start with \
                        --history on, or with the --archive that the log was moved to";
            let fault = Fault::new(FaultCode::HistoryOff, text);
            return desk.out.refuse(job.caller, &job.header, self.identity.cluster, &fault);
        }
        let job = self.jobs[number].as_mut().expect("a job goes on until it ends");
        let question = job.past.ask(number, after, wanted);
        desk.out.list.extend(question.map(|question| Output::AskHistory(Box::new(question))));
        job.fetch = Some(Fetch::new(self.identity, located));
        self.go_on(number, desk);
    }

    /// Takes a part of the log that a job has read.
    pub fn take_read(&mut self, job: usize, slot: usize, result: Result<&[u8], String>, desk: &mut Desk<'_>) {
        let Some(waiting) = self.jobs.get_mut(job).and_then(Option::as_mut) else {
            return;
        };
        let fetch = waiting.fetch.as_mut().expect("only a fetch reads");
        if let Err(damage) = fetch.take(slot, result.map_err(Damage)) {
            fetch.fail(damage);
        }
        self.go_on(job, desk);
    }

    fn go_on(&mut self, job: usize, desk: &mut Desk<'_>) {
        let going = self.jobs[job].as_mut().expect("a job goes on until it ends");
        let fetch = going.fetch.as_mut().expect("only a fetch goes on");
        while let Some(read) = fetch.next_read() {
            desk.out.push(Output::ReadLog { job, read });
        }
        if fetch.is_done() && !going.past.is_asked {
            self.complete(job, desk);
        }
    }

    fn finish(&mut self, job: usize) -> Job {
        self.queries -= 1;
        self.jobs[job].take().expect("a job ends once")
    }

    fn complete(&mut self, job: usize, desk: &mut Desk<'_>) {
        let mut job = self.finish(job);
        if let Some(damage) = job.fetch.as_ref().and_then(Fetch::damage) {
            desk.out.push(Output::DamageFound(damage.0.clone()));
            let text = format!("{damage}. Run `auriga inspect` on the directory");
            job.fault = Some(Fault::new(FaultCode::DamagedData, text));
        }
        if let Some(fault) = &job.fault {
            return desk.out.refuse(job.caller, &job.header, self.identity.cluster, fault);
        }
        let fetched = job.fetch.take().map(Fetch::into_found).unwrap_or_default();
        let time = job.seen.1;
        match std::mem::replace(&mut job.work, Work::Histograms) {
            Work::Accounts(mut found) => {
                found.sort_unstable_by_key(|f| f.index);
                let body: Vec<_> = found.into_iter().map(|f| f.account).collect();
                self.reply(&job, time, bytemuck::cast_slice(&body), desk);
            }
            Work::Transfers(_) => {
                let found = job.past.merge(fetched);
                let body: Vec<Transfer> = found.into_iter().map(|(_, transfer)| transfer).collect();
                self.reply(&job, time, bytemuck::cast_slice(&body), desk);
            }
            Work::Status(counters, digest) => {
                let body = (desk.status)(&counters, digest, job.seen);
                self.reply(&job, time, &body, desk);
            }
            Work::Histograms | Work::Past => unreachable!("these come whole"),
            Work::Creation { first, times, mut events, retries } => {
                let originals = job.past.merge(fetched);
                for (index, retry) in retries {
                    let found = originals.binary_search_by_key(&index, |(index, _)| *index);
                    let Ok(found) = found else { return self.miss(&job, retry.id, desk) };
                    let (_, original) = originals[found];
                    let code = compare_transfers(&retry, &original).number();
                    events.push(EventResult::refused(index, code));
                }
                events.sort_unstable_by_key(|event| event.index);
                let (header, cluster) = (job.header, self.identity.cluster);
                desk.out.reply(
                    job.caller,
                    |size| Header::reply(&header, 0, first, cluster, size),
                    Some(times),
                    |body| {
                        body.extend_from_slice(bytemuck::cast_slice(&events));
                    },
                );
            }
        }
    }

    /// History doesn't have what it has said to have.
    fn miss(&self, job: &Job, id: u128, desk: &mut Desk<'_>) {
        let text = format!(
            "history doesn't have transfer {id}: stop the server and remove its directory, to build it anew"
        );
        desk.out.push(Output::DamageFound(text.clone()));
        let fault = Fault::new(FaultCode::DamagedData, text);
        desk.out.refuse(job.caller, &job.header, self.identity.cluster, &fault);
    }

    fn reply(&self, job: &Job, timestamp: u64, bytes: &[u8], desk: &mut Desk<'_>) {
        let (header, cluster, cursor) = (job.header, self.identity.cluster, job.past.cursor);
        let timestamp = job.past.time.unwrap_or(timestamp);
        desk.out.reply(
            job.caller,
            |size| Header { cursor, ..Header::reply(&header, 0, timestamp, cluster, size) },
            None,
            |body| {
                body.extend_from_slice(bytes);
            },
        );
    }
}

impl Job {
    fn new(caller: ConnectionId, header: Header, epoch: u64, work: Work) -> Self {
        let past = Past::default();
        Self { caller, header, waiting: 0, epoch, seen: (0, 0), work, fetch: None, past, fault: None }
    }
}

/// Deals the ids of a look-up out to chunks by shard.
fn sort_ids(what: What, body: &[u8], query: u32, execution: &mut Execution) -> Vec<Vec<Chunk>> {
    let placement = execution.ledger.placement;
    let mut chunks: Vec<Vec<Chunk>> = placement.all().map(|_| Vec::new()).collect();
    if !matches!(what, What::Accounts | What::Transfers) {
        return chunks;
    }
    for (index, id) in body.chunks_exact(16).map(bytemuck::pod_read_unaligned::<u128>).enumerate() {
        let to = &mut chunks[placement.owner(placement.hash(id)).index()];
        let wanted = Wanted { id, index: index as u64, pad: 0 };
        if !to.last_mut().is_some_and(|chunk| chunk.push(wanted)) {
            let mut chunk = execution.mail.take::<Wanted>(u64::from(query));
            assert!(chunk.push(wanted), "an empty chunk has room");
            to.push(chunk);
        }
    }
    chunks
}
