//! The shipped file, `src/auriga.toml`: each key with its unit, bounds and default. It is built in, and it is the one place where
//! defaults and bounds are. Read once, at the start of each command.

use super::units::Unit;
use std::ops::RangeInclusive;
use std::sync::OnceLock;

/// The file, as it is installed.
pub const TEXT: &str = include_str!("../auriga.toml");

/// A key of the configuration.
#[derive(Debug)]
pub struct Setting {
    /// Its name in a file, and that of its option behind `--`.
    pub key: &'static str,
    /// The environment variable that sets it.
    pub variable: String,
    /// What it is counted in.
    pub unit: Unit,
    /// What a number may be.
    pub bounds: Option<Bounds>,
    /// Its value if nobody gives another.
    pub default: Option<String>,
    /// What is done if nobody gives a value, and there is no default.
    pub otherwise: Option<&'static str>,
}

/// What a number may be; the least may depend on the number of shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    least: u64,
    least_per_shard: u64,
    most: u64,
}

impl Bounds {
    /// For so many shards.
    pub fn range(&self, shards: u64) -> RangeInclusive<u64> {
        self.least.saturating_add(self.least_per_shard.saturating_mul(shards))..=self.most
    }

    /// As the shipped file writes it: `60 s to 366 d`, `0 or more`, `1 MiB a shard to 1 TiB`, `1 MiB and 2 MiB a shard or more`.
    fn parse(unit: Unit, text: &str) -> Result<Self, String> {
        let (least, most) = match text.strip_suffix(" or more") {
            Some(least) => (least, u64::MAX),
            None => {
                let (least, most) = text.split_once(" to ").ok_or("expected A to B, or A or more")?;
                (least, unit.parse(most)?)
            }
        };
        let (fixed, per_shard) = match least.strip_suffix(" a shard") {
            Some(least) => least.split_once(" and ").unwrap_or(("0", least)),
            None => (least, "0"),
        };
        Ok(Self { least: unit.parse(fixed)?, least_per_shard: unit.parse(per_shard)?, most })
    }
}

/// The keys, in the order of the file.
pub fn settings() -> &'static [Setting] {
    static SETTINGS: OnceLock<Vec<Setting>> = OnceLock::new();
    SETTINGS.get_or_init(|| read(TEXT).unwrap_or_else(|what| panic!("the shipped auriga.toml: {what}")))
}

/// The key of this name.
pub fn setting(key: &str) -> Option<&'static Setting> {
    settings().iter().find(|setting| setting.key == key)
}

/// Reads a file of the shipped one's form: each key behind lines that say what it is.
fn read(text: &'static str) -> Result<Vec<Setting>, String> {
    let mut settings = Vec::new();
    for paragraph in text.split("\n\n") {
        let last = paragraph.lines().last().unwrap_or_default();
        let line = last.strip_prefix('#').unwrap_or(last);
        if line.starts_with([' ', '-']) || line.is_empty() {
            continue;
        }
        let (key, value) = line.split_once(" = ").ok_or_else(|| format!("{line:?} is no key and value"))?;
        let said = |label: &str| {
            let start = format!("# {label}: ");
            paragraph.lines().find_map(|line| line.strip_prefix(start.as_str()))
        };
        let unit = Unit::named(said("unit").ok_or_else(|| format!("{key} has no unit"))?);
        let bounds = said("bounds").map(|bounds| Bounds::parse(unit, bounds)).transpose();
        let default = (line == last).then(|| value.trim_matches('"').to_string());
        if default.is_none() && said("default").is_none() {
            return Err(format!("{key} says nothing of what is done without a value"));
        }
        settings.push(Setting {
            key,
            variable: format!("AURIGA_{}", key.to_uppercase().replace('-', "_")),
            unit,
            bounds: bounds.map_err(|what| format!("bounds of {key}: {what}"))?,
            default,
            otherwise: said("default"),
        });
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_file_is_complete() {
        let table: toml::Table = toml::from_str(TEXT).expect("the shipped file is TOML");
        for setting in settings() {
            assert_eq!(table.contains_key(setting.key), setting.default.is_some(), "{}", setting.key);
            let number = !matches!(setting.unit, Unit::Text);
            assert_eq!(setting.bounds.is_some(), number, "{}: numbers have bounds", setting.key);
            let reasons = TEXT.split("\n\n").filter(|of| {
                of.contains(&format!("\n{} = ", setting.key))
                    || of.contains(&format!("\n#{} = ", setting.key))
            });
            assert!(
                reasons.clone().count() == 1 && reasons.clone().all(|of| of.contains("\n# why: ")),
                "{}",
                setting.key
            );
        }
        assert_eq!(table.len(), settings().iter().filter(|setting| setting.default.is_some()).count());
        // What is commented out is an example that would be taken.
        let uncommented: String = TEXT
            .lines()
            .map(|line| line.strip_prefix('#').filter(|line| !line.starts_with(' ')).unwrap_or(line))
            .map(|line| format!("{line}\n"))
            .collect();
        let table: toml::Table = toml::from_str(&uncommented).expect("examples are TOML");
        assert_eq!(table.len(), settings().len());
    }

    #[test]
    fn bounds_are_read_as_they_are_written() {
        let bounds = |unit, text| Bounds::parse(unit, text).map(|bounds| bounds.range(3));
        assert_eq!(bounds(Unit::Seconds, "60 s to 366 d"), Ok(60..=366 * 86_400));
        assert_eq!(bounds(Unit::Number, "1 or more"), Ok(1..=u64::MAX));
        assert_eq!(bounds(Unit::Bytes, "1 KiB a shard to 1 MiB"), Ok(3_072..=1 << 20));
        assert_eq!(bounds(Unit::Bytes, "1 B and 1 KiB a shard or more"), Ok(3_073..=u64::MAX));
        assert!(bounds(Unit::Bytes, "some").is_err());
        assert!(bounds(Unit::Bytes, "1 s to 2 s").is_err());
    }

    #[test]
    fn a_file_that_leaves_something_out_is_noticed() {
        let bad = [
            "# about\na = 1",
            "# unit: number\na",
            "# unit: number\n#a = 1",
            "# unit: bytes\n# bounds: 2\na = 1",
        ];
        for text in bad {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
