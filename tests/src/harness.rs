//! Real server processes for tests: where their data lies, how they are started, stopped and killed, and what they say.
//!
//! The program under test is `AURIGA_BIN`, or `target/release/auriga` of this workspace: build it first, with
//! `cargo build --release -p auriga`. Every time bound here is there to notice a hang, never to synchronise.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Longest wait for anything that must happen; a machine that others load may be slow.
pub const HANG: Duration = Duration::from_secs(120);

/// The seed of this run: `AURIGA_SEED`, or from the clock. Printed, so that a failure can be repeated.
pub fn seed(test: &str) -> u64 {
    let chosen = std::env::var("AURIGA_SEED").ok().and_then(|text| text.parse().ok());
    let seed = chosen.unwrap_or_else(|| fastrand::Rng::new().u64(..1 << 32));
    eprintln!("{test}: AURIGA_SEED={seed}");
    seed
}

/// Says that a test could not be run on this machine, or as this user: it is not counted as passed. `tests/run` names the file
/// and lists what is in it at the end.
pub fn not_run(test: &str, why: &str) {
    let line = format!("{test}: {}\n", why.trim().replace('\n', " "));
    eprint!("not run: {line}");
    if let Some(file) = std::env::var_os("AURIGA_NOT_RUN") {
        let file = fs::OpenOptions::new().create(true).append(true).open(file);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("AURIGA_NOT_RUN names a file");
    }
}

/// The directory for data: on the disk that the workspace is on, because direct I/O needs a real file system.
pub fn scratch_root() -> PathBuf {
    target_directory().join("tmp")
}

fn target_directory() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => directory.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("the crate lies in the workspace")
            .join("target"),
    }
}

/// A directory of one test, removed when it is dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty directory.
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let root = scratch_root();
        fs::create_dir_all(&root).expect("target/tmp can be made");
        remove_leftovers(&root);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = root.join(format!("auriga-{}-{number}-{name}", std::process::id()));
        fs::create_dir(&path).expect("a fresh directory can be made");
        Self(path)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A path in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(e) = fs::remove_dir_all(&self.0) {
            eprintln!("can't remove {}: {e}", self.0.display());
        }
    }
}

/// Removes what test processes that were killed have left.
fn remove_leftovers(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix("auriga-")?.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner.to_string()).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The program under test.
pub fn program() -> PathBuf {
    built("auriga", "auriga", "AURIGA_BIN")
}

/// What a crate of the workspace builds: what the environment names, or that of the release profile.
fn built(name: &str, from: &str, variable: &str) -> PathBuf {
    let path = match std::env::var_os(variable) {
        Some(path) => path.into(),
        None => target_directory().join("release").join(name),
    };
    assert!(
        path.exists(),
        "{} is not there: build it with `cargo build --release -p {from}`, or name another one in {variable}",
        path.display()
    );
    path
}

/// The program with arguments, to end with the thread that starts it.
pub fn auriga(arguments: &[&str]) -> Command {
    ending_with_us(&program(), arguments)
}

/// Any program with arguments, to end with the thread that starts it.
pub fn ending_with_us(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    // Lines as a person would read them, although no terminal is there.
    command.args(arguments).envs([("NO_COLOR", "1"), ("AURIGA_LOG_FORMAT", "human")]).stdin(Stdio::null());
    // SAFETY: prctl is async-signal-safe and takes no pointer here.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    command
}

/// How a command ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Finished {
    /// Fails unless it ended with this code and complained with all these words.
    #[track_caller]
    pub fn expect(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "exit code of: {self:#?}");
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is missing in:\n{}", self.stderr);
        }
        self
    }

    /// Its output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: not JSON:\n{}", self.stdout))
    }
}

/// Runs a command to its end.
#[track_caller]
pub fn run(command: Command) -> Finished {
    run_with(command, |_| {})
}

/// Runs a command to its end, and meanwhile something that gets its process number.
#[track_caller]
pub fn run_with(mut command: Command, meanwhile: impl FnOnce(u32)) -> Finished {
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let (mut out, mut err) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).map(|_| text)
    });
    let errors = std::thread::spawn(move || {
        let mut text = String::new();
        err.read_to_string(&mut text).map(|_| text)
    });
    meanwhile(child.id());
    let status = wait(&mut child);
    let text = |thread: std::thread::JoinHandle<std::io::Result<String>>| {
        thread.join().expect("the reader ends").expect("the output is text")
    };
    Finished { code: status.code(), stdout: text(reader), stderr: text(errors) }
}

