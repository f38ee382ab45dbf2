//! `COPY … TO STDOUT` of much: how fast, and how large gateway and agent become.

use std::time::Instant;

use hoop_testkit::{memory, psql};

use crate::Options;
use crate::report::{Row, Unit, median};
use crate::stand::{HOOP, Peer, RULES, Stand};
use crate::wire::Connection;

pub(crate) const RATE: &str = "COPY TO STDOUT";
const RUNS: usize = 3;

/// A thousand rows of 480 bytes, one in ten with something that a detector finds. They are few, so that the server gives
/// them from memory, over and over.
const TABLE: &str = "create table sample as select i as id, md5(i::text) as hash, \
    'Customer number ' || i as name, now() + i * interval '1 minute' as at, \
    repeat('The parcel was handed to a neighbour; please call again in the morning. ', 5) as note, \
    case when i % 10 = 0 then 'customer' || i || '@example.com' else 'none' end as contact \
    from generate_series(1, 1000) i";
const TABLE_BYTES: u64 = 480_000;

pub(crate) fn measure(stand: &Stand, options: &Options) -> Vec<Row> {
    psql(&stand.direct(), &["-c", TABLE]).ok();
    let times = (options.or(options.copy_megabytes, 2000, 100) * 1_000_000).div_ceil(TABLE_BYTES);
    let copy = format!("copy (select sample.* from generate_series(1, {times}), sample) to stdout");
    let mut rates = vec![Vec::new(); stand.peers.len()];
    let mut peaks = vec![[0; 2]; stand.peers.len()];
    for _ in 0..RUNS {
        for ((rates, peaks), peer) in rates.iter_mut().zip(&mut peaks).zip(&stand.peers) {
            stand.own().iter().for_each(|(_, pid)| memory::forget_peak(*pid));
            rates.push(rate(peer, &copy));
            let now = stand.own().map(|(_, pid)| memory::peak(pid));
            *peaks = [0, 1].map(|process| peaks[process].max(now[process]));
        }
    }
    let mut rows =
        vec![Row::new(RATE, Unit::MegabytesPerSecond, rates.iter_mut().map(|rates| Some(median(rates))).collect())];
    for (process, (name, _)) in stand.own().iter().enumerate() {
        let ours = |peer: &Peer| [HOOP, RULES].contains(&peer.name);
        let values = stand.peers.iter().zip(&peaks);
        let values = values.map(|(peer, peaks)| ours(peer).then(|| peaks[process] as f64 / 1e6));
        rows.push(Row::new(peak(name), Unit::Megabytes, values.collect()));
    }
    rows
}

/// The metric of a process's memory.
pub(crate) fn peak(process: &str) -> String {
    format!("{process}'s memory during COPY, peak")
}

/// Megabytes a second, framing included.
fn rate(peer: &Peer, copy: &str) -> f64 {
    let mut connection = Connection::open(&peer.url).expect("the stand is ready");
    let start = Instant::now();
    let bytes = connection.query(copy).unwrap_or_else(|error| panic!("COPY through {}: {error}", peer.name));
    bytes as f64 / 1e6 / start.elapsed().as_secs_f64()
}
