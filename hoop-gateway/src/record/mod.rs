//! Recordings: an append-only log per session that shows any later change of itself.
//!
//! # Where
//!
//! ```text
//! <folder>/open/ses_….hooplog              while the session runs, or after its gateway died
//! <folder>/<yyyy>/<mm>/<dd>/ses_….hooplog  once it is sealed; the day is that of the session's id, in UTC
//! <folder>/wal/<number>.wal                what several sessions made durable with one fdatasync
//! <folder>/lock                            held by the one gateway that writes here
//! ```
//!
//! Files are readable and writable by their owner alone (0600), folders likewise (0700).
//!
//! # What
//!
//! A log is the eight bytes `HOOPLOG1` and then records. Numbers are little-endian.
//!
//! | offset | size | field | meaning |
//! | --- | --- | --- | --- |
//! | 0 | 4 | length | of the payload, at most [`MAX_PAYLOAD`] |
//! | 4 | 4 | checksum | CRC-32C of bytes 0–3 and 8 to the end of the payload: tells a torn write from a change |
//! | 8 | 1 | kind | see [`Kind`] |
//! | 9 | 3 | reserved | zero |
//! | 12 | 8 | sequence | 0 for the header, then one more each |
//! | 20 | 8 | time | microseconds since 1970-01-01 UTC, by the gateway's clock |
//! | 28 | n | payload | see [`event`] |
//! | 28+n | 32 | chain | BLAKE3 of the chain before (for the header: of the text `hoop recording 1`) and bytes 0 to 28+n |
//!
//! The first record is the header, the last but one the end, the last the *seal*: a [`Checkpoint`] that the gateway
//! signed with Ed25519 over the session's id, the number of records before it and the chain after the last of them.
//! Checkpoints also stand inside long logs. Nothing in a record can be spelled in two ways, so that any changed bit is found.
//!
//! A payload is a list of fields, `tag (1 byte), length (LEB128), bytes`, in ascending order of their tags, a list being
//! the same tag again; numbers are little-endian without trailing zero bytes. Rows, what programs read and write, and the contents of
//! files are laid out as [`event::RowsHead`], [`event::StreamHead`] and [`event::FileHead`], and then the bytes as they were.
//!
//! # Why BLAKE3
//!
//! The chain is computed by the one writer thread, and the digest of shown rows on the forwarding path. On the short
//! records of statements BLAKE3 and SHA-256 with the processor's instructions cost about the same; on rows BLAKE3 is
//! several times faster, and it needs no special instructions to stay so.
//!
//! # What is proven, and what is not
//!
//! [`verify()`] needs nothing but the public key. In a sealed log it finds every change, deletion, insertion, reordering
//! and cut. A log without its seal is proven up to its last checkpoint; that it has no seal is reported as such, because
//! a cut tail and a gateway that died look the same from inside the file. Whoever holds the gateway's key can write
//! another log; they cannot change one whose chain head is known elsewhere (it is returned when a session closes).
//!
//! # Durability
//!
//! [`SessionLog::append`] copies into the session's buffer. One thread writes all buffers every
//! [`window`](RecorderConfig::window) and makes them durable every [`sync_every`](RecorderConfig::sync_every). A session
//! that waits for [`SessionLog::durable`] is served at once, together with all that wait by then: one file is synced
//! by itself, several share one write and one fdatasync of the write-ahead log, from which recovery completes the files.
//! When something cannot be written the recorder has *failed* and stays so: an error of fdatasync is never retried as success.

pub mod asciicast;
mod config;
mod error;
pub mod event;
mod fields;
pub mod files;
mod format;
mod key;
mod note;
mod path;
mod reader;
mod recorder;
mod recover;
pub mod replay;
mod session;
mod shared;
mod space;
#[cfg(test)]
mod tests;
mod verify;
pub mod view;
mod wal;
mod writer;

pub use config::{RecorderConfig, Space};
pub use error::RecordError;
pub use event::{Event, Text};
pub use format::{Kind, MAX_PAYLOAD};
pub use key::{KeyError, PublicKey, load_or_create_key};
pub(crate) use key::{create_key, read_key};
pub use note::Checkpoint;
pub use path::{find, sealed_path};
pub use reader::{Flaw, ReadError, Reader, read, read_from};
pub use recorder::Recorder;
pub use recover::{Recovered, Recovery};
pub use session::{Appended, Room, SealedLog, SessionLog};
pub use verify::{Bad, Report, State, verify};
pub use view::EventView;
