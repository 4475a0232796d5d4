//! What a run has to say: for people, and as one line of JSON.

use crate::args::RunArgs;
use crate::budget::{Budget, Judged};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::figures::{Counts, Figures};
use crate::generator::Generator;
use crate::money::Verdict;
use crate::run::Measured;
use crate::steps::{Knee, PhaseReport};
use crate::verify::Coverage;
use auriga_plots::log::encode;
/// A number with its thousands apart.
pub use auriga_plots::number::grouped as count;
use auriga_wire::Client;
use auriga_wire::report::ShardHistograms;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write as _;

/// The last line of stdout with `--json`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `transfers` over `seconds`.
    pub transfers_per_second: f64,
    /// Transfers acknowledged as created, without warm-up.
    pub transfers: u64,
    /// From the first send to the last acknowledgement, without warm-up and verification.
    pub seconds: f64,
    /// Transfers refused, without warm-up.
    pub refused: u64,
    /// Whether the ledger was found to hold exactly what it acknowledged.
    pub verified: bool,
    /// How many requests' transfers were looked up for that; `null`: nothing was.
    pub verification: Option<Coverage>,
    /// The server's shards.
    pub shards: u32,
    /// The kind of work, or the shares of kinds.
    pub workload: String,
    /// Most transfers a request.
    pub batch: u32,
    /// The distribution of transfers a request.
    pub sizes: String,
    /// The distribution of accounts.
    pub accounts_drawn: String,
    /// Bytes that the server logged meanwhile.
    pub bytes_logged: u64,
    /// Epochs that the server flushed meanwhile.
    pub flushes: u64,
    /// Latency of requests that create transfers, from the time at which they should have been sent.
    pub latency_us: Latency,
    /// The same from the time at which they were sent.
    pub raw_latency_us: Latency,
    /// Requests that were due and were not sent, because all in flight were unanswered; they are in no latency.
    pub unsent: u64,
    /// Requests that were sent and not answered, because the connection was lost or the server said nothing for too long.
    pub unanswered: u64,
    /// Requests that the server refused as a whole.
    pub errors: u64,
    /// What the generator itself cost, and whether it was what held the load back.
    pub generator: Generator,
    /// Pending transfers created, without warm-up; they are among `transfers`, as are posts, voids and chained ones.
    pub pendings: u64,
    /// Posts created, in full or in part.
    pub posts: u64,
    /// Voids created.
    pub voids: u64,
    /// Linked chains created.
    pub chains: u64,
    /// Look-ups and queries answered meanwhile.
    pub lookups: u64,
    /// Latency of these look-ups; zeros if there were none.
    pub lookup_latency_us: Latency,
    /// Accounts created meanwhile.
    pub accounts: u64,
    /// Latency of the requests that did; zeros if there were none.
    pub account_latency_us: Latency,
    /// What each phase has shown, warm-up included.
    pub phases: Vec<PhaseReport>,
    /// The last step of a ramp that the server kept up with; `null` without steps, or if not even the first was.
    pub knee: Option<Knee>,
    /// What became of each budget (`--require`).
    pub budgets: Vec<Judged>,
    /// The whole latency of requests, nanoseconds: a histogram as HdrHistogram's logs have it (V2, compressed, base64).
    pub latency_histogram: String,
    /// The same of the latency from the actual send.
    pub raw_latency_histogram: String,
    /// Where it took place.
    pub environment: Environment,
}

impl Report {
    /// Of a run.
    pub fn of(args: &RunArgs, environment: Environment, measured: &Measured, verdict: Verdict) -> Self {
        let mut report = Self::without_budgets(args, environment, measured, verdict);
        report.budgets = judge(&args.require, &measured.figures);
        report
    }

