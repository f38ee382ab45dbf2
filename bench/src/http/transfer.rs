//! A large body, down and up: how fast, and how large gateway and agent become.

use std::time::Instant;

use hoop_testkit::memory;

use super::client::Client;
use super::stand::{Peer, Stand};
use crate::Options;
use crate::report::{Row, Unit, median};

pub(crate) const DOWNLOAD: &str = "a large GET";
pub(crate) const UPLOAD: &str = "a large POST";
const RUNS: usize = 3;

pub(super) fn measure(stand: &Stand, options: &Options) -> Vec<Row> {
    let bytes = options.or(options.http_megabytes, 500, 50) * 1_000_000;
    let down = along(stand, DOWNLOAD, |peer| download(peer, bytes));
    let up = along(stand, UPLOAD, |peer| upload(peer, bytes));
    [down, up].concat()
}

/// The metric of a process's memory.
pub(crate) fn peak(process: &str, transfer: &str) -> String {
    format!("{process}'s memory during {transfer}, peak")
}

/// One way on every peer: rates, and memory.
fn along(stand: &Stand, name: &str, rate: impl Fn(&Peer) -> f64) -> Vec<Row> {
    let mut rates = vec![Vec::new(); stand.peers.len()];
    let mut peaks = vec![[0; 2]; stand.peers.len()];
    for round in 0..RUNS {
        for turn in stand.turns(round) {
            stand.own().iter().for_each(|(_, pid)| memory::forget_peak(*pid));
            rates[turn].push(rate(&stand.peers[turn]));
            let now = stand.own().map(|(_, pid)| memory::peak(pid));
            peaks[turn] = [0, 1].map(|process| peaks[turn][process].max(now[process]));
        }
    }
    let rates = rates.iter_mut().map(|rates| Some(median(rates))).collect();
    let mut rows = vec![Row::new(name, Unit::MegabytesPerSecond, rates)];
    for (process, (own, _)) in stand.own().iter().enumerate() {
        let values = stand.peers.iter().zip(&peaks);
        let values = values.map(|(peer, peaks)| peer.is_ours().then(|| peaks[process] as f64 / 1e6));
        rows.push(Row::new(peak(own, name), Unit::Megabytes, values.collect()));
    }
    rows
}

/// Megabytes a second.
fn download(peer: &Peer, bytes: u64) -> f64 {
    let start = Instant::now();
    let answer = peer.get(&format!("/large?{bytes}"));
    assert_eq!(answer.bytes, bytes, "through {}", peer.name);
    bytes as f64 / 1e6 / start.elapsed().as_secs_f64()
}

/// The server counts what came.
fn upload(peer: &Peer, bytes: u64) -> f64 {
    let request = peer.request("POST", "/sink", &format!("Content-Length: {bytes}\r\n"));
    let start = Instant::now();
    let sent = Client::open(peer).and_then(|mut client| client.send(&request, bytes));
    let answer = sent.unwrap_or_else(|error| panic!("a POST through {}: {error}", peer.name));
    let counted = String::from_utf8_lossy(&answer.text);
    assert!(answer.status == 200 && counted == bytes.to_string(), "through {}: {counted}", peer.name);
    bytes as f64 / 1e6 / start.elapsed().as_secs_f64()
}
