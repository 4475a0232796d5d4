//! How long a client is waited for, and what becomes of one that is refused.

use super::{Closed, Connection, PATIENCE_NS};
use crate::runtime;
use auriga_wire::FaultCode;
use std::io::{ErrorKind, Read};
use std::net::Shutdown;

/// When replies that nobody takes hold too much memory: bytes that a client has to take from one look at its patience to
/// the next.
const TAKEN_MIN: usize = 256 << 10;

impl Connection {
    /// Closes it if its client has used up our patience. To be called about once a second. When receive buffers are
    /// short, one call without progress is enough for a connection that holds one; two calls at which it had taken little
    /// are enough when untaken replies are too many, or when it holds such a buffer.
    pub fn check_patience(&self, now_ns: u64, buffers_are_short: bool) {
        if self.lingers.replace(false) {
            let _ = self.socket.get().shutdown(Shutdown::Both);
            return;
        }
        let stuck = self.holds_large.get() && !self.progressed.replace(false);
        if stuck && buffers_are_short && self.receiving_since.get().is_some() {
            return self.close(Closed::Fault(FaultCode::FrameTimeout));
        }
        let taken = self.taken.replace(0);
        let is_slow = self.has_unsent() && taken < TAKEN_MIN;
        let keeps_others_waiting = self.unsent_of_all.is_short() || stuck && buffers_are_short;
        if self.is_slow.replace(is_slow) && is_slow && keeps_others_waiting {
            return self.close(Closed::Stalled);
        }
        let late = |since: Option<u64>| since.is_some_and(|since| now_ns > since + PATIENCE_NS);
        if late(self.unsent_since.get()) {
            self.close(Closed::Stalled);
        } else if late(self.receiving_since.get()) {
            self.close(if self.served.get() {
                Closed::Fault(FaultCode::FrameTimeout)
            } else {
                Closed::Silent
            });
        }
    }

    /// Takes what the client still sends, and throws it away: a socket that is closed with bytes unread resets the connection,
    /// and the client might never see why. Ends when the client closes, or with the next look at its patience.
    pub(super) async fn linger(&self) {
        let _ = self.socket.get().shutdown(Shutdown::Write);
        self.lingers.set(true);
        let mut waste = [0; 4_096];
        while self.lingers.get() {
            match self.socket.get().read(&mut waste) {
                Ok(1..) => runtime::yield_now().await,
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.reading.is_drained();
                    self.reading.readable().await;
                }
                _ => return,
            }
        }
    }
}
