//! Signed checkpoints, written as [C2SP signed notes](https://c2sp.org/signed-note) with an Ed25519 signature.
//!
//! ```text
//! hoop recording ses_0192f0c1a2b37d4e8f90112233445566
//! 17
//! <chain after record 16, base64>
//! 1795508526000000
//!
//! — hoop-gateway <base64 of key id and signature>
//! ```
//! The lines are: which log, how many records it covers, the chain after the last of them, the time in microseconds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, Signer, SigningKey};
use hoop_core::id::SessionId;
use serde::Serialize;

use super::format::Chain;
use super::key::{KEY_NAME, PublicKey};

/// What a signature says of a log: its first `records` records end with the chain `head`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checkpoint {
    /// The session.
    pub session: SessionId,
    /// How many records it covers.
    pub records: u64,
    /// The chain after the last of them.
    #[serde(serialize_with = "hex")]
    pub head: [u8; 32],
    /// When it was signed, in microseconds since 1970-01-01 UTC.
    pub time: i64,
}

fn hex<S: serde::Serializer>(head: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&blake3::Hash::from_bytes(*head).to_hex())
}

impl Checkpoint {
    fn text(&self) -> String {
        format!("hoop recording {}\n{}\n{}\n{}\n", self.session, self.records, BASE64.encode(self.head), self.time)
    }

    /// The note, signed.
    pub(super) fn sign(&self, key: &SigningKey) -> String {
        let signature = key.sign(self.text().as_bytes());
        self.note(&PublicKey(key.verifying_key()).id(), &signature.to_bytes())
    }

    fn note(&self, key_id: &[u8; 4], signature: &[u8; 64]) -> String {
        let signed = BASE64.encode([key_id.as_slice(), signature].concat());
        format!("{}\n\u{2014} {KEY_NAME} {signed}\n", self.text())
    }

    /// Reads a note that is spelled in the one way that this version writes, without looking at its signature.
    pub(super) fn parse(note: &[u8]) -> Option<(Self, NoteSignature)> {
        let text = std::str::from_utf8(note).ok()?;
        let mut lines = text.split('\n');
        let session = lines.next()?.strip_prefix("hoop recording ")?.parse().ok()?;
        let records = lines.next()?.parse().ok()?;
        let head: Chain = BASE64.decode(lines.next()?).ok()?.try_into().ok()?;
        let time = lines.next()?.parse().ok()?;
        let empty = lines.next()?;
        let signed = lines.next()?.strip_prefix("\u{2014} ")?.strip_prefix(KEY_NAME)?.strip_prefix(' ')?;
        let signed = BASE64.decode(signed).ok()?;
        let (key_id, signature) = signed.split_first_chunk::<4>()?;
        let signature: [u8; 64] = signature.try_into().ok()?;
        let checkpoint = Self { session, records, head, time };
        let canonical = empty.is_empty() && checkpoint.note(key_id, &signature) == text;
        canonical.then_some((checkpoint, NoteSignature(signature)))
    }

    /// Reads a note and verifies its signature.
    pub(super) fn verify(note: &[u8], key: &PublicKey) -> Option<Self> {
        let (checkpoint, NoteSignature(signature)) = Self::parse(note)?;
        let signature = Signature::from_bytes(&signature);
        let canonical = checkpoint.note(&key.id(), &signature.to_bytes()).as_bytes() == note;
        (canonical && key.0.verify_strict(checkpoint.text().as_bytes(), &signature).is_ok()).then_some(checkpoint)
    }
}

/// The signature of a note that was read.
pub(super) struct NoteSignature([u8; 64]);
