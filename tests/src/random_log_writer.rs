//! The writer of random logs: what a seed decides once for its log, and the means that stories are told with.
//!
//! The writer executes every event on a reference model as it writes it, so that a story can aim at a balance exactly.

use crate::model::{Model, Status, Terms};
use crate::random_log::{EPOCH_EVENTS_MAX, Event, TIME_START};
use crate::random_log_shape::{IdStyle, Shape};
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, Transfer};
use fastrand::Rng;

/// Most accounts that the stories are about.
pub(crate) const ACCOUNTS_MAX: usize = 20;
pub(crate) const SECOND: u64 = 1_000_000_000;
const MILLISECOND: u64 = 1_000_000;
/// The time of the first time-ordered id, milliseconds: each is later than the one before.
const ID_TIME_START: u64 = TIME_START / MILLISECOND;
/// Ids that never become accounts.
const MISSING_ACCOUNTS: usize = 3;

/// What the writer hands over of an epoch.
pub(crate) struct Draft {
    pub(crate) pause: u64,
    pub(crate) expire_back: u64,
    pub(crate) terms: Terms,
    pub(crate) events: Vec<Event>,
}

/// Writes the events of a log, epoch after epoch.
pub(crate) struct Writer {
    pub(crate) rng: Rng,
    pub(crate) shape: Shape,
    /// Within a chain, as if what was sent of it were a chain of its own each.
    pub(crate) model: Model,
    /// The model before the chain that is open, and where that chain begins.
    before_chain: Option<(Model, usize)>,
    /// Whether what is sent is linked to what is sent next.
    pub(crate) linking: bool,
    /// Of the epoch's first event. Where a log is run, the distances differ by a few nanoseconds.
    time: u64,
    /// The accounts that the stories are about, created or still to be created.
    pub(crate) cast: Vec<Account>,
    missing: Vec<u128>,
    /// Every transfer so far, and where the current epoch's begin.
    pub(crate) sent: Vec<Transfer>,
    pub(crate) sent_before_epoch: usize,
    events: Vec<Event>,
    /// Events that the epoch shall have.
    room: usize,
    ids_drawn: u128,
}

