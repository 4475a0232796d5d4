//! The blocking client: one request at a time, with reconnects and safe retries.

use crate::code::{AccountCode, TransferCode};
use crate::error::{Error, Options};
use crate::filter::Filter;
use crate::frame::{Command, Fault};
use crate::pipeline::Pipeline;
use crate::record::{Account, AccountBalance, AccountFlags, EventResult, Transfer, TransferFlags};
use crate::reply::{Reply, ReplyBody};
use crate::report::{Activity, ShardHistograms, Status};
use crate::request::RequestFrame;
use std::collections::HashSet;
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
    pub refusals: Vec<EventResult>,
    /// The balancing transfers that moved less than was asked for: index and amount.
    pub amounts: Vec<(u32, u128)>,
    /// The request had been sent before without an answer. A refusal `exists` then says that the event is applied, most
    /// likely by the attempt before, and `id_already_failed` that it was refused then, for a reason that is lost.
    pub retried: bool,
    /// Indexes of refused events that are applied all the same.
    applied: Vec<u32>,
}

impl Created {
    /// The refusals that mean an event is not applied: all but those of events that an attempt before has created.
    pub fn not_applied(&self) -> impl Iterator<Item = &EventResult> {
        self.refusals.iter().filter(|refusal| self.applied.binary_search(&refusal.index).is_err())
    }

    /// What the answer says, and the indexes of events of which it doesn't say whether they are applied.
    fn new(reply: &Reply<'_>, results: &[EventResult], request: &Sent<'_>) -> (Self, Vec<u32>) {
        let refusals: Vec<_> = results.iter().filter(|result| result.is_refused()).copied().collect();
        let created = results.iter().filter(|result| !result.is_refused());
        let (applied, doubtful) =
            if request.retried { request.applied(&refusals) } else { Default::default() };
        let created = Self {
            first_timestamp: reply.timestamp,
            applied,
            refusals,
            amounts: created.map(|result| (result.index, result.amount)).collect(),
            retried: request.retried,
        };
        (created, doubtful)
    }

    /// Of these events, with their ids, those that were found are applied, too.
    fn add_applied(&mut self, doubtful: &[u32], ids: &[u128], found: impl Iterator<Item = u128>) {
        let found: HashSet<u128> = found.collect();
        let applied = doubtful.iter().zip(ids).filter(|(_, id)| found.contains(id));
        self.applied.extend(applied.map(|(index, _)| index));
        self.applied.sort_unstable();
    }
}

/// What has to be known of a request to understand its answer.
struct Sent<'a> {
    retried: bool,
    /// The number of the code `exists`.
    exists: u32,
    is_linked: &'a dyn Fn(usize) -> bool,
}

impl Sent<'_> {
    /// Indexes of the events that exist already, and of those that may. Of a chain that exists only the first event says so, and the
    /// others that a linked event failed; as they do if the first one is from another chain, of earlier.
    fn applied(&self, refusals: &[EventResult]) -> (Vec<u32>, Vec<u32>) {
        let (mut applied, mut doubtful) = (Vec::new(), Vec::new());
        for refusal in refusals {
            let before = refusal.index.checked_sub(1);
            let goes_on = before.is_some_and(|before| (self.is_linked)(before as usize));
            let follows = |list: &[u32]| goes_on && list.last().copied() == before;
            if refusal.code == self.exists && !goes_on {
                applied.push(refusal.index);
            } else if follows(&applied) || follows(&doubtful) {
                doubtful.push(refusal.index);
            }
        }
        (applied, doubtful)
    }
}

/// A page of an answer about the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What was found.
    pub records: Vec<T>,
    /// Where the next page begins ([`Filter::next`]); 0: there is none.
    pub cursor: u64,
    /// History up to this time was looked at, nanoseconds.
    pub complete_through: u64,
}

