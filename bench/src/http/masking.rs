//! JSON of 1 MB in which there is something to mask: what the gateway's processor does for it, and when its first byte is there.

use std::time::Instant;

use super::client::Client;
use super::processor;
use super::server::JSON_BYTES;
use super::stand::{Peer, Stand};
use crate::Options;
use crate::report::{Row, Unit, quantile};

pub(crate) const FIRST_BYTE: &str = "JSON of 1 MB, its first byte, p50";
pub(crate) const GATEWAY_RATE: &str = "… in a second of the gateway's processor";
/// Answers on one peer before the next has its turn.
const PER_ROUND: usize = 10;

/// What was measured on a peer.
#[derive(Default)]
struct Measured {
    first: Vec<std::time::Duration>,
    bytes: u64,
    processor: f64,
}

pub(super) fn measure(stand: &Stand, options: &Options) -> Vec<Row> {
    let mut all: Vec<Measured> = stand.peers.iter().map(|_| Measured::default()).collect();
    for round in 0..=options.or(None, 30, 3) {
        for turn in stand.turns(round) {
            let taken = read(stand, &stand.peers[turn]);
            // The first round warms up.
            if round > 0 {
                all[turn].first.extend(taken.first);
                all[turn].bytes += taken.bytes;
                all[turn].processor += taken.processor;
            }
        }
    }
    let first = all.iter_mut().map(|peer| Some(quantile(&mut peer.first, 50).as_secs_f64() * 1e3)).collect();
    let rate = |(peer, measured): (&Peer, &Measured)| {
        (peer.is_ours() && measured.processor > 0.0).then(|| measured.bytes as f64 / 1e6 / measured.processor)
    };
    let rates = stand.peers.iter().zip(&all).map(rate).collect();
    vec![Row::new(FIRST_BYTE, Unit::Milliseconds, first), Row::new(GATEWAY_RATE, Unit::MegabytesPerSecond, rates)]
}

fn read(stand: &Stand, peer: &Peer) -> Measured {
    let request = peer.request("GET", "/json", "");
    let mut client = Client::open(peer).expect("the stand is ready");
    let [(_, gateway), _] = stand.own();
    let before = processor::used(gateway);
    let mut measured = Measured::default();
    for _ in 0..PER_ROUND {
        let start = Instant::now();
        let answer = client.ask(&request).unwrap_or_else(|error| panic!("JSON through {}: {error}", peer.name));
        assert!(answer.status == 200 && answer.bytes >= JSON_BYTES / 2, "{answer:?} through {}", peer.name);
        measured.first.extend(answer.first.map(|first| first - start));
        measured.bytes += JSON_BYTES;
    }
    measured.processor = (processor::used(gateway) - before).as_secs_f64();
    measured
}