    fn without_budgets(
        args: &RunArgs,
        environment: Environment,
        measured: &Measured,
        verdict: Verdict,
    ) -> Self {
        let Measured { figures, status, bytes_logged, flushes, .. } = measured;
        let Counts { created, refused, pendings, posts, voids, chains, accounts } = figures.counts;
        Self {
            transfers_per_second: figures.rate(),
            transfers: created,
            seconds: figures.seconds(),
            refused,
            verified: verdict.is_right && verdict.coverage.is_some(),
            verification: verdict.coverage,
            shards: status.shards,
            workload: args.work(),
            batch: args.sizes().max(),
            sizes: args.sizes().to_string(),
            accounts_drawn: args.accounts_drawn.to_string(),
            bytes_logged: *bytes_logged,
            flushes: *flushes,
            latency_us: Latency::of(&figures.latency),
            raw_latency_us: Latency::of(&figures.raw_latency),
            unsent: figures.unsent,
            unanswered: figures.unanswered,
            errors: figures.errors,
            generator: Generator::of(figures),
            pendings,
            posts,
            voids,
            chains,
            lookups: figures.lookups.len(),
            lookup_latency_us: Latency::of(&figures.lookups),
            accounts,
            account_latency_us: Latency::of(&figures.new_accounts),
            phases: measured.phases.clone(),
            knee: Knee::of(&measured.phases),
            budgets: Vec::new(),
            latency_histogram: encode(&figures.latency),
            raw_latency_histogram: encode(&figures.raw_latency),
            environment,
        }
    }
}

/// Holds budgets against what was measured.
pub fn judge(budgets: &[Budget], figures: &Figures) -> Vec<Judged> {
    budgets.iter().map(|budget| budget.judge(found(budget.measure, figures))).collect()
}

/// What was measured of what a budget is about: nanoseconds of times; `None` if no request was answered, of which nothing good can
/// be said.
fn found(measure: &str, figures: &Figures) -> Option<f64> {
    let at = |quantile| figures.latency.value_at_quantile(quantile) as f64;
    if figures.latency.is_empty() {
        return None;
    }
    Some(match measure {
        "p50" => at(0.5),
        "p90" => at(0.9),
        "p99" => at(0.99),
        "p999" => at(0.999),
        "max" => at(1.0),
        "transfers_per_second" => figures.rate(),
        "transfers" => figures.counts.created as f64,
        "refused" => figures.counts.refused as f64,
        "errors" => figures.errors as f64,
        "unsent" => figures.unsent as f64,
        "unanswered" => figures.unanswered as f64,
        "generator_busy" => Generator::of(figures).busiest_share,
        other => unreachable!("budget::OF_A_RUN has no {other}"),
    })
}

/// Quantiles in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Median.
    pub p50: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Latency {
    /// The quantiles of a histogram of nanoseconds.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Self { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: histogram.max() as f64 / 1e3 }
    }
}

/// A stage of a shard, with its histogram in nanoseconds.
#[derive(Debug)]
pub struct StageRow {
    /// The shard.
    pub shard: u32,
    /// The CPU that its executor is pinned to.
    pub cpu: u32,
    /// The stage.
    pub stage: String,
    /// Its latencies.
    pub histogram: Histogram<u64>,
}

/// Asks every shard for its histograms.
pub fn fetch_histograms(client: &mut Client, shards: u32) -> Result<Vec<StageRow>, Failure> {
    let mut rows = Vec::new();
    for shard in 0..shards {
        let ShardHistograms { cpu, stages, .. } = client.histograms(shard)?;
        for stage in stages {
            let histogram = Deserializer::new().deserialize(&mut &stage.v2[..]).map_err(|error| {
                let stage = &stage.stage;
                Failure::Failed(format!("shard {shard}: the histogram of `{stage}` can't be read: {error:?}"))
            })?;
            rows.push(StageRow { shard, cpu, stage: stage.stage, histogram });
        }
    }
    Ok(rows)
}

/// Takes out of each row what was there `before`, so that only the time between is left.
pub fn since(mut rows: Vec<StageRow>, before: &[StageRow]) -> Result<Vec<StageRow>, Failure> {
    for row in &mut rows {
        let Some(old) = before.iter().find(|old| old.shard == row.shard && old.stage == row.stage) else {
            continue;
        };
        row.histogram.subtract(&old.histogram).map_err(|error| {
            let StageRow { shard, stage, .. } = row;
            Failure::Failed(format!(
                "shard {shard}: the histogram of `{stage}` shrank ({error}): was the server started again?"
            ))
        })?;
    }
    Ok(rows)
}

