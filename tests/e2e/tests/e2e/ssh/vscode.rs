//! Visual Studio Code's Remote-SSH: its own server on the target, brought there, started and spoken to as the extension does.
//!
//! The extension itself is not here. What it does is: `ssh -T -D PORT HOST bash`, with a script on the standard input that
//! installs and starts the server in the background and prints where it listens; then everything goes through the proxy of `-D`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use hoop_testkit::clients::made;
use hoop_testkit::{find, free_port, output};
use serde_json::{Value, json};

use super::forwards::through;
use super::{Client, events, of_kind, role, stand};

/// What the script is told apart by from what a login shell prints before it.
const MARK: &str = "a8098c1af86e";
/// What a client of the server proves itself with.
const TOKEN: &str = "0b5ec4c2-5f0e-4b0c-8a3c-9d1c8a0f7f11";
/// The kind of a message of the server's that is about the connection itself.
const CONTROL: u8 = 2;

/// A window: the connection that it keeps, and what the script said.
struct Window {
    ssh: Child,
    proxy: u16,
    server: Server,
}

/// A server on the target.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Server {
    port: u16,
    pid: i32,
}

impl Window {
    fn open(client: &Client, role: &str, folder: &Path) -> Self {
        let proxy = free_port();
        let mut ssh = client.ssh(&["-T", "-D", &proxy.to_string(), "-o", "ConnectTimeout=15"], role);
        let mut ssh = ssh.arg("bash").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("ssh starts");
        let stdin = ssh.stdin.as_mut().expect("a pipe");
        stdin.write_all(script(folder).as_bytes()).and_then(|()| stdin.flush()).expect("the script is sent");
        let server = said(ssh.stdout.take().expect("a pipe"));
        Self { ssh, proxy, server }
    }

    /// A connection to the server.
    fn connect(&self) -> TcpStream {
        let connection = through(self.proxy, self.server.port);
        connection.set_read_timeout(Some(Duration::from_secs(60))).expect("a time");
        connection
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.ssh.kill().ok();
        self.ssh.wait().ok();
    }
}

/// Ends the server, which outlives its windows.
struct Ends(PathBuf);

impl Drop for Ends {
    fn drop(&mut self) {
        let pid = std::fs::read_to_string(self.0.join(".pid")).unwrap_or_default();
        Command::new("kill").arg(pid.trim()).status().ok();
    }
}

/// What the extension sends: a script of many lines, with documents in it.
fn script(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"
        echo "{MARK}: running"
        umask 077
        export VSCODE_AGENT_FOLDER="{folder}"
        SERVER="$VSCODE_AGENT_FOLDER/bin/server"
        LOG="$VSCODE_AGENT_FOLDER/.log"
        if [ ! -x "$SERVER/node" ]; then
            mkdir -p "$SERVER"
            tar -xzf "{folder}.tar.gz" -C "$SERVER"
            ln -s "$(command -v node)" "$SERVER/node"
        fi
        cat > "$VSCODE_AGENT_FOLDER/.token" << 'TOKEN'
{TOKEN}
TOKEN
        if ! kill -0 "$(cat "$VSCODE_AGENT_FOLDER/.pid" 2>/dev/null)" 2>/dev/null; then
            "$SERVER/node" "$SERVER/out/server-main.js" --start-server --host=127.0.0.1 --port=0 \
                --connection-token-file "$VSCODE_AGENT_FOLDER/.token" --server-data-dir "$VSCODE_AGENT_FOLDER" \
                --accept-server-license-terms --enable-remote-auto-shutdown --telemetry-level off \
                < /dev/null > "$LOG" 2>&1 &
            echo $! > "$VSCODE_AGENT_FOLDER/.pid"
        fi
        for _ in $(seq 600); do
            PORT=$(sed -n 's/^Extension host agent listening on \([0-9]*\)$/\1/p' "$LOG")
            [ -n "$PORT" ] && break
            sleep 0.1
        done
        [ -n "$PORT" ] || cat "$LOG"
        cat << END
{MARK}: start
listeningOn==127.0.0.1:$PORT==
connectionToken==$(cat "$VSCODE_AGENT_FOLDER/.token")==
pid==$(cat "$VSCODE_AGENT_FOLDER/.pid")==
platform==$(uname -s)==
arch==$(uname -m)==
{MARK}: end
END
"#
    )
}

