//! A phase of the load: every worker on a thread of its own, until every reply is there.

use crate::args::RunArgs;
use crate::arrivals::{Arrivals, Share, Slope};
use crate::drive::Driver;
use crate::failure::Failure;
use crate::figures::Figures;
use crate::generator::Clocks;
use crate::load::Load;
use crate::progress::{Progress, REFRESH};
use crate::report::count;
use crate::series::Series;
use auriga_signals::Glance;
use auriga_wire::Options;
use std::sync::{Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// A time with a load of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// Its name.
    pub name: String,
    /// How long requests are sent.
    pub seconds: f64,
    /// Transfers a second in an open loop; without, as fast as possible.
    pub rate: Option<Vec<Slope>>,
    /// Requests in flight on each connection, if not as many as the command line says.
    pub in_flight: Option<u32>,
    /// Whether it is in the figures.
    pub measured: bool,
    /// Whether it is a step of a ramp.
    pub step: bool,
}

/// What a phase has shown.
#[derive(Debug)]
pub struct Part {
    /// What was measured, until something failed, if it did.
    pub figures: Figures,
    /// How it went over time.
    pub series: Series,
    /// When it began.
    pub start: Instant,
    /// Until the last reply, or until it failed.
    pub seconds: f64,
    /// What ended it, if something did.
    pub failed: Option<Failure>,
}

/// A driver per worker, with the connections dealt out.
pub fn connect(
    args: &RunArgs,
    options: &Options,
    connections: usize,
    in_flight: usize,
) -> Result<Vec<Driver>, Failure> {
    let workers = usize::from(args.workers);
    let share = |worker| connections / workers + usize::from(worker < connections % workers);
    (0..workers).map(|worker| Driver::connect(&args.address, options, share(worker), in_flight)).collect()
}

impl Phase {
    /// Transfers that are due in it; `None` in a closed loop.
    pub fn due(&self) -> Option<f64> {
        self.rate.as_ref().map(|slopes| slopes.iter().map(Slope::area).sum())
    }

    /// Its rate for people.
    pub fn rate_words(&self) -> String {
        let Some(slopes) = &self.rate else { return "as fast as possible".into() };
        let ends = slopes.iter().flat_map(|slope| [slope.from, slope.to]);
        let (first, last) = (slopes[0].from, slopes[slopes.len() - 1].to);
        let (low, high) = (ends.clone().fold(f64::MAX, f64::min), ends.fold(0.0, f64::max));
        let number = |rate| count(rate as u64);
        match slopes.len() {
            _ if low == high => number(low),
            1 => format!("{} to {}", number(first), number(last)),
            _ => format!("{}, spikes of {}", number(low), number(high)),
        }
    }

    /// Runs every worker for this time, as the phase of this number, and waits for the last reply.
    pub fn run(
        &self,
        number: u64,
        args: &RunArgs,
        drivers: &mut [Driver],
        loads: &mut [Load<'_>],
        glances: &[Glance],
    ) -> Part {
        for driver in drivers.iter_mut() {
            driver.limit(self.in_flight.unwrap_or(args.in_flight) as usize);
        }
        let mut progress = Progress::start(&self.name, Duration::from_secs_f64(self.seconds));
        // It begins when all workers are there: on a busy machine a thread may come to run late.
        let (all_are_there, begun) = (Barrier::new(drivers.len()), OnceLock::new());
        let results = thread::scope(|scope| {
            let bar_thread = thread::current();
            let workers: Vec<_> = drivers
                .iter_mut()
                .zip(loads.iter_mut())
                .zip(0..)
                .map(|((driver, load), worker)| {
                    let (bar_thread, all_are_there, begun) = (bar_thread.clone(), &all_are_there, &begun);
                    scope.spawn(move || {
                        all_are_there.wait();
                        let start = *begun.get_or_init(Instant::now);
                        let mut arrivals = self.arrivals(args, number, worker, start);
                        load.begin(start);
                        let clocks = Clocks::now();
                        let result = driver.run(load, &mut arrivals);
                        let (spent, end) = (clocks.spent(), Instant::now());
                        let (unsent, unanswered) = (arrivals.unsent(), driver.unanswered());
                        let (figures, series) = load.take_figures(unsent);
                        bar_thread.unpark();
                        (Figures { unsent, unanswered, spent, ..figures }, series, end, result.err())
                    })
                })
                .collect();
            while workers.iter().any(|worker| !worker.is_finished()) {
                thread::park_timeout(REFRESH);
                progress.draw(glances.iter());
            }
            let joined = workers.into_iter().map(|worker| worker.join().expect("a worker doesn't panic"));
            joined.collect::<Vec<_>>()
        });
        progress.finish();
        let start = *begun.get().expect("there is a worker");
        let (figures, series) = (Figures::new(args.requests.is_some()), Series::default());
        let mut part = Part { figures, series, start, seconds: 0.0, failed: None };
        for (figures, series, end, failure) in results {
            part.seconds = part.seconds.max((end - start).as_secs_f64());
            part.figures.add(&figures);
            part.series.add(series);
            part.failed = part.failed.or(failure);
        }
        part
    }

    /// When a worker's requests are due. The rate of transfers is met on average: look-ups come on top of it.
    fn arrivals(&self, args: &RunArgs, number: u64, worker: u32, start: Instant) -> Arrivals {
        let Some(rate) = &self.rate else {
            return Arrivals::flat_out(start, Duration::from_secs_f64(self.seconds));
        };
        let requests_per_transfer = args.requests_per_batch() / args.sizes().mean();
        let requests = |slope: &Slope| Slope {
            from: slope.from * requests_per_transfer,
            to: slope.to * requests_per_transfer,
            ..*slope
        };
        let seed = args.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let share = Share { worker, workers: u32::from(args.workers), seed };
        Arrivals::at_rate(start, args.arrivals, rate.iter().map(requests).collect(), share)
    }
}
