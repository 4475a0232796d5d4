//! Numbers that one thread shows and others read.

use crate::sync::{AtomicU64, Ordering};

/// Numbers of a cache line, or of the two that a processor fetches at once.
const LINE: usize = 16;

#[derive(Debug, Default)]
#[repr(align(128))]
struct Line([AtomicU64; LINE]);

/// Numbers that one thread shows and others read, on cache lines of their own. Each number is one that was shown; two of them may be of
/// different moments.
#[derive(Debug)]
pub struct Board {
    lines: Box<[Line]>,
}

impl Board {
    /// So many zeros.
    pub fn new(numbers: usize) -> Self {
        Self { lines: (0..numbers.div_ceil(LINE)).map(|_| Line::default()).collect() }
    }

    /// Shows these numbers, from the first on. By one thread alone.
    pub fn show(&self, numbers: &[u64]) {
        assert!(numbers.len() <= self.lines.len() * LINE, "the board was made for what is shown on it");
        for (place, number) in self.places().zip(numbers) {
            place.store(*number, Ordering::Relaxed);
        }
    }

    /// Reads what is shown, from the first number on.
    pub fn read(&self, numbers: &mut [u64]) {
        assert!(numbers.len() <= self.lines.len() * LINE, "the board was made for what is read from it");
        for (place, number) in self.places().zip(numbers) {
            *number = place.load(Ordering::Relaxed);
        }
    }

    fn places(&self) -> impl Iterator<Item = &AtomicU64> {
        self.lines.iter().flat_map(|line| &line.0)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read() {
        let board = Board::new(LINE + 1);
        let shown: Vec<u64> = (1..=LINE as u64 + 1).collect();
        board.show(&shown);
        let mut read = vec![0; shown.len()];
        board.read(&mut read);
        assert_eq!(read, shown);
        board.show(&[7]);
        board.read(&mut read);
        assert_eq!((read[0], &read[1..]), (7, &shown[1..]), "what is not shown again stays");
        assert_eq!(std::ptr::from_ref(&board.lines[0]).align_offset(128), 0);
    }
}
