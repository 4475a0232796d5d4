//! A ledger in a hash map behind real sockets, to test the generator without a server; it can be told to misbehave.

mod ledger;

use auriga_wire::frame::{self, Command, HEADER_SIZE};
use auriga_wire::report::{ShardHistograms, StageHistogram, Status};
use auriga_wire::{AlignedBuffer, EventResult, FaultCode, Frame, Header};
use hdrhistogram::serialization::{Serializer, V2Serializer};
use ledger::Ledger;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

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
    /// Acknowledges posts, and one of them moves nothing.
    LosesAPost,
    /// Acknowledges voids, and one of them gives nothing back.
    ForgetsAVoid,
    /// Refuses a post because there is nothing to post, though there is.
    DeniesAPending,
    /// Refuses a chain and keeps its first half.
    AppliesHalfAChain,
    /// Refuses the second half of a chain alone.
    RefusesHalfAChain,
    /// Answers the first look-up of transfers with an amount that was not sent.
    LooksUpWrongOnce,
    /// Acknowledges accounts and forgets the 300th.
    ForgetsAnAccount,
    /// Has no room for more than 300 accounts.
    FillsUpWithAccounts,
    /// Answers one request only after [`STALL`], and nothing else meanwhile.
    Stalls,
}

/// How long a ledger stalls that does.
pub const STALL: Duration = Duration::from_millis(300);

/// Starts a ledger and returns its address; it lives as long as the process.
pub fn start(manner: Manner) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let ledger = Arc::new(Mutex::new(Ledger::new(manner)));
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
        let answer = answer(&mut ledger.lock().expect("no panic"), command, &request);
        let Some((status, timestamp, body)) = answer else {
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

/// Status, timestamp and body of the reply; `None` to hang up.
fn answer(ledger: &mut Ledger, command: Command, request: &Frame<'_>) -> Option<(u32, u64, Vec<u8>)> {
    let first = ledger.time + 1;
    let body = match command {
        Command::CreateAccounts => results(&ledger.create_accounts(request.records())),
        Command::CreateTransfers => {
            ledger.requests += 1;
            if ledger.manner == Manner::FillsUp && ledger.requests == 10 {
                return Some((FaultCode::LogFull.number(), 0, b"no room".to_vec()));
            }
            if ledger.manner == Manner::Stalls && ledger.requests == 100 {
                std::thread::sleep(STALL);
            }
            let body = results(&ledger.create_transfers(request.records()));
            if ledger.manner == Manner::HangsUp && ledger.requests.is_multiple_of(3) {
                return None;
            }
            body
        }
        Command::LookupAccounts => bytemuck::cast_slice(&ledger.look_accounts_up(request.records())).to_vec(),
        Command::LookupTransfers => {
            bytemuck::cast_slice(&ledger.look_transfers_up(request.records())).to_vec()
        }
        Command::Status => status(ledger.requests),
        Command::Histograms => histograms(),
        _ => return Some((FaultCode::HistoryOff.number(), 0, b"this server keeps no history".to_vec())),
    };
    Some((0, first, body))
}

fn results(refusals: &[EventResult]) -> Vec<u8> {
    bytemuck::cast_slice(refusals).to_vec()
}

fn status(requests: u64) -> Vec<u8> {
    let (shards, accounts_max) = (2, 100_000);
    Status { shards, accounts_max, flushes: requests, bytes_logged: requests * 4096, ..Status::default() }
        .encode()
}

fn histograms() -> Vec<u8> {
    let mut histogram = hdrhistogram::Histogram::<u64>::new(3).expect("good bounds");
    histogram.record(20_000).expect("recorded");
    let mut v2 = Vec::new();
    V2Serializer::new().serialize(&histogram, &mut v2).expect("written into memory");
    let stages = vec![StageHistogram { stage: "flush".into(), v2 }];
    ShardHistograms { cpu: 1, shards: 2, stages, ..ShardHistograms::default() }.encode()
}
