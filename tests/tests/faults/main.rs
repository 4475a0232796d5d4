//! Real faults: deaths, stops, full and failing disks, files that are not what they were, a wrong clock. After each of them a
//! server serves exactly what it had acknowledged, or refuses to start, says why, and changes nothing.

mod clock;
mod failing_disk;
mod files;
mod full_disk;
mod kills;
mod ledger;
mod lock;
mod small_disk;
mod steps;
mod stopped;
