//! Where things are: shards, streams, positions in the log, and which shard owns what.

use crate::limits::STREAMS;
use std::fmt;

/// A shard of this start: 0 to shards - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

/// A stream of the log: 0 to 127. Streams outlive the shards that wrote them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u16);

impl ShardId {
    /// As an index into an array by shard.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in the log's total order: the epoch's number (48 bits) and the index into its units (16 bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl Position {
    /// The position of unit `index` of `epoch`.
    pub fn new(epoch: u64, index: u16) -> Self {
        assert!(epoch < 1 << 48, "epoch {epoch} exceeds 48 bits");
        Self(epoch << 16 | u64::from(index))
    }

    /// The epoch's number.
    pub fn epoch(self) -> u64 {
        self.0 >> 16
    }

    /// The index into the epoch's units.
    pub fn index(self) -> u16 {
        self.0 as u16
    }
}

/// How accounts, ids and streams are dealt out to the shards of this start. Nothing of it is in the log: another
/// number of shards, or another key, gives the same results.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    shards: u16,
    key: u64,
}

impl Placement {
    /// A placement on `shards` shards. `key` should be random for each start, so that nobody can choose ids that
    /// all meet in one bucket.
    pub fn new(shards: u16, key: u64) -> Self {
        assert!((1..=STREAMS).contains(&usize::from(shards)), "{shards} shards: 1 to {STREAMS} are possible");
        Self { shards, key }
    }

    /// Number of shards.
    pub fn shards(&self) -> u16 {
        self.shards
    }

    /// Every shard, in order.
    pub fn all(&self) -> impl Iterator<Item = ShardId> + use<> {
        (0..self.shards).map(ShardId)
    }

    /// The hash of an account's or a transfer's id: its top bits choose the shard, the others its place there.
    pub fn hash(&self, id: u128) -> u64 {
        const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;
        let low = (id as u64) ^ self.key;
        let high = ((id >> 64) as u64) ^ self.key.rotate_left(32) ^ MULTIPLIER;
        let product = u128::from(low) * u128::from(high | 1);
        let folded = (product as u64) ^ ((product >> 64) as u64) ^ high.wrapping_mul(MULTIPLIER);
        let product = u128::from(folded) * u128::from(MULTIPLIER);
        (product as u64) ^ ((product >> 64) as u64)
    }

    /// The shard that owns the account or the transfer id with this hash.
    pub fn owner(&self, hash: u64) -> ShardId {
        ShardId(((u128::from(hash) * u128::from(self.shards)) >> 64) as u16)
    }

    /// The shard that owns a stream: each has a contiguous range, in order.
    pub fn stream_owner(&self, stream: StreamId) -> ShardId {
        let shard = ((usize::from(stream.0) + 1) * usize::from(self.shards) - 1) / STREAMS;
        let shard = ShardId(shard as u16);
        debug_assert!(self.first_stream(shard).0 <= stream.0);
        shard
    }

    /// The stream that a shard writes: the first of its range.
    pub fn first_stream(&self, shard: ShardId) -> StreamId {
        StreamId((shard.index() * STREAMS / usize::from(self.shards)) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stream_has_one_owner_and_ranges_are_in_order() {
        for shards in 1..=STREAMS as u16 {
            let placement = Placement::new(shards, 7);
            let owners: Vec<_> = (0..STREAMS as u16).map(|s| placement.stream_owner(StreamId(s))).collect();
            assert!(owners.is_sorted());
            for shard in placement.all() {
                let first = placement.first_stream(shard);
                assert_eq!(owners[usize::from(first.0)], shard, "{shards} shards, shard {shard}");
                assert!(first.0 == 0 || owners[usize::from(first.0) - 1] < shard);
            }
        }
    }

    #[test]
    fn ids_in_sequence_are_spread_evenly() {
        for shards in [2u16, 3, 8] {
            let placement = Placement::new(shards, 0x1234_5678_9abc_def0);
            let mut counts = vec![0u32; usize::from(shards)];
            for id in 0..80_000u128 {
                counts[placement.owner(placement.hash(id << 80 | 5)).index()] += 1;
                counts[placement.owner(placement.hash(id)).index()] += 1;
            }
            let expected = 160_000 / u32::from(shards);
            assert!(counts.iter().all(|c| c.abs_diff(expected) < expected / 20), "{counts:?}");
        }
    }
}
