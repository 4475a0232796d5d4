//! The frame parser of the server and the reply decoder of the client.

use super::{Flips, damage, iterations};
use auriga_wire::frame::{Command, HEADER_SIZE, Header, seal};
use auriga_wire::reply::Reply;
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
