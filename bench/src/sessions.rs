//! Opening sessions, and what they weigh when nothing happens.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use hoop_testkit::memory;
use hoop_testkit::wire::Wire;

use crate::Options;
use crate::report::{Row, Unit, quantile};
use crate::stand::{HOOP, RULES, Stand};

pub(crate) const OPEN: &str = "open a session, p50";
pub(crate) const SILENT: &str = "… the slowest, among silent clients";
pub(crate) const IDLE: &str = "an idle session, gateway and agent";

/// From TCP to ReadyForQuery; a SCRAM login everywhere. pgbouncer has its connections to the server already.
pub(crate) fn open(stand: &Stand, options: &Options) -> Vec<Row> {
    let rounds = options.or(None, 200, 20);
    let mut times = vec![Vec::new(); stand.peers.len()];
    for _ in 0..rounds {
        for (times, peer) in times.iter_mut().zip(&stand.peers) {
            times.push(login(&peer.url).1);
        }
    }
    let p50 = times.iter_mut().map(|times| Some(milliseconds(quantile(times, 50))));
    vec![Row::new(OPEN, Unit::Milliseconds, p50.collect()), among_silent(stand, options)]
}

/// The slowest of fifty, while many clients have connected and said nothing.
fn among_silent(stand: &Stand, options: &Options) -> Row {
    let address = stand.gateway.address();
    let connect = |_| TcpStream::connect(&address).expect("the gateway accepts");
    let silent: Vec<_> = (0..options.silent_clients).map(connect).collect();
    let slowest = |url: &str| (0..50).map(|_| milliseconds(login(url).1)).fold(0.0, f64::max);
    let values = ours(stand, slowest);
    drop(silent);
    Row::new(SILENT, Unit::Milliseconds, values)
}

/// How much gateway and agent grow for a session that has answered one query and waits.
pub(crate) fn idle(stand: &Stand, options: &Options) -> Vec<Row> {
    let resident = || stand.own().iter().map(|(_, pid)| memory::resident(*pid)).sum::<u64>();
    let mut held = Vec::new();
    let grow = |url: &str| {
        // What only the first sessions cost is not theirs.
        hold(url, 10);
        let before = resident();
        // They stay while the next ones open, which would be given their memory otherwise.
        held.push(hold(url, options.idle_sessions));
        std::thread::sleep(Duration::from_secs(2));
        let grown = resident().saturating_sub(before) as f64;
        grown / 1024.0 / options.idle_sessions as f64
    };
    vec![Row::new(IDLE, Unit::Kibibytes, ours(stand, grow))]
}

fn hold(url: &str, count: usize) -> Vec<Wire> {
    let mut sessions: Vec<_> = (0..count).map(|_| login(url).0).collect();
    for session in &mut sessions {
        session.query("select 1").expect("an open session");
        session.read_all();
    }
    sessions
}

/// What is measured on the gateway's ways alone.
fn ours(stand: &Stand, mut measure: impl FnMut(&str) -> f64) -> Vec<Option<f64>> {
    let is_ours = |name| [HOOP, RULES].contains(&name);
    stand.peers.iter().map(|peer| is_ours(peer.name).then(|| measure(&peer.url))).collect()
}

fn login(url: &str) -> (Wire, Duration) {
    let start = Instant::now();
    let wire = Wire::login(url).expect("the stand is ready");
    (wire, start.elapsed())
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
