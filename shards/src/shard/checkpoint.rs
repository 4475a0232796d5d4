//! A shard's part in checkpoints: one that is taken beside its work, and the one that a start begins with.

use super::{Config, Shard};
use crate::checkpoint::load::Loader;
use crate::checkpoint::manifest::Manifest;
use crate::checkpoint::take::Taken;
use crate::commit::Commits;
use crate::pacer::{Clock, Holdings, Pace};
use crate::step::Outputs;

impl Shard {
    /// Whether a checkpoint has to get on before more of the state can change.
    pub(super) fn keeps_too_much(&self) -> bool {
        !self.taker.is_idle() && self.execution.ledger.kept_bytes() > self.config.checkpoints.kept_max
    }

    pub(super) fn tell_of_part(&mut self, clock: Clock, taken: Option<Taken>, out: &mut Outputs) {
        if let Some(taken) = taken {
            self.tell_pacer(clock, Pace::Part(Box::new(taken)), out);
        }
    }

    /// Begins with the state of a checkpoint, or with none.
    pub(super) fn begin_load(&mut self, clock: Clock, from: Option<Box<(u8, Manifest)>>, out: &mut Outputs) {
        let Config { identity, shard, placement, .. } = self.config;
        self.execution.unload();
        self.commits = Commits::new(identity, shard, placement);
        (self.newest, self.closed) = ((0, 0), 0);
        match from {
            Some(from) => self.loader = Some(Loader::new(identity, shard, *from, &mut self.execution, out)),
            None => self.tell_pacer(clock, Pace::Loaded(Box::new(Ok(self.loaded()))), out),
        }
    }

    /// The digest of the state that was loaded, and how much it is.
    pub(super) fn loaded(&self) -> (u128, Holdings) {
        let ledger = &self.execution.ledger;
        (ledger.digest(), Holdings::of(ledger))
    }

    /// Takes sheets of a checkpoint that were read at a start.
    pub(super) fn load(&mut self, clock: Clock, bytes: Result<&[u8], String>, out: &mut Outputs) {
        let Some(loader) = &mut self.loader else { unreachable!("sheets are read for a load") };
        let Some(end) = loader.take(bytes, &mut self.execution, out) else { return };
        self.loader = None;
        let loaded = end.map(|manifest| {
            self.newest = manifest.newest;
            self.closed = manifest.end.epoch;
            self.commits.go_on_from(&manifest);
            self.loaded()
        });
        self.tell_pacer(clock, Pace::Loaded(Box::new(loaded)), out);
    }
}
