//! The large receive buffers of one core: a bound on what its half-received requests can hold.

use crate::runtime::Signal;
use auriga_wire::AlignedBuffer;
use std::cell::{Cell, RefCell};

/// Buffers that are made when first needed, kept, and waited for when all are in use.
pub struct Buffers {
    free: RefCell<Vec<AlignedBuffer>>,
    made: Cell<usize>,
    max: usize,
    returned: Signal,
    waiting: Cell<usize>,
}

impl Buffers {
    /// At most `max` buffers.
    pub fn new(max: usize) -> Self {
        let (free, made, waiting) = (RefCell::new(Vec::with_capacity(max)), Cell::new(0), Cell::new(0));
        Self { free, made, max, returned: Signal::default(), waiting }
    }

    /// A buffer of `size` bytes, all buffers of a core alike.
    pub async fn take(&self, size: usize) -> AlignedBuffer {
        loop {
            if let Some(buffer) = self.free.borrow_mut().pop() {
                return buffer;
            }
            if self.made.get() < self.max {
                self.made.set(self.made.get() + 1);
                let mut buffer = AlignedBuffer::with_capacity(size);
                buffer.resize(size);
                return buffer;
            }
            self.waiting.set(self.waiting.get() + 1);
            self.returned.wait().await;
            self.waiting.set(self.waiting.get() - 1);
        }
    }

    /// Gives a buffer back.
    pub fn give_back(&self, buffer: AlignedBuffer) {
        self.free.borrow_mut().push(buffer);
        self.returned.notify();
    }

    /// Whether somebody waits for a buffer.
    pub fn are_short(&self) -> bool {
        self.waiting.get() > 0
    }
}
