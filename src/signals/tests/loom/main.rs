//! Each signal as its threads use it, run by loom in the orders of [`explore`] and with every value that a load may see.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p auriga-signals --release --test loom`, or `tests/run loom`. A thread that sleeps and is
//! never woken is a deadlock, which loom reports.

#![cfg(loom)]

mod activity;
mod begin;
mod board;
mod busy;
mod checkpoint;
mod count;
mod doorbell;
mod glance;
mod heart;
mod history;
mod lifecycle;
mod parking;
mod repeats;
mod span;

use loom::thread::{self, JoinHandle};

/// Runs a model in all orders in which no thread is interrupted more than three times: enough for every mistake of these
/// protocols that is known, and seconds instead of hours where three threads meet.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("a thread of a model does not panic")
}

/// Runs one thread beside this one, to the end of both.
fn beside(one: impl FnOnce() + 'static, other: impl FnOnce()) {
    let one = thread::spawn(one);
    other();
    join(one);
}
