//! Any number of shards in one thread, with the mesh between them: the execution as a whole, without a core's other work.
//!
//! Messages are taken in the order of a core's turn: control before route, shard by shard. So everything that is counted is
//! the same in every run.

use crate::log::Epoch;
use auriga_shards::execute::Execution;
use auriga_shards::execute::epoch::OwnBlock;
use auriga_shards::execute::message::Lane;
use auriga_shards::log::block::Block;
use auriga_shards::log::cut::Cut;
use auriga_shards::mesh::Mesh;
use auriga_shards::place::{Placement, ShardId, StreamId};

/// Chosen at random by each start of a server, and here once.
const KEY: u64 = 0x243f_6a88_85a3_08d3;

/// Where accounts, ids and streams are among so many shards.
pub fn placement(shards: u16) -> Placement {
    Placement::new(shards, KEY)
}

/// All shards.
#[derive(Debug)]
pub struct Shards {
    /// Which shard owns what.
    pub placement: Placement,
    /// By shard.
    pub executions: Vec<Execution>,
    /// By shard.
    pub meshes: Vec<Mesh>,
}

impl Shards {
    /// Empty ledgers.
    pub fn new(shards: u16) -> Self {
        let placement = placement(shards);
        Self {
            placement,
            executions: placement.all().map(|shard| Execution::new(shard, placement)).collect(),
            meshes: Mesh::new(shards),
        }
    }

    /// Executes an epoch. Its blocks stay with the executions until [`Self::take_blocks`].
    pub fn execute(&mut self, epoch: Epoch) {
        let own = own_blocks(&epoch.cut, epoch.blocks, &self.placement);
        self.run(&epoch.cut, own);
    }

    /// Executes an epoch whose blocks are dealt out already.
    pub fn run(&mut self, cut: &Cut, own: Vec<Vec<OwnBlock>>) {
        for (shard, own) in own.into_iter().enumerate() {
            self.executions[shard].begin(cut, own);
            self.post(ShardId(shard as u16));
        }
        while self.turn() {}
        assert!(self.executions.iter().all(Execution::in_gap), "an epoch ends when nothing is under way");
    }

    /// One turn of each shard; `false` if nothing was there for any of them.
    fn turn(&mut self) -> bool {
        let mut worked = false;
        for to in self.placement.all() {
            for lane in [Lane::Control, Lane::Route] {
                for from in self.placement.all() {
                    while lane == Lane::Control || self.executions[to.index()].wants_route(from) {
                        let Some(message) = self.meshes[to.index()].pop(from, lane) else {
                            break;
                        };
                        self.executions[to.index()].receive(from, message);
                        self.post(to);
                        worked = true;
                    }
                }
            }
        }
        worked
    }

    /// Puts what a shard sends into the rings.
    pub fn post(&mut self, from: ShardId) {
        let mesh = &mut self.meshes[from.index()];
        for outgoing in self.executions[from.index()].mail.outgoing.drain(..) {
            mesh.push(outgoing.to, outgoing.message);
        }
    }

    /// The blocks of the last epoch, which are not needed any more.
    pub fn take_blocks(&mut self) -> Vec<OwnBlock> {
        self.executions.iter_mut().flat_map(Execution::take_own).collect()
    }
}

/// An epoch's blocks, by the shard that they arrived at.
pub fn own_blocks(cut: &Cut, blocks: Vec<Block>, placement: &Placement) -> Vec<Vec<OwnBlock>> {
    let mut own: Vec<Vec<OwnBlock>> = placement.all().map(|_| Vec::new()).collect();
    for ((base, entry), block) in cut.bases().zip(blocks) {
        let shard = placement.stream_owner(StreamId(entry.stream));
        let base = u16::try_from(base).expect("an index into an epoch fits 16 bits");
        own[shard.index()].push(OwnBlock { base, block });
    }
    own
}
