//! Which sockets of a core can be read. All are watched by one epoll set, which is told of a socket once; whatever has come is found by one
//! look, which the core takes with every turn. While the core works, nothing interrupts it and nothing is armed again for a message.
//!
//! Edges: a socket is shown once for what has come, so whoever reads says when it has read all ([`Watched::is_drained`]).

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use std::cell::{Cell, RefCell};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{Poll, Waker};

/// Sockets that are found at once.
const FOUND_MAX: usize = 256;
/// A look waits for nothing.
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// The sockets of one core, and what else may wake it.
pub struct Readiness {
    epoll: OwnedFd,
    /// By the number of the descriptor.
    watched: RefCell<Vec<Option<Rc<Entry>>>>,
}

/// What is known of a socket.
#[derive(Default)]
struct Entry {
    /// Something may be there to be read.
    is_readable: Cell<bool>,
    /// The other side has closed it, or it broke: it can always be read.
    has_ended: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Readiness {
    /// No sockets yet; who waits for this set is also woken by the bell, as long as that can be read.
    pub fn new(bell: &impl AsFd) -> std::io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, bell, EventData::new_u64(u64::MAX), EventFlags::IN)?;
        Ok(Self { epoll, watched: RefCell::default() })
    }

    /// Watches a socket, until what comes back is dropped.
    pub fn watch(self: &Rc<Self>, socket: &TcpStream) -> std::io::Result<Watched> {
        let (number, entry) = (socket.as_raw_fd() as usize, Rc::new(Entry::default()));
        let flags = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, socket, EventData::new_u64(number as u64), flags)?;
        let mut watched = self.watched.borrow_mut();
        if watched.len() <= number {
            watched.resize(number + 1, None);
        }
        watched[number] = Some(entry.clone());
        Ok(Watched { readiness: self.clone(), number, entry })
    }

    /// Wakes those whose sockets can be read now; `false` if there are none.
    pub fn look(&self) -> bool {
        let mut is_any = false;
        let mut events = [MaybeUninit::<Event>::uninit(); FOUND_MAX];
        loop {
            // Interrupted, it finds nothing: the next turn looks again.
            let Ok((found, _)) = epoll::wait(&self.epoll, &mut events, Some(&AT_ONCE)) else { return is_any };
            let watched = self.watched.borrow();
            for event in &*found {
                let number = event.data.u64() as usize;
                if let Some(Some(entry)) = watched.get(number) {
                    is_any = true;
                    entry.is_readable.set(true);
                    let ended = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
                    entry.has_ended.set(entry.has_ended.get() || { event.flags }.intersects(ended));
                    if let Some(waker) = entry.waiting.take() {
                        waker.wake();
                    }
                }
            }
            if found.len() < FOUND_MAX {
                return is_any;
            }
        }
    }
}

impl AsRawFd for Readiness {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}

/// A socket that is watched. It is dropped before the socket is closed.
pub struct Watched {
    readiness: Rc<Readiness>,
    number: usize,
    entry: Rc<Entry>,
}

impl Watched {
    /// Waits until something may be there to be read.
    pub async fn readable(&self) {
        std::future::poll_fn(|context| {
            if self.entry.is_readable.get() {
                return Poll::Ready(());
            }
            self.entry.waiting.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// Everything was read that was there.
    pub fn is_drained(&self) {
        self.entry.is_readable.set(self.entry.has_ended.get());
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.readiness.watched.borrow_mut()[self.number] = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener};
    use std::task::Context;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
        let (server, _) = listener.accept().expect("accepted");
        server.set_nonblocking(true).expect("it may be");
        (client, server)
    }

    fn of_no_sockets() -> Rc<Readiness> {
        let bell = crate::doorbell::Doorbell::new().expect("an eventfd");
        Rc::new(Readiness::new(&bell).expect("an epoll set"))
    }

    fn is_ready(watched: &Watched) -> bool {
        std::pin::pin!(watched.readable()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn a_socket_is_readable_from_what_comes_to_what_was_read() {
        let readiness = of_no_sockets();
        let (mut client, mut server) = pair();
        let watched = readiness.watch(&server).expect("it can be watched");
        assert!(!readiness.look() && !is_ready(&watched));
        client.write_all(&[1; 10]).expect("written");
        assert!(readiness.look() && is_ready(&watched));
        assert!(!readiness.look() && is_ready(&watched), "it is shown once, and stays until all is read");
        assert_eq!(server.read(&mut [0; 100]).expect("bytes"), 10);
        watched.is_drained();
        assert!(!readiness.look() && !is_ready(&watched));
    }

    /// The last bytes and the end may come together: then there is no further edge.
    #[test]
    fn a_socket_that_has_ended_stays_readable() {
        for ends in [
            |client: &TcpStream| client.shutdown(Shutdown::Write),
            |client: &TcpStream| client.shutdown(Shutdown::Both),
        ] {
            let readiness = of_no_sockets();
            let (mut client, mut server) = pair();
            let watched = readiness.watch(&server).expect("it can be watched");
            client.write_all(&[1; 10]).expect("written");
            ends(&client).expect("it can be shut");
            assert!(readiness.look());
            assert_eq!(server.read(&mut [0; 100]).expect("bytes"), 10);
            watched.is_drained();
            assert!(is_ready(&watched));
            assert_eq!(server.read(&mut [0; 100]).expect("the end"), 0);
        }
        // So does one whose reading side this process shuts.
        let readiness = of_no_sockets();
        let (_client, server) = pair();
        let watched = readiness.watch(&server).expect("it can be watched");
        server.shutdown(Shutdown::Read).expect("it can be shut");
        assert!(readiness.look() && is_ready(&watched));
        watched.is_drained();
        assert!(is_ready(&watched));
    }

    #[test]
    fn who_is_watched_no_more_is_not_found() {
        let readiness = of_no_sockets();
        let (mut client, server) = pair();
        let watched = readiness.watch(&server).expect("it can be watched");
        drop((watched, server));
        let _ = client.write(&[1]);
        assert!(!readiness.look());
        let (mut other, again) = pair();
        let watched = readiness.watch(&again).expect("it can be watched");
        other.write_all(&[1]).expect("written");
        assert!(readiness.look() && is_ready(&watched), "its number may be used again");
    }
}
