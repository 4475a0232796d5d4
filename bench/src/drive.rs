//! The event loop of one worker: many connections, requests in flight on each, one thread that sleeps in epoll.
//!
//! The loop knows nothing of what it sends: a [`Work`] makes the requests and takes the answers.

use crate::arrivals::{Arrivals, Due};
use crate::failure::Failure;
use auriga_wire::{Options, Pipeline, Reply, RequestFrame};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Items of requests that are made before the loop looks for replies again.
const ITEMS_A_TURN: usize = 8_190;
/// Events taken from epoll at once.
const EVENTS_MAX: usize = 256;
/// Longest sleep, so that a silent server is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// When a request was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// When it should have been; in a closed loop, when it was.
    pub intended: Instant,
    /// When it was.
    pub actual: Instant,
    /// Of an open loop: how long it could have been sent before that, because it was due and there was room for it.
    pub lateness: Option<Duration>,
}

/// Makes requests and takes their answers.
pub trait Work {
    /// Whether the next request may be sent now. If not, an answer that is under way must change that.
    fn may_send(&self) -> bool {
        true
    }

    /// When the next request should be sent, if the work itself knows. It counts where arrivals say that it may be sent at any time.
    fn due(&self) -> Option<Instant> {
        None
    }

    /// Writes the next request and returns a tag for it; `None` when nothing is left to ask.
    fn next(&mut self, now: Instant, frame: &mut RequestFrame) -> Option<u64>;

    /// Looks at the clock, after each sleep and before the answers that came meanwhile. `unsent` counts the requests that are due
    /// and for which there is no room.
    fn tick(&mut self, _now: Instant, _unsent: impl FnOnce() -> u64) {}

    /// Takes the answer to the request of this tag. `false`: send no more.
    fn answered(&mut self, tag: u64, reply: &Reply<'_>, sent: Sent, now: Instant) -> Result<bool, Failure>;
}

#[derive(Debug)]
struct Outstanding {
    number: u64,
    tag: u64,
    sent: Sent,
}

#[derive(Debug)]
struct Connection {
    pipeline: Pipeline,
    outstanding: Vec<Outstanding>,
}

/// One worker's connections.
#[derive(Debug)]
pub struct Driver {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    /// A connection's index for every request that it has room for: work goes round.
    room: VecDeque<usize>,
    silence_max: Duration,
    in_flight: usize,
    /// Since when the next request could be sent, as far as the server is concerned; `None`: it still can't.
    possible_since: Option<Instant>,
}

impl Driver {
    /// Connects `connections` times.
    pub fn connect(
        address: &str,
        options: &Options,
        connections: usize,
        in_flight: usize,
    ) -> Result<Self, Failure> {
        let broken = |error| Failure::Environment(format!("epoll can't be used: {error}"));
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(broken)?;
        let mut driver = Self {
            epoll,
            connections: Vec::with_capacity(connections),
            room: (0..in_flight).flat_map(|_| 0..connections).collect(),
            silence_max: options.read_timeout,
            in_flight: 0,
            possible_since: None,
        };
        for index in 0..connections {
            let pipeline = Pipeline::connect(address, options, in_flight)?;
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            let data = EventData::new_u64(index as u64);
            epoll::add(&driver.epoll, &pipeline, data, flags).map_err(broken)?;
            driver.connections.push(Connection { pipeline, outstanding: Vec::with_capacity(in_flight) });
        }
        Ok(driver)
    }

    /// From now on so many requests may be in flight on each connection, up to the number that it was connected with. Nothing is in flight.
    pub fn limit(&mut self, in_flight: usize) {
        if self.in_flight == 0 {
            self.room = (0..in_flight).flat_map(|_| 0..self.connections.len()).collect();
        }
    }

    /// Requests without an answer: none, unless something failed.
    pub fn unanswered(&self) -> u64 {
        self.in_flight as u64
    }

