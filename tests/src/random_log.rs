//! Random logs: the material on which an engine is compared with the reference model.
//!
//! A log is a pure function of its seed (and of the version of the random generator, which `Cargo.lock` fixes). The
//! seed first draws the shape of the log, then a writer tells short stories until the epochs are full, and this
//! module cuts each epoch into requests and streams. The writer keeps a model of its own to know what would just fit
//! or just not; nobody needs that to run a log.

use crate::model::Terms;
use crate::random_log_writer::Writer;
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, Transfer};

/// Streams of a log.
pub const STREAMS: u16 = 128;
/// Most events of an epoch.
pub const EPOCH_EVENTS_MAX: usize = 400;
/// Most epochs of a log.
pub const EPOCHS_MAX: usize = 6;
/// Most epochs of a log of plain transfers. Others take longer: something is reserved, expires, and is asked for.
const PLAIN_EPOCHS_MAX: usize = 4;
/// Where a log's time starts, nanoseconds.
pub const TIME_START: u64 = 1_700_000_000_000_000_000;
/// Most streams that the requests of an epoch lie in.
const STREAMS_USED_MAX: usize = 8;

/// A log: epochs of requests. Position order is the order in which everything stands here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RandomLog {
    /// 1 to [`EPOCHS_MAX`] epochs.
    pub epochs: Vec<Epoch>,
}

/// An epoch of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Epoch {
    /// Nanoseconds from the end of the epoch before (of the first: from [`TIME_START`]) to this one's time.
    pub pause: u64,
    /// Pending transfers whose deadline lies so many nanoseconds or more before the epoch's time are expired at its
    /// end.
    pub expire_back: u64,
    /// What the cut says of ids and limits. Horizons never go back.
    pub terms: Terms,
    /// Ordered by stream, several in one stream by their arrival; together they have 1 to [`EPOCH_EVENTS_MAX`] events.
    pub requests: Vec<Request>,
}

/// A request, as a client sent it. Its last event never has the flag `linked`: frames refuse that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The stream in which the request is logged, below [`STREAMS`].
    pub stream: u16,
    /// At least one event.
    pub events: Events,
}

/// The body of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Events {
    /// Accounts to create.
    Accounts(Vec<Account>),
    /// Transfers to create.
    Transfers(Vec<Transfer>),
}

impl Events {
    /// How many events there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Accounts(accounts) => accounts.len(),
            Self::Transfers(transfers) => transfers.len(),
        }
    }

    /// Whether there is no event; never so in a log.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn one(event: Event) -> Self {
        match event {
            Event::Account(account) => Self::Accounts(vec![account]),
            Event::Transfer(transfer) => Self::Transfers(vec![transfer]),
        }
    }

    fn takes(&self, event: &Event) -> bool {
        matches!(
            (self, event),
            (Self::Accounts(_), Event::Account(_)) | (Self::Transfers(_), Event::Transfer(_))
        )
    }

    fn push(&mut self, event: Event) {
        match (self, event) {
            (Self::Accounts(accounts), Event::Account(account)) => accounts.push(account),
            (Self::Transfers(transfers), Event::Transfer(transfer)) => transfers.push(transfer),
            _ => unreachable!("a request has events of one kind"),
        }
    }
}

/// An event before the epoch is cut into requests.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    Account(Account),
    Transfer(Transfer),
}

impl Event {
    pub(crate) fn account(&self) -> Option<Account> {
        match self {
            Self::Account(account) => Some(*account),
            Self::Transfer(_) => None,
        }
    }

    pub(crate) fn transfer(&self) -> Option<Transfer> {
        match self {
            Self::Transfer(transfer) => Some(*transfer),
            Self::Account(_) => None,
        }
    }

    /// Whether the next event must be of the same kind and in the same request.
    pub(crate) fn is_linked(&self) -> bool {
        match self {
            Self::Account(account) => account.flags & AccountFlags::LINKED != 0,
            Self::Transfer(transfer) => transfer.flags & TransferFlags::LINKED != 0,
        }
    }
}

impl RandomLog {
    /// The log of this seed.
    pub fn new(seed: u64) -> Self {
        let mut writer = Writer::new(seed);
        let epochs_max = if writer.shape.is_plain() { PLAIN_EPOCHS_MAX } else { EPOCHS_MAX };
        let epochs = writer.rng.usize(1..=epochs_max);
        let epochs = (0..epochs)
            .map(|_| {
                let draft = writer.write_epoch();
                let requests = cut(&mut writer.rng, draft.events);
                Epoch { pause: draft.pause, expire_back: draft.expire_back, terms: draft.terms, requests }
            })
            .collect();
        Self { epochs }
    }

    /// Whether its transfers have time-ordered ids.
    pub fn has_time(&self) -> bool {
        self.epochs.iter().any(|epoch| epoch.terms.ids_through != u64::MAX)
    }
}

/// Cuts an epoch's events into requests, where the kind changes and at random, and spreads them over some streams.
fn cut(rng: &mut fastrand::Rng, epoch: Vec<Event>) -> Vec<Request> {
    // One cut in so many events: single events, small requests, and as large as the kinds allow.
    let events_per_cut = [1, 3, 20, 100, usize::MAX][rng.usize(..5)];
    let mut bodies: Vec<Events> = Vec::new();
    let mut chain_open = false;
    for event in epoch {
        let linked = event.is_linked();
        let cut_here = rng.usize(..events_per_cut) == 0;
        match bodies.last_mut() {
            Some(body) if body.takes(&event) && (chain_open || !cut_here) => body.push(event),
            _ => bodies.push(Events::one(event)),
        }
        chain_open = linked;
    }
    let streams = pick_streams(rng);
    let mut at: Vec<u16> = bodies.iter().map(|_| streams[rng.usize(..streams.len())]).collect();
    at.sort_unstable();
    at.into_iter().zip(bodies).map(|(stream, events)| Request { stream, events }).collect()
}

/// Some streams: neighbours, or anywhere.
fn pick_streams(rng: &mut fastrand::Rng) -> Vec<u16> {
    let count = rng.usize(1..=STREAMS_USED_MAX);
    if rng.bool() {
        let first = rng.u16(..=STREAMS - count as u16);
        return (first..STREAMS).take(count).collect();
    }
    rng.choose_multiple(0..STREAMS, count)
}
