//! What a machine may lack, and what surrounds the process: each named, with what to do, and exit code 4.

use auriga_tests::harness::{Scratch, Start, format, not_run, run_auriga, text};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

#[test]
fn a_directory_that_is_not_formatted() {
    let scratch = Scratch::new("unformatted");
    let missing = scratch.join("missing");
    for data in [scratch.path(), &missing] {
        Start::new(data).fail().expect(4, &["not a formatted data directory", "auriga format"]);
        run_auriga(&["inspect", "--data", text(data)])
            .expect(4, &["not a formatted data directory", "auriga format"]);
    }
    assert!(!missing.exists(), "nothing is made");
}

#[test]
fn format_makes_new_directories_only() {
    let scratch = Scratch::new("twice");
    let data = scratch.join("data");
    format(&data);
    let again = run_auriga(&["format", "--data", text(&data)]).expect(1, &["not empty", "new directory"]);
    assert!(again.stdout.is_empty(), "{}", again.stdout);
    let other = scratch.join("other");
    std::fs::create_dir(&other).expect("made");
    std::fs::write(other.join("letter"), "dear").expect("written");
    run_auriga(&["format", "--data", text(&other)]).expect(1, &["not empty", "letter"]);
    assert_eq!(std::fs::read_dir(&other).expect("read").count(), 1, "what is there stays as it is");
}

/// Every path below a directory, and itself.
fn everything_below(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let below = entries.flat_map(|entry| everything_below(&entry.path()));
    below.chain([path.to_owned()]).collect()
}

