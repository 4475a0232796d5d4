//! `auriga-bench run`: load, measure, verify, report. Read it from top to bottom.

use crate::args::RunArgs;
use crate::budget;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::figures::{Counts, Figures};
use crate::generator::Generator;
use crate::load::Load;
use crate::model::{Model, code_name};
use crate::money::{Verdict, verify_money};
use crate::outline;
use crate::outputs::Outputs;
use crate::page;
use crate::phase::{Phase, connect};
use crate::report::{self, Report, StageRow, count, say};
use crate::steps::{Knee, PhaseReport};
use crate::timeline::Timeline;
use crate::verify;
use crate::workload::{Plan, Workload};
use auriga_signals::Glance;
use auriga_wire::frame::REQUEST_RECORDS_MAX;
use auriga_wire::report::Status;
use auriga_wire::{Account, AccountCode, Client, Options};
use std::io::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Runs it all; `Ok(false)` if something was not as it must be.
pub fn run(args: &RunArgs) -> Result<bool, Failure> {
    if args.connections < u32::from(args.workers) {
        let RunArgs { connections, workers, .. } = args;
        return Err(Failure::Usage(format!(
            "{workers} workers share {connections} connections: --connections must be at least --workers"
        )));
    }
    if args.hot_accounts > args.accounts {
        let RunArgs { hot_accounts, accounts, .. } = args;
        return Err(Failure::Usage(format!(
            "--hot-accounts {hot_accounts}: there are {accounts} --accounts"
        )));
    }
    let phases = outline::phases(args)?;
    if args.plan {
        say(&outline::table(args, &phases));
        return Ok(true);
    }
    let mut outputs = Outputs::open(&args.outputs, args.report.as_deref(), args.requests.as_deref())?;
    let options =
        Options { read_timeout: Duration::from_secs_f64(args.timeout.max(0.001)), ..Options::default() };
    let mut client = Client::connect(&args.address, options.clone())?;
    let status = client.status(false)?;
    if args.mix().reads().1 > 0.0 && status.history_epoch.is_none() {
        return Err(Failure::Usage(
            "--mix has queries: the server must keep history (auriga start --history on)".into(),
        ));
    }
    let environment = Environment::of(&args.address, &status, Some(args.seed));
    say(&environment.words());
    say(&introduction(args, &status));
    say(&outline::needs(args, &phases, Some(&status)));
    create_accounts(&mut client, &plan(args, &phases), &status)?;
    let before = verify::balances(&mut client, args.accounts)?;

    let started = Instant::now();
    let plan = plan(args, &phases);
    let glances: Vec<Glance> = (0..args.workers).map(|_| Glance::default()).collect();
    let lists = args.requests.is_some();
    let memory = (args.verify_memory as usize) << 20;
    let load = |(glance, worker)| {
        let model = Model::bounded(plan, worker, memory / usize::from(args.workers));
        Load::new(model, started, lists, glance)
    };
    let mut loads: Vec<Load<'_>> = glances.iter().zip(0..).map(load).collect();
    let timeline = Timeline::new(started);
    let measured = measure(args, &options, &phases, &mut client, &mut loads, &glances, timeline)?;
    outputs.write_measured(&measured.timeline, &measured.figures.latency, &measured.stages)?;
    if let (Some(output), Some(requests)) = (outputs.requests.take(), &measured.figures.requests) {
        output.write(|out| write_requests(out, requests, started, plan.started_ms))?;
    }

    say(&report::summary(&measured));
    say(&Generator::of(&measured.figures).words());
    say(&remarks(args, &loads, &measured));
    let verdict = match measured.failed {
        None => verify_money(args, &options, &mut client, &before, &mut loads)?,
        Some(_) => Verdict::default(),
    };
    say("latency by core and stage, of the measured time:");
    say(&report::stage_table(&measured.stages));
    let stopped = loads.iter().find_map(|load| load.stopped.as_ref());
    let report = Report::of(args, environment, &measured, verdict);
    say(&budget::words(&report.budgets));
    if let Some(output) = outputs.report.take() {
        let run = page::Run { args, measured: &measured, report: &report, stopped };
        let page = page::of_a_run(&run, report.environment.pairs());
        output.write(|out| out.write_all(page.html().as_bytes()))?;
    }
    if args.json {
        say(&serde_json::to_string(&report).map_err(|error| Failure::Failed(error.to_string()))?);
    }
    let kept = report.budgets.iter().all(|budget| budget.met);
    match measured.failed {
        Some(failure) => Err(failure),
        None => Ok(verdict.is_right && stopped.is_none() && kept),
    }
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
    /// Each phase alone.
    pub phases: Vec<PhaseReport>,
    /// How it all went over time.
    pub timeline: Timeline,
    /// What ended the load, if something failed.
    pub failed: Option<Failure>,
}

