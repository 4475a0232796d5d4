//! What the kernel knows of a socket, and keeps for it; and how a housekeeping thread accepts connections.

use crate::doorbell::Doorbell;
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Rest when descriptors or memory are short, or a core doesn't keep up with new connections.
pub const BREATH: Duration = Duration::from_millis(50);

/// Sleeps until somebody connects or the bell rings.
pub fn wait(listener: &TcpListener, bell: &Doorbell) {
    let poll = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let mut polls = [poll(listener.as_raw_fd()), poll(bell.as_raw_fd())];
    // SAFETY: two pollfds, alive for the call.
    unsafe { libc::poll(polls.as_mut_ptr(), 2, -1) };
    // All of the house are rung for what only some of them do: else it would never sleep again.
    bell.unpark();
}

/// Takes everybody who waits. If somebody can't be accepted, that is said, and who is left waits a while.
pub fn accept_all(listener: &TcpListener, mut take: impl FnMut(TcpStream)) {
    loop {
        match listener.accept() {
            Ok((socket, _)) => take(socket),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return,
            Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
            Err(e) => {
                tracing::warn!(
                    "can't accept a connection: {e}. Raise the limit on open files (ulimit -n) if that is it"
                );
                return std::thread::sleep(BREATH);
            }
        }
    }
}

/// Bytes that were handed to the socket and not acknowledged by the other machine; 0 if the kernel can't tell.
pub fn unacknowledged(socket: &TcpStream) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open and `bytes` is writable for the call.
    let failed = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) } != 0;
    if failed { 0 } else { bytes as usize }
}

/// Bounds what the kernel keeps of replies that the other machine hasn't acknowledged, to about this many bytes. Left alone it
/// grows to several MiB, and many clients that take nothing would use up the memory that the kernel has for all sockets.
pub fn limit_unacknowledged(socket: &TcpStream, bytes: usize) -> std::io::Result<()> {
    let bytes = bytes as libc::c_int;
    // SAFETY: the descriptor is open and the pointer is to an int of the size that is given.
    let failed = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_SNDBUF,
            (&raw const bytes).cast(),
            size_of_val(&bytes) as libc::socklen_t,
        )
    };
    if failed == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Lets so many connections wait to be accepted, or as many as the machine allows (sysctl net.core.somaxconn). Behind that the kernel
/// drops the first packet of a client, which tries again after a second.
pub fn let_wait(listener: &TcpListener, connections: u32) -> std::io::Result<()> {
    let connections = libc::c_int::try_from(connections).unwrap_or(libc::c_int::MAX);
    // SAFETY: the descriptor is open; a socket that listens may be told again.
    let failed = unsafe { libc::listen(listener.as_raw_fd(), connections) };
    if failed == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}
