//! The blocking client: one request at a time, with reconnects and safe retries.

use crate::code::{AccountCode, TransferCode};
use crate::error::{Error, Options};
use crate::frame::Fault;
use crate::pipeline::Pipeline;
use crate::record::{Account, Refusal, Transfer};
use crate::reply::{Reply, ReplyBody};
use crate::report::{ShardHistograms, Status};
use crate::request::RequestFrame;
use std::time::Duration;

const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// A connection to a server that is made when it is needed, and again when it is lost.
///
/// A request is tried [`Options::attempts`] times. That is safe for creations, too: they carry ids, and the server
/// executes an id at most once.
#[derive(Debug)]
pub struct Client {
    address: String,
    options: Options,
    pipeline: Option<Pipeline>,
}

/// What became of a request that creates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// Timestamp of the first event, nanoseconds; event i has this + i. With `retried`, what the first attempt had
    /// created has an earlier timestamp of its own: look it up.
    pub first_timestamp: u64,
    /// The events that this attempt did not create, in the order of their indexes.
    pub refusals: Vec<Refusal>,
    /// The request had been sent before without an answer. A refusal `exists` then says that the event is applied, most
    /// likely by the attempt before, and `id_already_failed` that it was refused then, for a reason that is lost.
    pub retried: bool,
    exists: u32,
}

impl Created {
    /// The refusals that mean an event is not applied: all, except `exists` after a retry. Of a linked chain that a first
    /// attempt created, a retry finds the first event to exist, and the others are `linked_event_failed`: look them up.
    pub fn not_applied(&self) -> impl Iterator<Item = &Refusal> {
        self.refusals.iter().filter(|refusal| !(self.retried && refusal.code == self.exists))
    }
}

impl Client {
    /// Connects to `address` (`host:port`), so that a wrong address shows at once.
    pub fn connect(address: &str, options: Options) -> Result<Self, Error> {
        let mut client = Self { address: address.into(), options, pipeline: None };
        client.pipeline = Some(Pipeline::connect(address, &client.options, 1)?);
        Ok(client)
    }

    /// Creates 1 to 8,190 accounts.
    pub fn create_accounts(&mut self, accounts: &[Account]) -> Result<Created, Error> {
        check_items(accounts.len())?;
        let exists = AccountCode::Exists.number();
        self.request(RequestFrame::create_accounts(accounts), |reply, retried| match reply.body {
            ReplyBody::CreatedAccounts(refusals) => Some(created(reply.timestamp, refusals, retried, exists)),
            _ => None,
        })
    }

    /// Creates 1 to 8,190 transfers.
    pub fn create_transfers(&mut self, transfers: &[Transfer]) -> Result<Created, Error> {
        check_items(transfers.len())?;
        let exists = TransferCode::Exists.number();
        self.request(RequestFrame::create_transfers(transfers), |reply, retried| match reply.body {
            ReplyBody::CreatedTransfers(refusals) => {
                Some(created(reply.timestamp, refusals, retried, exists))
            }
            _ => None,
        })
    }

    /// Looks up 1 to 8,190 accounts: those that exist, in the order of the ids.
    pub fn lookup_accounts(&mut self, ids: &[u128]) -> Result<Vec<Account>, Error> {
        check_items(ids.len())?;
        self.request(RequestFrame::lookup_accounts(ids), |reply, _| match reply.body {
            ReplyBody::Accounts(accounts) => Some(accounts.to_vec()),
            _ => None,
        })
    }

    /// Looks up 1 to 8,190 transfers: those that were created, in the order of the ids.
    pub fn lookup_transfers(&mut self, ids: &[u128]) -> Result<Vec<Transfer>, Error> {
        check_items(ids.len())?;
        self.request(RequestFrame::lookup_transfers(ids), |reply, _| match reply.body {
            ReplyBody::Transfers(transfers) => Some(transfers.to_vec()),
            _ => None,
        })
    }

    /// Asks for the server's status; with `digest`, a hash over the whole state, too, which takes the server a while.
    pub fn status(&mut self, digest: bool) -> Result<Status, Error> {
        self.request(RequestFrame::status(digest), |reply, _| match reply.body {
            ReplyBody::Status(status) => Some(*status),
            _ => None,
        })
    }

    /// Asks for the histograms of a shard; [`Status::shards`] says how many there are.
    pub fn histograms(&mut self, shard: u32) -> Result<ShardHistograms, Error> {
        self.request(RequestFrame::histograms(shard), |reply, _| match reply.body {
            ReplyBody::Histograms(histograms) => Some(*histograms),
            _ => None,
        })
    }

    fn request<T>(
        &mut self,
        mut frame: RequestFrame,
        answer: impl Fn(Reply<'_>, bool) -> Option<T>,
    ) -> Result<T, Error> {
        let mut retried = false;
        let mut backoff = BACKOFF_MIN;
        for attempt in 1.. {
            let error = match self.attempt(frame, |reply| answer(reply, retried)) {
                Ok(result) => return Ok(result),
                Err((error, back)) => {
                    frame = back;
                    error
                }
            };
            if attempt >= self.options.attempts || !error.is_transient() {
                return Err(error);
            }
            retried |= error.is_outcome_unknown();
            std::thread::sleep(backoff);
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
        unreachable!("the last attempt returns")
    }

    /// Sends the request once. With an error comes the frame, to be sent again.
    fn attempt<T>(
        &mut self,
        frame: RequestFrame,
        answer: impl FnOnce(Reply<'_>) -> Option<T>,
    ) -> Result<T, (Error, RequestFrame)> {
        let mut pipeline = match self.pipeline.take() {
            Some(pipeline) => pipeline,
            None => match Pipeline::connect(&self.address, &self.options, 1) {
                Ok(pipeline) => pipeline,
                Err(error) => return Err((error, frame)),
            },
        };
        let result = pipeline.submit(frame).and_then(|_| match pipeline.receive()?.1 {
            Reply { body: ReplyBody::Refused(fault), .. } => Err(Error::Refused(fault)),
            reply => Ok(answer(reply)),
        });
        match result {
            Ok(Some(answer)) => {
                self.pipeline = Some(pipeline);
                Ok(answer)
            }
            Ok(None) => unreachable!("the pipeline matches a reply's command with the request's"),
            Err(error) => {
                let refused = |fault: &Fault| !fault.code.closes();
                let frame = match &error {
                    Error::Refused(fault) if refused(fault) && pipeline.in_flight() == 0 => {
                        let frame = pipeline.take_frame();
                        self.pipeline = Some(pipeline);
                        frame
                    }
                    _ => recover(pipeline),
                };
                Err((error, frame))
            }
        }
    }
}

/// The one frame of a pipeline that is given up.
fn recover(mut pipeline: Pipeline) -> RequestFrame {
    if pipeline.in_flight() == 0 {
        return pipeline.take_frame();
    }
    pipeline.into_unacknowledged().pop().map(|(_, frame)| frame).unwrap_or_default()
}

fn created(first_timestamp: u64, refusals: &[Refusal], retried: bool, exists: u32) -> Created {
    Created { first_timestamp, refusals: refusals.to_vec(), retried, exists }
}

fn check_items(items: usize) -> Result<(), Error> {
    match items {
        1..=crate::frame::REQUEST_RECORDS_MAX => Ok(()),
        _ => Err(Error::Items(items)),
    }
}
