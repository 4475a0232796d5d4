//! The fake keeper: prepares the log in parts of random size, tells the shards in order, and at times has no room.

use super::disk::Disk;
use auriga_shards::limits::{CUT_SEGMENT_SLOTS, CUT_SLOTS_RESERVE, SECTOR_SIZE, STREAM_SEGMENT_SIZE};
use auriga_shards::place::ShardId;
use fastrand::Rng;
use std::collections::VecDeque;

/// So much is prepared ahead of use, and no more: a reader of the cut log reads every slot. More than the largest request
/// and the largest block need.
const STREAM_AHEAD: u64 = 3 << 20;
const CUTS_AHEAD: u64 = CUT_SLOTS_RESERVE + 40;

/// What a shard is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum News {
    Stream(u64),
    Cuts(u64),
    Full(bool),
}

/// What a shard wants prepared.
#[derive(Debug)]
pub(crate) struct Wish {
    shard: ShardId,
    /// `None`: the cut log.
    stream: Option<u16>,
    through: u64,
    told: u64,
}

/// The keeper of one life.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) wishes: Vec<Wish>,
    /// By shard.
    pub(crate) news: Vec<VecDeque<News>>,
    pub(crate) full: bool,
    /// Whether it was full at any time.
    pub(crate) was_full: bool,
    /// By stream: where its last block ends.
    used: Vec<u64>,
    pub(crate) epoch: u64,
}

impl Keeper {
    pub(crate) fn new(shards: u16, used: Vec<u64>, epoch: u64) -> Self {
        let news = (0..shards).map(|_| VecDeque::new()).collect();
        Self { wishes: Vec::new(), news, full: false, was_full: false, used, epoch }
    }

    pub(crate) fn want_stream(&mut self, shard: ShardId, stream: u16, last: u32) {
        let through = (u64::from(last) + 1) * STREAM_SEGMENT_SIZE;
        self.wishes.push(Wish { shard, stream: Some(stream), through, told: 0 });
    }

    pub(crate) fn want_cuts(&mut self, shard: ShardId, last: u32) {
        let through = (u64::from(last) + 1) * CUT_SEGMENT_SLOTS;
        self.wishes.push(Wish { shard, stream: None, through, told: 0 });
    }

    /// A block that ends here is being written.
    pub(crate) fn uses(&mut self, stream: u16, end: u64) {
        let used = &mut self.used[usize::from(stream)];
        *used = end.max(*used);
    }

    /// The disk gets full, or has room again: every shard is told.
    pub(crate) fn set_full(&mut self, full: bool) {
        self.full = full;
        self.was_full |= full;
        for news in &mut self.news {
            news.push_back(News::Full(full));
        }
    }

    /// Whether something can be done for this wish.
    pub(crate) fn may_work(&self, wish: usize, disk: &Disk) -> bool {
        let wish = &self.wishes[wish];
        let there = self.there(wish, disk);
        let ahead = match wish.stream {
            Some(stream) => self.used[usize::from(stream)] + STREAM_AHEAD,
            None => self.epoch + CUTS_AHEAD,
        };
        wish.told < there.min(wish.through)
            || wish.told == wish.through
            || there < wish.through && there < ahead && !self.full
    }

    fn there(&self, wish: &Wish, disk: &Disk) -> u64 {
        wish.stream.map_or(disk.cuts_through, |stream| *disk.streams_through.get(&stream).unwrap_or(&0))
    }

    /// Tells of what is there; else prepares a part.
    pub(crate) fn work(&mut self, number: usize, disk: &mut Disk, rng: &mut Rng) {
        let wish = &self.wishes[number];
        if wish.told == wish.through {
            self.wishes.swap_remove(number);
            return;
        }
        let there = self.there(wish, disk).min(wish.through);
        if wish.told < there {
            let (shard, news) = match wish.stream {
                Some(_) => (wish.shard, News::Stream(there)),
                None => (wish.shard, News::Cuts(there)),
            };
            self.wishes[number].told = there;
            return self.news[shard.index()].push_back(news);
        }
        match wish.stream {
            Some(stream) => {
                let part = [SECTOR_SIZE as u64, 1_200 << 10, 4 << 20, STREAM_SEGMENT_SIZE][rng.usize(..4)];
                disk.prepare(stream, (there + part).min(wish.through), rng);
            }
            None => {
                let part = [1, 2, 20, CUTS_AHEAD][rng.usize(..4)];
                disk.cuts_through = (there + part).min(wish.through);
            }
        }
    }
}
