//! `auriga top`: on a real terminal (tmux), once, and into a pipe.

use auriga_tests::book::Book;
use auriga_tests::harness::{
    Scratch, Server, Start, auriga, becomes_so, format, not_run, program, run_auriga, seed, signal, text,
    wait_until,
};
use auriga_tests::load::{Pattern, connect, drive_while, wait_for_answers};
use auriga_wire::{Client, Options};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Keeps a server of two shards under load between 20 accounts, and meanwhile does something.
fn under_load(name: &str, meanwhile: impl FnOnce(&Server)) {
    let mut random = fastrand::Rng::with_seed(seed(name));
    let scratch = Scratch::new(name);
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).serve();
    let mut book = Book::default();
    book.open_accounts(&mut connect(server.address()), 20);
    let pattern = Pattern { batches: vec![200], in_flight: 2, ..Pattern::ENDLESS };
    // A client on each core.
    drive_while(server.address(), random.u64(..), &book.choice(), &pattern, |one| {
        drive_while(server.address(), random.u64(..), &book.choice(), &pattern, |other| {
            wait_for_answers(one, 10);
            wait_for_answers(other, 10);
            meanwhile(&server);
        });
    });
    server.stop();
}

/// A terminal of its own, with a shell in it. Dropped, it ends.
struct Terminal {
    socket: String,
}

impl Terminal {
    /// None if tmux is not there.
    fn open() -> Option<Self> {
        let socket = format!("auriga-{}", std::process::id());
        let terminal = Self { socket };
        Command::new("tmux").arg("-V").output().ok()?;
        terminal.ask(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "80",
            "-y",
            "24",
            "env",
            "PS1=ready>",
            "sh",
        ]);
        Some(terminal)
    }

    #[track_caller]
    fn ask(&self, arguments: &[&str]) -> String {
        let output =
            Command::new("tmux").args(["-L", &self.socket]).args(arguments).output().expect("tmux runs");
        assert!(output.status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("what is on the screen is text")
    }

    fn keys(&self, keys: &[&str]) {
        self.ask(&[&["send-keys"], keys].concat());
    }

    fn screen(&self) -> String {
        self.ask(&["capture-pane", "-p"])
    }

    fn wait_for(&self, words: &str) -> String {
        let mut screen = String::new();
        let is_there = becomes_so(auriga_tests::harness::HANG, || {
            screen = self.screen();
            screen.contains(words)
        });
        assert!(is_there, "{words:?} is never on the screen:\n{screen}");
        screen
    }

    /// Whether there is one screen, with a cursor, as before.
    fn check_restored(&self) {
        wait_until("the terminal is as it was", || {
            self.ask(&["display", "-p", "#{alternate_on} #{cursor_flag}"]) == "0 1\n"
        });
        let screen = self.screen();
        assert!(screen.contains("words from before") && !screen.contains("transfers/s"), "{screen}");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).output();
    }
}

/// The row of a core, by its columns.
fn row(screen: &str, core: &str) -> Vec<String> {
    let words = |line: &str| line.split_whitespace().map(String::from).collect::<Vec<_>>();
    let table = screen.lines().skip_while(|line| !line.ends_with("hottest")).skip(1);
    table.map(words).find(|words| words.first().is_some_and(|first| first == core)).unwrap_or_default()
}

/// Whether a core shows that it works: transfers, latency, an account that stands out.
fn is_at_work(screen: &str, core: &str) -> bool {
    let row = row(screen, core);
    row.len() >= 11 && row[3] != "0" && row[6] != "-" && row.last().is_some_and(|share| share.ends_with('%'))
}

