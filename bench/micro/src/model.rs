//! What more cores and sockets would do, computed from what the steps cost here: the arithmetic of `bench/model`.
//!
//! Of every resource it is computed how long it is busy with an epoch of the largest size under full load; the one that is busy longest
//! gives the pace, because an epoch is executed while the next one is flushed. What stands in one sum can't overlap. Pure: it knows
//! [`Steps`], [`Assumed`] and the engine's own limits, and measures nothing.

pub mod check;
mod report;

use crate::steps::Steps;
use auriga_shards::execute::message::{Leg, Message, Note};
use auriga_shards::limits::{
    CHUNK_SIZE, CONTROL_RING_SLOTS, EPOCH_UNITS_MAX, IDS_KEPT_NS, Limits, ROUTE_RING_SLOTS, UNIT_SIZE,
    block_units,
};
pub use report::{json, table};
use serde::{Deserialize, Serialize};

/// Units of a block beside the transfers: its own header and that of a request.
const HEADERS: f64 = 2.0;
/// Markers that a shard sends to each other one in an epoch: start, routed, voted.
const MARKERS: f64 = 3.0;
/// Messages between the pacer and each other shard: close, cut and commit; sealed, executed, and the cut's chunk on its way home.
const PACER_MESSAGES: f64 = 6.0;
/// And for each block: its entry, the entry's chunk on its way home, and that it is durable.
const BLOCK_MESSAGES: f64 = 3.0;
/// Times that an epoch's execution waits for what is under way between shards: legs, then votes.
const EXECUTION_HOPS: f64 = 2.0;
/// Times that a flush does so: close, sealed, durable.
const FLUSH_HOPS: f64 = 3.0;
/// Cache lines that a message moves from core to core: its slot, and the ring's end.
const MESSAGE_LINES: f64 = 2.0;
/// Bytes of zeros that the keeper writes at once, one write after the other: in the server's `keeper`.
const ZEROS: f64 = (1 << 20) as f64;
/// Bytes of a cache line.
const LINE_SIZE: f64 = 64.0;
/// Bytes of memory that are read or written for a transfer if no cache holds anything: the record from the network and through socket,
/// frame, block, disk and route (8 times); two legs and a note, written and read; of two accounts and an id an index line and the
/// record's own, read and written back.
const MEMORY_BYTES: f64 = 8.0 * UNIT_SIZE as f64 + 2.0 * MESSAGE_BYTES + 3.0 * 2.0 * 2.0 * LINE_SIZE;
/// Bytes of a transfer's messages.
const MESSAGE_BYTES: f64 = (2 * size_of::<Leg>() + size_of::<Note>()) as f64;

/// What this machine can't tell: nothing of it was measured, but for the first value of `flush_ns`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assumed {
    /// A core's pace, in parts of one of this machine's.
    pub core_pace: f64,
    /// Nanoseconds that a cache line takes longer from a core of the same socket than from this machine's other one.
    pub line_near_ns: f64,
    /// The same from a core of another socket.
    pub line_far_ns: f64,
    /// Nanoseconds between two looks of a waiting core at its rings, without the looks.
    pub turn_ns: f64,
    /// Nanoseconds until a durable write of one sector is done.
    pub flush_ns: f64,
    /// Nanoseconds until a write that need not be durable is done, without the time of its bytes.
    pub write_ns: f64,
    /// Bytes a second that one disk writes durably.
    pub disk_bytes: f64,
    /// Disks of the log, for each socket.
    pub disks: f64,
    /// Times that the disks write a byte of the log. Once: segments are used again, as many as a checkpoint frees. Twice before the first
    /// of them is free: with zeros when its segment is made, and as what it is.
    pub log_writes: f64,
    /// Bytes a second that a socket reads and writes of its memory.
    pub memory_bytes: f64,
    /// Bytes a second that come in over the network, in all.
    pub network_bytes: f64,
    /// Transfer ids that the ledger may hold: `--ids-max`.
    pub ids_max: f64,
    /// Flushes under way at a time. The engine has one.
    pub flushes: f64,
}

