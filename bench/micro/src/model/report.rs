//! The forecasts for people, and for programs.

use super::{Assumed, Forecast};
use crate::steps::Steps;
use serde_json::json;
use std::fmt::Write as _;

/// A line for each machine, and what was assumed. All of it is computed, and says so.
pub fn table(forecasts: &[Forecast], assumed: &Assumed) -> String {
    let mut text = String::from(
        "computed  cores  sockets  million/s  epochs/s  rings, GB  first bottleneck; shares of the epoch's time\n",
    );
    for forecast in forecasts {
        let share = |ns: f64| 100.0 * ns / forecast.epoch_ns;
        let parts = forecast.parts.iter().filter(|part| share(part.ns) >= 0.5);
        let parts: Vec<String> = parts.map(|part| format!("{} {:.0} %", part.name, share(part.ns))).collect();
        let _ = writeln!(
            text,
            "computed  {:>5}  {:>7}  {:>9.1}  {:>8.0}  {:>9.1}  {}; {}",
            forecast.host.cores,
            forecast.host.sockets,
            forecast.transfers_per_second / 1e6,
            1e9 / forecast.epoch_ns,
            forecast.ring_bytes / 1e9,
            forecast.bottleneck,
            parts.join(", "),
        );
    }
    let names = serde_json::to_value(assumed).expect("fields are numbers");
    let names = names.as_object().expect("a struct").iter().map(|(name, value)| format!("{name}={value}"));
    let _ = write!(text, "assumed, not measured: {}", names.collect::<Vec<_>>().join(" "));
    text
}

/// One object on one line.
pub fn json(forecasts: &[Forecast], assumed: &Assumed, steps: &Steps) -> String {
    json!({ "computed": forecasts, "assumed": assumed, "measured": steps }).to_string()
}
