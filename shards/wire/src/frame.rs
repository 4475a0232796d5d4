//! Frames: one header of 128 bytes and a body. The bytes are described in `WIRE.md`.
//!
//! A request's frame lies in the log as it came, so its checksum protects the records from the client's memory to
//! the replay. Nothing here does I/O.

use crate::code::FaultCode;
use crate::filter::FILTER_SIZE;
use crate::record::{Account, AccountFlags, RECORD_SIZE, Transfer, TransferFlags};
use bytemuck::{Pod, Zeroable};
use std::fmt;

/// The first bytes of a frame after its checksum.
pub const MAGIC: u32 = u32::from_le_bytes(*b"AURG");
/// The wire version of this crate.
pub const VERSION: u16 = 1;
/// Bytes of a header.
pub const HEADER_SIZE: usize = 128;
/// Most records (or ids) in a request. With header and block header it makes a log block of exactly 1 MiB.
pub const REQUEST_RECORDS_MAX: usize = 8_190;
/// Most bytes of a frame, either way.
pub const FRAME_SIZE_MAX: usize = HEADER_SIZE + REQUEST_RECORDS_MAX * RECORD_SIZE;
/// Bit of [`Header::command`] that marks a reply.
pub const REPLY: u16 = 0x8000;
/// Bytes of an id in the body of a look-up.
pub const ID_SIZE: usize = 16;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Command {
    /// Body: 1 to 8,190 [`Account`]s. Reply: [`crate::EventResult`]s.
    CreateAccounts = 1,
    /// Body: 1 to 8,190 [`Transfer`]s. Reply: [`crate::EventResult`]s.
    CreateTransfers = 2,
    /// Body: 1 to 8,190 ids. Reply: the accounts that exist, in the order of the ids.
    LookupAccounts = 3,
    /// Body: 1 to 8,190 ids. Reply: the transfers that were created, in the order of the ids.
    LookupTransfers = 4,
    /// Body: 16 bytes; the first is 1 to ask for the digest, too. Reply: [`crate::report::Status`].
    Status = 5,
    /// Body: 16 bytes; the first four are the shard's number. Reply: [`crate::report::ShardHistograms`].
    Histograms = 6,
    /// Body: a [`crate::Filter`]. Reply: transfers of the account, as they were executed.
    AccountTransfers = 7,
    /// Body: a [`crate::Filter`]. Reply: [`crate::record::AccountBalance`]s, one for each such transfer.
    AccountBalances = 8,
    /// Body: a [`crate::Filter`]. Reply: accounts, by the time of their creation, with their present balances.
    QueryAccounts = 9,
    /// Body: a [`crate::Filter`]. Reply: transfers, as they were executed.
    QueryTransfers = 10,
    /// Body: 16 bytes, 0. Reply: [`crate::report::Activity`].
    Activity = 11,
}

impl Command {
    /// The command with this number, without the reply bit.
    pub const fn from_number(number: u16) -> Option<Self> {
        Some(match number {
            1 => Self::CreateAccounts,
            2 => Self::CreateTransfers,
            3 => Self::LookupAccounts,
            4 => Self::LookupTransfers,
            5 => Self::Status,
            6 => Self::Histograms,
            7 => Self::AccountTransfers,
            8 => Self::AccountBalances,
            9 => Self::QueryAccounts,
            10 => Self::QueryTransfers,
            11 => Self::Activity,
            _ => return None,
        })
    }

    /// Whether the request is logged and executed (or only read).
    pub const fn writes(self) -> bool {
        matches!(self, Self::CreateAccounts | Self::CreateTransfers)
    }

    /// Whether the request asks about the past, with a [`crate::Filter`].
    pub const fn is_of_history(self) -> bool {
        self.body().0 == FILTER_SIZE && !self.writes()
    }

