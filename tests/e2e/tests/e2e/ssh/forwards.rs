//! `-L`, `-R`, `-D`, `-W`, `-J`, and the client's agent.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hoop_testkit::{find, free_port, output, retry};

use super::{OPEN, PLAIN, events, of_kind, role, stand};

/// Answers each connection with a line, and then with what it is sent.
fn server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("a connection");
            std::thread::spawn(move || {
                connection.write_all(b"welcome\n").ok();
                let mut echo = connection.try_clone().expect("a socket has two ends");
                std::io::copy(&mut connection, &mut echo).ok();
            });
        }
    });
    port
}

struct Forwarding(Child);

impl Forwarding {
    fn start(options: &[&str], role: &str) -> Self {
        let mut ssh = stand().client.ssh(&[&["-N", "-o", "ExitOnForwardFailure=yes"], options].concat(), role);
        Self(ssh.stdin(Stdio::null()).spawn().expect("ssh starts"))
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn talk(port: u16) {
    let mut connection = retry(Duration::from_secs(20), || {
        let mut connection = TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())?;
        let mut welcome = [0; 8];
        connection.read_exact(&mut welcome).map_err(|error| error.to_string())?;
        assert_eq!(&welcome, b"welcome\n");
        Ok::<_, String>(connection)
    })
    .expect("the forwarded port answers");
    let sent = vec![7; 500_000];
    let mut reader = connection.try_clone().expect("a socket has two ends");
    let echoed = std::thread::spawn(move || {
        let mut echoed = Vec::new();
        reader.read_to_end(&mut echoed).map(|_| echoed)
    });
    connection.write_all(&sent).expect("it is sent");
    connection.shutdown(std::net::Shutdown::Write).expect("this direction has ended");
    assert_eq!(echoed.join().expect("no panic").expect("it comes back"), sent);
}

#[test]
fn a_local_port_leads_to_an_address_that_the_target_reaches() {
    let (target, local) = (server(), free_port());
    let stand = stand();
    role(&stand.gateway, "forwards", &stand.sshd, |role| {
        role["allow"] = serde_json::json!({ "direct_tcpip": [format!("127.0.0.1:{target}")] });
    });
    let forwarding = Forwarding::start(&["-L", &format!("{local}:127.0.0.1:{target}")], "forwards");
    talk(local);
    drop(forwarding);
    let events = events(&stand.gateway, "forwards");
    let forward = of_kind(&events, "forward").last().expect("the connection is recorded");
    assert_eq!((forward["forward"].as_str(), forward["port"].as_u64()), (Some("direct-tcpip"), Some(target.into())));
    let closed = of_kind(&events, "channel_closed").last().expect("its end, too");
    assert_eq!((closed["bytes_in"].as_u64(), closed["bytes_out"].as_u64()), (Some(500_000), Some(500_008)));
}

#[test]
fn a_port_of_the_target_leads_back_to_the_client() {
    let (local, remote) = (server(), free_port());
    let _forwarding = Forwarding::start(&["-R", &format!("127.0.0.1:{remote}:127.0.0.1:{local}")], OPEN);
    talk(remote);
    talk(remote);
}

/// A connection to a port of the target through the SOCKS proxy of `-D`.
pub(super) fn through(proxy: u16, port: u16) -> TcpStream {
    let connected =
        retry(Duration::from_secs(20), || TcpStream::connect(("127.0.0.1", proxy)).map_err(|e| e.to_string()));
    let mut proxy = connected.expect("the proxy answers");
    proxy.write_all(&[5, 1, 0]).expect("sent");
    let mut answer = [0; 2];
    proxy.read_exact(&mut answer).expect("read");
    assert_eq!(answer, [5, 0]);
    let [high, low] = port.to_be_bytes();
    proxy.write_all(&[5, 1, 0, 1, 127, 0, 0, 1, high, low]).expect("sent");
    let mut answer = [0; 10];
    proxy.read_exact(&mut answer).expect("read");
    assert_eq!(answer[1], 0);
    proxy
}

#[test]
fn a_dynamic_forward_is_a_socks_proxy() {
    let (target, local) = (server(), free_port());
    let _forwarding = Forwarding::start(&["-D", &local.to_string()], OPEN);
    let mut proxy = through(local, target);
    let mut welcome = [0; 8];
    proxy.read_exact(&mut welcome).expect("the target answers");
    assert_eq!(&welcome, b"welcome\n");
}

#[test]
fn a_connection_that_is_not_read_stops_only_itself() {
    const FLOOD: u64 = 100_000_000;
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let flood = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().expect("a connection");
        std::io::copy(&mut std::io::repeat(7).take(FLOOD), &mut connection).ok();
    });
    let (local, other) = (free_port(), server());
    let _forwarding = Forwarding::start(&["-D", &local.to_string()], OPEN);
    let mut unread = through(local, flood);
    unread.read_exact(&mut [0]).expect("it has begun");
    for _ in 0..5 {
        let mut connection = through(local, other);
        let mut welcome = [0; 8];
        connection.read_exact(&mut welcome).expect("the other answers");
        assert_eq!(&welcome, b"welcome\n");
    }
    assert_eq!(std::io::copy(&mut unread, &mut std::io::sink()).expect("the rest can be read"), FLOOD - 1);
}

