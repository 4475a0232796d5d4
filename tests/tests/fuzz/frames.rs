//! The frame parser of the server and the reply decoder of the client.

use auriga_fuzzing::{Flips, damage, inputs};
use auriga_wire::frame::{Command, HEADER_SIZE, Header, seal};
use auriga_wire::reply::{Reply, ReplyReader};
use auriga_wire::report::{Activity, ShardHistograms, Status};
use auriga_wire::{
    Account, AccountBalance, AlignedBuffer, EventResult, FaultCode, Filter, Frame, RequestFrame, Transfer,
};
use bytemuck::bytes_of;

/// The bytes in memory that is aligned as a receive buffer is.
fn aligned(bytes: &[u8]) -> AlignedBuffer {
    let mut buffer = AlignedBuffer::with_capacity(bytes.len());
    buffer.extend_from_slice(bytes);
    buffer
}

/// Gives the bytes to every parser; none may panic.
fn parse(bytes: &[u8]) {
    let bytes = aligned(bytes);
    if bytes.len() >= HEADER_SIZE {
        let _ = Header::peek(&bytes);
    }
    let _ = Frame::check(&bytes);
    let _ = Reply::decode(&bytes);
}

/// Every command.
fn commands() -> impl Iterator<Item = Command> {
    (1..=11).map(|number| Command::from_number(number).expect("there are eleven"))
}

/// A whole request, with its header as given but for size and checksum.
fn request(header: Header, body: &[u8]) -> Vec<u8> {
    let mut frame = bytes_of(&header).to_vec();
    frame.extend_from_slice(body);
    seal(&mut frame);
    frame
}

#[test]
fn any_bytes() {
    inputs!(Vec<u8>).for_each(|bytes| parse(bytes));
}

#[test]
fn any_command_status_and_body_under_a_good_checksum() {
    let input = inputs!((u16, u32, u64, Vec<u8>));
    input.for_each(|(command, status, timestamp, body)| {
        let mut header = Header::request(Command::Status, 1, body.len());
        header.command = match command % 27 {
            low @ 0..=12 => low,
            low @ 13..=25 => 0x8000 | (low - 13),
            _ => *command,
        };
        header.status = if status % 4 == 0 { *status } else { 0 };
        header.timestamp = if timestamp % 4 == 0 { *timestamp } else { 0 };
        parse(&request(header, body));
    });
}

#[test]
fn a_damaged_request_is_refused() {
    let transfers: Vec<_> =
        (1..=20u128).map(|id| Transfer { id, amount: id << 70, ..Transfer::default() }).collect();
    let body: &[u8] = bytemuck::cast_slice(&transfers);
    let whole = request(Header::request(Command::CreateTransfers, 7, body.len()), body);
    assert!(Frame::check(&aligned(&whole)).is_ok());
    inputs!(Flips).for_each(|flips| {
        let mut bytes = whole.clone();
        if damage(&mut bytes, flips) {
            assert!(Frame::check(&aligned(&bytes)).is_err(), "damage was not noticed");
        }
    });
}

/// Replies cut into pieces, with damage in between: the client's reader gives whole frames or an error, and never more
/// bytes than came.
#[test]
fn a_stream_of_replies_in_pieces() {
    let good: Vec<u8> = (1..=4u64)
        .flat_map(|number| {
            let body = vec![0; 32 * number as usize];
            let asked = Header::request(Command::CreateTransfers, number, 128);
            request(Header::reply(&asked, 1_110, 0, 7, body.len()), &body)
        })
        .collect();
    let input = inputs!((Vec<u16>, Flips));
    input.for_each(|(pieces, flips)| {
        let mut stream = good.clone();
        let damaged = damage(&mut stream, flips);
        let (mut reader, mut given, mut frames) = (ReplyReader::default(), 0usize, 0);
        for piece in pieces.iter().map(|piece| usize::from(*piece) % 400).chain([usize::MAX]) {
            let mut rest = &stream[given..stream.len().min(given.saturating_add(piece))];
            while !rest.is_empty() {
                let space = reader.space();
                let count = space.len().min(rest.len());
                space[..count].copy_from_slice(&rest[..count]);
                reader.filled(count);
                given += count;
                rest = &rest[count..];
            }
            loop {
                match reader.next_frame() {
                    Ok(Some(frame)) => {
                        frames += usize::from(Reply::decode(frame).is_ok());
                    }
                    Ok(None) => break,
                    Err(_) => return assert!(damaged, "good frames are read"),
                }
            }
        }
        assert!(frames <= 4 && (damaged || frames == 4), "{frames} good frames of 4");
    });
}

