//! A byte buffer aligned to 16, so that the records in it can be read in place.

/// Bytes at an address that is a multiple of 16. Its capacity only grows; it is made to be kept and used again.
#[derive(Debug, Default)]
pub struct AlignedBuffer {
    words: Vec<u128>,
    len: usize,
}

impl AlignedBuffer {
    /// An empty buffer with room for `bytes`.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { words: Vec::with_capacity(bytes.div_ceil(16)), len: 0 }
    }

    /// Sets the length in bytes; what is new is zero, what was there stays.
    pub fn resize(&mut self, bytes: usize) {
        self.words.resize(bytes.div_ceil(16), 0);
        self.len = bytes;
    }

    /// Removes all bytes, keeps the memory.
    pub fn clear(&mut self) {
        self.words.clear();
        self.len = 0;
    }

    /// Bytes that fit before the memory has to grow.
    pub fn capacity(&self) -> usize {
        self.words.capacity() * 16
    }

    /// Appends bytes.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        let start = self.len;
        self.resize(start + bytes.len());
        self[start..].copy_from_slice(bytes);
    }
}

impl std::ops::Deref for AlignedBuffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.len]
    }
}

impl std::ops::DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.len]
    }
}
