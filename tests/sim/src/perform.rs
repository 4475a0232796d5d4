//! What the shards want done, and how it ends.

use crate::World;
use crate::invariants::{Broken, Invariant, broken, damage, model};
use crate::machine::{Death, Machine};
use crate::operations::{Operation, Phase, Work};
use crate::slots;
use crate::trace::Mark;
use auriga_shards::execute::message::Lane;
use auriga_shards::limits::{CONTROL_RING_SLOTS, ROUTE_RING_SLOTS, SECTOR_SIZE, STREAM_SEGMENT_SIZE};
use auriga_shards::log::File;
use auriga_shards::log::cut::Cut;
use auriga_shards::place::ShardId;
use auriga_shards::step::{Input, Output};

impl Machine<'_> {
    /// Does what a shard wants done, and looks at its state.
    pub(crate) fn perform(&mut self, shard: ShardId) -> Result<(), Broken> {
        let mut outputs = std::mem::take(&mut self.outputs);
        for outgoing in outputs.outgoing.drain(..) {
            let lane = outgoing.message.lane();
            let count = self.shards.len();
            let ring = usize::from(lane == Lane::Control) * count * count;
            let ring = &mut self.rings[ring + shard.index() * count + outgoing.to.index()];
            assert_eq!((ring.from, ring.to, ring.lane), (shard, outgoing.to, lane), "rings are in order");
            ring.messages.push_back(outgoing.message);
            let slots = if lane == Lane::Route { ROUTE_RING_SLOTS } else { CONTROL_RING_SLOTS };
            if ring.messages.len() > slots || outgoing.to == shard {
                let what = format!("more than the {slots} slots of a ring on the {lane:?} lane");
                return broken(Invariant::Contract, what);
            }
        }
        for output in outputs.list.drain(..) {
            self.carry(shard, output, &outputs.replies)?;
        }
        outputs.replies.clear();
        self.outputs = outputs;
        model::look_at(self, shard)
    }

    fn carry(&mut self, shard: ShardId, output: Output, replies: &[u8]) -> Result<(), Broken> {
        let World { clients, tally, history, trace, .. } = &mut *self.world;
        match output {
            Output::Reply(reply) => {
                trace.note(Mark::Reply, &[reply.to.0], &replies[reply.bytes.clone()]);
                return clients.take(reply.to, &replies[reply.bytes]);
            }
            Output::Deferred(who) => {
                return broken(Invariant::Contract, format!("{who:?} is deferred, which offered nothing"));
            }
            Output::Room => clients.room(shard),
            Output::PrepareStream { stream, last, .. } => self.keeper.want_stream(shard, stream, last),
            Output::PrepareCuts { last, .. } => self.keeper.want_cuts(shard, last),
            Output::Executed(facts) => match history {
                Some(history) => history.tell(shard, facts),
                None => return broken(Invariant::Contract, "history is told, and there is none"),
            },
            Output::AskHistory(question) => match history {
                Some(history) => history.ask(shard, *question),
                None => return broken(Invariant::Contract, "history is asked, and there is none"),
            },
            Output::Recovered { end, dropped } => {
                damage::recovered(self, &end, dropped.is_some())?;
                self.look_at_clock(&end);
                self.recovered = Some(end.epoch);
            }
            Output::Serving { incarnation } => return self.serve(shard, incarnation),
            Output::Loaded { epoch } => {
                self.loaded = Some(epoch);
                tally.loads += 1;
            }
            Output::CheckpointDamaged(_) => {
                tally.checkpoints_damaged += 1;
                self.loaded = None;
                self.seen.begin_anew();
            }
            Output::Checkpointing { .. } if self.is_stopping => {
                return broken(
                    Invariant::Contract,
                    "a checkpoint is begun after the server was told to stop",
                );
            }
            Output::Replayed { .. }
            | Output::Holds(_)
            | Output::Populate(_)
            | Output::Checkpointing { .. }
            | Output::Checkpointed { .. }
            | Output::CheckpointFailed(_) => {}
            Output::NoCheckpoint { .. } => {
                self.death = Some(Death::Refused);
                return damage::no_checkpoint(self);
            }
            Output::Damaged(hole) => {
                self.death = Some(Death::Refused);
                return damage::refused(self, &hole);
            }
            Output::ClockIsAway { ahead_ns } => return self.clock_is_away(ahead_ns),
            Output::DamageFound(what) => return damage::found(self, &what),
            other => return self.begin(shard, other),
        }
        Ok(())
    }

    fn serve(&mut self, shard: ShardId, incarnation: u64) -> Result<(), Broken> {
        let newest = &mut self.world.incarnation;
        let first = self.serving.iter().all(Option::is_none);
        let good = if first { incarnation > *newest } else { incarnation == *newest };
        if !good || self.serving[shard.index()].is_some() || self.recovered.is_none() {
            let what = format!("shard {shard} serves as incarnation {incarnation}, the newest was {newest}");
            return broken(Invariant::Dropped, what);
        }
        if self.clock_is_away {
            return broken(Invariant::Time, "a start serves, and the clock is too far from the log's time");
        }
        *newest = incarnation;
        self.serving[shard.index()] = Some(incarnation);
        if first {
            crate::invariants::read(self.world)?;
            let World { truth, memory, .. } = &mut *self.world;
            memory.dropped.serve(truth);
            truth.forget_lost();
        }
        Ok(())
    }

    /// Begins a read, a write or an errand.
    fn begin(&mut self, shard: ShardId, output: Output) -> Result<(), Broken> {
        let contract = |what: String| Broken { invariant: Invariant::Contract, what };
        let operation = Operation { shard, work: Work::new(output), phase: Phase::Asked };
        if let Some((file, offset, bytes)) = operation.work.written() {
            self.world.trace.note(Mark::Write, &[u64::from(shard.0), offset], bytes);
            self.world.disk.check_write(file, offset, bytes.len()).map_err(contract)?;
            let kind = operation.work.kind();
            if self.operations.iter().any(|other| other.shard == shard && other.work.kind() == kind) {
                return Err(contract(format!("a second flush under way at {file}, byte {offset}")));
            }
            if self.bound.is_some() && self.recovered.is_none() {
                return broken(Invariant::Damage, format!("a start that is to be refused writes to {file}"));
            }
            match file {
                File::Stream { stream, segment } => {
                    let own = self.placement.first_stream(shard).0;
                    if own != stream {
                        return Err(contract(format!(
                            "shard {shard} writes stream {stream}, expected {own}"
                        )));
                    }
                    let start = u64::from(segment) * STREAM_SEGMENT_SIZE;
                    self.keeper.uses(stream, start + offset + bytes.len() as u64 - SECTOR_SIZE as u64);
                }
                File::Cuts { .. } => {
                    let World { disk, memory, .. } = &mut *self.world;
                    self.keeper.epoch += 1;
                    let (cut, checksum) =
                        Cut::decode(&disk.identity, bytes).map_err(|damage| contract(damage.0))?;
                    memory.dropped.write(checksum);
                    memory.time.write(&cut, self.clock.monotonic_ns)?;
                }
            }
            self.world.disk.ask((file, offset), &bytes[..operation.work.bytes_that_matter()]);
        }
        if let Work::WriteSheet { file, number, sheet } = &operation.work {
            self.world.trace.note(Mark::Sheet, &[u64::from(*number)], sheet.bytes());
            self.world.disk.slots.check_write(*file, *number).map_err(contract)?;
        }
        self.operations.push(operation);
        Ok(())
    }

    /// A read, a write or an errand goes on, or ends.
    pub(crate) fn complete(&mut self, number: usize) -> Result<(), Broken> {
        let Operation { shard, work, phase } = &mut self.operations[number];
        let shard = *shard;
        let is_write = work.is_write();
        let weather = self.fortune.weather;
        if (is_write || matches!(work, Work::WriteSheet { .. }))
            && *phase == Phase::Asked
            && weather.write_fails(&mut self.world.rng)
        {
            self.fail();
            return Ok(());
        }
        if is_write && let Some(next) = phase.next(work, self.world) {
            *phase = next;
            return Ok(());
        }
        if let Work::Errand(errand) = work
            && slots::waits(errand, self.world)
        {
            return Ok(());
        }
        let Operation { work, .. } = self.operations.swap_remove(number);
        let Self { shards, outputs, clock, world, misread, .. } = self;
        let mut take = |input: Input<'_>| shards[shard.index()].step(*clock, input, outputs);
        work.complete(world, misread, weather, &mut take)?;
        if self.misread.is_any() && self.recovered.is_none() {
            self.foresee();
        }
        self.perform(shard)
    }
}
