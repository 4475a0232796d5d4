//! A doorbell as the server's `src/doorbell.rs` is: a [`Parking`] and an event. The eventfd is the only thing that is replaced.

use auriga_signals::Parking;
use loom::sync::{Condvar, Mutex};

/// An event that stays rung until it is silenced, as an eventfd stays readable.
struct Event {
    rung: Mutex<bool>,
    changed: Condvar,
}

pub struct Doorbell {
    event: Event,
    parking: Parking,
}

impl Doorbell {
    pub fn new() -> Self {
        let event = Event { rung: Mutex::new(false), changed: Condvar::new() };
        Self { event, parking: Parking::default() }
    }

    pub fn ring(&self) {
        if self.parking.must_be_woken() {
            self.ring_anyway();
        }
    }

    pub fn ring_anyway(&self) {
        *self.event.rung.lock().expect("no thread panics") = true;
        self.event.changed.notify_one();
    }

    pub fn park(&self) {
        self.parking.park();
    }

    pub fn wait(&self) {
        let mut rung = self.event.rung.lock().expect("no thread panics");
        while !*rung {
            rung = self.event.changed.wait(rung).expect("no thread panics");
        }
    }

    pub fn unpark(&self) {
        self.parking.unpark();
        *self.event.rung.lock().expect("no thread panics") = false;
    }
}
