//! A full log: new batches are refused, reads go on, nothing acknowledged is lost, and with room it goes on.

use crate::raw::{client, impatient_client};
use auriga_tests::book::Book;
use auriga_tests::harness::{Scratch, Server, Start, format, not_run, seed};
use auriga_tests::load::{Pattern, Told, account, drive_many};
use auriga_wire::{Error, FaultCode};
use std::path::Path;
use std::process::Command;

/// Room for the cut log and two segments of one stream.
const LOG_MAX: &str = "180000000";
/// A disk with room for about as much, the server's reserve and the file system's own.
const DISK: u64 = 300 << 20;

/// Fills the log until batches are refused, and checks what still works. Returns the books.
fn fill(server: &Server, random: &mut fastrand::Rng) -> Book {
    let mut book = Book::default();
    let mut client = client(server);
    book.open_accounts(&mut client, 100);
    let patterns = [
        Pattern { batches: vec![8_190], in_flight: 4, transfers_max: 2_500_000 },
        Pattern { batches: vec![500], in_flight: 4, transfers_max: 100_000 },
    ];
    let told = drive_many(server.address(), random, &book.choice(), &patterns, u64::MAX, || {});
    let turned_away = told.iter().filter(|sent| sent.told == Told::TurnedAway(FaultCode::LogFull)).count();
    assert!(turned_away > 0, "the log was never full: {} transfers were taken", told.len());
    assert!(told.iter().all(|sent| sent.told != Told::Nothing), "every batch was answered");
    book.note(told);
    eprintln!("full log: {} transfers created, then {turned_away} turned away", book.created().len());
    assert!(book.created().len() > 100_000, "the log took much before it was full");
    // What is left may take a small batch, but no large one.
    let large: Vec<_> = (10_000..18_190).map(|id| account(id, 0)).collect();
    let error = impatient_client(server).create_accounts(&large).expect_err("full");
    assert!(matches!(&error, Error::Refused(fault) if fault.code == FaultCode::LogFull), "{error}");
    expect_readable(&book, server);
    book
}

/// Reads go on, and tell of everything acknowledged.
fn expect_readable(book: &Book, server: &Server) {
    let mut client = client(server);
    for batch in [&book.created()[..1_000], &book.created()[book.created().len() - 1_000..]] {
        let ids: Vec<_> = batch.iter().map(|transfer| transfer.id).collect();
        assert_eq!(client.lookup_transfers(&ids).expect("reads go on"), batch);
    }
    assert_eq!(client.lookup_accounts(&[1, 2, 3]).expect("reads go on").len(), 3);
    assert!(client.status(true).expect("reads go on").digest.is_some());
}

/// Restarts with room: everything is there and batches are taken again.
fn go_on(data: &Path, mut book: Book, random: &mut fastrand::Rng) {
    let server = Start::new(data).shards(2).serve();
    let mut client = client(&server);
    book.check(&mut client, random, true);
    book.open_accounts(&mut client, 10);
    let patterns = [Pattern { batches: vec![8_190], in_flight: 2, transfers_max: 50_000 }];
    let before = book.created().len();
    book.note(drive_many(server.address(), random, &book.choice(), &patterns, u64::MAX, || {}));
    assert!(book.created().len() > before + 30_000, "batches are taken again");
    book.check(&mut client, random, false);
    server.stop();
}

#[test]
fn a_full_log_refuses_batches_and_loses_nothing() {
    let mut random = fastrand::Rng::with_seed(seed("full log"));
    let scratch = Scratch::new("full-log");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).with(&["--log-max", LOG_MAX]).shards(1).serve();
    let book = fill(&server, &mut random);
    // A restart into the same bound: still full, still readable.
    server.stop();
    let server = Start::new(&data).with(&["--log-max", LOG_MAX]).shards(1).serve();
    expect_readable(&book, &server);
    server.kill();
    go_on(&data, book, &mut random);
}

/// A small file system in a file.
struct Disk<'a> {
    folder: std::path::PathBuf,
    scratch: &'a Scratch,
}

impl<'a> Disk<'a> {
    /// Mounts one, if this user and machine can.
    fn mount(scratch: &'a Scratch, size: u64) -> Result<Self, String> {
        let (image, folder) = (scratch.join("image"), scratch.join("disk"));
        let file = std::fs::File::create(&image).map_err(|e| e.to_string())?;
        file.set_len(size).map_err(|e| e.to_string())?;
        std::fs::create_dir(&folder).map_err(|e| e.to_string())?;
        let run = |command: &mut Command| match command.output() {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
            Err(e) => Err(format!("{command:?}: {e}")),
        };
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&folder))?;
        Ok(Self { folder, scratch })
    }

    /// Gives it more room, while it is mounted or not.
    fn free_room(&self) {
        std::fs::remove_file(self.folder.join("ballast")).expect("the ballast is there");
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.folder).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} of {} is still mounted", self.folder.display(), self.scratch.path().display());
        }
    }
}

/// Needs root and loop devices. The bound on the log, above, takes the same way through the server.
#[test]
fn a_full_disk_refuses_batches_and_goes_on_when_there_is_room() {
    let mut random = fastrand::Rng::with_seed(seed("full disk"));
    let scratch = Scratch::new("full-disk");
    let disk = match Disk::mount(&scratch, DISK + (512 << 20)) {
        Ok(disk) => disk,
        Err(why) => return not_run("a full disk, which needs root and loop devices", &why),
    };
    let ballast = vec![1; 512 << 20];
    std::fs::write(disk.folder.join("ballast"), ballast).expect("the ballast has room");
    let data = disk.folder.join("data");
    format(&data);
    let server = Start::new(&data).shards(1).serve();
    let mut book = fill(&server, &mut random);
    disk.free_room();
    server.wait_for("there is room for the log again");
    let mut client = client(&server);
    book.open_accounts(&mut client, 10);
    book.check(&mut client, &mut random, false);
    server.kill();
    go_on(&data, book, &mut random);
}
