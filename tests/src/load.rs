//! Clients that send transfers for as long as the server lives, and remember what they sent and what they were told.

use crate::harness::HANG;
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::reply::ReplyBody;
use auriga_wire::{
    Account, Client, FaultCode, IdGenerator, Options, Pipeline, Reply, ReplyReader, RequestFrame, Transfer,
};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The ledger of all accounts and transfers here.
pub const LEDGER: u32 = 840;

/// What a client knows of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It was created, with this timestamp.
    Created(u64),
    /// It was refused with this code.
    Refused(u32),
    /// The connection ended before an answer came.
    Nothing,
    /// Its whole request was refused: it can't have been executed.
    TurnedAway(FaultCode),
}

/// A transfer that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// As it was sent.
    pub transfer: Transfer,
    /// What came back.
    pub told: Told,
    /// When it was about to be sent, and when the answer was there, by the clock that [`drive`] was given.
    pub times: (u64, u64),
}

/// The clock of a test that doesn't ask when something was sent.
pub const NO_CLOCK: fn() -> u64 = || 0;

impl Sent {
    fn is_open_pending(&self) -> bool {
        self.transfer.flags == TransferFlags::PENDING && matches!(self.told, Told::Created(_))
    }
}

/// What transfers are made of.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Accounts without a limit.
    pub open: Vec<u128>,
    /// Accounts whose debits must not exceed their credits.
    pub limited: Vec<u128>,
    /// Open pending transfers, to be posted or voided; `None` if no transfer is to have two phases.
    pub pendings: Option<Vec<Transfer>>,
}

/// How a client sends.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// Transfers of a batch: one of these is taken for each.
    pub batches: Vec<usize>,
    /// Batches under way.
    pub in_flight: usize,
    /// Transfers that it sends at most.
    pub transfers_max: usize,
    /// Time that it lets pass after each answer, so that what goes on beside gets its part of the processor.
    pub pause: Duration,
}

impl Pattern {
    /// A client that sends without end, as fast as it is answered; the batches are to be chosen.
    pub const ENDLESS: Self =
        Self { batches: Vec::new(), in_flight: 4, transfers_max: usize::MAX, pause: Duration::ZERO };
}

/// A patient client's options: tests run on machines that others load.
pub fn options() -> Options {
    let patience = Duration::from_secs(120);
    Options {
        connect_timeout: patience,
        read_timeout: patience,
        write_timeout: patience,
        ..Options::default()
    }
}

/// A patient client.
#[track_caller]
pub fn connect(address: &str) -> Client {
    Client::connect(address, options()).expect("the server answers")
}

/// A client that doesn't try again.
#[track_caller]
pub fn connect_once(address: &str) -> Client {
    Client::connect(address, Options { attempts: 1, ..options() }).expect("the server answers")
}

/// An account of the tests' ledger.
pub fn account(id: u128, flags: u16) -> Account {
    Account { id, ledger: LEDGER, code: 1, flags, user_data_64: id as u64 ^ 0x5555, ..Account::default() }
}

/// An account whose debits must not exceed its credits.
pub fn limited_account(id: u128) -> Account {
    account(id, AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS)
}

/// A transfer on the tests' ledger.
pub fn transfer(id: u128, debit: u128, credit: u128, amount: u128) -> Transfer {
    Transfer {
        id,
        debit_account_id: debit,
        credit_account_id: credit,
        amount,
        ledger: LEDGER,
        code: 1,
        ..Transfer::default()
    }
}

/// A transfer as random as a test wants: mostly between open accounts, some that a limit may refuse, a few to nowhere. With two
/// phases some are pending, and some post or void one that was. Each is chosen to be ended once.
pub fn random_transfer(random: &mut fastrand::Rng, id: u128, choice: &mut Choice) -> Transfer {
    let Some(pendings) = &mut choice.pendings else { return random_plain(random, id, choice) };
    match random.u32(..10) {
        0 if !pendings.is_empty() => {
            let pending = pendings.swap_remove(random.usize(..pendings.len()));
            random_end(random, id, &pending)
        }
        1 => {
            let plain = random_plain(random, id, choice);
            Transfer { flags: TransferFlags::PENDING, amount: plain.amount + 1, ..plain }
        }
        _ => random_plain(random, id, choice),
    }
}

/// A post or void of a pending transfer that says of it what it is, so that it is looked up as it was sent.
fn random_end(random: &mut fastrand::Rng, id: u128, pending: &Transfer) -> Transfer {
    let (flags, amount) = match random.bool() {
        true => (TransferFlags::POST_PENDING_TRANSFER, random.u128(1..=pending.amount)),
        false => (TransferFlags::VOID_PENDING_TRANSFER, pending.amount),
    };
    let user_data_64 = random.u64(1..);
    Transfer { id, pending_id: pending.id, flags, amount, user_data_64, timestamp: 0, ..*pending }
}

