//! Power cuts of a server in an emulated machine: `tests/run power` builds what this needs and runs it. What it shows, and what it
//! doesn't, is in `tests/power/README.md`.
//!
//! 1. A data directory that has been used becomes the disk of a guest, whose server lives under load and ends.
//! 2. The power fails at many positions of that life, and each time a server of this machine starts on what is left.
//! 3. One such disk is that of a second guest: its server starts there, is checked, lives and ends, and is cut like the first.
//! 4. Servers that flush too little live the same way. Each must be seen to lose what it acknowledged.

mod options;

use auriga_tests::book::Book;
use auriga_tests::harness::{Scratch, scratch_root};
use auriga_tests::power::age;
use auriga_tests::power::cut::{CHECK, Cut, Wrong};
use auriga_tests::power::guest::{Device, Setup};
use auriga_tests::power::life::Life;
use auriga_tests::power::record::Fate;
use auriga_tests::power::tools::{LEDGER, Tools};
use fastrand::Rng;
use options::Options;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Bytes of the guest's disk.
const DISK: u64 = 2 << 30;
/// One in so many cuts is in the start of a server.
const START_ONE_IN: usize = 5;
/// So that checkpoints are under way most of the time.
const ARGUMENTS: &str = "--shards 2 --checkpoint-every 100000";
/// Of servers with a fault: nothing but the log writes, so that a cut shows what is missing there.
const FAULT_ARGUMENTS: &str = "--shards 2 --checkpoint-every 0";
/// Cuts, at most, of a life with a fault.
const CATCH_CUTS: usize = 30;
/// Acknowledgements of which the worst one is cut at.
const TRIES: usize = 32;
/// What a check says of an acknowledged transfer that is not there.
const MISSING: &str = "acknowledged transfers are missing";

/// A fault: what its server leaves out, how it is told to, and the disk on which that is seen.
const FAULTS: [(&str, &str, Device); 2] = [
    ("no flush at all", "AURIGA_FLUSH=nothing", Device::Scsi),
    ("only cuts are flushed, blocks are not", "AURIGA_FLUSH=cuts", Device::Virtio),
];

