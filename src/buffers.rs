//! Bounds on what the clients of one core can hold of its memory, all together: large receive buffers, and replies that
//! nobody takes.

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

    /// Buffers that were made, and those of them that are free.
    pub fn counts(&self) -> (usize, usize) {
        (self.made.get(), self.free.borrow().len())
    }

    /// Whether somebody waits for a buffer.
    pub fn are_short(&self) -> bool {
        self.waiting.get() > 0
    }
}

/// The bytes of replies that the sockets of one core have not taken.
pub struct Unsent {
    bytes: Cell<usize>,
    max: usize,
}

impl Unsent {
    /// None yet; short above `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { bytes: Cell::new(0), max }
    }

    /// So many more wait.
    pub fn add(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes);
    }

    /// So many were sent, or are sent no more.
    pub fn remove(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() - bytes);
    }

    /// How many wait.
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Whether look-ups, whose answers are large, have to wait, and so does every client that leaves replies untaken.
    pub fn is_short(&self) -> bool {
        self.bytes.get() > self.max
    }
}
