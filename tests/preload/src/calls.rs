//! The functions of the C library that are ours instead: each counts, then calls the next one of its name.

use crate::steps;
use libc::{c_char, c_int, c_long, c_uint, c_void, mode_t, off_t, size_t, ssize_t};
use std::ffi::CStr;

/// The function of this name that would have been called without us.
macro_rules! next {
    (fn $name:ident($($argument:ty),*) -> $result:ty) => {{
        static NEXT: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
        let name = concat!(stringify!($name), "\0").as_ptr().cast();
        // SAFETY: the name ends with a zero.
        let address = *NEXT.get_or_init(|| unsafe { libc::dlsym(libc::RTLD_NEXT, name) as usize });
        assert_ne!(address, 0, "the C library has {}", stringify!($name));
        // SAFETY: the C library's function of this name has this type.
        unsafe { std::mem::transmute::<usize, unsafe extern "C" fn($($argument),*) -> $result>(address) }
    }};
}
pub(crate) use next;

/// Defines a function of the C library. `paths` are those that a call is about; without any that is counted it is only passed on.
macro_rules! counted {
    ($(#[$attribute:meta])* fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty, of $paths:expr) => {
        /// The C library's, counted.
        ///
        /// # Safety
        /// As for the C library's.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            let real = next!(fn $name($($type),*) -> $result);
            if steps::are_counted()
                && let Some(path) = $paths
                && let Some(error) = steps::before(stringify!($name), &path)
            {
                // SAFETY: it is this thread's own.
                unsafe { *libc::__errno_location() = error };
                return -1;
            }
            // SAFETY: the caller's promise.
            unsafe { real($($argument),*) }
        }
    };
}

counted!(fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int, of made(path, flags));
counted!(fn mkdir(path: *const c_char, mode: mode_t) -> c_int, of named(path));
counted!(fn unlink(path: *const c_char) -> c_int, of named(path));
counted!(fn rename(from: *const c_char, to: *const c_char) -> c_int, of both(from, to));
counted!(fn fallocate(file: c_int, mode: c_int, at: off_t, size: off_t) -> c_int, of opened(file));
counted!(fn ftruncate64(file: c_int, size: off_t) -> c_int, of opened(file));
counted!(fn fsync(file: c_int) -> c_int, of opened(file));
counted!(fn fdatasync(file: c_int) -> c_int, of opened(file));
counted!(fn write(file: c_int, bytes: *const c_void, count: size_t) -> ssize_t, of opened(file));
counted!(fn pwrite64(file: c_int, bytes: *const c_void, count: size_t, at: off_t) -> ssize_t, of opened(file));

/// The C library's `syscall`, by which Rust's io_uring is driven: submissions are counted.
///
/// # Safety
/// As for the C library's. It takes any number of arguments, which all come in registers and one word of the stack; what the
/// caller didn't give is passed on and not looked at.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syscall(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    let real = next!(fn syscall(c_long, c_long, c_long, c_long, c_long, c_long, c_long) -> c_long);
    if number == libc::SYS_io_uring_enter {
        steps::before_submission();
    }
    // SAFETY: the caller's promise.
    unsafe { real(number, a, b, c, d, e, f) }
}

/// Writes without being counted.
pub fn raw_write(file: c_int, bytes: &[u8]) {
    let real = next!(fn write(c_int, *const c_void, size_t) -> ssize_t);
    // SAFETY: the bytes live for the call.
    unsafe { real(file, bytes.as_ptr().cast(), bytes.len()) };
}

fn named(path: *const c_char) -> Option<String> {
    // SAFETY: callers of the C library pass a path that ends with a zero.
    let path = unsafe { CStr::from_ptr(path) };
    Some(path.to_string_lossy().into_owned())
}

/// Of a file that may be made by opening it.
fn made(path: *const c_char, flags: c_int) -> Option<String> {
    (flags & libc::O_CREAT != 0).then(|| named(path)).flatten()
}

fn both(from: *const c_char, to: *const c_char) -> Option<String> {
    Some(format!("{} to {}", named(from)?, named(to)?))
}

fn opened(file: c_int) -> Option<String> {
    let path = std::fs::read_link(format!("/proc/self/fd/{file}")).ok()?;
    Some(path.to_string_lossy().into_owned())
}
