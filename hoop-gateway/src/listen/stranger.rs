//! A connection whose caller is not known yet.

use std::net::SocketAddr;

use hoop_core::id::RequestId;
use hoop_core::{Clock, Code, Denial, Principal};
use tokio::time::Instant;

use super::accept::{Place, PreAuthLimits};
use crate::auth::Bearer;

/// Somebody who has come to a door, and has a place and a time to say who they are.
pub(super) struct Stranger {
    pub(super) peer: SocketAddr,
    /// Who brought it here through port 8010: nobody else's credential is taken on it.
    pub(super) bearer: Option<Bearer>,
    pub(super) request_id: RequestId,
    pub(super) place: Place,
    pub(super) since: Instant,
    deadline: Instant,
}

/// Why a connection ends before there is a session.
pub(super) enum Refusal {
    /// It is told.
    Told(Denial),
    /// There is nobody, or nothing, to tell.
    Silent,
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self::Told(denial)
    }
}

impl From<std::io::Error> for Refusal {
    fn from(_: std::io::Error) -> Self {
        Self::Silent
    }
}

impl Stranger {
    /// Somebody who has just come, and whose time begins.
    pub(super) fn new(
        peer: SocketAddr,
        place: Place,
        bearer: Option<Bearer>,
        limits: PreAuthLimits,
        clock: &dyn Clock,
    ) -> Self {
        let (since, request_id) = (Instant::now(), RequestId::new(clock));
        Self { peer, bearer, request_id, place, since, deadline: since + limits.deadline }
    }

    /// Runs a step of the login; it ends with the deadline, and when the place is needed for another.
    pub(super) async fn in_time<T>(&self, step: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
        tokio::select! {
            done = step => done,
            () = self.place.evicted() => Err(Refusal::Silent),
            () = tokio::time::sleep_until(self.deadline) => {
                Err(Denial::new("gateway", Code::Timeout, "the login took too long").into())
            }
        }
    }
}

/// Whether a credential is that of whoever brought the connection here: one that was found is of no use to others there.
///
/// # Errors
/// [`Code::AccessDenied`].
pub(super) fn is_own(caller: &Principal, bearer: Option<&Bearer>) -> Result<(), Denial> {
    match bearer {
        Some(Bearer { user, .. }) if (user.org, user.id) != (caller.org, caller.user) => {
            let reason = format!("this credential is not one of {}, whose token opened the tunnel", user.name);
            Err(Denial::new("gateway", Code::AccessDenied, reason).hint("sign in as the user of the credential"))
        }
        _ => Ok(()),
    }
}