impl Assumed {
    /// The engine as it is, and a flush that takes as long as that of a cut here.
    pub fn new(steps: &Steps) -> Self {
        Self {
            core_pace: 1.0,
            line_near_ns: 50.0,
            line_far_ns: 150.0,
            turn_ns: 1_000.0,
            flush_ns: steps.cut_write,
            write_ns: 30_000.0,
            disk_bytes: 4e9,
            disks: 1.0,
            log_writes: 1.0,
            memory_bytes: 2e11,
            network_bytes: 12.5e9,
            ids_max: Limits::default().ids_max as f64,
            flushes: 1.0,
        }
    }

    /// With another value of one, as `NAME=VALUE`. `Err` says what is wrong.
    pub fn with(self, assumption: &str) -> Result<Self, String> {
        let wrong = || format!("--assume {assumption}: expected NAME=VALUE, the value a number above 0");
        let (name, value) = assumption.split_once('=').ok_or_else(wrong)?;
        let value: f64 =
            value.parse().ok().filter(|value: &f64| value.is_finite() && *value > 0.0).ok_or_else(wrong)?;
        let mut all = serde_json::to_value(self).expect("fields are numbers");
        all[name] = value.into();
        serde_json::from_value(all).map_err(|error| format!("--assume {assumption}: {error}"))
    }
}

/// What an execution costs in nanoseconds or in instructions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// For a transfer, wherever it goes.
    pub transfer: f64,
    /// For a shard, by the units of the epoch: what it takes to begin a full one.
    pub begin: f64,
    /// For a shard, whatever the epoch holds.
    pub shard: f64,
    /// For a shard and each other one: markers, chunks that are hardly filled, and looks at the rings.
    pub pair: f64,
}

impl Costs {
    /// From the stages of two shards, and what epochs of so many transfers take on so many shards: two of them, the fewer shards first.
    pub fn new(transfer: f64, begin: f64, few: [(u16, u64, f64); 2]) -> Self {
        let fixed = few.map(|(shards, transfers, whole)| {
            let shards = f64::from(shards);
            let (transfers, full) = (transfers as f64, EPOCH_UNITS_MAX as f64);
            (shards, (whole - transfers * transfer) / shards - begin * transfers / full)
        });
        let [(fewer, of_fewer), (more, of_more)] = fixed;
        let pair = ((of_more - of_fewer) / (more - fewer)).max(0.0);
        Self { transfer, begin, shard: (of_fewer - (fewer - 1.0) * pair).max(0.0), pair }
    }

    /// For a transfer of an epoch of so many, all shards together. On one shard there are no messages.
    pub fn of_transfer(&self, shards: u16, transfers: u64) -> f64 {
        let shards = f64::from(shards);
        // The first shard's beginning is in the route stage.
        let of_shards =
            (shards - 1.0) * self.begin + shards * self.shard + shards * (shards - 1.0) * self.pair;
        self.transfer + of_shards / transfers as f64
    }
}

impl Steps {
    /// What an execution on more than one shard costs, nanoseconds.
    pub fn execution(&self) -> Costs {
        Costs { transfer: self.stages(), begin: self.begin, shard: 0.0, pair: self.pair }
    }

    /// For an epoch: the pacer's work, between the measured numbers of shards in proportion.
    fn pacer(&self, shards: f64) -> f64 {
        let measured =
            [(1.0, self.pacer_1), (16.0, self.pacer_16), (64.0, self.pacer_64), (128.0, self.pacer_128)];
        let upper =
            measured.iter().position(|(count, _)| *count >= shards).unwrap_or(measured.len() - 1).max(1);
        let ((few, low), (many, high)) = (measured[upper - 1], measured[upper]);
        low + (high - low) * (shards - few) / (many - few)
    }
}

/// A machine that is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Host {
    /// Cores, each with a shard.
    pub cores: u16,
    /// Sockets that they are on.
    pub sockets: u16,
}

/// A part of what a resource does for an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Part {
    /// What.
    pub name: &'static str,
    /// For how long, nanoseconds.
    pub ns: f64,
}

/// What is computed of one machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Forecast {
    /// The machine.
    pub host: Host,
    /// Its pace.
    pub transfers_per_second: f64,
    /// The largest part of what the busiest resource does.
    pub bottleneck: &'static str,
    /// Nanoseconds from one epoch to the next.
    pub epoch_ns: f64,
    /// All parts of all resources.
    pub parts: Vec<Part>,
    /// Bytes of all rings, once each slot was used.
    pub ring_bytes: f64,
}

