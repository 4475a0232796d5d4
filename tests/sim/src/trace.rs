//! The running hash of a run: every step, every byte that is written and every reply. Two runs of a seed have the same, or
//! something that is no part of the seed has got in: an address, a hash map's order, the machine's clock.

use std::fmt;
use xxhash_rust::xxh3::Xxh3;

/// What is noted.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Mark {
    Life = 1,
    Step,
    Write,
    Sheet,
    Errand,
    Request,
    Reply,
    Fault,
    End,
}

/// The hash so far.
#[derive(Default)]
pub(crate) struct Trace(Xxh3);

impl Trace {
    /// Notes what happens.
    pub(crate) fn note(&mut self, mark: Mark, numbers: &[u64], bytes: &[u8]) {
        self.0.update(&[mark as u8, numbers.len() as u8]);
        self.0.update(bytemuck::cast_slice(numbers));
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// The hash of everything noted.
    pub(crate) fn get(&self) -> u128 {
        self.0.digest128()
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({:032x})", self.get())
    }
}
