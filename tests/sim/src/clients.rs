//! The clients: what they send, to which shard, and what they are told.

use crate::invariants::{Broken, Invariant, broken};
use auriga_shards::arrival::ConnectionId;
use auriga_shards::place::ShardId;
use auriga_tests::random_log::{Events, RandomLog};
use auriga_wire::frame::REQUEST_RECORDS_MAX;
use auriga_wire::{Account, Command, FaultCode, Filter, FilterFlags, Header, RequestFrame};
use fastrand::Rng;
use std::collections::{BTreeMap, VecDeque};

/// Requests that may overtake others on their way to a connection.
const CHOICE_MAX: usize = 8;
/// Of the requests whose fate a client doesn't know, so many are sent again.
const AGAIN_PERCENT: u8 = 60;

/// What a client asks for.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Create(Events),
    Accounts(Vec<u128>),
    Transfers(Vec<u128>),
    /// With the digest of the state, or without.
    Status(bool),
    Histograms(u16),
    Past(Command, Filter),
}

impl Ask {
    pub(crate) fn is_creation(&self) -> bool {
        matches!(self, Self::Create(_))
    }

    fn frame(&self, number: u64) -> RequestFrame {
        let mut frame = match self {
            Self::Create(Events::Accounts(accounts)) => RequestFrame::create_accounts(accounts),
            Self::Create(Events::Transfers(transfers)) => RequestFrame::create_transfers(transfers),
            Self::Accounts(ids) => RequestFrame::lookup_accounts(ids),
            Self::Transfers(ids) => RequestFrame::lookup_transfers(ids),
            Self::Status(digest) => RequestFrame::status(*digest),
            Self::Histograms(shard) => RequestFrame::histograms(u32::from(*shard)),
            Self::Past(command, filter) => RequestFrame::ask(*command, filter),
        };
        frame.seal(number, 0);
        frame
    }
}

/// What a client was told.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: Option<FaultCode>,
    pub(crate) timestamp: u64,
    pub(crate) body: Vec<u8>,
    /// Look-ups that were answered before.
    pub(crate) look_ups_before: usize,
}

/// A request that was offered to a shard.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) number: u64,
    pub(crate) connection: ConnectionId,
    pub(crate) ask: Ask,
    /// Highest timestamp that any client had been told for a creation when this was first offered.
    pub(crate) told_before: u64,
    /// Look-ups that were answered when this was first offered.
    pub(crate) look_ups_before: usize,
    pub(crate) answer: Option<Answer>,
}

/// A connection to one shard.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) shard: ShardId,
    /// Deferred: waits for room.
    waiting: bool,
    next: Option<u64>,
    under_way: usize,
    under_way_max: usize,
}

/// All clients, over all lives of the server.
#[derive(Debug)]
pub(crate) struct Clients {
    pool: VecDeque<Events>,
    accounts: Vec<u128>,
    transfers: Vec<u128>,
    look_up_percent: u8,
    look_ups_left: usize,
    /// Look-ups of everything, at the end.
    audit: VecDeque<Ask>,
    pub(crate) connections: Vec<Connection>,
    /// The requests of this life, by number.
    pub(crate) sent: BTreeMap<u64, Sent>,
    next_number: u64,
    /// The first number of this life.
    pub(crate) first_number: u64,
    told: u64,
    look_ups_told: usize,
}

impl Clients {
    pub(crate) fn new(log: &RandomLog, heavy: bool, rng: &mut Rng) -> Self {
        let mut pool: VecDeque<Events> = log
            .epochs
            .iter()
            .flat_map(|epoch| &epoch.requests)
            .map(|request| request.events.clone())
            .collect();
        let (mut accounts, mut transfers) = (vec![1, u128::MAX - 1], vec![1, u128::MAX - 1]);
        for events in &pool {
            match events {
                Events::Accounts(all) => accounts.extend(all.iter().map(|account| account.id)),
                Events::Transfers(all) => transfers.extend(all.iter().map(|transfer| transfer.id)),
            }
        }
        accounts.sort_unstable();
        accounts.dedup();
        transfers.sort_unstable();
        transfers.dedup();
        if heavy {
            // As large as a request can be, and refused without a look at the ledger.
            for _ in 0..rng.usize(10..40) {
                let events = rng.usize(REQUEST_RECORDS_MAX / 2..=REQUEST_RECORDS_MAX);
                let at = rng.usize(..=pool.len());
                pool.insert(at, Events::Accounts(vec![Account::default(); events]));
            }
        }
        let look_up_percent = [0, 10, 30, 60][rng.usize(..4)];
        Self {
            pool,
            accounts,
            transfers,
            look_up_percent,
            look_ups_left: 0,
            audit: VecDeque::new(),
            connections: Vec::new(),
            sent: BTreeMap::new(),
            next_number: 1,
            first_number: 1,
            told: 0,
            look_ups_told: 0,
        }
    }

