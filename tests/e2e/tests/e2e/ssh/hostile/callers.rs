//! After the login. Most harm that a client does, it does to its own channel; some, to its own session.

use std::io::Result;
use std::net::Shutdown;
use std::time::Duration;

use hoop_testkit::retry;
use hoop_testkit::ssh::{Payload, SshPeer, is_late, kind};

use serde_json::json;

use super::{Does, Login, all, caller, login, others_are_well, stand};
use crate::ssh::role;

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It goes on, and can be used.
    Lives,
    /// The gateway ends it.
    Cut,
    /// The client has left, or cannot be answered.
    Left,
}

use End::{Cut, Left, Lives};

/// How long channels have their places.
const PLACES: Duration = Duration::from_secs(20);

#[test]
fn callers_harm_themselves_alone() {
    let stand = stand();
    all(CASES, |(name, end, does)| {
        let mut peer = caller(&stand.login).unwrap_or_else(|error| panic!("{name}: no login: {error}"));
        let done = does(&mut peer);
        if done.as_ref().is_err_and(is_late) {
            panic!("{name}: neither read nor cut: {done:?}");
        }
        match end {
            Lives => {
                // Channels that were closed have their places until their programs have ended.
                let still = done.and_then(|()| retry(PLACES, || peer.exec("echo still $((40 + 2))")));
                let still = still.and_then(|_| peer.hear("still 42"));
                still.unwrap_or_else(|error| panic!("{name}: it should go on: {error}"));
            }
            Cut => assert!(peer.is_cut(), "{name}: still there"),
            Left => drop(peer),
        }
        others_are_well(name);
    });
}

fn many(peer: &mut SshPeer, times: usize, payload: &Payload) -> Result<()> {
    (0..times).try_for_each(|_| peer.send(payload))
}

fn open(name: &str) -> Payload {
    Payload::of(kind::CHANNEL_OPEN).string(name).number(77).number(1 << 20).number(1 << 15)
}

fn to_address(name: &str, host: &str, port: u32) -> Payload {
    open(name).string(host).number(port).string("127.0.0.1").number(1)
}

fn global(name: &str) -> Payload {
    Payload::of(kind::GLOBAL_REQUEST).string(name).byte(1)
}

fn request(channel: u32, name: &str) -> Payload {
    SshPeer::request(channel, name, Payload::empty())
}

fn window(channel: u32, more: u32) -> Payload {
    Payload::of(kind::CHANNEL_WINDOW_ADJUST).number(channel).number(more)
}

fn on(channel: u32, kind: u8) -> Payload {
    Payload::of(kind).number(channel)
}

fn terminal(columns: u32, rows: u32, modes: impl AsRef<[u8]>) -> Payload {
    Payload::empty().string("xterm").number(columns).number(rows).number(0).number(0).string(modes)
}

fn size(number: u32) -> Payload {
    Payload::empty().number(number).number(number).number(number).number(number)
}

/// A channel without a program, and something said on it.
fn on_channel(peer: &mut SshPeer, say: impl FnOnce(u32) -> Payload) -> Result<()> {
    let channel = peer.channel()?;
    peer.send(say(channel))
}

/// A channel with `cat` on it, and something said on it.
fn on_cat(peer: &mut SshPeer, say: impl Fn(u32) -> Vec<Payload>) -> Result<()> {
    let channel = peer.exec("cat")?;
    peer.send(SshPeer::data(channel, "here;"))?;
    peer.hear("here;")?;
    say(channel).iter().try_for_each(|payload| peer.send(payload))
}

/// A channel with files on it, and something said on it.
fn on_files(peer: &mut SshPeer, says: &[u8]) -> Result<()> {
    let channel = peer.channel()?;
    peer.send(SshPeer::request(channel, "subsystem", Payload::empty().string("sftp")))?;
    peer.send(SshPeer::data(channel, says))
}

fn init_files() -> Vec<u8> {
    Payload::empty().number(5).byte(1).number(3).done()
}

