//! Which accounts most transfers touch: a sample of what arrives at a core, in a table of a fixed size. Used by the core alone, and
//! only while somebody looks.
//!
//! The table is Space-Saving (Metwally, Agrawal, El Abbadi 2005): an account that has no place takes that of the one with the fewest
//! hits, and its hits as an error. What a count has above its error is certain, so that accounts that come and go alike show next to
//! nothing. Every so often counts are halved, so that what was is forgotten.
//!
//! How many transfers are looked at between two such times is bounded: the more arrive, the more are passed over, and the more each
//! look counts.

use auriga_wire::Transfer;

/// Accounts that have a place.
const PLACES: usize = 64;
/// After so many looks only half as many transfers are looked at as before.
const LOOKS: u32 = 512;
/// One in so many transfers is looked at, at least.
const ONE_IN_MAX: u64 = 1 << 20;

#[derive(Clone, Copy, Debug)]
struct Place {
    account: u128,
    count: u64,
    error: u64,
}

/// A core's table.
#[derive(Debug)]
pub struct Hottest {
    places: Vec<Place>,
    hits: u64,
    /// One in so many transfers is looked at, on average. The distance is random: batches often have a pattern of their own.
    one_in: u64,
    /// Looks since that changed.
    looks: u32,
    /// Transfers to pass over before the next one is looked at.
    pass: usize,
    random: u64,
}

/// What a table says.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Hits in all: two for each transfer that was looked at, and for each that was passed over for it.
    pub hits: u64,
    /// Accounts with the hits that are certain, most first.
    pub accounts: Vec<(u128, u64)>,
}

impl Hottest {
    /// An empty table; `seed` is any number.
    pub fn new(seed: u64) -> Self {
        Self { places: Vec::with_capacity(PLACES), hits: 0, one_in: 1, looks: 0, pass: 0, random: seed | 1 }
    }

    /// Looks at some of the transfers of a request.
    pub fn look(&mut self, transfers: &[Transfer]) {
        let mut at = self.pass;
        while let Some(transfer) = transfers.get(at) {
            // A post or void may leave its accounts to the pending transfer.
            for account in [transfer.debit_account_id, transfer.credit_account_id] {
                if account != 0 {
                    self.hit(account);
                }
            }
            self.looks += 1;
            if self.looks == LOOKS {
                self.looks = 0;
                self.one_in = (self.one_in * 2).min(ONE_IN_MAX);
            }
            at += self.distance();
        }
        self.pass = at - transfers.len();
    }

    fn hit(&mut self, account: u128) {
        let weight = self.one_in;
        self.hits += weight;
        if let Some(place) = self.places.iter_mut().find(|place| place.account == account) {
            place.count += weight;
        } else if self.places.len() < PLACES {
            self.places.push(Place { account, count: weight, error: 0 });
        } else {
            let least = self.places.iter_mut().min_by_key(|place| place.count).expect("the table has places");
            *least = Place { account, count: least.count + weight, error: least.count };
        }
    }

    /// 1 to less than twice `one_in`; xorshift.
    fn distance(&mut self) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (1 + self.random % (2 * self.one_in - 1)) as usize
    }

    /// What it says now.
    pub fn sample(&self) -> Sample {
        let certain = self.places.iter().map(|place| (place.account, place.count - place.error));
        let mut accounts: Vec<_> = certain.filter(|(_, hits)| *hits > 0).collect();
        accounts.sort_unstable_by_key(|(account, hits)| (u64::MAX - hits, *account));
        Sample { hits: self.hits, accounts }
    }

    /// Forgets half, and looks at more from then on, if there isn't as much as before.
    pub fn fade(&mut self) {
        self.one_in = (self.one_in / 2).max(1);
        self.looks = 0;
        self.hits /= 2;
        for place in &mut self.places {
            place.count /= 2;
            place.error /= 2;
        }
        self.places.retain(|place| place.count > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transfer(debit: u128, credit: u128) -> Transfer {
        Transfer { debit_account_id: debit, credit_account_id: credit, ..Transfer::default() }
    }

    /// So many requests of transfers, every `every`th of them between two accounts and the others between any.
    fn table(requests: usize, batch: usize, every: usize) -> Hottest {
        let mut hottest = Hottest::new(7);
        let mut next = 1_000;
        for _ in 0..requests {
            let transfers: Vec<Transfer> = (0..batch)
                .map(|index| {
                    next += 2;
                    if index % every == 0 { transfer(1, 2) } else { transfer(next, next + 1) }
                })
                .collect();
            hottest.look(&transfers);
        }
        hottest
    }

    #[test]
    fn what_is_hot_stands_out() {
        for (requests, batch) in [(20, 8_190), (20_000, 8)] {
            let sample = table(requests, batch, 4).sample();
            let two: Vec<u128> = sample.accounts.iter().take(2).map(|(account, _)| *account).collect();
            assert!(two.contains(&1) && two.contains(&2), "{sample:?}");
            // A quarter of all hits fall on the two together.
            for (_, hits) in &sample.accounts[..2] {
                let share = *hits as f64 / sample.hits as f64;
                assert!((0.09..0.15).contains(&share), "{share} of {sample:?}");
            }
            assert!(
                sample.accounts[2..].iter().all(|(_, hits)| *hits * 20 < sample.accounts[1].1),
                "{sample:?}"
            );
            let estimate = sample.hits as f64 / 2.0 / (requests * batch) as f64;
            assert!((0.9..1.1).contains(&estimate), "{estimate} of the transfers");
        }
    }

    #[test]
    fn what_all_accounts_share_stands_not_out() {
        let sample = table(50, 8_190, usize::MAX).sample();
        assert!(
            sample
                .accounts
                .iter()
                .filter(|(account, _)| *account > 2)
                .all(|(_, hits)| hits * 200 < sample.hits),
            "{sample:?}"
        );
    }

    #[test]
    fn few_transfers_are_all_looked_at_and_many_are_not() {
        let few = table(1, 500, 2);
        assert_eq!((few.one_in, few.hits), (1, 1_000));
        let mut many = table(200, 8_190, 2);
        let doublings = many.one_in.ilog2();
        assert!((9..=12).contains(&doublings), "one in {} of 1.6 million is looked at", many.one_in);
        (0..12).for_each(|_| many.fade());
        assert_eq!(many.one_in, 1, "when less arrives, all is looked at again");
    }

    #[test]
    fn the_table_keeps_its_size_and_forgets() {
        let mut hottest = table(50, 1_000, 2);
        assert!(hottest.places.len() <= PLACES);
        let before = hottest.sample();
        hottest.fade();
        assert_eq!(hottest.sample().hits, before.hits / 2);
        (0..64).for_each(|_| hottest.fade());
        assert!(hottest.places.is_empty() && hottest.sample().accounts.is_empty());
        hottest.look(&[transfer(0, 0); 500]);
        assert_eq!(hottest.sample().hits, 0, "no account, no hit");
    }
}
