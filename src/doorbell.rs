//! How a thread wakes an executor that is parked: an eventfd, rung only if somebody sleeps behind it.

use auriga_signals::Parking;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, RawFd};

/// The doorbell of one executor.
#[derive(Debug)]
pub struct Doorbell {
    event: File,
    parking: Parking,
}

impl Doorbell {
    /// A doorbell that nobody sleeps behind.
    pub fn new() -> std::io::Result<Self> {
        // SAFETY: no memory is passed.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(std::io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made and nobody else owns it.
        let event = unsafe { File::from_raw_fd(fd) };
        Ok(Self { event, parking: Parking::default() })
    }

    /// Wakes the executor if it is parked. To be called after the work was made visible; see [`Parking`].
    pub fn ring(&self) {
        if self.parking.must_be_woken() {
            self.ring_anyway();
        }
    }

    /// Makes the descriptor readable.
    pub fn ring_anyway(&self) {
        // A full counter is readable as well: nothing is lost when the write would block.
        let _ = (&self.event).write(&1u64.to_ne_bytes());
    }

    /// Says that the executor is about to sleep; it must look for work once more after this.
    pub fn park(&self) {
        self.parking.park();
    }

    /// For a thread of the house: sleeps until it is rung, or for so many milliseconds (-1: without end).
    pub fn wait(&self, milliseconds: i32) {
        let mut poll = libc::pollfd { fd: self.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd, alive for the call.
        unsafe { libc::poll(&raw mut poll, 1, milliseconds) };
    }

    /// Says that it is awake, and makes the descriptor silent.
    pub fn unpark(&self) {
        self.parking.unpark();
        let _ = (&self.event).read(&mut [0; 8]);
    }
}

impl AsRawFd for Doorbell {
    fn as_raw_fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
