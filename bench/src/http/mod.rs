//! What HTTP costs: a client straight at its service, through nginx as a reverse proxy, and through the gateway.

mod answer;
mod client;
mod grpc;
mod idle;
mod latency;
mod load;
mod masking;
mod processor;
mod server;
mod stand;
mod transfer;

pub(crate) use grpc::P50 as CALL_P50;
pub(crate) use idle::{CONNECTION, SOCKET};
pub(crate) use latency::P50;
pub(crate) use load::WRK;
pub(crate) use masking::{FIRST_BYTE, GATEWAY_RATE};
pub(crate) use server::{serve, serve_grpc};
pub(crate) use transfer::{DOWNLOAD, UPLOAD, peak};

use clap::ValueEnum;

use crate::report::{Report, Row};
use crate::{Options, Part};
use stand::{NAMES, Stand};

/// What is measured over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HttpPart {
    /// The memory of idle connections.
    Idle,
    /// Requests by one client.
    Latency,
    /// Calls of gRPC.
    Calls,
    /// Requests by 64 clients.
    Load,
    /// Large bodies.
    Transfers,
    /// JSON that is masked.
    Json,
}

/// Measures one part on every peer.
type Measure = fn(&Stand, &Options) -> Vec<Row>;

/// Measures all of it, where it is wanted.
pub(crate) fn measure(options: &Options) -> Option<Report> {
    if !options.wants(Part::Http) {
        return None;
    }
    let mut report = Report::new(NAMES.into_iter());
    if options.wants_http(HttpPart::Idle) {
        eprintln!("measuring idle connections, each kind on servers of its own …");
        report.rows.extend(idle::measure(options));
    }
    let parts: [(HttpPart, &str, Measure); 5] = [
        (HttpPart::Latency, "requests by one client", latency::measure),
        (HttpPart::Calls, "calls of gRPC", grpc::measure),
        (HttpPart::Load, "requests by 64 clients", load::measure),
        (HttpPart::Transfers, "transfers", transfer::measure),
        (HttpPart::Json, "JSON", masking::measure),
    ];
    let mut wanted = parts.into_iter().filter(|(part, ..)| options.wants_http(*part)).peekable();
    if wanted.peek().is_none() {
        return Some(report);
    }
    eprintln!("starting the HTTP servers …");
    let stand = Stand::start();
    for (_, name, measure) in wanted {
        eprintln!("measuring {name} …");
        report.rows.extend(measure(&stand, options));
    }
    Some(report)
}
