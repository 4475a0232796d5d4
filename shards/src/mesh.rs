//! The mesh: a pair of single-producer, single-consumer rings (route, control) from every shard to every other.
//!
//! Built before the executors start; each takes its own ends. A ring is never full: its size is a bound on what can
//! be under way, so a failed push is our mistake and stops the process.

use crate::execute::message::{Lane, Message};
use crate::limits::{CONTROL_RING_SLOTS, ROUTE_RING_SLOTS};
use crate::place::ShardId;
use rtrb::{Consumer, Producer, RingBuffer};

/// One shard's ends of the rings to and from one other shard.
#[derive(Debug)]
struct Peer {
    to_route: Producer<Message>,
    to_control: Producer<Message>,
    from_route: Consumer<Message>,
    from_control: Consumer<Message>,
}

/// One shard's ends of all its rings.
#[derive(Debug)]
pub struct Mesh {
    peers: Vec<Option<Peer>>,
}

impl Mesh {
    /// The meshes of all shards, by number.
    pub fn new(shards: u16) -> Vec<Self> {
        let count = usize::from(shards);
        let mut meshes: Vec<Self> =
            (0..count).map(|_| Self { peers: (0..count).map(|_| None).collect() }).collect();
        for a in 0..count {
            for b in a + 1..count {
                let (ab_route, route_ab) = RingBuffer::new(ROUTE_RING_SLOTS);
                let (ba_route, route_ba) = RingBuffer::new(ROUTE_RING_SLOTS);
                let (ab_control, control_ab) = RingBuffer::new(CONTROL_RING_SLOTS);
                let (ba_control, control_ba) = RingBuffer::new(CONTROL_RING_SLOTS);
                meshes[a].peers[b] = Some(Peer {
                    to_route: ab_route,
                    to_control: ab_control,
                    from_route: route_ba,
                    from_control: control_ba,
                });
                meshes[b].peers[a] = Some(Peer {
                    to_route: ba_route,
                    to_control: ba_control,
                    from_route: route_ab,
                    from_control: control_ab,
                });
            }
        }
        meshes
    }

    /// Puts a message into the ring that it takes.
    pub fn push(&mut self, to: ShardId, message: Message) {
        let peer = self.peers[to.index()].as_mut().expect("no ring leads from a shard to itself");
        let ring = match message.lane() {
            Lane::Route => &mut peer.to_route,
            Lane::Control => &mut peer.to_control,
        };
        ring.push(message).expect("a ring has room for all that can be under way");
    }

    /// The next message from a shard on a lane.
    #[inline]
    pub fn pop(&mut self, from: ShardId, lane: Lane) -> Option<Message> {
        let peer = self.peers[from.index()].as_mut()?;
        match lane {
            Lane::Route => peer.from_route.pop().ok(),
            Lane::Control => peer.from_control.pop().ok(),
        }
    }

    /// Messages that wait on a lane, from all shards.
    pub fn waiting(&self, lane: Lane) -> usize {
        let rings = self.peers.iter().flatten().map(|peer| match lane {
            Lane::Route => &peer.from_route,
            Lane::Control => &peer.from_control,
        });
        rings.map(Consumer::slots).sum()
    }

    /// Whether a message waits.
    pub fn has(&self, from: ShardId, lane: Lane) -> bool {
        self.peers[from.index()].as_ref().is_some_and(|peer| match lane {
            Lane::Route => !peer.from_route.is_empty(),
            Lane::Control => !peer.from_control.is_empty(),
        })
    }
}