/// Runs the program to its end.
#[track_caller]
pub fn run_auriga(arguments: &[&str]) -> Finished {
    run(auriga(arguments))
}

/// The load generator with arguments, to end with the thread that starts it.
pub fn bench(arguments: &[&str]) -> Command {
    ending_with_us(&built("auriga-bench", "auriga-bench", "AURIGA_BENCH_BIN"), arguments)
}

/// The driver of other ledgers with arguments, to end with the thread that starts it.
pub fn peer(arguments: &[&str]) -> Command {
    ending_with_us(&built("auriga-peer", "auriga-peer", "AURIGA_PEER_BIN"), arguments)
}

/// Runs the load generator to its end.
#[track_caller]
pub fn run_bench(arguments: &[&str]) -> Finished {
    run(bench(arguments))
}

/// Sends a signal to a process that was started here and not yet waited for.
pub fn signal(process: u32, signal: i32) {
    // SAFETY: no memory is passed.
    unsafe { libc::kill(process as i32, signal) };
}

/// Stops a process (SIGSTOP), and waits until it stands still.
#[track_caller]
pub fn stop_process(process: u32) {
    signal(process, libc::SIGSTOP);
    wait_until("the process stands still", || {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process is there");
        // The name is in brackets and may hold anything.
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    });
}

/// Waits for something that must happen.
#[track_caller]
pub fn wait_until(what: &str, is_so: impl FnMut() -> bool) {
    assert!(becomes_so(HANG, is_so), "never so: {what}");
}