#[test]
fn a_socket_of_the_target_is_reached() {
    let stand = stand();
    let (path, local) = (stand.client.folder.join("target.sock"), free_port());
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("an own folder takes a socket");
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            connection.expect("a connection").write_all(b"from the socket").ok();
        }
    });
    let _forwarding = Forwarding::start(&["-L", &format!("{local}:{}", path.display())], OPEN);
    let read = retry(Duration::from_secs(20), || {
        let mut text = String::new();
        let mut connection = TcpStream::connect(("127.0.0.1", local)).map_err(|error| error.to_string())?;
        connection.read_to_string(&mut text).map_err(|error| error.to_string())?;
        if text.is_empty() { Err("nothing".to_owned()) } else { Ok(text) }
    });
    assert_eq!(read.expect("it answers"), "from the socket");
}

#[test]
fn a_jump_through_a_role_reaches_another_server() {
    let stand = stand();
    let jump = stand.client.line("-W %h:%p", OPEN);
    let mut command = Command::new(find("ssh", "openssh-client"));
    command.args(["-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-i"]).arg(stand.sshd.private_key());
    command.arg("-o").arg(format!("UserKnownHostsFile={}", stand.sshd.known_hosts().display()));
    command.arg("-o").arg(format!("ProxyCommand={jump}"));
    command.args(["-p", &stand.sshd.port.to_string(), "-l", &hoop_testkit::Sshd::user(), "127.0.0.1", "echo behind"]);
    assert_eq!(output(&mut command, b"").ok(), "behind\n");
}

#[test]
fn what_a_role_does_not_forward_is_refused_with_a_reason() {
    let stand = stand();
    let refused = output(stand.client.ssh(&["-W", "127.0.0.1:22"], PLAIN).stdin(Stdio::null()), b"").failure();
    assert!(refused.contains("this role does not allow direct-tcpip for 127.0.0.1:22"), "{refused}");
    let port = free_port();
    let listen = format!("127.0.0.1:{port}:127.0.0.1:1");
    let mut ssh = stand.client.ssh(&["-N", "-o", "ExitOnForwardFailure=yes", "-R", &listen], PLAIN);
    let refused = output(&mut ssh, b"").failure();
    assert!(refused.contains("remote port forwarding failed"), "{refused}");
}

#[test]
fn an_agent_is_lent_only_where_the_role_allows_it() {
    let stand = stand();
    let socket = stand.client.folder.join("agent.sock").display().to_string();
    let key = stand.client.folder.join("key").display().to_string();
    let listed = |role: &str| {
        let ssh = stand.client.line("-A", role);
        let script = format!("ssh-add -q {key}; {ssh} 'ssh-add -L || echo none'");
        let agent = find("ssh-agent", "openssh-client");
        let mut command = Command::new(agent);
        let socket = format!("{socket}-{role}");
        output(command.args(["-a", &socket, "sh", "-c", &script]), b"").text()
    };
    assert!(listed(OPEN).contains("ssh-ed25519 "), "{}", listed(OPEN));
    assert!(!listed(PLAIN).contains("ssh-ed25519 "));
}
