//! The client's side of a login, enough for a server with SCRAM-SHA-256 or none.

use std::io::{Error, Result};

use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};

use crate::wire::message;

/// A login under way.
pub(crate) struct Exchange {
    scram: ScramSha256,
}

impl Exchange {
    pub(crate) fn new(password: &str) -> Self {
        Self { scram: ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported()) }
    }

    /// The answer to an Authentication message, where it wants one.
    pub(crate) fn answer(&mut self, body: &[u8]) -> Result<Option<Vec<u8>>> {
        let (code, data) = body.split_at_checked(4).ok_or_else(|| Error::other("a short Authentication message"))?;
        match code {
            [0, 0, 0, 0] => Ok(None),
            [0, 0, 0, 10] => {
                let first = self.scram.message();
                let mut body = SCRAM_SHA_256.as_bytes().to_vec();
                body.push(0);
                body.extend(u32::try_from(first.len()).map_err(Error::other)?.to_be_bytes());
                body.extend_from_slice(first);
                Ok(Some(message(b'p', &body)))
            }
            [0, 0, 0, 11] => {
                self.scram.update(data)?;
                Ok(Some(message(b'p', self.scram.message())))
            }
            [0, 0, 0, 12] => self.scram.finish(data).map(|()| None),
            other => Err(Error::other(format!("an Authentication message {other:?}"))),
        }
    }
}
