//! `pgbench -S`: one row by its key, as a simple query and prepared, by one client and by sixteen.

use std::process::Command;

use hoop_testkit::{find, output};

use crate::Options;
use crate::report::{Row, Unit, median};
use crate::stand::Stand;

const RUNS: usize = 3;
/// What is not counted, in seconds. The server has a new process for every client, which takes longer until it has read the catalog
/// and mapped the tables; pgbouncer alone keeps those of an earlier run.
const WARM_UP: u32 = 2;

pub(crate) fn measure(stand: &Stand, options: &Options) -> Vec<Row> {
    let seconds = options.or(options.pgbench_seconds, 5, 1);
    let mut rows = Vec::new();
    for mode in ["simple", "prepared"] {
        for clients in [1, 16] {
            let mut rates = vec![Vec::new(); stand.peers.len()];
            for _ in 0..RUNS {
                for (rates, peer) in rates.iter_mut().zip(&stand.peers) {
                    rates.push(rate(&peer.url, mode, clients, seconds));
                }
            }
            let values = rates.iter_mut().map(|rates| Some(median(rates))).collect();
            rows.push(Row::new(name(mode, clients), Unit::PerSecond, values));
        }
    }
    rows
}

pub(crate) fn name(mode: &str, clients: u32) -> String {
    format!("pgbench -S -M {mode}, {clients} client{}", if clients == 1 { "" } else { "s" })
}

/// The rate once all is warm, in transactions a second.
fn rate(url: &str, mode: &str, clients: u32, seconds: u32) -> f64 {
    let (clients, time) = (clients.to_string(), (WARM_UP + seconds + 1).to_string());
    let mut command = Command::new(find("pgbench", "postgresql"));
    command.args(["--no-vacuum", "--select-only", "--protocol", mode, "--client", &clients]);
    command.args(["--time", &time, "--progress", "1", url]);
    let done = output(&mut command, b"");
    // It does not always tell of the last second.
    let rates = done.stderr.lines().filter_map(of_a_second).skip(WARM_UP as usize).take(seconds as usize);
    let rates: Vec<f64> = rates.collect();
    done.ok();
    assert_eq!(rates.len(), seconds as usize, "what pgbench printed:\n{}", done.stderr);
    rates.iter().sum::<f64>() / rates.len() as f64
}

/// The rate in `progress: 3.0 s, 25338.0 tps, …`.
fn of_a_second(line: &str) -> Option<f64> {
    line.strip_prefix("progress: ")?.split(", ").nth(1)?.strip_suffix(" tps")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_of_seconds_are_read() {
        let line = "progress: 3.0 s, 25338.5 tps, lat 0.631 ms stddev 0.278, 0 failed";
        assert_eq!(of_a_second(line), Some(25338.5));
        assert_eq!(of_a_second("tps = 25338.5 (without initial connection time)"), None);
    }
}
