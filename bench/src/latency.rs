//! `SELECT 1` on a warm connection, as a simple query.

use std::time::{Duration, Instant};

use hoop_testkit::wire::message;

use crate::Options;
use crate::report::{Row, Unit, quantile};
use crate::stand::Stand;
use crate::wire::Connection;

pub(crate) const P50: &str = "SELECT 1, p50";
pub(crate) const P99: &str = "SELECT 1, p99";
const PER_ROUND: usize = 200;

pub(crate) fn measure(stand: &Stand, options: &Options) -> Vec<Row> {
    let open = |url: &str| Connection::open(url).expect("the stand is ready");
    let mut connections: Vec<_> = stand.peers.iter().map(|peer| (open(&peer.url), Vec::new())).collect();
    let peers = connections.len();
    for round in 0..=options.or(options.rounds, 100, 10) {
        // Another one begins each time, so that nobody always follows the same neighbour.
        for turn in 0..peers {
            let (connection, times) = &mut connections[(round + turn) % peers];
            let taken = (0..PER_ROUND).map(|_| time(connection));
            // The first round warms up.
            if round == 0 { taken.for_each(drop) } else { times.extend(taken) }
        }
    }
    let mut times: Vec<_> = connections.into_iter().map(|(_, times)| times).collect();
    let mut row = |metric, percent| {
        let values = times.iter_mut().map(|times| Some(quantile(times, percent).as_secs_f64() * 1e6));
        Row::new(metric, Unit::Microseconds, values.collect())
    };
    vec![row(P50, 50), row(P99, 99)]
}

fn time(connection: &mut Connection) -> Duration {
    let query = message(b'Q', b"SELECT 1\0");
    let start = Instant::now();
    connection.send(&query).expect("a query that cannot fail");
    start.elapsed()
}
