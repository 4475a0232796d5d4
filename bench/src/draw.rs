//! What is drawn: accounts and amounts, from a seed, one transfer after the other.

use rand_core::RngCore;
use rand_distr::Distribution as _;
use std::fmt;
use std::str::FromStr;

/// Largest amount of a generated transfer.
pub const AMOUNT_MAX: u64 = 1024;
/// The exponent of a Zipf distribution for which nothing else is said: that of most benchmarks of stores.
const EXPONENT: f64 = 0.99;

/// The index of an account that is never there.
pub const NOBODY: u32 = u32::MAX;

/// The part of a transfer that is drawn: accounts by index from 0, and amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Index of the account debited.
    pub debit: u32,
    /// Index of the account credited; another one, or [`NOBODY`].
    pub credit: u32,
    /// From 1 on.
    pub amount: u64,
}

/// How the accounts of a transfer are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Drawn {
    /// Every account is as likely.
    Uniform,
    /// The account of rank k, which is the one with id k, is as likely as 1 / k^exponent says.
    Zipf(f64),
    /// Of fixed pairs; a transfer and the same one back, each pair as likely.
    PingPong,
}

impl FromStr for Drawn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, exponent) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let wrong =
            || format!("found `{text}`, expected uniform, zipf, zipf:EXPONENT from 0 to 10, or ping-pong");
        match (name, exponent) {
            ("uniform", None) => Ok(Self::Uniform),
            ("ping-pong", None) => Ok(Self::PingPong),
            ("zipf", None) => Ok(Self::Zipf(EXPONENT)),
            ("zipf", Some(text)) => {
                let exponent = text.parse().ok().filter(|exponent| (0.0..=10.0).contains(exponent));
                exponent.map(Self::Zipf).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => f.write_str("uniform"),
            Self::Zipf(exponent) => write!(f, "zipf:{exponent}"),
            Self::PingPong => f.write_str("ping-pong"),
        }
    }
}

/// What transfers are drawn from.
#[derive(Clone, Copy, Debug)]
pub struct Among {
    /// Accounts, by index from 0.
    pub accounts: u32,
    /// How they are drawn.
    pub drawn: Drawn,
    /// Share of draws that touch a hot account, in parts of 2^32.
    pub hot: u64,
    /// The hot accounts: so many, from account 1 on.
    pub hot_accounts: u32,
    /// Share of draws whose credit account is not there, in parts of 2^32: it is [`NOBODY`].
    pub failing: u64,
    /// Whether each draw is between accounts of an even and an odd index.
    pub sides: bool,
}

/// Draws of one batch, without end.
#[derive(Debug)]
pub struct Draws {
    random: Random,
    among: Among,
    /// Of a Zipf distribution: the ranks of one account, and of the other among those that are left.
    ranks: Option<[rand_distr::Zipf<f64>; 2]>,
    /// Of a pair: the transfer that goes back next.
    back: Option<Draw>,
}

impl Draws {
    /// From this source.
    pub fn new(random: fastrand::Rng, among: Among) -> Self {
        let ranks = match among.drawn {
            Drawn::Zipf(exponent) => {
                let others = if among.sides { among.accounts / 2 } else { among.accounts - 1 };
                let of = |count: u32| {
                    rand_distr::Zipf::new(f64::from(count), exponent)
                        .expect("there are accounts, and the exponent is checked")
                };
                Some([of(among.accounts), of(others)])
            }
            _ => None,
        };
        Self { random: Random(random), among, ranks, back: None }
    }

    /// The next one.
    #[inline]
    pub fn draw(&mut self) -> Draw {
        let mut draw = match self.back.take() {
            Some(back) => back,
            None => self.forth(),
        };
        if self.among.failing > 0 && self.random.0.u64(..) >> 32 < self.among.failing {
            draw.credit = NOBODY;
        }
        draw
    }

