//! The engine against the reference model on written logs: cases that are easy to get wrong, and epochs at the bounds.
//! Each runs in many random orders of steps.

use auriga_shards::limits::{BLOCK_UNITS_MAX, EPOCH_UNITS_MAX};
use auriga_tests::exact::{SHARDS, Tally, compare};
use auriga_tests::random_log::{Epoch, Events, RandomLog, Request, STREAMS, TIME_START};
use auriga_tests::seeds::Count;
use auriga_wire::frame::REQUEST_RECORDS_MAX;
use auriga_wire::record::{AccountFlags, TransferFlags};
use auriga_wire::{Account, Transfer, TransferCode};
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

fn pending(id: u128, debit_account_id: u128, credit_account_id: u128, amount: u128) -> Transfer {
    Transfer { flags: TransferFlags::PENDING, ..transfer(id, debit_account_id, credit_account_id, amount) }
}

/// Of all that is pending.
fn post(id: u128, pending_id: u128) -> Transfer {
    let flags = TransferFlags::POST_PENDING_TRANSFER;
    Transfer { id, pending_id, amount: u128::MAX, flags, ..Transfer::default() }
}

fn void(id: u128, pending_id: u128) -> Transfer {
    Transfer { id, pending_id, flags: TransferFlags::VOID_PENDING_TRANSFER, ..Transfer::default() }
}

fn with(flags: u16, transfer: Transfer) -> Transfer {
    Transfer { flags: transfer.flags | flags, ..transfer }
}

/// Linked, all but the last.
fn chain<const N: usize>(mut transfers: [Transfer; N]) -> Vec<Transfer> {
    for transfer in &mut transfers[..N - 1] {
        transfer.flags |= TransferFlags::LINKED;
    }
    transfers.to_vec()
}

fn accounts(stream: u16, accounts: Vec<Account>) -> Request {
    Request { stream, events: Events::Accounts(accounts) }
}

fn transfers(stream: u16, transfers: Vec<Transfer>) -> Request {
    Request { stream, events: Events::Transfers(transfers) }
}

/// Compares in `orders` orders of steps.
fn check(name: &str, epochs: Vec<Vec<Request>>, shards: &[u16], orders: u64) -> Tally {
    let epochs = epochs.into_iter().map(|requests| Epoch { requests, ..Epoch::default() });
    check_log(name, &RandomLog { epochs: epochs.collect() }, shards, orders)
}

fn check_log(name: &str, log: &RandomLog, shards: &[u16], orders: u64) -> Tally {
    let mut tally = Tally::default();
    for seed in 0..orders {
        match compare(log, shards, seed) {
            Ok(counted) => tally.add(&counted),
            Err(mismatch) => panic!("{name}, order {seed}: {mismatch}"),
        }
    }
    println!("{name}: {} and {} messages in a ring at most", tally.route_slots, tally.control_slots);
    tally
}

