//! What a connection weighs that waits for its next request, and a WebSocket on which nobody speaks.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use hoop_testkit::memory;

use super::client::Client;
use super::stand::{NAMES, Peer, Stand, is_ours};
use crate::Options;
use crate::report::{Row, Unit};

pub(crate) const CONNECTION: &str = "an idle connection over HTTP, gateway and agent";
pub(crate) const SOCKET: &str = "an idle WebSocket, gateway and agent";

/// Opens one more, or says that no more is to be had.
type Open = fn(&Peer) -> Option<TcpStream>;

/// On a stand of its own each: what one has given back would be the next one's memory.
pub(super) fn measure(options: &Options) -> Vec<Row> {
    let wanted = options.or(options.http_connections, 5000, 200);
    let mut rows = Vec::new();
    for (metric, open) in [(CONNECTION, connection as Open), (SOCKET, socket)] {
        let weigh = |name| is_ours(name).then(|| weigh(name, open, wanted));
        let weighed = NAMES.map(weigh);
        rows.push(Row::new(metric, Unit::Kibibytes, weighed.map(|weighed| Some(weighed?.0)).to_vec()));
        let held = weighed.map(|weighed| Some(weighed?.1 as f64)).to_vec();
        rows.push(Row::new(format!("… of which there were, of {wanted}"), Unit::Count, held));
    }
    rows
}

/// How much gateway and agent grow for each, in KiB, and how many there were: their limits may allow fewer than are wanted.
fn weigh(name: &str, open: Open, wanted: usize) -> (f64, usize) {
    let stand = Stand::start();
    let peer = stand.peers.iter().find(|peer| peer.name == name).expect("a name of the stand");
    let resident = || stand.own().iter().map(|(_, pid)| memory::resident(*pid)).sum::<u64>();
    // What only the first ones cost is not theirs. They stay, as their memory would be the next ones'.
    let first: Vec<_> = (0..10).map_while(|_| open(peer)).collect();
    let before = resident();
    let held: Vec<_> = (0..wanted).map_while(|_| open(peer)).collect();
    std::thread::sleep(Duration::from_secs(2));
    let grown = resident().saturating_sub(before) as f64;
    assert!(first.len() == 10 && !held.is_empty(), "{name} gave no connection");
    (grown / 1024.0 / held.len() as f64, held.len())
}

/// One that has served a request.
fn connection(peer: &Peer) -> Option<TcpStream> {
    let mut client = Client::open(peer).expect("the stand is ready");
    let answer = client.ask(&peer.request("GET", "/small", "")).expect("an answer");
    (answer.status == 200).then(|| client.resting())
}

/// One that has carried a message there and back.
fn socket(peer: &Peer) -> Option<TcpStream> {
    const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let mut client = Client::open(peer).expect("the stand is ready");
    let answer = client.ask(&peer.request("GET", "/socket", UPGRADE)).expect("an answer");
    if answer.status != 101 {
        eprintln!("{} gives no more: {} {}", peer.name, answer.status, String::from_utf8_lossy(&answer.text));
        return None;
    }
    let mut socket = client.resting();
    // A text of two letters, with a mask of zeros; it comes back without one.
    socket.write_all(b"\x81\x82\0\0\0\0hi").expect("an open WebSocket");
    let mut echo = [0; 4];
    socket.read_exact(&mut echo).expect("the echo of a message");
    assert_eq!(&echo, b"\x81\x02hi", "the echo of a message");
    Some(socket)
}
