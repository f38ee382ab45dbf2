//! Targets that somebody has taken over. A session with one ends, or sees no more than what the server may say anyway.

use std::io::Result;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hoop_testkit::ssh::{HostileSshd, Payload, SshPeer, is_late, kind};
use serde_json::json;

use super::{Does, Login, all, caller, login, others_are_well, stand};
use crate::ssh::AGENT;

/// What a server writes when it is done.
const DONE: &str = "that is all";
/// What nobody's terminal is to get from a refusal.
const ESCAPES: &str = "\x1b[2J\x1b]0;owned\x07\r\nhoop: all is well\x08";
const MEGABYTE: usize = 1 << 20;

/// What a client asks for.
#[derive(Debug, Clone, Copy)]
enum Asks {
    Command,
    Files,
}

use Asks::{Command, Files};

#[test]
fn servers_harm_their_own_session_alone() {
    let stand = stand();
    let cases: Vec<_> = CASES
        .iter()
        .enumerate()
        .map(|(number, (name, asks, does))| {
            let role = format!("hostile-{number}");
            (*name, *asks, prepare(&role, *does), role)
        })
        .collect();
    all(&cases, |(name, asks, login, role)| {
        match session(login, *asks) {
            Ok(said) => assert!(!said.contains(&0x1b), "{name}: {}", String::from_utf8_lossy(&said).escape_debug()),
            Err(error) if is_late(&error) => panic!("{name}: the session neither goes on nor ends"),
            Err(error) => assert!(!error.to_string().contains('\x1b'), "{name}: {error:?}"),
        }
        // The client has left: however the server behaves, so does the session.
        stand.gateway.ended_session(role);
        others_are_well(name);
    });
}

/// A server, and a role to it with a credential.
fn prepare(role: &str, does: Does) -> Login {
    let stand = stand();
    let server = HostileSshd::start(does);
    let key = format!("ssh-ed25519 {}", STANDARD.encode(server.host_key()));
    let target = json!({
        "kind": "ssh", "host": "127.0.0.1", "port": server.port, "user": "anybody",
        "password": "env:HOOP_SECRET_SSH_PASSWORD", "host_keys": [key], "allow": { "tcpip_forward": ["*:*"] },
    });
    stand.gateway.api().post("/api/v1/roles", &json!({ "name": role, "agent": AGENT, "target": target }));
    login(&stand.gateway, role)
}

/// What a client sees until the server is done, or the session is.
fn session(login: &Login, asks: Asks) -> Result<Vec<u8>> {
    let mut peer = caller(login)?;
    let channel = peer.channel()?;
    peer.send(match asks {
        Command => SshPeer::request(channel, "exec", Payload::empty().string("anything")),
        Files => SshPeer::request(channel, "subsystem", Payload::empty().string("sftp")),
    })?;
    peer.to_end(DONE)
}

fn many(peer: &mut SshPeer, times: usize, payload: &Payload) -> Result<()> {
    (0..times).try_for_each(|_| peer.send(payload))
}

fn on(channel: u32, kind: u8) -> Payload {
    Payload::of(kind).number(channel)
}

fn note(channel: u32, name: &str) -> Payload {
    Payload::of(kind::CHANNEL_REQUEST).number(channel).string(name).byte(0)
}

fn length(peer: &mut SshPeer, length: u32) -> Result<()> {
    peer.raw(&length.to_be_bytes())?;
    peer.raw(&[4; 64])
}

/// After the key exchange and the offer of logins; the client has asked for one.
fn at_login(peer: &mut SshPeer, payload: &Payload, times: usize) -> Result<()> {
    peer.greet()?;
    peer.serve_logins()?;
    peer.expect(&[kind::USERAUTH_REQUEST])?;
    many(peer, times, payload)
}

/// To every login the same answer.
fn each_login(peer: &mut SshPeer, answer: &Payload) -> Result<()> {
    peer.greet()?;
    peer.serve_logins()?;
    loop {
        peer.expect(&[kind::USERAUTH_REQUEST, kind::USERAUTH_INFO_RESPONSE])?;
        peer.send(answer)?;
    }
}

fn questions(number: u32, given: usize) -> Payload {
    let ask = Payload::of(kind::USERAUTH_INFO_REQUEST).string(ESCAPES).string(ESCAPES).string("").number(number);
    (0..given).fold(ask, |ask, _| ask.string("Password: ").byte(0))
}

