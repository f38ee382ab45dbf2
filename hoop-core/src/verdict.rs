//! What a plugin says of a request or a response.

use std::fmt;

use futures::future::BoxFuture;

use crate::error::Denial;
use crate::review::Ask;

/// The verdict of a plugin. There is no fifth outcome: a plugin that fails, denies (see [`Denial::failed`]).
#[must_use]
#[derive(Debug)]
pub enum Verdict<T> {
    /// It goes on, changed or not.
    Pass(T),
    /// It waits; the chain goes on after this plugin when the wait is over.
    Hold(Hold<T>),
    /// It goes on as it is when somebody has agreed. What asks comes last of what changes requests: plugins behind it may still
    /// change what somebody has agreed to. A response cannot be asked about, and is denied.
    Review(T, Box<Ask>),
    /// It does not go on.
    Deny(Denial),
}

/// Waiting as a value. The direction that is held is not read any further; the other one is served, and a client that
/// cancels or goes away ends the wait by dropping it.
pub struct Hold<T> {
    /// What the user is told, in their own protocol, while they wait.
    pub notice: Option<String>,
    /// Resolves to what goes on, or to a refusal.
    pub until: BoxFuture<'static, Result<T, Denial>>,
}

impl<T> Hold<T> {
    /// Waits for `until` without telling the user.
    pub fn quietly(until: impl Future<Output = Result<T, Denial>> + Send + 'static) -> Self {
        Self { notice: None, until: Box::pin(until) }
    }
}

impl<T> fmt::Debug for Hold<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("notice", &self.notice).finish_non_exhaustive()
    }
}
