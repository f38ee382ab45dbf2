//! The key exchange `curve25519-sha256` ([RFC 8731]).
//!
//! [RFC 8731]: https://www.rfc-editor.org/rfc/rfc8731

use std::io::{Error, Result};

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

use super::cipher::Cipher;
use super::payload::{Payload, kind, words};
use super::peer::{Side, SshPeer};

/// The one algorithm of each kind.
pub(super) const KEX: &str = "curve25519-sha256";
pub(super) const HOST_KEY: &str = "ssh-ed25519";
const CIPHER: &str = "aes256-gcm@openssh.com";
const MAC: &str = "hmac-sha2-256";

/// A KEXINIT with these algorithms: key exchange, host key, cipher, authentication of messages.
pub(super) fn init(kex: &str, host_key: &str, cipher: &str, mac: &str) -> Vec<u8> {
    let lists = [kex, host_key, cipher, cipher, mac, mac, "none", "none", "", ""];
    let init = lists.iter().fold(Payload::of(kind::KEXINIT).raw([7; 16]), |init, list| init.string(list));
    init.byte(0).number(0).done()
}

pub(super) fn own_init() -> Vec<u8> {
    init(KEX, HOST_KEY, CIPHER, MAC)
}

/// The public half of a server's key, as the protocol has it.
pub(super) fn host_key_blob(key: &Ed25519KeyPair) -> Vec<u8> {
    Payload::empty().string(HOST_KEY).string(key.public_key()).done()
}

struct Secret {
    shared: Vec<u8>,
    hash: Vec<u8>,
}

/// Exchanges keys; `theirs` is their KEXINIT. What else comes meanwhile is dropped.
pub(super) fn run(peer: &mut SshPeer, theirs: &[u8]) -> Result<()> {
    let ours = own_init();
    let private = PrivateKey::generate(&X25519).map_err(Error::other)?;
    let public = private.compute_public_key().map_err(Error::other)?;
    let secret = match peer.side {
        Side::Client => {
            peer.send(Payload::of(kind::KEX_ECDH_INIT).string(&public))?;
            let reply = words(&peer.expect(&[kind::KEX_ECDH_REPLY])?[1..]);
            let [host_key, other, _] = &reply[..] else { return Err(Error::other("no reply")) };
            let shared = agreed(&private, other)?;
            let ids = [&peer.own_id[..], &peer.their_id[..]];
            let hash = hash(ids, [&ours, theirs], host_key, [public.as_ref(), other], &shared);
            Secret { shared, hash }
        }
        Side::Server => {
            let asked = words(&peer.expect(&[kind::KEX_ECDH_INIT])?[1..]);
            let other = asked.first().ok_or_else(|| Error::other("no key"))?;
            let (shared, host_key) = (agreed(&private, other)?, host_key_blob(&peer.host_key));
            let ids = [&peer.their_id[..], &peer.own_id[..]];
            let hash = hash(ids, [theirs, &ours], &host_key, [other, public.as_ref()], &shared);
            let signed = Payload::empty().string(HOST_KEY).string(peer.host_key.sign(&hash)).done();
            peer.send(Payload::of(kind::KEX_ECDH_REPLY).string(host_key).string(&public).string(signed))?;
            Secret { shared, hash }
        }
    };
    peer.send(Payload::of(kind::NEWKEYS))?;
    let (own, other) = keys(peer, &secret);
    peer.outward = Some(own);
    peer.expect(&[kind::NEWKEYS])?;
    peer.inward = Some(other);
    Ok(())
}

fn agreed(private: &PrivateKey, other: &[u8]) -> Result<Vec<u8>> {
    let other = UnparsedPublicKey::new(&X25519, other);
    let shared = agree(private, other, Error::other("no agreement"), |shared| Ok(shared.to_vec()))?;
    Ok(mpint(&shared))
}

/// A number that is not negative, with its length.
fn mpint(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    let number = &number[start..];
    let sign: &[u8] = if number.first().is_some_and(|byte| byte & 0x80 != 0) { &[0] } else { &[] };
    Payload::empty().string([sign, number].concat()).done()
}

fn hash(ids: [&[u8]; 2], inits: [&[u8]; 2], host_key: &[u8], public: [&[u8]; 2], shared: &[u8]) -> Vec<u8> {
    let parts = [ids[0], ids[1], inits[0], inits[1], host_key, public[0], public[1]];
    let text = parts.into_iter().fold(Payload::empty(), Payload::string).raw(shared);
    digest(&SHA256, text.as_ref()).as_ref().to_vec()
}

/// Ours, and theirs.
fn keys(peer: &mut SshPeer, secret: &Secret) -> (Cipher, Cipher) {
    let session = peer.session.get_or_insert_with(|| secret.hash.clone());
    let derive = |letter: u8| {
        let text = [&secret.shared[..], &secret.hash, &[letter], session].concat();
        digest(&SHA256, &text).as_ref().to_vec()
    };
    let to_server = Cipher::new(&derive(b'C'), &derive(b'A'));
    let to_client = Cipher::new(&derive(b'D'), &derive(b'B'));
    match peer.side {
        Side::Client => (to_server, to_client),
        Side::Server => (to_client, to_server),
    }
}