/// The server's user has to be able to use what root has made for it.
#[test]
fn what_root_makes_belongs_to_whom_the_directory_belongs() {
    const NOBODY: u32 = 65_534;
    // SAFETY: the call takes no memory.
    if unsafe { libc::geteuid() } != 0 {
        return not_run("a directory made by root for another user", "only root can give files away");
    }
    let scratch = Scratch::new("owner");
    chown(scratch.path(), Some(NOBODY), Some(NOBODY)).expect("root may");
    let [data, backup, restored] = ["data", "backup", "restored"].map(|name| scratch.join(name));
    format(&data);
    Start::new(&data).serve().stop();
    run_auriga(&["backup", text(&backup), "--data", text(&data)]).expect(0, &[]);
    run_auriga(&["restore", text(&backup), "--data", text(&restored)]).expect(0, &[]);
    let made = ["", "auriga.toml", "cuts", "streams", "lock", "keep"].map(|name| data.join(name));
    for path in made.into_iter().chain(everything_below(&restored)) {
        let found = std::fs::symlink_metadata(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!((found.uid(), found.gid()), (NOBODY, NOBODY), "{}", path.display());
    }
    assert!(everything_below(&restored).len() > 5, "it was restored");

    // Root's own directory stays root's.
    let own = Scratch::new("owner-root");
    format(&own.join("data"));
    assert_eq!(std::fs::metadata(own.join("data/auriga.toml")).expect("made").uid(), 0);
}

#[test]
fn a_port_that_is_taken() {
    let scratch = Scratch::new("port");
    let data = scratch.join("data");
    format(&data);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let arguments = ["start", "--data", text(&data), "--listen", &address];
    run_auriga(&arguments).expect(4, &[&address, "taken by another process", "--listen"]);
    run_auriga(&["start", "--data", text(&data), "--listen", "192.0.2.1:7400"])
        .expect(4, &["192.0.2.1", "--listen"]);
}

#[test]
fn listening_elsewhere_than_on_loopback_is_warned_of() {
    let scratch = Scratch::new("listen");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).serve();
    assert!(!server.log().contains("no authentication"), "loopback needs no warning:\n{}", server.log());
    server.stop();
    let mut start = Start::new(&data);
    // In a network of its own, with nothing but loopback, the server is out of everybody's reach.
    let Some(network) = own_network() else {
        return not_run(
            "a server on 0.0.0.0",
            "this user can't give it a network of its own (unshare --net)",
        );
    };
    // SAFETY: unshare takes no pointer and is async-signal-safe.
    unsafe {
        start.command().pre_exec(move || match libc::unshare(network) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let mut server = start.listen("0.0.0.0:0").metrics("0.0.0.0:0").spawn();
    server.wait_for("WARN metrics on 0.0.0.0");
    server.wait_for("WARN listening on 0.0.0.0");
    server.wait_for("There is no authentication yet");
    server.wait_until_serving();
    server.stop();
}

/// The flags that give a process a network of its own: as root, or else as root of a user namespace; `None` if neither
/// is allowed.
fn own_network() -> Option<i32> {
    let may = |options: &[&str]| {
        let probe = std::process::Command::new("unshare").args(options).arg("true").output();
        probe.is_ok_and(|output| output.status.success())
    };
    if may(&["--net"]) {
        return Some(libc::CLONE_NEWNET);
    }
    may(&["--user", "--net"]).then_some(libc::CLONE_NEWUSER | libc::CLONE_NEWNET)
}

#[test]
fn a_file_system_without_direct_io() {
    let shared_memory = Path::new("/dev/shm");
    let name = format!("auriga-test-{}", std::process::id());
    let data = shared_memory.join(name);
    let kind =
        std::process::Command::new("stat").args(["-f", "-c", "%T", "/dev/shm"]).output().expect("stat runs");
    if String::from_utf8_lossy(&kind.stdout).trim() != "tmpfs" {
        return not_run("a data directory on tmpfs", "/dev/shm is none");
    }
    let formatted = run_auriga(&["format", "--data", text(&data)]);
    let _ = std::fs::remove_dir_all(&data);
    // Kernels from 6.6 on take O_DIRECT on tmpfs, where it means nothing.
    formatted.expect(4, &["direct I/O", "tmpfs", "ext4 or XFS"]);
}

/// A seccomp filter, as a container may have one, that answers `io_uring_setup` with EPERM.
fn block_io_uring() -> std::io::Result<()> {
    const LOAD_WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let code = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut filter = [
        code(LOAD_WORD, 0, 0, 0),
        code(JUMP_IF_EQUAL, 0, 1, libc::SYS_io_uring_setup as u32),
        code(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        code(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: prctl is async-signal-safe; the program and its filter live for the call.
    unsafe {
        if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) != 0
        {
            return Err(std::io::Error::last_os_error());
        }
    }
    Ok(())
}

#[test]
fn io_uring_that_is_blocked() {
    let scratch = Scratch::new("blocked");
    let data = scratch.join("data");
    format(&data);
    let mut start = Start::new(&data);
    // SAFETY: the function makes two system calls and touches its own stack.
    unsafe { start.command().pre_exec(block_io_uring) };
    start.fail().expect(
        4,
        &["io_uring can't be used: Operation not permitted", "kernel.io_uring_disabled=0", "seccomp"],
    );
    Start::new(&data).serve().stop();
}

#[test]
fn a_memlock_limit_that_is_too_small() {
    let scratch = Scratch::new("memlock");
    let data = scratch.join("data");
    format(&data);
    let mut start = Start::new(&data);
    // SAFETY: setrlimit is async-signal-safe and the limit lives for the call.
    unsafe {
        start.command().pre_exec(|| {
            let limit = libc::rlimit { rlim_cur: 4_096, rlim_max: 4_096 };
            match libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    start.fail().expect(4, &["the memlock limit is 4096 bytes, expected 8 MiB or more", "ulimit -l 8192"]);
}

#[test]
fn newer_versions_are_refused_by_name() {
    let scratch = Scratch::new("newer");
    let data = scratch.join("data");
    format(&data);
    let file = data.join("auriga.toml");
    let good = std::fs::read_to_string(&file).expect("read");
    std::fs::write(&file, good.replace("format = 1", "format = 2")).expect("written");
    Start::new(&data).fail().expect(4, &["auriga.toml", "format 2", "reads format 1"]);
    run_auriga(&["inspect", "--data", text(&data)]).expect(4, &["auriga.toml", "format 2"]);
    std::fs::write(&file, "format = \"what\"").expect("written");
    Start::new(&data).fail().expect(3, &["auriga.toml", "restore it"]);
    std::fs::write(&file, good.replace("time", "later")).expect("written");
    Start::new(&data).fail().expect(3, &["auriga.toml", "later"]);
}

#[test]
fn more_memory_than_there_is_is_not_touched() {
    let scratch = Scratch::new("prefault");
    let data = scratch.join("data");
    format(&data);
    let meminfo = std::fs::read_to_string("/proc/meminfo").expect("Linux");
    let total =
        meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")).expect("it is the first line");
    let kibibytes: u64 = total.trim().trim_end_matches(" kB").parse().expect("a number");
    let more = (kibibytes << 10) + 1;
    let start = Start::new(&data).with(&["--prefault", &more.to_string()]);
    start.fail().expect(
        4,
        &[&format!("--prefault {more}: this machine, or"), "bytes of memory to give: ask for less"],
    );
}