    /// Sends what `work` makes when `arrivals` says so, until either has no more and every request is answered.
    pub fn run(&mut self, work: &mut impl Work, arrivals: &mut Arrivals) -> Result<(), Failure> {
        let mut more = true;
        let mut heard = Instant::now();
        self.possible_since = Some(heard);
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            let sleep = self.send(work, arrivals, &mut more)?;
            if !more && self.in_flight == 0 {
                return Ok(());
            }
            self.wait(sleep, &mut events)?;
            let now = Instant::now();
            let has_no_room = self.possible_since.is_none();
            work.tick(now, || if has_no_room { arrivals.behind(now) } else { 0 });
            if self.in_flight == 0 || self.receive(work, &events, now, &mut more)? {
                heard = now;
                self.possible_since.get_or_insert(now);
            }
            if now - heard > self.silence_max {
                return Err(Failure::Lost(format!(
                    "the server answered nothing for {} s with {} requests in flight",
                    self.silence_max.as_secs(),
                    self.in_flight
                )));
            }
        }
    }

    /// Sends what is due and returns how long the loop may sleep.
    fn send(
        &mut self,
        work: &mut impl Work,
        arrivals: &mut Arrivals,
        more: &mut bool,
    ) -> Result<Duration, Failure> {
        let mut items = 0;
        while *more {
            let now = Instant::now();
            let intended = match arrivals.next(now) {
                Due::Over => {
                    *more = false;
                    break;
                }
                Due::At(time) => return Ok(SLEEP_MAX.min(time - now)),
                Due::Since(intended) => Some(intended),
                Due::Now => match work.due() {
                    Some(time) if time > now => return Ok(SLEEP_MAX.min(time - now)),
                    due => due,
                },
            };
            let may_send = work.may_send();
            assert!(
                may_send || self.in_flight > 0,
                "only an answer makes a request possible, and none is under way"
            );
            let Some(&index) = self.room.front().filter(|_| may_send) else {
                self.possible_since = None;
                return Ok(SLEEP_MAX);
            };
            let possible_since = *self.possible_since.get_or_insert(now);
            if items >= ITEMS_A_TURN {
                return Ok(Duration::ZERO);
            }
            let connection = &mut self.connections[index];
            let mut frame = connection.pipeline.take_frame();
            let Some(tag) = work.next(now, &mut frame) else {
                *more = false;
                break;
            };
            items += frame.items();
            let actual = Instant::now();
            let lateness =
                intended.map(|intended| actual.saturating_duration_since(intended.max(possible_since)));
            let number = connection.pipeline.try_submit(frame)?;
            let sent = Sent { intended: intended.unwrap_or(actual), actual, lateness };
            connection.outstanding.push(Outstanding { number, tag, sent });
            self.room.pop_front();
            self.in_flight += 1;
            arrivals.sent();
        }
        Ok(SLEEP_MAX)
    }

    fn wait(&self, timeout: Duration, events: &mut Vec<Event>) -> Result<(), Failure> {
        let timeout =
            Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) };
        events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(Failure::Environment(format!("epoll_wait failed: {error}"))),
        }
    }

    /// Writes and reads what the ready sockets take and have; whether there was an answer.
    fn receive(
        &mut self,
        work: &mut impl Work,
        events: &[Event],
        now: Instant,
        more: &mut bool,
    ) -> Result<bool, Failure> {
        let mut any = false;
        for event in events {
            let index = event.data.u64() as usize;
            let Connection { pipeline, outstanding } = &mut self.connections[index];
            pipeline.flush()?;
            while let Some((number, reply)) = pipeline.try_receive()? {
                let place = outstanding.iter().position(|request| request.number == number);
                let place = place.expect("the pipeline answers what was submitted");
                let Outstanding { tag, sent, .. } = outstanding.swap_remove(place);
                *more &= work.answered(tag, &reply, sent, now)?;
                self.in_flight -= 1;
                self.room.push_back(index);
                any = true;
                // Nothing more is to come: what the server might say of itself, it says before it closes, which is an event.
                if outstanding.is_empty() {
                    break;
                }
            }
        }
        Ok(any)
    }
}
