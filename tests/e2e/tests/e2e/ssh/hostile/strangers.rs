//! Before the login. However it begins, the door ends it, at the latest when the time for logins is over.

use std::io::Result;
use std::net::Shutdown;

use hoop_testkit::ssh::{Payload, SshPeer, is_late, kind};

use super::{Does, all, others_are_well, peer, stand};

const GARBAGE: [u8; 9] = [0x80, 0xff, 0, 1, b'%', b'n', 0x1b, b'[', 0x7f];
const MEGABYTE: usize = 1 << 20;

#[test]
fn strangers_harm_nobody() {
    stand();
    all(CASES, |(name, does)| {
        let mut peer = peer();
        // It may be cut before it has said everything.
        match does(&mut peer) {
            Err(error) if is_late(&error) => panic!("{name}: neither read nor cut: {error}"),
            _ => assert!(peer.is_cut(), "{name}: still there"),
        }
        others_are_well(name);
    });
}

/// A packet in clear with this length, and what follows it.
fn length(peer: &mut SshPeer, length: u32) -> Result<()> {
    peer.identify()?;
    peer.raw(&length.to_be_bytes())?;
    peer.raw(&[4; 64])
}

/// As [`length`], when there are keys.
fn sealed_length(peer: &mut SshPeer, length: u32) -> Result<()> {
    peer.greet()?;
    peer.raw(&length.to_be_bytes())?;
    peer.raw(&[4; 64])
}

fn proposal(peer: &mut SshPeer, [kex, host_key, cipher, mac]: [&str; 4]) -> Result<()> {
    peer.identify()?;
    peer.send(SshPeer::init_of(kex, host_key, cipher, mac))
}

const KEX: &str = "curve25519-sha256";
const KEY: &str = "ssh-ed25519";
const CIPHER: &str = "aes256-ctr";
const MAC: &str = "hmac-sha2-256";

/// Before the keys.
fn before(peer: &mut SshPeer, payload: Payload) -> Result<()> {
    peer.identify()?;
    peer.send(payload)
}

/// After the KEXINITs.
fn instead_of_ecdh(peer: &mut SshPeer, payloads: &[Payload]) -> Result<()> {
    peer.identify()?;
    peer.send(SshPeer::init())?;
    payloads.iter().try_for_each(|payload| peer.send(payload))
}

/// With keys, before the service.
fn greeted(peer: &mut SshPeer, payload: Payload) -> Result<()> {
    peer.greet()?;
    peer.send(payload)
}

/// With the service of logins.
fn at_login(peer: &mut SshPeer, payload: Payload) -> Result<()> {
    peer.greet()?;
    peer.ask_service()?;
    peer.send(payload)
}

/// The same many times, without a look at the answers.
fn many(peer: &mut SshPeer, times: usize, payload: &Payload) -> Result<()> {
    (0..times).try_for_each(|_| peer.send(payload))
}

fn login(method: &str) -> Payload {
    Payload::of(kind::USERAUTH_REQUEST).string("nobody").string("ssh-connection").string(method)
}

fn questions() -> Payload {
    login("keyboard-interactive").string("").string("")
}

fn open_session() -> Payload {
    Payload::of(kind::CHANNEL_OPEN).string("session").number(0).number(1 << 20).number(1 << 15)
}

fn public_key(has_signature: u8, algorithm: &str, blob: impl AsRef<[u8]>) -> Payload {
    login("publickey").byte(has_signature).string(algorithm).string(blob)
}

fn ed25519() -> Payload {
    Payload::empty().string(KEY).string([9; 32])
}

