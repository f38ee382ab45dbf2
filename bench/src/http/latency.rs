//! An answer of 1 KB on a connection that stays.

use std::time::Instant;

use super::client::Client;
use super::stand::Stand;
use crate::Options;
use crate::report::{Row, Unit, quantile};

pub(crate) const P50: &str = "GET of 1 KB, p50";
const P99: &str = "GET of 1 KB, p99";
const PER_ROUND: usize = 200;

pub(super) fn measure(stand: &Stand, options: &Options) -> Vec<Row> {
    let open = |peer| (Client::open(peer).expect("the stand is ready"), Vec::new());
    let mut clients: Vec<_> = stand.peers.iter().map(open).collect();
    for round in 0..=options.or(options.rounds, 100, 10) {
        for turn in stand.turns(round) {
            let peer = &stand.peers[turn];
            let request = peer.request("GET", "/small", "");
            let (client, times) = &mut clients[turn];
            for _ in 0..PER_ROUND {
                let start = Instant::now();
                let asked = client.ask(&request);
                let took = start.elapsed();
                let answer = asked.unwrap_or_else(|error| panic!("a GET through {}: {error}", peer.name));
                assert_eq!((answer.status, answer.bytes), (200, 1024), "through {}", peer.name);
                // The first round warms up.
                if round > 0 {
                    times.push(took);
                }
            }
        }
    }
    let mut row = |metric, percent| {
        let values = clients.iter_mut().map(|(_, times)| Some(quantile(times, percent).as_secs_f64() * 1e6));
        Row::new(metric, Unit::Microseconds, values.collect())
    };
    vec![row(P50, 50), row(P99, 99)]
}
