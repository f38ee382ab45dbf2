//! Ways around what a role allows: other spellings, and what a client may ask for beside.

use std::io::Result;
use std::net::Ipv4Addr;

use hoop_testkit::ssh::{Payload, SshPeer, kind};
use hoop_testkit::{Sshd, retry};
use serde_json::{Value, json};

use super::{AGENT, SECRET, events, of_kind, role, stand};

/// The modes of a terminal that changes no byte, as RFC 4254 section 8 numbers them: nothing is echoed, mapped or a signal.
const RAW: [u8; 24] = [30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 50, 51, 52, 53, 54, 55, 56, 57, 59, 60, 61, 70];
/// What SFTP begins with.
const INIT: &[u8] = b"\0\0\0\x05\x01\0\0\0\x03";

/// A client of this role that says whatever it is told to.
fn caller(role: &str) -> Result<SshPeer> {
    let stand = stand();
    let made = stand.gateway.api().post(&format!("/api/v1/roles/{role}/credentials"), &json!({}));
    let field = |name: &str| made[name].as_str().expect("a credential has it");
    let mut peer = SshPeer::dial(Ipv4Addr::LOCALHOST, stand.client.port)?;
    peer.log_in(field("user"), field("password"))?;
    Ok(peer)
}

/// A channel with a terminal that changes nothing.
fn terminal(peer: &mut SshPeer) -> Result<u32> {
    let channel = peer.channel()?;
    let modes = RAW.iter().fold(Payload::empty(), |modes, mode| modes.byte(*mode).number(0)).byte(0);
    let size = Payload::empty().string("xterm").number(80).number(24).number(0).number(0);
    peer.send(SshPeer::request(channel, "pty-req", size.string(modes)))?;
    Ok(channel)
}

#[test]
fn no_terminal_leads_around_the_rules_on_files() {
    let stand = stand();
    let target = json!({
        "kind": "ssh", "host": "127.0.0.1", "port": stand.sshd.port, "user": Sshd::user(),
        "private_key": format!("env:{SECRET}"), "host_keys": [stand.sshd.host_key()],
    });
    let rules = json!({ "guardrail": { "files": [{ "name": "no-etc", "paths": ["/etc/*"] }] } });
    let definition = json!({ "name": "no-etc", "agent": AGENT, "target": target, "plugins": rules });
    stand.gateway.api().post("/api/v1/roles", &definition);
    for (request, text) in
        [("subsystem", "sftp"), ("exec", "scp -f /etc/passwd"), ("exec", "/usr/lib/openssh/sftp-server")]
    {
        let mut peer = caller("no-etc").expect("it logs in");
        let channel = terminal(&mut peer).expect("a terminal");
        peer.send(SshPeer::request(channel, request, Payload::empty().string(text))).expect("it is connected");
        peer.send(SshPeer::data(channel, INIT)).expect("it is connected");
        peer.hear("no files are moved on a terminal").unwrap_or_else(|error| panic!("{text}: {error}"));
        drop(peer);
        let events = events(&stand.gateway, "no-etc");
        let refused = of_kind(&events, "channel_closed").any(|closed| closed["denial"] == "command_denied");
        assert!(refused, "{text}: {events:?}");
    }
    // Nor does a command that is not `scp` alone.
    for command in
        ["scp -f /etc/passwd 2>/dev/null", "scp -f /etc/passwd; scp -f /etc/group", "scp -f -l 9 /etc/passwd"]
    {
        let mut peer = caller("no-etc").expect("it logs in");
        peer.exec(command).expect("a channel");
        peer.hear("are run alone").unwrap_or_else(|error| panic!("{command}: {error}"));
    }
}

fn open(name: &str, rest: Payload) -> Payload {
    Payload::of(kind::CHANNEL_OPEN).string(name).number(9).number(1 << 20).number(1 << 15).raw(rest)
}

/// Why a channel is not opened; nothing, where it is.
fn refusal(peer: &mut SshPeer, channel: Payload) -> Option<String> {
    peer.send(channel).expect("it is connected");
    let answer = peer.expect(&[kind::CHANNEL_OPEN_CONFIRMATION, kind::CHANNEL_OPEN_FAILURE]).expect("an answer");
    (answer[0] == kind::CHANNEL_OPEN_FAILURE).then(|| String::from_utf8_lossy(&answer[13..]).into_owned())
}

