//! A ledger in a hash map behind real sockets, to test the generator without a server; it can be told to misbehave.

use auriga_wire::frame::{self, Command, HEADER_SIZE};
use auriga_wire::report::{ShardHistograms, StageHistogram, Status};
use auriga_wire::{
    Account, AccountCode, AlignedBuffer, EventResult, FaultCode, Frame, Header, Transfer, TransferCode,
};
use hdrhistogram::serialization::{Serializer, V2Serializer};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// How the ledger misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// It doesn't.
    #[default]
    Honest,
    /// Refuses every transfer whose sequence is a multiple of 10.
    RefusesSome,
    /// Acknowledges transfers and forgets one.
    ForgetsATransfer,
    /// Changes an account's balance by itself.
    InventsMoney,
    /// Changes a transfer's amount after acknowledging it.
    RewritesATransfer,
    /// Executes every third request that creates transfers and hangs up instead of answering.
    HangsUp,
    /// Refuses the tenth request as a whole.
    FillsUp,
}

#[derive(Default)]
struct Ledger {
    manner: Manner,
    time: u64,
    requests: u64,
    accounts: HashMap<u128, Account>,
    transfers: HashMap<u128, Option<Transfer>>,
    created: u64,
}

/// Starts a ledger and returns its address; it lives as long as the process.
pub fn start(manner: Manner) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let ledger = Arc::new(Mutex::new(Ledger { manner, ..Ledger::default() }));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, ledger) = (stream.expect("a connection"), ledger.clone());
            std::thread::spawn(move || serve(stream, &ledger));
        }
    });
    address
}

fn serve(mut stream: TcpStream, ledger: &Mutex<Ledger>) {
    let mut bytes = AlignedBuffer::default();
    loop {
        bytes.resize(HEADER_SIZE);
        if stream.read_exact(&mut bytes).is_err() {
            return;
        }
        let size = Header::peek(&bytes).expect("a good header").size as usize;
        bytes.resize(size);
        stream.read_exact(&mut bytes[HEADER_SIZE..]).expect("a body");
        let (command, request) = Frame::check(&bytes).expect("a good request");
        let Some((status, timestamp, body)) = ledger.lock().expect("no panic").execute(command, &request)
        else {
            return;
        };
        let header = Header::reply(&request.header, status, timestamp, 1, body.len());
        let mut reply = [bytemuck::bytes_of(&header), &body].concat();
        frame::seal(&mut reply);
        if stream.write_all(&reply).is_err() {
            return;
        }
    }
}

impl Ledger {
    /// Status, timestamp and body of the reply; `None` to hang up.
    fn execute(&mut self, command: Command, request: &Frame<'_>) -> Option<(u32, u64, Vec<u8>)> {
        let first = self.time + 1;
        let body = match command {
            Command::CreateAccounts => self.create(request.records(), Self::create_account),
            Command::CreateTransfers => {
                self.requests += 1;
                if self.manner == Manner::FillsUp && self.requests == 10 {
                    return Some((FaultCode::LogFull.number(), 0, b"no room".to_vec()));
                }
                let body = self.create(request.records(), Self::create_transfer);
                if self.manner == Manner::HangsUp && self.requests.is_multiple_of(3) {
                    return None;
                }
                body
            }
            Command::LookupAccounts => {
                let found = request.records::<u128>().iter().filter_map(|id| self.accounts.get(id));
                found.flat_map(|account| bytemuck::bytes_of(account).to_vec()).collect()
            }
            Command::LookupTransfers => {
                let found = request.records::<u128>().iter().filter_map(|id| self.transfers.get(id));
                found.flatten().flat_map(|transfer| bytemuck::bytes_of(transfer).to_vec()).collect()
            }
            Command::Status => self.status(),
            Command::Histograms => histograms(),
            _ => return Some((FaultCode::HistoryOff.number(), 0, b"this server keeps no history".to_vec())),
        };
        Some((0, first, body))
    }

    fn create<T: Copy>(&mut self, events: &[T], create: impl Fn(&mut Self, T) -> Option<u32>) -> Vec<u8> {
        let mut refusals = Vec::new();
        for (index, event) in events.iter().enumerate() {
            self.time += 1;
            if let Some(code) = create(self, *event) {
                refusals.push(EventResult::refused(index as u32, code));
            }
        }
        bytemuck::cast_slice(&refusals).to_vec()
    }

    fn create_account(&mut self, account: Account) -> Option<u32> {
        if self.accounts.contains_key(&account.id) {
            return Some(AccountCode::Exists.number());
        }
        self.accounts.insert(account.id, Account { timestamp: self.time, ..account });
        None
    }

    fn create_transfer(&mut self, transfer: Transfer) -> Option<u32> {
        if self.transfers.contains_key(&transfer.id) {
            return Some(TransferCode::Exists.number());
        }
        let made = Transfer { timestamp: self.time, ..transfer };
        let refused = self.manner == Manner::RefusesSome && transfer.id.is_multiple_of(10);
        self.transfers.insert(transfer.id, (!refused).then_some(made));
        if refused {
            return Some(TransferCode::ExceedsCredits.number());
        }
        self.created += 1;
        if self.created == 500 {
            match self.manner {
                Manner::ForgetsATransfer => self.transfers.insert(transfer.id, None),
                Manner::RewritesATransfer => {
                    self.transfers.insert(transfer.id, Some(Transfer { amount: made.amount + 1, ..made }))
                }
                _ => None,
            };
        }
        let extra = u128::from(self.manner == Manner::InventsMoney && self.created == 500);
        let Some(account) = self.accounts.get_mut(&transfer.debit_account_id) else {
            return Some(TransferCode::DebitAccountNotFound.number());
        };
        account.debits_posted += transfer.amount;
        let Some(account) = self.accounts.get_mut(&transfer.credit_account_id) else {
            return Some(TransferCode::CreditAccountNotFound.number());
        };
        account.credits_posted += transfer.amount + extra;
        None
    }

    fn status(&self) -> Vec<u8> {
        let (shards, accounts_max) = (2, 100_000);
        Status {
            shards,
            accounts_max,
            flushes: self.requests,
            bytes_logged: self.requests * 4096,
            ..Status::default()
        }
        .encode()
    }
}

fn histograms() -> Vec<u8> {
    let mut histogram = hdrhistogram::Histogram::<u64>::new(3).expect("good bounds");
    histogram.record(20_000).expect("recorded");
    let mut v2 = Vec::new();
    V2Serializer::new().serialize(&histogram, &mut v2).expect("written into memory");
    let stages = vec![StageHistogram { stage: "flush".into(), v2 }];
    ShardHistograms { cpu: 1, shards: 2, stages, ..ShardHistograms::default() }.encode()
}
