//! What a shard says of itself and of the whole: status, digest, histograms, and the desk at which look-ups are answered.

use super::{Config, Shard};
use crate::answer::{Answers, Desk, Seen};
use crate::arrival::ConnectionId;
use crate::query::Counters;
use crate::step::Outputs;
use auriga_wire::frame::Header;
use auriga_wire::report::Status;

impl Config {
    /// A status without what only the server knows. An incarnation of 0 is that of a start before it serves.
    fn status(&self, incarnation: u64, sum: &Counters, seen: Seen, digest: Option<u128>) -> Status {
        let Self { placement, identity, limits, .. } = self;
        Status {
            state: if incarnation == 0 { "replaying" } else { "serving" }.into(),
            cluster: identity.cluster,
            incarnation,
            id_mode: identity.id_mode.name().into(),
            shards: u32::from(placement.shards()),
            epoch: seen.0,
            time_ns: seen.1,
            accounts: sum.accounts,
            accounts_max: limits.accounts_max,
            ids: sum.ids,
            ids_max: limits.ids_max,
            window_ns: limits.window_ns,
            pendings: sum.pendings,
            pendings_max: limits.pendings_max,
            transfers_created: sum.transfers_created,
            transfers_refused: sum.transfers_refused,
            bytes_logged: sum.bytes_logged,
            flushes: sum.flushes,
            digest,
            ..Status::default()
        }
    }
}

/// Completes a status with what only the server knows.
pub type StatusHook = Box<dyn Fn(&mut Status)>;

impl Shard {
    /// The digest of this shard's state; with one shard, of the whole.
    pub fn digest(&self) -> u128 {
        whole_digest(self.execution.ledger.digest(), self.newest)
    }

    /// Answers a status before the replay is over.
    pub(super) fn say_how_far(&self, caller: ConnectionId, request: &Header, out: &mut Outputs) {
        let (seen, cluster) = (self.newest, self.config.identity.cluster);
        let mut status = self.config.status(0, &Counters::default(), seen, None);
        (self.status_hook)(&mut status);
        let header = |size| Header::reply(request, 0, seen.1, cluster, size);
        out.reply(caller, header, None, |body| body.extend_from_slice(&status.encode()));
    }

    pub(super) fn answer_in_gap(&mut self, out: &mut Outputs) -> bool {
        if !self.answers.is_ready(&self.execution) {
            return false;
        }
        self.answer(out, Answers::answer_ready);
        true
    }

    /// Lets the answers work, with what they need of the shard.
    pub(super) fn answer(&mut self, out: &mut Outputs, work: impl FnOnce(&mut Answers, &mut Desk<'_>)) {
        let Self {
            execution, answers, counters, histograms, config, newest, status_hook, incarnation, ..
        } = self;
        counters.accounts = execution.ledger.accounts.len() as u64;
        counters.ids = execution.ledger.ids.len() as u64;
        counters.pendings = execution.ledger.pendings.len() as u64;
        let shards = config.placement.shards();
        let ids_from_ms = execution.plan().terms.ids_from_ms;
        let mut encode_histograms = || {
            let report = histograms.whole().report(u32::from(config.shard.0), config.cpu, u32::from(shards));
            report.encode()
        };
        let mut encode_status = |sum: &Counters, digest: bool, seen: Seen| {
            let digest = digest.then(|| whole_digest(sum.digest, seen));
            let mut status = config.status(*incarnation, sum, seen, digest);
            status.ids_from_ms = ids_from_ms;
            status_hook(&mut status);
            status.encode()
        };
        let had_room = answers.has_room();
        let mut desk = Desk {
            execution,
            counters: *counters,
            histograms: &mut encode_histograms,
            newest: *newest,
            status: &mut encode_status,
            out,
        };
        work(answers, &mut desk);
        if !had_room && answers.has_room() {
            self.make_room(out);
        }
    }
}

/// The digest of the whole state: the sum over all shards, and the newest epoch that changed anything.
pub fn whole_digest(shards: u128, newest: (u64, u64)) -> u128 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&newest.0.to_le_bytes());
    bytes[8..].copy_from_slice(&newest.1.to_le_bytes());
    shards.wrapping_add(xxhash_rust::xxh3::xxh3_128_with_seed(&bytes, 3))
}
