//! The page and the list of its metrics: what is written for given figures, to the byte where that matters, and what is documented.

use super::figures::{Figures, Held, Where, event_place, fault_place};
use super::list::METRICS;
use super::machine::{CoreTimes, Process, Spent};
use super::page::{Kind, Snapshot, Whole, write};
use auriga_wire::report::Status;
use auriga_wire::{AccountCode, FaultCode, TransferCode};
use bytemuck::Zeroable;
use std::collections::HashSet;

fn core(cpu: u32) -> CoreTimes {
    let second = 1_000_000_000;
    let spent = Spent { busy: 3 * second / 2, spin: second / 4, wait: 0, idle: 60 * second };
    let mut core = CoreTimes::new(cpu);
    (core.spent, core.steal) = (Some(spent), Some(second / 100));
    core
}

/// Figures of two shards that tell all numbers apart.
fn figures() -> [Figures; 2] {
    let mut one = Figures::zeroed();
    (one.incarnation, one.epoch, one.epoch_time_ns, one.ids_from_ms) = (3, 90, 5_000_000_000, 1_500);
    (one.transfers_created, one.accounts, one.epochs) = (1 << 60, 41, 92);
    one.transfers_refused[event_place(TransferCode::IdExpired.number())] = 17;
    one.accounts_refused[event_place(AccountCode::Exists.number())] = 18;
    one.faults[fault_place(FaultCode::LogFull.number())] = 19;
    one.stalls[Where::Route as usize] = 2;
    one.stalls_ns[Where::Route as usize] = 30_000_001;
    one.held_ns[Held::Room as usize] = 2_500_000_000;
    (one.chunks, one.chunks_free, one.is_full) = (132, 100, 1);
    one.flushes[0] = 5;
    one.flushes[2] = 3;
    one.flushes[12] = 1;
    one.flushes[13] = 12_000_123_000;
    let other = Figures { epoch: 91, epoch_time_ns: 6_000_000_000, is_full: 0, ..one };
    [one, other]
}

fn page(whole: Whole, figures: &[Figures]) -> String {
    let cores: Vec<_> = (0..figures.len()).map(|shard| core(shard as u32 + 4)).collect();
    let process = Process { resident: Some(123_456_789), ..Process::default() };
    let mut page = String::new();
    write(&Snapshot { whole, figures: figures.to_vec(), cores: &cores, process }, &mut page);
    page
}

fn whole() -> Whole {
    let status = Status { version: "1.2.3".into(), closed: vec![("stalled".into(), 6)], ..Status::default() };
    Whole { connections: vec![4, 5], window_ns: 86_400_000_000_000, status, ..Whole::default() }
}

#[test]
fn figures_are_written_as_prometheus_reads_them() {
    let page = page(whole(), &figures());
    let expected = [
        "# HELP auriga_build_info Always 1; the label says which version runs.\n# TYPE auriga_build_info gauge\n\
         auriga_build_info{version=\"1.2.3\"} 1\n",
        "# TYPE auriga_serving gauge\nauriga_serving 1\n",
        "# TYPE auriga_transfers_total counter\nauriga_transfers_total{shard=\"0\",result=\"created\"} 1152921504606846976\n",
        "\nauriga_transfers_total{shard=\"1\",result=\"id_expired\"} 17\n",
        "\nauriga_account_creations_total{shard=\"0\",result=\"exists\"} 18\n",
        "\nauriga_requests_refused_total{shard=\"0\",reason=\"log_full\"} 19\n",
        "\nauriga_epoch 91\n",
        "\nauriga_epochs_total 184\n",
        "\nauriga_accounts{shard=\"0\"} 41\nauriga_accounts{shard=\"1\"} 41\n",
        "\nauriga_id_window_seconds 86400\n",
        "\nauriga_id_horizon_seconds 4.5\n",
        "\nauriga_log_full 1\n",
        "# TYPE auriga_flush_seconds histogram\n\
         auriga_flush_seconds_bucket{shard=\"0\",le=\"0.00003\"} 5\n\
         auriga_flush_seconds_bucket{shard=\"0\",le=\"0.0001\"} 5\n\
         auriga_flush_seconds_bucket{shard=\"0\",le=\"0.0003\"} 8\n",
        "\nauriga_flush_seconds_bucket{shard=\"0\",le=\"10\"} 8\n\
         auriga_flush_seconds_bucket{shard=\"0\",le=\"+Inf\"} 9\n\
         auriga_flush_seconds_sum{shard=\"0\"} 12.000123\n\
         auriga_flush_seconds_count{shard=\"0\"} 9\n",
        "\nauriga_core_seconds_total{shard=\"1\",cpu=\"5\",mode=\"busy\"} 1.5\n",
        "\nauriga_core_steal_seconds_total{shard=\"0\",cpu=\"4\"} 0.01\n",
        "\nauriga_stalls_total{shard=\"0\",where=\"route\"} 2\n",
        "\nauriga_stall_seconds_total{shard=\"0\",where=\"route\"} 0.030000001\n",
        "\nauriga_pool_chunks{shard=\"0\",state=\"used\"} 32\nauriga_pool_chunks{shard=\"0\",state=\"free\"} 100\n",
        "\nauriga_back_pressure_seconds_total{shard=\"0\",reason=\"room\"} 2.5\n",
        "\nauriga_connections{shard=\"1\"} 5\n",
        "\nauriga_connections_closed_total{reason=\"stalled\"} 6\n",
        "\nauriga_connections_closed_total{reason=\"silent\"} 0\n",
        "\nprocess_resident_memory_bytes 123456789\n",
    ];
    for lines in expected {
        assert!(page.contains(lines), "{lines}is missing in\n{page}");
    }
    // What is not known is left out as a whole.
    for name in ["auriga_checkpoint_age_seconds", "auriga_history_lag_epochs", "process_cpu_seconds_total"] {
        assert!(!page.contains(name), "{name}");
    }
}

