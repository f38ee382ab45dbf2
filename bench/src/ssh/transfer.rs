//! A large file over `ssh`, down and up: how fast, and how large gateway and agent become.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use hoop_testkit::memory;

use super::stand::{JUMP, Peer, Stand};
use crate::Options;
use crate::report::{Row, Unit, median};

pub(crate) const DOWNLOAD: &str = "ssh host cat file";
pub(crate) const UPLOAD: &str = "ssh host wc -c < file";
const RUNS: usize = 3;

#[derive(Debug, Clone, Copy)]
enum Way {
    Down,
    Up,
}

pub(super) fn measure(stand: &Stand, options: &Options) -> Vec<Row> {
    let file = stand.file("large");
    let bytes = write(&file, options.or(options.ssh_megabytes, 1000, 100) * 1_000_000);
    let down = along(stand, &file, bytes, Way::Down);
    let up = along(stand, &file, bytes, Way::Up);
    [down, up].concat()
}

/// One way on every peer: rates, the same over those of `ProxyJump`, and memory.
fn along(stand: &Stand, file: &Path, bytes: u64, way: Way) -> Vec<Row> {
    let mut rates = vec![Vec::new(); stand.peers.len()];
    let mut peaks = vec![[0; 2]; stand.peers.len()];
    for round in 0..RUNS {
        for turn in stand.turns(round) {
            stand.own().iter().for_each(|(_, pid)| memory::forget_peak(*pid));
            rates[turn].push(rate(stand, &stand.peers[turn], file, bytes, way));
            let now = stand.own().map(|(_, pid)| memory::peak(pid));
            peaks[turn] = [0, 1].map(|process| peaks[turn][process].max(now[process]));
        }
    }
    let rates: Vec<f64> = rates.iter_mut().map(|rates| median(rates)).collect();
    let name = match way {
        Way::Down => DOWNLOAD,
        Way::Up => UPLOAD,
    };
    let jumped = stand.peers.iter().position(|peer| peer.name == JUMP).map_or(f64::NAN, |index| rates[index]);
    let ours = |value: &dyn Fn(usize) -> f64| {
        let values = stand.peers.iter().enumerate();
        values.map(|(index, peer)| peer.is_ours().then(|| value(index))).collect()
    };
    let mut rows = vec![
        Row::new(name, Unit::MegabytesPerSecond, rates.iter().copied().map(Some).collect()),
        Row::new(format!("… of {JUMP}'s"), Unit::Share, ours(&|index| rates[index] / jumped)),
    ];
    for (process, (name, _)) in stand.own().iter().enumerate() {
        let metric = format!("… {name}'s memory, peak");
        rows.push(Row::new(metric, Unit::Megabytes, ours(&|index| peaks[index][process] as f64 / 1e6)));
    }
    rows
}

/// Megabytes a second, the login included.
fn rate(stand: &Stand, peer: &Peer, file: &Path, bytes: u64, way: Way) -> f64 {
    let mut command = stand.ssh(peer.host);
    let start = Instant::now();
    match way {
        Way::Down => download(command.arg(format!("cat {}", file.display())), peer),
        Way::Up => upload(&mut command, file, bytes, peer),
    }
    bytes as f64 / 1e6 / start.elapsed().as_secs_f64()
}

fn download(command: &mut Command, peer: &Peer) {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().expect("ssh starts");
    assert!(status.success(), "ssh through {}: {status}", peer.name);
}

/// The server counts what came.
fn upload(command: &mut Command, file: &Path, bytes: u64, peer: &Peer) {
    let file = File::open(file).expect("an own file can be read");
    let run = command.arg("wc -c").stdin(file).stderr(Stdio::inherit()).output().expect("ssh starts");
    let counted = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && counted.trim() == bytes.to_string(), "{}: {counted:?}", peer.name);
}

/// Lines of text, one in ten with something that a detector finds; gives how many bytes they are.
fn write(file: &Path, at_least: u64) -> u64 {
    let mut out = BufWriter::new(File::create(file).expect("an own folder takes a file"));
    let (mut written, mut number) = (0, 0);
    while written < at_least {
        let contact = if number % 10 == 0 { format!("customer{number}@example.com") } else { "none".to_owned() };
        let line = format!(
            "{number}\tCustomer number {number}\t{contact}\tThe parcel was handed to a neighbour; please call again in \
            the morning. {}\n",
            "Nobody was at home, and there was no place to leave it. ".repeat(5)
        );
        out.write_all(line.as_bytes()).expect("there is room for the file");
        written += line.len() as u64;
        number += 1;
    }
    out.flush().expect("there is room for the file");
    written
}