const CASES: &[(&str, Does)] = &[
    ("silence", |_| Ok(())),
    ("nothing more", |peer| {
        peer.hang_up(Shutdown::Write);
        Ok(())
    }),
    ("garbage", |peer| peer.raw(&GARBAGE.repeat(10_000))),
    ("lines of garbage", |peer| peer.raw(&[&GARBAGE[..], b"\r\n"].concat().repeat(10_000))),
    ("zeros", |peer| peer.raw(&vec![0; MEGABYTE])),
    ("HTTP", |peer| peer.raw(b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n")),
    ("TLS", |peer| peer.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")),
    ("PostgreSQL", |peer| peer.raw(&[0, 0, 0, 8, 4, 210, 22, 47])),
    ("an identification of a megabyte", |peer| {
        peer.raw(&[b"SSH-2.0-", "x".repeat(MEGABYTE).as_bytes(), b"\r\n"].concat())
    }),
    ("an identification without end", |peer| peer.raw(&[b"SSH-2.0-", "x".repeat(64 * MEGABYTE).as_bytes()].concat())),
    ("an identification without a line's end", |peer| peer.raw(b"SSH-2.0-x")),
    ("an identification byte by byte", |peer| b"SSH-2.0-slow".iter().try_for_each(|byte| peer.raw(&[*byte]))),
    ("an identification with zeros", |peer| peer.raw(b"SSH-2.0-\0\0\0\r\n")),
    ("an identification with escapes", |peer| {
        peer.own_id_is(b"SSH-2.0-\x1b]0;owned\x07\x1b[2J");
        peer.greet()
    }),
    ("SSH 1", |peer| peer.raw(b"SSH-1.5-old\r\n")),
    ("SSH 3", |peer| peer.raw(b"SSH-3.0-new\r\n")),
    ("two identifications", |peer| peer.raw(b"SSH-2.0-one\r\nSSH-2.0-two\r\n")),
    ("lines before the identification", |peer| peer.raw("hello\r\n".repeat(MEGABYTE).as_bytes())),
    ("empty lines", |peer| peer.raw("\r\n".repeat(MEGABYTE).as_bytes())),
    ("nothing after the identification", SshPeer::identify),
    ("half a KEXINIT", |peer| {
        peer.identify()?;
        peer.raw(&[0, 0, 4, 0, 4, kind::KEXINIT, 1, 2, 3])
    }),
    ("a packet of 0 bytes", |peer| length(peer, 0)),
    ("a packet of 1 byte", |peer| length(peer, 1)),
    ("a packet of 4 bytes", |peer| length(peer, 4)),
    ("a packet of 35001 bytes", |peer| length(peer, 35_001)),
    ("a packet of a megabyte", |peer| length(peer, 1 << 20)),
    ("a packet of 2^31 bytes", |peer| length(peer, 1 << 31)),
    ("a packet of 2^32-1 bytes", |peer| length(peer, u32::MAX)),
    ("more padding than packet", |peer| {
        peer.identify()?;
        peer.raw(&[0, 0, 0, 12, 255, kind::KEXINIT, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    }),
    ("nothing but padding", |peer| {
        peer.identify()?;
        peer.raw(&[&[0, 0, 0, 12, 11][..], &[0; 11]].concat().repeat(1_000))
    }),
    ("a key exchange that nobody has", |peer| proposal(peer, ["rot13", KEY, CIPHER, MAC])),
    ("a key exchange with SHA-1", |peer| proposal(peer, ["diffie-hellman-group1-sha1", KEY, CIPHER, MAC])),
    ("a host key of DSA", |peer| proposal(peer, [KEX, "ssh-dss", CIPHER, MAC])),
    ("a host key of RSA and SHA-1", |peer| proposal(peer, [KEX, "ssh-rsa", CIPHER, MAC])),
    ("no cipher", |peer| proposal(peer, [KEX, KEY, "none", "none"])),
    ("CBC", |peer| proposal(peer, [KEX, KEY, "aes128-cbc,3des-cbc", MAC])),
    ("RC4", |peer| proposal(peer, [KEX, KEY, "arcfour", MAC])),
    ("ChaCha20, as for Terrapin", |peer| proposal(peer, [KEX, KEY, "chacha20-poly1305@openssh.com", MAC])),
    ("no authentication of messages", |peer| proposal(peer, [KEX, KEY, CIPHER, "none"])),
    ("MD5", |peer| proposal(peer, [KEX, KEY, CIPHER, "hmac-md5"])),
    ("nothing to choose from", |peer| proposal(peer, ["", "", "", ""])),
    ("a key exchange that is no key exchange", |peer| {
        proposal(peer, ["kex-strict-c-v00@openssh.com,ext-info-c", KEY, CIPHER, MAC])
    }),
    ("names with commas alone", |peer| proposal(peer, [&",".repeat(20_000), KEY, CIPHER, MAC])),
    ("very many names", |peer| proposal(peer, [&"a,".repeat(100_000), KEY, CIPHER, MAC])),
    ("names that are no text", |peer| {
        before(peer, Payload::of(kind::KEXINIT).raw([7; 16]).string([0xff, 0xfe]).raw([0; 40]))
    }),
    ("a list beyond its packet", |peer| {
        before(peer, Payload::of(kind::KEXINIT).raw([7; 16]).number(u32::MAX).raw([0; 40]))
    }),
    ("a KEXINIT without lists", |peer| before(peer, Payload::of(kind::KEXINIT))),
    ("two KEXINITs", |peer| {
        peer.identify()?;
        many(peer, 2, &Payload::empty().raw(SshPeer::init()))
    }),
    ("ten thousand KEXINITs", |peer| {
        peer.identify()?;
        many(peer, 10_000, &Payload::empty().raw(SshPeer::init()))
    }),
    ("a guess that does not follow", |peer| {
        let mut init = SshPeer::init_of("rot13,curve25519-sha256", KEY, CIPHER, MAC);
        let at = init.len() - 5;
        init[at] = 1;
        peer.identify()?;
        peer.send(init)
    }),
    ("IGNORE before the keys", |peer| {
        peer.identify()?;
        many(peer, 50_000, &Payload::of(kind::IGNORE).string("x"))
    }),
    ("DEBUG before the keys", |peer| {
        peer.identify()?;
        many(peer, 50_000, &Payload::of(kind::DEBUG).byte(1).string("\x1b[2J").string(""))
    }),
    ("IGNORE during the exchange", |peer| instead_of_ecdh(peer, &vec![Payload::of(kind::IGNORE).string("x"); 1_000])),
    ("UNIMPLEMENTED during the exchange", |peer| {
        instead_of_ecdh(peer, &vec![Payload::of(kind::UNIMPLEMENTED).number(0); 1_000])
    }),
    ("messages of no number", |peer| {
        peer.identify()?;
        (192..=255).try_for_each(|number| peer.send(Payload::of(number)))
    }),
    ("NEWKEYS first of all", |peer| before(peer, Payload::of(kind::NEWKEYS))),
    ("NEWKEYS too early", |peer| instead_of_ecdh(peer, &[Payload::of(kind::NEWKEYS)])),
    ("an exchange without a key", |peer| instead_of_ecdh(peer, &[Payload::of(kind::KEX_ECDH_INIT).string("")])),
    ("an exchange with zeros", |peer| instead_of_ecdh(peer, &[Payload::of(kind::KEX_ECDH_INIT).string([0; 32])])),
    ("an exchange with a short key", |peer| instead_of_ecdh(peer, &[Payload::of(kind::KEX_ECDH_INIT).string([9; 31])])),
    ("an exchange with a long key", |peer| {
        instead_of_ecdh(peer, &[Payload::of(kind::KEX_ECDH_INIT).string([9; 100_000])])
    }),
    ("the server's half of the exchange", |peer| {
        instead_of_ecdh(peer, &[Payload::of(kind::KEX_ECDH_REPLY).string("").string([9; 32]).string("")])
    }),
    ("an exchange without NEWKEYS", |peer| {
        let init = Payload::of(kind::KEX_ECDH_INIT).string([9; 32]);
        instead_of_ecdh(peer, &[init.clone(), init])
    }),
    ("a service in clear", |peer| before(peer, Payload::of(kind::SERVICE_REQUEST).string("ssh-userauth"))),
    ("a login in clear", |peer| before(peer, SshPeer::password("nobody", "x"))),
    ("a channel in clear", |peer| before(peer, open_session())),
    ("a disconnect in clear", |peer| {
        before(peer, Payload::of(kind::DISCONNECT).number(11).string("\x1b[31mbye").string(""))
    }),
    ("a disconnect that is not whole", |peer| before(peer, Payload::of(kind::DISCONNECT))),
    ("nothing after the keys", SshPeer::greet),
    ("a sealed packet of 0 bytes", |peer| sealed_length(peer, 0)),
    ("a sealed packet of 1 byte", |peer| sealed_length(peer, 1)),
    ("a sealed packet of a megabyte", |peer| sealed_length(peer, 1 << 20)),
    ("a sealed packet of 2^32-1 bytes", |peer| sealed_length(peer, u32::MAX)),
    ("a sealed packet that is not sealed", |peer| sealed_length(peer, 32)),
    ("fifty exchanges before the login", |peer| {
        peer.greet()?;
        (0..50).try_for_each(|_| peer.exchange())
    }),
    ("services without end", |peer| {
        peer.greet()?;
        many(peer, 10_000, &Payload::of(kind::SERVICE_REQUEST).string("ssh-userauth"))
    }),
    ("an unknown service", |peer| greeted(peer, Payload::of(kind::SERVICE_REQUEST).string("ssh-connection"))),
    ("a service with more behind", |peer| {
        greeted(peer, Payload::of(kind::SERVICE_REQUEST).string("ssh-userauth").number(1))
    }),
    ("a login without the service", |peer| greeted(peer, SshPeer::password("nobody", "x"))),
    ("a channel before the login", |peer| at_login(peer, open_session())),
    ("a forward before the login", |peer| {
        let ask = Payload::of(kind::GLOBAL_REQUEST).string("tcpip-forward").byte(1);
        at_login(peer, ask.string("0.0.0.0").number(0))
    }),
    ("data before the login", |peer| at_login(peer, SshPeer::data(0, "x"))),
    ("a close before the login", |peer| at_login(peer, Payload::of(kind::CHANNEL_CLOSE).number(0))),
    ("SUCCESS from the client", |peer| at_login(peer, Payload::of(kind::USERAUTH_SUCCESS))),
    ("FAILURE from the client", |peer| at_login(peer, Payload::of(kind::USERAUTH_FAILURE).string("none").byte(1))),
    ("a banner from the client", |peer| at_login(peer, Payload::of(kind::USERAUTH_BANNER).string("x").string(""))),
    ("SUCCESS and then a channel", |peer| {
        at_login(peer, Payload::of(kind::USERAUTH_SUCCESS))?;
        peer.send(open_session())
    }),
    ("answers that nobody asked for", |peer| {
        at_login(peer, Payload::of(kind::USERAUTH_INFO_RESPONSE).number(1).string("x"))
    }),
    ("a user of a megabyte", |peer| at_login(peer, SshPeer::password(&"u".repeat(MEGABYTE), "x"))),
    ("a user of 200 kB", |peer| at_login(peer, SshPeer::password(&"u".repeat(200_000), "x"))),
    ("a user with escapes", |peer| at_login(peer, SshPeer::password("\x1b[2J\r\n+\0", "x"))),
    ("a user who is no text", |peer| {
        let ask = Payload::of(kind::USERAUTH_REQUEST).string([0xff, 0xfe]).string("ssh-connection");
        at_login(peer, ask.string("password").byte(0).string("x"))
    }),
    ("a user of plus signs", |peer| at_login(peer, SshPeer::password(&"+".repeat(10_000), "x"))),
    ("a password of 200 kB", |peer| at_login(peer, SshPeer::password("nobody", &"p".repeat(200_000)))),
    ("a password that is to be changed", |peer| at_login(peer, login("password").byte(1).string("old").string("new"))),
    ("half a password", |peer| at_login(peer, login("password").byte(0).number(100).raw("half"))),
    ("another service than that of channels", |peer| {
        let ask = Payload::of(kind::USERAUTH_REQUEST).string("nobody").string("ssh-hack");
        at_login(peer, ask.string("none"))
    }),
    ("ten thousand passwords", |peer| {
        at_login(peer, SshPeer::password("nobody", "x"))?;
        many(peer, 10_000, &SshPeer::password("nobody", "x"))
    }),
    ("ten thousand logins without a method", |peer| {
        at_login(peer, login("none"))?;
        many(peer, 10_000, &login("none"))
    }),
    ("ten thousand unknown methods", |peer| {
        at_login(peer, login("telepathy"))?;
        many(peer, 10_000, &login("telepathy"))
    }),
    ("ten thousand questions asked for", |peer| {
        at_login(peer, questions())?;
        many(peer, 10_000, &questions())
    }),
    ("a thousand answers", |peer| {
        at_login(peer, questions())?;
        let answers = Payload::of(kind::USERAUTH_INFO_RESPONSE).number(1_000);
        peer.send((0..1_000).fold(answers, |answers, _| answers.string("x")))
    }),
    ("2^32-1 answers", |peer| {
        at_login(peer, questions())?;
        peer.send(Payload::of(kind::USERAUTH_INFO_RESPONSE).number(u32::MAX).string("x"))
    }),
    ("no answers", |peer| {
        at_login(peer, questions())?;
        many(peer, 10_000, &Payload::of(kind::USERAUTH_INFO_RESPONSE).number(0))
    }),
    ("ten thousand keys", |peer| {
        at_login(peer, public_key(0, KEY, ed25519()))?;
        many(peer, 10_000, &public_key(0, KEY, ed25519()))
    }),
    ("a key that is none", |peer| at_login(peer, public_key(0, KEY, "key"))),
    ("a key of another kind", |peer| at_login(peer, public_key(0, "rsa-sha2-512", ed25519()))),
    ("a key of an unknown kind", |peer| at_login(peer, public_key(0, "rot13", Payload::empty().string("rot13")))),
    ("a signature that is none", |peer| {
        at_login(peer, public_key(1, KEY, ed25519()).string(Payload::empty().string(KEY).string([0; 64])))
    }),
    ("no signature", |peer| at_login(peer, public_key(1, KEY, ed25519()))),
    ("a certificate that is none", |peer| {
        let kind = "ssh-ed25519-cert-v01@openssh.com";
        at_login(peer, public_key(1, kind, Payload::empty().string(kind).string([0; 200])).string(""))
    }),
    ("the client's host as proof", |peer| at_login(peer, login("hostbased").string(KEY).string("").string("host"))),
    ("answers that nobody reads", |peer| {
        peer.greet()?;
        many(peer, 2_000_000, &Payload::of(kind::GLOBAL_REQUEST).string("x").byte(1))
    }),
    ("questions that nobody reads", |peer| {
        at_login(peer, questions())?;
        many(peer, 400_000, &questions())
    }),
    ("keys exchanged for answers that nobody reads", |peer| {
        peer.identify()?;
        many(peer, 400_000, &Payload::of(200))
    }),
    ("a disconnect, and still there", |peer| {
        at_login(peer, Payload::of(kind::DISCONNECT).number(11).string("bye").string(""))?;
        many(peer, 1_000, &login("none"))
    }),
    ("half a connection", |peer| {
        peer.greet()?;
        peer.hang_up(Shutdown::Write);
        Ok(())
    }),
];
