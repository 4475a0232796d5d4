//! kill -9 at random moments, again and again: of starts, under load, while checkpoints are taken, and while segments of the log are
//! archived or used again. `AURIGA_KILLS` (`tests/run faults --kills N`) sets how often.

use crate::ledger::{PAUSE, check};
use auriga_tests::book::Book;
use auriga_tests::harness::{Scratch, Server, Start, becomes_so, format, seed, text};
use auriga_tests::load::{Pattern, connect, drive_many, fill_log};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Data directories, and kills under load of all together.
const DIRECTORIES: usize = 3;
const KILLS: usize = 102;
/// Accounts at first, and accounts more for each life.
const ACCOUNTS: usize = 40;
/// Large requests that fill a segment of a stream and begin the next one.
const REQUESTS: usize = 72;
/// The digest is compared with that of `inspect` after so many lives.
const INSPECT_EVERY: usize = 7;

fn patterns(random: &mut fastrand::Rng) -> Vec<Pattern> {
    let kinds = [
        Pattern { batches: vec![1, 2, 3], in_flight: 8, transfers_max: 1_000, ..Pattern::ENDLESS },
        Pattern { batches: vec![1, 30, 200], in_flight: 16, transfers_max: 5_000, ..Pattern::ENDLESS },
        Pattern { batches: vec![1_000, 8_190], in_flight: 4, transfers_max: 20_000, ..Pattern::ENDLESS },
        Pattern { batches: vec![1], in_flight: 1, transfers_max: 300, ..Pattern::ENDLESS },
    ];
    (0..random.usize(1..=4)).map(|_| kinds[random.usize(..kinds.len())].clone()).collect()
}

/// A directory whose servers are killed over and over.
struct Killed<'a> {
    scratch: &'a Scratch,
    random: fastrand::Rng,
    /// Kills of starts, and starts from a checkpoint.
    early: usize,
    loaded: usize,
}

impl Killed<'_> {
    /// With checkpoints seldom, often, or one after the other; with an archive or without.
    fn start(&mut self) -> Start {
        let every = ["2000000000", "2000000", "100000", "1"][self.random.usize(..4)];
        self.start_with_checkpoints(every)
    }

    fn start_with_checkpoints(&mut self, every: &str) -> Start {
        let start = Start::new(&self.scratch.join("data"));
        let start = start.shards(self.random.u16(1..=4)).with(&["--checkpoint-every", every]);
        match self.random.bool() {
            true => start.with(&["--archive", text(&self.scratch.join("archive"))]),
            false => start,
        }
    }

    /// Drives a server that takes one checkpoint after the other until the log behind one is let go, and kills it then. Not for long:
    /// checkpoints wait for history, which has the lowest priority.
    fn let_go(&mut self, book: &mut Book) {
        let data = self.scratch.join("data");
        let server = self.start_with_checkpoints("1").serve();
        let choice = book.choice_of_two_phases();
        let pattern = [Pattern { batches: vec![100, 1_000], in_flight: 1, pause: PAUSE, ..Pattern::ENDLESS }];
        let address = server.address().to_string();
        let told = drive_many(&address, &mut self.random, &choice, &pattern, 1, || {
            becomes_so(Duration::from_secs(60), || has_let_go(&data));
            server.kill();
        });
        book.note(told);
    }

    /// Kills a few servers before they serve, then returns one that does.
    fn start_and_sometimes_kill(&mut self) -> Server {
        while self.random.u32(..4) == 0 {
            let server = self.start().spawn();
            // A random moment of the start, not a wait for anything.
            std::thread::sleep(Duration::from_millis(self.random.u64(..150)));
            server.kill();
            self.early += 1;
        }
        let server = self.start().serve();
        self.loaded += usize::from(server.log().contains("from a checkpoint"));
        server
    }

    /// Drives a server with several clients until it is killed, and holds the next one against the book.
    fn live(&mut self, life: usize, book: &mut Book) {
        let server = self.start_and_sometimes_kill();
        let mut client = connect(server.address());
        book.check(&mut client, &mut self.random, false);
        book.open_accounts(&mut client, if life == 0 { ACCOUNTS } else { 1 });
        if life == 0 {
            // What lies before the first transfer isn't needed for long.
            fill_log(server.address(), REQUESTS, 8_190, 4).expect("the server answers");
        }
        let (choice, patterns) = (book.choice_of_two_phases(), patterns(&mut self.random));
        let enough = self.random.u64(..60);
        let address = server.address().to_string();
        let told = drive_many(&address, &mut self.random, &choice, &patterns, enough, || {
            server.kill();
        });
        book.note(told);
        if life.is_multiple_of(INSPECT_EVERY) {
            let shards = self.random.u16(1..=4);
            check(&self.scratch.join("data"), shards, &[], book, &mut self.random);
        }
    }
}

/// Whether a checkpoint has let a segment go: a stream begins behind its first one.
fn has_let_go(data: &Path) -> bool {
    let names = fs::read_dir(data.join("streams")).expect("the log is there").flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let names: BTreeSet<_> = names.filter(|name| name.ends_with(".log")).collect();
    let first = |name: &str| name.split('-').next().map(|stream| format!("{stream}-00000000.log"));
    names.iter().any(|name| first(name).is_some_and(|first| !names.contains(&first)))
}

#[test]
fn what_was_acknowledged_survives_kill_nine() {
    let seed = seed("kills");
    let asked = std::env::var("AURIGA_KILLS").ok();
    let kills = asked.map_or(KILLS, |text| text.parse().expect("AURIGA_KILLS is a number"));
    let (mut early, mut resolved, mut created, mut loaded, mut let_go) = (0, (0, 0), 0, 0, 0);
    for directory in 0..DIRECTORIES {
        let random = fastrand::Rng::with_seed(seed.wrapping_add(directory as u64));
        let scratch = Scratch::new("kills");
        let data = scratch.join("data");
        format(&data);
        let mut book = Book::default();
        let mut killed = Killed { scratch: &scratch, random, early: 0, loaded: 0 };
        let lives = kills.div_ceil(DIRECTORIES);
        for life in 0..lives {
            killed.live(life, &mut book);
            if life == lives / 2 {
                killed.let_go(&mut book);
            }
        }
        let server = killed.start().serve();
        let mut client = connect(server.address());
        book.check(&mut client, &mut killed.random, true);
        book.check_history(&mut client, &mut killed.random);
        server.stop();
        check(&data, 2, &[], &mut book, &mut killed.random);
        created += book.created().len();
        (early, loaded) = (early + killed.early, loaded + killed.loaded);
        resolved = (resolved.0 + book.resolved.0, resolved.1 + book.resolved.1);
        let_go += usize::from(has_let_go(&data));
        assert!(book.refused().len() > 10, "some transfers were refused");
        assert!(book.pendings() > 10, "some transfers are pending");
    }
    eprintln!(
        "kills: {kills} under load, {early} during a start; {loaded} starts from a checkpoint; segments of {let_go} logs of {DIRECTORIES} \
         gone; {created} transfers acknowledged or found; of the unanswered {} were there and {} not",
        resolved.0, resolved.1
    );
    assert!(loaded > 0, "no start was from a checkpoint");
    assert!(let_go > 0, "no segment was archived or used again");
    assert!(resolved.0 > 0 && resolved.1 > 0, "the kills came in the middle of something");
}
