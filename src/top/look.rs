//! One look at a server, and what lies between two of them.

use crate::failure::{Failure, Outcome};
use crate::histograms::parts_of;
use auriga_wire::client::Client;
use auriga_wire::error::{Error, Options};
use auriga_wire::report::{Activity, CoreActivity, HotAccount, Status};
use hdrhistogram::Histogram;
use std::time::Duration;

/// The stage that is a request's whole life.
const WHOLE: &str = "total";
/// A server that doesn't answer for so long is said not to.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a server said at one moment.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) status: Status,
    activity: Activity,
    /// By core: latencies of requests since the server's start.
    latencies: Vec<Histogram<u64>>,
}

/// Somebody who looks again and again.
pub(super) struct Looker {
    address: String,
    client: Client,
}

/// A core between two looks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct CoreRow {
    pub(super) core: u32,
    pub(super) cpu: u32,
    /// Share of the time in which its thread worked.
    pub(super) busy: f64,
    /// Transfers that arrived, a second.
    pub(super) transfers: f64,
    /// Requests that were answered, a second.
    pub(super) requests: f64,
    /// Requests under way.
    pub(super) queue: u64,
    /// None if no request was answered.
    pub(super) p99_ns: Option<u64>,
    pub(super) connections: u64,
}

/// An account between two looks, with its core and the share of all hits that it has.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HotRow {
    pub(super) account: u128,
    pub(super) core: u32,
    pub(super) share: f64,
}

/// What lies between two looks.
#[derive(Clone, Debug, Default)]
pub(super) struct Between {
    pub(super) cores: Vec<CoreRow>,
    /// Accounts that stand out, most first.
    pub(super) hottest: Vec<HotRow>,
    /// A second: transfers that were created, that were refused, epochs, bytes of the log.
    pub(super) created: f64,
    pub(super) refused: f64,
    pub(super) epochs: f64,
    pub(super) logged: f64,
    /// Of all cores; none if no request was answered.
    pub(super) p99_ns: Option<u64>,
}

/// Accounts with a smaller share don't stand out.
const SHARE_MIN: f64 = 0.01;

impl Looker {
    /// Connects.
    pub(super) fn new(address: &str) -> Outcome<Self> {
        let options =
            Options { attempts: 1, connect_timeout: PATIENCE, read_timeout: PATIENCE, ..Options::default() };
        let client = Client::connect(address, options).map_err(|e| unreachable(address, &e))?;
        Ok(Self { address: address.into(), client })
    }

    /// Looks once.
    pub(super) fn look(&mut self) -> Outcome<Look> {
        let failed = |e: Error| unreachable(&self.address, &e);
        let activity = self.client.activity().map_err(failed)?;
        let status = self.client.status(false).map_err(failed)?;
        let mut latencies = Vec::new();
        // A server that replays its log has no latencies yet.
        let shards = if status.state == "serving" { status.shards } else { 0 };
        for shard in 0..shards {
            let parts = parts_of(&self.client.histograms(shard).map_err(failed)?)?;
            let whole = parts.into_iter().find(|(_, stage, _)| stage == WHOLE);
            let (_, _, histogram) = whole.ok_or_else(|| {
                Failure::failed(format!("{}: shard {shard} has no stage {WHOLE}", self.address))
            })?;
            latencies.push(histogram);
        }
        Ok(Look { status, activity, latencies })
    }
}

fn unreachable(address: &str, error: &Error) -> Failure {
    Failure::environment(format!("{address}: {error}"))
}

impl Look {
    /// What lies between the server's start and this look.
    pub(super) fn since_its_start(&self) -> Between {
        let nothing = |core: &CoreActivity| CoreActivity {
            shard: core.shard,
            cpu: core.cpu,
            ..CoreActivity::default()
        };
        let start = Self {
            status: Status { incarnation: self.status.incarnation, ..Status::default() },
            activity: Activity {
                cores: self.activity.cores.iter().map(nothing).collect(),
                ..Activity::default()
            },
            latencies: Vec::new(),
        };
        self.since(&start).unwrap_or_default()
    }

