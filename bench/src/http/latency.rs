//! An answer of 1 KB on a connection that stays.

use std::time::{Duration, Instant};

use super::client::Client;
use super::processor::Spent;
use super::stand::{Peer, Stand};
use crate::Options;
use crate::report::{Row, Unit, quantile};

pub(crate) const P50: &str = "GET of 1 KB, p50";
const P99: &str = "GET of 1 KB, p99";
const PER_ROUND: usize = 200;

pub(super) fn measure(stand: &Stand, options: &Options) -> Vec<Row> {
    let open = |peer| (Client::open(peer).expect("the stand is ready"), Vec::new());
    let mut clients: Vec<_> = stand.peers.iter().map(open).collect();
    let (rounds, mut spent) = (options.or(options.rounds, 100, 10), Spent::new(stand));
    for round in 0..=rounds {
        for turn in stand.turns(round) {
            let (client, times) = &mut clients[turn];
            // The first round warms up.
            if round == 0 {
                ask(client, &stand.peers[turn]);
            } else {
                times.extend(spent.during(stand, turn, || ask(client, &stand.peers[turn])));
            }
        }
    }
    let mut row = |metric, percent| {
        let values = clients.iter_mut().map(|(_, times)| Some(quantile(times, percent).as_secs_f64() * 1e6));
        Row::new(metric, Unit::Microseconds, values.collect())
    };
    let times = vec![row(P50, 50), row(P99, 99)];
    [times, spent.rows(stand, "GET of 1 KB", rounds * PER_ROUND)].concat()
}

/// One request after the other.
fn ask(client: &mut Client, peer: &Peer) -> Vec<Duration> {
    let request = peer.request("GET", "/small", "");
    let mut times = Vec::with_capacity(PER_ROUND);
    for _ in 0..PER_ROUND {
        let start = Instant::now();
        let asked = client.ask(&request);
        times.push(start.elapsed());
        let answer = asked.unwrap_or_else(|error| panic!("a GET through {}: {error}", peer.name));
        assert_eq!((answer.status, answer.bytes), (200, 1024), "through {}", peer.name);
    }
    times
}
