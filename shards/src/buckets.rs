//! Few buckets of durations, for metrics: what a monitoring system stores of each core. The full resolution is in
//! [`histograms`](crate::histograms).

/// Upper bounds of the buckets, nanoseconds: from a fast drive's flush to what nobody waits for. Above the last one is one more bucket.
pub const BOUNDS_NS: [u64; 12] = [
    30_000,
    100_000,
    300_000,
    1_000_000,
    3_000_000,
    10_000_000,
    30_000_000,
    100_000_000,
    300_000_000,
    1_000_000_000,
    3_000_000_000,
    10_000_000_000,
];

/// Durations, counted by bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    /// How many durations were in each bucket alone, at most its bound and above the one before.
    pub counts: [u64; BOUNDS_NS.len() + 1],
    /// Their sum, nanoseconds.
    pub sum_ns: u64,
}

impl Buckets {
    /// Counts a duration.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        self.counts[BOUNDS_NS.partition_point(|bound| ns > *bound)] += 1;
        self.sum_ns += ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_that_reaches_it() {
        let mut buckets = Buckets::default();
        for ns in [0, 30_000, 30_001, 10_000_000_000, 10_000_000_001] {
            buckets.record(ns);
        }
        let last = BOUNDS_NS.len();
        let found = buckets.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        assert_eq!(found.collect::<Vec<_>>(), [(0, &2), (1, &1), (last - 1, &1), (last, &1)]);
        assert_eq!(buckets.sum_ns, 20_000_060_002);
        assert!(BOUNDS_NS.is_sorted_by(|one, next| one < next));
    }
}
