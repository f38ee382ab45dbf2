//! Records of any session: its begin and its end.

use serde::Serialize;

use super::super::fields::{self, Field, Item, Malformed};
use super::payload::payloads;
use super::text::Text;

payloads! {
    /// The first record: whose session this is.
    Header {
        /// Version of the format, 1.
        1 version: u64,
        /// The session's id.
        2 session: String,
        /// The organisation's id.
        3 org: String,
        /// The id of the request that opened the session.
        4 request: String,
        /// The user's id.
        5 user: String,
        /// The user's name.
        6 name: Text,
        /// `user` or `service_account`.
        7 principal: String,
        /// The groups that the user belonged to.
        8 groups: Vec<Text>,
        /// The resource role's id.
        9 role: String,
        /// The resource role's name.
        10 role_name: Text,
        /// The kind of resource.
        11 resource: String,
        /// The agent's name.
        12 agent: Text,
        /// The database.
        13 database: Text,
        /// What the client calls itself.
        14 application: Text,
        /// Where the client connected from.
        15 source: String,
        /// The access mode.
        16 mode: String,
        /// Whether each statement was durable before it went on.
        17 strict: bool,
        /// What for, in the caller's own words.
        18 reason: Text,
    }

    /// Sums over a session.
    Totals {
        /// Statements that went to the target or were refused.
        1 statements: u64,
        /// Of these, refused.
        2 denied: u64,
        /// Of these, failed.
        3 failed: u64,
        /// Rows shown.
        4 rows: u64,
        /// Bytes of rows shown.
        5 bytes: u64,
        /// Rows that the client sent.
        6 rows_in: u64,
        /// Bytes of rows that the client sent.
        7 bytes_in: u64,
        /// Programs that were started or refused.
        8 commands: u64,
        /// Bytes that programs wrote.
        9 output_bytes: u64,
        /// Bytes that programs were given to read.
        10 input_bytes: u64,
        /// Files that were read or written, and other things that were done with files.
        11 files: u64,
        /// Connections that were forwarded.
        12 forwards: u64,
        /// HTTP requests that went to the target or were refused.
        13 requests: u64,
        /// Bytes of them that went to the target.
        14 request_bytes: u64,
        /// Bytes of their responses.
        15 response_bytes: u64,
    }

    /// A step of what somebody must agree to while the session runs.
    Review {
        /// The review's id; nothing where none could be asked for.
        1 review: String,
        /// Number of the statement that waits.
        2 statement: Option<u64>,
        /// Number of the channel whose command or request it is.
        3 channel: Option<u64>,
        /// The rule that wants it.
        4 rule: Text,
        /// The group of which somebody decides.
        5 group: Text,
        /// `asked`, `agreed`, or the stable code of the refusal.
        6 what: String,
        /// Who has agreed.
        7 by: Text,
        /// What they said to it, or why it does not go on.
        8 said: Text,
    }

    /// How the session ended.
    End {
        /// The outcome's stable text.
        1 outcome: String,
        /// The code of the refusal or failure behind it.
        2 code: String,
        /// Its reason.
        3 reason: Text,
        /// Sums over the session.
        4 totals: Option<Totals>,
        /// Bytes of a torn write that recovery cut off.
        5 torn_bytes: u64,
    }
}
