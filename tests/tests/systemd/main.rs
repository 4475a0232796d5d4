//! Auriga as a service: its units as systemd reads them, what the server tells the service manager, and how it is installed.

mod install;
mod package;
mod root;
mod system_calls;
mod units;
mod watchdog;
