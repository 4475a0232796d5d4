//! A connection: frames in, replies out, on the core that it was given to. One task reads; replies are sent at once
//! and, when the socket is full, by a second task.
//!
//! Every bound on what a client can make the server hold is here: one frame at a time, so many requests under way, so
//! many unsent bytes, and a time for each, which [`patience`] looks at.

mod patience;

use crate::buffers::Unsent;
use crate::executor::{Admission, Core};
use crate::monitor::figures::Held;
use crate::readiness::{Readiness, Watched};
use crate::runtime::{self, Ready};
use crate::socket;
use auriga_shards::arrival::ConnectionId;
use auriga_wire::frame::{Command, FRAME_SIZE_MAX, HEADER_SIZE, Header, ID_SIZE};
use auriga_wire::record::RECORD_SIZE;
use auriga_wire::{AlignedBuffer, Fault, FaultCode, Frame};
use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::rc::Rc;
use std::time::Duration;

/// Requests of one connection that may be under way.
pub const PIPELINE_MAX: u32 = 64;
/// Unsent bytes of one connection, or bytes that answers under way may have, at which no more of its requests are read.
const UNSENT_MAX: usize = 256 << 10;
/// Bytes of the buffer that every connection has; larger frames borrow one of the shard's.
pub const SMALL_BUFFER: usize = 8 << 10;
/// Time to the next attempt when a socket that was to take bytes took none.
const SEND_AGAIN: Duration = Duration::from_millis(10);
/// A frame must be whole, and a reply be taken, in this time; a first request must come in it. Nanoseconds.
pub const PATIENCE_NS: u64 = 30_000_000_000;

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The client has closed it, or it broke.
    ByClient,
    /// For a fault in a request.
    Fault(FaultCode),
    /// It never sent a whole request.
    Silent,
    /// It doesn't take its replies.
    Stalled,
    /// The server stops.
    Stopping,
}

impl Closed {
    /// The names of all reasons.
    pub fn names() -> Vec<&'static str> {
        let own = [Self::ByClient, Self::Silent, Self::Stalled, Self::Stopping].map(Self::name);
        own.into_iter().chain(FaultCode::ALL.iter().map(|code| code.name())).collect()
    }

    /// The reason's name in the status.
    pub fn name(self) -> &'static str {
        match self {
            Self::ByClient => "client_closed",
            Self::Fault(code) => code.name(),
            Self::Silent => "silent",
            Self::Stalled => "stalled",
            Self::Stopping => "stopping",
        }
    }
}

/// An open connection.
pub struct Connection {
    /// Its number.
    pub id: ConnectionId,
    reading: Watched,
    socket: Ready<TcpStream>,
    unsent: RefCell<Vec<u8>>,
    /// The unsent bytes of all connections of the core.
    unsent_of_all: Rc<Unsent>,
    sender_runs: Cell<bool>,
    /// Requests whose reply is not handed to the socket.
    under_way: Cell<u32>,
    /// Most bytes that the answers to its look-ups can have, since none of its requests was under way.
    owed: Cell<usize>,
    /// Something has changed that its reader may wait for.
    pub changed: runtime::Signal,
    /// Since when a frame is incomplete, or the first one outstanding.
    receiving_since: Cell<Option<u64>>,
    served: Cell<bool>,
    /// It holds a large buffer; and bytes have come since its patience was looked at.
    holds_large: Cell<bool>,
    progressed: Cell<bool>,
    /// Since when unsent bytes make no progress.
    unsent_since: Cell<Option<u64>>,
    /// Bytes sent since its patience was looked at; and whether they were few then, although more waited.
    taken: Cell<usize>,
    is_slow: Cell<bool>,
    closed: Cell<Option<Closed>>,
    /// It was refused, and what its client still sends is thrown away.
    lingers: Cell<bool>,
}

