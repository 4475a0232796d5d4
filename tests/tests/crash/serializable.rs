//! What several clients see is what one thread could have done, in an order that real time allows: strict serializability
//! of transfers and balance look-ups, across a kill -9.
//!
//! Every transfer adds 1 to the debits of one account and the credits of another, mostly on another shard. A look-up of
//! both is then a count of transfers; the timestamps say which.

use auriga_tests::harness::{Scratch, Start, format, seed};
use auriga_tests::load::{account, connect, options, transfer};
use auriga_wire::{Client, IdGenerator, Transfer};
use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

const CLIENTS: usize = 5;
const LIVES: usize = 3;
/// How long the clients of one life work.
const LIFE: Duration = Duration::from_millis(1_500);
const TRANSFERS_MAX: usize = 20;

/// A request that created transfers; without an end it was not answered.
struct Write {
    ids: Vec<u128>,
    begun: Instant,
    ended: Option<(Instant, u64)>,
}

/// A look-up and how many transfers it has seen.
struct Read {
    begun: Instant,
    ended: Instant,
    seen: u128,
}

#[derive(Default)]
struct Story {
    writes: Vec<Write>,
    reads: Vec<Read>,
}

/// One client, until the server is gone.
fn work(address: &str, seed: u64) -> Story {
    let (mut random, mut ids) = (fastrand::Rng::with_seed(seed), IdGenerator::with_seed(seed));
    let mut story = Story::default();
    let options = auriga_wire::Options { attempts: 1, ..options() };
    let Ok(mut client) = Client::connect(address, options) else { return story };
    loop {
        let begun = Instant::now();
        if random.bool() {
            let Ok(found) = client.lookup_accounts(&[1, 2]) else { return story };
            let ended = Instant::now();
            assert_eq!(
                found[0].debits_posted, found[1].credits_posted,
                "a look-up sees one moment on all shards"
            );
            story.reads.push(Read { begun, ended, seen: found[0].debits_posted });
            continue;
        }
        let ids: Vec<u128> = (0..random.usize(1..=TRANSFERS_MAX)).map(|_| ids.next_id()).collect();
        let transfers: Vec<Transfer> = ids.iter().map(|id| transfer(*id, 1, 2, 1)).collect();
        let answer = client.create_transfers(&transfers);
        let ended = answer.as_ref().ok().map(|created| {
            assert_eq!(created.refusals, [], "nothing is in the way of these transfers");
            (Instant::now(), created.first_timestamp)
        });
        story.writes.push(Write { ids, begun, ended });
        if answer.is_err() {
            return story;
        }
    }
}

/// Every applied transfer in the order of its timestamp: when it was begun, and when it had ended for certain.
fn in_order(client: &mut Client, writes: &[Write]) -> Vec<(Instant, Option<Instant>)> {
    let unknown: Vec<u128> =
        writes.iter().filter(|write| write.ended.is_none()).flat_map(|write| write.ids.clone()).collect();
    let mut applied = HashMap::new();
    for ids in unknown.chunks(1_000) {
        let found = client.lookup_transfers(ids).expect("the server answers");
        applied.extend(found.into_iter().map(|transfer| (transfer.id, transfer.timestamp)));
    }
    let mut order = Vec::new();
    for write in writes {
        for (index, id) in (0..).zip(&write.ids) {
            let timestamp = match write.ended {
                Some((_, first)) => Some(first + index),
                None => applied.get(id).copied(),
            };
            order.extend(
                timestamp.map(|timestamp| (timestamp, write.begun, write.ended.map(|(ended, _)| ended))),
            );
        }
    }
    order.sort_unstable_by_key(|(timestamp, ..)| *timestamp);
    order.into_iter().map(|(_, begun, ended)| (begun, ended)).collect()
}

/// What a read has seen is a beginning of the order: all of it was begun before the read ended, and nothing behind it had
/// ended before the read began. And no read sees less than one that had ended before it.
fn check(order: &[(Instant, Option<Instant>)], mut reads: Vec<Read>) {
    let mut latest_begin = Vec::with_capacity(order.len());
    for (begun, _) in order {
        latest_begin.push(latest_begin.last().map_or(*begun, |latest: &Instant| (*latest).max(*begun)));
    }
    let mut first_end = vec![None; order.len() + 1];
    for (place, (_, ended)) in order.iter().enumerate().rev() {
        first_end[place] = [first_end[place + 1], *ended].into_iter().flatten().min();
    }
    for read in &reads {
        let seen = usize::try_from(read.seen).expect("a count");
        assert!(seen <= order.len(), "{seen} transfers were seen, {} exist", order.len());
        assert!(
            seen == 0 || latest_begin[seen - 1] < read.ended,
            "transfer {seen} was seen before it was sent"
        );
        assert!(
            first_end[seen].is_none_or(|ended| ended > read.begun),
            "an acknowledged transfer was not seen"
        );
    }
    reads.sort_unstable_by_key(|read| read.ended);
    let ends: Vec<(Instant, u128)> = reads
        .iter()
        .scan(0, |most, read| {
            *most = read.seen.max(*most);
            Some((read.ended, *most))
        })
        .collect();
    for read in &reads {
        let before = ends.partition_point(|(ended, _)| *ended < read.begun);
        let most = before.checked_sub(1).map_or(0, |last| ends[last].1);
        assert!(read.seen >= most, "{} transfers were seen after {most} had been", read.seen);
    }
}

#[test]
fn several_clients_see_one_order() {
    let seed = seed("serializable");
    let scratch = Scratch::new("serializable");
    let data = scratch.join("data");
    format(&data);
    let (mut writes, mut reads) = (Vec::new(), Vec::new());
    for life in 0..LIVES as u64 {
        let server = Start::new(&data).shards(2 + (life % 2) as u16).serve();
        let mut client = connect(server.address());
        client.create_accounts(&[account(1, 0), account(2, 0)]).expect("the server answers");
        let address = server.address().to_string();
        let stories: Vec<Story> = thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS as u64)
                .map(|number| {
                    let (address, seed) = (&address, seed.wrapping_add(life << 32 | number));
                    scope.spawn(move || work(address, seed))
                })
                .collect();
            thread::sleep(LIFE);
            server.kill();
            clients.into_iter().map(|client| client.join().expect("a client doesn't panic")).collect()
        });
        for story in stories {
            writes.extend(story.writes);
            reads.extend(story.reads);
        }
    }
    let server = Start::new(&data).serve();
    let mut client = connect(server.address());
    let order = in_order(&mut client, &writes);
    let all = client.lookup_accounts(&[1]).expect("the server answers")[0].debits_posted;
    assert_eq!(all, order.len() as u128, "what was acknowledged or is found is what has moved money");
    eprintln!("serializable: {} transfers in one order, {} look-ups", order.len(), reads.len());
    assert!(order.len() > 100 && reads.len() > 100, "something was done");
    check(&order, reads);
    server.stop();
}
