//! One life of a guest: from the start of its server, under load, to its end without any warning.

use super::guest::{Setup, boot};
use super::nbd::Disk;
use super::record::{Position, Record};
use super::tools::copy_image;
use crate::book::Book;
use crate::harness::Scratch;
use crate::load::{Pattern, Sent, Told, connect, drive_many_timed};
use fastrand::Rng;
use std::fs::File;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::{Duration, Instant};

/// Batches that are answered before the life ends.
const ANSWERS: u64 = 800;
/// Accounts more for each life.
const ACCOUNTS: usize = 2;

/// What happened in a life, at the disk and to its clients.
#[derive(Debug)]
pub struct Life {
    record: Record,
    /// What the clients knew before it,
    before: Book,
    /// which holds for what was at the disk up to here,
    serving: Position,
    /// and from here on what they had learned until then,
    from: Position,
    book: Book,
    /// and what they then sent.
    sent: Vec<Sent>,
    /// From the start of the emulator until its server served, and the whole life.
    pub times: (Duration, Duration),
}

fn patterns() -> [Pattern; 4] {
    let pattern =
        |batches: &[usize], in_flight| Pattern { batches: batches.to_vec(), in_flight, ..Pattern::ENDLESS };
    [
        pattern(&[1], 1),
        pattern(&[1, 2, 3], 8),
        pattern(&[1, 1, 1, 30, 30, 30, 200], 4),
        pattern(&[1, 30, 30, 30, 200, 1_000, 8_190], 2),
    ]
}

impl Life {
    /// Lives on a copy of the disk image `base`, with what is known of it.
    #[track_caller]
    pub fn live(setup: &Setup<'_>, base: &Path, known: Book, random: &mut Rng, scratch: &Scratch) -> Self {
        let (socket, bytes) = (scratch.join("disk"), scratch.join("bytes"));
        let image = copy_image(base, &scratch.join("running")).expect("the image can be copied");
        // Neither needs a name.
        let record =
            Record::new(File::create_new(&bytes).and_then(|_| open(&bytes)).expect("a file can be made"));
        std::fs::remove_file(&bytes).expect("it was made");
        let disk = Disk::serve(&socket, image, record, random.u64(..)).expect("the disk serves");
        std::fs::remove_file(scratch.join("running")).expect("it was copied");
        let clock = disk.clock();

        let begun = Instant::now();
        let (guest, address) = boot(setup, &socket);
        let serving = clock.now();
        let up = begun.elapsed();
        std::fs::remove_file(&socket).expect("it was made");
        let mut client = connect(&address);
        let mut book = known.clone();
        book.check(&mut client, random, true);
        book.check_history(&mut client, random);
        book.open_accounts(&mut client, ACCOUNTS);
        let from = clock.now();
        let choice = book.choice();
        let clock = || clock.now();
        let sent = drive_many_timed((&address, clock), random, &choice, &patterns(), ANSWERS, || {
            guest.kill();
        });
        let record = disk.into_record().expect("the machine kept to the disk's protocol");
        let times = (up, begun.elapsed());
        Self { record, before: known, serving, from, book, sent, times }
    }

    /// What happened at the disk.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Positions of the start, from the first write to the first request.
    pub fn start(&self) -> RangeInclusive<Position> {
        0..=self.serving
    }

    /// Positions under load.
    pub fn load(&self) -> RangeInclusive<Position> {
        self.from..=self.record.position()
    }

    /// A position at which something had just been acknowledged: of `tries` random ones that at which the most was volatile.
    pub fn acknowledgement(&self, random: &mut Rng, tries: usize) -> Position {
        let answered = self.sent.iter().filter(|sent| sent.told != Told::Nothing);
        let mut times: Vec<Position> = answered.map(|sent| sent.times.1).collect();
        times.sort_unstable();
        times.dedup();
        let some = (0..tries).map(|_| times[random.usize(..times.len())]);
        some.max_by_key(|at| self.record.volatile(*at)).expect("something was answered")
    }

    /// Transfers that were answered.
    pub fn answered(&self) -> usize {
        self.sent.iter().filter(|sent| sent.told != Told::Nothing).count()
    }

    /// What had been acknowledged when the power failed at a position, and what had been sent. Positions between the start and
    /// the load are none to cut at: what clients sent then is not noted with its times.
    pub fn book_at(&self, at: Position) -> Book {
        if self.start().contains(&at) {
            return self.before.clone();
        }
        assert!(self.load().contains(&at), "position {at} is neither of the start nor under load");
        let mut book = self.book.clone();
        let sent = self.sent.iter().filter(|sent| sent.times.0 <= at);
        let told = |sent: &Sent| if sent.times.1 <= at { sent.told } else { Told::Nothing };
        book.note(sent.map(|sent| Sent { told: told(sent), ..*sent }).collect());
        book
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    File::options().read(true).write(true).open(path)
}
