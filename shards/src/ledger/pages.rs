//! A growing array whose elements never move: pages of 2 MiB, so that growth copies nothing and a checkpoint can take
//! it page by page.

const PAGE_SIZE: usize = 2 << 20;

/// A growing array of `T`, addressed by the number that [`Pages::push`] returned.
#[derive(Debug)]
pub struct Pages<T> {
    pages: Vec<Vec<T>>,
    len: usize,
}

impl<T: Copy> Pages<T> {
    /// Elements of a page: a power of two, so that an address is a shift and a mask.
    const PER_PAGE: usize = 1 << (PAGE_SIZE / size_of::<T>()).ilog2();

    /// An empty array.
    pub fn new() -> Self {
        Self { pages: Vec::with_capacity(4_096), len: 0 }
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
            self.pages.push(Vec::with_capacity(Self::PER_PAGE));
        }
        self.pages[self.len / Self::PER_PAGE].push(item);
        self.len += 1;
        number
    }

    /// Removes the last element.
    pub fn pop(&mut self) {
        self.len -= 1;
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
    fn index_mut(&mut self, number: u32) -> &mut T {
        &mut self.pages[number as usize / Self::PER_PAGE][number as usize % Self::PER_PAGE]
    }
}
