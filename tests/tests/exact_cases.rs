//! The engine against the reference model on written logs: cases that are easy to get wrong, and epochs at the bounds.
//! Each runs in many random orders of steps.

use auriga_shards::limits::{BLOCK_UNITS_MAX, EPOCH_UNITS_MAX};
use auriga_tests::exact::{SHARDS, Tally, compare};
use auriga_tests::random_log::{Events, RandomLog, Request, STREAMS};
use auriga_tests::seeds::Count;
use auriga_wire::frame::REQUEST_RECORDS_MAX;
use auriga_wire::record::AccountFlags;
use auriga_wire::{Account, Transfer};
use fastrand::Rng;

/// Debits must not exceed credits.
const D: u16 = AccountFlags::DEBITS_MUST_NOT_EXCEED_CREDITS;
/// Credits must not exceed debits.
const C: u16 = AccountFlags::CREDITS_MUST_NOT_EXCEED_DEBITS;

fn account(id: u128, flags: u16) -> Account {
    Account { id, ledger: 1, code: 1, flags, ..Account::default() }
}

fn transfer(id: u128, debit_account_id: u128, credit_account_id: u128, amount: u128) -> Transfer {
    Transfer { id, debit_account_id, credit_account_id, amount, ledger: 1, code: 1, ..Transfer::default() }
}

fn accounts(stream: u16, accounts: Vec<Account>) -> Request {
    Request { stream, events: Events::Accounts(accounts) }
}

fn transfers(stream: u16, transfers: Vec<Transfer>) -> Request {
    Request { stream, events: Events::Transfers(transfers) }
}

/// Compares in `orders` orders of steps.
fn check(name: &str, epochs: Vec<Vec<Request>>, shards: &[u16], orders: u64) -> Tally {
    let log = RandomLog { epochs };
    let mut tally = Tally::default();
    for seed in 0..orders {
        match compare(&log, shards, seed) {
            Ok(counted) => tally.add(&counted),
            Err(mismatch) => panic!("{name}, order {seed}: {mismatch}"),
        }
    }
    println!("{name}: {} and {} messages in a ring at most", tally.route_slots, tally.control_slots);
    tally
}

