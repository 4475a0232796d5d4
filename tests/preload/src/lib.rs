//! Put between a server and its C library by `LD_PRELOAD`, so that tests can give it another clock, and end it or fail it at a
//! chosen call, without a hook in the server and without a change to the machine.
//!
//! | variable | what it does |
//! | --- | --- |
//! | `AURIGA_CLOCK_SECONDS` | `CLOCK_REALTIME` is ahead by so many seconds, or behind |
//! | `AURIGA_STEPS` | a file: each call that changes something at the places gets a line in it, with its number |
//! | `AURIGA_STEPS_AT` | the places: parts of paths, or with `$` their ends, with `:` in between |
//! | `AURIGA_DIE_AT` | the process is killed (SIGKILL) before the call of this number |
//! | `AURIGA_FAILURES` | `CALL PLACE ERROR:...`: the next such call at such a place fails with this error number, once; then it is the next one's turn |
//! | `AURIGA_DIE_AT_SUBMISSION` | the process is killed before the io_uring submission of this number |
//! | `AURIGA_SUBMISSIONS_FROM` | counted from the step of this number on |
//!
//! Writes that a server hands to io_uring are no calls of the C library: of these only the submission is seen.

mod calls;
mod clock;
mod steps;
