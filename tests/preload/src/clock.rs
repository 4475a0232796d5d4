//! A clock that is off.

use crate::calls::next;
use libc::{CLOCK_REALTIME, c_int, clockid_t, timespec};
use std::sync::OnceLock;

/// How far the clock is ahead.
fn ahead() -> i64 {
    static AHEAD: OnceLock<i64> = OnceLock::new();
    let seconds = || std::env::var("AURIGA_CLOCK_SECONDS").ok()?.parse().ok();
    *AHEAD.get_or_init(|| seconds().unwrap_or(0))
}

/// The C library's, with the wall clock off.
///
/// # Safety
/// As for the C library's: `time` is writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    let real = next!(fn clock_gettime(clockid_t, *mut timespec) -> c_int);
    // SAFETY: the caller's promise.
    let result = unsafe { real(clock, time) };
    if result == 0 && clock == CLOCK_REALTIME {
        // SAFETY: the call has just written it.
        unsafe { (*time).tv_sec += ahead() };
    }
    result
}
