//! `auriga-bench run`: load, measure, verify, report. Read it from top to bottom.

use crate::args::{RunArgs, Verify};
use crate::differences::Differences;
use crate::drive::Driver;
use crate::failure::Failure;
use crate::figures::{Counts, Figures};
use crate::load::Load;
use crate::model::{Sums, code_name};
use crate::progress::{Progress, REFRESH};
use crate::report::{self, Latency, Report, count, say};
use crate::schedule::Schedule;
use crate::verify::{self, AccountCheck, Before, Changes, TransferCheck};
use crate::workload::{LEDGER, Plan};
use auriga_signals::Glance;
use auriga_wire::frame::REQUEST_RECORDS_MAX;
use auriga_wire::report::Status;
use auriga_wire::{Account, AccountCode, Client, Options};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Connections and requests in flight that look transfers up after a run: replies of 1 MiB, so a few do.
const VERIFY_CONNECTIONS_MAX: usize = 8;
const VERIFY_IN_FLIGHT: usize = 4;

/// Runs it all; `Ok(false)` if something was not as it must be.
pub fn run(args: &RunArgs) -> Result<bool, Failure> {
    if args.connections < u32::from(args.workers) {
        let RunArgs { connections, workers, .. } = args;
        return Err(Failure::Usage(format!(
            "{workers} workers share {connections} connections: --connections must be at least --workers"
        )));
    }
    let options =
        Options { read_timeout: Duration::from_secs_f64(args.timeout.max(0.001)), ..Options::default() };
    let mut client = Client::connect(&args.address, options.clone())?;
    let status = client.status(false)?;
    say(&introduction(args, &status));
    create_accounts(&mut client, &plan(args), &status)?;
    let before = verify::balances(&mut client, args.accounts)?;

    let started = Instant::now();
    let plan = plan(args);
    let glances: Vec<Glance> = (0..args.workers).map(|_| Glance::default()).collect();
    let lists = args.requests.is_some();
    let load = |(glance, worker)| Load::new(plan, worker, started, lists, glance);
    let mut loads: Vec<Load<'_>> = glances.iter().zip(0..).map(load).collect();
    let mut drivers = connect(args, &options, args.connections as usize, args.in_flight as usize)?;
    let mut whole = Counts::default();
    if args.warm_up > 0.0 {
        let (figures, _) = phase("warm-up", args.warm_up, args, &mut drivers, &mut loads, &glances)?;
        whole.add(&figures.counts);
    }
    let status = client.status(false)?;
    let histograms = report::fetch_histograms(&mut client, status.shards)?;
    let (figures, unsent) = phase("measuring", args.seconds, args, &mut drivers, &mut loads, &glances)?;
    let status_after = client.status(false)?;
    let histograms = report::since(report::fetch_histograms(&mut client, status.shards)?, &histograms)?;
    drop(drivers);
    whole.add(&figures.counts);
    if let (Some(path), Some(requests)) = (&args.requests, &figures.requests) {
        let written = write_requests(path, requests, started, plan.started_ms);
        written.map_err(|error| Failure::Failed(format!("can't write {}: {error}", path.display())))?;
    }

    let bytes_logged = status_after.bytes_logged.saturating_sub(status.bytes_logged);
    let flushes = status_after.flushes.saturating_sub(status.flushes);
    say(&report::summary(&figures, bytes_logged, flushes));
    say(&remarks(args, &loads, &whole, unsent));
    let verified = verify_money(args, &options, &mut client, &before, &mut loads)?;
    say("latency by core and stage, of the measured time:");
    say(&report::stage_table(&histograms));
    let stopped = loads.iter().any(|load| load.stopped.is_some());
    if args.json {
        let report = Report {
            transfers_per_second: figures.counts.created as f64 / figures.seconds().max(1e-9),
            transfers: figures.counts.created,
            seconds: figures.seconds(),
            refused: figures.counts.refused,
            verified: verified && args.verify != Verify::None,
            shards: status.shards,
            workload: args.workload.name().into(),
            batch: args.batch,
            bytes_logged,
            flushes,
            latency_us: Latency::of(&figures.latency),
            pendings: figures.counts.pendings,
            posts: figures.counts.posts,
            voids: figures.counts.voids,
            chains: figures.counts.chains,
            lookups: figures.lookups.len(),
            lookup_latency_us: Latency::of(&figures.lookups),
        };
        say(&serde_json::to_string(&report).map_err(|error| Failure::Failed(error.to_string()))?);
    }
    Ok(verified && !stopped)
}