/// A good reply to every command, and a refusal.
fn replies() -> Vec<(Command, Vec<u8>)> {
    let status = Status { closed: vec![("stalled".into(), 3)], digest: Some(7), ..Status::default() };
    let body = |command| match command {
        Command::CreateAccounts => bytes_of(&EventResult::refused(3, 21)).to_vec(),
        Command::CreateTransfers => bytes_of(&EventResult::created(1, 9)).to_vec(),
        Command::LookupAccounts | Command::QueryAccounts => bytes_of(&[Account::default(); 2]).to_vec(),
        Command::LookupTransfers | Command::AccountTransfers | Command::QueryTransfers => {
            bytes_of(&[Transfer::default(); 2]).to_vec()
        }
        Command::AccountBalances => bytes_of(&[AccountBalance::default(); 2]).to_vec(),
        Command::Status => status.encode().to_vec(),
        Command::Histograms => ShardHistograms::default().encode().to_vec(),
        Command::Activity => Activity::default().encode().to_vec(),
    };
    let reply = |command, status, body: &[u8]| {
        let asked = Header::request(command, 7, 128);
        (command, request(Header::reply(&asked, status, 5, 7, body.len()), body))
    };
    let refusal = reply(Command::CreateTransfers, FaultCode::LogFull.number(), b"the disk is full");
    commands().map(|command| reply(command, 0, &body(command))).chain([refusal]).collect()
}

/// What a client reads. Under a good checksum anything may be: no panic, and what is decoded fits what was asked for or is refused.
#[test]
fn a_damaged_reply_of_any_kind() {
    let replies = replies();
    for (command, bytes) in &replies {
        let bytes = aligned(bytes);
        let reply = Reply::decode(&bytes).expect("a good reply");
        reply.matches(*command, 10).expect("a reply to its command");
    }
    inputs!((u8, bool, Flips)).for_each(|(number, resealed, flips)| {
        let (command, good) = &replies[usize::from(*number) % replies.len()];
        let mut bytes = good.clone();
        let changed = damage(&mut bytes, flips);
        if *resealed {
            bytes[24..28].copy_from_slice(&good[24..28]);
            seal(&mut bytes);
            if let Ok(reply) = Reply::decode(&aligned(&bytes)) {
                for items in [0, 1, 10, 8_190] {
                    let _ = reply.matches(*command, items);
                }
            }
        } else if changed {
            assert!(Reply::decode(&aligned(&bytes)).is_err(), "damage was not noticed");
        }
    });
}

/// A question about the past: what the check lets pass makes sense.
#[test]
fn a_filter_of_any_bytes() {
    inputs!((u8, bool, Vec<u8>, u64)).for_each(|(number, clean, bytes, cursor)| {
        let mut filter = [0; size_of::<Filter>()];
        let size = bytes.len().min(filter.len());
        filter[..size].copy_from_slice(&bytes[..size]);
        let mut filter: Filter = bytemuck::pod_read_unaligned(&filter);
        if *clean {
            (filter.reserved, filter.flags) = ([0; 7], filter.flags % 16);
            filter.limit %= 8_192;
        }
        let command = commands().nth(usize::from(*number) % 10).expect("there are ten");
        if filter.check(command).is_ok() {
            let (first, last) = filter.times();
            assert!(first <= last && (1..=8_190).contains(&filter.limit), "{filter:?}");
        }
        let _ = filter.next(*cursor).check(command);
        let mut frame = RequestFrame::ask(Command::QueryTransfers, &filter);
        frame.seal(1, 0);
        let (_, checked) = Frame::check(frame.bytes()).expect("a frame with any filter is a frame");
        assert_eq!(checked.body(), bytes_of(&filter));
    });
}
