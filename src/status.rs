//! `auriga status`: asks a running server.

use crate::cli::{StatusArguments, print_json};
use crate::failure::{Failure, Outcome};
use crate::output::say;
use auriga_wire::client::Client;
use auriga_wire::error::Options;
use auriga_wire::report::Status;

/// Asks and prints.
pub(crate) fn run(asked: &StatusArguments) -> Outcome<()> {
    let unreachable = |e: auriga_wire::error::Error| Failure::environment(format!("{}: {e}", asked.address));
    let mut client = Client::connect(&asked.address, Options::default()).map_err(unreachable)?;
    let status = client.status(asked.digest).map_err(unreachable)?;
    if asked.json {
        return print_json(&as_json(&status));
    }
    let rows = [
        ("state", state(&status)),
        ("version", status.version.clone()),
        ("cluster", status.cluster.to_string()),
        ("start number", status.incarnation.to_string()),
        ("ids", status.id_mode.clone()),
        ("shards", status.shards.to_string()),
        ("up for", format!("{:.1} s", status.uptime_ns as f64 / 1e9)),
        ("epoch", status.epoch.to_string()),
        ("accounts", format!("{} of {}", status.accounts, status.accounts_max)),
        ("transfer ids", format!("{} of {}", status.ids, status.ids_max)),
        ("ids kept for", format!("{} s", status.window_ns / 1_000_000_000)),
        ("ids kept from", format!("{} ms since 1970", status.ids_from_ms)),
        ("pending", format!("{} of {}", status.pendings, status.pendings_max)),
        ("created", status.transfers_created.to_string()),
        ("refused", status.transfers_refused.to_string()),
        ("logged", format!("{} bytes in {} flushes", status.bytes_logged, status.flushes)),
        ("log files", format!("{} of {} bytes", status.log_bytes, status.log_bytes_max)),
        ("log begins", format!("with epoch {}", status.log_from)),
        ("checkpoint", checkpoint(&status)),
        ("history", history(&status)),
        ("connections", status.connections.to_string()),
    ];
    for (name, value) in rows {
        say!("{name:<14} {value}");
    }
    for (reason, count) in &status.closed {
        say!("{:<14} {count}", format!("closed: {reason}"));
    }
    if let Some(digest) = status.digest {
        say!("{:<14} {digest:032x}", "digest");
    }
    Ok(())
}

pub(crate) fn state(Status { state, epoch, log_end, .. }: &Status) -> String {
    match state.as_str() {
        "replaying" => format!("replaying the log: epoch {epoch} of {log_end}"),
        state => state.into(),
    }
}

fn checkpoint(status: &Status) -> String {
    let Status { checkpoint_epoch: epoch, checkpoint_bytes: bytes, checkpoint_age_ns: age, .. } = status;
    if *epoch == 0 {
        return "none since the start".into();
    }
    format!("after epoch {epoch}, {bytes} bytes, {:.1} s ago", *age as f64 / 1e9)
}

/// How far history is behind. An epoch without events may be newer than the newest with some.
pub(crate) fn history(status: &Status) -> String {
    match status.history_epoch {
        None => "off".into(),
        Some(epoch) if epoch >= status.epoch => "complete".into(),
        Some(epoch) => {
            let seconds = status.time_ns.saturating_sub(status.history_time_ns) as f64 / 1e9;
            format!("behind by {} epochs, {seconds:.3} s", status.epoch - epoch)
        }
    }
}

fn as_json(status: &Status) -> serde_json::Value {
    serde_json::json!({
        "state": status.state,
        "log_end": status.log_end,
        "version": status.version,
        "cluster": status.cluster,
        "incarnation": status.incarnation,
        "id_mode": status.id_mode,
        "shards": status.shards,
        "uptime_ns": status.uptime_ns,
        "epoch": status.epoch,
        "time_ns": status.time_ns,
        "accounts": status.accounts,
        "accounts_max": status.accounts_max,
        "ids": status.ids,
        "ids_max": status.ids_max,
        "window_ns": status.window_ns,
        "ids_from_ms": status.ids_from_ms,
        "settings": status.settings.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "pendings": status.pendings,
        "pendings_max": status.pendings_max,
        "transfers_created": status.transfers_created,
        "transfers_refused": status.transfers_refused,
        "bytes_logged": status.bytes_logged,
        "log_bytes": status.log_bytes,
        "log_bytes_max": status.log_bytes_max,
        "log_from": status.log_from,
        "checkpoint_epoch": status.checkpoint_epoch,
        "checkpoint_bytes": status.checkpoint_bytes,
        "checkpoint_age_ns": status.checkpoint_age_ns,
        "flushes": status.flushes,
        "history_epoch": status.history_epoch,
        "history_time_ns": status.history_time_ns,
        "connections": status.connections,
        "closed": status.closed.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        "digest": status.digest.map(|digest| format!("{digest:032x}")),
    })
}
