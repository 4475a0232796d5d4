//! The gate: one housekeeping thread that accepts connections and deals them out, to the core that has the fewest.

use crate::connection::Closed;
use crate::doorbell::Doorbell;
use crate::server::Shared;
use crate::socket::{BREATH, accept_all, wait};
use auriga_shards::place::ShardId;
use auriga_signals::Count;
use auriga_wire::FaultCode;
use auriga_wire::frame::{HEADER_SIZE, Header, MAGIC, VERSION, seal};
use rtrb::{Producer, PushError};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// The way to one core.
pub struct Door {
    /// Where its connections go.
    pub connections: Producer<TcpStream>,
    /// To wake it.
    pub doorbell: Arc<Doorbell>,
}

/// Accepts until the server stops.
pub fn run(listener: &TcpListener, mut doors: Vec<Door>, bell: &Doorbell, shared: &Shared) {
    while !shared.is_stopping() && !shared.has_failed() {
        wait(listener, bell);
        accept_all(listener, |socket| admit(socket, &mut doors, shared));
    }
}

fn admit(socket: TcpStream, doors: &mut [Door], shared: &Shared) {
    let open: Vec<u64> = shared.open.iter().map(Count::get).collect();
    let max = shared.options.connections_max;
    if open.iter().sum::<u64>() >= u64::from(max) {
        shared.count_closed(Closed::Fault(FaultCode::TooManyConnections));
        return turn_away(socket, max);
    }
    let fewest = (0..doors.len()).min_by_key(|core| open[*core]).expect("a server has a core");
    shared.open[fewest].add(1);
    let door = &mut doors[fewest];
    let mut undealt = door.connections.push(socket).err();
    door.doorbell.ring();
    // Meanwhile further ones wait in the kernel's backlog.
    while let Some(PushError::Full(socket)) = undealt {
        if shared.is_stopping() || shared.has_failed() {
            return shared.left(ShardId(fewest as u16), Closed::Stopping);
        }
        std::thread::sleep(BREATH);
        undealt = door.connections.push(socket).err();
        door.doorbell.ring();
    }
}

/// Says why, if the socket takes it at once, and closes.
fn turn_away(mut socket: TcpStream, max: u32) {
    let text = format!("the server holds {max} connections, its limit (--connections-max): try again later");
    let header = Header { magic: MAGIC, version: VERSION, ..Header::default() };
    let header = Header::reply(&header, FaultCode::TooManyConnections.number(), 0, 0, text.len());
    let mut frame = vec![0; HEADER_SIZE];
    frame.copy_from_slice(bytemuck::bytes_of(&header));
    frame.extend_from_slice(text.as_bytes());
    seal(&mut frame);
    let _ = socket.set_nonblocking(true);
    let _ = socket.write(&frame);
}
