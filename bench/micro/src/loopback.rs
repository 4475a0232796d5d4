//! The copies over loopback TCP alone: one thread sends frames, another one takes them into buffers and replies.

use crate::parts::CpuTime;
use auriga_wire::frame::{FRAME_SIZE_MAX, HEADER_SIZE};
use auriga_wire::{AlignedBuffer, RequestFrame};
use std::io::{Read, Result, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

/// Connections of the load generator, and requests in flight on each, as it does by default.
const CONNECTIONS: usize = 4;
const IN_FLIGHT: usize = 4;

/// CPU time of the sender and of the receiver for so many requests, which are these frames, again and again.
pub fn exchange(frames: &[RequestFrame], requests: usize) -> Result<[Duration; 2]> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let (mut clients, mut servers) = (Vec::new(), Vec::new());
    for _ in 0..CONNECTIONS {
        let (client, server) = connected(&listener)?;
        clients.push(client);
        servers.push(server);
    }
    // What is in flight at first is not measured: buffers of the sockets grow.
    let warm_up = CONNECTIONS * IN_FLIGHT;
    let sizes: Vec<usize> = frames.iter().map(|frame| frame.bytes().len()).collect();
    std::thread::scope(|scope| {
        let receiver = scope.spawn(move || receive(servers, &sizes, warm_up, requests));
        // An end that fails drops its sockets, so the other one ends, too.
        let sent = send(clients, frames, warm_up, requests);
        let received = receiver.join().expect("the receiver doesn't panic");
        Ok([sent?, received?])
    })
}

/// Both ends of a connection.
pub(crate) fn connected(listener: &TcpListener) -> Result<(TcpStream, TcpStream)> {
    let client = TcpStream::connect(listener.local_addr()?)?;
    let (server, _) = listener.accept()?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    Ok((client, server))
}

/// Sends all, and takes the replies in order as soon as so many requests are unanswered as a generator has.
fn send(
    mut connections: Vec<TcpStream>,
    frames: &[RequestFrame],
    warm_up: usize,
    requests: usize,
) -> Result<Duration> {
    let in_flight = CONNECTIONS * IN_FLIGHT;
    let mut reply = [0; HEADER_SIZE];
    let mut begun = CpuTime::of_this_thread();
    for number in 0..warm_up + requests {
        if number == warm_up {
            begun = CpuTime::of_this_thread();
        }
        let connection = &mut connections[number % CONNECTIONS];
        if number >= in_flight {
            connection.read_exact(&mut reply)?;
        }
        connection.write_all(frames[number % frames.len()].bytes())?;
    }
    for number in warm_up + requests..warm_up + requests + in_flight {
        connections[number % CONNECTIONS].read_exact(&mut reply)?;
    }
    Ok(begun.elapsed())
}

/// Takes each request into its connection's buffer, as much at once as there is, and answers it.
fn receive(
    mut connections: Vec<TcpStream>,
    sizes: &[usize],
    warm_up: usize,
    requests: usize,
) -> Result<Duration> {
    let mut buffers: Vec<AlignedBuffer> = Vec::new();
    for _ in &connections {
        let mut buffer = AlignedBuffer::with_capacity(FRAME_SIZE_MAX);
        buffer.resize(FRAME_SIZE_MAX);
        buffers.push(buffer);
    }
    let reply = [1; HEADER_SIZE];
    let mut begun = CpuTime::of_this_thread();
    for number in 0..warm_up + requests {
        if number == warm_up {
            begun = CpuTime::of_this_thread();
        }
        let (connection, buffer) =
            (&mut connections[number % CONNECTIONS], &mut buffers[number % CONNECTIONS]);
        connection.read_exact(&mut buffer[..sizes[number % sizes.len()]])?;
        connection.write_all(&reply)?;
    }
    Ok(begun.elapsed())
}