impl Writer {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut writer = Self {
            shape: Shape::draw(&mut rng),
            rng,
            model: Model::default(),
            before_chain: None,
            linking: false,
            time: TIME_START,
            cast: Vec::new(),
            missing: Vec::new(),
            sent: Vec::new(),
            sent_before_epoch: 0,
            events: Vec::new(),
            room: 0,
            ids_drawn: 0,
        };
        for _ in 0..writer.rng.usize(2..=ACCOUNTS_MAX) {
            writer.cast_account();
        }
        for _ in 0..MISSING_ACCOUNTS {
            let id = writer.fresh_id(writer.shape.account_ids);
            writer.missing.push(id);
        }
        writer
    }

    /// Tells stories until an epoch of random size is full.
    pub(crate) fn write_epoch(&mut self) -> Draft {
        let pause = self.draw_pause();
        self.time += pause;
        // One event of the largest epoch is left for an end to an open chain.
        let room_max = [1, 10, 100, EPOCH_EVENTS_MAX - 1][self.rng.usize(..4)];
        self.room = self.rng.usize(1..=room_max);
        self.sent_before_epoch = self.sent.len();
        self.model.terms = self.draw_terms();
        // In the midst of others, an epoch of which no story has other than plain transfers.
        let plain = self.chance(20);
        for account in self.cast.clone() {
            if !self.is_created(&account) && !self.chance(self.shape.late_percent) {
                self.send_account(account);
            }
        }
        while self.has_room() {
            let plot = self.shape.draw_plot(&mut self.rng, plain);
            plot(self);
            self.linking = false;
        }
        self.close_chain();
        let expire_back = self.draw_expire_back();
        self.model.expire(self.time.saturating_sub(expire_back));
        self.time += self.events.len() as u64;
        Draft { pause, expire_back, terms: self.model.terms, events: std::mem::take(&mut self.events) }
    }

    /// With time-ordered ids: often all but the newest ids are forgotten, or the epoch's own ids are in the future, some of them.
    fn draw_terms(&mut self) -> Terms {
        let percent = self.shape.limit_percent;
        let mut terms = Terms {
            accounts_limited: self.chance(percent),
            ids_limited: self.chance(percent / 2),
            pendings_limited: self.chance(percent),
            ..self.model.terms
        };
        if self.shape.transfer_ids != IdStyle::TimeOrdered {
            return terms;
        }
        let at = |ids: u64| (ID_TIME_START + ids) * MILLISECOND;
        let drawn = self.ids_drawn as u64;
        if self.chance(self.shape.horizon_percent) {
            let back = [drawn, drawn, 100, 10][self.rng.usize(..4)];
            let horizon = at(drawn.saturating_sub(self.rng.u64(..=back)) + 1);
            // Not always at a millisecond.
            let horizon = if self.rng.bool() { horizon } else { horizon - self.rng.u64(1..MILLISECOND) };
            terms.horizon = horizon.max(terms.horizon);
        }
        terms.ids_through = if self.chance(20) {
            at(drawn + self.rng.u64(..=2 * self.room as u64)) + self.rng.u64(..MILLISECOND)
        } else {
            at(drawn) + 60 * SECOND
        };
        terms
    }

    /// Nothing to speak of, or so long that a timeout runs out or just doesn't.
    fn draw_pause(&mut self) -> u64 {
        if self.chance(if self.shape.is_plain() { 90 } else { 55 }) {
            return self.rng.u64(..=3);
        }
        if self.chance(70)
            && let Some(pause) = self.pause_before_a_deadline()
        {
            return pause;
        }
        let seconds = self.rng.u64(1..=3) * SECOND;
        // What was reserved in one epoch and is claimed in the next is apart by at most the events of both.
        let apart = 2 * EPOCH_EVENTS_MAX as u64;
        match self.rng.u8(..4) {
            0 => seconds + self.rng.u64(..=5),
            1 => seconds - self.rng.u64(..=5),
            2 => seconds - self.rng.u64(..=apart),
            _ => seconds - self.rng.u64(..=self.events_of_last_epoch()),
        }
    }

    /// So long that a deadline falls among the next epoch's events, or just before or after them.
    fn pause_before_a_deadline(&mut self) -> Option<u64> {
        let deadlines: Vec<u64> = self
            .model
            .pendings()
            .iter()
            .filter(|(_, status)| **status == Status::Pending)
            .filter_map(|(id, _)| self.model.transfer(*id))
            .filter(|transfer| (1..=3).contains(&transfer.timeout))
            .map(|transfer| transfer.timestamp + u64::from(transfer.timeout) * SECOND)
            .filter(|deadline| *deadline > self.time + EPOCH_EVENTS_MAX as u64)
            .collect();
        let deadline = *deadlines.get(self.rng.usize(..deadlines.len().max(1)))?;
        let before = [5, 50, EPOCH_EVENTS_MAX as u64][self.rng.usize(..3)];
        Some(deadline - self.time - self.rng.u64(..=before) + self.rng.u64(..=5))
    }

    fn events_of_last_epoch(&self) -> u64 {
        (self.sent.len() - self.sent_before_epoch) as u64
    }

    /// Mostly what is due expires at once; sometimes later, or never.
    fn draw_expire_back(&mut self) -> u64 {
        match self.rng.u8(..20) {
            0 | 1 => [u64::MAX, 1 << 62, 3_600 * SECOND][self.rng.usize(..3)],
            2 => self.rng.u64(..=2 * SECOND),
            3 => self.rng.u64(..=EPOCH_EVENTS_MAX as u64),
            _ => 0,
        }
    }

    pub(crate) fn chance(&mut self, percent: u8) -> bool {
        self.rng.u8(..100) < percent
    }

    pub(crate) fn has_room(&self) -> bool {
        self.events.len() < self.room
    }

    fn fresh_id(&mut self, style: IdStyle) -> u128 {
        self.ids_drawn += 1;
        match style {
            IdStyle::Sequential => self.ids_drawn,
            IdStyle::Random => self.rng.u128(1..u128::MAX),
            IdStyle::TimeOrdered => {
                (u128::from(ID_TIME_START) + self.ids_drawn) << 80 | self.rng.u128(..1 << 80)
            }
        }
    }

    /// Adds an account to the cast; it is not created yet.
    pub(crate) fn cast_account(&mut self) -> Account {
        let limited = self.chance(self.shape.limited_percent);
        let account = Account {
            id: self.fresh_id(self.shape.account_ids),
            user_data_128: self.rng.u128(..4),
            user_data_64: self.rng.u64(..4),
            user_data_32: self.rng.u32(..4),
            ledger: self.rng.u32(1..=self.shape.ledgers),
            code: self.rng.u16(1..4),
            flags: if limited { limit(self.rng.bool()) } else { 0 },
            ..Account::default()
        };
        let account = if self.shape.is_plain() || !self.chance(5) {
            account
        } else {
            Account { flags: account.flags | AccountFlags::HISTORY, ..account }
        };
        self.cast.push(account);
        account
    }

    /// The account with its balances, or as it is to be created.
    pub(crate) fn now(&self, account: &Account) -> Account {
        *self.model.accounts().get(&account.id).unwrap_or(account)
    }

    pub(crate) fn is_created(&self, account: &Account) -> bool {
        self.model.accounts().contains_key(&account.id)
    }

    /// One of the cast that fits, with its balances; often the hot one.
    pub(crate) fn pick(&mut self, fits: impl Fn(&Account) -> bool) -> Option<Account> {
        let fitting: Vec<Account> = self.cast.iter().map(|account| self.now(account)).filter(fits).collect();
        let first = fitting.first()?;
        let account = if self.chance(self.shape.hot_percent) {
            first
        } else {
            &fitting[self.rng.usize(..fitting.len())]
        };
        Some(*account)
    }

    pub(crate) fn pick_any(&mut self) -> Account {
        self.pick(|_| true).expect("the cast has at least two accounts")
    }

    /// Another account of the same ledger, if there is one; else of another ledger.
    pub(crate) fn pick_partner(&mut self, account: &Account) -> Account {
        self.pick(|other| other.id != account.id && other.ledger == account.ledger)
            .or_else(|| self.pick(|other| other.id != account.id))
            .expect("the cast has at least two accounts")
    }

    /// Another account of the same ledger that can give (mirrored: take) without limit, if there is one.
    pub(crate) fn pick_source(&mut self, account: &Account, mirrored: bool) -> Account {
        self.pick(|other| {
            other.id != account.id && other.ledger == account.ledger && other.flags & limit(mirrored) == 0
        })
        .unwrap_or_else(|| self.pick_partner(account))
    }

    pub(crate) fn missing_account_id(&mut self) -> u128 {
        self.missing[self.rng.usize(..MISSING_ACCOUNTS)]
    }

    /// A transfer with a new id.
    pub(crate) fn transfer(&mut self, debit: &Account, credit: &Account, amount: u128) -> Transfer {
        Transfer {
            id: self.fresh_id(self.shape.transfer_ids),
            debit_account_id: debit.id,
            credit_account_id: credit.id,
            amount,
            user_data_128: self.rng.u128(..4),
            user_data_64: self.rng.u64(..4),
            user_data_32: self.rng.u32(..4),
            ledger: debit.ledger,
            code: self.rng.u16(1..4),
            ..Transfer::default()
        }
    }

    /// An amount that aims at nothing.
    pub(crate) fn small_amount(&mut self) -> u128 {
        if self.chance(5) { 0 } else { self.rng.u128(1..=self.shape.amount_max) }
    }

    /// An amount for two accounts: often exactly what a limit leaves, or one more or less.
    pub(crate) fn amount(&mut self, debit: &Account, credit: &Account) -> u128 {
        let mut edges = [allowance(debit, false), allowance(credit, true)];
        self.rng.shuffle(&mut edges);
        let Some(edge) = edges.into_iter().flatten().next() else {
            return self.small_amount();
        };
        if !self.chance(self.shape.tight_percent) {
            return self.small_amount();
        }
        match self.rng.u8(..6) {
            0 | 1 => edge,
            2 => edge.saturating_add(1),
            3 => edge.saturating_sub(1),
            4 => edge / 2,
            _ => self.rng.u128(..=edge),
        }
    }

    /// Writes an account; whether it was created, if a chain that it is in is not refused.
    pub(crate) fn send_account(&mut self, mut account: Account) -> bool {
        if self.linking {
            account.flags |= AccountFlags::LINKED;
        }
        let created = self.write(Event::Account(account));
        if created {
            // It may differ from what was planned under this id.
            account.flags &= !AccountFlags::LINKED;
            match self.cast.iter_mut().find(|planned| planned.id == account.id) {
                Some(planned) => *planned = account,
                None => self.cast.push(account),
            }
        }
        created
    }

    /// Writes a transfer; whether it was created, if a chain that it is in is not refused.
    pub(crate) fn send(&mut self, mut transfer: Transfer) -> bool {
        if self.linking {
            transfer.flags |= TransferFlags::LINKED;
        }
        self.write(Event::Transfer(transfer))
    }

    /// Writes a new transfer between two accounts; mirrored: from the second to the first.
    pub(crate) fn send_between(
        &mut self,
        from: &Account,
        to: &Account,
        amount: u128,
        mirrored: bool,
    ) -> bool {
        let transfer = self.transfer_between(from, to, amount, mirrored);
        self.send(transfer)
    }

    /// A transfer with a new id between two accounts; mirrored: from the second to the first.
    pub(crate) fn transfer_between(
        &mut self,
        from: &Account,
        to: &Account,
        amount: u128,
        mirrored: bool,
    ) -> Transfer {
        let (debit, credit) = if mirrored { (to, from) } else { (from, to) };
        self.transfer(debit, credit, amount)
    }

    /// Adds the event to the epoch while there is room, and executes it.
    fn write(&mut self, event: Event) -> bool {
        let accounts_follow = matches!(event, Event::Account(_));
        let accounts_stand = matches!(self.events.last(), Some(Event::Account(_)));
        if accounts_follow != accounts_stand {
            self.close_chain();
        }
        self.has_room() && self.append(event)
    }

    /// If the last event is linked, ends its chain with a plain event of the same kind.
    fn close_chain(&mut self) {
        let Some(last) = self.events.last().filter(|event| event.is_linked()).copied() else {
            return;
        };
        let end = match last {
            Event::Account(_) => Event::Account(self.cast[self.rng.usize(..self.cast.len())]),
            Event::Transfer(_) => {
                let debit = self.pick_any();
                let credit = self.pick_partner(&debit);
                let amount = self.amount(&debit, &credit);
                Event::Transfer(self.transfer(&debit, &credit, amount))
            }
        };
        self.append(end);
    }

    /// Adds the event to the epoch and executes it; with the last one of a chain, executes the chain as a whole.
    fn append(&mut self, event: Event) -> bool {
        if event.is_linked() && self.before_chain.is_none() {
            self.before_chain = Some((self.model.clone(), self.events.len()));
        }
        let timestamp = self.now_timestamp();
        self.events.push(event);
        if let Event::Transfer(transfer) = event {
            self.sent.push(transfer);
        }
        if event.is_linked() {
            return execute(&mut self.model, timestamp, &[event]);
        }
        let Some((model, first)) = self.before_chain.take() else {
            return execute(&mut self.model, timestamp, &[event]);
        };
        self.model = model;
        execute(&mut self.model, self.time + first as u64, &self.events[first..])
    }

    pub(crate) fn epoch_timestamp(&self) -> u64 {
        self.time
    }

    /// The timestamp of what is sent next.
    pub(crate) fn now_timestamp(&self) -> u64 {
        self.time + self.events.len() as u64
    }
}