    /// Bytes of one item of a request's body, and how many there may be.
    pub(crate) const fn body(self) -> (usize, usize) {
        match self {
            Self::CreateAccounts | Self::CreateTransfers => (RECORD_SIZE, REQUEST_RECORDS_MAX),
            Self::LookupAccounts | Self::LookupTransfers => (ID_SIZE, REQUEST_RECORDS_MAX),
            Self::Status | Self::Histograms | Self::Activity => (ID_SIZE, 1),
            Self::AccountTransfers | Self::AccountBalances | Self::QueryAccounts | Self::QueryTransfers => {
                (FILTER_SIZE, 1)
            }
        }
    }
}

/// The header of a frame; the layout of its 128 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Header {
    /// xxh3-128 of the frame's bytes from 16 on.
    pub checksum: u128,
    /// [`MAGIC`].
    pub magic: u32,
    /// [`VERSION`].
    pub version: u16,
    /// [`Command`]; with [`REPLY`] in a reply.
    pub command: u16,
    /// Bytes of the frame, header included.
    pub size: u32,
    /// In a reply: 0, or the [`FaultCode`] for which the whole request was refused. In a request: 0.
    pub status: u32,
    /// The client's number for the request, repeated in its reply.
    pub request: u64,
    /// In the reply to a creation: the timestamp of the first event in nanoseconds; event i has this + i.
    /// In the other replies: the timestamp up to which the answer is complete. In a request: 0.
    pub timestamp: u64,
    /// The cluster that is meant; 0 in a request: any.
    pub cluster: u64,
    /// In the reply to a question about the past: where the next page begins ([`crate::Filter::next`]), 0 if nothing more
    /// matches. Otherwise 0.
    pub cursor: u64,
    /// 0.
    pub reserved: [u64; 8],
}

const _: () = assert!(size_of::<Header>() == HEADER_SIZE);

/// A request that can't be taken as a whole: the code and what exactly was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of fault.
    pub code: FaultCode,
    /// What was found, what was expected and what to do.
    pub message: String,
}

