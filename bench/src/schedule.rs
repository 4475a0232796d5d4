//! Schedules: files of phases, each with its time and its rate. `run --schedule` does them one after the other.
//!
//! What a file may say is in `PHASE_KEYS`, `RATE_KEYS` and `SPIKE_KEYS` here, and explained in `README.md`. Messages name the line and the key.

use crate::arrivals::Slope;
use crate::failure::Failure;
use crate::phase::Phase;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Keys of a phase.
const PHASE_KEYS: [&str; 6] = ["name", "seconds", "rate", "spikes", "in_flight", "measured"];
/// Keys of a rate that changes.
const RATE_KEYS: [&str; 3] = ["from", "to", "steps"];
/// Keys of spikes.
const SPIKE_KEYS: [&str; 3] = ["every", "for", "rate"];
/// From this likeness on a name is suggested for one that is unknown.
const ALIKE: f64 = 0.7;
/// Most phases of a file, steps counted one by one, and most spikes of a phase.
const PHASES_MAX: usize = 10_000;
const SPIKES_MAX: f64 = 100_000.0;
/// Bounds of values.
const SECONDS: (f64, f64) = (0.001, 1e6);
/// Transfers a second; `--rate` has the same.
pub const RATE: (f64, f64) = (0.001, 1e9);
/// Requests in flight on a connection; `--in-flight` has the same.
pub const IN_FLIGHT_MAX: u32 = 1_024;

/// Reads the phases of a file; all times are divided by `shorten`.
pub fn load(path: &Path, shorten: f64) -> Result<Vec<Phase>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::Usage(format!(
            "--schedule {}: can't be read: {error}; the shipped ones are in bench/schedules",
            path.display()
        ))
    })?;
    let file = File { text: &text, shorten };
    file.phases().map_err(|(at, what)| {
        let line = text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1;
        Failure::Usage(format!("{}:{line}: {what}", path.display()))
    })
}

/// Where in the text, and what is wrong there.
type Wrong = (usize, String);

/// A table of the file.
type Table<'a> = DeTable<'a>;

struct File<'a> {
    text: &'a str,
    shorten: f64,
}