/// The same to every question about keyboard-interactive; other methods are refused.
fn each_question(peer: &mut SshPeer, answer: &Payload) -> Result<()> {
    peer.greet()?;
    peer.serve_logins()?;
    loop {
        let asked = peer.expect(&[kind::USERAUTH_REQUEST, kind::USERAUTH_INFO_RESPONSE])?;
        let interactive = asked.windows(20).any(|window| window == b"keyboard-interactive");
        if interactive || asked[0] == kind::USERAUTH_INFO_RESPONSE {
            peer.send(answer)?;
        } else {
            peer.send(Payload::of(kind::USERAUTH_FAILURE).string("keyboard-interactive").byte(0))?;
        }
    }
}

/// To a client that is let in.
fn let_in(peer: &mut SshPeer) -> Result<()> {
    peer.greet()?;
    peer.let_in()
}

/// With a program that runs: says something on its channel.
fn program(peer: &mut SshPeer, says: impl Fn(u32) -> Vec<Payload>) -> Result<()> {
    let_in(peer)?;
    let channel = peer.take_program()?;
    says(channel).iter().try_for_each(|payload| peer.send(payload))?;
    done(peer, channel)
}

fn done(peer: &mut SshPeer, channel: u32) -> Result<()> {
    peer.send(SshPeer::data(channel, DONE))?;
    loop {
        // What a well-behaved server would do with what comes now.
        peer.receive()?;
    }
}

/// Channels that nobody asked for, with a program beside them.
fn opens(peer: &mut SshPeer, name: &str, rest: &Payload) -> Result<()> {
    let_in(peer)?;
    let open = Payload::of(kind::CHANNEL_OPEN).string(name).number(77).number(1 << 20).number(1 << 15).raw(rest);
    many(peer, 100, &open)?;
    let channel = peer.take_program()?;
    many(peer, 100, &open)?;
    done(peer, channel)
}

fn address() -> Payload {
    Payload::empty().string("127.0.0.1").number(22).string("127.0.0.1").number(1)
}

/// An exchange that is not as it should be.
fn reply(peer: &mut SshPeer, key_kind: &str, key: &[u8], public: &[u8]) -> Result<()> {
    peer.identify()?;
    peer.send(SshPeer::init())?;
    peer.expect(&[kind::KEX_ECDH_INIT])?;
    let blob = Payload::empty().string(key_kind).string(key);
    let signature = Payload::empty().string(key_kind).string([0; 64]);
    peer.send(Payload::of(kind::KEX_ECDH_REPLY).string(blob).string(public).string(signature))?;
    peer.send(Payload::of(kind::NEWKEYS))
}

fn files(peer: &mut SshPeer, says: &[u8]) -> Result<()> {
    program(peer, |channel| says.chunks(30_000).map(|piece| SshPeer::data(channel, piece)).collect())
}

fn version() -> Vec<u8> {
    Payload::empty().number(5).byte(2).number(3).done()
}

fn message(kind: u8, rest: &Payload) -> Vec<u8> {
    Payload::empty().string(Payload::of(kind).number(1).raw(rest)).done()
}

