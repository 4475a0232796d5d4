//! What a monitoring system sees of the server: a page of metrics in Prometheus' text format, served at `/metrics` on an address of its
//! own.
//!
//! Each core shows its figures on a board, a few times a second ([`watch`]). A housekeeping thread, `metrics`, waits for scrapes; for
//! each it reads the boards, what the server knows as a whole and what the kernel counts ([`machine`]), and writes the page
//! ([`page`], of the metrics in [`list`]). No core waits for it, and without a scrape it does nothing.

pub mod figures;
mod http;
mod list;
mod machine;
mod page;
#[cfg(test)]
mod page_tests;
pub mod watch;

use crate::doorbell::Doorbell;
use crate::failure::{Failure, Outcome};
use crate::options::Metrics;
use crate::server::Shared;
use crate::socket::{accept_all, wait};
use auriga_wire::report::Status;
use figures::Figures;
use machine::{CoreTimes, Process};
use page::{Snapshot, Whole};
use std::net::{SocketAddr, TcpListener};

/// Listens for scrapes, if they are wanted.
pub fn listen(metrics: Metrics) -> Outcome<Option<TcpListener>> {
    let Metrics::On(address) = metrics else { return Ok(None) };
    let listener = bind(address)?;
    let address = listener.set_nonblocking(true).and_then(|()| listener.local_addr());
    let address =
        address.map_err(|e| Failure::environment(format!("can't listen for metrics (--metrics): {e}")))?;
    if !address.ip().is_loopback() {
        tracing::warn!("metrics on {address}. There is no authentication: whoever reaches it can read them");
    }
    tracing::info!("metrics on http://{address}{}", http::PATH);
    Ok(Some(listener))
}

/// Takes an address, to serve metrics or to see whether one could.
pub fn bind(address: SocketAddr) -> Outcome<TcpListener> {
    TcpListener::bind(address).map_err(|e| match e.kind() {
        std::io::ErrorKind::AddrInUse => Failure::environment(format!(
            "{address}, for metrics, is taken by another process: stop that one, or choose another address (--metrics \
             ADDRESS:PORT, or --metrics off)"
        )),
        _ => Failure::environment(format!(
            "can't listen on {address} for metrics: {e}: choose an address of this machine (--metrics)"
        )),
    })
}

/// Answers scrapes until every executor has ended.
pub fn run(listener: &TcpListener, bell: &Doorbell, shared: &Shared) {
    let mut monitor = Monitor::new(shared);
    while !shared.has_ended() {
        wait(listener, bell);
        // Who asks and goes away gets nothing, and nobody else is concerned.
        accept_all(listener, |socket| {
            let _ = http::answer(&socket, || monitor.page(shared), || shared.has_ended());
        });
    }
}

/// What is known from one scrape to the next.
struct Monitor {
    cores: Vec<CoreTimes>,
    page: String,
}

impl Monitor {
    fn new(shared: &Shared) -> Self {
        let places = &shared.options.topology.shards;
        Self { cores: places.iter().map(|place| CoreTimes::new(place.cpu)).collect(), page: String::new() }
    }

    fn page(&mut self, shared: &Shared) -> &str {
        let mut status = Status::default();
        shared.complete(&mut status);
        let figures: Vec<_> = shared.boards.iter().map(Figures::read).collect();
        let steal = machine::steal_ns();
        for (core, figures) in self.cores.iter_mut().zip(&figures) {
            core.advance(status.uptime_ns, figures, &steal);
        }
        let options = &shared.options;
        let snapshot = Snapshot {
            whole: Whole {
                accounts_max: options.limits.accounts_max,
                ids_max: options.limits.ids_max,
                pendings_max: options.limits.pendings_max,
                window_ns: options.limits.window_ns,
                connections_max: options.connections_max.into(),
                checkpoints: options.checkpoints(),
                buffers_max: options.large_buffers_per_shard() as u64,
                unsent_max: options.unsent_max_per_shard() as u64,
                connections: shared.open.iter().map(auriga_signals::Count::get).collect(),
                status,
            },
            figures,
            cores: &self.cores,
            process: Process::read(),
        };
        self.page.clear();
        page::write(&snapshot, &mut self.page);
        &self.page
    }
}
