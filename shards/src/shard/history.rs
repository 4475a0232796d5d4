//! What a shard tells history.

use super::Shard;
use crate::execute::epoch::OwnBlock;
use crate::log::cut::Cut;
use crate::past::Facts;
use crate::place::ShardId;
use crate::step::{Output, Outputs};

impl Shard {
    /// Tells history what it can't read in the log.
    pub(super) fn tell_history(&mut self, cut: &Cut, own: &[OwnBlock], out: &mut Outputs) {
        if !self.config.history || own.is_empty() && self.config.shard != ShardId(0) {
            return;
        }
        let mut facts = Facts::new(cut);
        for block in own {
            let (_, entry) = cut
                .bases()
                .find(|(base, _)| *base == u32::from(block.base))
                .expect("own blocks are the cut's");
            facts.add(*entry, block.base, &self.execution.outcomes);
        }
        self.facts += facts.size();
        out.push(Output::Executed(Box::new(facts)));
    }
}
