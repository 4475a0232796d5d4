//! Two servers on one directory.

use crate::ledger::check;
use auriga_tests::book::Book;
use auriga_tests::harness::{Scratch, Start, format, seed, stop_process, text};
use auriga_tests::load::{Pattern, Told, connect, drive_while, wait_for_answers};
use auriga_tests::log_files::all_hashes;

#[test]
fn a_second_server_is_refused_and_the_first_one_goes_on() {
    let mut random = fastrand::Rng::with_seed(seed("lock"));
    let scratch = Scratch::new("lock");
    let data = scratch.join("data");
    format(&data);
    let server = Start::new(&data).shards(2).serve();
    let mut book = Book::default();
    book.open_accounts(&mut connect(server.address()), 100);
    let owner = format!("process {}", server.id());
    let lock = data.join("lock");
    let words = [text(&data), "in use by another auriga", &owner, text(&lock), "stop that one"];
    let refused = |options: &[&str]| {
        Start::new(&data).with(options).fail().expect(4, &words);
    };
    let pattern = Pattern { batches: vec![1, 20], ..Pattern::ENDLESS };
    let told = drive_while(server.address(), random.u64(..), &book.choice(), &pattern, |answers| {
        wait_for_answers(answers, 50);
        // Also with options that make or remove something at a start.
        refused(&[]);
        refused(&["--history", "off", "--checkpoint-every", "1"]);
        refused(&["--archive", text(&scratch.join("archive"))]);
        assert!(!scratch.join("archive").exists(), "nothing is made");
        let before = answers.load(std::sync::atomic::Ordering::Relaxed);
        wait_for_answers(answers, before + 50);
    });
    assert!(told.iter().all(|sent| sent.told != Told::Nothing), "the first one goes on");
    book.note(told);
    book.check(&mut connect(server.address()), &mut random, true);

    // Stopped, the first one changes nothing, and still has the directory.
    stop_process(server.id());
    let before = all_hashes(&data);
    refused(&[]);
    assert!(all_hashes(&data) == before, "the refused start changed something");
    server.signal(libc::SIGCONT);
    // The lock goes with its process, however that ended.
    server.kill();
    check(&data, 1, &[], &mut book, &mut random);
}
