//! What processes take of the processors.

use std::time::Duration;

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

use super::stand::{Peer, Stand};
use crate::report::{Row, Unit};

/// What a process has used of processors so far, its threads that have ended included.
///
/// # Panics
/// When it has ended.
pub(super) fn used(pid: u32) -> Duration {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a process id"));
    clock_getcpuclockid(pid).and_then(|clock| clock.now()).expect("a process that runs").into()
}

/// What gateway and agent take for what is done on each peer.
pub(super) struct Spent(Vec<[Duration; 2]>);

impl Spent {
    pub(super) fn new(stand: &Stand) -> Self {
        Self(vec![[Duration::ZERO; 2]; stand.peers.len()])
    }

    /// Does something on a peer, and adds what it takes.
    pub(super) fn during<T>(&mut self, stand: &Stand, peer: usize, work: impl FnOnce() -> T) -> T {
        let now = || stand.own().map(|(_, pid)| used(pid));
        let before = now();
        let done = work();
        for ((spent, before), after) in self.0[peer].iter_mut().zip(before).zip(now()) {
            *spent += after - before;
        }
        done
    }

    /// A row for each of the two processes: what it took for one of so many.
    pub(super) fn rows(&self, stand: &Stand, what: &str, count: usize) -> Vec<Row> {
        let each = |peer: &Peer, spent: Duration| peer.is_ours().then(|| spent.as_secs_f64() * 1e6 / count as f64);
        let row = |(process, (own, _)): (usize, (&str, u32))| {
            let values = stand.peers.iter().zip(&self.0).map(|(peer, spent)| each(peer, spent[process]));
            Row::new(format!("{what}, {own}'s processor"), Unit::Processor, values.collect())
        };
        stand.own().into_iter().enumerate().map(row).collect()
    }
}
