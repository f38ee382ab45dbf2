//! What SSH costs: OpenSSH straight to its server, through another one (`ProxyJump`), and through the gateway.

mod client;
mod connect;
mod echo;
mod idle;
mod stand;
mod transfer;

pub(crate) use connect::CONNECT;
pub(crate) use echo::{P50, P99};
pub(crate) use idle::IDLE;
pub(crate) use transfer::{DOWNLOAD, UPLOAD};

use crate::report::{Report, Row};
use crate::{Options, Part};
use stand::Stand;

/// Measures one part on every peer.
type Measure = fn(&Stand, &Options) -> Vec<Row>;

/// Measures all of it, where it is wanted.
pub(crate) fn measure(options: &Options) -> Option<Report> {
    if !options.wants(Part::Ssh) {
        return None;
    }
    eprintln!("starting the SSH servers …");
    let stand = Stand::start();
    let mut report = Report::new(stand.peers.iter().map(|peer| peer.name));
    let parts: [(&str, Measure); 4] = [
        // First, while the processes are as small as they were when they started.
        ("idle terminals", idle::measure),
        ("the echo of keys", echo::measure),
        ("connecting", connect::measure),
        ("transfers", transfer::measure),
    ];
    for (name, measure) in parts {
        eprintln!("measuring {name} …");
        report.rows.extend(measure(&stand, options));
    }
    Some(report)
}