impl<T: Copy> Page<T> {
    fn new(reply: &Reply<'_>, records: &[T]) -> Self {
        Self { records: records.to_vec(), cursor: reply.cursor, complete_through: reply.timestamp }
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
        let is_linked = |index: usize| accounts[index].flags & AccountFlags::LINKED != 0;
        let (mut created, doubtful) =
            self.create(RequestFrame::create_accounts(accounts), exists, &is_linked)?;
        if !doubtful.is_empty() {
            let ids: Vec<u128> = doubtful.iter().map(|index| accounts[*index as usize].id).collect();
            let found = self.lookup_accounts(&ids)?;
            created.add_applied(&doubtful, &ids, found.iter().map(|account| account.id));
        }
        Ok(created)
    }

    /// Creates 1 to 8,190 transfers.
    pub fn create_transfers(&mut self, transfers: &[Transfer]) -> Result<Created, Error> {
        check_items(transfers.len())?;
        let exists = TransferCode::Exists.number();
        let is_linked = |index: usize| transfers[index].flags & TransferFlags::LINKED != 0;
        let (mut created, doubtful) =
            self.create(RequestFrame::create_transfers(transfers), exists, &is_linked)?;
        if !doubtful.is_empty() {
            let ids: Vec<u128> = doubtful.iter().map(|index| transfers[*index as usize].id).collect();
            let found = self.lookup_transfers(&ids)?;
            created.add_applied(&doubtful, &ids, found.iter().map(|transfer| transfer.id));
        }
        Ok(created)
    }

    /// What the answer to a creation says, and the indexes of events of which it doesn't say whether they are applied.
    fn create(
        &mut self,
        frame: RequestFrame,
        exists: u32,
        is_linked: &dyn Fn(usize) -> bool,
    ) -> Result<(Created, Vec<u32>), Error> {
        self.request(frame, |reply, retried| match reply.body {
            ReplyBody::CreatedAccounts(results) | ReplyBody::CreatedTransfers(results) => {
                Some(Created::new(&reply, results, &Sent { retried, exists, is_linked }))
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

    /// Transfers of the account that the filter names.
    pub fn account_transfers(&mut self, filter: &Filter) -> Result<Page<Transfer>, Error> {
        self.ask(Command::AccountTransfers, filter, |reply| match reply.body {
            ReplyBody::AccountTransfers(transfers) => Some(Page::new(&reply, transfers)),
            _ => None,
        })
    }

    /// The sums of the account that the filter names, after each of its transfers. None if it hasn't the flag `history`.
    pub fn account_balances(&mut self, filter: &Filter) -> Result<Page<AccountBalance>, Error> {
        self.ask(Command::AccountBalances, filter, |reply| match reply.body {
            ReplyBody::AccountBalances(balances) => Some(Page::new(&reply, balances)),
            _ => None,
        })
    }

    /// Accounts with their present balances.
    pub fn query_accounts(&mut self, filter: &Filter) -> Result<Page<Account>, Error> {
        self.ask(Command::QueryAccounts, filter, |reply| match reply.body {
            ReplyBody::QueriedAccounts(accounts) => Some(Page::new(&reply, accounts)),
            _ => None,
        })
    }

    /// Transfers of any account.
    pub fn query_transfers(&mut self, filter: &Filter) -> Result<Page<Transfer>, Error> {
        self.ask(Command::QueryTransfers, filter, |reply| match reply.body {
            ReplyBody::QueriedTransfers(transfers) => Some(Page::new(&reply, transfers)),
            _ => None,
        })
    }

    fn ask<T>(
        &mut self,
        command: Command,
        filter: &Filter,
        answer: impl Fn(Reply<'_>) -> Option<T>,
    ) -> Result<T, Error> {
        self.request(RequestFrame::ask(command, filter), |reply, _| answer(reply))
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

    /// Asks what each core does, and looks at accounts for some seconds from then on: ask again for the ones that stand out.
    pub fn activity(&mut self) -> Result<Activity, Error> {
        self.request(RequestFrame::activity(), |reply, _| match reply.body {
            ReplyBody::Activity(activity) => Some(*activity),
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

fn check_items(items: usize) -> Result<(), Error> {
    match items {
        1..=crate::frame::REQUEST_RECORDS_MAX => Ok(()),
        _ => Err(Error::Items(items)),
    }
}
