//! The calls that are counted: each is a step, at one of which the process ends or a call fails.

use crate::calls::raw_write;
use libc::c_int;
use std::collections::VecDeque;
use std::os::unix::ffi::OsStringExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

/// A call of this name, with this in its path, is to fail with this error number.
struct Failure {
    call: String,
    place: String,
    error: c_int,
}

struct Plan {
    log: c_int,
    places: Vec<String>,
    die_at: u64,
    failures: Mutex<VecDeque<Failure>>,
    submissions_from: u64,
    die_at_submission: u64,
    steps: Mutex<u64>,
    submissions: AtomicU64,
}

fn plan() -> Option<&'static Plan> {
    static PLAN: OnceLock<Option<Plan>> = OnceLock::new();
    PLAN.get_or_init(read_plan).as_ref()
}

fn read_plan() -> Option<Plan> {
    let path = std::env::var_os("AURIGA_STEPS")?;
    let path = std::ffi::CString::new(path.into_vec()).ok()?;
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let flags = libc::O_CREAT | libc::O_APPEND | libc::O_WRONLY | libc::O_CLOEXEC;
    // SAFETY: the path ends with a zero and lives for the call. Not `open`: that is ours, and would come back here.
    let log = unsafe { libc::openat(libc::AT_FDCWD, path.as_ptr(), flags, 0o600) };
    assert!(log >= 0, "AURIGA_STEPS names a file that can be written");
    let places = std::env::var("AURIGA_STEPS_AT").unwrap_or_default();
    Some(Plan {
        log,
        places: places.split(':').filter(|place| !place.is_empty()).map(String::from).collect(),
        die_at: number("AURIGA_DIE_AT"),
        failures: Mutex::new(
            read_failures().expect("AURIGA_FAILURES has a call, a place and a number in each part"),
        ),
        submissions_from: number("AURIGA_SUBMISSIONS_FROM"),
        die_at_submission: number("AURIGA_DIE_AT_SUBMISSION"),
        steps: Mutex::new(0),
        submissions: AtomicU64::new(0),
    })
}

fn read_failures() -> Option<VecDeque<Failure>> {
    let text = std::env::var("AURIGA_FAILURES").unwrap_or_default();
    let failure = |text: &str| {
        let mut words = text.split(' ').map(String::from);
        Some(Failure { call: words.next()?, place: words.next()?, error: words.next()?.parse().ok()? })
    };
    text.split(':').filter(|text| !text.is_empty()).map(failure).collect()
}

/// Whether paths of calls are to be looked at.
pub fn are_counted() -> bool {
    plan().is_some()
}

/// A call is about to be made. The error that it is to fail with instead, if it is to fail.
pub fn before(call: &str, path: &str) -> Option<c_int> {
    let plan = plan()?;
    let is_at = |place: &str| match place.strip_suffix('$') {
        Some(end) => path.ends_with(end),
        None => path.contains(place),
    };
    if !plan.places.iter().any(|place| is_at(place)) {
        return None;
    }
    let mut steps = plan.steps.lock().expect("nothing panics with it");
    *steps += 1;
    raw_write(plan.log, format!("{} {call} {path}\n", *steps).as_bytes());
    if *steps == plan.die_at {
        die();
    }
    let mut failures = plan.failures.lock().expect("nothing panics with it");
    let fails = failures.front().is_some_and(|failure| failure.call == call && is_at(&failure.place));
    if fails { failures.pop_front().map(|failure| failure.error) } else { None }
}

/// Work is about to be handed to io_uring.
pub fn before_submission() {
    let Some(plan) = plan().filter(|plan| plan.die_at_submission > 0) else { return };
    if *plan.steps.lock().expect("nothing panics with it") >= plan.submissions_from
        && plan.submissions.fetch_add(1, Ordering::Relaxed) + 1 == plan.die_at_submission
    {
        raw_write(plan.log, b"0 submission\n");
        die();
    }
}

/// Ends the process as kill -9 does, before the caller's call is made.
fn die() -> ! {
    // SAFETY: no memory is passed.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    loop {
        // SAFETY: no memory is passed.
        unsafe { libc::pause() };
    }
}