/// Reads what the script prints.
fn said(stdout: ChildStdout) -> Server {
    let mut lines = Vec::new();
    for line in BufReader::new(stdout).lines() {
        lines.push(line.expect("a line"));
        if lines.last().is_some_and(|line| *line == format!("{MARK}: end")) {
            break;
        }
    }
    let value = |name: &str| {
        let line = lines.iter().find_map(|line| line.strip_prefix(&format!("{name}=="))?.strip_suffix("=="));
        line.unwrap_or_else(|| panic!("no {name} in {lines:#?}"))
    };
    assert_eq!(value("connectionToken"), TOKEN);
    let port = value("listeningOn").rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    Server { port: port.expect("a port"), pid: value("pid").parse().expect("a number") }
}

/// A connection of a window's: a WebSocket to begin with, without its frames, and the messages of the editor's own protocol.
/// Each has a `number` of its own.
fn connected(mut connection: TcpStream, number: u32) -> Value {
    let id = format!("7c8ea7a7-5b7e-4c0e-8b8e-{number:012}");
    let path = format!("/?reconnectionToken={id}&reconnection=false&skipWebSocketFrames=true");
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        connection.read_exact(&mut byte).expect("an answer");
        answer.push(byte[0]);
    }
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 101") && answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
    say(&mut connection, &json!({ "type": "auth", "auth": TOKEN, "data": "proof" }));
    let sign = hear(&mut connection);
    assert_eq!(sign["type"], "sign", "{sign}");
    say(&mut connection, &json!({ "type": "connectionType", "signedData": sign["data"], "desiredConnectionType": 1 }));
    hear(&mut connection)
}

/// Kind, two numbers that count messages, and the length.
const HEAD: usize = 13;

fn say(connection: &mut TcpStream, message: &Value) {
    let body = message.to_string();
    let mut frame = vec![0; HEAD];
    frame[0] = CONTROL;
    frame[9..].copy_from_slice(&u32::try_from(body.len()).expect("short").to_be_bytes());
    frame.extend_from_slice(body.as_bytes());
    connection.write_all(&frame).expect("sent");
}

fn hear(connection: &mut TcpStream) -> Value {
    loop {
        let mut head = [0; HEAD];
        connection.read_exact(&mut head).expect("a message");
        let length = u32::from_be_bytes(head[9..].try_into().expect("four bytes"));
        let mut body = vec![0; length.try_into().expect("a length")];
        connection.read_exact(&mut body).expect("all of it");
        if head[0] == CONTROL {
            return serde_json::from_slice(&body).expect("JSON");
        }
    }
}

#[test]
fn the_server_of_vscode_is_brought_started_and_reached() {
    let (stand, name) = (stand(), "vscode");
    role(&stand.gateway, name, &stand.sshd, |target| {
        target["allow"] = json!({ "direct_tcpip": ["127.0.0.1:*", "localhost:*"] });
    });
    let client = Client::new(&stand.gateway);
    let folder = client.folder.join("vscode-server");
    let mut scp = Command::new(find("scp", "openssh-client"));
    scp.args(client.options()).arg(made("vscode/server.tar.gz"));
    output(scp.arg(format!("{name}@127.0.0.1:{}.tar.gz", folder.display())), b"").ok();

    let _ends = Ends(folder.clone());
    let window = Window::open(&client, name, &folder);
    let mut connection = window.connect();
    connection.write_all(b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("sent");
    let mut version = String::new();
    connection.read_to_string(&mut version).expect("an answer");
    assert!(version.starts_with("HTTP/1.1 200 OK\r\n"), "{version}");
    assert_eq!(connected(window.connect(), 1)["type"], "ok");
    // A second one beside it, as every window has.
    assert_eq!(connected(window.connect(), 2)["type"], "ok");

    // It outlives the window, and the next one finds it.
    let server = window.server.clone();
    drop(window);
    stand.gateway.ended_session(name);
    let window = Window::open(&client, name, &folder);
    assert_eq!(window.server, server);
    assert_eq!(connected(window.connect(), 3)["type"], "ok");
    drop(window);
    let events = events(&stand.gateway, name);
    assert!(of_kind(&events, "forward").any(|event| event["port"] == server.port), "{events:#?}");
}