/// Runs the phases, until one fails or the server wants no more.
fn measure(
    args: &RunArgs,
    options: &Options,
    phases: &[Phase],
    client: &mut Client,
    loads: &mut [Load<'_>],
    glances: &[Glance],
    mut timeline: Timeline,
) -> Result<Measured, Failure> {
    let at_start = client.status(false)?;
    let mut drivers = connect(args, options, args.connections as usize, in_flight_max(args, phases))?;
    let (mut figures, mut whole) = (Figures::new(args.requests.is_some()), Counts::default());
    let width = phases.iter().map(|phase| phase.name.len()).max().unwrap_or_default();
    if args.schedule.is_some() {
        say(&PhaseReport::header(width));
    }
    let (mut reports, mut failed) = (Vec::new(), None);
    let mut before: Option<(Status, Vec<StageRow>)> = None;
    for (phase, number) in phases.iter().zip(0..) {
        if phase.measured && before.is_none() {
            let status = client.status(false)?;
            let stages = report::fetch_histograms(client, status.shards)?;
            before = Some((status, stages));
        }
        let mut part = phase.run(number, args, &mut drivers, loads, glances);
        timeline.add(phase, &mut part);
        whole.add(&part.figures.counts);
        if phase.measured || part.failed.is_some() {
            figures.add(&part.figures);
        }
        let report = PhaseReport::of(phase, &part.figures);
        if args.schedule.is_some() {
            say(&report.line(width));
        }
        reports.push(report);
        failed = part.failed;
        if failed.is_some() || loads.iter().any(|load| load.stopped.is_some()) {
            break;
        }
    }
    let (status_before, stages_before) = before.unwrap_or_else(|| (at_start.clone(), Vec::new()));
    let (status, stages) = match failed {
        Some(_) => (status_before.clone(), Vec::new()),
        None => {
            let status = client.status(false)?;
            let stages = report::fetch_histograms(client, status.shards)?;
            (status, report::since(stages, &stages_before)?)
        }
    };
    Ok(Measured {
        figures,
        whole,
        bytes_logged: status.bytes_logged.saturating_sub(status_before.bytes_logged),
        flushes: status.flushes.saturating_sub(status_before.flushes),
        stages,
        status,
        phases: reports,
        timeline,
        failed,
    })
}

/// Most requests in flight on a connection, of all phases.
fn in_flight_max(args: &RunArgs, phases: &[Phase]) -> usize {
    let in_flight = |phase: &Phase| phase.in_flight.unwrap_or(args.in_flight);
    phases.iter().map(in_flight).max().unwrap_or(args.in_flight) as usize
}

/// Writes when each request was sent, or should have been, in nanoseconds since 1970, and its latency in nanoseconds.
fn write_requests(
    out: &mut impl Write,
    requests: &[(Instant, u64)],
    started: Instant,
    started_ms: u64,
) -> std::io::Result<()> {
    writeln!(out, "sent_ns,latency_ns")?;
    for (sent, latency) in requests {
        let sent = sent.saturating_duration_since(started).as_nanos() as u64 + started_ms * 1_000_000;
        writeln!(out, "{sent},{latency}")?;
    }
    Ok(())
}

fn introduction(args: &RunArgs, status: &Status) -> String {
    let speed = match args.rate {
        _ if args.schedule.is_some() => format!("by a schedule, {} arrivals", args.arrivals.name()),
        Some(rate) => {
            format!("{} transfers/s in an open loop, {} arrivals", count(rate as u64), args.arrivals.name())
        }
        None => "as fast as possible".into(),
    };
    let words = args.mix.map_or_else(|| args.workload.words().into(), |mix| format!("work {mix}"));
    let size = args.sizes.map_or_else(|| count(args.batch.into()), |sizes| sizes.to_string());
    format!(
        "server {} at {}: {} shards, cluster {}, ids {}\n\
         {}, {} accounts drawn {}, {} a request, {} connections with {} requests in flight, {speed}, seed {}",
        status.version,
        args.address,
        status.shards,
        status.cluster,
        status.id_mode,
        words,
        count(args.accounts.into()),
        args.accounts_drawn,
        size,
        args.connections,
        args.in_flight,
        args.seed
    )
}

fn plan(args: &RunArgs, phases: &[Phase]) -> Plan {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let connections = args.connections.div_ceil(u32::from(args.workers)) as usize;
    let in_flight = connections * in_flight_max(args, phases);
    let share = |share: f64| (share * (1_u64 << 32) as f64) as u64;
    Plan {
        mix: args.mix(),
        limited: args.mix.is_none() && args.workload == Workload::Limited,
        accounts: args.accounts,
        drawn: args.accounts_drawn,
        sizes: args.sizes(),
        lag: in_flight as u64 * 2,
        hot: share(args.hot_share),
        hot_accounts: args.hot_accounts,
        failing: share(args.failing_share),
        new_accounts: args.new_accounts(),
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
        let wanted: Vec<Account> = chunk.iter().map(|index| plan.account(0, *index)).collect();
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
            "behind schedule: {} requests of {:.0} transfers, on average, were due and not sent, because all in flight were unanswered; \
             they are in no latency above",
            count(figures.unsent),
            args.sizes().mean()
        ));
    }
    if figures.unanswered > 0 {
        lines.push(format!(
            "NOT VERIFIED: {} requests were sent and never answered; they are in no latency above",
            count(figures.unanswered)
        ));
    }
    if let Some(knee) = Knee::of(&measured.phases) {
        lines.push(knee.words());
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
