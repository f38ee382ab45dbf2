//! What editors that run on a machine do over SSH: a script on the standard input of a shell starts a server, and connections go
//! to it through the same `ssh`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use hoop_testkit::{find, free_port, retry};
use serde_json::json;

use super::{OPEN, events, of_kind, role, stand};

/// `ssh -T -D PORT host bash`.
struct Remote {
    ssh: Child,
    script: ChildStdin,
    lines: BufReader<std::process::ChildStdout>,
}

impl Remote {
    fn start(proxy: u16, role: &str) -> Self {
        let mut ssh = stand().client.ssh(&["-T", "-D", &proxy.to_string()], role);
        let ssh = ssh.args(["bash"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut ssh = ssh.spawn().expect("ssh starts");
        let (script, lines) = (ssh.stdin.take().expect("piped"), ssh.stdout.take().expect("piped"));
        Self { ssh, script, lines: BufReader::new(lines) }
    }

    fn run(&mut self, script: &str) {
        self.script.write_all(script.as_bytes()).and_then(|()| self.script.flush()).expect("it reads its script");
    }

    /// What stands behind these words in a line that it writes.
    fn says(&mut self, words: &str) -> String {
        let mut line = String::new();
        while self.lines.read_line(&mut line).expect("it writes lines") > 0 {
            if let Some((_, said)) = line.split_once(words) {
                return said.trim().to_owned();
            }
            line.clear();
        }
        panic!("it never says {words:?}");
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.ssh.kill().ok();
        self.ssh.wait().ok();
    }
}

/// A connection to a port of the target through a SOCKS proxy here.
fn through(proxy: u16, port: u16) -> TcpStream {
    let mut connection =
        retry(Duration::from_secs(20), || TcpStream::connect(("127.0.0.1", proxy)).map_err(|error| error.to_string()))
            .expect("the proxy answers");
    let [high, low] = port.to_be_bytes();
    connection.write_all(&[5, 1, 0]).expect("sent");
    connection.read_exact(&mut [0; 2]).expect("greeted");
    connection.write_all(&[5, 1, 0, 1, 127, 0, 0, 1, high, low]).expect("sent");
    let mut answer = [0; 10];
    connection.read_exact(&mut answer).expect("answered");
    assert_eq!(answer[1], 0, "connected");
    connection
}

const SERVER: &str = "
import socketserver
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(b'echo ' + line)
server = socketserver.ThreadingTCPServer(('127.0.0.1', 0), Handler)
print('listening on', server.server_address[1], flush=True)
server.serve_forever()
";

#[test]
fn a_script_on_standard_input_starts_a_server_that_is_reached_through_the_proxy() {
    let (stand, proxy) = (stand(), free_port());
    role(&stand.gateway, "editors", &stand.sshd, |target| {
        target["allow"] = json!({ "direct_tcpip": ["127.0.0.1:*"] });
    });
    find("python3", "python3");
    let mut remote = Remote::start(proxy, "editors");
    // A script that is read line by line, as those editors send it, with a document in it.
    remote.run("uname -sm | sed 's/^/platform: /'\n");
    assert!(remote.says("platform: ").starts_with("Linux"));
    remote.run(&format!("python3 - <<'EOF' &\n{SERVER}\nEOF\nserver=$!\n"));
    let port = remote.says("listening on").parse().expect("a port");
    for number in 0..3 {
        let mut connection = through(proxy, port);
        writeln!(connection, "line {number}").expect("sent");
        let mut line = String::new();
        BufReader::new(&connection).read_line(&mut line).expect("answered");
        assert_eq!(line, format!("echo line {number}\n"));
    }
    remote.run("kill $server\necho exit code $?\nexit 7\n");
    assert_eq!(remote.says("exit code "), "0");
    assert_eq!(remote.ssh.wait().expect("it ends").code(), Some(7));
    let events = events(&stand.gateway, "editors");
    let direct = of_kind(&events, "forward").filter(|event| event["forward"] == "direct-tcpip");
    assert_eq!(direct.filter(|event| event["port"].as_u64() == Some(port.into())).count(), 3);
    assert!(of_kind(&events, "input").any(|event| event.to_string().contains("uname -sm")), "the script is recorded");
}

#[test]
fn a_connection_without_a_command_leads_to_a_socket_of_the_target() {
    let stand = stand();
    let (target, local) = (stand.client.folder.join("editor.sock"), free_port());
    let listener = UnixListener::bind(&target).expect("an own folder takes a socket");
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            connection.expect("a connection").write_all(b"from the editor's server").ok();
        }
    });
    let forward = format!("{local}:{}", target.display());
    let options = ["-o", "RemoteCommand=none", "-o", "ExitOnForwardFailure=yes", "-T", "-L", &forward];
    let mut ssh: Command = stand.client.ssh(&options, OPEN);
    // Without a command there is a shell, which waits for its script.
    let mut ssh = ssh.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("ssh starts");
    let read = retry(Duration::from_secs(20), || {
        let mut text = String::new();
        let mut connection = TcpStream::connect(("127.0.0.1", local)).map_err(|error| error.to_string())?;
        connection.read_to_string(&mut text).map_err(|error| error.to_string())?;
        if text.is_empty() { Err("nothing".to_owned()) } else { Ok(text) }
    });
    drop(ssh.stdin.take());
    assert_eq!(read.expect("it answers"), "from the editor's server");
    assert_eq!(ssh.wait().expect("it ends").code(), Some(0));
}
