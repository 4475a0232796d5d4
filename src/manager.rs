//! What the service manager is told (sd_notify): that the server starts, serves or stops, and that every shard lives.
//!
//! One thread, if a manager listens (`NOTIFY_SOCKET`). It looks at what the executors show of themselves and decides ([`Watch`], pure).
//! While the server starts it asks for more time; then it feeds the manager's watchdog, if there is one. Both only if
//! every shard has done something since the last time: with one that hangs the manager hears nothing, and ends the process.

use crate::doorbell::Doorbell;
use crate::failure::{Failure, Outcome};
use crate::server::Shared;
use auriga_signals::Heart;
use sd_notify::NotifyState;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How much time a start asks for, from each time it does. A shard that reads a checkpoint may take seconds for a step.
const MORE_TIME: Duration = Duration::from_secs(60);
/// Time between two looks, at most.
const LOOK_EVERY_MAX: Duration = Duration::from_secs(1);
/// Looks in the time after which the watchdog bites.
const LOOKS: u32 = 4;

/// How far the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Serving,
    Stopping,
}

/// What the manager is told after a look.
#[derive(Debug, Default, PartialEq, Eq)]
struct Word {
    /// It serves now, for the first time.
    ready: bool,
    /// It stops, since this look.
    stopping: bool,
    /// The start needs more time.
    more_time: bool,
    /// Every shard lives.
    feed: bool,
    /// This shard has done nothing for so long.
    hangs: Option<(usize, Duration)>,
    /// What else is said has changed.
    status: bool,
}

/// What was seen and told until now.
#[derive(Debug)]
struct Watch {
    /// A shard that has done nothing for so long is said to hang.
    patience: Duration,
    phase: Phase,
    /// By core: its beats when all had done something.
    beats: Vec<u64>,
    /// When that was.
    at: Duration,
    hangs: bool,
}

impl Watch {
    fn new(patience: Duration, shards: usize) -> Self {
        Self { patience, phase: Phase::Starting, beats: vec![0; shards], at: Duration::ZERO, hangs: false }
    }

    /// Decides what to say, after so long. While the server starts, a shard may not have begun: it takes its memory.
    fn look(&mut self, now: Duration, phase: Phase, beats: &[u64]) -> Word {
        let is_new = phase != self.phase;
        self.phase = phase;
        let is_idle = |(_, (now, before)): &(usize, (&u64, &u64))| {
            now == before && !(phase == Phase::Starting && **now == 0)
        };
        let idle = beats.iter().zip(&self.beats).enumerate().find(is_idle).map(|(shard, _)| shard);
        let mut word = Word {
            ready: is_new && phase == Phase::Serving,
            stopping: is_new && phase == Phase::Stopping,
            status: is_new || phase == Phase::Starting,
            ..Word::default()
        };
        let Some(shard) = idle else {
            self.beats.copy_from_slice(beats);
            self.at = now;
            word.more_time = phase == Phase::Starting;
            word.feed = phase != Phase::Starting;
            word.status |= std::mem::take(&mut self.hangs);
            return word;
        };
        let idle_for = now.saturating_sub(self.at);
        if idle_for >= self.patience {
            self.hangs = true;
            word.hangs = Some((shard, idle_for));
        }
        word
    }
}

/// The service manager that listens.
#[derive(Debug)]
pub struct Manager {
    /// Wakes its thread: the server serves, stops or ends.
    pub bell: Arc<Doorbell>,
    /// If nothing is heard for so long, it ends the process.
    watchdog: Option<Duration>,
}