const CASES: &[(&str, Asks, Does)] = &[
    ("silence", Command, |_| Ok(())),
    ("a close", Command, |peer| {
        peer.hang_up(std::net::Shutdown::Both);
        Ok(())
    }),
    ("garbage", Command, |peer| peer.raw(&[0x80, 0xff, 0, 1, b'%', 0x1b].repeat(10_000))),
    ("zeros", Command, |peer| peer.raw(&vec![0; MEGABYTE])),
    ("HTTP", Command, |peer| peer.raw(b"HTTP/1.1 400 \x1b[2JBad Request\r\nContent-Length: 0\r\n\r\n")),
    ("SSH 1", Command, |peer| peer.raw(b"SSH-1.5-old\r\n")),
    ("an identification of a megabyte", Command, |peer| {
        peer.raw(&[b"SSH-2.0-", "x".repeat(MEGABYTE).as_bytes(), b"\r\n"].concat())
    }),
    ("an identification without end", Command, |peer| peer.raw("x".repeat(64 * MEGABYTE).as_bytes())),
    ("an identification with escapes", Command, |peer| {
        peer.own_id_is(b"SSH-2.0-\x1b]0;owned\x07\x1b[2J");
        program(peer, |_| Vec::new())
    }),
    ("lines before the identification", Command, |peer| peer.raw("\x1b[2J hello\r\n".repeat(4 * MEGABYTE).as_bytes())),
    ("nothing after the identification", Command, SshPeer::identify),
    ("a packet of 0 bytes", Command, |peer| peer.identify().and_then(|()| length(peer, 0))),
    ("a packet of 1 byte", Command, |peer| peer.identify().and_then(|()| length(peer, 1))),
    ("a packet of 2^31 bytes", Command, |peer| peer.identify().and_then(|()| length(peer, 1 << 31))),
    ("a packet of 2^32-1 bytes", Command, |peer| peer.identify().and_then(|()| length(peer, u32::MAX))),
    ("nothing in common", Command, |peer| {
        peer.identify()?;
        peer.send(SshPeer::init_of("rot13", "ssh-ed25519", "aes256-ctr", "hmac-sha2-256"))
    }),
    ("no cipher", Command, |peer| {
        peer.identify()?;
        peer.send(SshPeer::init_of("curve25519-sha256", "ssh-ed25519", "none", "none"))
    }),
    ("a disconnect before the keys", Command, |peer| {
        peer.identify()?;
        peer.send(Payload::of(kind::DISCONNECT).number(2).string(ESCAPES).string(""))
    }),
    ("NEWKEYS too early", Command, |peer| {
        peer.identify()?;
        peer.send(SshPeer::init())?;
        peer.send(Payload::of(kind::NEWKEYS))
    }),
    ("IGNORE and DEBUG before the keys", Command, |peer| {
        peer.identify()?;
        many(peer, 20_000, &Payload::of(kind::IGNORE).string("x"))?;
        many(peer, 20_000, &Payload::of(kind::DEBUG).byte(1).string(ESCAPES).string(""))
    }),
    ("a host key of another kind", Command, |peer| reply(peer, "ssh-rsa", &[9; 300], &[9; 32])),
    ("another host key", Command, |peer| reply(peer, "ssh-ed25519", &[9; 32], &[9; 32])),
    ("a host key that is none", Command, |peer| reply(peer, "ssh-ed25519", &[9; 3], &[9; 32])),
    ("the right host key without its signature", Command, |peer| {
        let key = peer.public_key().to_vec();
        reply(peer, "ssh-ed25519", &key, &[9; 32])
    }),
    ("an exchange with zeros", Command, |peer| {
        let key = peer.public_key().to_vec();
        reply(peer, "ssh-ed25519", &key, &[0; 32])
    }),
    ("an exchange with a short key", Command, |peer| {
        let key = peer.public_key().to_vec();
        reply(peer, "ssh-ed25519", &key, &[9; 3])
    }),
    ("nothing after the keys", Command, SshPeer::greet),
    ("a sealed packet of 2^32-1 bytes", Command, |peer| peer.greet().and_then(|()| length(peer, u32::MAX))),
    ("a sealed packet that is not sealed", Command, |peer| peer.greet().and_then(|()| length(peer, 32))),
    ("another service", Command, |peer| {
        peer.greet()?;
        peer.send(Payload::of(kind::SERVICE_ACCEPT).string("ssh-hack"))
    }),
    ("SUCCESS before the service", Command, |peer| {
        peer.greet()?;
        peer.send(Payload::of(kind::USERAUTH_SUCCESS))
    }),
    ("no answer to a login", Command, |peer| at_login(peer, &Payload::empty(), 0)),
    ("no login is enough", Command, |peer| {
        each_login(peer, &Payload::of(kind::USERAUTH_FAILURE).string("password,keyboard-interactive,publickey").byte(1))
    }),
    ("logins of unknown kinds", Command, |peer| {
        each_login(peer, &Payload::of(kind::USERAUTH_FAILURE).string(ESCAPES.repeat(1_000)).byte(0))
    }),
    ("questions without end", Command, |peer| each_question(peer, &questions(1, 1))),
    ("questions without a question", Command, |peer| each_question(peer, &questions(0, 0))),
    ("ten thousand questions", Command, |peer| each_question(peer, &questions(10_000, 10_000))),
    ("2^32-1 questions", Command, |peer| each_question(peer, &questions(u32::MAX, 1))),
    ("questions that nobody asked for", Command, |peer| at_login(peer, &questions(1, 1), 1_000)),
    ("banners without end", Command, |peer| {
        at_login(peer, &Payload::of(kind::USERAUTH_BANNER).string(ESCAPES.repeat(1_000)).string(""), 5_000)
    }),
    ("a disconnect instead of a login", Command, |peer| {
        at_login(peer, &Payload::of(kind::DISCONNECT).number(14).string(ESCAPES).string(""), 1)
    }),
    ("channels before the login", Command, |peer| {
        let open = Payload::of(kind::CHANNEL_OPEN).string("session").number(0).number(9).number(9);
        at_login(peer, &open, 100)
    }),
    ("requests before the login", Command, |peer| {
        at_login(peer, &Payload::of(kind::GLOBAL_REQUEST).string("keepalive@openssh.com").byte(1), 1_000)
    }),
    ("a close after the login", Command, |peer| {
        let_in(peer)?;
        peer.hang_up(std::net::Shutdown::Both);
        Ok(())
    }),
    ("no answer to a channel", Command, let_in),
    ("no channel, with escapes", Command, |peer| {
        let_in(peer)?;
        loop {
            let channel = peer.asked_channel()?;
            let refused = Payload::of(kind::CHANNEL_OPEN_FAILURE).number(channel).number(4);
            peer.send(refused.string(ESCAPES.repeat(1_000)).string(""))?;
        }
    }),
    ("no channel, for no reason that there is", Command, |peer| {
        let_in(peer)?;
        let channel = peer.asked_channel()?;
        peer.send(Payload::of(kind::CHANNEL_OPEN_FAILURE).number(channel).number(u32::MAX).string("").string(""))
    }),
    ("a channel that nobody asked for is confirmed", Command, |peer| {
        let_in(peer)?;
        peer.send(Payload::of(kind::CHANNEL_OPEN_CONFIRMATION).number(4_000_000).number(1).number(1).number(1))
    }),
    ("a channel confirmed and refused", Command, |peer| {
        program(peer, |channel| {
            vec![Payload::of(kind::CHANNEL_OPEN_FAILURE).number(channel).number(1).string(ESCAPES).string("")]
        })
    }),
    ("a channel confirmed twice", Command, |peer| {
        program(peer, |channel| {
            vec![Payload::of(kind::CHANNEL_OPEN_CONFIRMATION).number(channel).number(99).number(9).number(9)]
        })
    }),
    ("a session from the server", Command, |peer| opens(peer, "session", &Payload::empty())),
    ("X11 from the server", Command, |peer| opens(peer, "x11", &Payload::empty().string("127.0.0.1").number(1))),
    ("forwarded connections", Command, |peer| opens(peer, "forwarded-tcpip", &address())),
    ("connections through the agent", Command, |peer| opens(peer, "direct-tcpip", &address())),
    ("the client's agent", Command, |peer| opens(peer, "auth-agent@openssh.com", &Payload::empty())),
    ("sockets through the agent", Command, |peer| {
        opens(peer, "direct-streamlocal@openssh.com", &Payload::empty().string("/run/docker.sock").string("").number(0))
    }),
    ("forwarded sockets", Command, |peer| {
        opens(peer, "forwarded-streamlocal@openssh.com", &Payload::empty().string("/tmp/x").string(""))
    }),
    ("channels of unknown kinds", Command, |peer| opens(peer, &ESCAPES.repeat(100), &Payload::empty())),
    ("channels that are not whole", Command, |peer| {
        let_in(peer)?;
        peer.send(Payload::of(kind::CHANNEL_OPEN).number(u32::MAX))
    }),
    ("requests of the connection", Command, |peer| {
        program(peer, |_| {
            vec![Payload::of(kind::GLOBAL_REQUEST).string("tcpip-forward").byte(1).string("").number(1); 500]
        })
    }),
    ("host keys that are none", Command, |peer| {
        program(peer, |_| {
            vec![Payload::of(kind::GLOBAL_REQUEST).string("hostkeys-00@openssh.com").byte(0).string([9; 40]); 100]
        })
    }),
    ("answers to no request", Command, |peer| {
        program(peer, |_| {
            let yes = vec![Payload::of(kind::REQUEST_SUCCESS).number(1); 100];
            [yes, vec![Payload::of(kind::REQUEST_FAILURE); 100]].concat()
        })
    }),
    ("a program that is refused", Command, |peer| {
        let_in(peer)?;
        let channel = peer.take_channel()?;
        peer.expect(&[kind::CHANNEL_REQUEST])?;
        many(peer, 10, &on(channel, kind::CHANNEL_FAILURE))
    }),
    ("a thousand times yes", Command, |peer| program(peer, |channel| vec![on(channel, kind::CHANNEL_SUCCESS); 1_000])),
    ("output before there is a program", Command, |peer| {
        let_in(peer)?;
        let channel = peer.take_channel()?;
        peer.send(SshPeer::data(channel, "early"))?;
        done(peer, channel)
    }),
    ("an end before anything", Command, |peer| {
        program(peer, |channel| vec![on(channel, kind::CHANNEL_EOF), SshPeer::data(channel, "after the end")])
    }),
    ("ends without end", Command, |peer| program(peer, |channel| vec![on(channel, kind::CHANNEL_EOF); 1_000])),
    ("output after the close", Command, |peer| {
        program(peer, |channel| vec![on(channel, kind::CHANNEL_CLOSE), SshPeer::data(channel, "late")])
    }),
    ("a close twice", Command, |peer| program(peer, |channel| vec![on(channel, kind::CHANNEL_CLOSE); 2])),
    ("a close in the middle of output", Command, |peer| {
        let_in(peer)?;
        let channel = peer.take_program()?;
        many(peer, 100, &SshPeer::data(channel, [b'x'; 30_000]))?;
        peer.hang_up(std::net::Shutdown::Both);
        Ok(())
    }),
    ("exit statuses", Command, |peer| {
        program(peer, |channel| (0..1_000).map(|status| note(channel, "exit-status").number(status)).collect())
    }),
    ("an exit status without a status", Command, |peer| program(peer, |channel| vec![note(channel, "exit-status")])),
    ("an exit status of another channel", Command, |peer| {
        program(peer, |_| vec![note(4_000_000, "exit-status").number(0)])
    }),
    ("an exit signal with escapes", Command, |peer| {
        program(peer, |channel| {
            let end =
                note(channel, "exit-signal").string(ESCAPES).byte(1).string(ESCAPES.repeat(4_000)).string(ESCAPES);
            vec![end, on(channel, kind::CHANNEL_CLOSE)]
        })
    }),
    ("requests of a server for a program", Command, |peer| {
        program(peer, |channel| {
            let ask = |name: &str| SshPeer::request(channel, name, Payload::empty().string("id"));
            vec![ask("exec"), ask("shell"), ask("subsystem"), ask("levitate")]
        })
    }),
    ("standard error without end", Command, |peer| {
        let_in(peer)?;
        let channel = peer.take_program()?;
        let error = Payload::of(kind::CHANNEL_EXTENDED_DATA).number(channel).number(1).string([b'e'; 30_000]);
        many(peer, 2_000, &error)?;
        done(peer, channel)
    }),
    ("output beyond the window", Command, |peer| {
        let_in(peer)?;
        let channel = peer.take_program()?;
        many(peer, 2_000, &SshPeer::data(channel, [b'x'; 30_000]))?;
        done(peer, channel)
    }),
    ("output of an unknown kind", Command, |peer| {
        program(peer, |channel| {
            vec![Payload::of(kind::CHANNEL_EXTENDED_DATA).number(channel).number(7).string(ESCAPES); 1_000]
        })
    }),
    ("output that is longer than it is", Command, |peer| {
        program(peer, |channel| vec![on(channel, kind::CHANNEL_DATA).number(u32::MAX).raw("x")])
    }),
    ("output of a channel that is not there", Command, |peer| {
        program(peer, |_| vec![SshPeer::data(4_000_000, ESCAPES); 100])
    }),
    ("empty output", Command, |peer| program(peer, |channel| vec![SshPeer::data(channel, ""); 5_000])),
    ("output of single bytes", Command, |peer| program(peer, |channel| vec![SshPeer::data(channel, "x"); 20_000])),
    ("a window that overflows", Command, |peer| {
        program(peer, |channel| vec![on(channel, kind::CHANNEL_WINDOW_ADJUST).number(u32::MAX); 1_000])
    }),
    ("messages of no number", Command, |peer| program(peer, |_| (192..=255).map(Payload::of).collect())),
    ("a packet that does not open", Command, |peer| {
        let_in(peer)?;
        peer.take_program()?;
        length(peer, 32)
    }),
    ("half a packet", Command, |peer| {
        let_in(peer)?;
        peer.take_program()?;
        peer.raw(&[0, 0, 1, 0, 1, 2, 3])?;
        peer.hang_up(std::net::Shutdown::Write);
        Ok(())
    }),
    ("a disconnect with escapes", Command, |peer| {
        program(peer, |_| vec![Payload::of(kind::DISCONNECT).number(11).string(ESCAPES).string("")])
    }),
    ("ten exchanges of keys", Command, |peer| {
        let_in(peer)?;
        let channel = peer.take_program()?;
        (0..10).try_for_each(|_| peer.exchange())?;
        done(peer, channel)
    }),
    ("keys out of turn", Command, |peer| program(peer, |_| vec![Payload::of(kind::NEWKEYS)])),
    ("files: answers to nothing", Files, |peer| {
        let status = message(101, &Payload::empty().number(0).string(ESCAPES).string(""));
        files(peer, &[version(), status.repeat(100)].concat())
    }),
    ("files: handles of nothing", Files, |peer| {
        files(peer, &[version(), message(102, &Payload::empty().string("handle")).repeat(100)].concat())
    }),
    ("files: data of nothing", Files, |peer| {
        files(peer, &[version(), message(103, &Payload::empty().string([0; 1_000])).repeat(1_000)].concat())
    }),
    ("files: 2^32-1 names", Files, |peer| {
        files(peer, &[version(), message(104, &Payload::empty().number(u32::MAX).string("x"))].concat())
    }),
    ("files: versions without end", Files, |peer| files(peer, &version().repeat(1_000))),
    ("files: no version", Files, |peer| files(peer, &message(101, &Payload::empty().number(0)))),
    ("files: requests as answers", Files, |peer| {
        files(peer, &[version(), message(3, &Payload::empty().string("/etc/passwd").number(1).number(0))].concat())
    }),
    ("files: no bytes", Files, |peer| files(peer, &[0; 400])),
    ("files: 2^32-1 bytes", Files, |peer| files(peer, &[0xff; 400])),
    ("files: a message without end", Files, |peer| {
        files(peer, &[&version()[..], &(1_u32 << 30).to_be_bytes(), &vec![b'x'; 32 * MEGABYTE]].concat())
    }),
    ("files: garbage", Files, |peer| files(peer, &[0x80, 0xff, 0, 1, b'%', 7].repeat(10_000))),
];