type Case = (&'static str, fn() -> Vec<Vec<Request>>);

const CASES: [Case; 17] = [
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
    ("a post that asks for more than what was reserved in its own chain", || {
        let setup = vec![accounts(0, vec![account(1, 0), account(2, 0)])];
        let too_much = Transfer { amount: 6, ..post(11, 10) };
        let fails = chain([pending(10, 1, 2, 5), too_much]);
        let passes = chain([pending(12, 1, 2, 5), post(13, 12)]);
        let late = vec![post(14, 10), post(15, 12)];
        vec![setup, vec![transfers(0, fails), transfers(50, passes), transfers(100, late)]]
    }),
    ("room that a void makes for an amount near the end of the numbers", || {
        let setup = vec![accounts(0, vec![account(1, 0), account(2, 0), account(3, D)])];
        let huge = vec![pending(10, 1, 2, u128::MAX - 3), transfer(11, 1, 2, 1)];
        let again = vec![transfer(12, 1, 2, 7), void(13, 10), transfer(14, 1, 2, u128::MAX - 9)];
        let passed_on =
            vec![transfer(15, 1, 3, 8), pending(16, 2, 3, 3), post(17, 16), transfer(18, 3, 1, 3)];
        vec![setup, vec![transfers(0, huge)], vec![transfers(0, again), transfers(80, passed_on)]]
    }),
    ("posts and voids after an overflow that makes all accounts tracked", || {
        let setup = vec![accounts(0, (1..=4).map(|id| account(id, if id == 4 { D } else { 0 })).collect())];
        let open =
            vec![transfer(10, 1, 4, 9), pending(11, 4, 2, 5), pending(12, 2, 1, 3), transfer(13, 4, 3, 4)];
        let over = vec![void(14, 12), transfer(15, 2, 1, u128::MAX), transfer(16, 2, 1, u128::MAX)];
        let after = vec![post(17, 11), void(18, 11), transfer(19, 4, 3, 1)];
        vec![setup, vec![transfers(0, open), transfers(70, over), transfers(127, after)]]
    }),
    ("posts of what was pending on accounts that never came to be", || {
        let linked = |id| Account { flags: AccountFlags::LINKED, ..account(id, 0) };
        let failed = vec![linked(2), linked(3), account(1, D)];
        let setup = vec![accounts(0, vec![account(1, 0)])];
        let open = vec![pending(10, 1, 2, 5), pending(11, 2, 3, 5), pending(12, 1, 9, 5)];
        let ends = vec![post(13, 10), post(14, 11), void(15, 12), void(16, 10)];
        let single = vec![account(2, 0), account(3, C), account(2, D)];
        let later = vec![pending(17, 1, 2, 1), post(18, 17), transfer(19, 2, 3, 1)];
        vec![
            setup,
            vec![
                accounts(0, failed),
                transfers(0, open),
                transfers(60, ends),
                accounts(61, single),
                transfers(99, later),
            ],
        ]
    }),
    ("a chain that opens an account and posts on it, and fails", || {
        let closing = TransferFlags::CLOSING_DEBIT;
        let setup = vec![accounts(0, vec![account(1, 0), account(2, 0), account(3, 0)])];
        let first = vec![
            pending(10, 1, 2, 5),
            with(closing, pending(11, 1, 3, 0)),
            with(closing, pending(12, 2, 3, 0)),
        ];
        let fails = chain([void(13, 11), post(14, 10)]);
        let passes = chain([void(15, 12), void(16, 11), post(17, 10), transfer(18, 1, 2, 1)]);
        vec![
            setup,
            vec![transfers(0, first)],
            vec![transfers(0, fails.clone()), transfers(90, passes)],
            vec![transfers(0, fails)],
        ]
    }),
    ("two posts and a void of the same, the first of which is refused", || {
        let setup = vec![accounts(0, vec![account(1, D), account(2, 0), account(3, 0)])];
        let open = vec![transfer(10, 3, 1, 5), pending(11, 1, 2, 5)];
        let ends = [
            chain([post(12, 11), transfer(13, 1, 2, 1)]),
            vec![post(14, 11), void(15, 11), transfer(16, 1, 3, 1)],
        ];
        vec![
            setup,
            vec![transfers(0, open)],
            vec![transfers(0, ends.concat()), transfers(64, vec![post(14, 11)])],
        ]
    }),
    ("balances that are emptied while they are filled", || {
        let empty = |id, from, to| with(TransferFlags::BALANCING_DEBIT, transfer(id, from, to, u128::MAX));
        let setup = vec![accounts(0, vec![account(1, 0), account(2, D), account(3, 0), account(4, C)])];
        let one = vec![
            transfer(10, 3, 1, 5),
            empty(11, 1, 2),
            empty(12, 1, 2),
            empty(13, 2, 3),
            transfer(14, 2, 3, 1),
        ];
        let two = vec![
            with(TransferFlags::PENDING, empty(15, 3, 1)),
            post(16, 15),
            empty(17, 1, 4),
            transfer(18, 4, 3, 2),
        ];
        let both = with(TransferFlags::BALANCING, transfer(19, 1, 4, 9));
        vec![
            setup,
            vec![transfers(0, one), transfers(77, two), transfers(78, chain([both, transfer(20, 4, 1, 3)]))],
        ]
    }),
    ("what is sent twice in a chain, and after it", || {
        let setup = vec![accounts(0, vec![account(1, 0), account(2, 0)])];
        let twice = chain([transfer(10, 1, 2, 1), transfer(11, 1, 2, 1), transfer(10, 1, 2, 1)]);
        let good = chain([transfer(12, 1, 2, 1), transfer(13, 1, 2, 1)]);
        let all = [twice.clone(), good.clone(), good, twice].concat();
        vec![setup, vec![transfers(0, all.clone()), transfers(100, all.clone())], vec![transfers(0, all)]]
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

/// Deadlines beyond the end of time are refused, and cost nothing else.
#[test]
fn deadlines_beyond_the_end_of_time() {
    let end = i64::MAX as u64;
    let setup = vec![accounts(0, vec![account(1, 0), account(2, 0), account(3, D)])];
    let late = |id, debit, timeout| Transfer { timeout, ..pending(id, debit, 2, 1) };
    let open = vec![late(10, 1, 1), late(11, 1, 3), late(12, 3, 3), late(13, 9, 3), late(11, 1, 3)];
    let ends = vec![post(14, 10), post(15, 11), post(16, 12)];
    let epochs = vec![
        Epoch { requests: setup, ..Epoch::default() },
        Epoch {
            pause: end - 2_000_000_000 - TIME_START,
            requests: vec![transfers(0, open), transfers(90, ends)],
            ..Epoch::default()
        },
    ];
    let tally = check_log("the end of time", &RandomLog { epochs }, &SHARDS, 20);
    assert!(tally.transfer_codes.contains_key(&TransferCode::OverflowsTimeout));
}

/// Three posts in the very nanosecond of their deadlines, and one before it.
#[test]
fn a_post_at_its_deadline_is_too_late() {
    let setup = vec![accounts(0, vec![account(1, 0), account(2, 0)])];
    let open = |id| Transfer { timeout: 1, ..pending(id, 1, 2, 1) };
    for (early, expired) in [(0, true), (1, false)] {
        let epochs = vec![
            Epoch { requests: setup.clone(), ..Epoch::default() },
            Epoch { requests: vec![transfers(0, vec![open(10), open(11), open(12)])], ..Epoch::default() },
            // Two headers and three transfers lie in between.
            Epoch {
                pause: 1_000_000_000 - 5 - early,
                expire_back: u64::MAX,
                requests: vec![transfers(0, vec![post(13, 10), post(14, 11), post(15, 12)])],
                ..Epoch::default()
            },
        ];
        let tally = check_log("deadlines", &RandomLog { epochs }, &SHARDS, 20);
        assert_eq!(tally.transfer_codes.contains_key(&TransferCode::PendingTransferExpired), expired);
    }
}
