//! How many transfers a request has: always as many, or drawn for each request.

use auriga_wire::frame::REQUEST_RECORDS_MAX;
use std::fmt;
use std::str::FromStr;

/// Most sizes of a choice.
const CHOICES_MAX: usize = 8;

/// The distribution of the sizes of requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sizes {
    /// All have this one.
    Fixed(u32),
    /// Every size from the first to the second is as likely.
    Uniform(u32, u32),
    /// Sizes from the first to the second; every order of magnitude is as likely.
    LogUniform(u32, u32),
    /// Up to eight sizes, each with its share.
    Choice([(u32, u32); CHOICES_MAX]),
}

impl Sizes {
    /// The size that these random bits give.
    #[inline]
    pub fn draw(&self, bits: impl FnOnce() -> u64) -> u32 {
        let scale = |bits: u64, count: u32| (((bits >> 32) * u64::from(count)) >> 32) as u32;
        match *self {
            Self::Fixed(size) => size,
            Self::Uniform(min, max) => min + scale(bits(), max - min + 1),
            Self::LogUniform(min, max) => {
                let share = (bits() >> 11) as f64 / (1_u64 << 53) as f64;
                let size = f64::from(min) * (f64::from(max + 1) / f64::from(min)).powf(share);
                (size as u32).clamp(min, max)
            }
            Self::Choice(choices) => {
                let mut place = scale(bits(), choices.iter().map(|(_, share)| share).sum());
                for (size, share) in choices {
                    if place < share {
                        return size;
                    }
                    place -= share;
                }
                unreachable!("the place lies below the sum of the shares")
            }
        }
    }

    /// The largest size.
    pub fn max(&self) -> u32 {
        match *self {
            Self::Fixed(size) | Self::Uniform(_, size) | Self::LogUniform(_, size) => size,
            Self::Choice(choices) => choices.iter().map(|(size, _)| *size).max().unwrap_or(1),
        }
    }

    /// The mean size.
    pub fn mean(&self) -> f64 {
        match *self {
            Self::Fixed(size) => f64::from(size),
            Self::Uniform(min, max) => f64::from(min + max) / 2.0,
            // The sum over all sizes of the share of requests that are at least as large.
            Self::LogUniform(min, max) => {
                let width = (f64::from(max + 1) / f64::from(min)).ln();
                let above = |size: u32| 1.0 - (f64::from(size) / f64::from(min)).ln() / width;
                f64::from(min) + (min + 1..=max).map(above).sum::<f64>()
            }
            Self::Choice(choices) => {
                let sum = |of: fn(&(u32, u32)) -> f64| choices.iter().map(of).sum::<f64>();
                sum(|(size, share)| f64::from(*size) * f64::from(*share))
                    / sum(|(_, share)| f64::from(*share))
            }
        }
    }
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "found `{text}`, expected fixed:N, uniform:MIN..MAX, log-uniform:MIN..MAX or choice:SIZE=SHARE,..., sizes from 1 \
                 to {REQUEST_RECORDS_MAX}, at most {CHOICES_MAX} of a choice"
            )
        };
        let size = |text: &str| {
            text.parse().ok().filter(|size| (1..=REQUEST_RECORDS_MAX as u32).contains(size)).ok_or_else(wrong)
        };
        let range = |text: &str| {
            let (min, max) = text.split_once("..").ok_or_else(wrong)?;
            let (min, max) = (size(min)?, size(max)?);
            if min <= max { Ok((min, max)) } else { Err(wrong()) }
        };
        match text.split_once(':').ok_or_else(wrong)? {
            ("fixed", rest) => Ok(Self::Fixed(size(rest)?)),
            ("uniform", rest) => range(rest).map(|(min, max)| Self::Uniform(min, max)),
            ("log-uniform", rest) => range(rest).map(|(min, max)| Self::LogUniform(min, max)),
            ("choice", rest) => {
                let mut choices = [(1, 0); CHOICES_MAX];
                for (place, choice) in rest.split(',').enumerate() {
                    let (of, share) = choice.split_once('=').ok_or_else(wrong)?;
                    let share = share.parse().ok().filter(|share| (1..=1_000_000).contains(share));
                    *choices.get_mut(place).ok_or_else(wrong)? = (size(of)?, share.ok_or_else(wrong)?);
                }
                Ok(Self::Choice(choices))
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "fixed:{size}"),
            Self::Uniform(min, max) => write!(f, "uniform:{min}..{max}"),
            Self::LogUniform(min, max) => write!(f, "log-uniform:{min}..{max}"),
            Self::Choice(choices) => {
                let shares = choices.iter().filter(|(_, share)| *share > 0);
                let shares: Vec<String> = shares.map(|(size, share)| format!("{size}={share}")).collect();
                write!(f, "choice:{}", shares.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_lie_in_range_and_have_the_mean() {
        let cases = [
            ("fixed:7", 7, 7, 7.0..7.1),
            ("uniform:1..8190", 1, 8_190, 4_095.4..4_095.6),
            ("uniform:5..5", 5, 5, 5.0..5.1),
            ("log-uniform:1..8190", 1, 8_190, 908.0..909.0),
            ("choice:1=3,1000=1", 1, 1_000, 250.7..250.8),
        ];
        for (text, min, max, mean) in cases {
            let sizes: Sizes = text.parse().expect("it is good");
            assert_eq!((sizes.to_string().as_str(), sizes.max()), (text, max));
            assert!(mean.contains(&sizes.mean()), "{text}: {}", sizes.mean());
            let mut random = fastrand::Rng::with_seed(3);
            let drawn: Vec<u32> = (0..200_000).map(|_| sizes.draw(|| random.u64(..))).collect();
            assert!(drawn.iter().all(|size| (min..=max).contains(size)), "{text}");
            let found = drawn.iter().map(|size| f64::from(*size)).sum::<f64>() / drawn.len() as f64;
            assert!((found / sizes.mean() - 1.0).abs() < 0.03, "{text}: {found}");
            assert_eq!((sizes.draw(|| 0), sizes.draw(|| u64::MAX)), (min, max), "{text}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let wrong = [
            "",
            "7",
            "fixed:",
            "fixed:0",
            "fixed:8191",
            "uniform:1",
            "uniform:9..3",
            "uniform:0..3",
            "choice:",
            "choice:1",
            "choice:1=0",
            "choice:1=1,2=1,3=1,4=1,5=1,6=1,7=1,8=1,9=1",
            "normal:1..2",
        ];
        for text in wrong {
            assert!(text.parse::<Sizes>().is_err_and(|error| error.contains("expected fixed:N")), "{text}");
        }
    }
}