impl Fault {
    /// A fault with its message.
    pub fn new(code: FaultCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Fault {}

impl Header {
    /// The header of a request whose body has `body_size` bytes; [`seal`] adds the checksum.
    pub fn request(command: Command, request: u64, body_size: usize) -> Self {
        Self {
            magic: MAGIC,
            version: VERSION,
            command: command as u16,
            size: frame_size(body_size),
            request,
            ..Self::default()
        }
    }

    /// The header of the reply to `request`.
    pub fn reply(request: &Self, status: u32, timestamp: u64, cluster: u64, body_size: usize) -> Self {
        Self {
            magic: MAGIC,
            version: VERSION,
            command: request.command | REPLY,
            size: frame_size(body_size),
            status,
            request: request.request,
            timestamp,
            cluster,
            ..Self::default()
        }
    }

    /// Reads the header at the start of `bytes` and checks what tells how to go on: magic, version and size.
    /// The checksum is left for [`Frame::check`]. Panics if there are fewer than 128 bytes.
    pub fn peek(bytes: &[u8]) -> Result<Self, Fault> {
        let header: Self = bytemuck::pod_read_unaligned(&bytes[..HEADER_SIZE]);
        if header.magic != MAGIC {
            return Err(Fault::new(
                FaultCode::BadMagic,
                format!(
                    "found {:08x}, expected {MAGIC:08x} (\"AURG\"): is this an Auriga client?",
                    header.magic
                ),
            ));
        }
        if header.version != VERSION {
            return Err(Fault::new(
                FaultCode::UnknownVersion,
                format!("found wire version {}, this side speaks version {VERSION}", header.version),
            ));
        }
        let size = header.size as usize;
        if !(HEADER_SIZE..=FRAME_SIZE_MAX).contains(&size) {
            return Err(Fault::new(
                FaultCode::BadSize,
                format!("found {size} bytes, expected {HEADER_SIZE} to {FRAME_SIZE_MAX}"),
            ));
        }
        Ok(header)
    }
}

fn frame_size(body_size: usize) -> u32 {
    assert!(HEADER_SIZE + body_size <= FRAME_SIZE_MAX, "a frame's body of {body_size} bytes is too large");
    (HEADER_SIZE + body_size) as u32
}

/// Writes the checksum into the header of a complete frame.
pub fn seal(frame: &mut [u8]) {
    let checksum = checksum(frame);
    frame[..16].copy_from_slice(&checksum.to_le_bytes());
}

fn checksum(frame: &[u8]) -> u128 {
    xxhash_rust::xxh3::xxh3_128(&frame[16..])
}

/// A frame that was checked, in place.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// A copy of the header.
    pub header: Header,
    bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Checks a whole request frame: header, checksum, command, body size, no chain left open.
    /// `bytes` must be the frame alone, at an address that is a multiple of 16.
    pub fn check(bytes: &'a [u8]) -> Result<(Command, Self), Fault> {
        let frame = Self::check_envelope(bytes)?;
        let header = frame.header;
        let Some(command) = Command::from_number(header.command) else {
            return Err(Fault::new(
                FaultCode::UnknownCommand,
                format!("found command {}, expected 1 to 11", header.command),
            ));
        };
        if header.status != 0 || header.timestamp != 0 || header.cursor != 0 {
            return Err(Fault::new(
                FaultCode::ReservedBytesSet,
                "status, timestamp and cursor of a request must be 0",
            ));
        }
        let (item, items_max) = command.body();
        let body = frame.body().len();
        if body == 0 || !body.is_multiple_of(item) || body / item > items_max {
            return Err(Fault::new(
                FaultCode::BadSize,
                format!(
                    "{command:?}: found a body of {body} bytes, expected 1 to {items_max} items of {item} bytes"
                ),
            ));
        }
        frame.refuse_open_chain(command)?;
        Ok((command, frame))
    }

    /// Checks what requests and replies have in common: size, magic, version, checksum, reserved bytes.
    pub fn check_envelope(bytes: &'a [u8]) -> Result<Self, Fault> {
        assert!(bytes.as_ptr().addr().is_multiple_of(16), "a frame must lie at a multiple of 16");
        if bytes.len() < HEADER_SIZE {
            return Err(Fault::new(
                FaultCode::BadSize,
                format!("found {} bytes, expected at least {HEADER_SIZE}", bytes.len()),
            ));
        }
        let header = Header::peek(bytes)?;
        if header.size as usize != bytes.len() {
            return Err(Fault::new(
                FaultCode::BadSize,
                format!("the header says {} bytes, the frame has {}", header.size, bytes.len()),
            ));
        }
        let found = checksum(bytes);
        if found != header.checksum {
            return Err(Fault::new(
                FaultCode::BadChecksum,
                format!("the bytes hash to {found:032x}, the header says {:032x}", header.checksum),
            ));
        }
        if header.reserved != [0; 8] {
            return Err(Fault::new(FaultCode::ReservedBytesSet, "bytes 64 to 127 of the header must be 0"));
        }
        Ok(Self { header, bytes })
    }

    fn refuse_open_chain(&self, command: Command) -> Result<(), Fault> {
        let open = match command {
            Command::CreateAccounts => {
                self.records::<Account>().last().is_some_and(|a| a.flags & AccountFlags::LINKED != 0)
            }
            Command::CreateTransfers => {
                self.records::<Transfer>().last().is_some_and(|t| t.flags & TransferFlags::LINKED != 0)
            }
            _ => false,
        };
        if open {
            return Err(Fault::new(
                FaultCode::ChainOpen,
                "the last event has the flag `linked`: a chain ends, in its request, with an event without it",
            ));
        }
        Ok(())
    }

    /// The whole frame.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What follows the header.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[HEADER_SIZE..]
    }

    /// The body as records, in place. Panics if the body's size is no multiple of theirs (a checked request's is).
    pub fn records<T: Pod>(&self) -> &'a [T] {
        bytemuck::cast_slice(self.body())
    }
}