fn on_copy(peer: &mut SshPeer, says: &[u8]) -> Result<()> {
    let channel = peer.exec("scp -t /tmp/hoop-e2e-hostile-scp")?;
    peer.send(SshPeer::data(channel, says))
}

const CASES: &[(&str, End, Does)] = &[
    ("nothing", Lives, |_| Ok(())),
    ("a break, which is not passed on", Lives, |peer| {
        let channel = peer.exec("cat")?;
        peer.send(SshPeer::request(channel, "break", Payload::empty().number(1_000)))?;
        peer.expect(&[kind::CHANNEL_FAILURE])?;
        peer.send(SshPeer::data(channel, "it runs on;"))?;
        peer.hear("it runs on;")
    }),
    ("a thousand channels", Lives, |peer| {
        many(peer, 1_000, &open("session"))?;
        (0..1_000)
            .try_for_each(|_| peer.expect(&[kind::CHANNEL_OPEN_CONFIRMATION, kind::CHANNEL_OPEN_FAILURE]).map(drop))?;
        (0..1_100).try_for_each(|number| peer.send(on(number, kind::CHANNEL_CLOSE)))
    }),
    ("channels of unknown kinds", Lives, |peer| many(peer, 1_000, &open("wormhole"))),
    ("a channel without a kind", Lives, |peer| peer.send(open(""))),
    ("a kind of 200 kB", Lives, |peer| peer.send(open(&"k".repeat(200_000)))),
    ("an agent's channel from the client", Lives, |peer| peer.send(open("auth-agent@openssh.com"))),
    ("X11 from the client", Lives, |peer| peer.send(open("x11").string("127.0.0.1").number(1))),
    ("a forwarded connection from the client", Lives, |peer| peer.send(to_address("forwarded-tcpip", "127.0.0.1", 22))),
    ("a channel that is not whole", Cut, |peer| peer.send(Payload::of(kind::CHANNEL_OPEN).string("session"))),
    ("a kind beyond its packet", Cut, |peer| peer.send(Payload::of(kind::CHANNEL_OPEN).number(u32::MAX))),
    ("a confirmation of nothing", Cut, |peer| {
        peer.send(Payload::of(kind::CHANNEL_OPEN_CONFIRMATION).number(9).number(9).number(9).number(9))
    }),
    ("a channel with packets of no bytes", Left, |peer| {
        let channel = peer.channel_with(1 << 20, 0)?;
        peer.send(SshPeer::request(channel, "exec", Payload::empty().string("echo much; echo more")))?;
        peer.expect(&[kind::CHANNEL_SUCCESS]).map(drop)
    }),
    ("a channel with packets of 1 byte", Lives, |peer| {
        let channel = peer.channel_with(1 << 20, 1)?;
        peer.send(SshPeer::request(channel, "exec", Payload::empty().string("seq 1000; echo finis")))?;
        peer.hear("finis")
    }),
    ("a channel with packets of 2^32-1 bytes", Lives, |peer| {
        let channel = peer.channel_with(u32::MAX, u32::MAX)?;
        peer.send(SshPeer::request(channel, "exec", Payload::empty().string("seq 100000; echo finis")))?;
        peer.hear("finis")
    }),
    ("a window of 0, and then of 2^32-1", Lives, |peer| {
        let channel = peer.channel_with(0, 1 << 15)?;
        peer.send(SshPeer::request(channel, "exec", Payload::empty().string("seq 100000; echo finis")))?;
        peer.expect(&[kind::CHANNEL_SUCCESS])?;
        peer.send(window(channel, u32::MAX))?;
        peer.hear("finis")
    }),
    ("a window of 0 for good", Left, |peer| {
        let channel = peer.channel_with(0, 1 << 15)?;
        peer.send(SshPeer::request(channel, "exec", Payload::empty().string("yes | head -c 100000000")))?;
        peer.expect(&[kind::CHANNEL_SUCCESS]).map(drop)
    }),
    ("a window that overflows", Lives, |peer| on_cat(peer, |channel| vec![window(channel, u32::MAX); 100])),
    ("a window of a channel that is not there", Lives, |peer| peer.send(window(4_000_000, 1))),
    ("windows without end", Lives, |peer| on_cat(peer, |channel| vec![window(channel, 0); 20_000])),
    ("requests on channels that are not there", Lives, |peer| {
        many(peer, 1_000, &SshPeer::request(4_000_000, "exec", Payload::empty().string("touch /tmp/hoop-no")))
    }),
    ("data on a channel that is not there", Lives, |peer| many(peer, 1_000, &SshPeer::data(4_000_000, "x"))),
    ("a close of a channel that is not there", Lives, |peer| peer.send(on(4_000_000, kind::CHANNEL_CLOSE))),
    ("two shells on a channel", Lives, |peer| {
        let channel = peer.channel()?;
        many(peer, 2, &request(channel, "shell"))?;
        peer.expect(&[kind::CHANNEL_CLOSE]).map(drop)
    }),
    ("two commands on a channel", Lives, |peer| {
        let channel = peer.exec("cat")?;
        peer.send(SshPeer::request(channel, "exec", Payload::empty().string("echo second")))?;
        peer.expect(&[kind::CHANNEL_CLOSE]).map(drop)
    }),
    ("data before there is a program", Lives, |peer| {
        on_channel(peer, |channel| SshPeer::data(channel, "x"))?;
        peer.expect(&[kind::CHANNEL_CLOSE]).map(drop)
    }),
    ("a terminal of 2^32-1 columns", Lives, |peer| {
        let channel = peer.channel()?;
        peer.send(SshPeer::request(channel, "pty-req", terminal(u32::MAX, u32::MAX, [0])))?;
        peer.send(SshPeer::request(channel, "exec", Payload::empty().string("echo in; stty size")))?;
        peer.hear("in")
    }),
    ("a terminal of no columns", Lives, |peer| {
        let channel = peer.channel()?;
        peer.send(SshPeer::request(channel, "pty-req", terminal(0, 0, [0])))?;
        peer.send(SshPeer::request(channel, "exec", Payload::empty().string("echo in; stty size")))?;
        peer.hear("in")
    }),
    ("a terminal with many modes", Cut, |peer| {
        on_channel(peer, |channel| {
            SshPeer::request(channel, "pty-req", terminal(80, 24, [1, 0, 0, 0, 1].repeat(1_000)))
        })
    }),
    ("a terminal with half a mode", Cut, |peer| {
        on_channel(peer, |channel| SshPeer::request(channel, "pty-req", terminal(80, 24, [1, 0])))
    }),
    ("a terminal with unknown modes", Lives, |peer| {
        on_channel(peer, |channel| SshPeer::request(channel, "pty-req", terminal(80, 24, [250, 0, 0, 0, 1].repeat(20))))
    }),
    ("a terminal with a name of 200 kB", Lives, |peer| {
        let rest = Payload::empty().string("x".repeat(200_000)).raw(size(80)).string("");
        on_channel(peer, |channel| SshPeer::request(channel, "pty-req", rest))
    }),
    ("a thousand terminals on a channel", Lives, |peer| {
        let channel = peer.channel()?;
        many(peer, 1_000, &SshPeer::request(channel, "pty-req", terminal(80, 24, [0])))?;
        peer.expect(&[kind::CHANNEL_CLOSE]).map(drop)
    }),
    ("a terminal with zeros in its name", Lives, |peer| {
        let rest = Payload::empty().string("x\0term").raw(size(80)).string("");
        on_channel(peer, |channel| SshPeer::request(channel, "pty-req", rest))?;
        peer.expect(&[kind::CHANNEL_CLOSE]).map(drop)
    }),
    ("a subsystem with zeros", Lives, |peer| {
        let rest = Payload::empty().string("sftp\0");
        on_channel(peer, |channel| SshPeer::request(channel, "subsystem", rest))?;
        peer.expect(&[kind::CHANNEL_CLOSE]).map(drop)
    }),
    ("a variable with zeros", Lives, |peer| {
        let rest = Payload::empty().string("LANG").string("C\0x");
        on_channel(peer, |channel| SshPeer::request(channel, "env", rest))
    }),
    ("a command with zeros", Lives, |peer| {
        peer.exec(*b"echo a\0; echo b")?;
        peer.hear("zero byte")
    }),
    ("a variable of 200 kB", Lives, |peer| {
        let rest = Payload::empty().string("LANG").string("x".repeat(200_000));
        on_channel(peer, |channel| SshPeer::request(channel, "env", rest))
    }),
    ("a variable of a megabyte", Cut, |peer| {
        let rest = Payload::empty().string("LANG").string("x".repeat(1 << 20));
        on_channel(peer, |channel| SshPeer::request(channel, "env", rest))
    }),
    ("a thousand variables", Lives, |peer| {
        let channel = peer.channel()?;
        many(peer, 1_000, &SshPeer::request(channel, "env", Payload::empty().string("LANG").string("C")))
    }),
    ("variables that give orders to the loader", Lives, |peer| {
        let rest = Payload::empty().string("LD_PRELOAD").string("/tmp/hoop-no.so");
        on_channel(peer, |channel| SshPeer::request(channel, "env", rest))
    }),
    ("a command of a megabyte", Cut, |peer| peer.exec("x".repeat(1 << 20)).map(drop)),
    ("a command of 200 kB", Lives, |peer| peer.exec([": ", &"x".repeat(200_000)].concat()).map(drop)),
    ("a command that is no text", Lives, |peer| peer.exec([b'e', 0xff, 0, 0x1b]).map(drop)),
    ("a command with more behind", Cut, |peer| {
        on_channel(peer, |channel| SshPeer::request(channel, "exec", Payload::empty().string("true").number(1)))
    }),
    ("an empty command", Lives, |peer| peer.exec("").map(drop)),
    ("an unknown subsystem", Lives, |peer| {
        on_channel(peer, |channel| SshPeer::request(channel, "subsystem", Payload::empty().string("\x1b[2J")))?;
        peer.expect(&[kind::CHANNEL_CLOSE]).map(drop)
    }),
    ("unknown requests", Lives, |peer| {
        let channel = peer.channel()?;
        many(peer, 1_000, &request(channel, "levitate"))
    }),
    ("X11", Lives, |peer| {
        let rest = Payload::empty().byte(0).string("MIT-MAGIC-COOKIE-1").string("00").number(0);
        on_channel(peer, |channel| SshPeer::request(channel, "x11-req", rest))
    }),
    ("an agent that the role does not allow", Lives, |peer| {
        on_channel(peer, |channel| request(channel, "auth-agent-req@openssh.com"))
    }),
    ("an exit status from the client", Lives, |peer| {
        on_cat(peer, |channel| vec![SshPeer::request(channel, "exit-status", Payload::empty().number(0))])
    }),
    ("unknown signals", Lives, |peer| {
        on_cat(peer, |channel| {
            vec![SshPeer::request(channel, "signal", Payload::empty().string("\x1b[2J".repeat(1_000))); 50]
        })
    }),
    ("window changes without end", Lives, |peer| {
        let channel = peer.channel()?;
        peer.send(SshPeer::request(channel, "pty-req", terminal(80, 24, [0])))?;
        peer.send(request(channel, "shell"))?;
        (0..2_000).try_for_each(|number| {
            let change = Payload::of(kind::CHANNEL_REQUEST).number(channel).string("window-change").byte(0);
            peer.send(change.raw(size(number)))
        })
    }),
    ("an end twice", Lives, |peer| on_cat(peer, |channel| vec![on(channel, kind::CHANNEL_EOF); 2])),
    ("data after the end", Lives, |peer| {
        on_cat(peer, |channel| {
            vec![on(channel, kind::CHANNEL_EOF), SshPeer::data(channel, "late"), SshPeer::data(channel, "later")]
        })
    }),
    ("a close twice", Lives, |peer| on_cat(peer, |channel| vec![on(channel, kind::CHANNEL_CLOSE); 2])),
    ("data after the close", Lives, |peer| {
        on_cat(peer, |channel| vec![on(channel, kind::CHANNEL_CLOSE), SshPeer::data(channel, "late")])
    }),
    ("a request after the close", Lives, |peer| {
        on_cat(peer, |channel| vec![on(channel, kind::CHANNEL_CLOSE), request(channel, "shell")])
    }),
    ("standard error from the client", Lives, |peer| {
        on_cat(peer, |channel| {
            vec![Payload::of(kind::CHANNEL_EXTENDED_DATA).number(channel).number(1).string("x"); 100]
        })
    }),
    ("data beyond the window", Lives, |peer| {
        let channel = peer.exec("cat > /dev/null")?;
        many(peer, 2_000, &SshPeer::data(channel, vec![b'x'; 30_000]))
    }),
    ("data beyond the window that nobody takes", Left, |peer| {
        let channel = peer.exec("exec sleep 20")?;
        peer.expect(&[kind::CHANNEL_SUCCESS])?;
        peer.patience_is_short()?;
        // It is stopped when the buffers are full.
        let _ = many(peer, 4_000, &SshPeer::data(channel, vec![b'x'; 30_000]));
        Ok(())
    }),
    ("empty data", Lives, |peer| on_cat(peer, |channel| vec![SshPeer::data(channel, ""); 5_000])),
    ("data that is longer than it is", Cut, |peer| {
        on_cat(peer, |channel| vec![Payload::of(kind::CHANNEL_DATA).number(channel).number(u32::MAX).raw("x")])
    }),
    ("output that nobody reads", Left, |peer| {
        peer.exec("yes | head -c 1000000000")?;
        peer.expect(&[kind::CHANNEL_DATA]).map(drop)
    }),
    ("twenty exchanges of keys", Lives, |peer| (0..20).try_for_each(|_| peer.exchange())),
    ("an exchange that is not finished", Left, |peer| {
        on_cat(peer, |channel| vec![Payload::empty().raw(SshPeer::init()), SshPeer::data(channel, "meanwhile")])
    }),
    ("keys out of turn", Lives, |peer| peer.send(Payload::of(kind::NEWKEYS))),
    ("a second login", Lives, |peer| peer.send(SshPeer::password("admin", "x"))),
    ("a second service", Lives, |peer| peer.send(Payload::of(kind::SERVICE_REQUEST).string("ssh-userauth"))),
    ("unknown requests of the connection", Lives, |peer| many(peer, 1_000, &global("be-root@example.com"))),
    ("a forward that is not allowed", Lives, |peer| {
        many(peer, 20, &global("tcpip-forward").string("0.0.0.0").number(2222))
    }),
    ("a forward of a port that is none", Lives, |peer| {
        peer.send(global("tcpip-forward").string("127.0.0.1").number(u32::MAX))
    }),
    ("a forward that is not there", Lives, |peer| {
        peer.send(global("cancel-tcpip-forward").string("127.0.0.1").number(2222))
    }),
    ("a socket that is not allowed", Lives, |peer| {
        peer.send(global("streamlocal-forward@openssh.com").string("/tmp/hoop-no"))
    }),
    ("connections that are not allowed", Lives, |peer| {
        many(peer, 50, &to_address("direct-tcpip", "169.254.169.254", 80))
    }),
    ("a connection to a port that is none", Lives, |peer| peer.send(to_address("direct-tcpip", "localhost", u32::MAX))),
    ("a connection to a name with escapes", Lives, |peer| peer.send(to_address("direct-tcpip", "\x1b[2J\r\n", 80))),
    ("a connection to a name of 200 kB", Lives, |peer| peer.send(to_address("direct-tcpip", &"h".repeat(200_000), 80))),
    ("a local socket that is not allowed", Lives, |peer| {
        let to = open("direct-streamlocal@openssh.com").string("/var/run/docker.sock");
        peer.send(to.string("").number(0))
    }),
    ("answers to no request", Lives, |peer| {
        many(peer, 1_000, &Payload::of(kind::REQUEST_FAILURE))?;
        many(peer, 1_000, &Payload::of(kind::REQUEST_SUCCESS).number(1))
    }),
    ("messages of no number", Lives, |peer| (192..=255).try_for_each(|number| peer.send(Payload::of(number)))),
    ("an empty message", Left, |peer| peer.send(Payload::empty())),
    ("DEBUG and IGNORE", Lives, |peer| {
        many(peer, 10_000, &Payload::of(kind::IGNORE).string("x"))?;
        many(peer, 10_000, &Payload::of(kind::DEBUG).byte(1).string("\x1b[2J").string(""))
    }),
    ("a disconnect in the middle", Cut, |peer| {
        on_cat(peer, |_| vec![Payload::of(kind::DISCONNECT).number(11).string("\x1b[2J").string("")])
    }),
    ("an end in the middle of a packet", Cut, |peer| {
        on_cat(peer, |_| Vec::new())?;
        peer.raw(&[0, 0, 1, 0, 1, 2, 3])?;
        peer.hang_up(Shutdown::Write);
        Ok(())
    }),
    ("a packet that does not open", Cut, |peer| {
        on_cat(peer, |_| Vec::new())?;
        peer.raw(&[&[0, 0, 0, 32][..], &[0; 48]].concat())
    }),
    ("a packet of 2^32-1 bytes", Cut, |peer| peer.raw(&[0xff; 64])),
    ("files: no bytes", Lives, |peer| on_files(peer, &[0, 0, 0, 0])),
    ("files: 2^32-1 bytes", Lives, |peer| on_files(peer, &[0xff; 64])),
    ("files: an unknown request", Lives, |peer| {
        on_files(peer, &[init_files(), Payload::empty().number(5).byte(99).number(1).done()].concat())
    }),
    ("files: answers as requests", Lives, |peer| {
        let status = Payload::empty().byte(101).number(1).number(0).string("").string("").done();
        on_files(peer, &[init_files(), Payload::empty().string(status).done().repeat(100)].concat())
    }),
    ("files: no version", Lives, |peer| {
        let open = Payload::empty().byte(3).number(1).string("/etc/hostname").number(1).number(0).done();
        on_files(peer, &Payload::empty().string(open).done())
    }),
    ("files: versions without end", Lives, |peer| on_files(peer, &init_files().repeat(1_000))),
    ("files: a path of 200 kB", Lives, |peer| {
        let open = Payload::empty().byte(3).number(1).string("p".repeat(200_000)).number(1).number(0).done();
        let text = [init_files(), Payload::empty().string(open).done()].concat();
        let channel = peer.channel()?;
        peer.send(SshPeer::request(channel, "subsystem", Payload::empty().string("sftp")))?;
        text.chunks(30_000).try_for_each(|piece| peer.send(SshPeer::data(channel, piece)))
    }),
    ("files: strings beyond their message", Lives, |peer| {
        let open = Payload::empty().byte(3).number(1).number(u32::MAX).raw("x").done();
        on_files(peer, &[init_files(), Payload::empty().string(open).done()].concat())
    }),
    ("files: handles of nobody", Lives, |peer| {
        let close = Payload::empty().byte(4).number(1).string("handle").done();
        on_files(peer, &[init_files(), Payload::empty().string(close).done().repeat(500)].concat())
    }),
    ("files: the same number for all", Lives, |peer| {
        let stat = Payload::empty().byte(17).number(1).string("/").done();
        on_files(peer, &[init_files(), Payload::empty().string(stat).done().repeat(500)].concat())
    }),
    ("files: garbage", Lives, |peer| on_files(peer, &[0x80, 0xff, 0, 1, b'%', 0x1b].repeat(4_000))),
    ("scp: garbage", Lives, |peer| on_copy(peer, &[0x80, 0xff, 0, 1, b'%', 0x1b].repeat(4_000))),
    ("scp: a size that is none", Lives, |peer| on_copy(peer, b"C0644 99999999999999999999999 x\n")),
    ("scp: a negative size", Lives, |peer| on_copy(peer, b"C0644 -1 x\n")),
    ("scp: a way out", Lives, |peer| on_copy(peer, b"C0644 1 ../../../tmp/hoop-no\nx\0")),
    ("scp: a line without end", Lives, |peer| on_copy(peer, &[b'C'; 30_000])),
    ("scp: folders without end", Lives, |peer| on_copy(peer, &b"D0755 0 d\n".repeat(2_000))),
    ("scp: ends of folders without end", Lives, |peer| on_copy(peer, &b"E\n".repeat(2_000))),
];