/// One line per core and stage.
pub fn stage_table(rows: &[StageRow]) -> String {
    let mut text = format!(
        "{:>5} {:>4} {:<8} {:>12} {:>11} {:>11} {:>11} {:>11}\n",
        "shard", "cpu", "stage", "count", "p50 us", "p99 us", "p99.9 us", "max us"
    );
    for StageRow { shard, cpu, stage, histogram } in rows {
        let Latency { p50, p99, p999, max } = Latency::of(histogram);
        let count = count(histogram.len());
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "{shard:>5} {cpu:>4} {stage:<8} {count:>12} {p50:>11.1} {p99:>11.1} {p999:>11.1} {max:>11.1}"
        );
    }
    text
}

/// The measured phase in words.
pub fn summary(measured: &Measured) -> String {
    let Measured { figures, bytes_logged, flushes, .. } = measured;
    let Figures { counts, lookups, new_accounts, .. } = figures;
    let rate = counts.created as f64 / figures.seconds().max(1e-9);
    let mut text = format!(
        "{} transfers/s: {} created, {} refused in {:.3} s\n",
        count(rate as u64),
        count(counts.created),
        count(counts.refused),
        figures.seconds(),
    );
    text += &kinds(counts);
    text += &latency_lines(figures);
    if !new_accounts.is_empty() {
        text += &format!("{} accounts created meanwhile\n", count(counts.accounts));
        text += &latency_line("request for new accounts", new_accounts, "requests");
    }
    if !lookups.is_empty() {
        text += &latency_line("read", lookups, "look-ups and queries");
    }
    text + &format!("log: {} bytes in {} flushes", count(*bytes_logged), count(*flushes))
}

/// A line about what was more than plain, if anything was.
fn kinds(counts: &Counts) -> String {
    let Counts { pendings, posts, voids, chains, .. } = *counts;
    if pendings + posts + voids + chains == 0 {
        return String::new();
    }
    format!(
        "among them {} pending transfers, {} posts, {} voids, {} linked chains\n",
        count(pendings),
        count(posts),
        count(voids),
        count(chains)
    )
}

/// Lines about the latency of requests that create transfers; of an open loop from both sends.
pub fn latency_lines(figures: &Figures) -> String {
    let mut text = latency_line("request", &figures.latency, "requests");
    if !figures.lateness.is_empty() {
        text += &latency_line(
            "request from its actual send",
            &figures.raw_latency,
            "requests; that above counts from the intended one",
        );
    }
    text
}

fn latency_line(what: &str, histogram: &Histogram<u64>, counted: &str) -> String {
    let Latency { p50, p99, p999, max } = Latency::of(histogram);
    let number = count(histogram.len());
    format!(
        "latency of a {what}: p50 {p50:.0} us, p99 {p99:.0} us, p99.9 {p999:.0} us, max {max:.0} us \
         ({number} {counted})\n"
    )
}

/// Prints a line or more to stdout. Nothing if there is nothing; who closes it early has read enough.
pub fn say(text: &str) {
    if !text.is_empty() {
        let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shows_only_what_came_after() {
        let row = |values: &[u64]| {
            let mut histogram = crate::figures::latency_histogram();
            values.iter().for_each(|value| histogram.saturating_record(*value));
            StageRow { shard: 1, cpu: 3, stage: "flush".into(), histogram }
        };
        let rows = since(vec![row(&[5_000, 1_000_000])], &[row(&[1_000_000])]).expect("it grew");
        let table = stage_table(&rows);
        assert_eq!(table.lines().count(), 2);
        let last: Vec<&str> = table.lines().last().expect("a row").split_whitespace().collect();
        assert_eq!(last[..4], ["1", "3", "flush", "1"]);
        assert!(last[7].starts_with("5."), "{table}");
        assert!(since(vec![row(&[])], &[row(&[7_000])]).is_err(), "a restarted server is noticed");
    }
}
