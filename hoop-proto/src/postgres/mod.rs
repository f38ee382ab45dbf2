//! PostgreSQL's frontend/backend protocol ([Message Formats]), versions 3.0 and 3.2.
//!
//! A relay must be byte-transparent: strings are in whatever encoding the client chose, and a message of a type that is
//! not known here still has to arrive. So messages are views into the received bytes, made only for those that somebody
//! wants to read; the rest is cut at frame borders and forwarded as it came. (The typed messages of `pgwire` decode
//! strings as UTF-8 and copy rows, which a relay cannot have.)
//!
//! ```
//! use bytes::Bytes;
//! use hoop_proto::postgres::{Frames, frontend};
//!
//! let received = Bytes::from_static(b"Q\0\0\0\x0dselect 1\0S\0\0\0\x04P\0");
//! let mut frames = Frames::new(received);
//! let query = frames.next(1 << 20)?.expect("a whole frame");
//! assert_eq!(query.tag(), frontend::QUERY);
//! assert_eq!(frontend::Query::parse(&query)?.text, "select 1");
//! assert_eq!(frames.next(1 << 20)?.expect("a whole frame").tag(), frontend::SYNC);
//! assert!(frames.next(1 << 20)?.is_none());
//! assert_eq!(frames.rest(), &b"P\0"[..]);
//! # Ok::<(), hoop_proto::postgres::FrameError>(())
//! ```
//!
//! [Message Formats]: https://www.postgresql.org/docs/current/protocol-message-formats.html

pub mod backend;
pub mod copy;
pub mod frontend;
pub mod indirect;
pub mod rows;
pub mod startup;

mod frame;
mod read;
mod write;

pub use frame::{Frame, FrameError, Frames, HEADER, Header};
pub use write::write_frame;