impl File<'_> {
    fn phases(&self) -> Result<Vec<Phase>, Wrong> {
        let root = Table::parse(self.text)
            .map_err(|error| (error.span().map_or(0, |span| span.start), error.message().to_string()))?;
        let root = root.get_ref();
        check_keys(root, &["phase"])?;
        let Some(list) = get(root, "phase") else {
            return Err((0, "found no phase, expected one `[[phase]]` or more".into()));
        };
        let wrong = || (list.span().start, "phase: expected `[[phase]]` tables".to_string());
        let list = list.get_ref().as_array().ok_or_else(wrong)?;
        let mut phases = Vec::new();
        for table in list.iter() {
            let at = table.span().start;
            let table = table.get_ref().as_table().ok_or_else(wrong)?;
            phases.extend(self.phase(table, at)?);
            if phases.len() > PHASES_MAX {
                return Err((at, format!("found more than {PHASES_MAX} phases and steps")));
            }
        }
        if phases.iter().all(|phase| !phase.measured) {
            return Err((0, "found no phase that is measured, expected one or more".into()));
        }
        if let Some(late) = phases.iter().skip_while(|phase| !phase.measured).find(|phase| !phase.measured) {
            return Err((0, format!("phase {}: what is not measured comes before what is", late.name)));
        }
        Ok(phases)
    }

    /// A phase, or one for each of its steps.
    fn phase(&self, table: &Table<'_>, at: usize) -> Result<Vec<Phase>, Wrong> {
        check_keys(table, &PHASE_KEYS)?;
        let missing = |key: &str| (at, format!("found a phase without `{key}`"));
        let name = get(table, "name").ok_or_else(|| missing("name"))?;
        let wrong = || (name.span().start, format!("name: found {}, expected a text", shown(name)));
        let name = name.get_ref().as_str().filter(|name| !name.is_empty()).ok_or_else(wrong)?;
        let seconds = number(table, "seconds", SECONDS)?.ok_or_else(|| missing("seconds"))? / self.shorten;
        let in_flight = whole(table, "in_flight", IN_FLIGHT_MAX)?;
        let measured = match get(table, "measured") {
            None => true,
            Some(value) => value.get_ref().as_bool().ok_or_else(|| {
                (value.span().start, format!("measured: found {}, expected true or false", shown(value)))
            })?,
        };
        let phase = |name: String, rate, step| Phase { name, seconds, rate, in_flight, measured, step };
        let (base, steps) = self.rate(table, seconds)?;
        let spikes = self.spikes(table)?;
        match (base, steps, spikes) {
            (None, _, Some((at, _))) => Err((at, "spikes: expected a `rate` beside them".into())),
            (Some(_), Some(_), Some((at, _))) => Err((at, "spikes: a rate in steps has none".into())),
            (None, ..) => Ok(vec![phase(name.into(), None, false)]),
            (Some(base), None, None) => Ok(vec![phase(name.into(), Some(vec![base]), false)]),
            (Some(base), None, Some((_, spikes))) => {
                Ok(vec![phase(name.into(), Some(spikes.on(base)), false)])
            }
            (Some(base), Some(steps), None) => Ok((1..=steps)
                .map(|step| {
                    let seconds = seconds / f64::from(steps);
                    let gain = (base.to - base.from) / f64::from((steps - 1).max(1));
                    let rate = base.from + gain * f64::from(step - 1);
                    let rate = vec![Slope { seconds, from: rate, to: rate }];
                    Phase { seconds, ..phase(format!("{name} {step}/{steps}"), Some(rate), true) }
                })
                .collect()),
        }
    }

    /// The rate of a phase and the number of its steps, if it has them.
    fn rate(&self, table: &Table<'_>, seconds: f64) -> Result<(Option<Slope>, Option<u32>), Wrong> {
        let Some(value) = get(table, "rate") else { return Ok((None, None)) };
        let Some(ramp) = value.get_ref().as_table() else {
            let rate = number(table, "rate", RATE)?;
            return Ok((rate.map(|rate| Slope { seconds, from: rate, to: rate }), None));
        };
        check_keys(ramp, &RATE_KEYS)?;
        let at =
            |key| number(ramp, key, RATE)?.ok_or((value.span().start, format!("rate: found no `{key}`")));
        let slope = Slope { seconds, from: at("from")?, to: at("to")? };
        Ok((Some(slope), whole(ramp, "steps", PHASES_MAX as u32)?))
    }

    fn spikes(&self, table: &Table<'_>) -> Result<Option<(usize, Spikes)>, Wrong> {
        let Some(value) = get(table, "spikes") else { return Ok(None) };
        let at = value.span().start;
        let Some(spikes) = value.get_ref().as_table() else {
            let expected = "{ every = seconds, for = seconds, rate = transfers a second }";
            return Err((at, format!("spikes: found {}, expected {expected}", shown(value))));
        };
        check_keys(spikes, &SPIKE_KEYS)?;
        let value =
            |key, range| number(spikes, key, range)?.ok_or_else(|| (at, format!("spikes: found no `{key}`")));
        let (every, length) = (value("every", SECONDS)?, value("for", SECONDS)?);
        if length >= every {
            return Err((at, format!("spikes: found for = {length}, expected less than every = {every}")));
        }
        let seconds = number(table, "seconds", SECONDS)?.unwrap_or_default();
        if seconds / every > SPIKES_MAX {
            return Err((at, format!("spikes: found more than {SPIKES_MAX} in {seconds} seconds")));
        }
        let rate = value("rate", RATE)?;
        Ok(Some((at, Spikes { every: every / self.shorten, length: length / self.shorten, rate })))
    }
}

/// The last `length` seconds of every `every` seconds.
#[derive(Clone, Copy, Debug)]
struct Spikes {
    every: f64,
    length: f64,
    rate: f64,
}

