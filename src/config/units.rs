//! Bytes and times as people write them: `64 MiB`, `60 s`, or a plain number in the key's own unit. Whole numbers only, so that
//! nothing is rounded.

/// What a value is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Number,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// Microseconds.
    Microseconds,
    /// It is no number.
    Text,
}

const KI: u64 = 1 << 10;
const BYTES: [(&str, u64); 9] = [
    ("TiB", KI * KI * KI * KI),
    ("GiB", KI * KI * KI),
    ("MiB", KI * KI),
    ("KiB", KI),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];
/// In microseconds.
const TIMES: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("min", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];
const SECOND_US: u64 = 1_000_000;

impl Unit {
    /// The unit that the shipped file names.
    pub fn named(name: &str) -> Self {
        match name {
            "number" => Self::Number,
            "bytes" => Self::Bytes,
            "seconds" => Self::Seconds,
            "microseconds" => Self::Microseconds,
            _ => Self::Text,
        }
    }

    /// What values are counted in, behind a number.
    pub fn name(self) -> &'static str {
        match self {
            Self::Number | Self::Text => "",
            Self::Bytes => " bytes",
            Self::Seconds => " seconds",
            Self::Microseconds => " microseconds",
        }
    }

    /// The number that a text stands for, in this unit.
    pub fn parse(self, text: &str) -> Result<u64, String> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
        let (digits, suffix) = (text[..end].replace('_', ""), text[end..].trim());
        let number = digits.parse::<u64>().ok().filter(|_| text.starts_with(|c: char| c.is_ascii_digit()));
        let whole = number.and_then(|number| match suffix {
            "" => Some(number),
            _ => self.of(number, suffix),
        });
        whole.ok_or_else(|| format!("expected {}", self.expected()))
    }

    fn of(self, number: u64, suffix: &str) -> Option<u64> {
        let (scales, least) = self.scales();
        let scale = scales.iter().find(|(name, _)| *name == suffix)?.1;
        let value = u128::from(number) * u128::from(scale);
        u64::try_from(value / u128::from(least)).ok().filter(|_| value.is_multiple_of(u128::from(least)))
    }

    /// The names of larger and smaller units, and the size of this one in theirs.
    fn scales(self) -> (&'static [(&'static str, u64)], u64) {
        match self {
            Self::Number | Self::Text => (&[], 1),
            Self::Bytes => (&BYTES, 1),
            Self::Seconds => (&TIMES, SECOND_US),
            Self::Microseconds => (&TIMES, 1),
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Number | Self::Text => "a whole number",
            Self::Bytes => {
                "whole bytes: a number, or one with B, KiB, MiB, GiB, TiB, kB, MB, GB or TB, as in \"64 MiB\""
            }
            Self::Seconds => {
                "whole seconds: a number, or one with us, ms, s, min, h or d that comes to whole seconds, as in \"5 min\""
            }
            Self::Microseconds => {
                "whole microseconds: a number, or one with us, ms, s, min, h or d, as in \"50 us\""
            }
        }
    }

    /// A number in this unit as people write it: exact, in the largest unit in which it is whole.
    pub fn show(self, value: u64) -> String {
        let (scales, least) = self.scales();
        // Powers of ten are written in few of the units of bytes; the others come first.
        let fits = |(_, scale): &&(&str, u64)| value > 0 && value.is_multiple_of((scale / least).max(1));
        match scales.iter().filter(|(_, scale)| *scale >= least).find(fits) {
            Some((name, scale)) => format!("{} {name}", value / (scale / least)),
            None => value.to_string(),
        }
    }
}

/// For clap: bytes.
pub fn bytes(text: &str) -> Result<u64, String> {
    Unit::Bytes.parse(text)
}

/// For clap: seconds.
pub fn seconds(text: &str) -> Result<u64, String> {
    Unit::Seconds.parse(text)
}

/// For clap: microseconds.
pub fn microseconds(text: &str) -> Result<u64, String> {
    Unit::Microseconds.parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write() {
        let cases = [
            (Unit::Bytes, "0", 0),
            (Unit::Bytes, "64 MiB", 64 << 20),
            (Unit::Bytes, " 64MiB ", 64 << 20),
            (Unit::Bytes, "10_000 kB", 10_000_000),
            (Unit::Bytes, "16777215 TiB", 16_777_215 << 40),
            (Unit::Bytes, "18446744073709551615", u64::MAX),
            (Unit::Seconds, "86400", 86_400),
            (Unit::Seconds, "24 h", 86_400),
            (Unit::Seconds, "3000 ms", 3),
            (Unit::Microseconds, "50", 50),
            (Unit::Microseconds, "1 s", 1_000_000),
            (Unit::Number, "10_000_000", 10_000_000),
        ];
        for (unit, text, expected) in cases {
            assert_eq!(unit.parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_whole_or_not_of_the_unit_is_refused() {
        let cases = [
            (Unit::Bytes, "64 mib"),
            (Unit::Bytes, "1.5 GiB"),
            (Unit::Bytes, "-1"),
            (Unit::Bytes, "+1"),
            (Unit::Bytes, "_1"),
            (Unit::Bytes, "MiB"),
            (Unit::Bytes, ""),
            (Unit::Bytes, "60 s"),
            (Unit::Bytes, "16777216 TiB"),
            (Unit::Bytes, "18446744073709551616"),
            (Unit::Seconds, "1500 ms"),
            (Unit::Seconds, "1 MiB"),
            (Unit::Number, "1 MiB"),
            (Unit::Number, "many"),
        ];
        for (unit, text) in cases {
            let refused = unit.parse(text);
            assert!(
                refused.as_ref().is_err_and(
                    |said| said.starts_with("expected whole") || said.starts_with("expected a whole")
                ),
                "{text}: {refused:?}"
            );
        }
    }

    #[test]
    fn what_is_shown_is_read_back_as_it_was() {
        let numbers =
            [0, 1, 50, 60, 999, 1_000, 1_024, 86_400, 1 << 20, 3 << 29, 1 << 40, 1_000_000_007, u64::MAX];
        for unit in [Unit::Number, Unit::Bytes, Unit::Seconds, Unit::Microseconds] {
            for number in numbers {
                assert_eq!(
                    unit.parse(&unit.show(number)),
                    Ok(number),
                    "{unit:?} {number}: {}",
                    unit.show(number)
                );
            }
        }
        assert_eq!(Unit::Bytes.show(64 << 20), "64 MiB");
        assert_eq!(Unit::Bytes.show(5_000_000_000), "5 GB");
        assert_eq!(Unit::Seconds.show(86_400), "1 d");
        assert_eq!(Unit::Microseconds.show(1_500), "1500 us");
    }
}