fn random_plain(random: &mut fastrand::Rng, id: u128, choice: &Choice) -> Transfer {
    let open = |random: &mut fastrand::Rng| choice.open[random.usize(..choice.open.len())];
    let (debit, credit) = loop {
        let pair = match random.u32(..100) {
            0..85 => (open(random), open(random)),
            85..90 if !choice.limited.is_empty() => {
                (open(random), choice.limited[random.usize(..choice.limited.len())])
            }
            90..99 if !choice.limited.is_empty() => {
                (choice.limited[random.usize(..choice.limited.len())], open(random))
            }
            99 => (open(random), u128::MAX - 1),
            _ => (open(random), open(random)),
        };
        if pair.0 != pair.1 {
            break pair;
        }
    };
    Transfer { user_data_64: random.u64(..), ..transfer(id, debit, credit, random.u128(..1_000)) }
}

/// Sends until the connection ends, `stop` is set or the pattern's bound is reached; what is under way at a stop or the
/// bound is waited for. `answers` counts batches that were answered. `clock` may be any that doesn't go back.
pub fn drive(
    address: &str,
    seed: u64,
    choice: &Choice,
    pattern: &Pattern,
    (stop, answers): (&AtomicBool, &AtomicU64),
    clock: impl Fn() -> u64,
) -> Vec<Sent> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut ids = IdGenerator::with_seed(random.u64(..));
    let mut choice = choice.clone();
    let Ok(mut pipeline) = Pipeline::connect(address, &options(), pattern.in_flight) else {
        return Vec::new();
    };
    let mut all: Vec<Sent> = Vec::new();
    let mut under_way: HashMap<u64, std::ops::Range<usize>> = HashMap::new();
    let mut next_number = 1;
    loop {
        let more = !stop.load(Ordering::Relaxed) && all.len() < pattern.transfers_max;
        if more && pipeline.has_room() {
            let size = pattern.batches[random.usize(..pattern.batches.len())];
            let batch: Vec<_> =
                (0..size).map(|_| random_transfer(&mut random, ids.next_id(), &mut choice)).collect();
            let first = all.len();
            let now = clock();
            all.extend(batch.iter().map(|transfer| Sent {
                transfer: *transfer,
                told: Told::Nothing,
                times: (now, now),
            }));
            under_way.insert(next_number, first..all.len());
            next_number += 1;
            if pipeline.submit(RequestFrame::create_transfers(&batch)).is_err() {
                return all;
            }
            continue;
        }
        if under_way.is_empty() {
            return all;
        }
        let Ok((number, reply)) = pipeline.receive() else { return all };
        let now = clock();
        let range = under_way.remove(&number).expect("a reply belongs to a request");
        note(&mut all[range.clone()], &reply.body, reply.timestamp);
        for sent in &mut all[range.clone()] {
            sent.times.1 = now;
        }
        if let Some(pendings) = &mut choice.pendings {
            pendings
                .extend(all[range].iter().filter(|sent| sent.is_open_pending()).map(|sent| sent.transfer));
        }
        answers.fetch_add(1, Ordering::Relaxed);
        if !pattern.pause.is_zero() {
            std::thread::sleep(pattern.pause);
        }
    }
}

/// Sends batches as fast as the server takes them and reads every reply to the end of the connection, whether it can
/// still send or not: what has no answer here was not answered. Ends early only with the connection.
pub fn drive_to_the_end(
    address: &str,
    seed: u64,
    choice: &Choice,
    batches: &[usize],
    answers: &AtomicU64,
) -> Vec<Sent> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut ids = IdGenerator::with_seed(random.u64(..));
    let mut choice = choice.clone();
    let Ok(socket) = TcpStream::connect(address) else { return Vec::new() };
    let sent: Vec<Vec<_>> = batches
        .iter()
        .map(|size| (0..*size).map(|_| random_transfer(&mut random, ids.next_id(), &mut choice)).collect())
        .collect();
    let unanswered = |transfer: &Transfer| Sent { transfer: *transfer, told: Told::Nothing, times: (0, 0) };
    let mut all: Vec<Vec<_>> = sent.iter().map(|batch| batch.iter().map(unanswered).collect()).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for (number, batch) in (1..).zip(&sent) {
                let mut frame = RequestFrame::create_transfers(batch);
                frame.seal(number, 0);
                if (&socket).write_all(frame.bytes()).is_err() {
                    break;
                }
            }
        });
        let (mut reader, mut missing) = (ReplyReader::default(), sent.len());
        while missing > 0 {
            match (&socket).read(reader.space()) {
                Ok(count @ 1..) => reader.filled(count),
                _ => break,
            }
            while let Some(bytes) = reader.next_frame().expect("good frames") {
                let reply = Reply::decode(bytes).expect("a good reply");
                note(&mut all[reply.request as usize - 1], &reply.body, reply.timestamp);
                answers.fetch_add(1, Ordering::Relaxed);
                missing -= 1;
            }
        }
        let _ = socket.shutdown(std::net::Shutdown::Both);
    });
    all.concat()
}

