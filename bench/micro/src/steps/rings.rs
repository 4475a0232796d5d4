//! Messages through the mesh's rings, within a thread and from one core to another.
//!
//! As many rings as 64 shards have between one and all others, each as long as the server's, so that a slot is cold when its turn comes.

use crate::median::median;
use auriga_shards::execute::message::{Lane, Message};
use auriga_shards::limits::CONTROL_RING_SLOTS;
use auriga_shards::mesh::Mesh;
use auriga_shards::place::ShardId;
use std::hint::{black_box, spin_loop};
use std::time::Instant;

/// Shards on each side: each of one side sends a message to each of the other in a burst.
const SIDE: u16 = 8;
/// Bursts to and fro that are measured.
const BURSTS: u32 = 2_000;
/// Bursts before them: each slot is used once.
const WARM_UP: u32 = CONTROL_RING_SLOTS as u32;
/// Empty rings that are looked at.
const POLLS: u32 = 1_000_000;

/// Nanoseconds of each.
pub(super) struct Rings {
    pub(super) message: f64,
    pub(super) message_across: f64,
    pub(super) hop_latency: f64,
    pub(super) poll: f64,
}

pub(super) fn measure() -> Rings {
    let burst = f64::from(SIDE) * f64::from(SIDE);
    Rings {
        message: within(SIDE) / burst,
        message_across: across(SIDE) / burst,
        hop_latency: across(1),
        poll: poll(),
    }
}

/// Of two sides of so many shards each.
fn sides(side: u16) -> [(Vec<Mesh>, u16); 2] {
    let mut near = Mesh::new(2 * side);
    let far = near.split_off(usize::from(side));
    [(near, side), (far, 0)]
}

/// From each mesh to each of the other side's shards.
fn send(meshes: &mut [Mesh], to: u16) {
    let count = meshes.len() as u16;
    for mesh in meshes {
        for peer in to..to + count {
            mesh.push(ShardId(peer), Message::Voted { epoch: 1, held: 0 });
        }
    }
}

fn take(meshes: &mut [Mesh], from: u16) {
    let count = meshes.len() as u16;
    for mesh in meshes {
        for peer in from..from + count {
            while mesh.pop(ShardId(peer), Lane::Control).map(black_box).is_none() {
                spin_loop();
            }
        }
    }
}

/// Nanoseconds a burst, which one thread both sends and takes.
fn within(side: u16) -> f64 {
    let [(mut near, far_from), (mut far, near_from)] = sides(side);
    repeat(|| {
        send(&mut near, far_from);
        take(&mut far, near_from);
    })
}

/// Nanoseconds from the first message of a burst until the other thread has taken all of it.
fn across(side: u16) -> f64 {
    let [(mut near, far_from), (mut far, near_from)] = sides(side);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..WARM_UP + BURSTS {
                take(&mut far, near_from);
                send(&mut far, near_from);
            }
        });
        let to_and_fro = repeat(|| {
            send(&mut near, far_from);
            take(&mut near, far_from);
        });
        to_and_fro / 2.0
    })
}

/// The median time of the bursts behind the first ones, nanoseconds: another process may take a core for a while.
fn repeat(mut burst: impl FnMut()) -> f64 {
    let mut times = Vec::with_capacity((WARM_UP + BURSTS) as usize);
    for _ in 0..WARM_UP + BURSTS {
        let begun = Instant::now();
        burst();
        times.push(begun.elapsed().as_nanos() as f64);
    }
    median(times.split_off(WARM_UP as usize))
}

fn poll() -> f64 {
    let [(mut near, far_from), _far] = sides(1);
    let begun = Instant::now();
    for _ in 0..POLLS {
        black_box(near[0].pop(ShardId(far_from), Lane::Control));
    }
    begun.elapsed().as_nanos() as f64 / f64::from(POLLS)
}
