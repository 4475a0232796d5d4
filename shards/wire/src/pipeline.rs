//! Several requests in flight on one connection. Replies come back in any order and are told apart by number.
//!
//! The socket never blocks. [`submit`](Pipeline::submit) and [`receive`](Pipeline::receive) wait in poll(2), and read
//! while they wait to write, so that two full sockets can't block each other. A program with its own event loop uses
//! [`try_submit`](Pipeline::try_submit), [`flush`](Pipeline::flush) and [`try_receive`](Pipeline::try_receive) instead.

use crate::error::{Error, Options};
use crate::frame::Fault;
use crate::reply::{Reply, ReplyBody, ReplyReader};
use crate::request::RequestFrame;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// A request that was submitted and not yet answered.
#[derive(Debug)]
struct InFlight {
    number: u64,
    frame: RequestFrame,
}

/// A connection with up to `in_flight_max` requests on their way.
///
/// After any [`Error`] but [`Error::Items`] the connection is of no more use:
/// [`into_unacknowledged`](Self::into_unacknowledged) hands back what has no answer, to be submitted on a new one.
#[derive(Debug)]
pub struct Pipeline {
    stream: TcpStream,
    address: String,
    options: Options,
    in_flight_max: usize,
    last_number: u64,
    /// In the order of submission; the last `unsent` of them are not yet written whole.
    in_flight: VecDeque<InFlight>,
    unsent: usize,
    /// Bytes of the first unsent frame that are written.
    written: usize,
    reader: ReplyReader,
    spare: Vec<RequestFrame>,
}

impl Pipeline {
    /// Connects. `address` is `host:port`; each address that it resolves to is tried.
    pub fn connect(address: &str, options: &Options, in_flight_max: usize) -> Result<Self, Error> {
        assert!(in_flight_max > 0, "a pipeline needs room for a request");
        let stream = connect(address, options.connect_timeout)
            .map_err(|source| Error::Connect { address: address.into(), source })?;
        Ok(Self {
            stream,
            address: address.into(),
            options: options.clone(),
            in_flight_max,
            last_number: 0,
            in_flight: VecDeque::with_capacity(in_flight_max),
            unsent: 0,
            written: 0,
            reader: ReplyReader::default(),
            spare: Vec::with_capacity(in_flight_max),
        })
    }

    /// Requests without an answer.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether another request may be submitted now.
    pub fn has_room(&self) -> bool {
        self.in_flight.len() < self.in_flight_max
    }

    /// A frame to fill: one whose request was answered, if there is any, so that the steady state allocates nothing.
    pub fn take_frame(&mut self) -> RequestFrame {
        self.spare.pop().unwrap_or_default()
    }

    /// Sends a request and returns its number; waits until the socket took the whole frame. Panics if there is no
    /// room: ask [`has_room`](Self::has_room) first, and receive if there is none.
    pub fn submit(&mut self, frame: RequestFrame) -> Result<u64, Error> {
        let number = self.try_submit(frame)?;
        while !self.flush()? {
            self.wait(PollFlags::IN | PollFlags::OUT, self.options.write_timeout)?;
        }
        Ok(number)
    }

    /// Takes a request and writes as much of it as the socket takes now; [`flush`](Self::flush) writes the rest.
    /// Panics if there is no room, too.
    pub fn try_submit(&mut self, mut frame: RequestFrame) -> Result<u64, Error> {
        assert!(self.has_room(), "{} requests are in flight: receive first", self.in_flight_max);
        if !frame.is_sendable() {
            return Err(Error::Items(frame.items()));
        }
        self.last_number += 1;
        frame.seal(self.last_number, self.options.cluster);
        self.in_flight.push_back(InFlight { number: self.last_number, frame });
        self.unsent += 1;
        self.flush()?;
        Ok(self.last_number)
    }

