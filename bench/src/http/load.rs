//! As many requests as 64 clients can make: `wrk` over HTTP/1.1, and `h2load` over HTTP/2.

use std::process::Command;

use hoop_testkit::{find, output};

use super::stand::{Peer, Stand};
use crate::Options;
use crate::report::{Row, Unit, median};

pub(crate) const WRK: &str = "wrk -t2 -c64, 1 KB";
const H2LOAD: &str = "h2load -c8 -m8, 1 KB";
const RUNS: usize = 3;

pub(super) fn measure(stand: &Stand, options: &Options) -> Vec<Row> {
    let seconds = options.or(None, 5, 1);
    let row = |metric, rate: fn(&Peer, u32) -> f64| {
        let mut rates = vec![Vec::new(); stand.peers.len()];
        for round in 0..RUNS {
            for turn in stand.turns(round) {
                rates[turn].push(rate(&stand.peers[turn], seconds));
            }
        }
        Row::new(metric, Unit::PerSecond, rates.iter_mut().map(|rates| Some(median(rates))).collect())
    };
    vec![row(WRK, wrk), row(H2LOAD, h2load)]
}

fn wrk(peer: &Peer, seconds: u32) -> f64 {
    let mut command = Command::new(find("wrk", "wrk"));
    command.args(["-t2", "-c64", &format!("-d{seconds}s")]);
    let printed = run(command, peer, peer.port);
    // wrk goes on when the server says no.
    let failed = ["Non-2xx", "Socket errors"].iter().any(|word| printed.contains(word));
    assert!(!failed, "through {}:\n{printed}", peer.name);
    let rate = printed.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok());
    rate.unwrap_or_else(|| panic!("no rate in what wrk printed:\n{printed}"))
}

/// Eight connections, with eight requests at once on each.
fn h2load(peer: &Peer, seconds: u32) -> f64 {
    let mut command = Command::new(find("h2load", "nghttp2-client"));
    command.args(["-c8", "-m8", "-D", &seconds.to_string()]);
    let printed = run(command, peer, peer.http2_port);
    let statuses = printed.lines().find_map(|line| line.strip_prefix("status codes: ")).unwrap_or("");
    assert!(statuses.ends_with("0 3xx, 0 4xx, 0 5xx"), "through {}:\n{printed}", peer.name);
    // finished in 5.00s, 12345.60 req/s, 12.34MB/s
    let finished = printed.lines().find(|line| line.starts_with("finished in "));
    let rate = finished.and_then(|line| line.split(", ").nth(1)?.strip_suffix(" req/s")?.parse().ok());
    rate.filter(|rate| *rate > 0.0).unwrap_or_else(|| panic!("no rate in what h2load printed:\n{printed}"))
}

fn run(mut command: Command, peer: &Peer, port: u16) -> String {
    if let Some(token) = &peer.token {
        command.arg("-H").arg(format!("hoop-token: {token}"));
    }
    command.arg(format!("http://127.0.0.1:{port}/small"));
    output(&mut command, b"").ok()
}
