//! `ssh host true`, from its start to its end.

use std::process::Stdio;
use std::time::Instant;

use super::stand::{Peer, Stand};
use crate::Options;
use crate::report::{Row, Unit, quantile};

pub(crate) const CONNECT: &str = "ssh host true, p50";

pub(super) fn measure(stand: &Stand, options: &Options) -> Vec<Row> {
    let mut times = vec![Vec::new(); stand.peers.len()];
    for round in 0..options.or(None, 50, 5) {
        for turn in stand.turns(round) {
            let start = Instant::now();
            run(stand, &stand.peers[turn]);
            times[turn].push(start.elapsed());
        }
    }
    let p50 = times.iter_mut().map(|times| Some(quantile(times, 50).as_secs_f64() * 1e3));
    vec![Row::new(CONNECT, Unit::Milliseconds, p50.collect())]
}

fn run(stand: &Stand, peer: &Peer) {
    let mut command = stand.ssh(peer.host);
    let status = command.arg("true").stdin(Stdio::null()).stdout(Stdio::null()).status().expect("ssh starts");
    assert!(status.success(), "ssh through {}: {status}", peer.name);
}