    /// New connections to a server that was started.
    pub(crate) fn connect(&mut self, shards: u16, rng: &mut Rng) {
        let count = [1, 2, usize::from(shards), 2 * usize::from(shards)][rng.usize(..4)];
        let connection = |_| Connection {
            shard: ShardId(rng.u16(..shards)),
            waiting: false,
            next: None,
            under_way: 0,
            under_way_max: [1, 2, 8, 40][rng.usize(..4)],
        };
        self.connections = (0..count).map(connection).collect();
        self.first_number = self.next_number;
        self.look_ups_left = 5 + self.pool.len() / 4;
        self.look_ups_told = 0;
    }

    /// The server is gone. Some of what was not answered, or refused as a whole, is sent again.
    pub(crate) fn disconnect(&mut self, rng: &mut Rng) -> Vec<Sent> {
        self.connections.clear();
        self.audit.clear();
        let sent: Vec<Sent> = std::mem::take(&mut self.sent).into_values().collect();
        for Sent { ask, answer, .. } in &sent {
            let unknown = answer.as_ref().is_none_or(|answer| answer.status.is_some());
            if let Ask::Create(events) = ask
                && unknown
                && rng.u8(..100) < AGAIN_PERCENT
            {
                self.pool.push_front(events.clone());
            }
        }
        sent
    }

    /// Whether the connection has something to offer now.
    pub(crate) fn may_offer(&self, connection: usize) -> bool {
        let Connection { waiting, next, under_way, under_way_max, .. } = &self.connections[connection];
        let asks = self.look_ups_left > 0 || !self.audit.is_empty();
        let more = next.is_some() || !self.pool.is_empty() || asks;
        !waiting && under_way < under_way_max && more
    }

    /// The connection's next request: the deferred one, or a new one.
    pub(crate) fn offer(&mut self, connection: usize, shards: u16, rng: &mut Rng) -> (u64, RequestFrame) {
        let id = ConnectionId(connection as u64);
        let number = match self.connections[connection].next {
            Some(number) => number,
            None => {
                let number = self.next_number;
                self.next_number += 1;
                let ask = self.draw(shards, rng);
                let sent = Sent {
                    number,
                    connection: id,
                    ask,
                    told_before: self.told,
                    look_ups_before: self.look_ups_told,
                    answer: None,
                };
                self.sent.insert(number, sent);
                number
            }
        };
        let connection = &mut self.connections[connection];
        connection.next = None;
        connection.under_way += 1;
        (number, self.sent[&number].ask.frame(number))
    }

    /// From now on every account and every transfer is looked up.
    pub(crate) fn audit(&mut self) {
        for ids in self.accounts.chunks(REQUEST_RECORDS_MAX) {
            self.audit.push_back(Ask::Accounts(ids.to_vec()));
        }
        for ids in self.transfers.chunks(REQUEST_RECORDS_MAX) {
            self.audit.push_back(Ask::Transfers(ids.to_vec()));
        }
    }

    /// What was acknowledged later than this is gone.
    pub(crate) fn roll_back(&mut self, time_end: u64) {
        self.told = self.told.min(time_end.saturating_sub(1));
    }