impl Connection {
    /// A connection on this executor.
    pub fn new(
        id: ConnectionId,
        socket: TcpStream,
        unsent_of_all: Rc<Unsent>,
        readiness: &Rc<Readiness>,
        now_ns: u64,
    ) -> std::io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        socket::limit_unacknowledged(&socket, UNSENT_MAX)?;
        Ok(Self {
            id,
            reading: readiness.watch(&socket)?,
            socket: Ready::new(socket)?,
            unsent: RefCell::new(Vec::new()),
            unsent_of_all,
            sender_runs: Cell::new(false),
            under_way: Cell::new(0),
            owed: Cell::new(0),
            changed: runtime::Signal::default(),
            receiving_since: Cell::new(Some(now_ns)),
            served: Cell::new(false),
            holds_large: Cell::new(false),
            progressed: Cell::new(false),
            unsent_since: Cell::new(None),
            taken: Cell::new(0),
            is_slow: Cell::new(false),
            closed: Cell::new(None),
            lingers: Cell::new(false),
        })
    }

    /// Closes it; the first reason that is given counts.
    pub fn close(&self, why: Closed) {
        let before = self.closed.get();
        self.closed.set(before.or(Some(why)));
        match why {
            // Its reader has found it, and still has to take what the client sends ([`Self::linger`]).
            Closed::Fault(_) if before == Some(why) => {}
            Closed::Fault(_) => drop(self.socket.get().shutdown(Shutdown::Read)),
            _ => drop(self.socket.get().shutdown(Shutdown::Both)),
        }
        self.changed.notify();
    }

    /// A request is under way whose answer has at most so many bytes.
    pub fn begin(&self, answer_size_max: usize) {
        self.under_way.set(self.under_way.get() + 1);
        self.owed.set(self.owed.get() + answer_size_max);
    }

    /// A request is not under way any more.
    pub fn end(&self) {
        self.under_way.set(self.under_way.get() - 1);
        if self.under_way.get() == 0 {
            self.owed.set(0);
        }
        self.changed.notify();
    }

    /// Requests that are whole in memory and not answered.
    pub fn under_way(&self) -> u32 {
        self.under_way.get()
    }

    /// Whether no more of its requests are taken until it takes answers.
    fn is_owed_enough(&self) -> bool {
        let unsent_max = if self.unsent_of_all.is_short() { 0 } else { UNSENT_MAX };
        self.under_way.get() >= PIPELINE_MAX
            || self.owed.get() > UNSENT_MAX
            || self.unsent.borrow().len() > unsent_max
    }

    /// Whether its client has answers to take.
    pub fn has_unsent(&self) -> bool {
        !self.unsent.borrow().is_empty()
    }

    /// Whether everything it is owed was handed to the socket.
    pub fn is_quiet(&self) -> bool {
        self.under_way.get() == 0 && self.unsent.borrow().is_empty()
    }

    /// Whether its client's machine has everything it is owed. A socket that is closed with bytes unread resets the
    /// connection, and what is still on its way then is lost.
    pub fn is_settled(&self) -> bool {
        self.is_quiet() && socket::unacknowledged(self.socket.get()) == 0
    }

    /// Sends a reply, or as much of it as the socket takes; the rest follows.
    pub fn send(self: &Rc<Self>, bytes: &[u8], now_ns: u64) {
        let mut unsent = self.unsent.borrow_mut();
        let sent = if unsent.is_empty() { self.send_some(bytes) } else { 0 };
        if sent == bytes.len() {
            return;
        }
        unsent.extend_from_slice(&bytes[sent..]);
        self.unsent_of_all.add(bytes.len() - sent);
        self.unsent_since.set(self.unsent_since.get().or(Some(now_ns)));
        if !self.sender_runs.replace(true) {
            let connection = self.clone();
            runtime::spawn(async move { connection.send_rest().await });
        }
    }

    /// Bytes that the socket took; all of them, into nowhere, if it is broken: its reader will notice.
    fn send_some(&self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.socket.get().write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return bytes.len(),
            }
        }
        self.taken.set(self.taken.get() + sent);
        sent
    }

    async fn send_rest(&self) {
        loop {
            let is_broken = self.socket.writable().await.is_err();
            let sent = self.send_unsent(is_broken);
            if !self.has_unsent() {
                break;
            }
            if sent == 0 {
                // Short of memory for sockets, the kernel calls them writable and takes nothing.
                runtime::sleep(SEND_AGAIN).await;
            }
        }
        self.sender_runs.set(false);
        self.changed.notify();
    }

    /// Sends what the socket takes of what waits, or throws all of it away; bytes that wait no more.
    fn send_unsent(&self, is_broken: bool) -> usize {
        let mut unsent = self.unsent.borrow_mut();
        let sent = if is_broken { unsent.len() } else { self.send_some(&unsent) };
        unsent.drain(..sent);
        self.unsent_of_all.remove(sent);
        if unsent.is_empty() {
            *unsent = Vec::new();
            self.unsent_since.set(None);
        } else if sent > 0 {
            self.unsent_since.set(Some(crate::clock::now().monotonic_ns));
        }
        sent
    }

    /// Reads and hands over requests until the connection ends; returns why it did.
    pub async fn serve(self: &Rc<Self>, core: &Core) -> Closed {
        let mut frames = Frames::new();
        loop {
            match self.next_frame(&mut frames, core).await {
                Ok(()) => {}
                Err(Stop::Closed(why)) => {
                    self.close(why);
                    break;
                }
                Err(Stop::Fault(header, fault)) => {
                    self.closed.set(self.closed.get().or(Some(Closed::Fault(fault.code))));
                    core.refuse(self, &header, &fault);
                    break;
                }
            }
        }
        frames.give_back(core);
        // What it is owed is sent before the socket is closed, as far as the client takes it.
        while !self.is_quiet() {
            self.changed.wait().await;
        }
        let why = self.closed.get().unwrap_or(Closed::ByClient);
        if matches!(why, Closed::Fault(_)) {
            self.linger().await;
        }
        why
    }

    /// Receives one frame and hands it to the shard.
    async fn next_frame(self: &Rc<Self>, frames: &mut Frames, core: &Core) -> Result<(), Stop> {
        let size = loop {
            if let Some(why) = self.closed.get() {
                return Err(Stop::Closed(why));
            }
            if self.is_owed_enough() {
                // The server doesn't read: what the client has sent of its next request can't become more.
                self.receiving_since.set(None);
                core.pressure.during(Held::Unanswered, self.changed.wait()).await;
                self.note_bytes(frames);
                continue;
            }
            match frames.whole() {
                Ok(Some(size)) => break size,
                Ok(None) => {}
                Err(fault) => {
                    let readable = !matches!(fault.code, FaultCode::BadMagic | FaultCode::UnknownVersion);
                    let header = if readable { frames.raw_header() } else { Header::default() };
                    return Err(Stop::Fault(Box::new(header), fault));
                }
            }
            if frames.lacks_room() {
                self.receiving_since.set(None);
                frames.make_room(core).await;
                self.note_bytes(frames);
            }
            self.holds_large.set(frames.small.is_some());
            self.receive(frames).await?;
        };
        self.receiving_since.set(None);
        let at = frames.start..frames.start + size;
        let (command, frame) = Frame::check(&frames.buffer[at.clone()])
            .and_then(|(command, frame)| core.check_header(&frame).map(|()| (command, frame)))
            .map_err(|fault| Stop::Fault(Box::new(frames.raw_header()), fault))?;
        self.begin(answer_size_max(command, frame.body()));
        loop {
            match core.submit(self.id, command, &frame) {
                Admission::Taken => break,
                Admission::Later => core.pressure.during(Held::Room, core.room.wait()).await,
                Admission::Stopping => {
                    self.end();
                    let fault =
                        Fault::new(FaultCode::ShuttingDown, "the server is stopping: connect again later");
                    return Err(Stop::Fault(Box::new(frame.header), fault));
                }
            }
        }
        self.served.set(true);
        frames.consume(size, core);
        self.holds_large.set(frames.small.is_some());
        self.note_bytes(frames);
        if frames.has_bytes() {
            runtime::yield_now().await;
        }
        Ok(())
    }

    /// From now on the client is waited for, if a frame has begun.
    fn note_bytes(&self, frames: &Frames) {
        if frames.has_bytes() {
            self.receiving_since.set(Some(crate::clock::now().monotonic_ns));
        }
    }

    /// Waits for bytes and takes them.
    async fn receive(&self, frames: &mut Frames) -> Result<(), Stop> {
        loop {
            self.reading.readable().await;
            let room = frames.free();
            let wanted = room.len();
            match self.socket.get().read(room) {
                Ok(0) => return Err(Stop::Closed(self.closed.get().unwrap_or(Closed::ByClient))),
                Ok(count) => {
                    if self.receiving_since.get().is_none() {
                        self.receiving_since.set(Some(crate::clock::now().monotonic_ns));
                    }
                    frames.end += count;
                    if count < wanted {
                        self.reading.is_drained();
                    }
                    self.progressed.set(true);
                    return Ok(());
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.reading.is_drained(),
                Err(_) => return Err(Stop::Closed(Closed::ByClient)),
            }
        }
    }
}

