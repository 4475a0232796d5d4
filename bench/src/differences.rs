//! Differences between what was found and what was expected: all are counted, the first are told.

/// Differences that are told in full.
const TOLD_MAX: usize = 5;

/// Differences between what was found and what was expected.
#[derive(Debug, Default)]
pub struct Differences {
    /// The first of them, in words.
    pub told: Vec<String>,
    /// All of them.
    pub count: u64,
}

impl Differences {
    /// Notes one.
    pub fn note(&mut self, text: impl FnOnce() -> String) {
        self.count += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push(text());
        }
    }

    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.count += other.count;
        self.told.extend(other.told);
        self.told.truncate(TOLD_MAX);
    }
}
