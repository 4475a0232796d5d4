//! What a core shows of itself: numbers alone, in one order for the core that writes them and the thread that reads them.

use auriga_shards::buckets::{BOUNDS_NS, Buckets};
use auriga_signals::Board;
use bytemuck::{Pod, Zeroable};

/// A name for each variant, which is a label's value, and its place in an array.
macro_rules! places {
    ($(#[$doc:meta])* $name:ident { $($(#[$what:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$what])* $variant,)*
        }

        impl $name {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}

places! {
    /// Where a core was when it took too long.
    Where {
        /// Completions of the log.
        Storage = "storage",
        /// Control messages of other shards: votes, replies.
        Control = "control",
        /// Route messages of other shards.
        Route = "route",
        /// News of the housekeeping threads.
        House = "house",
        /// The shard's outputs, and the beginning of an epoch.
        Execute = "execute",
        /// Between two turns: connections, and whoever else has used the CPU.
        Between = "between",
    }
}

places! {
    /// Why a socket is not read although the server has time.
    Held {
        /// Its client has requests under way or replies not taken, as many as it may have.
        Unanswered = "unanswered",
        /// There is no receive buffer for a large request.
        Buffers = "buffers",
        /// The shard has no room for the request.
        Room = "room",
    }
}

/// Places for result codes of events.
const EVENT_CODES: usize = 160;
/// Places for reasons of faults.
const FAULT_CODES: usize = 32;

/// The place of an event's result code; 0 is the place of what has none.
#[inline]
pub fn event_place(code: u32) -> usize {
    match code {
        0..128 => code as usize,
        1_000..1_032 => code as usize - 1_000 + 128,
        _ => 0,
    }
}

/// The place of a fault's code.
#[inline]
pub fn fault_place(code: u32) -> usize {
    (code as usize).saturating_sub(1_100).min(FAULT_CODES - 1)
}

/// Durations by bucket, then their sum in nanoseconds.
pub type Durations = [u64; BOUNDS_NS.len() + 2];

/// What a core shows. Counts are since the start of the process.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct Figures {
    /// The kernel's number of its thread.
    pub thread: u64,
    /// Start number, 0 in a replay.
    pub incarnation: u64,
    /// Newest executed epoch in which anything happened.
    pub epoch: u64,
    /// Its time, nanoseconds.
    pub epoch_time_ns: u64,
    /// Older ids are forgotten, milliseconds; 0: none are.
    pub ids_from_ms: u64,
    /// Accounts that it holds.
    pub accounts: u64,
    /// Transfer ids that it holds.
    pub ids: u64,
    /// Pending transfers that it holds.
    pub pendings: u64,
    /// Accounts that arrived here and were created.
    pub accounts_created: u64,
    /// Transfers that arrived here and were created.
    pub transfers_created: u64,
    /// Bytes of blocks and cuts that were written.
    pub bytes_logged: u64,
    /// Cuts that were written.
    pub epochs: u64,
    /// Chunks that were made.
    pub chunks: u64,
    /// Of them free.
    pub chunks_free: u64,
    /// Block buffers.
    pub blocks: u64,
    /// Of them free.
    pub blocks_free: u64,
    /// Bytes of facts that history has not taken.
    pub untold: u64,
    /// 1: the log or the disk is full.
    pub is_full: u64,
    /// Messages that wait on the route lane.
    pub route: u64,
    /// Messages that wait on the control lane.
    pub control: u64,
    /// Large receive buffers that were made.
    pub buffers: u64,
    /// Of them free.
    pub buffers_free: u64,
    /// Bytes of replies that clients have not taken.
    pub unsent: u64,
    /// Checkpoints that could not be taken.
    pub checkpoint_failures: u64,
    /// Time in which the core looked for work and found none, nanoseconds.
    pub spin_ns: u64,
    /// Stalls, by [`Where`].
    pub stalls: [u64; Where::ALL.len()],
    /// Their time, nanoseconds.
    pub stalls_ns: [u64; Where::ALL.len()],
    /// Time in which sockets were not read, by [`Held`], nanoseconds.
    pub held_ns: [u64; Held::ALL.len()],
    /// Durable writes of the log.
    pub flushes: Durations,
    /// Requests, from the closing of their epoch to its commit.
    pub commits: Durations,
    /// Requests, from arrival to reply.
    pub requests: Durations,
    /// Refused accounts, by [`event_place`].
    pub accounts_refused: [u64; EVENT_CODES],
    /// Refused transfers, by [`event_place`].
    pub transfers_refused: [u64; EVENT_CODES],
    /// Refused requests, by [`fault_place`].
    pub faults: [u64; FAULT_CODES],
}

impl Figures {
    /// A board for them.
    pub fn board() -> Board {
        Board::new(size_of::<Self>() / size_of::<u64>())
    }

    /// Shows them.
    pub fn show(&self, board: &Board) {
        board.show(bytemuck::cast_slice(std::slice::from_ref(self)));
    }

    /// Those that are shown.
    pub fn read(board: &Board) -> Self {
        let mut figures = Self::zeroed();
        board.read(bytemuck::cast_slice_mut(std::slice::from_mut(&mut figures)));
        figures
    }
}

/// Durations as they are shown.
pub fn durations(buckets: &Buckets) -> Durations {
    let mut durations = [0; BOUNDS_NS.len() + 2];
    let (sum, counts) = durations.split_last_mut().expect("there is a sum");
    counts.copy_from_slice(&buckets.counts);
    *sum = buckets.sum_ns;
    durations
}

#[cfg(test)]
mod tests {
    use super::*;
    use auriga_wire::{AccountCode, FaultCode, TransferCode};
    use std::collections::HashSet;

    #[test]
    fn every_code_has_a_place_of_its_own() {
        let transfers: HashSet<_> = TransferCode::ALL.iter().map(|code| event_place(code.number())).collect();
        let accounts: HashSet<_> = AccountCode::ALL.iter().map(|code| event_place(code.number())).collect();
        let faults: HashSet<_> = FaultCode::ALL.iter().map(|code| fault_place(code.number())).collect();
        assert_eq!(transfers.len(), TransferCode::ALL.len());
        assert_eq!(accounts.len(), AccountCode::ALL.len());
        assert_eq!(faults.len(), FaultCode::ALL.len());
        assert!(transfers.iter().chain(&accounts).all(|place| (1..EVENT_CODES).contains(place)));
        assert!(faults.iter().all(|place| *place < FAULT_CODES - 1));
    }

    #[test]
    fn figures_are_read_as_they_were_shown() {
        let board = Figures::board();
        let mut shown = Figures::zeroed();
        (shown.thread, shown.commits[3], shown.faults[FAULT_CODES - 1]) = (7, 8, 9);
        shown.show(&board);
        assert_eq!(bytemuck::bytes_of(&Figures::read(&board)), bytemuck::bytes_of(&shown));
    }
}
