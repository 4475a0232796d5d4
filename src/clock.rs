//! The clocks of the server: two of the machine, and one of each thread.

use auriga_shards::pacer::Clock;

/// What time it is.
pub fn now() -> Clock {
    Clock { monotonic_ns: read(libc::CLOCK_MONOTONIC), wall_ns: read(libc::CLOCK_REALTIME) }
}

/// The clock that never goes back, nanoseconds.
pub fn monotonic_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// For how long this thread has run, nanoseconds.
pub fn thread_ns() -> u64 {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is writable for the call.
    let failed = unsafe { libc::clock_gettime(clock, &raw mut time) } != 0;
    assert!(!failed, "Linux has these clocks");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