impl Spikes {
    /// The rate with spikes on it.
    fn on(&self, base: Slope) -> Vec<Slope> {
        let rate_at = |second: f64| base.from + (base.to - base.from) * second / base.seconds;
        let mut slopes = Vec::new();
        let mut begin = 0.0;
        for number in 1_u32.. {
            let end = self.every * f64::from(number);
            let spike = (end - self.length).min(base.seconds);
            slopes.push(Slope { seconds: spike - begin, from: rate_at(begin), to: rate_at(spike) });
            let end = end.min(base.seconds);
            if end > spike {
                slopes.push(Slope { seconds: end - spike, from: self.rate, to: self.rate });
            }
            begin = end;
            if base.seconds - begin <= base.seconds * 1e-9 {
                break;
            }
        }
        slopes
    }
}

fn get<'a, 'b>(table: &'a Table<'b>, key: &str) -> Option<&'a Spanned<DeValue<'b>>> {
    table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
}

/// Every key of the table is known.
fn check_keys(table: &Table<'_>, known: &[&str]) -> Result<(), Wrong> {
    let unknown = table.keys().filter(|name| !known.contains(&name.get_ref().as_ref()));
    let Some(name) = unknown.min_by_key(|name| name.span().start) else { return Ok(()) };
    let found = name.get_ref();
    let likeness = |key: &str| strsim::jaro_winkler(found, key);
    let nearest = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let hint = match nearest.filter(|key| likeness(key) >= ALIKE) {
        Some(key) => format!("did you mean `{key}`?"),
        None => format!("expected one of {}", known.join(", ")),
    };
    Err((name.span().start, format!("found unknown key `{found}`: {hint}")))
}

/// As the file has it, more or less.
fn shown(value: &Spanned<DeValue<'_>>) -> String {
    match value.get_ref() {
        DeValue::String(text) => format!("\"{text}\""),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        other => format!("a value of type {}", other.type_str()),
    }
}

fn number(table: &Table<'_>, key: &str, (min, max): (f64, f64)) -> Result<Option<f64>, Wrong> {
    let Some(value) = get(table, key) else { return Ok(None) };
    let parsed = match value.get_ref() {
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().parse().ok(),
        DeValue::Float(number) => number.as_str().parse().ok(),
        _ => None,
    };
    match parsed.filter(|number| (min..=max).contains(number)) {
        Some(number) => Ok(Some(number)),
        None => {
            let found = shown(value);
            Err((value.span().start, format!("{key}: found {found}, expected a number from {min} to {max}")))
        }
    }
}

