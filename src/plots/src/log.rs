//! Histograms as text, and lines of an interval log. [`crate::recording`] reads such logs.

use crate::recording::{COMMENT, MAX_DIVISOR};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use std::borrow::Cow;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

/// A histogram as interval logs have it: HdrHistogram V2, compressed, in base64.
pub fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(histogram, &mut bytes).expect("memory takes it");
    STANDARD.encode(bytes)
}

/// Reads what [`encode`] or another tool has written, compressed or not; or says what is wrong with it.
pub fn decode(text: &str) -> Result<Histogram<u64>, String> {
    let bytes = STANDARD.decode(text).map_err(|e| e.to_string())?;
    Deserializer::new().deserialize(&mut &bytes[..]).map_err(|e| e.to_string())
}

/// A line of an interval log.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Whose it is, see [`crate::recording::Core::tag`].
    pub tag: String,
    /// When the interval began, since the log's beginning.
    pub start: Duration,
    /// Its length.
    pub length: Duration,
    /// What was measured in it, nanoseconds.
    pub histogram: Cow<'a, Histogram<u64>>,
}

/// Writes a log that begins at `start`.
pub fn write<'a>(
    out: &mut impl Write,
    start: SystemTime,
    entries: impl IntoIterator<Item = Entry<'a>>,
) -> io::Result<()> {
    let mut serializer = V2DeflateSerializer::new();
    let mut log = IntervalLogWriterBuilder::new()
        .add_comment(COMMENT)
        .with_start_time(start)
        .with_base_time(start)
        .with_max_value_divisor(MAX_DIVISOR)
        .begin_log_with(out, &mut serializer)?;
    for Entry { tag, start, length, histogram } in entries {
        log.write_histogram(&histogram, start, length, Tag::new(&tag))
            .map_err(|e| io::Error::other(format!("{e:?}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_survives_as_text() {
        let mut histogram =
            Histogram::new_with_bounds(1_000, 60_000_000_000, 3).expect("the bounds are good");
        [5_000, 1_000_000, 1_000_000].into_iter().for_each(|value| histogram.saturating_record(value));
        assert_eq!(decode(&encode(&histogram)).expect("it is whole"), histogram);
        for broken in ["", "%", "AAAA", &encode(&histogram)[..20]] {
            assert!(decode(broken).is_err(), "{broken}");
        }
    }
}
