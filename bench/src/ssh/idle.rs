//! What a shell at a terminal weighs when nobody types.

use std::time::Duration;

use hoop_testkit::memory;

use super::client::{Terminal, runtime};
use super::stand::{Peer, Stand};
use crate::Options;
use crate::report::{Row, Unit};

pub(crate) const IDLE: &str = "an idle SSH session, gateway and agent";

/// How much gateway and agent grow for a session whose shell has shown its prompt and waits.
pub(super) fn measure(stand: &Stand, options: &Options) -> Vec<Row> {
    let sessions = options.or(options.ssh_sessions, 1000, 100);
    let resident = || stand.own().iter().map(|(_, pid)| memory::resident(*pid)).sum::<u64>();
    let runtime = runtime();
    let mut held = Vec::new();
    let mut grow = |peer: &Peer| {
        // What only the first sessions cost is not theirs.
        drop(runtime.block_on(hold(stand, peer, 10)));
        let before = resident();
        // They stay while the next ones open, which would be given their memory otherwise.
        held.push(runtime.block_on(async {
            let held = hold(stand, peer, sessions).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
            held
        }));
        resident().saturating_sub(before) as f64 / 1024.0 / sessions as f64
    };
    let values = stand.peers.iter().map(|peer| peer.is_ours().then(|| grow(peer))).collect();
    // Connections end with the tasks that keep them.
    drop(held);
    drop(runtime);
    stand.settle();
    vec![Row::new(IDLE, Unit::Kibibytes, values)]
}

async fn hold(stand: &Stand, peer: &Peer, count: usize) -> Vec<Terminal> {
    let mut terminals = Vec::with_capacity(count);
    for number in 1..=count {
        let opened = Terminal::open(stand, peer, None).await;
        let mut terminal = opened.unwrap_or_else(|error| panic!("terminal {number} of {}: {error}", peer.name));
        terminal.read().await.unwrap_or_else(|error| panic!("the prompt of {number} of {}: {error}", peer.name));
        terminals.push(terminal);
    }
    terminals
}