type Case = (&'static str, fn() -> Vec<Vec<Request>>);

const CASES: [Case; 9] = [
    ("a duplicate of what only the coordinator refuses", || {
        let setup = vec![accounts(0, vec![account(1, D), account(2, D), account(3, 0)])];
        let coins =
            [transfer(10, 3, 1, 1), transfer(11, 1, 2, 1), transfer(12, 1, 2, 1), transfer(13, 2, 3, 2)];
        let again =
            vec![transfer(11, 1, 2, 1), transfer(12, 1, 2, 1), transfer(13, 2, 3, 1), transfer(12, 0, 2, 1)];
        let more = vec![transfer(14, 2, 3, 1), transfer(15, 2, 3, 1), transfer(15, 2, 3, 1)];
        vec![setup, vec![transfers(0, coins.to_vec()), transfers(60, again), transfers(120, more)]]
    }),
    ("the code of a transfer that the other side refuses for certain", || {
        let setup = vec![accounts(0, vec![account(1, D), account(2, C), account(3, 0)])];
        let open = vec![transfer(10, 3, 1, 5), transfer(11, 1, 3, 3)];
        let refused = vec![transfer(12, 1, 2, 3), transfer(13, 1, 2, 2), transfer(14, 1, 2, 0)];
        vec![setup, vec![transfers(0, open), transfers(100, refused)]]
    }),
    ("other ledgers on one side, on both, and the transfer's own", || {
        let other = |id, ledger| Account { ledger, ..account(id, 0) };
        let setup =
            vec![accounts(0, vec![account(1, 0), account(2, 0), other(3, 2), other(4, 2), other(5, 3)])];
        let pairs = (1..=5).flat_map(|a| (1..=5).map(move |b| (a, b))).filter(|(a, b)| a != b);
        let all = pairs.zip(10..).map(|((a, b), id)| transfer(id, a, b, 1)).collect();
        vec![setup, vec![transfers(0, all)]]
    }),
    ("an overflow that goes away when an earlier transfer is refused", || {
        let setup = vec![accounts(0, vec![account(1, D), account(2, 0), account(3, 0)])];
        let refused = vec![transfer(10, 1, 2, u128::MAX), transfer(11, 3, 2, 7)];
        let fits = vec![transfer(12, 3, 2, u128::MAX - 7), transfer(13, 3, 2, 1), transfer(14, 2, 3, 1)];
        vec![setup, vec![transfers(0, refused), transfers(70, fits)]]
    }),
    ("an overflow after transfers that were applied at once", || {
        let setup = vec![accounts(0, vec![account(1, D), account(2, 0), account(3, 0), account(4, C)])];
        let applied =
            vec![transfer(10, 2, 3, 5), transfer(11, 3, 1, 2), transfer(12, 1, 2, 3), transfer(13, 2, 9, 1)];
        let over =
            vec![transfer(14, 2, 3, u128::MAX), transfer(15, 2, 3, u128::MAX - 5), transfer(16, 2, 3, 1)];
        let after =
            vec![transfer(17, 1, 3, 2), transfer(18, 4, 2, 1), transfer(19, 3, 4, 1), transfer(20, 3, 4, 1)];
        vec![setup, vec![transfers(0, applied), transfers(64, over), transfers(127, after)]]
    }),
    ("accounts created between the transfers that name them", || {
        let first = vec![transfer(10, 1, 2, 1), transfer(11, 2, 1, 1)];
        let second = vec![transfer(12, 1, 2, 1), transfer(11, 2, 1, 1), transfer(13, 2, 3, 1)];
        let third = vec![transfer(14, 1, 3, 1), transfer(13, 2, 3, 1)];
        let create = |stream, id| accounts(stream, vec![account(id, 0), account(id, 0), account(id, D)]);
        vec![
            vec![transfers(0, first), create(0, 1), create(0, 2), transfers(0, second), create(1, 3)],
            vec![create(3, 3), transfers(3, third)],
        ]
    }),
    ("faulty transfers whose id is free, consumed, refused, and consumed later", || {
        let setup = vec![accounts(0, vec![account(1, 0), account(2, 0)])];
        let faulty = |id| Transfer { code: 0, ..transfer(id, 1, 2, 1) };
        let one = vec![faulty(10), transfer(10, 1, 2, 1), faulty(10), transfer(11, 1, 9, 1), faulty(11)];
        let two =
            vec![faulty(12), faulty(12), transfer(12, 2, 1, 4), transfer(10, 1, 2, 1), transfer(11, 1, 2, 1)];
        vec![setup, vec![transfers(0, one.clone()), transfers(50, two)], vec![transfers(0, one)]]
    }),
    ("money passed on along a chain whose head fails", || {
        let setup = vec![accounts(0, (1..=6).map(|id| account(id, D)).chain([account(7, 0)]).collect())];
        let chain = |id, amount| (1..6).map(move |i| transfer(id + i, i, i + 1, amount)).collect();
        let fund = vec![transfer(30, 7, 1, 5)];
        vec![setup, vec![transfers(0, chain(10, 5)), transfers(40, fund), transfers(90, chain(20, 5))]]
    }),
    ("limits on both sides of every transfer", || {
        let setup = vec![accounts(0, vec![account(1, D), account(2, C), account(3, 0)])];
        let fund = vec![transfer(10, 3, 1, 4), transfer(11, 2, 3, 4)];
        let both = (0..5).map(|i| transfer(12 + i, 1, 2, 3 - i % 3)).collect();
        vec![setup, vec![transfers(0, fund), transfers(99, both)]]
    }),
];

#[test]
fn tricky_cases() {
    for (name, epochs) in CASES {
        check(name, epochs(), &SHARDS, 100);
    }
}

/// Two limited accounts on all sides of every shard, and between them one coin.
#[test]
fn a_coin_that_goes_to_and_fro_in_one_epoch() {
    const TIMES: usize = 8_000;
    let coin = (0..TIMES).map(|i| {
        let (from, to) = if i.is_multiple_of(2) { (1, 2) } else { (2, 1) };
        transfer(10 + i as u128, from, to, 1)
    });
    let setup = vec![
        accounts(0, vec![account(1, D), account(2, D), account(3, 0)]),
        transfers(0, vec![transfer(5, 3, 1, 1)]),
    ];
    let epochs = vec![setup, vec![transfers(0, coin.collect())]];
    let tally = check("coin", epochs, &[1, 2, 3], 3);
    assert!(tally.transfer_codes.is_empty(), "{:?}", tally.transfer_codes);
}

/// Blocks, epochs and indexes at their bounds: random transfers, most of them tight and some twice, and a coin that goes
/// to and fro; spread over the shards, or all on one, as a replay on fewer shards has them.
#[test]
fn the_largest_epochs() {
    const ACCOUNTS: u128 = 12;
    const BLOCKS: usize = EPOCH_UNITS_MAX / BLOCK_UNITS_MAX;
    let mut rng = Rng::with_seed(1);
    let mut random = |_| {
        let debit = rng.u128(1..=ACCOUNTS);
        let credit = 1 + (debit + rng.u128(..ACCOUNTS - 1)) % ACCOUNTS;
        transfer(rng.u128(1..400_000), debit, credit, rng.u128(1..10))
    };
    let mut coin = |i: usize| {
        let (from, to) = if i.is_multiple_of(2) { (2, 3) } else { (3, 2) };
        transfer(1_000_000 + i as u128, from, to, 10)
    };
    for streams in [usize::from(STREAMS), BLOCKS] {
        let epoch = |record: &mut dyn FnMut(usize) -> Transfer| -> Vec<Request> {
            let block = |block| {
                let first = block * REQUEST_RECORDS_MAX;
                let records = (first..first + REQUEST_RECORDS_MAX).map(&mut *record).collect();
                transfers((block * streams / BLOCKS) as u16, records)
            };
            (0..BLOCKS).map(block).collect()
        };
        let flags = |id: u128| [0, 0, D, D, D, C][id as usize % 6];
        let setup = vec![
            accounts(0, (1..=ACCOUNTS).map(|id| account(id, flags(id))).collect()),
            transfers(1, vec![transfer(999_999, 1, 2, 10)]),
        ];
        check("largest", vec![setup, epoch(&mut coin), epoch(&mut random)], &SHARDS, 2);
    }
}

/// Accounts and transfers take turns in requests of one event, as many as a block holds.
#[test]
fn the_most_requests_of_alternating_kinds() {
    let requests = (BLOCK_UNITS_MAX - 1) / 2;
    for streams in [[0; 3], [0, 1, 2]] {
        let epoch = streams.into_iter().flat_map(|stream| {
            (0..requests).map(move |i| {
                let id = u128::from(stream) * 100_000 + i as u128;
                if i % 2 == 0 {
                    accounts(stream, vec![account(id + 1, 0)])
                } else {
                    transfers(stream, vec![transfer(id, id, 1, 1)])
                }
            })
        });
        let epoch: Vec<_> = if streams[1] == 0 { epoch.take(requests).collect() } else { epoch.collect() };
        check("alternating", vec![epoch], &SHARDS, 1);
    }
}
