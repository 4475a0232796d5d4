//! Which kinds of work a run consists of, and in what order: the parts that the transfers of a request take, and the reads between requests.

use std::fmt;
use std::str::FromStr;

/// Transfers of a linked chain.
pub const CHAIN: u32 = 4;
/// Most parts that the shares of transfers may add up to, after their common divisor.
const PARTS_MAX: usize = 64;
/// After so many transfers the parts repeat, at most: each share is that many chains, or as many transfers.
const PATTERN_MAX: usize = PARTS_MAX * CHAIN as usize;
/// Most records that are read for one that is written.
const READS_MAX: u32 = 1_000;
/// Largest share.
const SHARE_MAX: u32 = 1_000_000;
/// The names of the shares.
const NAMES: [&str; SHARES] = ["plain", "two-phase", "linked", "lookup", "query", "account"];
/// How many they are.
const SHARES: usize = 6;

/// Kinds of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Workload {
    /// Plain transfers between accounts drawn at random.
    Plain,
    /// Half pending transfers, half posts and voids of earlier ones.
    TwoPhase,
    /// Chains of four linked transfers.
    Linked,
    /// Half plain, a quarter two-phase, a quarter linked; and look-ups in between.
    Mixed,
    /// Plain transfers between accounts that all have a limit and little to spare.
    Limited,
}

impl Workload {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::TwoPhase => "two-phase",
            Self::Linked => "linked",
            Self::Mixed => "mixed",
            Self::Limited => "limited",
        }
    }

    /// What it consists of, for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Plain => "plain transfers",
            Self::TwoPhase => "two-phase transfers",
            Self::Linked => "linked transfers in chains of 4",
            Self::Mixed => "mixed transfers (half plain, a quarter two-phase, a quarter linked) and look-ups",
            Self::Limited => "plain transfers between limited accounts",
        }
    }

    /// Its shares.
    pub fn mix(self) -> Mix {
        let shares = match self {
            Self::Plain | Self::Limited => [1, 0, 0, 0, 0, 0],
            Self::TwoPhase => [0, 1, 0, 0, 0, 0],
            Self::Linked => [0, 0, 1, 0, 0, 0],
            Self::Mixed => [8, 4, 4, 2, 0, 0],
        };
        Mix::of(shares).expect("these shares are good")
    }
}

/// What a transfer takes part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Nothing.
    Plain,
    /// Reserving and resolving; neighbours take turns, and this is one of the even ones or of the odd ones.
    TwoPhase {
        /// Of the even ones.
        even: bool,
    },
    /// A chain.
    Chain,
}

/// Shares of the kinds of work, by records: a look-up and a query ask for as many as a request has transfers, and a new account is one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    /// Of plain, two-phase and linked transfers, look-ups, queries and new accounts.
    shares: [u32; SHARES],
    /// The parts of transfers, by index of the request; they repeat after `length`.
    pattern: [Part; PATTERN_MAX],
    length: u32,
}

impl Mix {
    fn of(shares: [u32; SHARES]) -> Result<Self, String> {
        let [plain, two_phase, linked, lookup, query, account] = shares;
        let all = plain + two_phase + linked;
        if all == 0 {
            return Err("expected a share of plain, two-phase or linked above 0".into());
        }
        if lookup + query > all * READS_MAX {
            return Err(format!("expected at most {READS_MAX} records read for one transfer"));
        }
        if account > all {
            return Err("expected at most as many new accounts as transfers".into());
        }
        let divisor = common_divisor(common_divisor(plain, two_phase), linked);
        let parts = (all / divisor) as usize;
        if parts > PARTS_MAX {
            return Err(format!(
                "shares of transfers add up to {parts} without their common divisor, expected at most {PARTS_MAX}"
            ));
        }
        let (linked, two_phase) = (linked / divisor, two_phase / divisor);
        let mut pattern = [Part::Plain; PATTERN_MAX];
        let unlinked = all / divisor - linked;
        let (mut alone, mut resolved) = (0, 0);
        for (block, places) in (0..).zip(pattern[..parts * CHAIN as usize].chunks_exact_mut(CHAIN as usize)) {
            if is_chosen(block, linked, linked + unlinked) {
                places.fill(Part::Chain);
                continue;
            }
            for place in places {
                if is_chosen(alone, two_phase, unlinked) {
                    *place = Part::TwoPhase { even: resolved % 2 == 0 };
                    resolved += 1;
                }
                alone += 1;
            }
        }
        Ok(Self { shares, pattern, length: parts as u32 * CHAIN })
    }

