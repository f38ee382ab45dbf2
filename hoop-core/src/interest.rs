//! What a plugin wants to see. What nobody wants is forwarded as it came, undecoded.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// A set of the kinds of requests and responses that a plugin wants.
///
/// ```
/// use hoop_core::Interest;
/// let wants = Interest::STATEMENTS | Interest::ROWS;
/// assert!(wants.contains(Interest::ROWS) && !wants.contains(Interest::NOTICES));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Interest(u32);

impl Interest {
    /// Nothing: the plugin is only told when the session closes.
    pub const NONE: Self = Self(0);
    /// [`Request::Statement`](crate::Request::Statement), [`Request::Function`](crate::Request::Function) and
    /// [`Request::Cancel`](crate::Request::Cancel).
    pub const STATEMENTS: Self = Self(1);
    /// [`Request::CopyIn`](crate::Request::CopyIn): rows on their way to the target.
    pub const COPY_IN: Self = Self(1 << 1);
    /// [`Response::Columns`](crate::Response::Columns), at the start of every result.
    pub const COLUMNS: Self = Self(1 << 2);
    /// [`Response::Rows`](crate::Response::Rows) as whole rows that can be read and replaced. Rows are assembled for
    /// it, up to a limit.
    pub const ROWS: Self = Self(1 << 3);
    /// The bytes of rows as they are shown, to keep and not to change:
    /// [`Response::Rows`](crate::Response::Rows), or [`Response::RowPart`](crate::Response::RowPart) for a row too
    /// large to be assembled for nobody's sake.
    pub const SHOWN: Self = Self(1 << 4);
    /// [`Response::Complete`](crate::Response::Complete), at the end of every statement.
    pub const COMPLETIONS: Self = Self(1 << 5);
    /// [`Response::Error`](crate::Response::Error).
    pub const ERRORS: Self = Self(1 << 6);
    /// [`Response::Notice`](crate::Response::Notice), [`Response::Notification`](crate::Response::Notification) and
    /// [`Response::Setting`](crate::Response::Setting).
    pub const NOTICES: Self = Self(1 << 7);
    /// With [`COLUMNS`](Self::COLUMNS): the names of the table columns that a result is read from. They are looked up in
    /// the target's catalog, so a result of a table that is new to the gateway waits for a round trip.
    pub const ORIGINS: Self = Self(1 << 8);
    /// [`Request::Command`](crate::Request::Command), [`Request::Forward`](crate::Request::Forward),
    /// [`Request::Signal`](crate::Request::Signal), [`Request::WindowChange`](crate::Request::WindowChange) and
    /// [`Response::ChannelClosed`](crate::Response::ChannelClosed).
    pub const COMMANDS: Self = Self(1 << 9);
    /// [`Request::Input`](crate::Request::Input).
    pub const INPUT: Self = Self(1 << 10);
    /// [`Response::Output`](crate::Response::Output).
    pub const OUTPUT: Self = Self(1 << 11);
    /// [`Request::File`](crate::Request::File) and [`Response::FileDone`](crate::Response::FileDone). What moves files is
    /// decoded for it.
    pub const FILES: Self = Self(1 << 12);
    /// [`Request::Http`](crate::Request::Http), [`Response::Http`](crate::Response::Http) and
    /// [`Response::ChannelClosed`](crate::Response::ChannelClosed) of exchanges.
    pub const HTTP: Self = Self(1 << 13);
    /// [`Request::Body`](crate::Request::Body) and [`Response::Body`](crate::Response::Body), of those exchanges whose heads
    /// asked for it ([`BodyUse`](crate::BodyUse)).
    pub const BODIES: Self = Self(1 << 14);
    /// [`Request::Message`](crate::Request::Message) and [`Response::Message`](crate::Response::Message), of those exchanges
    /// whose heads asked for it ([`BodyUse`](crate::BodyUse)).
    pub const MESSAGES: Self = Self(1 << 15);
    /// With [`FILES`](Self::FILES): [`Request::FileBytes`](crate::Request::FileBytes) and
    /// [`Response::FileBytes`](crate::Response::FileBytes).
    pub const FILE_BYTES: Self = Self(1 << 16);
    /// [`Response::Review`](crate::Response::Review): what happens to a request that somebody must agree to.
    pub const REVIEWS: Self = Self(1 << 17);

    /// Whether everything in `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether anything in `other` is in this set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Both sets together.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitOrAssign for Interest {
    fn bitor_assign(&mut self, other: Self) {
        *self = self.union(other);
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (Self::STATEMENTS, "statements"),
            (Self::COPY_IN, "copy_in"),
            (Self::COLUMNS, "columns"),
            (Self::ROWS, "rows"),
            (Self::SHOWN, "shown"),
            (Self::COMPLETIONS, "completions"),
            (Self::ERRORS, "errors"),
            (Self::NOTICES, "notices"),
            (Self::ORIGINS, "origins"),
            (Self::COMMANDS, "commands"),
            (Self::INPUT, "input"),
            (Self::OUTPUT, "output"),
            (Self::FILES, "files"),
            (Self::HTTP, "http"),
            (Self::BODIES, "bodies"),
            (Self::MESSAGES, "messages"),
            (Self::FILE_BYTES, "file_bytes"),
            (Self::REVIEWS, "reviews"),
        ];
        f.debug_set().entries(names.iter().filter(|(bit, _)| self.contains(*bit)).map(|(_, name)| name)).finish()
    }
}
