//! Every metric: its name, what it is, what it says and where it comes from. The list in `docs/monitoring/README.md` is made of this one,
//! which a test holds.

use super::figures::{Figures, Held, Where, event_place, fault_place};
use super::page::{Kind, Metric, Samples, Snapshot, seconds};
use crate::connection::Closed;
use auriga_shards::place::ShardId;
use auriga_wire::{AccountCode, FaultCode, TransferCode};

use Kind::{Counter, Gauge, Histogram};

const SHARD: &[&str] = &["shard"];
const NONE: &[&str] = &[];

const fn metric(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&Snapshot<'_>, &mut Samples<'_>),
) -> Metric {
    Metric { name, kind, labels, help, samples }
}

/// A sample for each shard.
fn each(snapshot: &Snapshot<'_>, out: &mut Samples<'_>, value: impl Fn(&Figures) -> u64) {
    for (shard, figures) in snapshot.figures.iter().enumerate() {
        out.add(&[&shard], value(figures));
    }
}

/// Two samples for each shard: of what there is, what is used and what is free.
fn pool(snapshot: &Snapshot<'_>, out: &mut Samples<'_>, value: impl Fn(&Figures) -> (u64, u64)) {
    for (shard, figures) in snapshot.figures.iter().enumerate() {
        let (all, free) = value(figures);
        out.add(&[&shard, &"used"], all.saturating_sub(free));
        out.add(&[&shard, &"free"], free);
    }
}

