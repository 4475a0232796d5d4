//! Pending transfers, chains and balancing transfers through a running server, and across its death.

use auriga_tests::harness::{Scratch, Start, format_any};
use auriga_tests::load::connect;
use auriga_wire::record::TransferFlags;
use auriga_wire::{Account, Client, Transfer, TransferCode};
use std::time::{Duration, Instant};

/// Far more than the second of the timeout: a hang.
const HANG: Duration = Duration::from_secs(60);

fn transfer(id: u128, flags: u16, amount: u128) -> Transfer {
    let accounts = if flags & TransferFlags::RESOLVING == 0 { (1, 2) } else { (0, 0) };
    let (ledger, code) = if accounts.0 == 0 { (0, 0) } else { (1, 1) };
    Transfer {
        id,
        debit_account_id: accounts.0,
        credit_account_id: accounts.1,
        amount,
        ledger,
        code,
        flags,
        ..Transfer::default()
    }
}

fn codes(client: &mut Client, transfers: &[Transfer]) -> Vec<(u32, TransferCode)> {
    let created = client.create_transfers(transfers).expect("the server answers");
    let code = |number| TransferCode::from_number(number).expect("a code of ours");
    created.refusals.iter().map(|refusal| (refusal.index, code(refusal.code))).collect()
}

fn pending_debits(client: &mut Client) -> u128 {
    client.lookup_accounts(&[1]).expect("the server answers")[0].debits_pending
}

#[test]
fn pending_transfers_survive_a_kill_and_expire_by_themselves() {
    type F = TransferFlags;
    let scratch = Scratch::new("two-phase");
    let data = scratch.join("data");
    format_any(&data);
    let server = Start::new(&data).shards(2).serve();
    let mut client = connect(server.address());
    let accounts = [1, 2, 3].map(|id| Account { id, ledger: 1, code: 1, ..Account::default() });
    assert!(client.create_accounts(&accounts).expect("the server answers").refusals.is_empty());
    let first = [
        Transfer { user_data_64: 9, ..transfer(10, F::PENDING, 100) },
        transfer(11, F::PENDING, 50),
        Transfer { timeout: 1, ..transfer(12, F::PENDING, 7) },
        Transfer { pending_id: 10, ..transfer(13, F::POST_PENDING_TRANSFER, 60) },
        transfer(14, F::LINKED, 5),
        Transfer { pending_id: 10, ..transfer(15, F::VOID_PENDING_TRANSFER, 0) },
        // Account 2 has 60 more credits than debits.
        Transfer { debit_account_id: 2, credit_account_id: 3, ..transfer(16, F::BALANCING_DEBIT, u128::MAX) },
    ];
    let refused = [(4, TransferCode::LinkedEventFailed), (5, TransferCode::PendingTransferAlreadyPosted)];
    assert_eq!(codes(&mut client, &first), refused);
    server.kill();

    let server = Start::new(&data).shards(3).serve();
    let mut client = connect(server.address());
    let second = [
        Transfer { pending_id: 11, ..transfer(20, F::VOID_PENDING_TRANSFER, 0) },
        transfer(14, F::LINKED, 5),
        transfer(21, 0, 1),
    ];
    let refused = [(1, TransferCode::IdAlreadyFailed), (2, TransferCode::LinkedEventFailed)];
    assert_eq!(codes(&mut client, &second), refused);
    let found = client.lookup_transfers(&[13, 16, 20, 14]).expect("the server answers");
    let seen: Vec<_> = found.iter().map(|t| (t.id, t.debit_account_id, t.amount, t.user_data_64)).collect();
    assert_eq!(seen, [(13, 1, 60, 9), (16, 2, 60, 0), (20, 1, 50, 0)]);
    let begun = Instant::now();
    while pending_debits(&mut client) != 0 {
        assert!(begun.elapsed() < HANG, "what nobody posts expires");
        std::thread::sleep(Duration::from_millis(20));
    }
    let late = Transfer { pending_id: 12, ..transfer(22, F::POST_PENDING_TRANSFER, u128::MAX) };
    assert_eq!(codes(&mut client, &[late]), [(0, TransferCode::PendingTransferExpired)]);
    let account = client.lookup_accounts(&[1]).expect("the server answers")[0];
    assert_eq!((account.debits_posted, account.debits_pending), (60, 0));
    server.stop();
}