    /// What lies between an earlier look and this one. None if the server was started again in between.
    pub(super) fn since(&self, before: &Self) -> Option<Between> {
        let (now, then) = (&self.activity, &before.activity);
        let same_start =
            self.status.incarnation == before.status.incarnation || before.status.incarnation == 0;
        if !same_start || now.cores.len() != then.cores.len() {
            return None;
        }
        let seconds = |now: u64, then: u64| (now.checked_sub(then)? > 0).then(|| (now - then) as f64 / 1e9);
        let time = seconds(now.uptime_ns, then.uptime_ns)?;
        let mut all: Option<Histogram<u64>> = None;
        let mut cores = Vec::new();
        for (number, (now, then)) in now.cores.iter().zip(&then.cores).enumerate() {
            let answered = match (self.latencies.get(number), before.latencies.get(number)) {
                (Some(now), then) => Some(subtract(now, then)?),
                _ => None,
            };
            let count = answered.as_ref().map_or(0, Histogram::len);
            cores.push(CoreRow {
                core: now.shard,
                cpu: now.cpu,
                busy: (now.busy_ns.saturating_sub(then.busy_ns) as f64 / 1e9 / time).min(1.0),
                transfers: now.transfers.saturating_sub(then.transfers) as f64 / time,
                requests: count as f64 / time,
                queue: now.under_way,
                p99_ns: answered.as_ref().and_then(p99),
                connections: now.connections,
            });
            match (&mut all, answered) {
                (Some(all), Some(answered)) => all.add(answered).ok()?,
                (all, answered) => *all = all.take().or(answered),
            }
        }
        let status_time = seconds(self.status.uptime_ns, before.status.uptime_ns)?;
        let rate = |field: fn(&Status) -> u64| {
            field(&self.status).saturating_sub(field(&before.status)) as f64 / status_time
        };
        Some(Between {
            cores,
            hottest: hottest(&self.activity),
            created: rate(|status| status.transfers_created),
            refused: rate(|status| status.transfers_refused),
            epochs: rate(|status| status.flushes),
            logged: rate(|status| status.bytes_logged),
            p99_ns: all.as_ref().and_then(p99),
        })
    }
}

/// None if there was more before: then it is another start.
fn subtract(now: &Histogram<u64>, then: Option<&Histogram<u64>>) -> Option<Histogram<u64>> {
    let mut answered = now.clone();
    if let Some(then) = then {
        answered.subtract(then).ok()?;
    }
    Some(answered)
}

fn p99(histogram: &Histogram<u64>) -> Option<u64> {
    (!histogram.is_empty()).then(|| histogram.value_at_quantile(0.99))
}

fn hottest(activity: &Activity) -> Vec<HotRow> {
    let row = |hot: &HotAccount| HotRow {
        account: hot.account,
        core: hot.shard,
        share: hot.hits as f64 / activity.hits.max(1) as f64,
    };
    let mut rows: Vec<HotRow> =
        activity.hottest.iter().map(row).filter(|row| row.share >= SHARE_MIN).collect();
    rows.sort_by(|a, b| b.share.total_cmp(&a.share).then(a.account.cmp(&b.account)));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(uptime_ns: u64, busy_ns: u64, transfers: u64, latencies: &[u64]) -> Look {
        let mut histogram =
            Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("the bounds are good");
        latencies.iter().for_each(|latency| histogram.saturating_record(*latency));
        let core = CoreActivity { busy_ns, transfers, under_way: 3, ..CoreActivity::default() };
        let hot = |account, hits| HotAccount { account, hits, shard: 0 };
        let hottest = vec![hot(5, 1), hot(7, 30), hot(6, 60)];
        Look {
            status: Status { incarnation: 1, uptime_ns, transfers_created: transfers, ..Status::default() },
            activity: Activity { uptime_ns, cores: vec![core], hottest, hits: 200 },
            latencies: vec![histogram],
        }
    }

    #[test]
    fn rates_are_of_the_time_between() {
        let before = look(1_000_000_000, 500_000_000, 100, &[9_000_000]);
        let after = look(3_000_000_000, 1_500_000_000, 300, &[9_000_000, 1_000_000, 1_000_000]);
        let between = after.since(&before).expect("it is the same server");
        let [core] = &between.cores[..] else { panic!("{between:?}") };
        assert_eq!((core.busy, core.transfers, core.requests, core.queue), (0.5, 100.0, 1.0, 3));
        let p99 = core.p99_ns.expect("requests were answered");
        assert!((999_000..1_001_500).contains(&p99), "what was before is taken out: {p99}");
        assert_eq!((between.created, between.p99_ns), (100.0, core.p99_ns));
        let hottest: Vec<(u128, f64)> = between.hottest.iter().map(|hot| (hot.account, hot.share)).collect();
        assert_eq!(hottest, [(6, 0.3), (7, 0.15)], "what has half a percent doesn't stand out");
    }

    #[test]
    fn nothing_lies_between_two_servers() {
        let before = look(3_000_000_000, 500_000_000, 100, &[9_000_000]);
        assert!(look(1_000_000_000, 1, 1, &[]).since(&before).is_none(), "it runs for a shorter time");
        let other =
            Look { status: Status { incarnation: 2, ..Status::default() }, ..look(4_000_000_000, 1, 1, &[]) };
        assert!(other.since(&before).is_none(), "it was started again");
        assert!(look(4_000_000_000, 1, 1, &[]).since(&before).is_none(), "it has answered less");
        let quiet = look(4_000_000_000, 500_000_000, 100, &[9_000_000])
            .since(&before)
            .expect("it is the same server");
        assert_eq!((quiet.cores[0].p99_ns, quiet.cores[0].busy), (None, 0.0));
    }
}
