//! What a server tells the service manager that has started it. The manager is a socket of the test.

use auriga_tests::harness::{HANG, Scratch, Server, Start, format, not_run, wait_until};
use auriga_tests::threads::{Frozen, shard_threads, sleeps};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

const SHARDS: u16 = 3;
/// Words in a row that tell of a shard that hangs: several looks, each of which could have fed the watchdog.
const HANGS_SAID: usize = 4;
/// Feeds that may have been under way when a shard stops: one that is being sent, and one for what it did before.
const FEEDS_UNDER_WAY: usize = 2;

/// The manager's end.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    /// The path of a socket may have 107 bytes only, so it isn't below `target`.
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("auriga-notify-{}-{number}", std::process::id()));
        let socket = UnixDatagram::bind(&path).expect("a socket can be made");
        socket.set_read_timeout(Some(HANG)).expect("a time-out can be set");
        Self { socket, path }
    }

    /// Starts a server that is to tell it how it is.
    fn start(&self, scratch: &Scratch, watchdog_us: Option<u32>) -> Server {
        let data = scratch.join("data");
        format(&data);
        let mut start = Start::new(&data).shards(SHARDS);
        start.command().env("NOTIFY_SOCKET", &self.path);
        if let Some(time) = watchdog_us {
            start.command().env("WATCHDOG_USEC", time.to_string());
        }
        start.spawn()
    }

    /// What it is told next, line by line.
    #[track_caller]
    fn hear(&self) -> Vec<String> {
        let mut bytes = [0; 4_096];
        let length = self.socket.recv(&mut bytes).expect("the server says something");
        let text = std::str::from_utf8(&bytes[..length]).expect("it is text");
        text.lines().map(str::to_owned).collect()
    }

    /// Listens until it is told something; returns all that it was told.
    #[track_caller]
    fn hear_until(&self, is_it: impl Fn(&str) -> bool) -> Vec<String> {
        let mut heard = Vec::new();
        while !heard.iter().any(|line: &String| is_it(line)) {
            heard.extend(self.hear());
        }
        heard
    }

    /// What it was told until now and has not heard yet.
    fn hear_the_rest(&self) -> Vec<String> {
        self.socket.set_nonblocking(true).expect("it can be set");
        let mut bytes = [0; 4_096];
        let mut heard = Vec::new();
        while let Ok(length) = self.socket.recv(&mut bytes) {
            heard.extend(String::from_utf8_lossy(&bytes[..length]).lines().map(str::to_owned));
        }
        self.socket.set_nonblocking(false).expect("it can be set");
        heard
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn is(expected: &str) -> impl Fn(&str) -> bool {
    move |line| line == expected
}

fn count(lines: &[String], line: &str) -> usize {
    lines.iter().filter(|other| *other == line).count()
}

#[test]
fn one_shard_that_hangs_is_enough_for_the_watchdog() {
    let scratch = Scratch::new("watchdog");
    let manager = Manager::new();
    let server = manager.start(&scratch, Some(2_000_000));
    assert_eq!(manager.hear(), ["STATUS=starting", "EXTEND_TIMEOUT_USEC=60000000"]);
    let start = manager.hear_until(is("READY=1"));
    let fed_early = start.iter().take_while(|line| *line != "READY=1").filter(|line| *line == "WATCHDOG=1");
    assert_eq!(fed_early.count(), 0, "{start:?}");
    assert!(start.iter().any(|line| line.starts_with("STATUS=serving on 127.0.0.1:")), "{start:?}");
    manager.hear_until(is("WATCHDOG=1"));

    let threads = shard_threads(server.id());
    assert_eq!(threads.len(), usize::from(SHARDS), "{threads:?}");
    for (shard, thread) in threads.iter().enumerate() {
        let frozen = match Frozen::new(*thread) {
            Ok(frozen) => frozen,
            Err(e) => return not_run("a shard that hangs", &format!("this user can't trace a process: {e}")),
        };
        manager.hear_the_rest();
        let (mut in_a_row, mut fed) = (0, 0);
        let hangs = format!("STATUS=shard {shard} has done nothing for ");
        while in_a_row < HANGS_SAID {
            let heard = manager.hear();
            in_a_row += usize::from(heard.iter().any(|line| line.starts_with(&hangs)));
            if heard.iter().any(|line| line == "WATCHDOG=1") {
                (in_a_row, fed) = (0, fed + 1);
            }
            assert!(fed <= FEEDS_UNDER_WAY, "shard {shard} stands still, and the watchdog is fed: {heard:?}");
        }
        server.wait_for(&format!("shard {shard}, on CPU "));
        for other in threads.iter().filter(|other| *other != thread) {
            let before = sleeps(server.id(), *other);
            wait_until("the other shards go on", || sleeps(server.id(), *other) > before);
        }
        drop(frozen);
        let after = manager.hear_until(is("WATCHDOG=1"));
        assert!(after.iter().any(|line| line.starts_with("STATUS=serving on ")), "{after:?}");
    }

    server.signal(libc::SIGTERM);
    let end = manager.hear_until(is("STOPPING=1"));
    server.wait().expect(0, &[]);
    let all = [start, end, manager.hear_the_rest()].concat();
    assert_eq!((count(&all, "READY=1"), count(&all, "STOPPING=1")), (1, 1), "{all:?}");
}

#[test]
fn a_manager_without_a_watchdog_hears_of_start_and_stop_alone() {
    let scratch = Scratch::new("no-watchdog");
    let manager = Manager::new();
    let mut server = manager.start(&scratch, None);
    let start = manager.hear_until(is("READY=1"));
    server.wait_until_serving();
    server.stop();
    let all = [start, manager.hear_the_rest()].concat();
    let counts = ["READY=1", "STOPPING=1", "WATCHDOG=1"].map(|line| count(&all, line));
    assert_eq!(counts, [1, 1, 0], "{all:?}");
}

/// The environment of a process may name a manager that is gone.
#[test]
fn a_manager_that_does_not_listen_is_no_hindrance() {
    let scratch = Scratch::new("deaf");
    let manager = Manager::new();
    std::fs::remove_file(&manager.path).expect("removed");
    let mut server = manager.start(&scratch, Some(2_000_000));
    server.wait_until_serving();
    server.wait_for("the service manager can't be told how the server is");
    server.stop();
}
