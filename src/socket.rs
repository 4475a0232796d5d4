//! What the kernel knows of a socket.

use std::net::TcpStream;
use std::os::fd::AsRawFd;

/// Bytes that were handed to the socket and not acknowledged by the other machine; 0 if the kernel can't tell.
pub fn unacknowledged(socket: &TcpStream) -> usize {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open and `bytes` is writable for the call.
    let failed = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) } != 0;
    if failed { 0 } else { bytes as usize }
}
