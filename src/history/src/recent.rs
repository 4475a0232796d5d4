//! The newest transfers, in memory: most questions are about them, and the store makes readers wait while it changes its files.

use crate::Progress;
use arc_swap::ArcSwap;
use auriga_wire::Transfer;
use std::collections::VecDeque;
use std::sync::Arc;

/// Transfers of a segment that no other is merged with any more: a commit under load.
const SEGMENT_MAX: usize = 32_768;

/// The transfers of one or more commits.
#[derive(Debug)]
pub(crate) struct Segment {
    /// By timestamp.
    transfers: Vec<Transfer>,
    /// Their accounts, ascending, and where each one's part of `places` ends.
    accounts: Vec<(u128, u32)>,
    /// Indexes into `transfers`, ascending for each account; times two, plus 1 if it is the account's credit.
    places: Vec<u32>,
}

impl Segment {
    /// `transfers` are by timestamp.
    fn new(transfers: Vec<Transfer>) -> Self {
        let sides = transfers.iter().zip(0..).flat_map(|(transfer, at)| {
            [(transfer.debit_account_id, 2 * at), (transfer.credit_account_id, 2 * at + 1)]
        });
        let mut sides: Vec<(u128, u32)> = sides.collect();
        sides.sort_unstable();
        let mut end = 0;
        let accounts = sides.chunk_by(|a, b| a.0 == b.0).map(|list| {
            end += list.len() as u32;
            (list[0].0, end)
        });
        let accounts = accounts.collect();
        let places = sides.into_iter().map(|(_, place)| place).collect();
        Self { transfers, accounts, places }
    }

    /// Time of its first transfer, nanoseconds.
    pub(crate) fn start(&self) -> u64 {
        self.transfers[0].timestamp
    }

    /// An account's transfers, newest first; whether each is its credit.
    pub(crate) fn newest_of(&self, account: u128) -> impl Iterator<Item = (Transfer, bool)> {
        let found = self.accounts.binary_search_by_key(&account, |(id, _)| *id).ok();
        let places = found.map_or(0..0, |at| {
            let start = at.checked_sub(1).map_or(0, |before| self.accounts[before].1);
            start as usize..self.accounts[at].1 as usize
        });
        self.places[places].iter().rev().map(|place| (self.transfers[*place as usize / 2], place % 2 == 1))
    }

    fn bytes(&self) -> usize {
        size_of_val(&self.transfers[..]) + size_of_val(&self.accounts[..]) + size_of_val(&self.places[..])
    }
}

/// What was committed last.
#[derive(Clone, Debug, Default)]
struct Newest {
    progress: Progress,
    /// Oldest first.
    segments: VecDeque<Arc<Segment>>,
}

/// The newest transfers, as the builder and all readers share them.
#[derive(Clone, Debug)]
pub(crate) struct Recent {
    newest: Arc<ArcSwap<Newest>>,
    bytes_max: usize,
}

impl Recent {
    /// None so far.
    pub(crate) fn new(progress: Progress, bytes_max: usize) -> Self {
        let newest = Newest { progress, ..Newest::default() };
        Self { newest: Arc::new(ArcSwap::from_pointee(newest)), bytes_max }
    }

    /// How far the history reaches.
    pub(crate) fn progress(&self) -> Progress {
        self.newest.load().progress
    }

    /// The newest transfers, newest segment first. Every transfer of an older time is in the store.
    pub(crate) fn segments(&self) -> Vec<Arc<Segment>> {
        self.newest.load().segments.iter().rev().cloned().collect()
    }

    /// A commit was made, of these transfers by timestamp. For one thread.
    pub(crate) fn push(&self, progress: Progress, mut transfers: Vec<Transfer>) {
        let mut newest = Newest { progress, ..Newest::clone(&self.newest.load()) };
        // Commits are small at rest. Those of a like size are merged, so that there are few segments.
        while let Some(last) = newest.segments.back().map(|last| &last.transfers)
            && last.len() < 2 * transfers.len()
            && last.len() + transfers.len() <= SEGMENT_MAX
        {
            transfers = [&last[..], &transfers[..]].concat();
            newest.segments.pop_back();
        }
        if !transfers.is_empty() {
            newest.segments.push_back(Arc::new(Segment::new(transfers)));
        }
        let mut bytes: usize = newest.segments.iter().map(|segment| segment.bytes()).sum();
        while bytes > self.bytes_max
            && let Some(oldest) = newest.segments.pop_front()
        {
            bytes -= oldest.bytes();
        }
        self.newest.store(Arc::new(newest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commits of every size, most of them of one transfer: an account's transfers are those that were pushed last, newest
    /// first, in few segments and within the bound.
    #[test]
    fn what_is_recent_is_found_in_few_segments() {
        const BYTES_MAX: usize = 6 << 20;
        let mut rng = fastrand::Rng::with_seed(1);
        let recent = Recent::new(Progress::default(), BYTES_MAX);
        let mut all: Vec<Transfer> = Vec::new();
        for epoch in 1..=3_000 {
            let size = if rng.u8(..50) == 0 { rng.usize(..3_000) } else { rng.usize(..2) };
            let before = all.len();
            all.extend((0..size).map(|at| {
                let debit = rng.u128(1..=20);
                let timestamp = (before + at + 1) as u64;
                let credit_account_id = debit % 20 + 1;
                Transfer { debit_account_id: debit, credit_account_id, timestamp, ..Transfer::default() }
            }));
            recent.push(Progress { epoch, ..Progress::default() }, all[before..].to_vec());
        }
        assert_eq!(recent.progress().epoch, 3_000);
        let segments = recent.segments();
        let bytes: usize = segments.iter().map(|segment| segment.bytes()).sum();
        assert!(segments.len() < 40 && bytes <= BYTES_MAX, "{} segments, {bytes} bytes", segments.len());
        let kept = all.partition_point(|t| t.timestamp < segments[segments.len() - 1].start());
        assert!((1..all.len() - 20_000).contains(&kept), "found {kept} of {} dropped", all.len());
        for account in 0..=21 {
            let found: Vec<_> = segments.iter().flat_map(|segment| segment.newest_of(account)).collect();
            let is_of_it = |t: &&Transfer| [t.debit_account_id, t.credit_account_id].contains(&account);
            let expected = all[kept..].iter().rev().filter(is_of_it);
            let expected: Vec<_> = expected.map(|t| (*t, t.credit_account_id == account)).collect();
            assert_eq!(found, expected, "account {account}");
        }
    }
}