impl Forecast {
    /// What this machine would do.
    pub fn new(steps: &Steps, assumed: &Assumed, host: Host) -> Self {
        let load = Load::of(host);
        let resources = [
            load.execution(steps, assumed),
            load.flush(steps, assumed),
            vec![Part { name: "zeros of segments", ns: load.zeros(assumed) }],
            vec![Part {
                name: "ids that are kept",
                ns: load.transfers * IDS_KEPT_NS as f64 / assumed.ids_max,
            }],
            vec![Part { name: "memory", ns: load.memory(assumed) }],
            vec![Part {
                name: "network",
                ns: load.transfers * UNIT_SIZE as f64 / assumed.network_bytes * 1e9,
            }],
        ];
        let busiest = resources.iter().max_by(|one, other| sum(one).total_cmp(&sum(other)));
        let busiest = busiest.expect("there are some");
        let largest =
            busiest.iter().max_by(|one, other| one.ns.total_cmp(&other.ns)).expect("each has a part");
        let epoch_ns = sum(busiest);
        Self {
            host,
            transfers_per_second: load.transfers * 1e9 / epoch_ns,
            bottleneck: largest.name,
            epoch_ns,
            parts: resources.concat(),
            ring_bytes: ring_bytes(host.cores),
        }
    }
}

fn sum(parts: &[Part]) -> f64 {
    parts.iter().map(|part| part.ns).sum()
}

/// Bytes of the rings between so many shards.
fn ring_bytes(shards: u16) -> f64 {
    let pairs = f64::from(shards) * f64::from(shards - 1);
    pairs * ((ROUTE_RING_SLOTS + CONTROL_RING_SLOTS) * size_of::<Message>()) as f64
}

/// A full epoch, and where its work is.
struct Load {
    shards: f64,
    sockets: f64,
    /// Its blocks, each of which is as large as one can be when as many shards have some.
    blocks: f64,
    /// In all.
    transfers: f64,
    /// Of other shards, those on other sockets.
    far: f64,
}

impl Load {
    fn of(host: Host) -> Self {
        let shards = f64::from(host.cores);
        let blocks = ((EPOCH_UNITS_MAX / block_units(host.cores)) as f64).min(shards);
        let units = blocks * block_units(host.cores) as f64;
        let far = shards * (1.0 - 1.0 / f64::from(host.sockets)) / (shards - 1.0).max(1.0);
        Self { shards, sockets: host.sockets.into(), blocks, transfers: units - HEADERS * blocks, far }
    }

    /// Nanoseconds that a cache line takes longer than between this machine's cores.
    fn line(&self, assumed: &Assumed) -> f64 {
        (1.0 - self.far) * assumed.line_near_ns + self.far * assumed.line_far_ns
    }

    /// Until a message is seen that a core waits for: on its way, and half a turn of that core.
    fn hop(&self, steps: &Steps, assumed: &Assumed) -> f64 {
        let turn = assumed.turn_ns + 2.0 * (self.shards - 1.0) * steps.poll;
        steps.hop_latency + MESSAGE_LINES * self.line(assumed) + turn / 2.0
    }

    /// The execution's resource is the core of the slowest shard: its share of all work and, while an epoch is executed, what it waits for.
    /// Nothing is taken for granted to fill its waits.
    fn execution(&self, steps: &Steps, assumed: &Assumed) -> Vec<Part> {
        let pace = assumed.core_pace;
        let costs = steps.execution();
        let own = self.transfers / self.shards;
        let others = self.shards - 1.0;
        let intake = steps.receive + steps.parse + steps.append + steps.reply;
        // Legs fall on shards at random: the largest of so many shares lies so many deviations above the mean.
        let skew = (2.0 * self.shards.ln() / (2.0 * own)).sqrt();
        let routed = (self.transfers / self.blocks - own) * steps.route;
        let message = steps.message_across + MESSAGE_LINES * self.line(assumed) * pace;
        let across = message - steps.message;
        let chunks = self.blocks.min(others) * self.chunks();
        // Each chunk comes home; what is in a chunk is another core's, too.
        let messages = (MARKERS * others + 2.0 * chunks) * across.max(0.0)
            + own * MESSAGE_BYTES / LINE_SIZE * self.line(assumed) * pace * others / self.shards;
        let rings =
            if others == 0.0 { 0.0 } else { costs.begin + costs.shard + others * costs.pair + messages };
        let pacer = steps.pacer(self.shards)
            + (PACER_MESSAGES * others + BLOCK_MESSAGES * self.blocks.min(others)) * message;
        let hops = if others == 0.0 { 0.0 } else { EXECUTION_HOPS * self.hop(steps, assumed) };
        vec![
            Part { name: "cores", ns: own * (intake + steps.route + steps.voting()) / pace },
            Part { name: "skew of legs", ns: own * steps.voting() * skew / pace },
            Part { name: "routing of few blocks", ns: routed / pace },
            Part { name: "rings and markers", ns: rings / pace },
            Part { name: "pacer", ns: pacer / pace },
            Part { name: "hops", ns: hops },
        ]
    }