/// What the cases rest on: a server of this kind that does nothing wrong is heard to its end.
#[test]
fn a_server_that_behaves_is_heard() {
    let mut peer = caller(&prepare("behaves", |peer| program(peer, |_| Vec::new()))).expect("a login");
    peer.exec("anything").expect("a channel");
    peer.hear(DONE).expect("what the server says");
    peer.send(Payload::of(kind::DISCONNECT).number(11).string("").string("")).expect("it is connected");
    assert!(peer.is_cut(), "still there");
    assert_eq!(stand().gateway.ended_session("behaves")["outcome"], "completed");
}

/// A server that answers no request of a connection: who asked leaves, and the session ends.
#[test]
fn a_server_that_does_not_answer_holds_nobody() {
    let stand = stand();
    let asked = Arc::new(std::sync::Barrier::new(2));
    let reached = Arc::clone(&asked);
    let server = HostileSshd::start(move |peer| {
        let_in(peer)?;
        peer.expect(&[kind::GLOBAL_REQUEST])?;
        reached.wait();
        Ok(())
    });
    let key = format!("ssh-ed25519 {}", STANDARD.encode(server.host_key()));
    let target = json!({
        "kind": "ssh", "host": "127.0.0.1", "port": server.port, "user": "anybody",
        "password": "env:HOOP_SECRET_SSH_PASSWORD", "host_keys": [key], "allow": { "tcpip_forward": ["*:*"] },
    });
    stand.gateway.api().post("/api/v1/roles", &json!({ "name": "mute", "agent": AGENT, "target": target }));
    let mut peer = caller(&login(&stand.gateway, "mute")).expect("a login");
    let ask = Payload::of(kind::GLOBAL_REQUEST).string("tcpip-forward").byte(1).string("127.0.0.1").number(2222);
    peer.send(ask).expect("it is connected");
    asked.wait();
    drop(peer);
    stand.gateway.ended_session("mute");
    others_are_well("a server that does not answer");
}