/// Notes what a reply says of a batch.
fn note(batch: &mut [Sent], body: &ReplyBody<'_>, first_timestamp: u64) {
    match body {
        ReplyBody::CreatedTransfers(refusals) => {
            for (timestamp, sent) in (first_timestamp..).zip(batch.iter_mut()) {
                sent.told = Told::Created(timestamp);
            }
            for refusal in *refusals {
                batch[refusal.index as usize].told = Told::Refused(refusal.code);
            }
        }
        ReplyBody::Refused(fault) => {
            for sent in batch {
                sent.told = Told::TurnedAway(fault.code);
            }
        }
        other => panic!("{other:?} does not answer a creation"),
    }
}

/// Drives several clients at once until `enough` batches were answered or all have ended, then calls `end` (a kill, or
/// nothing) and collects what they were told.
pub fn drive_many(
    address: &str,
    random: &mut fastrand::Rng,
    choice: &Choice,
    patterns: &[Pattern],
    enough: u64,
    end: impl FnOnce(),
) -> Vec<Sent> {
    drive_many_timed((address, NO_CLOCK), random, choice, patterns, enough, end)
}

/// The same, with the times of a clock.
pub fn drive_many_timed(
    (address, clock): (&str, impl Fn() -> u64 + Sync),
    random: &mut fastrand::Rng,
    choice: &Choice,
    patterns: &[Pattern],
    enough: u64,
    end: impl FnOnce(),
) -> Vec<Sent> {
    let (stop, answers) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut told = Vec::new();
    std::thread::scope(|scope| {
        let clients: Vec<_> = patterns
            .iter()
            .map(|pattern| {
                let (seed, counts, clock) = (random.u64(..), (&stop, &answers), &clock);
                scope.spawn(move || drive(address, seed, choice, pattern, counts, clock))
            })
            .collect();
        while answers.load(Ordering::Relaxed) < enough && !clients.iter().all(|client| client.is_finished()) {
            std::thread::sleep(Duration::from_micros(200));
        }
        {
            let _stop = StopAtEnd(&stop);
            end();
        }
        for client in clients {
            told.extend(client.join().expect("a client does not panic"));
        }
    });
    told
}

/// Sets a flag when it is dropped, also by a panic: threads that look at it end.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Drives one client for as long as `meanwhile` runs, which sees how many batches were answered. Returns what the client
/// was told.
pub fn drive_while(
    address: &str,
    seed: u64,
    choice: &Choice,
    pattern: &Pattern,
    meanwhile: impl FnOnce(&AtomicU64),
) -> Vec<Sent> {
    let (stop, answers) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let client = scope.spawn(|| drive(address, seed, choice, pattern, (&stop, &answers), NO_CLOCK));
        {
            let _stop = StopAtEnd(&stop);
            meanwhile(&answers);
        }
        client.join().expect("a client does not panic")
    })
}

/// Waits until so many batches were answered.
#[track_caller]
pub fn wait_for_answers(answers: &AtomicU64, many: u64) {
    let start = Instant::now();
    while answers.load(Ordering::Relaxed) < many {
        assert!(start.elapsed() < 2 * HANG, "the server stopped answering");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Fills the log with requests that leave nothing behind: their transfers have no id, so that none is looked up or remembered.
pub fn fill_log(
    address: &str,
    requests: usize,
    transfers: usize,
    in_flight: usize,
) -> Result<(), auriga_wire::Error> {
    let mut pipeline = Pipeline::connect(address, &options(), in_flight)?;
    let batch = vec![Transfer::default(); transfers];
    for _ in 0..requests {
        if !pipeline.has_room() {
            pipeline.receive()?;
        }
        pipeline.submit(RequestFrame::create_transfers(&batch))?;
    }
    while pipeline.in_flight() > 0 {
        pipeline.receive()?;
    }
    Ok(())
}
