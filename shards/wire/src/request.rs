//! Request frames, written in place into a buffer that is used again and again. No I/O.

use crate::buffer::AlignedBuffer;
use crate::filter::Filter;
use crate::frame::{self, Command, HEADER_SIZE, Header};
use crate::record::{Account, Transfer};
use bytemuck::Pod;

/// A request's frame in its own aligned buffer. Kept until the request is answered, it is what a retry sends again.
///
/// Making one costs no allocation once the buffer has grown: [`begin`](Self::begin), write
/// [`records_mut`](Self::records_mut), [`seal`](Self::seal), send [`bytes`](Self::bytes).
#[derive(Debug)]
pub struct RequestFrame {
    buffer: AlignedBuffer,
    command: Command,
    size: usize,
}

impl Default for RequestFrame {
    fn default() -> Self {
        Self { buffer: AlignedBuffer::default(), command: Command::Status, size: HEADER_SIZE }
    }
}

impl RequestFrame {
    /// A frame that creates accounts.
    pub fn create_accounts(accounts: &[Account]) -> Self {
        Self::of(Command::CreateAccounts, accounts)
    }

    /// A frame that creates transfers.
    pub fn create_transfers(transfers: &[Transfer]) -> Self {
        Self::of(Command::CreateTransfers, transfers)
    }

    /// A frame that looks accounts up.
    pub fn lookup_accounts(ids: &[u128]) -> Self {
        Self::of(Command::LookupAccounts, ids)
    }

    /// A frame that looks transfers up.
    pub fn lookup_transfers(ids: &[u128]) -> Self {
        Self::of(Command::LookupTransfers, ids)
    }

    /// A frame that asks for the status, and for the digest of the whole state if `digest`.
    pub fn status(digest: bool) -> Self {
        Self::of(Command::Status, &[u128::from(digest)])
    }

    /// A frame that asks for a shard's histograms.
    pub fn histograms(shard: u32) -> Self {
        Self::of(Command::Histograms, &[u128::from(shard)])
    }

    /// A frame that asks what each core does.
    pub fn activity() -> Self {
        Self::of(Command::Activity, &[0u128])
    }

    /// A frame that asks about the past; `command` is one of those that [`Command::is_of_history`].
    pub fn ask(command: Command, filter: &Filter) -> Self {
        assert!(command.is_of_history(), "{command:?} takes no filter");
        Self::of(command, std::slice::from_ref(filter))
    }

    fn of<T: Pod>(command: Command, items: &[T]) -> Self {
        let mut frame = Self::default();
        frame.begin(command, items.len());
        frame.records_mut().copy_from_slice(items);
        frame
    }

    /// Makes room for a request of `items` items. What the items hold is left over from the request before: write
    /// every one of them. Panics if there are more than a request may have.
    pub fn begin(&mut self, command: Command, items: usize) {
        let (item_size, items_max) = command.body();
        assert!(items <= items_max, "{command:?}: {items} items, expected at most {items_max}");
        self.command = command;
        self.size = HEADER_SIZE + items * item_size;
        if self.buffer.len() < self.size {
            self.buffer.resize(self.size);
        }
    }

    /// The items: [`Account`], [`Transfer`] or `u128`, by the command.
    pub fn records_mut<T: Pod>(&mut self) -> &mut [T] {
        bytemuck::cast_slice_mut(&mut self.buffer[HEADER_SIZE..self.size])
    }

    /// The items: [`Account`], [`Transfer`] or `u128`, by the command.
    pub fn records<T: Pod>(&self) -> &[T] {
        bytemuck::cast_slice(&self.buffer[HEADER_SIZE..self.size])
    }

    /// What is asked for.
    pub fn command(&self) -> Command {
        self.command
    }

    /// Number of items.
    pub fn items(&self) -> usize {
        (self.size - HEADER_SIZE) / self.command.body().0
    }

    /// Whether the number of items is one that a request may have: not 0, not too many.
    pub fn is_sendable(&self) -> bool {
        (1..=self.command.body().1).contains(&self.items())
    }

    /// Writes the header, with the client's number for the request, the cluster that is meant (0: any) and the checksum.
    pub fn seal(&mut self, request: u64, cluster: u64) {
        let header = Header { cluster, ..Header::request(self.command, request, self.size - HEADER_SIZE) };
        self.buffer[..HEADER_SIZE].copy_from_slice(bytemuck::bytes_of(&header));
        frame::seal(&mut self.buffer[..self.size]);
    }

    /// The whole frame, as it is sent.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.size]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Frame;

    #[test]
    fn a_sealed_request_passes_the_servers_check() {
        let transfers = [Transfer { id: 7, amount: 9, ..Transfer::default() }; 3];
        let mut request = RequestFrame::create_transfers(&transfers);
        request.seal(42, 5);
        let (command, frame) = Frame::check(request.bytes()).expect("the frame is good");
        assert_eq!((command, frame.header.request, frame.header.cluster), (Command::CreateTransfers, 42, 5));
        assert_eq!(frame.records::<Transfer>(), &transfers);
    }

    #[test]
    fn a_frame_is_used_again_for_something_smaller_and_larger() {
        let mut request = RequestFrame::create_accounts(&[Account::default(); 10]);
        for (command, items) in [(Command::LookupAccounts, 2), (Command::CreateTransfers, 8190)] {
            request.begin(command, items);
            request.seal(1, 0);
            assert_eq!(request.items(), items);
            assert_eq!(Frame::check(request.bytes()).expect("good").0, command);
        }
        request.begin(Command::LookupAccounts, 0);
        assert!(!request.is_sendable());
    }
}
