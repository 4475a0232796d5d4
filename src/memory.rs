//! The server's allocator: the system's, but for large pieces. Those begin and end at a huge page and ask for huge pages: one fault
//! for each, and one entry of the processor's table of addresses, where small pages take 512. Tables of accounts and ids grow by such
//! pieces.
//!
//! They are parts of a span of addresses that is mapped at once, long before it is used up: to change its mappings a process waits for
//! all page faults of its other threads, and a fault takes milliseconds where a host has to give the memory first. What is
//! given back is unmapped; its addresses are not used again.
//!
//! Memory is placed on a node when it is first touched, so a shard's memory is where its thread's policy says.
//!
//! A thread may have memory touched before it needs it ([`prefault`]). Its pieces are taken from there as long as there is some, and
//! huge pages that it gives back are its own again.

use auriga_signals::Span;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::{io, ptr};

/// What large pieces are taken from.
static SPAN: Span = Span::spent();
const SPAN_SIZE: usize = Span::SIZE as usize;
/// Bytes of a huge page.
const HUGE: usize = 2 << 20;
/// Of the smallest pages.
const PAGE: usize = 4 << 10;
/// Smaller pieces are the system's: rounded up to huge pages they would take too much more than they need.
const LARGE: usize = HUGE / 4 * 3;

/// The allocator.
pub struct Memory;

/// Memory of one thread that is touched and not in use.
#[derive(Clone, Copy)]
struct Touched {
    /// Never used, so all zero: from here to there.
    fresh: *mut u8,
    end: *mut u8,
    /// The first of the huge pages that were given back; each begins with the next one's address.
    used: *mut u8,
    /// So many more may be kept: as many as were taken.
    room: usize,
}

impl Touched {
    const NONE: Self = Self { fresh: ptr::null_mut(), end: ptr::null_mut(), used: ptr::null_mut(), room: 0 };
}

thread_local! {
    static TOUCHED: Cell<Touched> = const { Cell::new(Touched::NONE) };
}

/// Maps so many bytes, in huge pages, and touches all: large pieces of this thread are taken from there first. Once for a thread.
/// Fails if the kernel doesn't give as much.
pub fn prefault(bytes: usize) -> io::Result<()> {
    let size = bytes.next_multiple_of(HUGE);
    let start = map_aligned(size, HUGE);
    if start.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the mapping was made above, and nobody uses it.
    let failed = unsafe { libc::madvise(start.cast(), size, libc::MADV_POPULATE_WRITE) } != 0;
    if failed && io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL) {
        // A kernel before Linux 5.14 doesn't know that: each page is written to.
        for page in (0..size).step_by(PAGE) {
            // SAFETY: the page lies in the mapping.
            unsafe { start.add(page).write_volatile(0) };
        }
    } else if failed {
        let error = io::Error::last_os_error();
        // SAFETY: as above.
        unsafe { unmap(start, size) };
        return Err(error);
    }
    TOUCHED.set(Touched { fresh: start, end: start.wrapping_add(size), ..Touched::NONE });
    Ok(())
}

/// So many bytes, whole huge pages, that this thread has touched; null if it has none that fit.
fn take_touched(size: usize, is_zeroed: bool) -> *mut u8 {
    let touched = TOUCHED.get();
    let room = touched.room + size / HUGE;
    if size == HUGE && !touched.used.is_null() {
        let piece = touched.used;
        // SAFETY: the page is this thread's alone, and begins with the address that `keep_touched` wrote.
        let used = unsafe { piece.cast::<*mut u8>().read() };
        TOUCHED.set(Touched { used, room, ..touched });
        if is_zeroed {
            // SAFETY: as above.
            unsafe { piece.write_bytes(0, size) };
        }
        return piece;
    }
    if touched.end.addr() - touched.fresh.addr() < size {
        return ptr::null_mut();
    }
    TOUCHED.set(Touched { fresh: touched.fresh.wrapping_add(size), room, ..touched });
    touched.fresh
}

/// Keeps a huge page for this thread's next piece; `false` if that may not be.
///
/// # Safety
///
/// The bytes are those of a huge page of this file, and nobody uses them any more.
unsafe fn keep_touched(piece: *mut u8) -> bool {
    let touched = TOUCHED.get();
    if touched.room == 0 {
        return false;
    }
    // SAFETY: the caller's promise; a huge page is aligned for an address.
    unsafe { piece.cast::<*mut u8>().write(touched.used) };
    TOUCHED.set(Touched { used: piece, room: touched.room - 1, ..touched });
    true
}

// SAFETY: what `is_large` says of a layout decides alone which of the two ways a piece comes and goes, and `realloc` stays on one
// way or copies. A piece is as large and as aligned as asked for, zeroed, and nobody else's.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout.size(), layout.align()) {
            return large(layout.size(), false);
        }
        // SAFETY: the caller's promises are the system's conditions.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_large(layout.size(), layout.align()) {
            return large(layout.size(), true);
        }
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        // SAFETY: the piece came from where the same layout sends it back to.
        unsafe {
            if is_large(layout.size(), layout.align()) {
                give_back(piece, layout.size().next_multiple_of(HUGE));
            } else {
                System.dealloc(piece, layout);
            }
        }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let (was_large, is_large) = (is_large(layout.size(), layout.align()), is_large(size, layout.align()));
        if was_large && is_large && layout.size().next_multiple_of(HUGE) == size.next_multiple_of(HUGE) {
            return piece;
        }
        // SAFETY: the caller's promises hold for both layouts, and the pieces don't overlap.
        unsafe {
            if !was_large && !is_large {
                return System.realloc(piece, layout, size);
            }
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                ptr::copy_nonoverlapping(piece, new, layout.size().min(size));
                self.dealloc(piece, layout);
            }
            new
        }
    }
}

