//! The newest transfers, in memory: most questions are about them, and the store makes readers wait while it changes its files.

use crate::Progress;
use crate::index::Posting;
use arc_swap::ArcSwap;
use auriga_wire::Transfer;
use std::collections::VecDeque;
use std::sync::Arc;

/// The transfers of one commit.
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
    /// `postings` are the transfers' accounts, sorted by account and time.
    pub(crate) fn new(transfers: Vec<Transfer>, postings: &[Posting]) -> Self {
        let (mut accounts, mut places) = (Vec::new(), Vec::with_capacity(postings.len()));
        for list in postings.chunk_by(|a, b| a.value == b.value) {
            places.extend(list.iter().map(|posting| {
                let at = transfers.binary_search_by_key(&posting.reference.timestamp, |t| t.timestamp);
                2 * at.expect("postings are of the transfers") as u32 + u32::from(posting.reference.credit)
            }));
            accounts.push((list[0].value, places.len() as u32));
        }
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

    /// A commit was made. For one thread.
    pub(crate) fn push(&self, progress: Progress, segment: Option<Segment>) {
        let mut newest = Newest { progress, ..Newest::clone(&self.newest.load()) };
        newest.segments.extend(segment.map(Arc::new));
        let mut bytes: usize = newest.segments.iter().map(|segment| segment.bytes()).sum();
        while bytes > self.bytes_max
            && let Some(oldest) = newest.segments.pop_front()
        {
            bytes -= oldest.bytes();
        }
        self.newest.store(Arc::new(newest));
    }
}