    #[inline]
    fn forth(&mut self) -> Draw {
        let Among { accounts, drawn, hot, hot_accounts, sides, .. } = self.among;
        let accounts = u64::from(accounts);
        let (places, rest) = (self.random.0.u64(..), self.random.0.u64(..));
        let scale = |bits: u64, count: u64| ((bits & 0xffff_ffff) * count) >> 32;
        let hot = ((rest >> 32) < hot).then(|| scale(places, u64::from(hot_accounts)));
        let [of_first, of_other] = match self.ranks {
            None => [scale(places, accounts), places >> 32],
            Some(ranks) => ranks.map(|ranks| ranks.sample(&mut self.random) as u64 - 1),
        };
        let place =
            |count: u64| if self.ranks.is_some() { of_other.min(count - 1) } else { scale(of_other, count) };
        let mut first = hot.unwrap_or(of_first);
        let other = if drawn == Drawn::PingPong {
            // Of an odd number of accounts the last one has no partner.
            first = first.min(accounts / 2 * 2 - 1);
            first ^ 1
        } else if sides {
            let side = 1 - first % 2;
            2 * place((accounts + 1 - side) / 2) + side
        } else {
            let other = place(accounts - 1);
            other + u64::from(other >= first)
        };
        let (debit, credit) = if rest & (1 << 31) == 0 { (first, other) } else { (other, first) };
        let draw = Draw { debit: debit as u32, credit: credit as u32, amount: 1 + rest % AMOUNT_MAX };
        if drawn == Drawn::PingPong {
            self.back = Some(Draw { debit: draw.credit, credit: draw.debit, ..draw });
        }
        draw
    }
}

impl Iterator for Draws {
    type Item = Draw;

    #[inline]
    fn next(&mut self) -> Option<Draw> {
        Some(self.draw())
    }
}

/// The source of draws, as `rand_distr` wants it.
#[derive(Debug)]
struct Random(fastrand::Rng);

impl RngCore for Random {
    fn next_u32(&mut self) -> u32 {
        self.0.u32(..)
    }

