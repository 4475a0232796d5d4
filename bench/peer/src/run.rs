//! `auriga-peer run`: prepare, load, measure, verify, report. Read it from top to bottom.
//!
//! The load is a closed loop: each connection has a thread, which sends a request, waits until it is acknowledged, and sends the next.
//! What is sent is what a worker of `auriga-bench run` sends with this seed: all connections take from one model.

use crate::args::RunArgs;
use crate::durable;
use crate::peer::{Sender, Settings, System};
use crate::verify::verify;
use auriga_bench::environment::Environment;
use auriga_bench::failure::Failure;
use auriga_bench::figures::Figures;
use auriga_bench::model::Model;
use auriga_bench::report::{Latency, count, say};
use auriga_bench::workload::{Plan, Workload};
use auriga_wire::Transfer;
use serde::Serialize;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The last line of stdout with `--json`; what `auriga-bench run` has, too, has the same name and meaning.
#[derive(Debug, Serialize)]
struct Report {
    system: &'static str,
    transfers_per_second: f64,
    transfers: u64,
    seconds: f64,
    refused: u64,
    verified: bool,
    workload: &'static str,
    accounts: u32,
    batch: u32,
    connections: u32,
    /// Transactions that were tried again, because another one was in their way.
    tried_again: u64,
    latency_us: Latency,
    settings: Settings,
    environment: Environment,
}

/// What the threads share: the model that makes their requests.
struct Shared {
    model: Mutex<Model>,
    started: Instant,
}

/// Runs it all; `Ok(false)` if something was not as it must be.
pub fn run(args: &RunArgs) -> Result<bool, Failure> {
    let RunArgs { system, batch, .. } = *args;
    if let Some(most) = system.batch_max().filter(|most| batch > *most) {
        return Err(Failure::Usage(format!(
            "--batch {batch}: a request of --system {} is {most} transfer; {} takes more",
            system.name(),
            System::PostgresBatched.name()
        )));
    }
    let mut peer = system.connect(&args.address)?;
    let settings = peer.settings()?;
    let environment = Environment::here(Some(args.seed));
    say(&environment.words());
    say(&introduction(args, &settings));
    durable::check(&settings, peer.durable())?;
    peer.create(args.accounts)?;
    let mut senders = (0..args.connections).map(|_| peer.sender()).collect::<Result<Vec<_>, _>>()?;

    let shared = Shared { model: Mutex::new(Model::new(plan(args), 0)), started: Instant::now() };
    let mut tried_again = 0;
    if args.warm_up > 0.0 {
        tried_again += phase(args.warm_up, batch, &mut senders, &shared)?.1;
    }
    let (figures, again) = phase(args.seconds, batch, &mut senders, &shared)?;
    tried_again += again;
    drop(senders);

    say(&summary(&figures, tried_again));
    let mut model = shared.model.into_inner().unwrap_or_else(PoisonError::into_inner);
    let verified = verify(&mut *peer, &mut model)?;
    if args.json {
        let report = Report {
            system: system.name(),
            transfers_per_second: rate(&figures),
            transfers: figures.counts.created,
            seconds: figures.seconds(),
            refused: figures.counts.refused,
            verified,
            workload: Workload::Plain.name(),
            accounts: args.accounts,
            batch,
            connections: args.connections,
            tried_again,
            latency_us: Latency::of(&figures.latency),
            settings,
            environment,
        };
        say(&serde_json::to_string(&report).map_err(|error| Failure::Failed(error.to_string()))?);
    }
    Ok(verified)
}

/// The generator's plain workload, uniform.
fn plan(args: &RunArgs) -> Plan {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Plan {
        lag: 1,
        seed: args.seed,
        run: fastrand::u32(..),
        started_ms: now.as_millis() as u64,
        ..Plan::plain(args.accounts, args.batch)
    }
}

fn introduction(args: &RunArgs, settings: &Settings) -> String {
    let settings: Vec<String> = settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!(
        "{}: {}\n{}, {} accounts, {} a request, {} connections with 1 request in flight, as fast as possible, seed {}",
        args.system.name(),
        settings.join(", "),
        Workload::Plain.words(),
        count(args.accounts.into()),
        count(args.batch.into()),
        args.connections,
        args.seed
    )
}

/// Load for so many seconds, until every answer is there. Also says how often a transaction was tried again.
fn phase(
    seconds: f64,
    batch: u32,
    senders: &mut [Box<dyn Sender>],
    shared: &Shared,
) -> Result<(Figures, u64), Failure> {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let results = thread::scope(|scope| {
        let threads: Vec<_> = senders
            .iter_mut()
            .map(|sender| scope.spawn(move || load(&mut **sender, batch, shared, end)))
            .collect();
        let joined =
            threads.into_iter().map(|thread| thread.join().expect("a connection's thread doesn't panic"));
        joined.collect::<Vec<_>>()
    });
    let (mut figures, mut tried_again) = (Figures::new(false), 0);
    for result in results {
        let (part, again) = result?;
        figures.add(&part);
        tried_again += again;
    }
    Ok((figures, tried_again))
}

/// One connection's load.
fn load(
    sender: &mut dyn Sender,
    batch: u32,
    shared: &Shared,
    end: Instant,
) -> Result<(Figures, u64), Failure> {
    let model = || shared.model.lock().unwrap_or_else(PoisonError::into_inner);
    let mut transfers = vec![Transfer::default(); batch as usize];
    let (mut figures, mut tried_again) = (Figures::new(false), 0);
    while Instant::now() < end {
        let number = {
            // The time is asked for behind the lock, so that ids ascend from batch to batch.
            let mut model = model();
            model.send(shared.started.elapsed().as_millis() as u32, &mut transfers)
        };
        let since = Instant::now();
        tried_again += sender.send(&transfers)?;
        let now = Instant::now();
        figures.counts.add(&model().executed(number, 0, &[]));
        figures.latency.saturating_record((now - since).as_nanos() as u64);
        figures.first_send.get_or_insert(since);
        figures.last_reply = Some(now);
    }
    Ok((figures, tried_again))
}

fn rate(figures: &Figures) -> f64 {
    figures.counts.created as f64 / figures.seconds().max(1e-9)
}

fn summary(figures: &Figures, tried_again: u64) -> String {
    let Latency { p50, p99, p999, max } = Latency::of(&figures.latency);
    format!(
        "{} transfers/s: {} created in {:.3} s, {} transactions tried again\n\
         latency of a request: p50 {p50:.0} us, p99 {p99:.0} us, p99.9 {p999:.0} us, max {max:.0} us ({} requests)",
        count(rate(figures) as u64),
        count(figures.counts.created),
        figures.seconds(),
        count(tried_again),
        count(figures.latency.len()),
    )
}
