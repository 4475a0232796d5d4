//! What a core does by the clock and not by an event: it looks at its clients' patience, shows its figures, and says farewell when the server
//! stops. Another thread's beat brings it here, also when nothing else would wake it.

use super::{Core, State};
use crate::clock;
use crate::connection::{Closed, Connection};
use crate::monitor::figures::durations;
use auriga_shards::execute::message::Lane;
use auriga_shards::place::ShardId;
use auriga_shards::step::Input;
use std::rc::Rc;

/// Time between two looks at the clients' patience, nanoseconds.
const PATIENCE_EVERY_NS: u64 = 1_000_000_000;
/// How long a stopping server waits for clients to take their replies.
const FAREWELL_NS: u64 = 2_000_000_000;

impl Core {
    /// Comes with every beat, until the end.
    pub(super) async fn beat(self: Rc<Self>) {
        let mut looked_at = clock::now().monotonic_ns;
        while !self.has_ended() {
            self.shared.pulses[self.number.index()].wait().await;
            self.turn();
            self.shared.hearts[self.number.index()].beat();
            let now = clock::now().monotonic_ns;
            let spin_ns = self.state.borrow().watch.figures.spin_ns;
            self.gauge.show(self.number, &self.shared, now, spin_ns, || self.under_way());
            if now >= looked_at + PATIENCE_EVERY_NS {
                looked_at = now;
                for connection in self.open_connections() {
                    connection.check_patience(now, self.large_buffers.are_short());
                }
                // Who waits because replies are not taken looks again.
                self.room.notify();
            }
            {
                let state = &mut *self.state.borrow_mut();
                state.ends.metrics.feed(&mut state.shard.histograms, now);
                if state.watch.is_time(now) {
                    self.show(state, now);
                }
            }
            if self.shared.is_stopping() {
                self.say_farewell(now);
            }
        }
        // The run loop may be parked: it has to see the end.
        self.doorbell.ring_anyway();
    }

    /// Shows for metrics what has been going on.
    fn show(&self, State { shard, storage, ends, watch, .. }: &mut State, now_ns: u64) {
        let figures = &mut *watch.figures;
        figures.flushes = durations(&storage.flushes);
        figures.held_ns = self.pressure.ns(now_ns);
        figures.route = ends.mesh.waiting(Lane::Route) as u64;
        figures.control = ends.mesh.waiting(Lane::Control) as u64;
        let (made, free) = self.large_buffers.counts();
        (figures.buffers, figures.buffers_free) = (made as u64, free as u64);
        figures.unsent = self.unsent.bytes() as u64;
        watch.show(shard, now_ns, &self.shared.boards[self.number.index()]);
    }

    fn under_way(&self) -> u64 {
        self.connections.borrow().values().map(|connection| u64::from(connection.under_way())).sum()
    }

    fn open_connections(&self) -> Vec<Rc<Connection>> {
        self.connections.borrow().values().cloned().collect()
    }

    /// The server stops: connections that are owed nothing are closed; then this core is drained.
    fn say_farewell(self: &Rc<Self>, now_ns: u64) {
        let since = self.stopping_since.get().unwrap_or(now_ns);
        if self.stopping_since.replace(Some(since)).is_none() && self.number == ShardId(0) {
            self.step(Input::Stop);
        }
        self.room.notify();
        for connection in self.open_connections() {
            if connection.is_settled() {
                connection.close(Closed::Stopping);
            } else if now_ns > since + FAREWELL_NS && (connection.is_quiet() || connection.has_unsent()) {
                connection.close(Closed::Stalled);
            }
        }
        let idle = self.connections.borrow().is_empty() && self.state.borrow().shard.is_idle();
        if idle && !self.drained.replace(true) {
            let State { shard, ends, .. } = &mut *self.state.borrow_mut();
            ends.metrics.finish(&mut shard.histograms, now_ns);
            self.shared.lifecycle.drain();
        }
    }
}
