//! A growing array of pages of 2 MiB that can be frozen. Growth copies nothing, but for what comes behind the number of elements that
//! was expected.
//!
//! A checkpoint freezes the array and takes it sheet by sheet, as it was then, while its elements go on changing: the first
//! change of one that was not taken keeps what it was.

const PAGE_SIZE: usize = 2 << 20;
/// Elements that are taken at once.
pub const SHEET: usize = 1_024;

/// Memory that will be written soon and has never been: its first touch costs much more than each later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fresh {
    /// The address.
    pub start: usize,
    /// Bytes.
    pub size: usize,
}

impl Fresh {
    /// What is named are whole pages of this size...
    const PAGE: usize = 4 << 10;
    /// ... and less than so much is not worth a word.
    const SIZE_MIN: usize = 64 << 10;

    /// The pages that a vector has for itself, if they are many. Nothing was put into it so far.
    pub fn of<T>(memory: &Vec<T>) -> Option<Self> {
        let first = memory.as_ptr().addr();
        let start = first.next_multiple_of(Self::PAGE);
        let end = (first + memory.capacity() * size_of::<T>()) / Self::PAGE * Self::PAGE;
        (end >= start + Self::SIZE_MIN).then(|| Self { start, size: end - start })
    }
}

/// A growing array of `T`, addressed by the number that [`Pages::push`] returned.
#[derive(Debug)]
pub struct Pages<T> {
    pages: Vec<Vec<T>>,
    /// The next one.
    spare: Option<Vec<T>>,
    len: usize,
    /// There will be so many elements; if there are more, a page may copy its own to grow.
    expected: usize,
    /// The first element that is frozen and not taken, and how many follow.
    frozen: (u32, u32),
    /// By sheet: what was changed since.
    changed: Vec<Option<Box<Changed<T>>>>,
    /// Elements in `changed`.
    kept: usize,
}

/// Elements of a sheet that were changed after it was frozen, as they had been.
#[derive(Debug)]
struct Changed<T> {
    /// By element of the sheet, a bit: it is kept.
    marks: [u64; SHEET / 64],
    elements: Vec<(u16, T)>,
}

impl<T: Copy> Pages<T> {
    /// Elements of a page: a power of two, so that an address is a shift and a mask.
    const PER_PAGE: usize = 1 << (PAGE_SIZE / size_of::<T>()).ilog2();

    /// An empty array.
    pub fn new() -> Self {
        Self::for_elements(usize::MAX)
    }

    /// An empty array that will have so many elements, more or less.
    pub fn for_elements(expected: usize) -> Self {
        let pages = Vec::with_capacity((expected / Self::PER_PAGE + 1).min(4_096));
        Self { pages, spare: None, len: 0, expected, frozen: (0, 0), changed: Vec::new(), kept: 0 }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends an element and returns its number.
    pub fn push(&mut self, item: T) -> u32 {
        let number = u32::try_from(self.len).expect("the limits keep a shard's tables below 2^32 entries");
        if self.len.is_multiple_of(Self::PER_PAGE) {
            let page = self.spare.take().unwrap_or_else(|| self.next_page());
            self.pages.push(page);
        }
        self.pages[self.len / Self::PER_PAGE].push(item);
        self.len += 1;
        number
    }

    fn next_page(&self) -> Vec<T> {
        let room = self.pages.len() * Self::PER_PAGE;
        Vec::with_capacity(self.expected.saturating_sub(room).clamp(Self::PER_PAGE / 16, Self::PER_PAGE))
    }

    /// Makes the next page, if it will be needed; returns it if it is new.
    pub fn prepare(&mut self) -> Option<Fresh> {
        if self.spare.is_some() || self.pages.len() * Self::PER_PAGE >= self.expected {
            return None;
        }
        Fresh::of(self.spare.insert(self.next_page()))
    }

    /// Removes the last element. Panics if it is frozen.
    pub fn pop(&mut self) {
        self.len -= 1;
        let (first, left) = self.frozen;
        assert!(self.len >= (first + left) as usize, "only what came after a checkpoint began is taken back");
        let page = self.len / Self::PER_PAGE;
        self.pages[page].pop();
        if self.len.is_multiple_of(Self::PER_PAGE) {
            self.pages.truncate(page);
        }
    }

    /// Every element, in the order of the numbers.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flatten()
    }

