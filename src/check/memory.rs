//! Memory: huge pages, and what is touched at the start.

use super::{Finding, Level, Root};
use crate::config::units::Unit;
use crate::failure::Outcome;
use crate::{room, server};

pub fn look(root: &Root) -> Vec<Finding> {
    vec![transparent(root), reserved(root)]
}

/// The choice that a file of /sys has in brackets.
pub fn chosen(line: &str) -> &str {
    line.split(['[', ']']).nth(1).unwrap_or(line)
}

pub fn transparent(root: &Root) -> Finding {
    let (name, need) = ("huge pages", "transparent huge pages: madvise or always; large tables ask for them");
    let path = "sys/kernel/mm/transparent_hugepage/enabled";
    let Some(line) = root.line(path) else { return Finding::unknown(name, "/sys has none", need) };
    match chosen(&line) {
        found @ ("madvise" | "always") => Finding::good(name, found, need),
        found => Finding::bad(
            Level::Warning,
            name,
            found,
            need,
            format!("echo madvise > /{path}, and at boot: transparent_hugepage=madvise"),
        ),
    }
}

pub fn reserved(root: &Root) -> Finding {
    let (name, need) = ("reserved pages", "none: a server uses transparent huge pages, not reserved ones");
    let Some(said) = root.text("proc/meminfo") else {
        return Finding::unknown(name, "/proc/meminfo can't be read", need);
    };
    let number = |label: &str| -> Option<u64> {
        let line = said.lines().find_map(|line| line.strip_prefix(label))?;
        line.split_whitespace().next()?.parse().ok()
    };
    match (number("HugePages_Total:"), number("Hugepagesize:")) {
        (Some(0) | None, _) => Finding::good(name, "none", need),
        (Some(pages), size) => {
            let bytes = Unit::Bytes.show(pages * (size.unwrap_or(0) << 10));
            Finding::note(
                name,
                format!("{pages} huge pages, {bytes}, are kept from a server (vm.nr_hugepages)"),
                need,
            )
        }
    }
}

/// What a start would say.
pub fn check(prefault: u64) -> Outcome<String> {
    server::check_memory(prefault)?;
    Ok(match room::available() {
        Some(bytes) => format!("{} MiB can be given", bytes >> 20),
        None => "the kernel doesn't say how much can be given".into(),
    })
}