    /// Writes what the socket takes now; true if nothing is left to write.
    pub fn flush(&mut self) -> Result<bool, Error> {
        while self.unsent > 0 {
            let first = self.in_flight.len() - self.unsent;
            let bytes = self.in_flight[first].frame.bytes();
            match self.stream.write(&bytes[self.written..]) {
                Ok(0) => return Err(self.lost(ErrorKind::WriteZero.into())),
                Ok(count) => {
                    self.written += count;
                    if self.written == bytes.len() {
                        self.written = 0;
                        self.unsent -= 1;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.why_lost(error)),
            }
        }
        Ok(true)
    }

    /// Waits for the next reply. Its number is that of the request, which is no longer in flight. Panics if nothing is
    /// in flight.
    pub fn receive(&mut self) -> Result<(u64, Reply<'_>), Error> {
        assert!(!self.in_flight.is_empty(), "nothing is in flight");
        while !self.reader.has_next() {
            if self.fill()? {
                continue;
            }
            let unsent = !self.flush()?;
            let events = if unsent { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
            self.wait(events, self.options.read_timeout)?;
        }
        match self.take_reply()? {
            Some(reply) => Ok(reply),
            None => unreachable!("the reader has a frame"),
        }
    }

    /// The next reply, if it is there.
    pub fn try_receive(&mut self) -> Result<Option<(u64, Reply<'_>)>, Error> {
        while !self.reader.has_next() {
            if !self.fill()? {
                return Ok(None);
            }
        }
        self.take_reply()
    }

    /// Closes the connection and hands back the requests that have no answer, in the order of submission, with the
    /// numbers they had. Each may have been executed or not; as creations carry their ids, all can be sent again.
    pub fn into_unacknowledged(self) -> Vec<(u64, RequestFrame)> {
        self.in_flight.into_iter().map(|request| (request.number, request.frame)).collect()
    }

    /// Reads what is there; false if nothing is.
    fn fill(&mut self) -> Result<bool, Error> {
        loop {
            match self.stream.read(self.reader.space()) {
                Ok(0) => {
                    let text = match self.reader.is_empty() {
                        true => "the server closed it",
                        false => "the server closed it in the middle of a reply",
                    };
                    return Err(self.lost(io::Error::new(ErrorKind::UnexpectedEof, text)));
                }
                Ok(count) => {
                    self.reader.filled(count);
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.lost(error)),
            }
        }
    }

    fn take_reply(&mut self) -> Result<Option<(u64, Reply<'_>)>, Error> {
        let Self { reader, in_flight, spare, unsent, options, .. } = self;
        let Some(bytes) = reader.next_frame().map_err(Error::BadReply)? else {
            return Ok(None);
        };
        let reply = Reply::decode(bytes).map_err(Error::BadReply)?;
        let found = in_flight.iter().position(|request| request.number == reply.request);
        let Some(index) = found.filter(|index| *index < in_flight.len() - *unsent) else {
            return Err(match reply.body {
                ReplyBody::Refused(fault) => Error::Refused(fault),
                _ => Error::BadReply(stray(&reply)),
            });
        };
        let frame = &in_flight[index].frame;
        reply.matches(frame.command(), frame.items()).map_err(Error::BadReply)?;
        check_cluster(&reply, options.cluster).map_err(Error::BadReply)?;
        if let Some(answered) = in_flight.remove(index) {
            spare.push(answered.frame);
        }
        Ok(Some((reply.request, reply)))
    }

    /// Waits until the socket is ready, and reads if there is something, so that the server can go on.
    fn wait(&mut self, events: PollFlags, timeout: Duration) -> Result<(), Error> {
        let mut fds = [PollFd::new(&self.stream, events)];
        let timespec =
            Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) };
        let ready = match poll(&mut fds, Some(&timespec)) {
            Ok(ready) => ready,
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(self.lost(error.into())),
        };
        let readable = fds[0].revents().intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
        if ready == 0 {
            let text = format!("the server did nothing for {} ms", timeout.as_millis());
            return Err(self.lost(io::Error::new(ErrorKind::TimedOut, text)));
        }
        if readable {
            self.fill()?;
        }
        Ok(())
    }

    /// Why the server takes no more bytes: its last words, if it left any.
    fn why_lost(&mut self, error: io::Error) -> Error {
        while let Ok(true) = self.fill() {}
        while let Ok(Some(bytes)) = self.reader.next_frame() {
            if let Ok(Reply { request: 0, body: ReplyBody::Refused(fault), .. }) = Reply::decode(bytes) {
                return Error::Refused(fault);
            }
        }
        self.lost(error)
    }

    fn lost(&self, source: io::Error) -> Error {
        Error::Lost { address: self.address.clone(), source }
    }
}

impl AsFd for Pipeline {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn stray(reply: &Reply<'_>) -> Fault {
    let text = format!("found a reply to request {}, which is not in flight", reply.request);
    Fault::new(crate::FaultCode::BadSize, text)
}

fn check_cluster(reply: &Reply<'_>, expected: u64) -> Result<(), Fault> {
    let found = reply.cluster;
    if expected == 0 || found == expected || matches!(reply.body, ReplyBody::Refused(_)) {
        return Ok(());
    }
    let text = format!("the reply comes from cluster {found}, expected {expected}");
    Err(Fault::new(crate::FaultCode::WrongCluster, text))
}

fn connect(address: &str, timeout: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for socket_address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&socket_address, timeout) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