#[test]
fn no_spelling_of_a_path_or_a_host_is_another_one() {
    let stand = stand();
    let folder = stand.client.folder.join("spellings");
    std::fs::create_dir_all(folder.join("app")).expect("an own folder");
    let _inside = std::os::unix::net::UnixListener::bind(folder.join("app/in")).expect("an own folder");
    let _outside = std::os::unix::net::UnixListener::bind(folder.join("out")).expect("an own folder");
    let port = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let at = folder.display().to_string();
    role(&stand.gateway, "spellings", &stand.sshd, |target| {
        target["allow"] = json!({
            "direct_streamlocal": [format!("{at}/app/*")], "streamlocal_forward": [format!("{at}/app/*")],
            "direct_tcpip": ["127.0.*:*", "db-1:*"], "tcpip_forward": ["127.0.0.1:0"],
        });
    });
    let mut peer = caller("spellings").expect("it logs in");
    let socket =
        |path: &str| open("direct-streamlocal@openssh.com", Payload::empty().string(path).string("").number(0));
    assert_eq!(refusal(&mut peer, socket(&format!("{at}/app/in"))), None);
    for path in ["app/../out", "app/./in", "app//in", "out"] {
        let why = refusal(&mut peer, socket(&format!("{at}/{path}"))).unwrap_or_else(|| panic!("{path} is opened"));
        assert!(why.contains("does not allow"), "{path}: {why}");
    }
    let port = u32::from(port.local_addr().expect("it has one").port());
    let address =
        |host: &str| open("direct-tcpip", Payload::empty().string(host).number(port).string("127.0.0.1").number(1));
    assert_eq!(refusal(&mut peer, address("127.0.0.1")), None);
    for host in ["127.0.x.example.invalid", "127.0.0.1 ", "127.0.1", "db-1:x", "localhost"] {
        let why = refusal(&mut peer, address(host)).unwrap_or_else(|| panic!("{host} is reached"));
        assert!(why.contains("does not allow"), "{host}: {why}");
    }
}

#[test]
fn what_the_target_may_not_listen_on_is_recorded() {
    let stand = stand();
    role(&stand.gateway, "listens-not", &stand.sshd, |_| {});
    let mut peer = caller("listens-not").expect("it logs in");
    let forward = |name: &str| Payload::of(kind::GLOBAL_REQUEST).string(name).byte(1);
    peer.send(forward("tcpip-forward").string("0.0.0.0").number(8080)).expect("it is connected");
    peer.expect(&[kind::REQUEST_FAILURE]).expect("it is refused");
    peer.send(forward("streamlocal-forward@openssh.com").string("/tmp/a.sock")).expect("it is connected");
    peer.expect(&[kind::REQUEST_FAILURE]).expect("it is refused");
    drop(peer);
    let events = events(&stand.gateway, "listens-not");
    let asked: Vec<&Value> = of_kind(&events, "forward").map(|forward| &forward["host"]).collect();
    assert_eq!(asked, ["0.0.0.0", "/tmp/a.sock"]);
    let refused = of_kind(&events, "channel_closed").filter(|closed| closed["denial"] == "channel_denied");
    assert_eq!(refused.count(), 2, "{events:?}");
}

#[test]
fn what_is_appended_is_kept_whatever_offset_it_is_said_to_be_for() {
    let stand = stand();
    let folder = stand.client.folder.join("appends");
    std::fs::create_dir_all(&folder).expect("an own folder");
    role(&stand.gateway, "appends", &stand.sshd, |_| {});
    let keep = json!({ "plugins": { "audit": { "keep_files": { "paths": [format!("{}/*", folder.display())] } } } });
    stand.gateway.api().call(reqwest::Method::PATCH, "/api/v1/roles/appends", Some(&keep));
    let mut peer = caller("appends").expect("it logs in");
    let channel = peer.channel().expect("a channel");
    peer.send(SshPeer::request(channel, "subsystem", Payload::empty().string("sftp"))).expect("it is connected");
    // Another spelling of the path, and a place in the file that is beyond whatever a role keeps.
    let path = format!("{}/../appends/./file", folder.display());
    let packet = |kind: u8, rest: Payload| Payload::empty().string(Payload::empty().byte(kind).raw(rest));
    let opened = Payload::empty().number(1).string(path).number(0x0e).number(0);
    let far = Payload::empty().number(2).string([0, 0, 0, 0]).number(u32::MAX >> 1).number(0).string("planted");
    peer.send(SshPeer::data(channel, Payload::empty().raw(INIT).raw(packet(3, opened)))).expect("it is connected");
    peer.hear("f\0\0\0\u{1}\0\0\0\u{4}").expect("a handle of four bytes");
    let file = folder.join("file");
    let closed = Payload::empty().number(3).string([0, 0, 0, 0]);
    peer.send(SshPeer::data(channel, packet(6, far).raw(packet(4, closed)))).expect("it is connected");
    retry(std::time::Duration::from_secs(20), || match std::fs::read(&file) {
        Ok(written) if written == b"planted" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .expect("the server appends it");
    drop(peer);
    let events = events(&stand.gateway, "appends");
    let kept: Vec<_> = of_kind(&events, "file_done").map(|done| done["kept_written"].as_u64()).collect();
    assert_eq!(kept, [Some(7)], "{events:?}");
}