/// What is the same for all lives.
struct Power {
    options: Options,
    tools: Tools,
    scratch: Scratch,
    passed: usize,
    failed: usize,
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(usage) => {
            eprintln!("power: {usage}");
            return ExitCode::from(2);
        }
    };
    // What a check finds is said by whoever asked for it.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() != Some(CHECK) {
            hook(panic);
        }
    }));
    println!("power: --seed {} --cuts {}", options.seed, options.cuts);
    let begun = Instant::now();
    let tools = Tools::new(options.tools.clone());
    let mut power = Power { options, tools, scratch: Scratch::new("power"), passed: 0, failed: 0 };
    power.run();
    let seconds = begun.elapsed().as_secs_f64();
    println!("power: {} passed, {} failed, {seconds:.0} s", power.passed, power.failed);
    if power.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Power {
    fn run(&mut self) {
        let mut random = Rng::with_seed(self.options.seed);
        let begun = Instant::now();
        let (base, folder) = (self.scratch.join("base"), self.scratch.join("disk-0"));
        std::fs::create_dir(&folder).expect("a folder can be made");
        let book = age::make(&folder.join(LEDGER));
        self.tools.make_image(&folder, &base, DISK);
        std::fs::remove_dir_all(&folder).expect("it was made here");
        println!("a used directory, as an ext4 image: {:.1} s", begun.elapsed().as_secs_f64());

        let (honest, broken) = (self.options.guest.clone(), self.options.broken.clone());
        let life = self.live("life 1", (&honest, Device::Scsi, ""), &base, book.clone(), &mut random);
        self.cut_often(&life, &base, &mut random);
        let again = Cut::new(life.acknowledgement(&mut random, 1), &mut random);
        let cut = self.scratch.join("base-2");
        let left = again.make_image(&life, &base, &cut);
        println!("a second guest starts on what a cut at {} leaves: {left:?}", again.at);
        let known = life.book_at(again.at);
        drop(life);
        let life = self.live("life 2", (&honest, Device::Virtio, ""), &cut, known, &mut random);
        // Its server found everything that was acknowledged before the cut.
        self.passed += 1;
        self.cut_often(&life, &cut, &mut random);
        drop(life);
        std::fs::remove_file(cut).expect("it was made here");

        for (what, variable, device) in FAULTS {
            let life = self.live(what, (&broken, device, variable), &base, book.clone(), &mut random);
            self.catch(what, &life, &base, &mut random);
        }
    }

    /// Lives on a disk of which something is known, with a guest's root, its kind of disk, and what is in its environment.
    fn live(
        &self,
        name: &str,
        (root, device, variable): (&Path, Device, &str),
        base: &Path,
        known: Book,
        random: &mut Rng,
    ) -> Life {
        let arguments = if variable.is_empty() { ARGUMENTS } else { FAULT_ARGUMENTS };
        let setup = Setup { tools: &self.tools, root, device, variable, arguments };
        let life = Life::live(&setup, base, known, random, &self.scratch);
        let (writes, flushes) = life.record().counts();
        println!(
            "{name}, {device:?}: serving after {:.1} s, ended after {:.1} s; {} transfers answered; {writes} writes, \
             {flushes} flushes; positions {:?} of the start, {:?} under load",
            life.times.0.as_secs_f64(),
            life.times.1.as_secs_f64(),
            life.answered(),
            life.start(),
            life.load()
        );
        life
    }

    /// Cuts in the start, at acknowledgements, and anywhere.
    fn choose(&self, life: &Life, number: usize, random: &mut Rng) -> Cut {
        let at = match number {
            _ if number % START_ONE_IN == START_ONE_IN - 1 => random.u64(life.start()),
            _ if number.is_multiple_of(2) => life.acknowledgement(random, [1, TRIES][number / 2 % 2]),
            _ => random.u64(life.load()),
        };
        Cut::new(at, random)
    }

    /// Cuts a life of a server that must lose nothing.
    fn cut_often(&mut self, life: &Life, base: &Path, random: &mut Rng) {
        for number in 0..self.options.cuts {
            let cut = self.choose(life, number, random);
            let begun = Instant::now();
            match cut.check(life, base, &self.tools, &self.scratch) {
                Ok(found) => {
                    self.passed += 1;
                    println!("cut at {}: {found}; {:.1} s", cut.at, begun.elapsed().as_secs_f64());
                }
                Err(Wrong { message, image }) => {
                    self.failed += 1;
                    let kept = self.keep(&image, cut.at);
                    println!("FAILED: {cut:?}: {message}\nthe image is kept: {}", kept.display());
                }
            }
        }
    }

    /// Cuts a life of a server with a fault until it is seen to have lost what it acknowledged.
    fn catch(&mut self, what: &str, life: &Life, base: &Path, random: &mut Rng) {
        for number in 0..CATCH_CUTS {
            let cut = Cut { fate: Fate::Lost, ..Cut::new(life.acknowledgement(random, TRIES), random) };
            match cut.check(life, base, &self.tools, &self.scratch) {
                Err(Wrong { message, .. }) if message.contains(MISSING) => {
                    self.passed += 1;
                    println!("caught at cut {}: {what}: {}", number + 1, message.trim());
                    return;
                }
                Err(Wrong { message, .. }) => println!("cut at {}: another failure: {message}", cut.at),
                Ok(found) => println!("cut at {}: nothing is missing: {found}", cut.at),
            }
        }
        self.failed += 1;
        println!("FAILED: {CATCH_CUTS} cuts, and nobody noticed: {what}");
    }

    /// Moves an image to where it stays.
    fn keep(&self, image: &Path, at: u64) -> PathBuf {
        let kept = scratch_root().join(format!("power-{}-{at}.ext4", self.options.seed));
        std::fs::rename(image, &kept).expect("both are below the same folder");
        kept
    }
}