fn is_large(size: usize, align: usize) -> bool {
    size >= LARGE && align <= HUGE
}

/// So many bytes and the rest of the last huge page; null if the kernel gives none.
fn large(size: usize, is_zeroed: bool) -> *mut u8 {
    let Some(wanted) = size.checked_next_multiple_of(HUGE) else { return ptr::null_mut() };
    let touched = take_touched(wanted, is_zeroed);
    if touched.is_null() { map(wanted) } else { touched }
}

/// # Safety
///
/// The bytes are a piece of this file, and nobody uses them any more.
unsafe fn give_back(piece: *mut u8, size: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if size != HUGE || !keep_touched(piece) {
            unmap(piece, size);
        }
    }
}

/// So many zeroed bytes, whole huge pages; null if the kernel gives none.
fn map(wanted: usize) -> *mut u8 {
    if wanted > SPAN_SIZE / 4 {
        return map_aligned(wanted, HUGE);
    }
    let spent = match SPAN.take(wanted as u64) {
        Ok(piece) => return ptr::with_exposed_provenance_mut(piece as usize),
        Err(spent) => spent,
    };
    let span = map_aligned(SPAN_SIZE, SPAN_SIZE);
    if !span.is_null() && !SPAN.renew(&spent, span.expose_provenance() as u64, wanted as u64) {
        // SAFETY: the mapping was made above, and nobody has this part of it.
        unsafe { unmap(span.wrapping_add(wanted), SPAN_SIZE - wanted) };
    }
    span
}

/// A new mapping that asks for huge pages, at a multiple of `align`, which is one of a huge page's size. Null if the kernel gives none.
fn map_aligned(wanted: usize, align: usize) -> *mut u8 {
    let Some(with_slack) = wanted.checked_add(align) else { return ptr::null_mut() };
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping, at an address of the kernel's choice.
    let start = unsafe { libc::mmap(ptr::null_mut(), with_slack, access, kind, -1, 0) };
    if start == libc::MAP_FAILED {
        return ptr::null_mut();
    }
    let start = start.cast::<u8>();
    let before = start.align_offset(align);
    let piece = start.wrapping_add(before);
    // SAFETY: all three parts are of the mapping made above; the first and the last are never used. A kernel without huge pages
    // ignores the advice.
    unsafe {
        unmap(start, before);
        unmap(piece.wrapping_add(wanted), align - before);
        libc::madvise(piece.cast(), wanted, libc::MADV_HUGEPAGE);
    }
    piece
}

/// # Safety
///
/// The bytes are whole pages of a mapping of this file, and nobody uses them any more.
unsafe fn unmap(start: *mut u8, size: usize) {
    if size > 0 {
        // SAFETY: the caller's promise.
        unsafe { libc::munmap(start.cast(), size) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces of all sizes about the bounds, which change their size and keep what they hold.
    #[test]
    fn pieces_keep_what_they_hold_when_they_grow_and_shrink() {
        let sizes = [1, 4_096, LARGE - 1, LARGE, HUGE - 1, HUGE, HUGE + 1, 3 * HUGE];
        for from in sizes {
            for to in sizes {
                let mut piece: Vec<u8> = Vec::with_capacity(from);
                piece.extend((0..from).map(|at| at as u8));
                piece.truncate(to.min(from));
                piece.shrink_to_fit();
                piece.reserve_exact(to - piece.len());
                assert_eq!(piece.len(), to.min(from));
                assert!(piece.iter().enumerate().all(|(at, byte)| *byte == at as u8), "{from} to {to}");
            }
        }
    }

    #[test]
    fn large_pieces_are_zeroed_and_begin_at_a_huge_page() {
        for size in [LARGE, HUGE, 5 * HUGE + 1] {
            let piece = vec![0u8; size];
            assert_eq!(piece.as_ptr().align_offset(HUGE), 0);
            assert!(piece.iter().all(|byte| *byte == 0));
        }
    }

    /// The same pages come again and again, zeroed if that is asked for; another thread's give nothing to this one.
    #[test]
    fn touched_memory_is_taken_first_and_used_again() {
        prefault(3 * HUGE - 1).expect("the kernel has six megabytes");
        let (all, end) = (TOUCHED.get().fresh, TOUCHED.get().end);
        let is_touched = |piece: &Vec<u8>| (all..end).contains(&piece.as_ptr().cast_mut());
        let pieces = [1, 2, 3].map(|fill| vec![fill; HUGE]);
        assert!(pieces.iter().all(is_touched));
        let beyond = vec![4; HUGE];
        assert!(!is_touched(&beyond), "all is taken");
        drop((pieces, beyond));
        for _ in 0..5 {
            let zeroed = [(); 3].map(|()| vec![0; HUGE]);
            assert!(zeroed.iter().all(|piece| is_touched(piece) && piece.iter().all(|byte| *byte == 0)));
            let other = vec![5u8; HUGE];
            assert!(!is_touched(&other));
            drop((zeroed, other));
        }
        assert!(!is_touched(&vec![6; HUGE + 1]), "what was used is one page and one page");
        assert_eq!(std::thread::spawn(|| TOUCHED.get().end.addr()).join().expect("it ends"), 0);
        TOUCHED.set(Touched::NONE);
    }

    #[test]
    fn pieces_of_many_spans_do_not_share_memory() {
        let size = SPAN_SIZE / 8;
        let mut pieces: Vec<Vec<u64>> = (0..40).map(|_| vec![0; size / 8]).collect();
        for (number, piece) in (1..).zip(&mut pieces) {
            let last = piece.len() - 1;
            (piece[0], piece[last]) = (number, number);
        }
        for (number, piece) in (1..).zip(&pieces) {
            assert_eq!((piece[0], piece[piece.len() - 1]), (number, number));
        }
    }
}
