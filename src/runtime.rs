//! The one place where the runtime of the executors, glommio, is named: pinned executors, tasks, timers, readiness.

use crate::failure::{Failure, Outcome};
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::os::fd::AsRawFd;
use std::sync::OnceLock;
use std::task::{Poll, Waker};
use std::time::Duration;

/// Memory that an executor's rings may pin. Our own buffers don't come from it; the default of 10 MiB a ring would pass
/// a usual memlock limit of 8 MiB.
const IO_MEMORY: usize = 1 << 20;

/// How long tasks may run before the executor looks at its I/O, if they don't all come to wait before. Not shorter:
/// when this time is over before the first task of a round has run (the thread lost its CPU meanwhile), glommio 0.12 goes to
/// sleep although tasks are ready. [`Pulse`] ends such a sleep.
const PREEMPT: Duration = Duration::from_millis(10);

/// A running executor and its CPU.
pub struct Executor(glommio::ExecutorJoinHandle<()>, u32);

impl Executor {
    /// Waits for its end. A panic ends the process, so what fails here is the setting up of its thread.
    pub fn join(self) -> Outcome<()> {
        let cpu = self.1;
        self.0.join().map_err(|e| cannot_start(cpu, &e))
    }
}

/// Starts an executor pinned to a CPU and runs what `make` makes, on its thread, to the end.
pub fn start<M, F>(cpu: u32, name: &str, make: M) -> Outcome<Executor>
where
    M: FnOnce() -> F + Send + 'static,
    F: Future<Output = ()> + 'static,
{
    let builder = glommio::LocalExecutorBuilder::new(glommio::Placement::Fixed(cpu as usize))
        .name(name)
        .io_memory(IO_MEMORY)
        .preempt_timer(PREEMPT);
    let started = builder.spawn(make).map(|handle| Executor(handle, cpu));
    started.map_err(|e| cannot_start(cpu, &e))
}

fn cannot_start(cpu: u32, error: &glommio::GlommioError<()>) -> Failure {
    Failure::environment(format!(
        "can't start an executor on CPU {cpu}: {error}. Check that the CPU is allowed for this process (taskset, cgroup \
         cpuset; `auriga topology check`), that io_uring is enabled (sysctl kernel.io_uring_disabled=0; a container's \
         seccomp profile may block it), and that the memlock limit is 8 MiB or more (ulimit -l)"
    ))
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
pub struct Pulse(OnceLock<Waker>);

impl Pulse {
    /// Wakes the task that waits for the beat.
    pub fn beat(&self) {
        if let Some(waker) = self.0.get() {
            waker.wake_by_ref();
        }
    }

    /// Waits for the next beat. One task for each pulse.
    pub fn wait(&self) -> impl Future<Output = ()> + '_ {
        let mut waited = false;
        std::future::poll_fn(move |context| {
            self.0.get_or_init(|| context.waker().clone());
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
