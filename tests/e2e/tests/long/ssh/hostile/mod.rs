//! Clients and servers that mean harm. Each case is followed by a look at somebody else, on the same gateway and the same
//! agent; and the memory of neither runs away.
//!
//! There are 321 cases: 117 strangers, 104 callers, 100 servers; and three tests of what takes more than one step.

mod callers;
mod servers;
mod strangers;

use std::io::Result;
use std::net::Ipv4Addr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use hoop_testkit::ssh::SshPeer;
use hoop_testkit::{Gateway, Options, Sshd, memory};
use serde_json::{Value, json};

use super::{PLAIN, SECRET, role};

/// What a peer does.
type Does = fn(&mut SshPeer) -> Result<()>;

/// What the cases of a table may cost at most, in bytes: a few at once, each with windows and buffers.
const MEMORY: u64 = 160 << 20;
/// Cases that run side by side.
const SIDE_BY_SIDE: usize = 12;

struct Stand {
    gateway: Gateway,
    sshd: Sshd,
    port: u16,
    /// Of a role with what roles allow anyway.
    login: Login,
}

/// A credential.
#[derive(Debug, Clone)]
struct Login {
    user: String,
    password: String,
}

fn stand() -> &'static Stand {
    static STAND: OnceLock<Stand> = OnceLock::new();
    STAND.get_or_init(|| {
        let sshd = Sshd::start();
        let key = std::fs::read_to_string(sshd.private_key()).expect("the server's key can be read");
        let gateway = Gateway::start(&Options {
            processes: true,
            config: Some("[limits]\nlogin_timeout = '4s'\n[listen.ssh]\nsign_in_timeout = '2s'\n".to_owned()),
            environment: vec![(SECRET.to_owned(), key), ("HOOP_SECRET_SSH_PASSWORD".to_owned(), "secret".to_owned())],
            ..Options::default()
        });
        role(&gateway, PLAIN, &sshd, |_| {});
        let port = gateway.api().get("/api/v1/ssh")["port"].as_u64().expect("the door has a port");
        let login = login(&gateway, PLAIN);
        Stand { gateway, sshd, port: u16::try_from(port).expect("a port"), login }
    })
}

fn login(gateway: &Gateway, role: &str) -> Login {
    let made = gateway.api().post(&format!("/api/v1/roles/{role}/credentials"), &json!({}));
    let field = |made: &Value, name: &str| made[name].as_str().expect("a credential has it").to_owned();
    Login { user: field(&made, "user"), password: field(&made, "password") }
}

/// A peer from an address that nobody else has.
fn peer() -> SshPeer {
    static LAST: AtomicUsize = AtomicUsize::new(1);
    let [.., high, low] = LAST.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    SshPeer::dial(Ipv4Addr::new(127, 1, high, low), stand().port).expect("the door is open")
}

/// A peer that is logged in.
fn caller(login: &Login) -> Result<SshPeer> {
    let mut peer = peer();
    peer.log_in(&login.user, &login.password)?;
    Ok(peer)
}

/// A session that has begun before all others, and sees whether it still runs.
struct Witness(SshPeer, u32, usize);

impl Witness {
    fn new() -> Self {
        let mut peer = caller(&stand().login).expect("a witness logs in");
        let channel = peer.exec("cat").expect("a channel");
        Self(peer, channel, 0)
    }

    #[track_caller]
    fn is_well(&mut self) {
        let Self(peer, channel, count) = self;
        *count += 1;
        let line = format!("witness {count};");
        peer.send(SshPeer::data(*channel, &line)).expect("it is connected");
        peer.hear(&line).expect("an echo");
    }
}

/// Another client comes and gets what it wants.
#[track_caller]
fn others_are_well(name: &str) {
    let well = caller(&stand().login).and_then(|mut other| {
        other.exec("echo well $((40 + 2))")?;
        other.hear("well 42")
    });
    well.unwrap_or_else(|error| panic!("after {name}, others are not served: {error}"));
}

/// Runs all cases, a few at once; `check` sees to each.
fn all<T: Sync>(cases: &[T], check: impl Fn(&T) + Sync) {
    let mut witness = Witness::new();
    let parts = ["gateway", "agent"].map(|part| stand().gateway.pid(part));
    let before = parts.map(|pid| {
        memory::forget_peak(pid);
        memory::resident(pid)
    });
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let work = || {
            while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                check(case);
            }
        };
        let workers: Vec<_> = (0..SIDE_BY_SIDE).map(|_| scope.spawn(work)).collect();
        workers.into_iter().for_each(|worker| worker.join().expect("all cases end well"));
    });
    witness.is_well();
    for (pid, before) in parts.into_iter().zip(before) {
        let peak = memory::peak(pid);
        assert!(before > 0 && peak < before + MEMORY, "from {before} bytes to {peak} of process {pid}");
    }
}
