//! The frame parser of the server and the reply decoder of the client.

use super::{Flips, damage, iterations};
use auriga_wire::frame::{Command, HEADER_SIZE, Header, seal};
use auriga_wire::reply::{Reply, ReplyReader};
use auriga_wire::{AlignedBuffer, Frame, Transfer};

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

/// A whole request, with its header as given but for size and checksum.
fn request(header: Header, body: &[u8]) -> Vec<u8> {
    let mut frame = bytemuck::bytes_of(&header).to_vec();
    frame.extend_from_slice(body);
    seal(&mut frame);
    frame
}

#[test]
fn any_bytes() {
    bolero::check!().with_iterations(iterations()).with_type::<Vec<u8>>().for_each(|bytes| parse(bytes));
}

#[test]
fn any_command_status_and_body_under_a_good_checksum() {
    let input = bolero::check!().with_iterations(iterations()).with_type::<(u16, u32, u64, Vec<u8>)>();
    input.for_each(|(command, status, timestamp, body)| {
        let mut header = Header::request(Command::Status, 1, body.len());
        header.command = match command % 16 {
            low @ 0..=8 => low,
            low @ 9..=12 => 0x8000 | (low - 8),
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
    bolero::check!().with_iterations(iterations()).with_type::<Flips>().for_each(|flips| {
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
    let input = bolero::check!().with_iterations(iterations()).with_type::<(Vec<u16>, Flips)>();
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
