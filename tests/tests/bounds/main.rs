//! Bounds: what clients and a full disk can't make the server do, and what its shards never do under load.

mod bad_frames;
mod connections;
mod full_log;
mod limits;
mod memory;
mod patience;
mod raw;
mod system_calls;
