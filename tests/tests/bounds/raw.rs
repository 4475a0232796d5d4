//! A connection that sends any bytes, and what a test looks at from outside of a server.

use auriga_tests::harness::{HANG, Server};
use auriga_tests::load::{connect, connect_once};
use auriga_wire::report::Status;
use auriga_wire::{Client, Fault, Reply, ReplyBody, ReplyReader, RequestFrame};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

/// A socket and what came out of it.
pub struct Raw {
    pub socket: TcpStream,
    reader: ReplyReader,
}

impl Raw {
    pub fn connect(server: &Server) -> Self {
        let socket = TcpStream::connect(server.address()).expect("the server accepts");
        socket.set_read_timeout(Some(HANG)).expect("a time-out can be set");
        Self { socket, reader: ReplyReader::default() }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("the server takes bytes");
    }

    /// The fault in the next reply, with the request's number; `None` if the connection ends instead.
    #[track_caller]
    pub fn fault(&mut self) -> Option<(u64, Fault)> {
        while !self.reader.has_next() {
            let count = self.socket.read(self.reader.space()).expect("a reply or the end comes in time");
            if count == 0 {
                return None;
            }
            self.reader.filled(count);
        }
        let bytes = self.reader.next_frame().expect("a good frame").expect("a whole frame");
        let reply = Reply::decode(bytes).expect("a good reply");
        match reply.body {
            ReplyBody::Refused(fault) => Some((reply.request, fault)),
            other => panic!("expected a fault, found {other:?}"),
        }
    }

    /// Fails unless the server closes the connection and says nothing more.
    #[track_caller]
    pub fn expect_end(&mut self) {
        assert_eq!(self.fault(), None, "the connection ends");
    }
}

/// A sealed request.
pub fn sealed(mut frame: RequestFrame) -> Vec<u8> {
    frame.seal(42, 0);
    frame.bytes().to_vec()
}

/// A client of the server.
#[track_caller]
pub fn client(server: &Server) -> Client {
    connect(server.address())
}

/// A client that doesn't try again.
#[track_caller]
pub fn impatient_client(server: &Server) -> Client {
    connect_once(server.address())
}

/// Connections that the server closed for this reason.
pub fn closed(status: &Status, reason: &str) -> u64 {
    status.closed.iter().find(|(name, _)| name == reason).map_or(0, |(_, count)| *count)
}

/// Asks for the status until it is as wanted.
#[track_caller]
pub fn wait_for_status(client: &mut Client, what: &str, mut wanted: impl FnMut(&Status) -> bool) -> Status {
    let start = Instant::now();
    loop {
        let status = client.status(false).expect("a status");
        if wanted(&status) {
            return status;
        }
        assert!(start.elapsed() < HANG, "never {what}: {status:?}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Bytes of the server's memory that are in RAM.
pub fn resident_bytes(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).expect("the server runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a process has VmRSS");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
    kib << 10
}
