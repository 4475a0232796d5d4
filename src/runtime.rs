//! The one place where the runtime of the executors, glommio, is named: pinned executors, tasks, timers, readiness.

use crate::failure::{Failure, Outcome};
use crate::{room, storage};
use auriga_signals::Begin;
use rtrb::{Consumer, Producer, RingBuffer};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::os::fd::AsRawFd;
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// Memory that an executor's rings may pin. Our own buffers don't come from it; the default of 10 MiB a ring would pass
/// a usual memlock limit of 8 MiB.
const IO_MEMORY: usize = 1 << 20;
/// Bytes that a process may lock in memory, at least.
pub const MEMLOCK_MIN: u64 = 8 << 20;

/// How long tasks may run before the executor looks at its I/O, if they don't all come to wait before. Not shorter:
/// when this time is over before the first task of a round has run (the thread lost its CPU meanwhile), glommio 0.12 goes to
/// sleep although tasks are ready. [`Pulse`] ends such a sleep, and [`start`] one that no pulse can end.
const PREEMPT: Duration = Duration::from_millis(10);

/// How long an executor may take to its first task. Then it is taken for one that sleeps.
const BEGIN: Duration = Duration::from_secs(1);

/// A running executor and its CPU.
pub struct Executor(glommio::ExecutorJoinHandle<()>, u32);

impl Executor {
    /// Waits for its end. A panic ends the process, so what fails here is the setting up of its thread.
    pub fn join(self) -> Outcome<()> {
        let cpu = self.1;
        self.0.join().map_err(|e| cannot_start(cpu, &e))
    }
}

/// Starts an executor pinned to a CPU and runs what `make` makes, on its thread, to the end. Returns when that has begun.
pub fn start<M, F>(cpu: u32, name: &str, make: M) -> Outcome<Executor>
where
    M: FnOnce() -> F + Send + 'static,
    F: Future<Output = ()> + 'static,
{
    start_within(cpu, name, make, |_| PREEMPT, BEGIN)
}

/// An executor whose time is over before its first task has run sleeps, and nothing can wake it: it is left alone, without
/// what it was to run, and another one is started. `preempt` is told how many were.
fn start_within<M, F>(
    cpu: u32,
    name: &str,
    make: M,
    preempt: impl Fn(u32) -> Duration,
    begin: Duration,
) -> Outcome<Executor>
where
    M: FnOnce() -> F + Send + 'static,
    F: Future<Output = ()> + 'static,
{
    let mut left_alone = 0;
    loop {
        let (mut give, take) = RingBuffer::<M>::new(1);
        let begun = Arc::new(Begin::of_thread_to_start());
        let beginning = begun.clone();
        let builder = glommio::LocalExecutorBuilder::new(glommio::Placement::Fixed(cpu as usize))
            .name(name)
            .io_memory(IO_MEMORY)
            .preempt_timer(preempt(left_alone));
        let started = builder.spawn(move || async move {
            beginning.begin();
            if let Some(make) = wait_for(take) {
                make().await;
            }
        });
        let executor = Executor(started.map_err(|e| cannot_start(cpu, &e))?, cpu);
        let deadline = Instant::now() + begin;
        // One that could not be set up drops its end of the ring; why, it says when it is joined.
        let is_decided = |give: &Producer<M>| begun.has_begun() || give.is_abandoned();
        while !is_decided(&give) && Instant::now() < deadline {
            thread::park_timeout(begin / 100);
        }
        if give.is_abandoned() && !begun.has_begun() {
            executor.join()?;
            return Err(Failure::environment(format!("the executor on CPU {cpu} ended before it began")));
        }
        if begun.has_begun() {
            let _ = give.push(make);
            drop(give);
            executor.0.thread().unpark();
            return Ok(executor);
        }
        drop(give);
        executor.0.thread().unpark();
        tracing::warn!(
            "the executor on CPU {cpu} did not begin within {begin:.0?}: another one takes its place"
        );
        left_alone += 1;
    }
}

/// Waits for what another thread gives before it drops its end, and unparks this one.
fn wait_for<T>(mut take: Consumer<T>) -> Option<T> {
    while take.is_empty() && !take.is_abandoned() {
        thread::park();
    }
    take.pop().ok()
}

fn cannot_start(cpu: u32, error: &glommio::GlommioError<()>) -> Failure {
    let cause = match (storage::probe(), room::memlock()) {
        (Err(e), _) => format!("io_uring can't be used: {e}. {}", storage::IO_URING_REMEDY),
        (_, Some(limit)) if limit < MEMLOCK_MIN => format!(
            "the memlock limit is {limit} bytes, expected {} MiB or more: raise it (ulimit -l {}; LimitMEMLOCK= of a unit)",
            MEMLOCK_MIN >> 20,
            MEMLOCK_MIN >> 10
        ),
        _ => format!(
            "{error}. Check that the CPU is allowed for this process (taskset, cgroup cpuset; `auriga topology check`)"
        ),
    };
    Failure::environment(format!("can't start an executor on CPU {cpu}: {cause}"))
}

