//! Small messages over loopback TCP alone: as large as a request of one transfer and its reply, and nothing done for them.

use crate::loopback::connected;
use crate::median::median_time;
use auriga_wire::frame::HEADER_SIZE;
use auriga_wire::record::RECORD_SIZE;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use std::io::{ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const REQUEST: usize = HEADER_SIZE + RECORD_SIZE;
const REPLY: usize = HEADER_SIZE;
/// Round trips whose median is told, and those before them.
const ROUND_TRIPS: usize = 20_000;
const WARM_UP: usize = 2_000;
/// Events taken from epoll at once.
const EVENTS_MAX: usize = 256;
/// Longest sleep, so that the end is noticed.
const SLEEP_MAX: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// The median time of a request and its reply on one connection, both of whose ends wait in `read`.
pub fn round_trip() -> Result<Duration> {
    let (mut client, mut server) = connected(&TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?)?;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut request = [0; REQUEST];
            // Ends with the client.
            while server.read_exact(&mut request).is_ok() && server.write_all(&[1; REPLY]).is_ok() {}
        });
        let mut reply = [0; REPLY];
        let mut times = Vec::with_capacity(WARM_UP + ROUND_TRIPS);
        for _ in 0..WARM_UP + ROUND_TRIPS {
            let begun = Instant::now();
            client.write_all(&[1; REQUEST])?;
            client.read_exact(&mut reply)?;
            times.push(begun.elapsed());
        }
        drop(client);
        Ok(median_time(&times[WARM_UP..]))
    })
}

/// Requests a second of so many connections with one request each under way, from one thread to so many that answer.
pub fn rate(connections: usize, servers: usize, time: Duration) -> Result<f64> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let (mut clients, mut answering) = (Vec::new(), (0..servers).map(|_| Vec::new()).collect::<Vec<_>>());
    for number in 0..connections {
        let (client, server) = connected(&listener)?;
        clients.push(client);
        answering[number % servers].push(server);
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let servers: Vec<_> = answering
            .iter_mut()
            .map(|sockets| scope.spawn(|| turn(sockets, REQUEST, &[1; REPLY], &stop).map(|_| ())))
            .collect();
        let client = scope.spawn(|| {
            let begun = Instant::now();
            for client in &mut clients {
                client.write_all(&[1; REQUEST])?;
            }
            let answered = turn(&mut clients, REPLY, &[1; REQUEST], &stop)?;
            Ok(answered as f64 / begun.elapsed().as_secs_f64())
        });
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        for server in servers {
            server.join().expect("a server doesn't panic")?;
        }
        client.join().expect("the client doesn't panic")
    })
}

/// Takes messages of this size from whichever socket has one, and sends another for each, until it is told to stop; how many came.
fn turn(sockets: &mut [TcpStream], size: usize, answer: &[u8], stop: &AtomicBool) -> Result<u64> {
    let epoll: OwnedFd = epoll::create(CreateFlags::CLOEXEC)?;
    for (number, socket) in sockets.iter().enumerate() {
        socket.set_nonblocking(true)?;
        epoll::add(&epoll, socket, EventData::new_u64(number as u64), EventFlags::IN)?;
    }
    let mut message = vec![0; size];
    let mut events = Vec::with_capacity(EVENTS_MAX);
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        events.clear();
        epoll::wait(&epoll, spare_capacity(&mut events), Some(&SLEEP_MAX))?;
        for event in &events {
            let socket = &mut sockets[{ event.data }.u64() as usize];
            match socket.read(&mut message) {
                // So small a message comes in one piece.
                Ok(_) => socket.write_all(answer)?,
                Err(e) if e.kind() == ErrorKind::WouldBlock => continue,
                Err(e) => return Err(e),
            }
            count += 1;
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_go_to_and_fro() {
        assert!(round_trip().expect("loopback can be used") > Duration::ZERO);
        let rate = rate(7, 2, Duration::from_millis(200)).expect("loopback can be used");
        assert!(rate > 7.0, "{rate} a second");
    }
}