    /// Chunks from a shard with a block to each other one.
    fn chunks(&self) -> f64 {
        let to_each = self.transfers / self.blocks / self.shards;
        let of = |items: f64, size: usize| (items / (CHUNK_SIZE / size) as f64).ceil();
        of(2.0 * to_each, size_of::<Leg>()) + of(to_each, size_of::<Note>())
    }

    /// The log's resource is the flush: one is under way at a time, from the close of an epoch until its cut and its blocks are durable.
    /// However many there are, the disks write all bytes, and meanwhile the zeros of the segments that come next.
    fn flush(&self, steps: &Steps, assumed: &Assumed) -> Vec<Part> {
        let write =
            self.log_bytes() * assumed.log_writes / (assumed.disk_bytes * assumed.disks * self.sockets) * 1e9;
        // A commit and the close behind it come together, so a shard seals before it begins the epoch that is committed. But shard 0
        // may have routed its block of that before it hears of the others' seals.
        let pause = self.transfers / self.blocks * steps.route / assumed.core_pace;
        let close = if self.shards == 1.0 { 0.0 } else { FLUSH_HOPS * self.hop(steps, assumed) + pause };
        // With more than one under way the others' bytes are written meanwhile.
        let rest = assumed.flush_ns + close;
        let left = ((write + rest) / assumed.flushes - write).max(0.0) / rest;
        vec![
            Part { name: "log's bytes", ns: write },
            Part { name: "cut log", ns: assumed.flush_ns * left },
            Part { name: "close of an epoch", ns: close * left },
        ]
    }

    fn log_bytes(&self) -> f64 {
        (self.transfers + HEADERS * self.blocks) * UNIT_SIZE as f64
    }

    /// One thread makes segments, with one write under way, however many disks there are.
    fn zeros(&self, assumed: &Assumed) -> f64 {
        let at_once = assumed.write_ns + ZEROS / assumed.disk_bytes * 1e9;
        self.log_bytes() * (assumed.log_writes - 1.0).max(0.0) / ZEROS * at_once
    }

