//! Packets, in clear and under `aes256-gcm@openssh.com` ([RFC 5647], with the length in clear).
//!
//! [RFC 5647]: https://www.rfc-editor.org/rfc/rfc5647

use std::io::{Error, Read, Result};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

const BLOCK: usize = 16;
const TAG: usize = 16;
/// No packet of a test is longer.
const LONGEST: usize = 1 << 20;

/// One direction's key.
#[derive(Debug)]
pub(super) struct Cipher {
    key: LessSafeKey,
    fixed: [u8; 4],
    count: u64,
}

impl Cipher {
    /// With 32 bytes of key, and 12 of the first nonce.
    pub(super) fn new(key: &[u8], nonce: &[u8]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, &key[..32]).expect("32 bytes are a key");
        let (fixed, count) = nonce[..12].split_first_chunk().expect("12 bytes");
        let count = u64::from_be_bytes(count.try_into().expect("8 bytes"));
        Self { key: LessSafeKey::new(key), fixed: *fixed, count }
    }

    fn nonce(&mut self) -> Nonce {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&self.fixed);
        nonce[4..].copy_from_slice(&self.count.to_be_bytes());
        self.count = self.count.wrapping_add(1);
        Nonce::assume_unique_for_key(nonce)
    }
}

/// A payload as a packet.
pub(super) fn seal(cipher: Option<&mut Cipher>, payload: &[u8]) -> Vec<u8> {
    // The length is a part of the blocks in clear alone.
    let outside = if cipher.is_some() { 0 } else { 4 };
    let padding = BLOCK - (outside + 1 + payload.len() + 4) % BLOCK + 4;
    let mut body = vec![u8::try_from(padding).expect("less than two blocks")];
    body.extend_from_slice(payload);
    body.resize(body.len() + padding, 0);
    let length = u32::try_from(body.len()).expect("a test's packet").to_be_bytes();
    if let Some(cipher) = cipher {
        let nonce = cipher.nonce();
        cipher.key.seal_in_place_append_tag(nonce, Aad::from(length), &mut body).expect("a short text");
    }
    [&length[..], &body].concat()
}

/// The payload of the next packet.
pub(super) fn open(cipher: Option<&mut Cipher>, from: &mut impl Read) -> Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let wanted = usize::try_from(u32::from_be_bytes(length)).map_err(Error::other)?;
    if wanted > LONGEST {
        return Err(Error::other("a packet that is too long"));
    }
    let mut body = vec![0; wanted + if cipher.is_some() { TAG } else { 0 }];
    from.read_exact(&mut body)?;
    if let Some(cipher) = cipher {
        let nonce = cipher.nonce();
        let opened = cipher.key.open_in_place(nonce, Aad::from(length), &mut body);
        let length = opened.map_err(|_| Error::other("a packet that does not open"))?.len();
        body.truncate(length);
    }
    let padding = usize::from(*body.first().ok_or_else(|| Error::other("an empty packet"))?);
    let end = body.len().checked_sub(padding).filter(|end| *end >= 1).ok_or_else(|| Error::other("much padding"))?;
    Ok(body[1..end].to_vec())
}
