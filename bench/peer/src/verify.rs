//! Does the other ledger hold what it acknowledged? Every balance, the number of transfers, and each transfer.

use crate::peer::{Balance, Peer};
use auriga_bench::differences::Differences;
use auriga_bench::failure::Failure;
use auriga_bench::model::{Model, Sums};
use auriga_bench::report::{count, say};
use auriga_bench::workload::account_id;
use auriga_wire::frame::REQUEST_RECORDS_MAX;
use std::collections::BTreeMap;

/// Compares the ledger with the model and says what was found; true if nothing differs.
pub fn verify(peer: &mut dyn Peer, model: &mut Model) -> Result<bool, Failure> {
    model.sum_up();
    let balances = peer.balances()?;
    let accounts = check_balances(&balances, &model.sums);
    let total =
        |side: fn(&Balance) -> i64| balances.values().map(|balance| i128::from(side(balance))).sum::<i128>();
    let (debits, credits) = (total(|balance| balance.debits), total(|balance| balance.credits));

    let acknowledged = model.executed * u64::from(model.plan.sizes.max());
    let stored = peer.count()?;
    let (right, transfers) = check_transfers(peer, model)?;

    let word = |good| if good { "verified" } else { "NOT VERIFIED" };
    let all = model.sums.len() as u64;
    say(&format!(
        "{}: debits {debits} and credits {credits} {}\n\
         {}: {} of {} accounts hold exactly what the generator's model says\n\
         {}: {} transfers are stored, {} were acknowledged\n\
         {}: {} acknowledged transfers found with the right content",
        word(debits == credits),
        if debits == credits { "are equal" } else { "DIFFER" },
        word(accounts.count == 0),
        count(all.saturating_sub(accounts.count)),
        count(all),
        word(stored == acknowledged),
        count(stored),
        count(acknowledged),
        word(transfers.count == 0 && right == acknowledged),
        count(right),
    ));
    for text in accounts.told.iter().chain(&transfers.told) {
        say(&format!("  {text}"));
    }
    let good = accounts.count == 0 && transfers.count == 0 && debits == credits;
    Ok(good && stored == acknowledged && right == acknowledged)
}

/// Compares what each account holds with the model's sums, by index.
fn check_balances(found: &BTreeMap<u128, Balance>, sums: &[Sums]) -> Differences {
    let mut differences = Differences::default();
    for (index, sums) in (0..).zip(sums) {
        let id = account_id(index);
        let expected = Balance { debits: sums.debits_posted, credits: sums.credits_posted };
        match found.get(&id) {
            Some(balance) if *balance == expected => {}
            Some(Balance { debits, credits }) => differences.note(|| {
                let Balance { debits: debits_expected, credits: credits_expected } = expected;
                format!(
                    "account {id}: found debits {debits} and credits {credits}, \
                     expected debits {debits_expected} and credits {credits_expected}"
                )
            }),
            None => differences.note(|| format!("account {id}: not found")),
        }
    }
    for id in found.keys().filter(|id| !(1..=sums.len() as u128).contains(*id)) {
        differences.note(|| format!("account {id}: found, and nobody created it"));
    }
    differences
}

/// Looks up every transfer that was sent, as many batches at once as fit. Returns how many are right.
fn check_transfers(peer: &mut dyn Peer, model: &Model) -> Result<(u64, Differences), Failure> {
    let (mut right, mut differences) = (0, Differences::default());
    let size = u128::from(model.plan.sizes.max());
    let at_once = (REQUEST_RECORDS_MAX / model.plan.sizes.max() as usize).max(1);
    let numbers: Vec<u64> = (0..model.kept.sent()).collect();
    for group in numbers.chunks(at_once) {
        let first_ids: Vec<u128> = group.iter().map(|number| model.first_id(*number)).collect();
        let ids: Vec<u128> = first_ids.iter().flat_map(|first| *first..first + size).collect();
        let mut found = peer.transfers(&ids)?;
        // Auriga's timestamps tell a transfer's place in its batch, and the model compares them. Here its id tells it.
        for transfer in &mut found {
            let batch = first_ids.partition_point(|first| *first <= transfer.id).saturating_sub(1);
            transfer.timestamp = (transfer.id - first_ids[batch]) as u64;
        }
        let mut found = found.iter().peekable();
        for number in group {
            right += model.compare(*number, &mut found, &mut differences).0;
        }
    }
    Ok((right, differences))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_told() {
        let sums = |debits_posted, credits_posted| Sums { debits_posted, credits_posted, ..Sums::default() };
        let model = [sums(5, 0), sums(0, 5)];
        let balance = |id, debits, credits| (id, Balance { debits, credits });
        let cases = [
            (vec![balance(1, 5, 0), balance(2, 0, 5)], ""),
            (
                vec![balance(1, 5, 0), balance(2, 0, 4)],
                "account 2: found debits 0 and credits 4, expected debits 0 and credits 5",
            ),
            (vec![balance(2, 0, 5)], "account 1: not found"),
            (
                vec![balance(1, 5, 0), balance(2, 0, 5), balance(3, 0, 0)],
                "account 3: found, and nobody created it",
            ),
        ];
        for (found, expected) in cases {
            let differences = check_balances(&found.into_iter().collect(), &model);
            assert_eq!(differences.told.join("\n"), expected);
            assert_eq!(differences.count, u64::from(!expected.is_empty()));
        }
    }
}