impl Manager {
    /// The manager that has started this process and listens; it is asked for time at once.
    pub fn who_listens() -> Outcome<Option<Self>> {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Ok(None);
        }
        let bell =
            Doorbell::new().map_err(|e| Failure::environment(format!("can't make an eventfd: {e}")))?;
        // What can't be sent now is said when the server runs.
        send(&[NotifyState::Status("starting"), more_time()], &mut true);
        Ok(Some(Self { bell: Arc::new(bell), watchdog: sd_notify::watchdog_enabled() }))
    }

    /// Tells it what goes on, until every executor has ended.
    pub fn run(&self, shared: &Shared) {
        let patience = self.watchdog.map_or(MORE_TIME, |watchdog| watchdog / 2);
        let mut watch = Watch::new(patience, shared.hearts.len());
        let (start, mut is_deaf) = (Instant::now(), false);
        while !shared.has_ended() {
            let beats: Vec<_> = shared.hearts.iter().map(Heart::beats).collect();
            let hung = watch.hangs;
            let word = watch.look(start.elapsed(), phase(shared), &beats);
            match word.hangs {
                Some((shard, time)) if !hung => log_hang(shard, time, shared),
                None if hung && !watch.hangs => tracing::warn!("every shard goes on"),
                _ => {}
            }
            self.tell(&word, watch.phase, shared, &mut is_deaf);
            self.bell.park();
            if watch.phase == phase(shared) && !shared.has_ended() {
                self.bell.wait(self.rest(watch.phase));
            }
            self.bell.unpark();
        }
    }

    /// Milliseconds to the next look; -1: until something happens.
    fn rest(&self, phase: Phase) -> i32 {
        let look = match (self.watchdog, phase) {
            (Some(watchdog), _) => LOOK_EVERY_MAX.min(watchdog / LOOKS),
            (None, Phase::Starting) => LOOK_EVERY_MAX,
            (None, _) => return -1,
        };
        look.as_millis() as i32
    }

    fn tell(&self, word: &Word, phase: Phase, shared: &Shared, is_deaf: &mut bool) {
        let mut states = Vec::new();
        let status = match word.hangs {
            Some((shard, time)) => Some(format!("shard {shard} has done nothing for {time:.1?}")),
            None => word.status.then(|| status(phase, shared)),
        };
        if let Some(status) = &status {
            states.push(NotifyState::Status(status));
        }
        if word.ready {
            states.push(NotifyState::Ready);
        }
        if word.stopping {
            states.push(NotifyState::Stopping);
        }
        if word.more_time {
            states.push(more_time());
        }
        if word.feed && self.watchdog.is_some() {
            states.push(NotifyState::Watchdog);
        }
        send(&states, is_deaf);
    }
}

/// Logs that a shard hangs, once: what the manager shows is gone when it has ended the process.
fn log_hang(shard: usize, time: Duration, shared: &Shared) {
    let cpu = shared.options.topology.shards[shard].cpu;
    tracing::error!(
        "shard {shard}, on CPU {cpu}, has done nothing for {time:.1?}: something keeps its thread, or it waits for the kernel. A watchdog \
         ends a server that hangs"
    );
}

/// Sends it. What can't be sent matters to the manager alone; the log says it once.
fn send(states: &[NotifyState<'_>], is_deaf: &mut bool) {
    if states.is_empty() {
        return;
    }
    let sent = sd_notify::notify(states);
    let was_deaf = std::mem::replace(is_deaf, sent.is_err());
    if let Err(e) = sent
        && !was_deaf
    {
        tracing::warn!("the service manager can't be told how the server is (NOTIFY_SOCKET): {e}");
    }
}

fn more_time() -> NotifyState<'static> {
    NotifyState::ExtendTimeoutUsec(MORE_TIME.as_micros() as u32)
}

fn phase(shared: &Shared) -> Phase {
    if shared.is_stopping() || shared.has_failed() {
        Phase::Stopping
    } else if shared.lifecycle.is_serving() {
        Phase::Serving
    } else {
        Phase::Starting
    }
}

