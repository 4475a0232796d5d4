//! Time-ordered ids: 48 bits of Unix milliseconds, then 80 random bits, as ULIDs have them.

use std::time::{SystemTime, UNIX_EPOCH};

const RANDOM_BITS: u32 = 80;

/// Makes ids that grow strictly, also within a millisecond and when the clock steps back.
///
/// Two generators never coordinate: what keeps their ids apart is the 80 random bits that each draws anew every
/// millisecond.
#[derive(Debug)]
pub struct IdGenerator {
    random: fastrand::Rng,
    last: u128,
}

impl Default for IdGenerator {
    fn default() -> Self {
        Self::new()
    }
}

impl IdGenerator {
    /// A generator with a seed of its own.
    pub fn new() -> Self {
        Self { random: fastrand::Rng::new(), last: 0 }
    }

    /// A generator whose random bits follow from `seed`, for repeatable tests.
    pub fn with_seed(seed: u64) -> Self {
        Self { random: fastrand::Rng::with_seed(seed), last: 0 }
    }

    /// The next id, by the wall clock.
    pub fn next_id(&mut self) -> u128 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.next_at(now.as_millis() as u64)
    }

    /// The next id, at `unix_ms` (of which 48 bits count) or, if that is not later than the id before, right behind it.
    pub fn next_at(&mut self, unix_ms: u64) -> u128 {
        let fresh = time_part(unix_ms) | (self.random.u128(..) & ((1 << RANDOM_BITS) - 1));
        let same_or_earlier = fresh >> RANDOM_BITS <= self.last >> RANDOM_BITS;
        self.last = if same_or_earlier && self.last != 0 { self.last + 1 } else { fresh };
        self.last
    }
}

/// The smallest id of a millisecond: where 80 bits of the caller's own may be added.
pub const fn time_part(unix_ms: u64) -> u128 {
    ((unix_ms & ((1 << 48) - 1)) as u128) << RANDOM_BITS
}

/// The Unix milliseconds in a time-ordered id.
pub const fn unix_ms(id: u128) -> u64 {
    (id >> RANDOM_BITS) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_strictly_whatever_the_clock_does() {
        let mut ids = IdGenerator::with_seed(1);
        let mut last = 0;
        for ms in [5, 5, 5, 4, 1, 6, 6, 5, 7, 1_790_000_000_000, 1_790_000_000_000, 3] {
            let id = ids.next_at(ms);
            assert!(id > last, "{id:x} after {last:x}");
            assert!(unix_ms(id) >= ms);
            last = id;
        }
        assert!(ids.next_id() > last);
    }

    #[test]
    fn an_id_carries_its_time_and_random_bits() {
        let (mut one, mut two) = (IdGenerator::with_seed(1), IdGenerator::with_seed(2));
        let (a, b) = (one.next_at(77), two.next_at(77));
        assert_eq!((unix_ms(a), unix_ms(b)), (77, 77));
        assert_ne!(a, b);
        assert_eq!(unix_ms(time_part(u64::MAX)), (1 << 48) - 1);
    }
}
