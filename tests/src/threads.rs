//! Single threads of a server: which ones run its shards, and one that stands still while the others go on.

use std::collections::BTreeMap;
use std::fs;
use std::io;

/// The threads of a server that run its shards, in their order. Each has a helper that was started after it, does nothing of ours and has
/// its name: of those with one name the first is meant.
pub fn shard_threads(process: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("the server runs");
    let mut first: BTreeMap<String, u32> = BTreeMap::new();
    for task in tasks.flatten() {
        let number: Option<u32> = task.file_name().to_str().and_then(|name| name.parse().ok());
        let name = fs::read_to_string(task.path().join("comm")).ok();
        if let (Some(number), Some(name)) = (number, name.filter(|name| name.starts_with("shard-"))) {
            first.entry(name).and_modify(|first| *first = number.min(*first)).or_insert(number);
        }
    }
    first.into_values().collect()
}

/// How often a thread has slept and was woken. It grows as long as an idle thread lives.
pub fn sleeps(process: u32, thread: u32) -> u64 {
    let status =
        fs::read_to_string(format!("/proc/{process}/task/{thread}/status")).expect("the thread runs");
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.and_then(|count| count.trim().parse().ok()).expect("a count")
}

/// A thread that stands still until this is dropped, by the thread that has made it. Drop it before its process is waited for.
#[derive(Debug)]
pub struct Frozen(u32);

impl Frozen {
    /// Stops one thread of a child process. Fails where this user may not trace it.
    pub fn new(thread: u32) -> io::Result<Self> {
        trace(libc::PTRACE_SEIZE, thread)?;
        let frozen = Self(thread);
        trace(libc::PTRACE_INTERRUPT, thread)?;
        let mut status = 0;
        // SAFETY: `status` is writable for the call.
        match unsafe { libc::waitpid(thread as i32, &raw mut status, libc::__WALL) } {
            -1 => Err(io::Error::last_os_error()),
            _ => {
                assert!(libc::WIFSTOPPED(status), "thread {thread} has ended: {status:#x}");
                Ok(frozen)
            }
        }
    }

    /// Waits until the thread has ended, as by a signal that ends its process. The process isn't gone before that was seen.
    pub fn wait(self) {
        let mut status = 0;
        // SAFETY: `status` is writable for the call.
        while unsafe { libc::waitpid(self.0 as i32, &raw mut status, libc::__WALL) } != -1 {
            if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
                break;
            }
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = trace(libc::PTRACE_DETACH, self.0);
    }
}

fn trace(request: libc::c_uint, thread: u32) -> io::Result<()> {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: none of the requests used here reads or writes memory of this process.
    match unsafe { libc::ptrace(request, thread as i32, none, none) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