fn status(phase: Phase, shared: &Shared) -> String {
    let replayed = shared.hearts.iter().map(Heart::replayed).max().unwrap_or(0);
    match phase {
        Phase::Starting if replayed == 0 => "starting".into(),
        Phase::Starting => format!("replaying the log: epoch {replayed} of {}", shared.log_end),
        Phase::Serving => format!("serving on {} with {} shards", shared.address, shared.hearts.len()),
        Phase::Stopping => "stopping: answering what is under way".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Looks once a second; returns what each look says.
    fn looks(of: &[(Phase, [u64; 2])]) -> Vec<Word> {
        let mut watch = Watch::new(PATIENCE, 2);
        let times = (0..).map(Duration::from_secs);
        times.zip(of).map(|(now, (phase, beats))| watch.look(now, *phase, beats)).collect()
    }

    #[test]
    fn each_step_is_told_once_and_then_every_shard_that_lives() {
        use Phase::{Serving, Starting, Stopping};
        let said = looks(&[
            (Starting, [0, 0]),
            (Starting, [3, 0]),
            (Starting, [4, 1]),
            (Serving, [5, 2]),
            (Serving, [6, 3]),
            (Stopping, [7, 4]),
            (Stopping, [8, 5]),
        ]);
        let none = Word::default;
        let more_time = || Word { more_time: true, status: true, ..none() };
        let expected = [
            more_time(),
            more_time(),
            more_time(),
            Word { ready: true, status: true, feed: true, ..none() },
            Word { feed: true, ..none() },
            Word { stopping: true, status: true, feed: true, ..none() },
            Word { feed: true, ..none() },
        ];
        assert_eq!(said, expected);
    }

    #[test]
    fn a_server_that_stops_before_it_serves_was_never_ready() {
        let said = looks(&[(Phase::Starting, [1, 1]), (Phase::Stopping, [2, 2])]);
        assert!(said[1].stopping && said.iter().all(|word| !word.ready));
    }

    /// Whichever hangs, whatever the others do, and in whichever phase: nothing is said that would keep the manager waiting.
    #[test]
    fn one_shard_that_hangs_is_enough() {
        for phase in [Phase::Starting, Phase::Serving, Phase::Stopping] {
            for hung in 0..2 {
                let beats = |now: u64| std::array::from_fn(|shard| if shard == hung { 7 } else { 7 + now });
                let said = looks(&(0..=30).map(|now| (phase, beats(now))).collect::<Vec<_>>());
                assert_eq!(said[0].feed, phase != Phase::Starting, "it has begun");
                for (now, word) in said.iter().enumerate().skip(1) {
                    assert!(!word.feed && !word.more_time && !word.ready, "{phase:?}, {now} s: {word:?}");
                    let hangs = (now >= 10).then(|| (hung, Duration::from_secs(now as u64)));
                    assert_eq!(word.hangs, hangs, "{phase:?}, {now} s");
                }
            }
        }
    }

    #[test]
    fn one_beat_is_enough_however_late() {
        let mut watch = Watch::new(PATIENCE, 2);
        let mut look = |now, beats| watch.look(Duration::from_secs(now), Phase::Serving, beats);
        assert!(look(0, &[1, 1]).feed);
        assert!(!look(1, &[2, 1]).feed);
        assert_eq!(look(100, &[2, 1]).hangs, Some((1, Duration::from_secs(100))));
        let again = look(101, &[2, 2]);
        assert!(again.feed && again.status, "all have done something since: {again:?}");
        assert!(!look(102, &[3, 2]).feed, "and the next time it counts from there");
        assert_eq!(look(103, &[3, 2]).hangs, None);
    }

    #[test]
    fn the_watchdog_is_fed_more_often_than_it_asks_for() {
        let manager = |watchdog| Manager { bell: Arc::new(Doorbell::new().expect("made")), watchdog };
        let rest = |seconds, phase| manager(seconds).rest(phase);
        assert_eq!(rest(Some(Duration::from_secs(2)), Phase::Serving), 500);
        assert_eq!(rest(Some(Duration::from_secs(30)), Phase::Stopping), 1_000);
        assert_eq!(rest(None, Phase::Starting), 1_000);
        assert_eq!(rest(None, Phase::Serving), -1);
    }
}