#[test]
fn what_is_not_there_yet_is_not_made_up() {
    let mut status = whole().status;
    (status.checkpoint_epoch, status.checkpoint_age_ns, status.checkpoint_bytes) = (7, 1_250_000_000, 8);
    (status.history_epoch, status.history_time_ns) = (Some(88), 5_500_000_000);
    let behind = page(Whole { status: status.clone(), ..whole() }, &figures());
    for line in [
        "\nauriga_checkpoint_age_seconds 1.25\n",
        "\nauriga_checkpoint_size_bytes 8\n",
        "\nauriga_history_lag_epochs 3\n",
        "\nauriga_history_lag_seconds 0.5\n",
    ] {
        assert!(behind.contains(line), "{line}is missing in\n{behind}");
    }
    status.history_epoch = Some(91);
    let complete = page(Whole { status, ..whole() }, &figures());
    assert!(complete.contains("\nauriga_history_lag_seconds 0\n"), "{complete}");
    let replaying = page(whole(), &[Figures::zeroed(), figures()[0]]);
    assert!(replaying.contains("\nauriga_serving 0\n"), "one shard still replays:\n{replaying}");
    let any = page(whole(), &[Figures::zeroed()]);
    assert!(!any.contains("auriga_id_horizon_seconds"), "no id is forgotten:\n{any}");
}

#[test]
fn every_metric_keeps_the_conventions() {
    let mut names = HashSet::new();
    for metric in METRICS {
        let (name, help) = (metric.name, metric.help);
        assert!(names.insert(name), "{name} is there twice");
        assert!(name.starts_with("auriga_") || name.starts_with("process_"), "{name}");
        assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
        assert!(metric.kind != Kind::Histogram || name.ends_with("_seconds"), "{name}");
        assert!(help.ends_with('.') && !help.contains(['\n', '\\', '"', '|']), "{name}: {help}");
    }
}

/// The rows of the list in `docs/monitoring/README.md`.
fn documentation() -> String {
    let mut rows = String::from("| metric | type | labels | what it says |\n| --- | --- | --- | --- |\n");
    for metric in METRICS {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let row = [&format!("`{}`", metric.name), metric.kind.name(), &labels.join(", "), metric.help];
        rows.push_str(&format!("| {} |\n", row.join(" | ")).replace("|  |", "| |"));
    }
    rows
}

#[test]
fn the_documented_list_is_the_list() {
    let readme = include_str!("../../docs/monitoring/README.md");
    let list = readme.split("which a test holds -->\n").nth(1).and_then(|rest| rest.split("<!-- ").next());
    let expected = documentation();
    assert!(
        list == Some(&expected),
        "docs/monitoring/README.md has another list of metrics than src/monitor/list.rs. Put this in its place:\n\n{expected}"
    );
}
