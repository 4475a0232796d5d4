//! A server that follows a script, one closure per connection: a test helper, nothing more.

use auriga_wire::frame::{self, FRAME_SIZE_MAX, HEADER_SIZE};
use auriga_wire::{AlignedBuffer, FaultCode, Frame, Header, Options};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What the server does with one connection.
pub type Script = Box<dyn FnOnce(&mut TcpStream) + Send>;

/// The running server.
pub struct Fake {
    /// Where it listens.
    pub address: String,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    /// Serves one connection per script, one after the other, then stops listening.
    pub fn start(scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let thread = thread::spawn(move || {
            for script in scripts {
                let (mut stream, _) = listener.accept().expect("a connection");
                script(&mut stream);
            }
        });
        Self { address, thread: Some(thread) }
    }

    /// Waits until every script has run; fails if one of them did.
    pub fn finish(mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the scripts ran through");
        }
    }
}

/// As many attempts as asked for, none of which ends because the machine stands still.
pub fn options(attempts: u32) -> Options {
    with_timeout(Duration::from_secs(60), attempts)
}

/// Waits so long for a reply, and to send.
pub fn with_timeout(timeout: Duration, attempts: u32) -> Options {
    Options { read_timeout: timeout, write_timeout: timeout, attempts, ..Options::default() }
}

/// Reads one request frame whole.
pub fn read_request(stream: &mut TcpStream) -> (Header, AlignedBuffer) {
    let mut bytes = AlignedBuffer::with_capacity(FRAME_SIZE_MAX);
    bytes.resize(HEADER_SIZE);
    stream.read_exact(&mut bytes).expect("a header");
    let header = Header::peek(&bytes).expect("a good header");
    bytes.resize(header.size as usize);
    stream.read_exact(&mut bytes[HEADER_SIZE..]).expect("a body");
    Frame::check(&bytes).expect("a good request");
    (header, bytes)
}

/// The bytes of a reply.
pub fn reply(request: &Header, status: u32, body: &[u8]) -> Vec<u8> {
    let header = Header::reply(request, status, 1_000, 7, body.len());
    let mut bytes = [bytemuck::bytes_of(&header), body].concat();
    frame::seal(&mut bytes);
    bytes
}

/// A script: answer one request with `body`.
pub fn answer(body: Vec<u8>) -> Script {
    Box::new(move |stream| {
        let (header, _) = read_request(stream);
        stream.write_all(&reply(&header, 0, &body)).expect("written");
    })
}

/// A script: refuse one request.
pub fn refuse(code: FaultCode) -> Script {
    Box::new(move |stream| {
        let (header, _) = read_request(stream);
        stream.write_all(&reply(&header, code.number(), b"because")).expect("written");
    })
}

/// A script: read one request and close without a word.
pub fn close() -> Script {
    Box::new(|stream| {
        read_request(stream);
    })
}
