//! What shard 0 does for an epoch beside its own share: the pacer, the cut, and a copy of it for each shard. Messages are not in it.

use super::time;
use crate::log::IDENTITY;
use auriga_shards::chunk::{Chunk, Pool};
use auriga_shards::limits::{EPOCH_UNITS_MAX, Limits, SECTOR_SIZE, block_units};
use auriga_shards::log::cut::{BlockEntry, CutImage, CutSector};
use auriga_shards::pacer::{Act, Clock, Counts, Holdings, LogEnd, Pace, Pacer};
use auriga_shards::place::{Placement, ShardId};
use std::collections::VecDeque;

/// Epochs that are measured, and as many before them.
const EPOCHS: u32 = 200;

/// Nanoseconds an epoch with so many shards, all of which always have a full block.
pub(super) fn epoch(shards: u16) -> f64 {
    let mut desk = Desk::new(shards);
    (0..EPOCHS).for_each(|_| desk.epoch());
    time(|| (0..EPOCHS).for_each(|_| desk.epoch())) / f64::from(EPOCHS)
}

struct Desk {
    placement: Placement,
    pacer: Pacer,
    clock: Clock,
    acts: VecDeque<Act>,
    sector: Box<CutSector>,
    pool: Pool,
    copies: Vec<Chunk>,
    /// Units of every block.
    units: u32,
}

impl Desk {
    fn new(shards: u16) -> Self {
        let placement = Placement::new(shards, 1);
        let holdings = vec![Holdings::default(); usize::from(shards)];
        let clock = Clock { monotonic_ns: 1, wall_ns: 1 << 60 };
        let mut pacer = Pacer::new(IDENTITY, Limits::default(), &LogEnd::default(), holdings, clock);
        pacer.prepared(u64::MAX - 1);
        pacer.serve();
        let mut desk = Self {
            placement,
            pacer,
            clock,
            acts: VecDeque::new(),
            sector: CutSector::new(),
            pool: Pool::new(ShardId(0), usize::from(shards)),
            copies: Vec::new(),
            units: block_units(shards) as u32,
        };
        let units = desk.units;
        placement.all().for_each(|shard| desk.say(shard, &Pace::Pending { units }));
        desk
    }

    fn say(&mut self, shard: ShardId, pace: &Pace) {
        self.pacer.take(shard, pace, self.clock, &mut self.acts);
    }

    /// What the pacer is told from the close of an epoch until all shards have executed it; at its end the next one is closed.
    fn epoch(&mut self) {
        self.clock.monotonic_ns += EPOCH_UNITS_MAX as u64 * 50;
        self.clock.wall_ns += EPOCH_UNITS_MAX as u64 * 50;
        let epoch = self.pacer.next_epoch();
        let closes: Vec<(ShardId, u32)> = self.acts.drain(..).filter_map(|act| granted(&act)).collect();
        let mut sealed = Vec::with_capacity(closes.len());
        for (shard, grant) in closes {
            let mut asked = Counts::default();
            if grant > 0 {
                let stream = self.placement.first_stream(shard).0;
                let offset = epoch * 512 * SECTOR_SIZE as u64;
                self.pacer.take_entry(BlockEntry::new(stream, self.units, offset, u128::from(epoch)));
                asked.ids = u64::from(self.units);
                sealed.push(shard);
            }
            self.say(shard, &Pace::Sealed { epoch, pending: self.units, asked });
        }
        let Some(Act::Cut(cut)) = self.acts.pop_front() else { unreachable!("all have sealed") };
        assert_eq!(cut.blocks.len(), sealed.len(), "each grant is a block");
        self.pacer.encode(cut, &mut self.sector);
        let image = CutImage::new(&self.sector.0);
        for _ in self.placement.all().skip(1) {
            let mut copy = self.pool.take::<CutImage>(0);
            assert!(copy.push(image), "an empty chunk has room");
            self.copies.push(copy);
        }
        self.copies.drain(..).for_each(|copy| self.pool.give_back(copy));
        self.pacer.cut_is_durable(self.clock, &mut self.acts);
        sealed.into_iter().for_each(|shard| self.say(shard, &Pace::Durable { epoch }));
        let held = Counts { ids: epoch, ..Counts::default() };
        let executed = Pace::Executed { epoch, holdings: Holdings { held, ..Holdings::default() } };
        self.placement.all().for_each(|shard| self.say(shard, &executed));
    }
}

fn granted(act: &Act) -> Option<(ShardId, u32)> {
    match act {
        Act::Tell(shard, Pace::Close { grant, .. }) => Some((*shard, *grant)),
        _ => None,
    }
}
