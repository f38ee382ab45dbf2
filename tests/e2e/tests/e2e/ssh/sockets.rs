//! `ssh -R` with a socket on the target.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use hoop_testkit::{Folder, output, retry};
use serde_json::json;

use super::{PLAIN, events, of_kind, role, stand};

/// Answers each connection with what it was sent, once that has ended.
fn serve(path: &Path) {
    let listener = UnixListener::bind(path).expect("an own folder takes a socket");
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("a connection");
            let mut sent = Vec::new();
            connection.read_to_end(&mut sent).ok();
            connection.write_all(&sent).ok();
        }
    });
}

fn talk(path: &Path) -> Result<(), String> {
    let mut connection = UnixStream::connect(path).map_err(|error| error.to_string())?;
    let sent = vec![7; 300_000];
    connection.write_all(&sent).map_err(|error| error.to_string())?;
    connection.shutdown(std::net::Shutdown::Write).map_err(|error| error.to_string())?;
    let mut echoed = Vec::new();
    connection.read_to_end(&mut echoed).map_err(|error| error.to_string())?;
    if echoed == sent { Ok(()) } else { Err(format!("{} bytes came back", echoed.len())) }
}

fn ends_well(mut ssh: Command) {
    output(ssh.stdin(Stdio::null()), b"").ok();
}

#[test]
fn a_socket_of_the_target_leads_back_to_the_client_where_the_role_allows_its_path() {
    let (stand, folder) = (stand(), Folder::new("sockets"));
    let (local, remote, control) = (folder.join("local"), folder.join("remote.sock"), folder.join("control"));
    serve(&local);
    role(&stand.gateway, "sockets", &stand.sshd, |target| {
        target["allow"] = json!({ "streamlocal_forward": [format!("{}/*.sock", folder.path().display())] });
    });
    let socket = format!("ControlPath={}", control.display());
    let forward = |path: &Path| format!("{}:{}", path.display(), local.display());
    let asked = forward(&remote);
    ends_well(
        stand.client.ssh(&["-f", "-N", "-M", "-o", &socket, "-o", "ExitOnForwardFailure=yes", "-R", &asked], "sockets"),
    );
    for _ in 0..2 {
        retry(Duration::from_secs(20), || talk(&remote)).expect("the socket of the target answers");
    }
    let elsewhere = forward(&folder.join("elsewhere"));
    let refused = output(&mut stand.client.ssh(&["-o", &socket, "-O", "forward", "-R", &elsewhere], "sockets"), b"");
    assert!(refused.failure().contains("remote port forwarding failed"), "{refused}");
    assert!(!folder.join("elsewhere").exists());

    ends_well(stand.client.ssh(&["-o", &socket, "-O", "cancel", "-R", &asked], "sockets"));
    retry(Duration::from_secs(20), || talk(&remote).is_err().then_some(()).ok_or("it still answers"))
        .expect("cancelled");
    ends_well(stand.client.ssh(&["-o", &socket, "-O", "exit"], "sockets"));

    let events = events(&stand.gateway, "sockets");
    let kind = "forwarded-streamlocal@openssh.com";
    let forwards: Vec<_> = of_kind(&events, "forward").filter(|event| event["forward"] == kind).collect();
    let path = remote.display().to_string();
    // Once when it is to listen, and for each connection: also for one that came before it was cancelled.
    let of_path = forwards.iter().filter(|event| event["host"] == path.as_str()).count();
    // And once what was refused.
    assert!(of_path >= 3 && of_path + 1 == forwards.len(), "{forwards:?}");
    // It is no channel's. A client refuses a connection of its own that comes while it cancels.
    let refused = of_kind(&events, "channel_closed")
        .filter(|closed| closed["denial"] == "channel_denied" && closed["channel"] == 0);
    assert_eq!(refused.count(), 1, "{events:?}");
    let whole = of_kind(&events, "channel_closed")
        .filter(|closed| (closed["bytes_in"].as_u64(), closed["bytes_out"].as_u64()) == (Some(300_000), Some(300_000)));
    assert!(whole.count() >= 2);
}

#[test]
fn a_socket_is_not_listened_on_unless_a_role_says_so() {
    let (stand, folder) = (stand(), Folder::new("sockets"));
    let asked = format!("{}:/nowhere", folder.join("remote.sock").display());
    let mut ssh = stand.client.ssh(&["-N", "-o", "ExitOnForwardFailure=yes", "-R", &asked], PLAIN);
    let refused = output(&mut ssh, b"").failure();
    assert!(refused.contains("remote port forwarding failed"), "{refused}");
    assert!(!folder.join("remote.sock").exists());
}
