//! A clock that is far from the time of the log: refused, unless the operator says that it is right.
//!
//! The clock of the machine stays as it is; the log's cuts get another time.

use auriga_shards::log::cut::{Cut, CutSector};
use auriga_shards::log::segment::cut_place;
use auriga_shards::log::{IdMode, Identity};
use auriga_tests::harness::{Scratch, Start, format};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

const IDENTITY: Identity = Identity { cluster: 7, id_mode: IdMode::Time };
const DAY_NS: u64 = 86_400 * 1_000_000_000;

/// Rewrites the two opening cuts of a directory that was started once.
fn set_time(data: &Path, change: impl Fn(u64) -> u64) {
    let mut previous = 0;
    for epoch in [1, 2] {
        let (file, offset) = cut_place(epoch);
        let path = data.join(file.to_string());
        let file = OpenOptions::new().read(true).write(true).open(path).expect("the cut log");
        let mut sector = CutSector::new();
        file.read_exact_at(&mut sector.0, offset).expect("a cut");
        let (cut, _) = Cut::decode(&IDENTITY, &sector.0).expect("a good cut");
        previous = Cut { time: change(cut.time), previous, ..cut }.encode(&IDENTITY, &mut sector);
        file.write_all_at(&sector.0, offset).expect("written");
    }
    // It is of the log as it was.
    fs::remove_dir_all(data.join("history")).expect("it was kept");
}

#[test]
fn a_clock_far_from_the_logs_time_needs_the_operators_word() {
    for (direction, words) in
        [(1, "behind the time of the last epoch"), (-1, "ahead of the time of the last epoch")]
    {
        let scratch = Scratch::new("clock");
        let data = scratch.join("data");
        format(&data);
        Start::new(&data).serve().stop();
        set_time(&data, |time| time.checked_add_signed(direction * 100 * DAY_NS as i64).expect("in range"));
        Start::new(&data).fail().expect(4, &[words, "--accept-clock"]);
        Start::new(&data).with(&["--accept-clock"]).serve().stop();
        if direction < 0 {
            // The log has the clock's time now.
            Start::new(&data).serve().stop();
        }
    }
}

#[test]
fn a_clock_a_little_away_is_taken() {
    let scratch = Scratch::new("little");
    let data = scratch.join("data");
    format(&data);
    Start::new(&data).serve().stop();
    set_time(&data, |time| time - 60 * DAY_NS);
    Start::new(&data).serve().stop();
}