/// Samples for each shard and code, those that never occurred included: a rate needs the zero before the first.
fn results(
    snapshot: &Snapshot<'_>,
    out: &mut Samples<'_>,
    created: impl Fn(&Figures) -> u64,
    refused: impl Fn(&Figures) -> &[u64],
    codes: &[(u32, &'static str)],
) {
    for (shard, figures) in snapshot.figures.iter().enumerate() {
        out.add(&[&shard, &"created"], created(figures));
        for (number, name) in codes {
            out.add(&[&shard, name], refused(figures)[event_place(*number)]);
        }
    }
}

fn stalls(snapshot: &Snapshot<'_>, mut add: impl FnMut(ShardId, &Figures, Where)) {
    for (shard, figures) in snapshot.figures.iter().enumerate() {
        Where::ALL.iter().for_each(|place| add(ShardId(shard as u16), figures, *place));
    }
}

/// Every metric, in the order of the page.
pub const METRICS: &[Metric] = &[
    metric(
        "auriga_build_info",
        Gauge,
        &["version"],
        "Always 1; the label says which version runs.",
        |s, out| {
            out.add(&[&s.whole.status.version], 1);
        },
    ),
    metric(
        "auriga_serving",
        Gauge,
        NONE,
        "1 if requests are served, 0 while the log is replayed.",
        |s, out| {
            out.one(u64::from(s.figures.iter().all(|shard| shard.incarnation > 0)));
        },
    ),
    metric(
        "auriga_start_number",
        Gauge,
        NONE,
        "How many times the data directory was started; 0 while the log is replayed.",
        |s, out| {
            out.one(s.figures.iter().map(|shard| shard.incarnation).max().unwrap_or(0));
        },
    ),
    // What is done.
    metric(
        "auriga_transfers_total",
        Counter,
        &["shard", "result"],
        "Transfers by result: created, or the code of the refusal.",
        |s, out| {
            let codes: Vec<_> = TransferCode::ALL.iter().map(|code| (code.number(), code.name())).collect();
            results(s, out, |shard| shard.transfers_created, |shard| &shard.transfers_refused, &codes);
        },
    ),
    metric(
        "auriga_account_creations_total",
        Counter,
        &["shard", "result"],
        "Accounts that were to be created by result: created, or the code of the refusal.",
        |s, out| {
            let codes: Vec<_> = AccountCode::ALL.iter().map(|code| (code.number(), code.name())).collect();
            results(s, out, |shard| shard.accounts_created, |shard| &shard.accounts_refused, &codes);
        },
    ),
    metric(
        "auriga_requests_refused_total",
        Counter,
        &["shard", "reason"],
        "Requests that were refused as a whole, by reason.",
        |s, out| {
            for (shard, figures) in s.figures.iter().enumerate() {
                for code in FaultCode::ALL {
                    out.add(&[&shard, &code.name()], figures.faults[fault_place(code.number())]);
                }
            }
        },
    ),
    metric("auriga_epoch", Gauge, NONE, "The newest executed epoch in which anything happened.", |s, out| {
        out.one(s.newest().0);
    }),
    metric("auriga_epochs_total", Counter, NONE, "Epochs whose cut was written.", |s, out| {
        out.one(s.figures.iter().map(|shard| shard.epochs).sum::<u64>());
    }),
    metric(
        "auriga_replay_end_epoch",
        Gauge,
        NONE,
        "The newest epoch that the log had at the start: auriga_epoch gets there while it is replayed.",
        |s, out| {
            out.one(s.whole.status.log_end);
        },
    ),
    // What is held, and its bounds.
    metric("auriga_accounts", Gauge, SHARD, "Accounts.", |s, out| each(s, out, |shard| shard.accounts)),
    metric(
        "auriga_accounts_limit",
        Gauge,
        NONE,
        "Bound on accounts, all shards (--accounts-max).",
        |s, out| out.one(s.whole.accounts_max),
    ),
    metric("auriga_transfer_ids", Gauge, SHARD, "Transfer ids that are remembered.", |s, out| {
        each(s, out, |shard| shard.ids);
    }),
    metric(
        "auriga_transfer_ids_limit",
        Gauge,
        NONE,
        "Bound on remembered transfer ids, all shards (--ids-max).",
        |s, out| out.one(s.whole.ids_max),
    ),
    metric("auriga_pending_transfers", Gauge, SHARD, "Pending transfers.", |s, out| {
        each(s, out, |shard| shard.pendings);
    }),
    metric(
        "auriga_pending_transfers_limit",
        Gauge,
        NONE,
        "Bound on pending transfers, all shards (--pendings-max).",
        |s, out| {
            out.one(s.whole.pendings_max);
        },
    ),
    metric(
        "auriga_id_window_seconds",
        Gauge,
        NONE,
        "How long time-ordered ids are to be remembered (--window).",
        |s, out| {
            out.one(seconds(s.whole.window_ns));
        },
    ),
    metric(
        "auriga_id_horizon_seconds",
        Gauge,
        NONE,
        "How far the id horizon lies behind the ledger's time: older ids are forgotten. None if ids are never forgotten.",
        |s, out| {
            let from_ms =
                s.figures.iter().map(|shard| shard.ids_from_ms).max().filter(|from_ms| *from_ms > 0);
            out.known(from_ms.map(|from_ms| seconds(s.newest().1.saturating_sub(from_ms * 1_000_000))));
        },
    ),
    // The log.
    metric(
        "auriga_log_written_bytes_total",
        Counter,
        SHARD,
        "Bytes of blocks and cuts written.",
        |s, out| each(s, out, |shard| shard.bytes_logged),
    ),
    metric(
        "auriga_log_size_bytes",
        Gauge,
        NONE,
        "Bytes of the log's files, prepared room included.",
        |s, out| out.one(s.whole.status.log_bytes),
    ),
    metric("auriga_log_limit_bytes", Gauge, NONE, "Bound on the log's files (--log-max).", |s, out| {
        out.one(s.whole.status.log_bytes_max);
    }),
    metric("auriga_log_first_epoch", Gauge, NONE, "The first epoch that the log still has.", |s, out| {
        out.one(s.whole.status.log_from);
    }),
    metric(
        "auriga_log_full",
        Gauge,
        NONE,
        "1 if new batches are refused because the disk or the log's bound is full.",
        |s, out| {
            out.one(s.figures.iter().map(|shard| shard.is_full).max().unwrap_or(0));
        },
    ),
    // How long it takes.
    metric(
        "auriga_flush_seconds",
        Histogram,
        SHARD,
        "Durable writes of blocks and cuts, from the wish to the end.",
        |s, out| {
            s.figures
                .iter()
                .enumerate()
                .for_each(|(shard, figures)| out.durations(&[&shard], &figures.flushes));
        },
    ),
    metric(
        "auriga_commit_seconds",
        Histogram,
        SHARD,
        "Requests, from the closing of their epoch to its commit.",
        |s, out| {
            s.figures
                .iter()
                .enumerate()
                .for_each(|(shard, figures)| out.durations(&[&shard], &figures.commits));
        },
    ),
    metric(
        "auriga_request_seconds",
        Histogram,
        SHARD,
        "Requests that create, from their arrival to their reply.",
        |s, out| {
            s.figures
                .iter()
                .enumerate()
                .for_each(|(shard, figures)| out.durations(&[&shard], &figures.requests));
        },
    ),
    // The cores.
    metric(
        "auriga_core_seconds_total",
        Counter,
        &["shard", "cpu", "mode"],
        "What became of a core's time: busy; spin, looking for work; wait, while other threads had its CPU; idle, parked.",
        |s, out| {
            for (shard, core) in s.cores.iter().enumerate() {
                let Some(spent) = core.spent else { continue };
                for (mode, ns) in
                    [("busy", spent.busy), ("spin", spent.spin), ("wait", spent.wait), ("idle", spent.idle)]
                {
                    out.add(&[&shard, &core.cpu, &mode], seconds(ns));
                }
            }
        },
    ),
    metric(
        "auriga_core_steal_seconds_total",
        Counter,
        &["shard", "cpu"],
        "What a hypervisor has taken of the core's CPU, since the first scrape.",
        |s, out| {
            for (shard, core) in s.cores.iter().enumerate() {
                core.steal.into_iter().for_each(|steal| out.add(&[&shard, &core.cpu], seconds(steal)));
            }
        },
    ),
    metric(
        "auriga_stalls_total",
        Counter,
        &["shard", "where"],
        "Times at which a core did one thing for more than 10 ms, by what that was.",
        |s, out| {
            stalls(s, |shard, figures, place| {
                out.add(&[&shard, &place.name()], figures.stalls[place as usize]);
            });
        },
    ),
    metric("auriga_stall_seconds_total", Counter, &["shard", "where"], "Their time.", |s, out| {
        stalls(s, |shard, figures, place| {
            out.add(&[&shard, &place.name()], seconds(figures.stalls_ns[place as usize]));
        });
    }),
    // Queues and pools.
    metric(
        "auriga_ring_messages",
        Gauge,
        &["shard", "lane"],
        "Messages that wait in the rings from other shards.",
        |s, out| {
            for (shard, figures) in s.figures.iter().enumerate() {
                out.add(&[&shard, &"route"], figures.route);
                out.add(&[&shard, &"control"], figures.control);
            }
        },
    ),
    metric(
        "auriga_pool_chunks",
        Gauge,
        &["shard", "state"],
        "Chunks of messages that the shard has made.",
        |s, out| {
            pool(s, out, |shard| (shard.chunks, shard.chunks_free));
        },
    ),
    metric(
        "auriga_block_buffers",
        Gauge,
        &["shard", "state"],
        "Buffers for blocks of requests.",
        |s, out| {
            pool(s, out, |shard| (shard.blocks, shard.blocks_free));
        },
    ),
    metric(
        "auriga_request_buffers",
        Gauge,
        &["shard", "state"],
        "Buffers for large requests that were made.",
        |s, out| {
            pool(s, out, |shard| (shard.buffers, shard.buffers_free));
        },
    ),
    metric(
        "auriga_request_buffers_limit",
        Gauge,
        NONE,
        "Bound on buffers for large requests, each shard (--requests-max).",
        |s, out| {
            out.one(s.whole.buffers_max);
        },
    ),
    metric("auriga_unsent_bytes", Gauge, SHARD, "Bytes of replies that clients have not taken.", |s, out| {
        each(s, out, |shard| shard.unsent);
    }),
    metric(
        "auriga_unsent_limit_bytes",
        Gauge,
        NONE,
        "Bound on them from which look-ups wait, each shard (--replies-max).",
        |s, out| out.one(s.whole.unsent_max),
    ),
    metric(
        "auriga_back_pressure_seconds_total",
        Counter,
        &["shard", "reason"],
        "Time in which sockets were not read because of a bound, the sum over connections.",
        |s, out| {
            for (shard, figures) in s.figures.iter().enumerate() {
                for held in Held::ALL {
                    out.add(&[&shard, &held.name()], seconds(figures.held_ns[*held as usize]));
                }
            }
        },
    ),
    metric("auriga_connections", Gauge, SHARD, "Open connections.", |s, out| {
        s.whole.connections.iter().enumerate().for_each(|(shard, open)| out.add(&[&shard], *open));
    }),
    metric(
        "auriga_connections_limit",
        Gauge,
        NONE,
        "Bound on connections, all shards (--connections-max).",
        |s, out| out.one(s.whole.connections_max),
    ),
    metric(
        "auriga_connections_closed_total",
        Counter,
        &["reason"],
        "Closed connections by reason.",
        |s, out| {
            for name in Closed::names() {
                let count = s
                    .whole
                    .status
                    .closed
                    .iter()
                    .find(|(reason, _)| reason == name)
                    .map_or(0, |(_, count)| *count);
                out.add(&[&name], count);
            }
        },
    ),
    // Checkpoints and history.
    metric(
        "auriga_checkpoint_epoch",
        Gauge,
        NONE,
        "The newest checkpoint of this start shows the state after this epoch; 0 if none was taken.",
        |s, out| {
            out.one(s.whole.status.checkpoint_epoch);
        },
    ),
    metric(
        "auriga_checkpoint_age_seconds",
        Gauge,
        NONE,
        "Time since it was taken. None if none was taken since the start.",
        |s, out| {
            let status = &s.whole.status;
            out.known((status.checkpoint_epoch > 0).then(|| seconds(status.checkpoint_age_ns)));
        },
    ),
    metric(
        "auriga_checkpoint_size_bytes",
        Gauge,
        NONE,
        "Its size. None if none was taken since the start.",
        |s, out| {
            let status = &s.whole.status;
            out.known((status.checkpoint_epoch > 0).then_some(status.checkpoint_bytes));
        },
    ),
    metric(
        "auriga_checkpoint_interval_bytes",
        Gauge,
        NONE,
        "Bytes by which the log grows from one checkpoint to the next: --checkpoint-every, or twice the newest one's size if that is more, at most a quarter of --log-max; 0 if none are taken.",
        |s, out| {
            let policy = s.whole.checkpoints;
            out.one(if policy.every == 0 { 0 } else { policy.interval(s.whole.status.checkpoint_bytes) });
        },
    ),
    metric(
        "auriga_checkpoint_failures_total",
        Counter,
        NONE,
        "Checkpoints that could not be taken; each is tried again.",
        |s, out| {
            out.one(s.figures.iter().map(|shard| shard.checkpoint_failures).sum::<u64>());
        },
    ),
    metric(
        "auriga_history_epoch",
        Gauge,
        NONE,
        "Questions about the past see every epoch up to this one. None without history.",
        |s, out| {
            out.known(s.whole.status.history_epoch);
        },
    ),
    metric(
        "auriga_history_lag_epochs",
        Gauge,
        NONE,
        "Executed epochs that history lacks. None without history.",
        |s, out| {
            out.known(s.whole.status.history_epoch.map(|epoch| s.newest().0.saturating_sub(epoch)));
        },
    ),
    metric(
        "auriga_history_lag_seconds",
        Gauge,
        NONE,
        "How far the last event in history is behind the newest one. None without history.",
        |s, out| {
            let behind = s.newest().1.saturating_sub(s.whole.status.history_time_ns);
            let lags = |epoch| epoch < s.newest().0;
            out.known(
                s.whole.status.history_epoch.map(|epoch| if lags(epoch) { seconds(behind) } else { 0.0 }),
            );
        },
    ),
    metric(
        "auriga_history_untold_bytes",
        Gauge,
        SHARD,
        "What history has not taken of what it has to be told.",
        |s, out| each(s, out, |shard| shard.untold),
    ),
    // The process, by the names that every exporter uses.
    metric("process_cpu_seconds_total", Counter, NONE, "CPU time of all threads.", |s, out| {
        out.known(s.process.cpu_seconds);
    }),
    metric("process_resident_memory_bytes", Gauge, NONE, "Memory that is in RAM.", |s, out| {
        out.known(s.process.resident);
    }),
    metric("process_virtual_memory_bytes", Gauge, NONE, "Address space.", |s, out| {
        out.known(s.process.virtual_memory);
    }),
    metric("process_open_fds", Gauge, NONE, "Open file descriptors.", |s, out| {
        out.known(s.process.open_files);
    }),
    metric("process_max_fds", Gauge, NONE, "Bound on them.", |s, out| out.known(s.process.open_files_max)),
    metric(
        "process_start_time_seconds",
        Gauge,
        NONE,
        "When the process was started, since the Unix epoch.",
        |s, out| out.known(s.process.started),
    ),
];
