//! A key that is pressed, until it stands on the screen.

use std::time::{Duration, Instant};

use super::client::{Terminal, runtime};
use super::stand::{Peer, Stand};
use crate::Options;
use crate::report::{Row, Unit, quantile};

pub(crate) const P50: &str = "SSH: a key and its echo, p50";
pub(crate) const P99: &str = "SSH: a key and its echo, p99";
/// Two passes of what is typed.
const PER_ROUND: usize = 2 * TYPED.len();
/// Somebody at work.
const TYPED: &[u8] = b"cd /var/log && ls -la\ngrep -c error syslog\ntail -n 20 auth.log | less\nexit\n";
/// Echoes every byte as it is, from the program and not from the terminal.
const ECHO: &str = "stty raw -echo; echo ready; exec cat";

pub(super) fn measure(stand: &Stand, options: &Options) -> Vec<Row> {
    let runtime = runtime();
    let mut terminals = Vec::new();
    for peer in &stand.peers {
        let opened = runtime.block_on(open(stand, peer));
        let terminal = opened.unwrap_or_else(|error| panic!("a terminal of {}: {error}", peer.name));
        terminals.push((terminal, Vec::new()));
    }
    for round in 0..=options.or(options.rounds, 100, 10) {
        for turn in stand.turns(round) {
            let (terminal, times) = &mut terminals[turn];
            let taken = runtime.block_on(type_all(terminal)).expect("a terminal that stays");
            // The first round warms up.
            if round > 0 {
                times.extend(taken);
            }
        }
    }
    let mut row = |metric, percent| {
        let values = terminals.iter_mut().map(|(_, times)| Some(quantile(times, percent).as_secs_f64() * 1e6));
        Row::new(metric, Unit::Microseconds, values.collect())
    };
    vec![row(P50, 50), row(P99, 99)]
}

async fn open(stand: &Stand, peer: &Peer) -> Result<Terminal, russh::Error> {
    let mut terminal = Terminal::open(stand, peer, Some(ECHO)).await?;
    let mut shown = Vec::new();
    while !shown.ends_with(b"ready\n") {
        shown.extend(terminal.read().await?);
    }
    Ok(terminal)
}

async fn type_all(terminal: &mut Terminal) -> Result<Vec<Duration>, russh::Error> {
    let mut times = Vec::with_capacity(PER_ROUND);
    for key in TYPED.iter().cycle().take(PER_ROUND) {
        let start = Instant::now();
        terminal.write(*key).await?;
        let shown = terminal.read().await?;
        times.push(start.elapsed());
        assert_eq!(shown, [*key], "the echo of a key");
    }
    Ok(times)
}
