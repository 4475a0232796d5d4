//! Which accounts may have a history of balances, in memory of a fixed size.

use xxhash_rust::xxh3::xxh3_64;

/// 1 MiB: of a million accounts with a history, one in twenty others is looked up in vain.
const BITS: usize = 1 << 23;

/// A set of ids that never misses one, and sometimes takes another for one.
#[derive(Debug)]
pub(crate) struct Sieve(Vec<u64>);

impl Sieve {
    pub(crate) fn new() -> Self {
        Self(vec![0; BITS / 64])
    }

    pub(crate) fn insert(&mut self, id: u128) {
        for bit in bits(id) {
            self.0[bit / 64] |= 1 << (bit % 64);
        }
    }

    pub(crate) fn may_have(&self, id: u128) -> bool {
        bits(id).into_iter().all(|bit| self.0[bit / 64] & 1 << (bit % 64) != 0)
    }
}

fn bits(id: u128) -> [usize; 2] {
    let hash = xxh3_64(&id.to_le_bytes());
    [hash, hash >> 32].map(|hash| hash as usize % BITS)
}
