//! What is drawn: accounts and amounts, from a seed, one transfer after the other.

/// Largest amount of a generated transfer.
pub const AMOUNT_MAX: u64 = 1024;

/// The part of a transfer that is drawn: accounts by index from 0, and amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Index of the account debited.
    pub debit: u32,
    /// Index of the account credited; another one.
    pub credit: u32,
    /// From 1 on.
    pub amount: u64,
}

/// What transfers are drawn from.
#[derive(Clone, Copy, Debug)]
pub struct Among {
    /// Accounts, by index from 0.
    pub accounts: u32,
    /// Share of draws that touch account 1, in parts of 2^32.
    pub hot: u64,
    /// Share of draws whose credit account is not there, in parts of 2^32: it is the one behind the last.
    pub failing: u64,
    /// Whether each draw is between accounts of an even and an odd index.
    pub sides: bool,
}

/// Draws of one batch, without end.
#[derive(Debug)]
pub struct Draws {
    random: fastrand::Rng,
    among: Among,
}

impl Draws {
    /// From this source.
    pub fn new(random: fastrand::Rng, among: Among) -> Self {
        Self { random, among }
    }

    /// The next one.
    #[inline]
    pub fn draw(&mut self) -> Draw {
        let Among { accounts, hot, failing, sides } = self.among;
        let accounts = u64::from(accounts);
        let (places, rest) = (self.random.u64(..), self.random.u64(..));
        let scale = |bits: u64, count: u64| ((bits & 0xffff_ffff) * count) >> 32;
        let first = if (rest >> 32) < hot { 0 } else { scale(places, accounts) };
        let other = if sides {
            let side = 1 - first % 2;
            2 * scale(places >> 32, (accounts + 1 - side) / 2) + side
        } else {
            let other = scale(places >> 32, accounts - 1);
            other + u64::from(other >= first)
        };
        let (debit, mut credit) = if rest & (1 << 31) == 0 { (first, other) } else { (other, first) };
        if failing > 0 && self.random.u64(..) >> 32 < failing {
            credit = accounts;
        }
        Draw { debit: debit as u32, credit: credit as u32, amount: 1 + rest % AMOUNT_MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn draws(accounts: u32, hot: f64) -> impl Iterator<Item = Draw> {
        let hot = (hot * (1_u64 << 32) as f64) as u64;
        draws_among(Among { accounts, hot, failing: 0, sides: false })
    }

    fn draws_among(among: Among) -> impl Iterator<Item = Draw> {
        let mut draws = Draws::new(fastrand::Rng::with_seed(3), among);
        std::iter::repeat_with(move || draws.draw())
    }

    #[test]
    fn accounts_differ_lie_in_range_and_all_occur() {
        for accounts in [2, 3, 50] {
            let mut seen = BTreeSet::new();
            for draw in draws(accounts, 0.0).take(2_000) {
                assert_ne!(draw.debit, draw.credit);
                assert!(draw.debit < accounts && draw.credit < accounts);
                assert!((1..=AMOUNT_MAX).contains(&draw.amount));
                seen.extend([draw.debit, draw.credit]);
            }
            assert_eq!(seen.len(), accounts as usize);
        }
    }

    #[test]
    fn the_hot_share_is_met() {
        let hot = |share| {
            let draws = draws(1_000_000, share).take(10_000);
            draws.filter(|draw| draw.debit == 0 || draw.credit == 0).count()
        };
        assert!(hot(0.0) < 10);
        assert!((2_700..3_300).contains(&hot(0.3)), "{}", hot(0.3));
        assert_eq!(hot(1.0), 10_000);
    }

    #[test]
    fn sides_differ_and_every_account_of_each_occurs() {
        for accounts in [2, 3, 50, 51] {
            let mut seen = BTreeSet::new();
            let among = Among { accounts, hot: 0, failing: 0, sides: true };
            for draw in draws_among(among).take(3_000) {
                assert_ne!(draw.debit % 2, draw.credit % 2);
                seen.extend([draw.debit, draw.credit]);
            }
            assert_eq!((seen.len(), seen.last()), (accounts as usize, Some(&(accounts - 1))));
        }
    }

    #[test]
    fn the_failing_share_is_met() {
        let among = Among { accounts: 50, hot: 0, failing: (1 << 32) / 10, sides: false };
        let failing = draws_among(among).take(10_000).filter(|draw| draw.credit == 50).count();
        assert!((900..1_100).contains(&failing), "{failing}");
    }
}
