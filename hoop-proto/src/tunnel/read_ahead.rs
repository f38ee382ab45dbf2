//! How much of a connection that many sessions share is read at once.

use tokio::io::{AsyncRead, BufReader};

/// Some records of TLS, in bytes, of which each is 16 KiB at most ([RFC 8446 §5.1]).
///
/// [RFC 8446 §5.1]: https://www.rfc-editor.org/rfc/rfc8446#section-5.1
const READ_AHEAD: usize = 64 * 1024;

/// Around a connection, *below* TLS, which by itself reads at most one record with a system call, and some with five.
pub fn read_ahead<S: AsyncRead>(io: S) -> BufReader<S> {
    BufReader::with_capacity(READ_AHEAD, io)
}