/// Executes events of one kind; whether the last one was created.
fn execute(model: &mut Model, timestamp: u64, events: &[Event]) -> bool {
    let transfers: Vec<Transfer> = events.iter().filter_map(Event::transfer).collect();
    if transfers.is_empty() {
        let accounts: Vec<Account> = events.iter().filter_map(Event::account).collect();
        return model.create_accounts(timestamp, &accounts).last() == Some(&None);
    }
    model.create_transfers(timestamp, &transfers).last() == Some(&None)
}

/// The limit on what an account gives; mirrored: on what it takes.
pub(crate) fn limit(mirrored: bool) -> u16 {
    if mirrored {
        AccountFlags::CREDITS_MUST_NOT_EXCEED_DEBITS
    } else {
        AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS
    }
}

/// How much a limited account can still give (mirrored: take); nothing for one without this limit.
pub(crate) fn allowance(account: &Account, mirrored: bool) -> Option<u128> {
    (account.flags & limit(mirrored) != 0).then(|| balance(account, mirrored))
}

/// By how much the credits that were posted exceed all debits (mirrored: the other way).
pub(crate) fn balance(account: &Account, mirrored: bool) -> u128 {
    let of = if mirrored { account.debits_posted } else { account.credits_posted };
    of.saturating_sub(used(account, mirrored))
}

/// How much more debits (mirrored: credits) an account has room for below 2^128.
pub(crate) fn headroom(account: &Account, mirrored: bool) -> u128 {
    u128::MAX - used(account, mirrored)
}

/// Pending and posted debits (mirrored: credits).
fn used(account: &Account, mirrored: bool) -> u128 {
    if mirrored {
        account.credits_pending + account.credits_posted
    } else {
        account.debits_pending + account.debits_posted
    }
}
