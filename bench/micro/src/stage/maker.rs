//! Makes epochs whose requests arrive at the desk and are all about accounts and ids of the books.

use super::{BOOKS, Work};
use crate::log::{self, ACCOUNTS, BATCH, Epoch, FULL_BLOCKS, Log, Requests};
use auriga_shards::place::{Placement, StreamId};
use auriga_wire::record::AccountFlags;
use auriga_wire::{RequestFrame, Transfer};

/// What every account with a limit has at first: about four transfers' worth, and an epoch takes more than six of each.
const FUNDS: u128 = 2_000;

/// Makes epochs whose requests arrive at the desk and are all about accounts and ids of the books.
pub(super) struct Maker {
    placement: Placement,
    log: Log,
    requests: Requests,
    /// Those of the newest epoch.
    pub(super) frames: Vec<RequestFrame>,
    /// Ids of the accounts, and of the one that has enough.
    accounts: Vec<u128>,
    bank: u128,
}

impl Maker {
    pub(super) fn new(placement: Placement) -> Self {
        let mut own = (1..).filter(|id| is_of_books(&placement, *id));
        let accounts: Vec<u128> = own.by_ref().take(ACCOUNTS as usize).collect();
        let bank = own.next().expect("there are more ids than these");
        Self {
            placement,
            log: Log::new(),
            requests: Requests::new(BATCH),
            frames: Vec::new(),
            accounts,
            bank,
        }
    }

    fn write(&mut self, frames: Vec<RequestFrame>) -> Epoch {
        self.frames = frames;
        let requests: Vec<_> = (0..).map(StreamId).zip(&self.frames).collect();
        self.log.write(&requests)
    }

    pub(super) fn open_accounts(&mut self, work: Work) -> Epoch {
        let flags = if work == Work::Tight { AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS } else { 0 };
        let mut accounts = log::accounts(self.accounts.iter().copied(), flags);
        accounts.extend(log::accounts([self.bank].into_iter(), 0));
        let frames = accounts.chunks(BATCH as usize).map(log::create_accounts);
        self.write(frames.collect())
    }

    /// Every account gets its funds from the bank.
    pub(super) fn fund(&mut self) -> Epoch {
        let Self { placement, requests, accounts, bank, .. } = self;
        let frames = accounts.chunks(BATCH as usize).map(|accounts| {
            let mut full = RequestFrame::default();
            requests.make(&mut full);
            let mut transfers = full.records::<Transfer>()[..accounts.len()].to_vec();
            give_ids(&mut transfers, placement);
            for (transfer, account) in transfers.iter_mut().zip(accounts) {
                (transfer.debit_account_id, transfer.credit_account_id) = (*bank, *account);
                transfer.amount = FUNDS;
            }
            let mut frame = RequestFrame::create_transfers(&transfers);
            frame.seal(1, 0);
            frame
        });
        let frames = frames.collect();
        self.write(frames)
    }

    /// What the generator sends next, with ids and accounts of the books.
    pub(super) fn transfers(&mut self) -> Epoch {
        let Self { placement, requests, accounts, .. } = self;
        let of_books = |account: u128| accounts[account as usize - 1];
        let frames = (0..FULL_BLOCKS).map(|_| {
            let mut frame = RequestFrame::default();
            requests.make_with(&mut frame, |transfers| {
                give_ids(transfers, placement);
                for transfer in transfers {
                    transfer.debit_account_id = of_books(transfer.debit_account_id);
                    transfer.credit_account_id = of_books(transfer.credit_account_id);
                }
            });
            frame
        });
        let frames = frames.collect();
        self.write(frames)
    }
}

/// Gives a request's transfers ids of the books, counting up from the first one's; those of other requests have other times.
fn give_ids(transfers: &mut [Transfer], placement: &Placement) {
    let ids = (transfers[0].id..).filter(|id| is_of_books(placement, *id));
    for (transfer, id) in transfers.iter_mut().zip(ids) {
        transfer.id = id;
    }
}

fn is_of_books(placement: &Placement, id: u128) -> bool {
    placement.owner(placement.hash(id)) == BOOKS
}
