//! Many channels of one connection.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use hoop_testkit::{Guarded, Plan, Sshd, find, memory, output, until};

use super::{Client, PLAIN, gateway_with, role, stand};

/// What gateway and agent may keep of a channel that nobody reads, in bytes: far less than is written on it.
const MOST_KEPT: u64 = 48 << 20;

/// A connection that `ssh -S` finds.
struct Master {
    _ssh: Guarded,
    socket: String,
}

impl Master {
    fn start(client: &Client, name: &str, role: &str) -> Self {
        let socket = client.folder.join(name).display().to_string();
        let mut command = vec![find("ssh", "openssh-client").display().to_string()];
        command.extend(client.options());
        command.extend(["-M", "-N", "-S", &socket].map(str::to_owned));
        command.push(format!("{role}@127.0.0.1"));
        let ssh = Guarded::start(&Plan {
            name: name.to_owned(),
            command,
            environment: Vec::new(),
            stop: "TERM",
            folder: client.folder.path().to_owned(),
        });
        until(Duration::from_secs(20), "the shared connection", || {
            std::path::Path::new(&socket).exists().then_some(())
        });
        Self { _ssh: ssh, socket }
    }

    fn ssh(&self, command: &str) -> Command {
        let mut ssh = Command::new(find("ssh", "openssh-client"));
        ssh.args(["-F", "none", "-S", &self.socket, "shared", command]);
        ssh
    }
}

#[test]
fn ten_channels_of_one_connection_run_side_by_side() {
    let stand = stand();
    let master = Master::start(&stand.client, "ten", PLAIN);
    // Each waits for all the others: none could end before the last has begun.
    let folder = stand.client.folder.join("ten-files");
    std::fs::create_dir(&folder).expect("an own folder");
    let wait = format!(
        "touch {0}/$N; while [ -d {0} ] && [ $(ls {0} | wc -l) -lt 10 ]; do sleep 0.05; done; echo done $N",
        folder.display()
    );
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..10)
            .map(|number| {
                let (master, wait) = (&master, &wait);
                scope.spawn(move || output(&mut master.ssh(&format!("N={number}; {wait}")), b"").ok())
            })
            .collect();
        for (number, run) in runs.into_iter().enumerate() {
            assert_eq!(run.join().expect("it ends"), format!("done {number}\n"));
        }
    });
}

#[test]
fn a_channel_that_is_not_read_stops_only_itself() {
    let sshd = Sshd::start();
    let gateway = gateway_with(&sshd, None);
    role(&gateway, PLAIN, &sshd, |_| {});
    let client = Client::new(&gateway);
    let master = Master::start(&client, "unread", PLAIN);
    // What only the first channel costs is not counted.
    assert_eq!(output(&mut master.ssh("echo first"), b"").ok(), "first\n");
    let process = gateway.pid("hoop");
    memory::forget_peak(process);
    let before = memory::resident(process);
    let mut unread =
        master.ssh("echo begun; yes | head -c 100000000").stdout(Stdio::piped()).spawn().expect("ssh starts");
    let mut pipe = unread.stdout.take().expect("its output is a pipe");
    let mut begun = [0; 6];
    pipe.read_exact(&mut begun).expect("it has begun");
    for _ in 0..20 {
        assert_eq!(output(&mut master.ssh("echo other"), b"").ok(), "other\n");
    }
    let more = memory::peak(process).saturating_sub(before);
    assert!(more < MOST_KEPT, "gateway and agent keep {more} bytes of what is not read");
    let rest = std::io::copy(&mut pipe, &mut std::io::sink()).expect("the rest can be read");
    assert_eq!(rest, 100_000_000);
    assert!(unread.wait().expect("it ends").success());
}

/// `limits.ssh_channels`: one more is refused, and there is a place again when one has ended.
#[test]
fn a_session_has_as_many_channels_as_it_may() {
    let sshd = Sshd::start();
    let gateway = gateway_with(&sshd, Some("[limits]\nssh_channels = 2\n"));
    role(&gateway, PLAIN, &sshd, |_| {});
    let client = Client::new(&gateway);
    let master = Master::start(&client, "few", PLAIN);
    let mut held: Vec<_> = (0..2)
        .map(|_| {
            let mut ssh = master.ssh("echo begun; cat");
            let mut program = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("ssh starts");
            let mut begun = [0; 6];
            program.stdout.as_mut().expect("a pipe").read_exact(&mut begun).expect("it has begun");
            program
        })
        .collect();
    let refused = output(&mut master.ssh("echo third"), b"").failure();
    assert!(refused.contains("refused"), "{refused}");
    drop(held[0].stdin.take());
    assert!(held[0].wait().expect("it ends").success());
    until(Duration::from_secs(20), "a place", || {
        let third = output(&mut master.ssh("echo third"), b"");
        third.status.success().then(|| assert_eq!(third.ok(), "third\n"))
    });
    drop(held[1].stdin.take());
    assert!(held[1].wait().expect("it ends").success());
}