#[test]
fn top_on_a_terminal() {
    let Some(terminal) = Terminal::open() else {
        return not_run("top_on_a_terminal", "tmux is not installed (apt-get install tmux)");
    };
    let scratch = Scratch::new("shell");
    under_load("terminal", |server| {
        let top = format!("{} top --interval 0.2 --address {}", text(&program()), server.address());
        terminal.keys(&["echo words from before", "Enter"]);
        terminal.wait_for("\nwords from before");
        for leave in ["q", "C-c", "Escape"] {
            terminal.keys(&[&top, "Enter"]);
            wait_until("both cores are at work", || {
                let screen = terminal.screen();
                is_at_work(&screen, "0") && is_at_work(&screen, "1")
            });
            let screen = terminal.screen();
            assert!(screen.starts_with(&format!("auriga top  {}  serving", server.address())), "{screen}");
            for words in ["epochs ", "checkpoint ", "history ", "connections ", "hottest accounts, of all"] {
                assert!(screen.contains(words), "{words} is missing:\n{screen}");
            }
            assert_eq!(terminal.ask(&["display", "-p", "#{alternate_on} #{cursor_flag}"]), "1 0\n");
            terminal.keys(&[leave]);
            terminal.check_restored();
            terminal.keys(&["code=$?; clear; echo words from before; echo code $code", "Enter"]);
            terminal.wait_for("\ncode 0");
        }
        let number = scratch.join("number");
        let with_number = format!("sh -c 'echo $$ >{}; exec {top}'", text(&number));
        let process = || -> u32 {
            let number = std::fs::read_to_string(&number).expect("the shell has written it");
            number.trim().parse().expect("a number")
        };
        let lines = |screen: &str| screen.lines().filter(|line| line.contains("%  core ")).count();
        terminal.keys(&[&with_number, "Enter"]);
        wait_until("a small screen has some accounts", || lines(&terminal.screen()) > 2);
        terminal.ask(&["resize-window", "-x", "160", "-y", "12"]);
        wait_until("a smaller one has fewer", || (1..=2).contains(&lines(&terminal.screen())));
        terminal.ask(&["resize-window", "-x", "200", "-y", "50"]);
        wait_until("a large one has more", || lines(&terminal.screen()) > 2);
        signal(process(), libc::SIGTERM);
        terminal.check_restored();

        terminal.keys(&["clear", "Enter"]);
        terminal.keys(&[&with_number, "Enter"]);
        wait_until("it is there again", || lines(&terminal.screen()) > 2);
        let process = format!("/proc/{}", process());
        terminal.ask(&["kill-server"]);
        wait_until("it ends with its terminal", || !std::path::Path::new(&process).exists());
    });
}

#[test]
fn top_without_a_terminal() {
    under_load("pipe", |server| {
        let address = ["top", "--address", server.address(), "--interval"];
        let once = |seconds| run_auriga(&[&address[..], &[seconds, "--once"]].concat()).expect(0, &[]).stdout;
        wait_until("both cores are at work", || {
            let table = once("0.7");
            is_at_work(&table, "0") && is_at_work(&table, "1")
        });
        assert!(!once("0.2").contains('\x1b'), "plain text");
        let mut top =
            auriga(&[&address[..], &["0.1"]].concat()).stdout(Stdio::piped()).spawn().expect("top starts");
        let lines = BufReader::new(top.stdout.take().expect("piped")).lines().take(3);
        for line in lines {
            let line = line.expect("a line of text");
            for words in ["up ", "transfers/s ", "epochs/s ", "queue ", "p99 ", "busy "] {
                assert!(line.contains(words), "{words} is missing in {line}");
            }
        }
        // Nobody reads any more: it ends, and finds nothing wrong with that.
        assert!(becomes_so(Duration::from_secs(60), || top.try_wait().expect("it is ours").is_some()));
        assert_eq!(top.wait().expect("it has ended").code(), Some(0));
    });
    run_auriga(&["top", "--address", "127.0.0.1:1"]).expect(4, &["127.0.0.1:1", "is the server running"]);
    for interval in ["0", "3601", "soon"] {
        run_auriga(&["top", "--interval", interval]).expect(2, &["--interval"]);
    }
}

#[test]
fn what_cores_do_adds_up() {
    under_load("activity", |server| {
        let mut client = Client::connect(server.address(), Options::default()).expect("the server serves");
        let before = client.activity().expect("it answers");
        let status = client.status(false).expect("it answers");
        let created = status.transfers_created;
        wait_until("what had been created has been shown as arrived", || {
            let activity = client.activity().expect("it answers");
            activity.cores.iter().map(|core| core.transfers).sum::<u64>() >= created
        });
        wait_until("accounts of both cores stand out", || {
            let hottest = client.activity().expect("it answers").hottest;
            [0, 1].iter().all(|shard| hottest.iter().any(|hot| hot.shard == *shard))
        });
        let after = client.activity().expect("it answers");
        let connections: u64 = after.cores.iter().map(|core| core.connections).sum();
        assert_eq!((after.cores.len(), connections), (2, 3), "two clients and this one");
        for (before, after) in before.cores.iter().zip(&after.cores) {
            assert!(
                before.busy_ns <= after.busy_ns && before.transfers <= after.transfers,
                "{before:?}, {after:?}"
            );
            assert!(after.busy_ns - before.busy_ns > 0, "{after:?}");
        }
        let hits: u64 = after.hottest.iter().map(|hot| hot.hits).sum();
        // What is halved again and again loses no more than a hit for each place.
        assert!(
            (after.hits.saturating_sub(40)..=after.hits).contains(&hits),
            "each has a place: {hits} of {}",
            after.hits
        );
    });
}