/// A client that reads nothing cannot keep its session: it is over when it is killed, and not when the client wishes.
#[test]
fn who_reads_nothing_can_be_killed() {
    let stand = stand();
    let mut peer = caller(&open_role("unread")).expect("a login");
    peer.exec("yes").expect("a channel");
    peer.exec("yes").expect("another channel");
    peer.expect(&[kind::CHANNEL_DATA]).expect("output");
    let session = stand.gateway.sessions().into_iter().find(|session| session["role"] == "unread").expect("it runs");
    stand.gateway.hoop(&["sessions", "kill", session["id"].as_str().expect("an id")]).ok();
    assert_eq!(stand.gateway.ended_session("unread")["outcome"], "killed");
    assert!(peer.is_cut(), "still there");
    others_are_well("a client that reads nothing");
}

/// A client that says goodbye and stays connected has no session any more.
#[test]
fn who_says_goodbye_is_gone() {
    let mut peer = caller(&open_role("goodbye")).expect("a login");
    peer.exec("cat").expect("a channel");
    peer.expect(&[kind::CHANNEL_SUCCESS]).expect("a program");
    peer.send(Payload::of(kind::DISCONNECT).number(11).string("").string("")).expect("it is connected");
    assert_eq!(stand().gateway.ended_session("goodbye")["outcome"], "completed");
    drop(peer);
}