/// Writes when each request was sent, or should have been, in nanoseconds since 1970, and its latency in nanoseconds.
fn write_requests(
    path: &Path,
    requests: &[(Instant, u64)],
    started: Instant,
    started_ms: u64,
) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "sent_ns,latency_ns")?;
    for (sent, latency) in requests {
        let sent = sent.saturating_duration_since(started).as_nanos() as u64 + started_ms * 1_000_000;
        writeln!(file, "{sent},{latency}")?;
    }
    file.flush()
}

fn introduction(args: &RunArgs, status: &Status) -> String {
    let speed = match args.rate {
        Some(rate) => format!("{} transfers/s in an open loop", count(rate as u64)),
        None => "as fast as possible".into(),
    };
    format!(
        "server {} at {}: {} shards, cluster {}, ids {}\n\
         {}, {} accounts, {} a request, {} connections with {} requests in flight, {speed}, seed {}",
        status.version,
        args.address,
        status.shards,
        status.cluster,
        status.id_mode,
        args.workload.words(),
        count(args.accounts.into()),
        count(args.batch.into()),
        args.connections,
        args.in_flight,
        args.seed
    )
}

fn plan(args: &RunArgs) -> Plan {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let in_flight = args.connections.div_ceil(u32::from(args.workers)) * args.in_flight;
    Plan {
        workload: args.workload,
        accounts: args.accounts,
        batch: args.batch,
        lag: u64::from(in_flight) * 2,
        hot: (args.hot_share * (1_u64 << 32) as f64) as u64,
        failing: (args.failing_share * (1_u64 << 32) as f64) as u64,
        seed: args.seed,
        run: fastrand::u32(..),
        started_ms: now.as_millis() as u64,
    }
}

/// Creates the plan's accounts; those of an earlier run are used again.
fn create_accounts(client: &mut Client, plan: &Plan, status: &Status) -> Result<(), Failure> {
    let accounts = plan.accounts;
    if u64::from(accounts) > status.accounts_max {
        return Err(Failure::Usage(format!(
            "--accounts {accounts}: the server holds at most {} accounts",
            status.accounts_max
        )));
    }
    let indexes: Vec<u32> = (0..accounts).collect();
    for chunk in indexes.chunks(REQUEST_RECORDS_MAX) {
        let wanted: Vec<Account> = chunk.iter().map(|index| plan.account(*index)).collect();
        let created = client.create_accounts(&wanted)?;
        let exists = AccountCode::Exists.number();
        if let Some(refusal) = created.refusals.iter().find(|refusal| refusal.code != exists) {
            let reason = AccountCode::from_number(refusal.code)
                .map_or_else(|| format!("code {}", refusal.code), |code| code.text().into());
            let id = wanted[refusal.index as usize].id;
            return Err(Failure::Failed(format!("account {id} can't be created: {reason}")));
        }
    }
    Ok(())
}

/// A driver per worker, with the connections dealt out.
fn connect(
    args: &RunArgs,
    options: &Options,
    connections: usize,
    in_flight: usize,
) -> Result<Vec<Driver>, Failure> {
    let workers = usize::from(args.workers);
    let share = |worker| connections / workers + usize::from(worker < connections % workers);
    (0..workers).map(|worker| Driver::connect(&args.address, options, share(worker), in_flight)).collect()
}