/// Most bytes of the answer to a look-up; other answers are small.
pub fn answer_size_max(command: Command, body: &[u8]) -> usize {
    match command {
        Command::LookupAccounts | Command::LookupTransfers => {
            HEADER_SIZE + body.len() / ID_SIZE * RECORD_SIZE
        }
        _ => 0,
    }
}

enum Stop {
    Closed(Closed),
    Fault(Box<Header>, Fault),
}

/// The bytes that were received and not handed over: `start..end` of the buffer.
struct Frames {
    buffer: AlignedBuffer,
    start: usize,
    end: usize,
    /// The connection's own buffer while a large one is borrowed.
    small: Option<AlignedBuffer>,
}

impl Frames {
    fn new() -> Self {
        let mut buffer = AlignedBuffer::with_capacity(SMALL_BUFFER);
        buffer.resize(SMALL_BUFFER);
        Self { buffer, start: 0, end: 0, small: None }
    }

    fn has_bytes(&self) -> bool {
        self.end > self.start
    }

    fn free(&mut self) -> &mut [u8] {
        let end = self.end;
        &mut self.buffer[end..]
    }

    /// Size of the frame in front, if it is whole.
    fn whole(&self) -> Result<Option<usize>, Fault> {
        if self.end - self.start < HEADER_SIZE {
            return Ok(None);
        }
        let header = Header::peek(&self.buffer[self.start..self.end])?;
        let size = header.size as usize;
        if !size.is_multiple_of(16) {
            let message = format!("found {size} bytes, expected a multiple of 16");
            return Err(Fault::new(FaultCode::BadSize, message));
        }
        Ok((self.end - self.start >= size).then_some(size))
    }

