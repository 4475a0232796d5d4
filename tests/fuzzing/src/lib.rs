//! How long fuzzers run, and how they damage what is good. For tests of any crate.
//!
//! A target tries a fixed number of random inputs (`FUZZ_ITERATIONS` sets another one), or as many as it can in `FUZZ_SECONDS`.
//! A failure prints the seed, which `BOLERO_RANDOM_SEED` takes. `cargo bolero test -p CRATE TARGET` runs a target with a
//! coverage-guided engine.

pub use bolero;
use std::time::Duration;

/// Damage: at a place (taken modulo the length) a byte is changed by this mask.
pub type Flips = Vec<(u32, u8)>;

/// Applies damage; says whether anything has changed.
pub fn damage(bytes: &mut [u8], flips: &Flips) -> bool {
    let before = bytes.to_vec();
    for (place, mask) in flips {
        let place = *place as usize % bytes.len();
        bytes[place] ^= mask;
    }
    bytes != before
}

/// Random inputs of a type, for as long as a target is to run. A number behind the type: inputs that are so many times slower
/// than usual.
#[macro_export]
macro_rules! inputs {
    ($type:ty) => {
        $crate::inputs!($type, 1)
    };
    ($type:ty, $slow:expr) => {{
        let target = $crate::bolero::check!();
        let target = match $crate::time() {
            Some(time) => target.with_test_time(time).with_iterations(usize::MAX),
            None => target.with_iterations($crate::iterations() / $slow),
        };
        target.with_type::<$type>()
    }};
}

/// Inputs that a target tries.
pub fn iterations() -> usize {
    number("FUZZ_ITERATIONS").unwrap_or(10_000)
}

/// How long a target runs instead, if that was asked for.
pub fn time() -> Option<Duration> {
    number("FUZZ_SECONDS").map(|seconds| Duration::from_secs(seconds as u64))
}

fn number(variable: &str) -> Option<usize> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("found {variable}={text}, expected a number")))
}