/// Runs every worker for a time; returns what they measured and how many requests were due and not sent.
fn phase(
    what: &'static str,
    seconds: f64,
    args: &RunArgs,
    drivers: &mut [Driver],
    loads: &mut [Load<'_>],
    glances: &[Glance],
) -> Result<(Figures, u64), Failure> {
    let length = Duration::from_secs_f64(seconds);
    let mut progress = Progress::start(what, length);
    let start = Instant::now();
    let results = thread::scope(|scope| {
        let bar_thread = thread::current();
        let workers: Vec<_> = drivers
            .iter_mut()
            .zip(loads.iter_mut())
            .zip(0..)
            .map(|((driver, load), worker)| {
                let bar_thread = bar_thread.clone();
                scope.spawn(move || {
                    let mut schedule = schedule(args, worker, start, length);
                    let result = driver.run(load, &mut schedule);
                    bar_thread.unpark();
                    result.map(|()| (load.take_figures(), schedule.unsent()))
                })
            })
            .collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            thread::park_timeout(REFRESH);
            progress.draw(glances.iter());
        }
        let joined = workers.into_iter().map(|worker| worker.join().expect("a worker doesn't panic"));
        joined.collect::<Vec<_>>()
    });
    progress.finish();
    let (mut figures, mut unsent) = (Figures::new(args.requests.is_some()), 0);
    for result in results {
        let (part, part_unsent) = result?;
        figures.add(&part);
        unsent += part_unsent;
    }
    Ok((figures, unsent))
}

/// A worker's part of the rate; workers take turns.
fn schedule(args: &RunArgs, worker: u32, start: Instant, length: Duration) -> Schedule {
    match args.rate {
        None => Schedule::flat_out(start, length),
        Some(rate) => {
            let between_batches = f64::from(args.batch) / rate * 1e9;
            let between_requests = between_batches / args.workload.requests_per_batch();
            let first = start + Duration::from_nanos((between_requests * f64::from(worker)) as u64);
            let left = (start + length).saturating_duration_since(first);
            Schedule::constant(first, left, between_requests * f64::from(args.workers))
        }
    }
}