    fn draw(&mut self, shards: u16, rng: &mut Rng) -> Ask {
        if let Some(ask) = self.audit.pop_front() {
            return ask;
        }
        let looks_up = self.look_ups_left > 0 && rng.u8(..100) < self.look_up_percent;
        if !looks_up && !self.pool.is_empty() {
            let at = rng.usize(..self.pool.len().min(CHOICE_MAX));
            return Ask::Create(self.pool.remove(at).expect("below its length"));
        }
        self.look_ups_left = self.look_ups_left.saturating_sub(1);
        let count = match rng.u8(..100) {
            0 => REQUEST_RECORDS_MAX,
            1..20 => rng.usize(1..=100),
            _ => rng.usize(1..=6),
        };
        let mut pick = |from: &[u128]| (0..count).map(|_| from[rng.usize(..from.len())]).collect();
        match count % 4 {
            0 | 1 => Ask::Accounts(pick(&self.accounts)),
            2 => Ask::Transfers(pick(&self.transfers)),
            _ => match rng.u8(..4) {
                0 => Ask::Status(rng.bool()),
                1 if rng.u8(..4) == 0 => Ask::Histograms(rng.u16(..shards)),
                1 => self.draw_past(rng),
                _ => Ask::Transfers(
                    (0..count).map(|_| self.transfers[rng.usize(..self.transfers.len())]).collect(),
                ),
            },
        }
    }

    /// A question about the past.
    fn draw_past(&self, rng: &mut Rng) -> Ask {
        let commands = [Command::QueryTransfers, Command::AccountTransfers, Command::QueryAccounts];
        let command = commands[rng.usize(..commands.len())];
        let of_account = command == Command::AccountTransfers;
        let mut flags = if of_account { rng.u16(1..=FilterFlags::SIDES) } else { 0 };
        for flag in [FilterFlags::REVERSED, FilterFlags::ACKNOWLEDGED] {
            flags |= if rng.bool() { flag } else { 0 };
        }
        let account_id = if of_account { self.accounts[rng.usize(..self.accounts.len())] } else { 0 };
        let account_id =
            if account_id == 0 || account_id == u128::MAX { u128::from(of_account) } else { account_id };
        let limit = [1, 7, 8_190][rng.usize(..3)];
        Ask::Past(command, Filter { account_id, limit, flags, ..Filter::default() })
    }

    /// The request has to be offered again once there is room.
    pub(crate) fn deferred(&mut self, id: ConnectionId, number: u64) {
        let connection = &mut self.connections[id.0 as usize];
        connection.waiting = true;
        connection.next = Some(number);
        connection.under_way -= 1;
    }

    /// Deferred requests may be offered again.
    pub(crate) fn room(&mut self, shard: ShardId) {
        for connection in self.connections.iter_mut().filter(|c| c.shard == shard) {
            connection.waiting = false;
        }
    }

    /// Takes a reply.
    pub(crate) fn take(&mut self, to: ConnectionId, bytes: &[u8]) -> Result<(), Broken> {
        let contract = |what: String| Broken { invariant: Invariant::Contract, what };
        let header = Header::peek(bytes).map_err(|fault| contract(format!("a reply: {fault}")))?;
        let number = header.request;
        let Some(sent) = self.sent.get_mut(&number) else {
            return Err(contract(format!("a reply to request {number}, which was not sent")));
        };
        if sent.connection != to || sent.answer.is_some() || header.size as usize != bytes.len() {
            return broken(
                Invariant::Contract,
                format!("a second reply, or one to another connection: {sent:?}"),
            );
        }
        let status = FaultCode::from_number(header.status);
        if status.is_none() != (header.status == 0) {
            return broken(Invariant::Contract, format!("status {} in the reply to {sent:?}", header.status));
        }
        let body = bytes[auriga_wire::frame::HEADER_SIZE..].to_vec();
        let look_ups_before = self.look_ups_told;
        sent.answer = Some(Answer { status, timestamp: header.timestamp, body, look_ups_before });
        self.connections[to.0 as usize].under_way -= 1;
        if status.is_none() && sent.ask.is_creation() {
            self.told = self.told.max(header.timestamp);
        } else if status.is_none() {
            self.look_ups_told += 1;
        }
        Ok(())
    }

    /// Whether something is left to be offered or answered.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = &Sent> {
        self.sent.values().filter(|sent| sent.answer.is_none())
    }

    /// Whether `command` and the reply's code belong together.
    pub(crate) fn command(ask: &Ask) -> Command {
        match ask {
            Ask::Create(Events::Accounts(_)) => Command::CreateAccounts,
            Ask::Create(Events::Transfers(_)) => Command::CreateTransfers,
            Ask::Accounts(_) => Command::LookupAccounts,
            Ask::Transfers(_) => Command::LookupTransfers,
            Ask::Status(_) => Command::Status,
            Ask::Histograms(_) => Command::Histograms,
            Ask::Past(command, _) => *command,
        }
    }
}