/// OpenSSH's server ends the whole connection at a zero byte where it expects text. None gets there.
#[test]
fn addresses_with_zeros_end_no_session() {
    stand();
    let mut peer = caller(&open_role("zeros")).expect("a login");
    let cat = peer.exec("cat").expect("a channel");
    let from = Payload::of(kind::CHANNEL_OPEN).string("direct-tcpip").number(78).number(1 << 20).number(1 << 15);
    for says in [
        to_address("direct-tcpip", "localhost\0", 22),
        from.string("localhost").number(9).string("127.0.0.1\0").number(1),
        open("direct-streamlocal@openssh.com").string("/tmp/\0x").string("").number(0),
    ] {
        peer.send(says).expect("it is connected");
        peer.expect(&[kind::CHANNEL_OPEN_FAILURE]).expect("a refusal");
    }
    for name in ["tcpip-forward", "cancel-tcpip-forward"] {
        peer.send(global(name).string("local\0host").number(0)).expect("it is connected");
        peer.expect(&[kind::REQUEST_FAILURE]).expect("a refusal");
    }
    peer.send(SshPeer::data(cat, "still here")).expect("it is connected");
    peer.hear("still here").expect("the program that ran before");
}

/// A role that allows whatever can be allowed.
fn open_role(name: &str) -> Login {
    let stand = stand();
    role(&stand.gateway, name, &stand.sshd, |target| {
        target["allow"] = json!({
            "direct_tcpip": ["*:*"], "direct_streamlocal": ["*"], "tcpip_forward": ["*:*"], "environment": ["*"],
        });
    });
    login(&stand.gateway, name)
}
