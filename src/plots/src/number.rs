//! Numbers as people read them.

/// Steps of the units of time: nanoseconds in one, and its name.
const TIMES: [(f64, &str); 4] = [(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")];
/// The same of plain numbers.
const COUNTS: [(f64, &str); 4] = [(1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, "")];

/// Nanoseconds in the largest unit that leaves 1 or more before the point: `1.25 ms`.
pub fn time(nanoseconds: f64) -> String {
    let (size, unit) = unit_of(&TIMES, nanoseconds);
    format!("{} {unit}", short(nanoseconds / size))
}

/// A number of things, a second or in all: `1.25 M`.
pub fn amount(number: f64) -> String {
    let (size, unit) = unit_of(&COUNTS, number);
    format!("{} {unit}", short(number / size)).trim_end().into()
}

/// A number with its thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Nanoseconds as microseconds, with one digit behind the point.
pub fn microseconds(nanoseconds: f64) -> String {
    format!("{:.1}", nanoseconds / 1e3)
}

/// Nanoseconds as milliseconds, with one digit behind the point.
pub fn milliseconds(nanoseconds: f64) -> String {
    format!("{:.1}", nanoseconds / 1e6)
}

/// A share in percent, with as many nines as it has.
pub fn percentile(share: f64) -> String {
    let text = format!("{:.6}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

fn unit_of(units: &[(f64, &'static str)], number: f64) -> (f64, &'static str) {
    let fits = units.iter().find(|(size, _)| number.abs() >= *size);
    *fits.unwrap_or_else(|| units.last().expect("there are units"))
}

/// Three digits that count, and no more behind the point than they need.
fn short(number: f64) -> String {
    let digits = match number.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    let text = format!("{number:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').into(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_a_unit_and_three_digits() {
        let times = [
            (0.0, "0 ns"),
            (999.0, "999 ns"),
            (1_250.0, "1.25 µs"),
            (45_300_000.0, "45.3 ms"),
            (6e10, "60 s"),
        ];
        for (nanoseconds, text) in times {
            assert_eq!(time(nanoseconds), text);
        }
        for (number, text) in
            [(0.0, "0"), (12.0, "12"), (1_234.0, "1.23 k"), (2_000_000.0, "2 M"), (0.5, "0.5")]
        {
            assert_eq!(amount(number), text);
        }
        assert_eq!((microseconds(1_250.0), milliseconds(1_250_000.0)), ("1.2".into(), "1.2".into()));
        for (share, text) in [(0.0, "0%"), (0.5, "50%"), (0.999, "99.9%"), (0.999_999, "99.9999%")] {
            assert_eq!(percentile(share), text);
        }
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (12_345_678, "12,345,678")] {
            assert_eq!(grouped(number), text);
        }
    }
}