    fn next_u64(&mut self) -> u64 {
        self.0.u64(..)
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const AMONG: Among =
        Among { accounts: 50, drawn: Drawn::Uniform, hot: 0, hot_accounts: 1, failing: 0, sides: false };
    const DISTRIBUTIONS: [Drawn; 4] = [Drawn::Uniform, Drawn::Zipf(0.5), Drawn::Zipf(1.0), Drawn::PingPong];

    fn draws(among: Among) -> impl Iterator<Item = Draw> {
        let mut draws = Draws::new(fastrand::Rng::with_seed(3), among);
        std::iter::repeat_with(move || draws.draw())
    }

    #[test]
    fn accounts_differ_lie_in_range_and_all_occur() {
        for drawn in DISTRIBUTIONS {
            for accounts in [2, 3, 50] {
                let mut seen = BTreeSet::new();
                for draw in draws(Among { accounts, drawn, ..AMONG }).take(4_000) {
                    assert_ne!(draw.debit, draw.credit);
                    assert!(draw.debit < accounts && draw.credit < accounts);
                    assert!((1..=AMOUNT_MAX).contains(&draw.amount));
                    seen.extend([draw.debit, draw.credit]);
                }
                let paired = if drawn == Drawn::PingPong { accounts / 2 * 2 } else { accounts };
                assert_eq!(seen.len(), paired as usize, "{drawn}");
            }
        }
    }

    #[test]
    fn plain_draws_stay_what_they_were() {
        // A run of before can be made again: the sums of a seed's draws.
        let first: Vec<Draw> = draws(AMONG).take(2).collect();
        let mut random = fastrand::Rng::with_seed(3);
        for draw in first {
            let (places, rest) = (random.u64(..), random.u64(..));
            let first = ((places & 0xffff_ffff) * 50) >> 32;
            let other = ((places >> 32) * 49) >> 32;
            let other = other + u64::from(other >= first);
            let (debit, credit) = if rest & (1 << 31) == 0 { (first, other) } else { (other, first) };
            assert_eq!(
                draw,
                Draw { debit: debit as u32, credit: credit as u32, amount: 1 + rest % AMOUNT_MAX }
            );
        }
    }

    #[test]
    fn the_hot_share_is_met() {
        for drawn in [Drawn::Uniform, Drawn::PingPong] {
            for hot_accounts in [1, 3] {
                let hot = |share: f64| {
                    let hot = (share * (1_u64 << 32) as f64) as u64;
                    let among = Among { accounts: 1_000_000, drawn, hot, hot_accounts, ..AMONG };
                    let is_hot = |draw: &Draw| draw.debit < hot_accounts || draw.credit < hot_accounts;
                    draws(among).take(10_000).filter(is_hot).count()
                };
                assert!(hot(0.0) < 10);
                assert!((2_700..3_300).contains(&hot(0.3)), "{}", hot(0.3));
                assert_eq!(hot(1.0), 10_000);
            }
        }
    }

    #[test]
    fn ranks_have_the_shares_of_a_zipf_distribution() {
        let mut counts = [0_u32; 50];
        for draw in draws(Among { drawn: Drawn::Zipf(1.0), ..AMONG }).take(100_000) {
            counts[draw.debit as usize] += 1;
            counts[draw.credit as usize] += 1;
        }
        // One side has rank k with 1 / (k H), H the sum of 1 / k up to 50; the other is drawn without the first one.
        let harmonic = |count: u32| (1..=count).map(|rank| 1.0 / f64::from(rank)).sum::<f64>();
        let shares = |count: u32, rank: u32| 1.0 / f64::from(rank) / harmonic(count);
        for rank in 1..=50 {
            let below: f64 = (1..rank).map(|first| shares(50, first)).sum();
            let above = 1.0 - below - shares(50, rank);
            let other = |rank: u32| if (1..50).contains(&rank) { shares(49, rank) } else { 0.0 };
            let expected = 1e5 * (shares(50, rank) + above * other(rank) + below * other(rank - 1));
            let found = f64::from(counts[rank as usize - 1]);
            assert!(
                (found - expected).abs() < 6.0 * expected.sqrt(),
                "rank {rank}: {found}, expected {expected}"
            );
        }
    }

    #[test]
    fn a_pair_sends_the_same_back() {
        let all: Vec<Draw> = draws(Among { drawn: Drawn::PingPong, ..AMONG }).take(1_000).collect();
        for pair in all.chunks(2) {
            let [forth, back] = pair else { unreachable!("a thousand is even") };
            assert_eq!(*back, Draw { debit: forth.credit, credit: forth.debit, amount: forth.amount });
            assert_eq!(forth.debit ^ 1, forth.credit);
        }
    }

    #[test]
    fn sides_differ_and_every_account_of_each_occurs() {
        for drawn in [Drawn::Uniform, Drawn::Zipf(0.5), Drawn::PingPong] {
            for accounts in [2, 3, 50, 51] {
                let mut seen = BTreeSet::new();
                for draw in draws(Among { accounts, drawn, sides: true, ..AMONG }).take(6_000) {
                    assert_ne!(draw.debit % 2, draw.credit % 2);
                    seen.extend([draw.debit, draw.credit]);
                }
                let paired = if drawn == Drawn::PingPong { accounts / 2 * 2 } else { accounts };
                assert_eq!((seen.len(), seen.last()), (paired as usize, Some(&(paired - 1))), "{drawn}");
            }
        }
    }

    #[test]
    fn the_failing_share_is_met() {
        for drawn in DISTRIBUTIONS {
            let among = Among { drawn, failing: (1 << 32) / 10, ..AMONG };
            let failing = draws(among).take(10_000).filter(|draw| draw.credit == NOBODY).count();
            assert!((900..1_100).contains(&failing), "{drawn}: {failing}");
        }
    }

    #[test]
    fn names_are_read_and_written() {
        for (text, expected) in [
            ("uniform", Some(Drawn::Uniform)),
            ("ping-pong", Some(Drawn::PingPong)),
            ("zipf:1.2", Some(Drawn::Zipf(1.2))),
            ("zipf", Some(Drawn::Zipf(EXPONENT))),
            ("zipf:11", None),
            ("zipf:x", None),
            ("uniform:1", None),
            ("latest", None),
        ] {
            let found = text.parse::<Drawn>();
            assert_eq!(found.clone().ok(), expected, "{text}");
            assert!(found.map_or(true, |drawn| drawn.to_string().starts_with(text)));
        }
    }
}
