//! The three system calls about memory placement that neither std nor a library here offers. The only
//! file with `unsafe`; `place` gives the answers a meaning.

use std::io;

/// `set_mempolicy(2)`, `MPOL_BIND`: the calling thread allocates on this node only.
pub(crate) fn set_mempolicy_bind(node: u32) -> io::Result<()> {
    const BITS: usize = libc::c_ulong::BITS as usize;
    let bit = node as usize;
    let mut mask: Vec<libc::c_ulong> = vec![0; bit / BITS + 1];
    mask[bit / BITS] = 1 << (bit % BITS);
    // The kernel looks at one bit fewer than it is told.
    let bits = mask.len() * BITS + 1;
    // SAFETY: the kernel reads `bits - 1` bits from `mask`, which holds exactly that many, and keeps no
    // pointer to them.
    let result = unsafe { libc::syscall(libc::SYS_set_mempolicy, libc::MPOL_BIND, mask.as_ptr(), bits) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `move_pages(2)` without target nodes: for each address the node of its page, or a negative errno.
pub(crate) fn nodes_of_pages(pages: &[*const u8]) -> io::Result<Vec<i32>> {
    const THIS_PROCESS: libc::pid_t = 0;
    let mut status: Vec<libc::c_int> = vec![0; pages.len()];
    // SAFETY: the kernel reads `pages.len()` addresses from `pages` and writes as many ints to `status`,
    // which has that length. Target nodes are null, so no page moves; the addresses are looked up and not
    // followed, so any value is sound.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_pages,
            THIS_PROCESS,
            pages.len() as libc::c_ulong,
            pages.as_ptr(),
            std::ptr::null::<libc::c_int>(),
            status.as_mut_ptr(),
            0 as libc::c_int,
        )
    };
    if result == 0 { Ok(status) } else { Err(io::Error::last_os_error()) }
}

/// Bytes in a page, a power of two.
pub(crate) fn page_bytes() -> usize {
    // SAFETY: sysconf takes no pointer.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).ok().filter(|bytes| bytes.is_power_of_two()).expect("Linux has pages of 2^n bytes")
}