    /// The header in front, as it came.
    fn raw_header(&self) -> Header {
        let bytes = &self.buffer[self.start..self.end];
        bytes.get(..HEADER_SIZE).map(bytemuck::pod_read_unaligned).unwrap_or_default()
    }

    /// Bytes of the frame in front, as far as they are known.
    fn size_known(&self) -> usize {
        match self.end - self.start {
            have if have < HEADER_SIZE => HEADER_SIZE,
            _ => self.raw_header().size as usize,
        }
    }

    /// Whether the frame in front doesn't fit behind what has come of it.
    fn lacks_room(&self) -> bool {
        self.start + self.size_known() > self.buffer.len() || self.end == self.buffer.len()
    }

    /// Makes it fit, as soon as there is a buffer that is large enough.
    async fn make_room(&mut self, core: &Core) {
        if self.size_known() <= self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
        } else {
            let buffer = core.large_buffers.take(FRAME_SIZE_MAX);
            let mut large = core.pressure.during(Held::Buffers, buffer).await;
            large[..self.end - self.start].copy_from_slice(&self.buffer[self.start..self.end]);
            self.small = Some(std::mem::replace(&mut self.buffer, large));
        }
        self.end -= self.start;
        self.start = 0;
    }

    /// The frame in front was handed over. A large buffer goes back as soon as the rest fits the small one.
    fn consume(&mut self, size: usize, core: &Core) {
        self.start += size;
        if !self.has_bytes() {
            (self.start, self.end) = (0, 0);
        }
        let rest = self.start..self.end;
        if (rest.is_empty() || self.size_known() <= SMALL_BUFFER && rest.len() <= SMALL_BUFFER)
            && let Some(mut small) = self.small.take()
        {
            small[..rest.len()].copy_from_slice(&self.buffer[rest.clone()]);
            (self.start, self.end) = (0, rest.len());
            core.large_buffers.give_back(std::mem::replace(&mut self.buffer, small));
        }
    }

    fn give_back(self, core: &Core) {
        if self.small.is_some() {
            core.large_buffers.give_back(self.buffer);
        }
    }
}
