//! Memory that is there before it is needed, in huge pages, as a server has it that was started with `--prefault`.

use std::io::{Error, Result};

const HUGE: usize = 2 << 20;

/// Touches so many bytes, from which the calling thread's allocations are taken from now on. The process keeps them. To be called by the
/// main thread: the C library's heap that grows is that one's.
pub fn touch(bytes: usize) -> Result<()> {
    // SAFETY: settings of the allocator: pieces of any size come from the heap, and the heap doesn't shrink.
    let taken =
        unsafe { libc::mallopt(libc::M_MMAP_MAX, 0) == 1 && libc::mallopt(libc::M_TRIM_THRESHOLD, -1) == 1 };
    if !taken {
        return Err(Error::other("the allocator's settings can't be changed"));
    }
    let mut piece = Vec::<u8>::with_capacity(bytes);
    let start = piece.as_mut_ptr();
    let before = start.align_offset(HUGE);
    let whole = bytes.saturating_sub(before) / HUGE * HUGE;
    // SAFETY: whole pages of the piece, which nobody reads; both calls leave their bytes as they are.
    let populated = unsafe {
        let pages = start.add(before.min(bytes)).cast::<libc::c_void>();
        // Where the kernel has no huge pages small ones do.
        libc::madvise(pages, whole, libc::MADV_HUGEPAGE);
        libc::madvise(pages, whole, libc::MADV_POPULATE_WRITE) == 0
    };
    if populated { Ok(()) } else { Err(Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_touched_is_used() {
        touch(64 << 20).expect("there are 64 MiB");
    }
}