/// Whether something happens before a time has passed.
pub fn becomes_so(within: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !is_so() {
        if start.elapsed() >= within {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    true
}

#[track_caller]
fn wait(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return status;
        }
        if start.elapsed() > HANG {
            let _ = child.kill();
            panic!("process {} hangs", child.id());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Formats a data directory for the cluster 7.
#[track_caller]
pub fn format(data: &Path) {
    run_auriga(&["format", "--data", text(data), "--cluster", "7"]).expect(0, &[]);
}

/// Formats a data directory for the cluster 7 that takes any transfer ids.
#[track_caller]
pub fn format_any(data: &Path) {
    run_auriga(&["format", "--data", text(data), "--cluster", "7", "--ids", "any"]).expect(0, &[]);
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("test paths are UTF-8")
}

/// How a server is to be started.
pub struct Start {
    command: Command,
    listen: &'static str,
    metrics: &'static str,
    histogram_interval: &'static str,
}

impl Start {
    /// On a free port, with one shard unless another number is chosen.
    pub fn new(data: &Path) -> Self {
        let mut command = auriga(&["start"]);
        command.arg("--data").arg(data);
        Self { command, listen: "127.0.0.1:0", metrics: "127.0.0.1:0", histogram_interval: "0" }
    }

    /// With a log of its histograms, to which it adds every so many seconds.
    pub fn histogram_log(self, log: &Path, seconds: &'static str) -> Self {
        Self { histogram_interval: seconds, ..self }.with(&["--histogram-log", text(log)])
    }

    /// Listening elsewhere. Nobody but the test must be able to reach it.
    pub fn listen(self, listen: &'static str) -> Self {
        Self { listen, ..self }
    }

    /// With its metrics elsewhere than on a free port.
    pub fn metrics(self, metrics: &'static str) -> Self {
        Self { metrics, ..self }
    }

    /// With so many shards.
    pub fn shards(self, shards: u16) -> Self {
        self.with(&["--shards", &shards.to_string()])
    }

    /// With more arguments.
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// With what `tests/preload` changes between it and the C library.
    pub fn preload(mut self, variables: &[(&str, &str)]) -> Self {
        self.command.env("LD_PRELOAD", built("libauriga_preload.so", "auriga-preload", "AURIGA_PRELOAD"));
        self.command.envs(variables.iter().copied());
        self
    }

    /// The command itself, for what only a test of the process's surroundings needs.
    pub fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Starts it, and waits for nothing.
    #[track_caller]
    pub fn spawn(mut self) -> Server {
        self.command.args(["--listen", self.listen, "--metrics", self.metrics]);
        self.command.args(["--histogram-interval", self.histogram_interval]);
        Server::of(self.command)
    }

    /// Starts it and waits until it serves.
    #[track_caller]
    pub fn serve(self) -> Server {
        let mut server = self.spawn();
        server.wait_until_serving();
        server
    }

    /// Starts it, expects it to end by itself, and returns what it said.
    #[track_caller]
    pub fn fail(self) -> Finished {
        let mut server = self.spawn();
        let code = wait(&mut server.child).code();
        server.join_reader();
        Finished { code, stdout: String::new(), stderr: server.log.text() }
    }
}

/// What a server has said, line by line.
#[derive(Debug, Default)]
struct Log {
    lines: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

impl Log {
    fn add(&self, line: String) {
        self.lines.lock().expect("no reader panics").0.push(line);
        self.changed.notify_all();
    }

    fn end(&self) {
        self.lines.lock().expect("no reader panics").1 = true;
        self.changed.notify_all();
    }

    fn text(&self) -> String {
        self.lines.lock().expect("no reader panics").0.join("\n")
    }

    /// The line that is the `number`th, from 1, to hold `words`, or `None` when no more can come.
    fn wait_for(&self, words: &str, number: usize) -> Option<String> {
        let start = Instant::now();
        let mut lines = self.lines.lock().expect("no reader panics");
        loop {
            if let Some(line) = lines.0.iter().filter(|line| line.contains(words)).nth(number - 1) {
                return Some(line.clone());
            }
            let left = HANG.saturating_sub(start.elapsed());
            if lines.1 || left.is_zero() {
                return None;
            }
            lines = self.changed.wait_timeout(lines, left).expect("no reader panics").0;
        }
    }
}

/// A server process. Dropped, it is killed.
pub struct Server {
    child: Child,
    address: String,
    log: Arc<Log>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// Starts a command that is a server, or in which one runs, and listens to what it says on stderr.
    #[track_caller]
    pub fn of(mut command: Command) -> Self {
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the server starts");
        let log = Arc::new(Log::default());
        let (stderr, sink) = (child.stderr.take().expect("piped"), log.clone());
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                sink.add(line);
            }
            sink.end();
        });
        Self { child, address: String::new(), log, reader: Some(reader) }
    }

    /// Where it serves.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// Waits until it has said something.
    #[track_caller]
    pub fn wait_for(&self, words: &str) -> String {
        let line = self.log.wait_for(words, 1);
        line.unwrap_or_else(|| panic!("the server never said {words:?}; it said:\n{}", self.log()))
    }

    /// Waits until it has said something so many times; `false` if it ends before that.
    #[track_caller]
    pub fn says(&self, words: &str, times: usize) -> bool {
        let said = self.log.wait_for(words, times).is_some();
        let ended = self.log.lines.lock().expect("no reader panics").1;
        assert!(said || ended, "the server never said {words:?} {times} times; it said:\n{}", self.log());
        said
    }

    /// Waits until it takes requests.
    #[track_caller]
    pub fn wait_until_serving(&mut self) {
        self.wait_for("serving on ");
        self.serves();
    }

    /// Waits until it takes requests; `false` if it ends before that.
    #[track_caller]
    pub fn serves(&mut self) -> bool {
        let line = self.log.wait_for("serving on ", 1).unwrap_or_default();
        let rest = line.split("serving on ").nth(1).unwrap_or_default();
        self.address = rest.split(' ').next().unwrap_or_default().into();
        !self.address.is_empty()
    }

    /// Sends it a signal.
    pub fn signal(&self, number: i32) {
        signal(self.child.id(), number);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(mut self) -> Finished {
        let code = wait(&mut self.child).code();
        self.join_reader();
        Finished { code, stdout: String::new(), stderr: self.log() }
    }

    /// Stops it as an operator would.
    #[track_caller]
    pub fn stop(self) -> Finished {
        self.signal(libc::SIGTERM);
        self.wait().expect(0, &[])
    }

    /// kill -9
    pub fn kill(mut self) -> String {
        self.end();
        self.log()
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.join_reader();
    }

    fn join_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            eprintln!("process {} had said:\n{}", self.child.id(), self.log());
        }
    }
}