/// What a reader must know to judge the figures.
fn remarks(args: &RunArgs, loads: &[Load<'_>], whole: &Counts, unsent: u64) -> String {
    let mut lines = Vec::new();
    if unsent > 0 {
        lines.push(format!(
            "behind schedule: {} requests of {} were due and not sent, because all in flight were unanswered; \
             they are in no figure above",
            count(unsent),
            args.batch
        ));
    }
    for stopped in loads.iter().filter_map(|load| load.stopped.as_ref()) {
        lines.push(format!("stopped early, the server refused a request: {stopped}"));
    }
    let mut codes = std::collections::BTreeMap::new();
    for (code, number) in loads.iter().flat_map(|load| &load.model.codes) {
        *codes.entry(*code).or_insert(0) += number;
    }
    for (code, number) in codes {
        lines.push(format!("refused, warm-up included: {} {}", count(number), code_name(code)));
    }
    if whole.pendings > 0 {
        lines.push(format!(
            "of {} pending transfers, warm-up included, {} are resolved and {} stay open",
            count(whole.pendings),
            count(whole.posts + whole.voids),
            count(whole.pendings.saturating_sub(whole.posts + whole.voids))
        ));
    }
    lines.join("\n")
}

fn verify_money(
    args: &RunArgs,
    options: &Options,
    client: &mut Client,
    before: &Before,
    loads: &mut [Load<'_>],
) -> Result<bool, Failure> {
    if args.verify != Verify::None {
        loads.iter_mut().for_each(|load| load.model.sum_up());
    }
    let replies = check_replies(loads);
    if args.verify == Verify::None {
        say("not verified: --verify none");
        return Ok(tell_differences(&[&replies], args.accounts));
    }
    let mut sums = vec![Sums::default(); args.accounts as usize];
    for load in loads.iter() {
        for (sum, part) in sums.iter_mut().zip(&load.model.sums) {
            sum.add(part);
        }
    }
    let accounts = verify::check_accounts(client, &loads[0].model.plan, before, &sums)?;
    let batches: u64 = loads.iter().map(|load| load.model.batches.len() as u64).sum();
    let sample = args.verify == Verify::Sample;
    let connections = VERIFY_CONNECTIONS_MAX.min(args.connections as usize).max(usize::from(args.workers));
    let mut drivers = connect(args, options, connections, VERIFY_IN_FLIGHT)?;
    let checks = thread::scope(|scope| {
        let workers: Vec<_> = loads
            .iter()
            .zip(&mut drivers)
            .map(|(load, driver)| {
                scope.spawn(move || {
                    let mut check = TransferCheck::new(&load.model, sample);
                    driver.run(&mut check, &mut Schedule::unbounded(Instant::now())).map(|()| check)
                })
            })
            .collect();
        let joined = workers.into_iter().map(|worker| worker.join().expect("a worker doesn't panic"));
        joined.collect::<Result<Vec<_>, Failure>>()
    })?;
    let Some(transfers) = checks.into_iter().reduce(|mut sum, part| {
        sum.add(part);
        sum
    }) else {
        unreachable!("there is at least one worker")
    };
    let looked_up = loads.iter().map(|load| load.looked_up).sum();
    tell(&accounts, &transfers, batches, looked_up);
    let balanced = accounts.changes.are_equal();
    let differences = [&replies, &accounts.differences, &transfers.differences];
    Ok(tell_differences(&differences, args.accounts) && balanced)
}

/// What was wrong in replies during the load: in answers that contradict each other, and in look-ups.
fn check_replies(loads: &mut [Load<'_>]) -> Differences {
    let mut differences = Differences::default();
    for load in loads {
        differences.add(std::mem::take(&mut load.model.contradictions));
        differences.add(std::mem::take(&mut load.lookup_differences));
    }
    differences
}

/// Says what was verified.
fn tell(accounts: &AccountCheck, transfers: &TransferCheck<'_>, batches: u64, looked_up: u64) {
    let word = |good| if good { "verified" } else { "NOT VERIFIED" };
    let sample = match transfers.batches == batches {
        true => "all of them".to_string(),
        false => format!(
            "a sample: {} of {} requests, {:.1} %",
            count(transfers.batches),
            count(batches),
            transfers.batches as f64 * 100.0 / batches.max(1) as f64
        ),
    };
    let Changes { debits_posted, credits_posted, debits_pending, credits_pending } = accounts.changes;
    let balanced = accounts.changes.are_equal();
    say(&format!(
        "{}: ledger {LEDGER}: debits {debits_posted} and credits {credits_posted}, pending {debits_pending} and \
         {credits_pending}, of this run {}\n\
         {}: {} of {} accounts hold exactly what the generator's model says\n\
         {}: {} acknowledged transfers found with the right content and timestamp, {} refused ones not found \
         ({sample})",
        word(balanced),
        if balanced { "are equal" } else { "DIFFER" },
        word(accounts.differences.count == 0),
        count(accounts.accounts - accounts.differences.count),
        count(accounts.accounts),
        word(transfers.differences.count == 0),
        count(transfers.acknowledged),
        count(transfers.refused),
    ));
    if looked_up > 0 {
        say(&format!("look-ups during the load found {} records as they must be", count(looked_up)));
    }
}

/// Says what differs; true if nothing does.
fn tell_differences(differences: &[&Differences], accounts: u32) -> bool {
    let count_of_all = differences.iter().map(|differences| differences.count).sum();
    for text in differences.iter().flat_map(|differences| &differences.told) {
        say(&format!("  {text}"));
    }
    if count_of_all > 0 {
        say(&format!(
            "  NOT VERIFIED: {} differences in all; does something else write to accounts 1 to {accounts}?",
            count(count_of_all),
        ));
    }
    count_of_all == 0
}