    /// Freezes all elements that there are, until [`Pages::take_sheet`] has taken them all.
    pub fn freeze(&mut self) {
        self.melt();
        self.frozen = (0, self.len as u32);
        self.changed.resize_with(self.len.div_ceil(SHEET), || None);
    }

    /// Nothing is frozen any more.
    pub fn melt(&mut self) {
        self.frozen = (0, 0);
        self.changed.clear();
        self.kept = 0;
    }

    /// Whether there are frozen elements that were not taken.
    pub fn is_frozen(&self) -> bool {
        self.frozen.1 > 0
    }

    /// Bytes that are in use because elements are frozen.
    pub fn kept_bytes(&self) -> usize {
        self.kept * size_of::<(u16, T)>()
    }

    /// Takes the next elements as they were when they were frozen: fills `sheet` and returns the number of the first.
    pub fn take_sheet(&mut self, sheet: &mut Vec<T>) -> u32 {
        let (first, left) = self.frozen;
        let count = left.min(SHEET as u32);
        sheet.clear();
        if count > 0 {
            // Sheets lie within pages.
            let (page, at) = (first as usize / Self::PER_PAGE, first as usize % Self::PER_PAGE);
            sheet.extend_from_slice(&self.pages[page][at..at + count as usize]);
            if let Some(changed) = self.changed[first as usize / SHEET].take() {
                self.kept -= changed.elements.len();
                for (at, element) in changed.elements {
                    sheet[usize::from(at)] = element;
                }
            }
        }
        self.frozen = if left > count { (first + count, left - count) } else { (0, 0) };
        first
    }

    #[cold]
    fn keep(&mut self, number: u32) {
        let element = self[number];
        let (at, sheet) = (number as usize % SHEET, &mut self.changed[number as usize / SHEET]);
        let changed =
            sheet.get_or_insert_with(|| Box::new(Changed { marks: [0; SHEET / 64], elements: Vec::new() }));
        let (mark, bit) = (&mut changed.marks[at / 64], 1 << (at % 64));
        if *mark & bit == 0 {
            *mark |= bit;
            changed.elements.push((at as u16, element));
            self.kept += 1;
        }
    }
}

impl<T: Copy> Default for Pages<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy> std::ops::Index<u32> for Pages<T> {
    type Output = T;
    fn index(&self, number: u32) -> &T {
        &self.pages[number as usize / Self::PER_PAGE][number as usize % Self::PER_PAGE]
    }
}

impl<T: Copy> std::ops::IndexMut<u32> for Pages<T> {
    #[inline]
    fn index_mut(&mut self, number: u32) -> &mut T {
        let (first, left) = self.frozen;
        if number.wrapping_sub(first) < left {
            self.keep(number);
        }
        &mut self.pages[number as usize / Self::PER_PAGE][number as usize % Self::PER_PAGE]
    }
}

const _: () = assert!(SHEET.is_multiple_of(64) && SHEET <= 1 << 16, "a mark for each element, and a number");

#[cfg(test)]
mod tests {
    use super::*;

    /// Elements that are changed, added and taken back in any order: what is taken is what was frozen.
    #[test]
    fn what_is_taken_is_what_was_frozen() {
        for seed in 0..50 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut pages = Pages::new();
            for n in 0..rng.u64(..5_000) {
                pages.push(n);
            }
            for _ in 0..3 {
                let expected: Vec<u64> = pages.iter().copied().collect();
                pages.freeze();
                let (mut taken, mut sheet) = (Vec::new(), Vec::new());
                while pages.is_frozen() {
                    for _ in 0..rng.usize(..2_000) {
                        match rng.u8(..8) {
                            0 => {
                                pages.push(rng.u64(..));
                            }
                            1 if pages.len() > expected.len() => pages.pop(),
                            _ if !pages.is_empty() => {
                                let number = rng.u32(..pages.len() as u32);
                                pages[number] = rng.u64(..);
                            }
                            _ => {}
                        }
                    }
                    assert_eq!(pages.take_sheet(&mut sheet) as usize, taken.len(), "seed {seed}");
                    taken.extend_from_slice(&sheet);
                }
                assert_eq!((taken, pages.kept_bytes()), (expected, 0), "seed {seed}");
            }
        }
    }
}
