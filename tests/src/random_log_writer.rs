//! The writer of random logs: what a seed decides once for its log, and the means that stories are told with.
//!
//! The writer executes every event on a reference model as it writes it, so that a story can aim at a balance exactly.

use crate::model::Model;
use crate::random_log::{EPOCH_EVENTS_MAX, Event};
use crate::random_log_plots::PLOTS;
use auriga_wire::record::AccountFlags;
use auriga_wire::{Account, Transfer};
use fastrand::Rng;

/// Most accounts that the stories are about.
pub(crate) const ACCOUNTS_MAX: usize = 20;
/// Ids that never become accounts.
const MISSING_ACCOUNTS: usize = 3;

/// What is decided once for a log.
struct Shape {
    /// Of the accounts, have a balance limit.
    limited_percent: u8,
    /// Of the choices of an account, fall on the first one that fits.
    hot_percent: u8,
    /// Of the accounts, are left for later when an epoch begins.
    late_percent: u8,
    /// Of the amounts on limited accounts, aim at what just fits.
    tight_percent: u8,
    /// Most of an amount that aims at nothing.
    amount_max: u128,
    ledgers: u32,
    account_ids: IdStyle,
    transfer_ids: IdStyle,
    /// How often each of [`PLOTS`] is told, in relation to the others.
    weights: [u32; PLOTS.len()],
}

/// How ids are spread.
#[derive(Clone, Copy)]
enum IdStyle {
    Sequential,
    Random,
    /// 48 bits of milliseconds and 80 random bits.
    TimeOrdered,
}

impl IdStyle {
    fn draw(rng: &mut Rng) -> Self {
        [Self::Sequential, Self::Random, Self::TimeOrdered][rng.usize(..3)]
    }
}

impl Shape {
    fn draw(rng: &mut Rng) -> Self {
        Self {
            limited_percent: [0, 30, 60, 100, rng.u8(..=100)][rng.usize(..5)],
            hot_percent: [0, 0, 50, 90][rng.usize(..4)],
            late_percent: [0, 0, 10, 10, 30, 100][rng.usize(..6)],
            tight_percent: [20, 60, 90][rng.usize(..3)],
            amount_max: [3, 10, 100, 1_000_000][rng.usize(..4)],
            ledgers: [1, 1, 2, 3][rng.usize(..4)],
            account_ids: IdStyle::draw(rng),
            transfer_ids: IdStyle::draw(rng),
            weights: PLOTS.map(|(_, weight)| weight * [0, 1, 1, 4][rng.usize(..4)]),
        }
    }
}

/// Writes the events of a log, epoch after epoch.
pub(crate) struct Writer {
    pub(crate) rng: Rng,
    shape: Shape,
    model: Model,
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
    pub(crate) fn write_epoch(&mut self) -> Vec<Event> {
        // One event of the largest epoch is left for an end to an open chain.
        let room_max = [1, 10, 100, EPOCH_EVENTS_MAX - 1][self.rng.usize(..4)];
        self.room = self.rng.usize(1..=room_max);
        self.sent_before_epoch = self.sent.len();
        for account in self.cast.clone() {
            if !self.is_created(&account) && !self.chance(self.shape.late_percent) {
                self.send_account(account);
            }
        }
        while self.has_room() {
            self.tell_a_story();
        }
        self.close_chain();
        std::mem::take(&mut self.events)
    }

    fn tell_a_story(&mut self) {
        // The first plot is always possible and always writes something.
        let total = self.shape.weights.iter().sum::<u32>() + 1;
        let mut drawn = self.rng.u32(..total);
        for (index, weight) in self.shape.weights.into_iter().enumerate() {
            if drawn < weight {
                return PLOTS[index].0(self);
            }
            drawn -= weight;
        }
        PLOTS[0].0(self);
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
            IdStyle::TimeOrdered => (1_700_000_000_000 + self.ids_drawn) << 80 | self.rng.u128(..1 << 80),
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
        let fitting: Vec<Account> = self.cast.iter().copied().filter(fits).collect();
        let first = fitting.first()?;
        let account = if self.chance(self.shape.hot_percent) {
            first
        } else {
            &fitting[self.rng.usize(..fitting.len())]
        };
        Some(self.now(account))
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

    /// Writes an account; whether it was created.
    pub(crate) fn send_account(&mut self, account: Account) -> bool {
        if !self.write(Event::Account(account)) {
            return false;
        }
        let created = self.model.create_accounts(1, &[account]) == [None];
        if created {
            // It may differ from what was planned under this id.
            match self.cast.iter_mut().find(|planned| planned.id == account.id) {
                Some(planned) => *planned = account,
                None => self.cast.push(account),
            }
        }
        created
    }

    /// Writes a transfer; whether it was created.
    pub(crate) fn send(&mut self, transfer: Transfer) -> bool {
        if !self.write(Event::Transfer(transfer)) {
            return false;
        }
        self.sent.push(transfer);
        self.model.create_transfers(1, &[transfer]) == [None]
    }

    /// Writes a new transfer between two accounts; mirrored: from the second to the first.
    pub(crate) fn send_between(
        &mut self,
        from: &Account,
        to: &Account,
        amount: u128,
        mirrored: bool,
    ) -> bool {
        let (debit, credit) = if mirrored { (to, from) } else { (from, to) };
        let transfer = self.transfer(debit, credit, amount);
        self.send(transfer)
    }

    /// Adds the event to the epoch while there is room.
    fn write(&mut self, event: Event) -> bool {
        let accounts_follow = matches!(event, Event::Account(_));
        let accounts_stand = matches!(self.events.last(), Some(Event::Account(_)));
        if accounts_follow != accounts_stand {
            self.close_chain();
        }
        let fits = self.has_room();
        if fits {
            self.events.push(event);
        }
        fits
    }

    /// If the last event is linked, ends its chain with a plain event of the same kind.
    fn close_chain(&mut self) {
        let Some(last) = self.events.last().filter(|event| event.is_linked()).copied() else {
            return;
        };
        match last {
            Event::Account(_) => {
                let account = self.cast[self.rng.usize(..self.cast.len())];
                self.model.create_accounts(1, &[account]);
                self.events.push(Event::Account(account));
            }
            Event::Transfer(_) => {
                let debit = self.pick_any();
                let credit = self.pick_partner(&debit);
                let amount = self.amount(&debit, &credit);
                let transfer = self.transfer(&debit, &credit, amount);
                self.model.create_transfers(1, &[transfer]);
                self.sent.push(transfer);
                self.events.push(Event::Transfer(transfer));
            }
        }
    }
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
    let (used, of) = if mirrored {
        (account.credits_posted, account.debits_posted)
    } else {
        (account.debits_posted, account.credits_posted)
    };
    (account.flags & limit(mirrored) != 0).then(|| of - used)
}

/// How much more debits (mirrored: credits) an account has room for below 2^128.
pub(crate) fn headroom(account: &Account, mirrored: bool) -> u128 {
    u128::MAX - if mirrored { account.credits_posted } else { account.debits_posted }
}