fn whole(table: &Table<'_>, key: &str, max: u32) -> Result<Option<u32>, Wrong> {
    let Some(value) = get(table, key) else { return Ok(None) };
    let parsed = value.get_ref().as_integer().and_then(|number| number.as_str().parse().ok());
    match parsed.filter(|number| (1..=max).contains(number)) {
        Some(number) => Ok(Some(number)),
        None => {
            let found = shown(value);
            Err((
                value.span().start,
                format!("{key}: found {found}, expected a whole number from 1 to {max}"),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, shorten: f64) -> Result<Vec<Phase>, String> {
        File { text, shorten }
            .phases()
            .map_err(|(at, what)| format!("{}: {what}", text[..at.min(text.len())].matches('\n').count() + 1))
    }

    fn area(phase: &Phase) -> f64 {
        phase.rate.iter().flatten().map(Slope::area).sum()
    }

    #[test]
    fn a_phase_has_a_rate_a_ramp_steps_or_spikes() {
        let text = r#"
            phase = [
                { name = "w", seconds = 0.5, measured = false, in_flight = 8 },
                { name = "a", seconds = 10, rate = 1_000 },
                { name = "b", seconds = 10, rate = { from = 1_000, to = 2_000.5 } },
                { name = "c", seconds = 40, rate = { from = 100, to = 400, steps = 4 } },
                { name = "d", seconds = 25, rate = 100, spikes = { every = 10, for = 1, rate = 1_000 } },
            ]"#;
        let expected = [
            ("w", 0.5, 0.0),
            ("a", 10.0, 10_000.0),
            ("b", 10.0, 15_002.5),
            ("c 1/4", 10.0, 1_000.0),
            ("c 2/4", 10.0, 2_000.0),
            ("c 3/4", 10.0, 3_000.0),
            ("c 4/4", 10.0, 4_000.0),
            ("d", 25.0, 4_300.0),
        ];
        for shorten in [1.0, 10.0] {
            let phases = read(text, shorten).expect("it is good");
            assert_eq!(phases.len(), expected.len());
            for (phase, (name, seconds, transfers)) in phases.iter().zip(expected) {
                assert_eq!(phase.name, name);
                assert!((phase.seconds * shorten - seconds).abs() < 1e-9, "{phase:?}");
                assert!((area(phase) * shorten - transfers).abs() < 1e-6, "{phase:?}");
                assert_eq!((phase.measured, phase.in_flight), (name != "w", (name == "w").then_some(8)));
                assert_eq!(phase.step, name.starts_with('c'));
                let slopes: f64 = phase.rate.iter().flatten().map(|slope| slope.seconds).sum();
                assert!(phase.rate.is_none() || (slopes - phase.seconds).abs() < 1e-9, "{phase:?}");
            }
            assert_eq!(
                phases[7].rate.as_ref().map(Vec::len),
                Some(5),
                "two spikes, and three times around them"
            );
        }
    }

    #[test]
    fn mistakes_name_the_line_and_the_key() {
        let phase = |more: &str| format!("[[phase]]\nname = \"a\"\nseconds = 1\n{more}\n");
        let cases = [
            (String::new(), "1: found no phase"),
            ("phase = 3".into(), "1: phase: expected `[[phase]]` tables"),
            ("[[phases]]".into(), "1: found unknown key `phases`: did you mean `phase`?"),
            ("[[phase]]\nseconds = 1".into(), "found a phase without `name`"),
            ("[[phase]]\nname = \"a\"".into(), "found a phase without `seconds`"),
            ("[[phase]]\nname = 7".into(), "2: name: found 7, expected a text"),
            (phase("secnds = 4"), "4: found unknown key `secnds`: did you mean `seconds`?"),
            (phase("x = 4"), "4: found unknown key `x`: expected one of name, seconds"),
            (phase("rate = 0"), "4: rate: found 0, expected a number from 0.001"),
            (phase("rate = \"fast\""), "4: rate: found \"fast\", expected a number"),
            (phase("rate = { from = 1 }"), "4: rate: found no `to`"),
            (
                phase("rate = { from = 1, to = 2, step = 3 }"),
                "4: found unknown key `step`: did you mean `steps`?",
            ),
            (phase("rate = { from = 1, to = 2, steps = 0 }"), "4: steps: found 0, expected a whole number"),
            (phase("in_flight = 1.5"), "4: in_flight: found 1.5, expected a whole number from 1 to 1024"),
            (phase("measured = 1"), "4: measured: found 1, expected true or false"),
            (phase("spikes = 1"), "4: spikes: found 1, expected {"),
            (phase("rate = 1\nspikes = { every = 1, rate = 1 }"), "5: spikes: found no `for`"),
            (
                phase("rate = 1\nspikes = { every = 1, for = 1, rate = 1 }"),
                "5: spikes: found for = 1, expected less",
            ),
            (phase("spikes = { every = 2, for = 1, rate = 1 }"), "4: spikes: expected a `rate` beside them"),
            (phase("measured = false"), "found no phase that is measured"),
            (phase("") + &phase("measured = false"), "phase a: what is not measured comes before"),
            ("[[phase]\n".into(), "1: "),
        ];
        for (text, expected) in cases {
            let found = read(&text, 1.0).expect_err("it is wrong");
            assert!(found.contains(expected), "{text}\nfound {found}, expected {expected}");
        }
    }

    #[test]
    fn the_shipped_schedules_are_good() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schedules");
        for (name, seconds, phases) in
            [("knee.toml", 630.0, 41), ("soak-8h.toml", 28_800.0, 5), ("sustained-5m.toml", 310.0, 2)]
        {
            let found = load(&folder.join(name), 1.0).unwrap_or_else(|failure| panic!("{failure}"));
            let whole: f64 = found.iter().map(|phase| phase.seconds).sum();
            assert_eq!((found.len(), whole.round()), (phases, seconds), "{name}");
        }
        let files = std::fs::read_dir(folder).expect("it is there").count();
        assert_eq!(files, 3, "all are read here");
    }
}