    /// What the transfer at an index of its request takes part in.
    #[inline]
    pub fn part(&self, index: u32) -> Part {
        if self.length == CHAIN {
            self.pattern[0].alone(index)
        } else {
            self.pattern[(index % self.length) as usize]
        }
    }

    /// Whether every transfer is for itself: neither pending, nor a resolution, nor one of a chain.
    pub fn is_plain(&self) -> bool {
        self.shares[1] + self.shares[2] == 0
    }

    /// Whether some transfers reserve and others resolve.
    pub fn resolves(&self) -> bool {
        self.shares[1] > 0
    }

    /// Reads for each request that creates transfers, on average: look-ups and queries.
    pub fn reads(&self) -> (f64, f64) {
        let [plain, two_phase, linked, lookup, query, _] = self.shares.map(f64::from);
        let transfers = plain + two_phase + linked;
        (lookup / transfers, query / transfers)
    }

    /// New accounts for each transfer.
    pub fn new_accounts(&self) -> f64 {
        let [plain, two_phase, linked, _, _, account] = self.shares.map(f64::from);
        account / (plain + two_phase + linked)
    }
}

impl Part {
    /// The part at an index, if all transfers have the same kind of part.
    #[inline]
    const fn alone(self, index: u32) -> Self {
        match self {
            Self::TwoPhase { .. } => Self::TwoPhase { even: index.is_multiple_of(2) },
            other => other,
        }
    }
}

/// Whether this number is among those chosen, if `chosen` of `all` are, as evenly as can be; the last one of `all` is the first to be.
const fn is_chosen(number: u32, chosen: u32, all: u32) -> bool {
    (number % all + 1) * chosen / all > number % all * chosen / all
}

const fn common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || format!("found `{text}`, expected shares as in plain=8,lookup=1, of {}", NAMES.join(", "));
        let mut shares = [0; SHARES];
        for part in text.split(',') {
            let (name, share) = part.split_once('=').ok_or_else(expected)?;
            let place = NAMES.iter().position(|known| *known == name).ok_or_else(expected)?;
            let wrong = || format!("{name}: found `{share}`, expected a whole number from 0 to {SHARE_MAX}");
            shares[place] = share.parse().ok().filter(|share| *share <= SHARE_MAX).ok_or_else(wrong)?;
        }
        Self::of(shares).map_err(|what| format!("found `{text}`: {what}"))
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shares = NAMES.iter().zip(self.shares).filter(|(_, share)| *share > 0);
        let shares: Vec<String> = shares.map(|(name, share)| format!("{name}={share}")).collect();
        f.write_str(&shares.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_exactly_its_share_and_pairs_have_both_turns() {
        let cases = [
            "plain=1",
            "two-phase=1",
            "linked=1",
            "plain=8,two-phase=4,linked=4,lookup=1,query=1",
            "plain=50,two-phase=30,linked=20",
            "plain=1,two-phase=62,linked=1",
            "two-phase=3,linked=7,query=900",
            "plain=9,linked=1,account=10",
        ];
        for text in cases {
            let mix: Mix = text.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(mix.to_string(), text);
            let count = |part| (0..mix.length).filter(|index| mix.part(*index) == part).count() as f64;
            let pair = [true, false].map(|even| count(Part::TwoPhase { even }));
            assert_eq!(pair[0], pair[1], "{text}");
            let found = [count(Part::Plain), pair[0] + pair[1], count(Part::Chain)];
            let all: f64 = mix.shares[..3].iter().map(|share| f64::from(*share)).sum();
            for (found, share) in found.iter().zip(mix.shares) {
                assert_eq!(found * all, f64::from(share) * f64::from(mix.length), "{text}");
            }
            for index in 0..mix.length {
                let first = index - index % CHAIN;
                assert_eq!(
                    mix.part(index) == Part::Chain,
                    mix.part(first) == Part::Chain,
                    "{text}: whole chains"
                );
                assert_eq!(mix.part(index), mix.part(index + mix.length), "{text}: it repeats");
            }
        }
    }

    #[test]
    fn shares_that_make_no_sense_are_refused() {
        let cases = [
            ("", "expected shares as in"),
            ("plain", "expected shares as in"),
            ("plane=1", "of plain, two-phase, linked, lookup, query, account"),
            ("plain=-1", "plain: found"),
            ("lookup=1", "expected a share of plain, two-phase or linked above 0"),
            ("plain=1,query=1001", "at most 1000 records read"),
            ("plain=60,linked=7", "add up to 67"),
            ("plain=1,account=2", "at most as many new accounts as transfers"),
        ];
        for (text, expected) in cases {
            let error = text.parse::<Mix>().expect_err("it is wrong");
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