    fn memory(&self, assumed: &Assumed) -> f64 {
        self.transfers * MEMORY_BYTES / (assumed.memory_bytes * self.sockets) * 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps() -> Steps {
        include_str!("../model.txt").parse().expect("as it was written")
    }

    /// A machine whose disks, memory and network are never in the way.
    fn unbounded() -> Assumed {
        Assumed {
            disk_bytes: 1e15,
            memory_bytes: 1e15,
            network_bytes: 1e15,
            ids_max: 1e15,
            flush_ns: 1.0,
            ..Assumed::new(&steps())
        }
    }

    fn forecast(steps: &Steps, assumed: &Assumed, cores: u16, sockets: u16) -> Forecast {
        Forecast::new(steps, assumed, Host { cores, sockets })
    }

    #[test]
    fn what_is_busiest_is_named() {
        let assumed = unbounded();
        let cases = [
            ("cores", Steps { legs: 1e6, ..steps() }, assumed),
            ("routing of few blocks", Steps { route: 1e4, ..steps() }, assumed),
            ("close of an epoch", steps(), Assumed { turn_ns: 1e7, ..assumed }),
            ("rings and markers", Steps { pair: 1e9, ..steps() }, assumed),
            ("pacer", Steps { pacer_64: 1e9, ..steps() }, assumed),
            ("hops", steps(), Assumed { turn_ns: 1e7, flushes: 9.0, ..assumed }),
            ("log's bytes", steps(), Assumed { disk_bytes: 1e8, ..assumed }),
            (
                "zeros of segments",
                steps(),
                Assumed { disk_bytes: 1e8, disks: 100.0, log_writes: 2.0, ..assumed },
            ),
            ("ids that are kept", steps(), Assumed { ids_max: 1e6, ..assumed }),
            ("cut log", steps(), Assumed { flush_ns: 1e8, ..assumed }),
            ("memory", steps(), Assumed { memory_bytes: 1e8, ..assumed }),
            ("network", steps(), Assumed { network_bytes: 1e8, ..assumed }),
        ];
        for (name, steps, assumed) in cases {
            assert_eq!(forecast(&steps, &assumed, 64, 2).bottleneck, name, "{assumed:?}");
        }
    }

    #[test]
    fn nothing_that_costs_more_makes_it_faster() {
        for (cores, sockets) in [(1, 1), (16, 1), (64, 2), (128, 4)] {
            let pace = |steps: &Steps, assumed: &Assumed| {
                forecast(steps, assumed, cores, sockets).transfers_per_second
            };
            let before = pace(&steps(), &Assumed::new(&steps()));
            let figures = serde_json::to_value(steps()).expect("numbers");
            for (name, ns) in figures.as_object().expect("a struct").clone() {
                // What a message takes within a core is in the pair's cost already.
                if name == "message" {
                    continue;
                }
                let mut slower = figures.clone();
                slower[&name] = (1.1 * ns.as_f64().expect("a number")).into();
                let slower = serde_json::from_value(slower).expect("the same fields");
                assert!(pace(&slower, &Assumed::new(&steps())) <= before * 1.000_001, "{name} on {cores}");
            }
            for better in [
                "core_pace=2",
                "flush_ns=1",
                "disks=9",
                "line_far_ns=1",
                "turn_ns=1",
                "flushes=2",
                "ids_max=1e9",
            ] {
                let assumed = Assumed::new(&steps()).with(better).expect("a good one");
                assert!(pace(&steps(), &assumed) >= before, "{better} on {cores}");
            }
        }
    }

    #[test]
    fn more_sockets_bring_disks_and_memory_and_cost_latency() {
        let of = |sockets| {
            let parts = forecast(&steps(), &Assumed::new(&steps()), 64, sockets).parts;
            move |name: &str| parts.iter().find(|part| part.name == name).expect("it is there").ns
        };
        let (one, four) = (of(1), of(4));
        assert_eq!(one("log's bytes"), 4.0 * four("log's bytes"));
        assert_eq!(one("memory"), 4.0 * four("memory"));
        assert!(["rings and markers", "pacer", "hops"].iter().all(|part| four(part) > one(part)));
    }

    #[test]
    fn however_many_flushes_there_are_all_bytes_are_written() {
        let assumed = Assumed { flushes: 100.0, disk_bytes: 1e9, ..Assumed::new(&steps()) };
        let one = forecast(&steps(), &assumed, 64, 1);
        let write = (EPOCH_UNITS_MAX * UNIT_SIZE) as f64;
        assert_eq!((one.bottleneck, one.epoch_ns.round()), ("log's bytes", write));
    }

    #[test]
    fn costs_of_shards_and_pairs_are_told_apart() {
        let costs = Costs { transfer: 100.0, begin: 65_536.0, shard: 1_000.0, pair: 50.0 };
        let whole = |shards: f64, transfers: f64| {
            transfers * (100.0 + shards) + shards * (1_000.0 + (shards - 1.0) * 50.0)
        };
        let found = Costs::new(100.0, 65_536.0, [(3, 72, whole(3.0, 72.0)), (12, 288, whole(12.0, 288.0))]);
        assert!(
            (found.shard - costs.shard).abs() < 1e-6 && (found.pair - costs.pair).abs() < 1e-6,
            "{found:?}"
        );
        assert_eq!(costs.of_transfer(2, 1_000), 100.0 + (65_536.0 + 2_000.0 + 100.0) / 1_000.0);
    }

    #[test]
    fn an_assumption_is_a_name_and_a_number() {
        assert_eq!(Assumed::new(&steps()).with("disks=3").map(|assumed| assumed.disks), Ok(3.0));
        for wrong in ["disks", "disks=", "disks=-1", "disks=inf", "discs=1"] {
            assert!(Assumed::new(&steps()).with(wrong).is_err_and(|why| why.contains(wrong)), "{wrong}");
        }
    }
}
