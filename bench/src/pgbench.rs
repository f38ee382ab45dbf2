//! `pgbench -S`: one row by its key, as a simple query and prepared, by one client and by sixteen.

use std::process::Command;

use hoop_testkit::{find, output};

use crate::Options;
use crate::report::{Row, Unit, median};
use crate::stand::Stand;

const RUNS: usize = 3;

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

fn rate(url: &str, mode: &str, clients: u32, seconds: u32) -> f64 {
    let (clients, seconds) = (clients.to_string(), seconds.to_string());
    let mut command = Command::new(find("pgbench", "postgresql"));
    command.args(["--no-vacuum", "--select-only", "--protocol", mode, "--client", &clients, "--time", &seconds, url]);
    let printed = output(&mut command, b"").ok();
    let rate = printed.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
    rate.unwrap_or_else(|| panic!("no rate in what pgbench printed:\n{printed}"))
}