/// Runs a task beside the one that calls, not before that one waits: glommio would run it at once, inside whatever the
/// caller has borrowed.
pub fn spawn(task: impl Future<Output = ()> + 'static) {
    glommio::spawn_local(async move {
        glommio::executor().yield_now().await;
        task.await;
    })
    .detach();
}

/// Lets the other tasks of this executor have a turn.
pub async fn yield_now() {
    glommio::executor().yield_now().await;
}

/// Lets some time pass.
pub async fn sleep(time: Duration) {
    glommio::timer::sleep(time).await;
}

/// A descriptor whose readiness can be waited for.
pub struct Ready<T: AsRawFd>(glommio::io::PollableFd<T>);

impl<T: AsRawFd> Ready<T> {
    /// Watches a non-blocking descriptor, on this executor.
    pub fn new(inner: T) -> std::io::Result<Self> {
        glommio::io::PollableFd::new(inner).map(Self).map_err(to_io)
    }

    /// The descriptor.
    pub fn get(&self) -> &T {
        self.0.get_ref()
    }

    /// Waits until it can be read.
    pub async fn readable(&self) -> std::io::Result<()> {
        self.0.readable().await.map_err(to_io)
    }

    /// Waits until it can be written.
    pub async fn writable(&self) -> std::io::Result<()> {
        self.0.writable().await.map_err(to_io)
    }
}

fn to_io(error: glommio::GlommioError<()>) -> std::io::Error {
    match error {
        glommio::GlommioError::IoError(e) => e,
        other => std::io::Error::other(other.to_string()),
    }
}

/// A beat that comes from another thread, so that it also reaches an executor that sleeps and should not.
#[derive(Default)]
pub struct Pulse {
    first: OnceLock<Waker>,
    waiting: OnceLock<Waker>,
}

impl Pulse {
    /// Wakes the task that waits for the beat, or the first one if none has come to wait yet.
    pub fn beat(&self) {
        if let Some(waker) = self.waiting.get().or(self.first.get()) {
            waker.wake_by_ref();
        }
    }

    /// For the executor's first task, before it waits for anything: from now on the beat reaches the executor.
    pub async fn begin(&self) {
        std::future::poll_fn(|context| {
            self.first.get_or_init(|| context.waker().clone());
            Poll::Ready(())
        })
        .await;
    }

    /// Waits for the next beat. One task for each pulse.
    pub fn wait(&self) -> impl Future<Output = ()> + '_ {
        let mut waited = false;
        std::future::poll_fn(move |context| {
            self.waiting.get_or_init(|| context.waker().clone());
            if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }
        })
    }
}

/// Wakes the tasks of one executor that wait for something to change.
#[derive(Default)]
pub struct Signal {
    changes: Cell<u64>,
    waiting: RefCell<Vec<Waker>>,
}

impl Signal {
    /// Wakes every waiting task.
    pub fn notify(&self) {
        self.changes.set(self.changes.get() + 1);
        for waker in self.waiting.borrow_mut().drain(..) {
            waker.wake();
        }
    }

    /// Waits for the next notification after this call.
    pub fn wait(&self) -> impl Future<Output = ()> + '_ {
        let before = self.changes.get();
        std::future::poll_fn(move |context| {
            if self.changes.get() != before {
                return Poll::Ready(());
            }
            self.waiting.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use auriga_signals::Count;

    /// Far more than anything here takes: a hang.
    const HANG: Duration = Duration::from_secs(60);

    /// Runs an executor with a beat to its end.
    #[track_caller]
    fn run(start: impl FnOnce(Arc<Pulse>) -> Outcome<Executor> + Send + 'static) {
        let pulse = Arc::new(Pulse::default());
        let executor = thread::spawn({
            let pulse = pulse.clone();
            || start(pulse).and_then(Executor::join)
        });
        let begun = Instant::now();
        while !executor.is_finished() {
            assert!(begun.elapsed() < HANG, "the executor sleeps");
            pulse.beat();
            thread::sleep(Duration::from_millis(1));
        }
        executor.join().expect("it does not panic").expect("it starts");
    }

    /// The first one's time is over before its first task comes.
    #[test]
    fn an_executor_that_sleeps_before_it_begins_is_replaced() {
        let count = Arc::new(Count::default());
        let (counted, begin) = (count.clone(), Duration::from_millis(200));
        run(move |_| {
            let make = move || async move {
                counted.add(1);
            };
            let preempt = |left_alone| if left_alone == 0 { Duration::from_nanos(1) } else { PREEMPT };
            start_within(0, "test", make, preempt, begin)
        });
        assert_eq!(count.get(), 1, "what was to run ran once");
    }

    /// Nothing but the beat wakes the first task.
    #[test]
    fn the_beat_reaches_an_executor_from_its_beginning() {
        run(|pulse| {
            start(0, "test", move || async move {
                pulse.begin().await;
                let mut waited = false;
                let wait = |_: &mut std::task::Context<'_>| {
                    if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }
                };
                std::future::poll_fn(wait).await;
            })
        });
    }

    #[test]
    fn an_executor_that_cannot_be_set_up_says_so() {
        let started = start(u32::MAX, "test", || async {});
        let failure = started.err().expect("there is no such CPU: nobody would wait for its end");
        assert!(failure.message.contains("can't start an executor"), "{failure}");
    }
}
