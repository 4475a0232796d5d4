//! Replies: bytes of a stream in, checked replies out. No I/O; safe to feed with anything.

use crate::buffer::AlignedBuffer;
use crate::code::FaultCode;
use crate::frame::{Command, FRAME_SIZE_MAX, Fault, Frame, HEADER_SIZE, Header, REPLY, REQUEST_RECORDS_MAX};
use crate::record::{Account, AccountBalance, EventResult, Transfer};
use crate::report::{Activity, ShardHistograms, Status};
use bytemuck::Pod;

/// Room that a fresh reader makes; replies to creations that went well have 128 bytes.
const READ_SIZE: usize = 16 * 1024;

/// A reply that was checked, in place.
#[derive(Debug)]
pub struct Reply<'a> {
    /// The client's number of the request that is answered. 0: no request in particular, the connection is meant.
    pub request: u64,
    /// Creations: the timestamp of the first event; event i has this + i. Otherwise: up to where the answer is complete.
    pub timestamp: u64,
    /// The cluster that answers.
    pub cluster: u64,
    /// Of an answer about the past: where the next page begins, 0 if there is none.
    pub cursor: u64,
    /// The answer.
    pub body: ReplyBody<'a>,
}

/// What a reply says.
#[derive(Debug)]
pub enum ReplyBody<'a> {
    /// Accounts were created, except these, which are refused.
    CreatedAccounts(&'a [EventResult]),
    /// Transfers were created as they were sent, except these.
    CreatedTransfers(&'a [EventResult]),
    /// The accounts that exist, in the order of the ids.
    Accounts(&'a [Account]),
    /// The transfers that were created, in the order of the ids.
    Transfers(&'a [Transfer]),
    /// The server's status.
    Status(Box<Status>),
    /// A shard's histograms.
    Histograms(Box<ShardHistograms>),
    /// Transfers of an account.
    AccountTransfers(&'a [Transfer]),
    /// Balances of an account.
    AccountBalances(&'a [AccountBalance]),
    /// Accounts by what they are.
    QueriedAccounts(&'a [Account]),
    /// Transfers by what they are.
    QueriedTransfers(&'a [Transfer]),
    /// What each core does.
    Activity(Box<Activity>),
    /// The whole request was refused.
    Refused(Fault),
}

impl<'a> Reply<'a> {
    /// Decodes a whole reply frame: header, checksum, sizes, the order of results. `bytes` must be the frame alone,
    /// at an address that is a multiple of 16. What depends on the request is left to [`matches`](Self::matches).
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Fault> {
        let frame = Frame::check_envelope(bytes)?;
        let header = frame.header;
        if header.command & REPLY == 0 {
            let found = header.command;
            return Err(Fault::new(
                FaultCode::UnknownCommand,
                format!("found the request {found} where a reply was expected: is the other side a server?"),
            ));
        }
        let body = match header.status {
            0 => ReplyBody::decode(&frame)?,
            status => ReplyBody::Refused(refused(status, frame.body())?),
        };
        let Header { request, timestamp, cluster, cursor, .. } = header;
        Ok(Self { request, timestamp, cluster, cursor, body })
    }

    /// Whether this can be the answer to a request of this command and these `items`: the same command, no index and
    /// no count beyond the request.
    pub fn matches(&self, command: Command, items: usize) -> Result<(), Fault> {
        let found = match &self.body {
            ReplyBody::Refused(_) => return Ok(()),
            ReplyBody::CreatedAccounts(results) => {
                check_bounds(results, items)?;
                Command::CreateAccounts
            }
            ReplyBody::CreatedTransfers(results) => {
                check_bounds(results, items)?;
                Command::CreateTransfers
            }
            ReplyBody::Accounts(accounts) => {
                check_count(accounts.len(), items)?;
                Command::LookupAccounts
            }
            ReplyBody::Transfers(transfers) => {
                check_count(transfers.len(), items)?;
                Command::LookupTransfers
            }
            ReplyBody::Status(_) => Command::Status,
            ReplyBody::Histograms(_) => Command::Histograms,
            ReplyBody::AccountTransfers(_) => Command::AccountTransfers,
            ReplyBody::AccountBalances(_) => Command::AccountBalances,
            ReplyBody::QueriedAccounts(_) => Command::QueryAccounts,
            ReplyBody::QueriedTransfers(_) => Command::QueryTransfers,
            ReplyBody::Activity(_) => Command::Activity,
        };
        if found != command {
            let text = format!("request {} was {command:?}, its reply is one to {found:?}", self.request);
            return Err(Fault::new(FaultCode::UnknownCommand, text));
        }
        Ok(())
    }
}

impl<'a> ReplyBody<'a> {
    fn decode(frame: &Frame<'a>) -> Result<Self, Fault> {
        let number = frame.header.command & !REPLY;
        let Some(command) = Command::from_number(number) else {
            let text = format!("found a reply to command {number}, expected 1 to 11");
            return Err(Fault::new(FaultCode::UnknownCommand, text));
        };
        Ok(match command {
            Command::CreateAccounts => Self::CreatedAccounts(results(frame.body(), false)?),
            Command::CreateTransfers => Self::CreatedTransfers(results(frame.body(), true)?),
            Command::LookupAccounts => Self::Accounts(records(frame.body())?),
            Command::LookupTransfers => Self::Transfers(records(frame.body())?),
            Command::Status => Self::Status(Box::new(Status::decode(frame.body())?)),
            Command::Histograms => Self::Histograms(Box::new(ShardHistograms::decode(frame.body())?)),
            Command::AccountTransfers => Self::AccountTransfers(records(frame.body())?),
            Command::AccountBalances => Self::AccountBalances(records(frame.body())?),
            Command::QueryAccounts => Self::QueriedAccounts(records(frame.body())?),
            Command::QueryTransfers => Self::QueriedTransfers(records(frame.body())?),
            Command::Activity => Self::Activity(Box::new(Activity::decode(frame.body())?)),
        })
    }
}

fn refused(status: u32, message: &[u8]) -> Result<Fault, Fault> {
    let message = String::from_utf8_lossy(message);
    match FaultCode::from_number(status) {
        Some(code) => Ok(Fault::new(code, message)),
        None => Err(Fault::new(
            FaultCode::UnknownVersion,
            format!(
                "the server refused the request for a reason {status} that this client does not know: {message}"
            ),
        )),
    }
}

fn records<T: Pod>(body: &[u8]) -> Result<&[T], Fault> {
    let size = size_of::<T>();
    if !body.len().is_multiple_of(size) || body.len() / size > REQUEST_RECORDS_MAX {
        let found = body.len();
        let text = format!(
            "found a reply's body of {found} bytes, expected 0 to {REQUEST_RECORDS_MAX} items of {size}"
        );
        return Err(Fault::new(FaultCode::BadSize, text));
    }
    Ok(bytemuck::cast_slice(body))
}

fn results(body: &[u8], may_balance: bool) -> Result<&[EventResult], Fault> {
    let results: &[EventResult] = records(body)?;
    for pair in results.windows(2) {
        if pair[0].index >= pair[1].index {
            let text = format!(
                "found the result of event {} after {}, expected growing indexes",
                pair[1].index, pair[0].index
            );
            return Err(Fault::new(FaultCode::BadSize, text));
        }
    }
    let is_sound = |r: &EventResult| {
        let known = if r.is_refused() { r.code != 0 && r.amount == 0 } else { may_balance };
        known && r.reserved == 0
    };
    if let Some(result) = results.iter().find(|result| !is_sound(result)) {
        let text = format!("the result of event {} has code {} or reserved bytes", result.index, result.code);
        return Err(Fault::new(FaultCode::ReservedBytesSet, text));
    }
    Ok(results)
}

fn check_bounds(results: &[EventResult], items: usize) -> Result<(), Fault> {
    match results.last() {
        Some(last) if last.index as usize >= items => {
            let text = format!("found a result of event {}, the request had {items} events", last.index);
            Err(Fault::new(FaultCode::BadSize, text))
        }
        _ => Ok(()),
    }
}

fn check_count(found: usize, items: usize) -> Result<(), Fault> {
    if found > items {
        let text = format!("found {found} records, the request named {items} ids");
        return Err(Fault::new(FaultCode::BadSize, text));
    }
    Ok(())
}

/// Cuts a byte stream into reply frames. Its buffer grows to the largest reply seen and is used again.
///
/// Fill [`space`](Self::space), say how much with [`filled`](Self::filled), take [`next_frame`](Self::next_frame)
/// until there is none.
#[derive(Debug, Default)]
pub struct ReplyReader {
    buffer: AlignedBuffer,
    start: usize,
    end: usize,
}

impl ReplyReader {
    /// Where the next bytes of the stream go; never empty.
    pub fn space(&mut self) -> &mut [u8] {
        let missing = self.missing();
        if self.start != 0 && (self.start == self.end || self.buffer.len() - self.end < missing) {
            self.move_to_front();
        }
        let wanted = (self.end + missing).max(READ_SIZE);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted);
        }
        &mut self.buffer[self.end..]
    }

    /// `count` bytes of [`space`](Self::space) were filled.
    pub fn filled(&mut self, count: usize) {
        assert!(self.end + count <= self.buffer.len(), "more bytes were filled than there was space for");
        self.end += count;
    }

    /// Whether a part of a frame has arrived.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The next whole frame, taken from the stream, if it is there. An error means that the stream can't be read on.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, Fault> {
        let Some(size) = self.whole_frame()? else {
            return Ok(None);
        };
        if !self.start.is_multiple_of(16) {
            self.move_to_front();
        }
        let start = self.start;
        self.start += size;
        Ok(Some(&self.buffer[start..start + size]))
    }

    /// Whether [`next_frame`](Self::next_frame) has something to give: a whole frame or an error.
    pub fn has_next(&self) -> bool {
        !matches!(self.whole_frame(), Ok(None))
    }

    fn whole_frame(&self) -> Result<Option<usize>, Fault> {
        let arrived = &self.buffer[self.start..self.end];
        if arrived.len() < HEADER_SIZE {
            return Ok(None);
        }
        let size = Header::peek(arrived)?.size as usize;
        Ok((arrived.len() >= size).then_some(size))
    }

    /// Bytes that complete the frame at hand, as far as is known; at least 1.
    fn missing(&self) -> usize {
        let arrived = &self.buffer[self.start..self.end];
        let size = match arrived.len() {
            ..HEADER_SIZE => HEADER_SIZE,
            _ => Header::peek(arrived).map_or(FRAME_SIZE_MAX, |header| header.size as usize),
        };
        size.saturating_sub(arrived.len()).max(1)
    }

    fn move_to_front(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(command: Command, status: u32, body: &[u8]) -> Vec<u8> {
        let request = Header::request(command, 3, 0);
        let header = Header::reply(&request, status, 9, 1, body.len());
        let mut bytes = [bytemuck::bytes_of(&header), body].concat();
        crate::frame::seal(&mut bytes);
        bytes
    }

    fn samples() -> Vec<Vec<u8>> {
        let refusal = |index| EventResult::refused(index, 54);
        vec![
            frame(Command::CreateTransfers, 0, &[]),
            frame(Command::CreateAccounts, 0, bytemuck::cast_slice(&[refusal(1), refusal(4)])),
            frame(Command::LookupAccounts, 0, bytemuck::bytes_of(&Account::default())),
            frame(Command::LookupTransfers, 0, bytemuck::bytes_of(&Transfer::default())),
            frame(Command::Status, 0, &Status { version: "1".into(), ..Status::default() }.encode()),
            frame(Command::Histograms, 0, &ShardHistograms::default().encode()),
            frame(Command::Activity, 0, &Activity::default().encode()),
            frame(Command::Status, FaultCode::NotReady.number(), b"odd"),
        ]
    }

    /// Feeds a stream in pieces and decodes all that comes out; returns how many replies there were.
    fn read(stream: &[u8], mut piece: impl FnMut() -> usize) -> Result<usize, Fault> {
        let (mut reader, mut rest, mut count) = (ReplyReader::default(), stream, 0);
        while !rest.is_empty() {
            let space = reader.space();
            let size = piece().clamp(1, rest.len().min(space.len()));
            space[..size].copy_from_slice(&rest[..size]);
            reader.filled(size);
            rest = &rest[size..];
            while let Some(bytes) = reader.next_frame()? {
                Reply::decode(bytes)?;
                count += 1;
            }
        }
        Ok(count)
    }

    #[test]
    fn a_stream_in_any_pieces_gives_the_same_replies() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut samples = samples();
            random.shuffle(&mut samples);
            let piece_max = random.usize(1..2_000);
            let found = read(&samples.concat(), || random.usize(1..=piece_max));
            assert_eq!(found, Ok(samples.len()), "seed {seed}");
        }
    }

    #[test]
    fn damaged_replies_are_errors_and_never_a_panic() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut refused = 0;
        for round in 0..20_000 {
            let samples = samples();
            let mut bytes = samples[round % samples.len()].clone();
            let place = random.usize(0..bytes.len());
            bytes[place] ^= 1 << random.u8(0..8);
            if random.bool() {
                // A sender that garbles before it seals: the checksum fits, what it protects doesn't.
                crate::frame::seal(&mut bytes);
            }
            refused += u32::from(read(&bytes, || 4_096) != Ok(1));
        }
        assert!(refused > 10_000, "only {refused} of 20,000 damaged replies were noticed");
    }

    #[test]
    fn a_reply_must_fit_its_request() {
        let bytes = |sample: usize| {
            let mut buffer = AlignedBuffer::default();
            buffer.extend_from_slice(&samples()[sample]);
            buffer
        };
        let cases = [
            (1, Command::CreateAccounts, 5, true),
            (1, Command::CreateAccounts, 4, false),
            (1, Command::CreateTransfers, 5, false),
            (2, Command::LookupAccounts, 1, true),
            (2, Command::LookupAccounts, 0, false),
            (7, Command::LookupAccounts, 1, true),
        ];
        for (sample, command, items, good) in cases {
            let bytes = bytes(sample);
            let reply = Reply::decode(&bytes).expect("the frame is good");
            assert_eq!(reply.matches(command, items).is_ok(), good, "{sample} {command:?} {items}");
        }
    }
}
