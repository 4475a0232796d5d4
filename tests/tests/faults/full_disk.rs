//! A disk without room, a real one: new batches are refused and nothing else; a checkpoint fails and is taken later; history stands
//! still and goes on.

use crate::ledger::{check, drive_until};
use crate::small_disk::SmallDisk;
use auriga_tests::book::Book;
use auriga_tests::full::{fill, go_on};
use auriga_tests::harness::{Scratch, Start, format, not_run, seed};
use auriga_tests::load::{Pattern, connect, drive_while, wait_for_answers};

const MIB: u64 = 1 << 20;
/// With room for two files of cuts, four segments of one stream, history, a checkpoint, and the server's reserve.
const DISK: u64 = 900 * MIB;

fn mount(scratch: &Scratch) -> Option<SmallDisk<'_>> {
    match SmallDisk::mount(scratch, DISK) {
        Ok(disk) => Some(disk),
        Err(why) => {
            not_run("a full disk, which needs root and loop devices", &why);
            None
        }
    }
}

/// The bound on the log (`bounds`) takes the same way through the server.
#[test]
fn a_full_disk_refuses_batches_and_goes_on_when_there_is_room() {
    let mut random = fastrand::Rng::with_seed(seed("full disk"));
    let scratch = Scratch::new("full-disk");
    let Some(disk) = mount(&scratch) else { return };
    disk.fill_but(300 * MIB);
    let data = disk.join("data");
    format(&data);
    let server = Start::new(&data).shards(1).serve();
    let mut book = fill(&server, &mut random);
    disk.free_room();
    server.wait_for("there is room for the log again");
    let mut client = connect(server.address());
    book.open_accounts(&mut client, 10);
    book.check(&mut client, &mut random, false);
    server.kill();
    go_on(&data, book, &mut random);
}

#[test]
fn a_checkpoint_that_finds_no_room_is_taken_later() {
    const ACCOUNTS: usize = 8_000;
    let mut random = fastrand::Rng::with_seed(seed("full disk, checkpoint"));
    let scratch = Scratch::new("full-checkpoint");
    let Some(disk) = mount(&scratch) else { return };
    let data = disk.join("data");
    format(&data);
    let server = Start::new(&data).shards(1).with(&["--checkpoint-every", "3000000"]).serve();
    let mut client = connect(server.address());
    let mut book = Book::default();
    book.open_accounts(&mut client, ACCOUNTS);
    // Not enough for the accounts alone; the log's segments are there already.
    disk.fill_but(MIB / 2);
    let failed = "no checkpoint could be taken: can't make";
    assert!(drive_until(&server, &mut book, random.u64(..), failed, 2), "it goes on");
    let said = server.wait_for(failed);
    assert!(
        said.contains("checkpoints/0/part-000") && said.contains("the disk is full; free space"),
        "{said}"
    );
    let pattern = Pattern { batches: vec![1, 20], ..Pattern::ENDLESS };
    let choice = book.choice_of_two_phases();
    let told = drive_while(server.address(), random.u64(..), &choice, &pattern, |answers| {
        wait_for_answers(answers, 200);
    });
    book.note(told);
    disk.free_room();
    assert!(drive_until(&server, &mut book, random.u64(..), "is whole", 2), "it goes on");
    assert_eq!(book.turned_away(), 0, "the log had room all the time");
    book.check(&mut client, &mut random, true);
    book.check_history(&mut client, &mut random);
    server.kill();
    let said = check(&data, 2, &[], &mut book, &mut random);
    assert!(said.contains("from a checkpoint"), "{said}");
}

#[test]
fn history_that_finds_no_room_goes_on_later() {
    let mut random = fastrand::Rng::with_seed(seed("full disk, history"));
    let scratch = Scratch::new("full-history");
    let Some(disk) = mount(&scratch) else { return };
    let data = disk.join("data");
    format(&data);
    let server = Start::new(&data).shards(1).with(&["--checkpoint-every", "3000000"]).serve();
    let mut client = connect(server.address());
    let mut book = Book::default();
    book.open_accounts(&mut client, 100);
    let pattern = Pattern { batches: vec![1, 1_000], ..Pattern::ENDLESS };
    // To the last byte, in the middle of what history writes.
    let choice = book.choice_of_two_phases();
    let told = drive_while(server.address(), random.u64(..), &choice, &pattern, |answers| {
        wait_for_answers(answers, 100);
        disk.fill_but(0);
        server.wait_for("history stands still");
        wait_for_answers(answers, 200);
    });
    book.note(told);
    book.check(&mut client, &mut random, false);
    disk.free_room();
    assert!(drive_until(&server, &mut book, random.u64(..), "is whole", 1), "it goes on");
    server.kill();
    let server = Start::new(&data).shards(2).serve();
    let mut client = connect(server.address());
    book.check(&mut client, &mut random, true);
    book.check_history(&mut client, &mut random);
    server.stop();
    check(&data, 1, &[], &mut book, &mut random);
}
