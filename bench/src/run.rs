//! `auriga-bench run`: load, measure, verify, report. Read it from top to bottom.

use crate::args::{RunArgs, Verify};
use crate::arrivals::Slope;
use crate::failure::Failure;
use crate::figures::{Counts, Figures};
use crate::generator::Generator;
use crate::load::Load;
use crate::model::code_name;
use crate::money::verify_money;
use crate::phase::{Phase, connect};
use crate::report::{self, Report, StageRow, count, say};
use crate::verify;
use crate::workload::Plan;
use auriga_signals::Glance;
use auriga_wire::frame::REQUEST_RECORDS_MAX;
use auriga_wire::report::Status;
use auriga_wire::{Account, AccountCode, Client, Options};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
    let measured = measure(args, &options, &mut client, &mut loads, &glances)?;
    if let (Some(path), Some(requests)) = (&args.requests, &measured.figures.requests) {
        let written = write_requests(path, requests, started, plan.started_ms);
        written.map_err(|error| Failure::Failed(format!("can't write {}: {error}", path.display())))?;
    }

    say(&report::summary(&measured));
    say(&Generator::of(&measured.figures).words());
    say(&remarks(args, &loads, &measured));
    let verified = verify_money(args, &options, &mut client, &before, &mut loads)?;
    say("latency by core and stage, of the measured time:");
    say(&report::stage_table(&measured.stages));
    let stopped = loads.iter().any(|load| load.stopped.is_some());
    if args.json {
        let report = Report::of(args, &measured, verified && args.verify != Verify::None);
        say(&serde_json::to_string(&report).map_err(|error| Failure::Failed(error.to_string()))?);
    }
    Ok(verified && !stopped)
}

/// What the load has shown.
#[derive(Debug)]
pub struct Measured {
    /// Of the measured phases.
    pub figures: Figures,
    /// Of all phases, warm-up included.
    pub whole: Counts,
    /// What the server says, at the end of the load.
    pub status: Status,
    /// Bytes that the server logged during the measured phases.
    pub bytes_logged: u64,
    /// Epochs that it flushed meanwhile.
    pub flushes: u64,
    /// The stages of each core meanwhile.
    pub stages: Vec<StageRow>,
}

/// What is done, one after the other; the measured phases come last.
fn phases(args: &RunArgs) -> Vec<Phase> {
    let phase = |name: &str, seconds, measured| {
        let rate = args.rate.map(|rate| vec![Slope { seconds, from: rate, to: rate }]);
        Phase { name: name.into(), seconds, rate, measured }
    };
    let phases = [phase("warm-up", args.warm_up, false), phase("measuring", args.seconds, true)];
    phases.into_iter().filter(|phase| phase.measured || phase.seconds > 0.0).collect()
}

/// Runs the phases.
fn measure(
    args: &RunArgs,
    options: &Options,
    client: &mut Client,
    loads: &mut [Load<'_>],
    glances: &[Glance],
) -> Result<Measured, Failure> {
    let mut drivers = connect(args, options, args.connections as usize, args.in_flight as usize)?;
    let (mut figures, mut whole) = (Figures::new(args.requests.is_some()), Counts::default());
    let mut before: Option<(Status, Vec<StageRow>)> = None;
    for (phase, number) in phases(args).into_iter().zip(0..) {
        if phase.measured && before.is_none() {
            let status = client.status(false)?;
            let stages = report::fetch_histograms(client, status.shards)?;
            before = Some((status, stages));
        }
        let part = phase.run(number, args, &mut drivers, loads, glances)?;
        whole.add(&part.counts);
        if phase.measured {
            figures.add(&part);
        }
    }
    let status = client.status(false)?;
    let stages = report::fetch_histograms(client, status.shards)?;
    let (status_before, stages_before) = before.unwrap_or_default();
    Ok(Measured {
        figures,
        whole,
        bytes_logged: status.bytes_logged.saturating_sub(status_before.bytes_logged),
        flushes: status.flushes.saturating_sub(status_before.flushes),
        stages: report::since(stages, &stages_before)?,
        status,
    })
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
        Some(rate) => {
            format!("{} transfers/s in an open loop, {} arrivals", count(rate as u64), args.arrivals.name())
        }
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

/// What a reader must know to judge the figures.
fn remarks(args: &RunArgs, loads: &[Load<'_>], measured: &Measured) -> String {
    let Measured { figures, whole, .. } = measured;
    let mut lines = Vec::new();
    if figures.unsent > 0 {
        lines.push(format!(
            "behind schedule: {} requests of {} were due and not sent, because all in flight were unanswered; \
             they are in no latency above",
            count(figures.unsent),
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
