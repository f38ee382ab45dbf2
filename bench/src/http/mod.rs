//! What HTTP costs: a client straight at its service, through nginx as a reverse proxy, and through the gateway.

mod answer;
mod client;
mod grpc;
mod idle;
mod latency;
mod load;
mod masking;
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

use crate::report::{Report, Row};
use crate::{Options, Part};
use stand::{NAMES, Stand};

/// Measures one part on every peer.
type Measure = fn(&Stand, &Options) -> Vec<Row>;

/// Measures all of it, where it is wanted.
pub(crate) fn measure(options: &Options) -> Option<Report> {
    if !options.wants(Part::Http) {
        return None;
    }
    let mut report = Report::new(NAMES.into_iter());
    eprintln!("measuring idle connections, each kind on servers of its own …");
    report.rows.extend(idle::measure(options));
    eprintln!("starting the HTTP servers …");
    let stand = Stand::start();
    let parts: [(&str, Measure); 5] = [
        ("requests by one client", latency::measure),
        ("calls of gRPC", grpc::measure),
        ("requests by 64 clients", load::measure),
        ("transfers", transfer::measure),
        ("JSON", masking::measure),
    ];
    for (name, measure) in parts {
        eprintln!("measuring {name} …");
        report.rows.extend(measure(&stand, options));
    }
    Some(report)
}
