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

/// Draws of one batch, without end.
#[derive(Debug)]
pub struct Draws {
    random: fastrand::Rng,
    accounts: u64,
    hot: u64,
}

impl Draws {
    /// Between so many accounts; `hot` is the share of draws that touch account 1, in parts of 2^32.
    pub fn new(random: fastrand::Rng, accounts: u32, hot: u64) -> Self {
        Self { random, accounts: u64::from(accounts), hot }
    }

    /// The next one.
    #[inline]
    pub fn draw(&mut self) -> Draw {
        let (places, rest) = (self.random.u64(..), self.random.u64(..));
        let scale = |bits: u64, count: u64| ((bits & 0xffff_ffff) * count) >> 32;
        let first = if (rest >> 32) < self.hot { 0 } else { scale(places, self.accounts) };
        let other = scale(places >> 32, self.accounts - 1);
        let other = other + u64::from(other >= first);
        let (debit, credit) = if rest & (1 << 31) == 0 { (first, other) } else { (other, first) };
        Draw { debit: debit as u32, credit: credit as u32, amount: 1 + rest % AMOUNT_MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn draws(accounts: u32, hot: f64) -> impl Iterator<Item = Draw> {
        let hot = (hot * (1_u64 << 32) as f64) as u64;
        let mut draws = Draws::new(fastrand::Rng::with_seed(3), accounts, hot);
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
}
