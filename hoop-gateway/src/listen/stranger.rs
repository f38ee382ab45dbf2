//! A connection whose caller is not known yet.

use std::net::SocketAddr;
use std::time::Duration;

use hoop_core::id::RequestId;
use hoop_core::{Clock, Code, Denial, Principal};
use tokio::sync::oneshot;
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
            () = tokio::time::sleep_until(self.deadline) => Err(late()),
        }
    }
}

impl Stranger {
    /// As [`in_time`](Self::in_time), until `waits` says that the client waits for somebody who signs it in elsewhere. From then
    /// on it has no place here, and its login ends after `patience`.
    pub(super) async fn in_time_or_waiting<T>(
        self,
        mut login: impl Future<Output = Result<T, Refusal>> + Unpin,
        waits: oneshot::Receiver<()>,
        patience: Duration,
    ) -> Result<T, Refusal> {
        tokio::select! {
            done = self.in_time(&mut login) => return done,
            Ok(()) = waits => {}
        }
        drop(self);
        tokio::time::timeout(patience, login).await.unwrap_or_else(|_| Err(late()))
    }
}

fn late() -> Refusal {
    Denial::new("gateway", Code::Timeout, "the login took too long").into()
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

#[cfg(test)]
mod tests {
    use hoop_core::SystemClock;

    use super::super::accept::PreAuth;
    use super::*;

    fn stranger(places: &PreAuth, deadline: Duration) -> Stranger {
        let limits = PreAuthLimits { deadline, connections: 1 };
        Stranger::new(([127, 0, 0, 1], 1).into(), places.enter(), None, limits, &SystemClock)
    }

    #[tokio::test(start_paused = true)]
    async fn only_who_waits_for_somebody_has_longer_and_needs_no_place() {
        let (places, minute) = (PreAuth::new(1), Duration::from_secs(60));
        let login = || {
            Box::pin(async {
                tokio::time::sleep(minute - Duration::from_millis(1)).await;
                Ok(())
            })
        };
        let never = || Box::pin(std::future::pending::<Result<(), Refusal>>());
        let is_late = |ended| matches!(ended, Err(Refusal::Told(Denial { code: Code::Timeout, .. })));

        let (_waits, waited_for) = oneshot::channel();
        let begun = Instant::now();
        let plain = stranger(&places, Duration::from_secs(10)).in_time_or_waiting(login(), waited_for, minute).await;
        assert!(is_late(plain) && begun.elapsed() == Duration::from_secs(10));

        let (waits, waited_for) = oneshot::channel();
        waits.send(()).expect("somebody listens");
        let waiting = stranger(&places, Duration::from_secs(10));
        let (waiting, _other) = tokio::join!(waiting.in_time_or_waiting(login(), waited_for, minute), async {
            tokio::task::yield_now().await;
            places.enter()
        });
        assert!(waiting.is_ok(), "it has given its place up already");

        let (waits, waited_for) = oneshot::channel();
        waits.send(()).expect("somebody listens");
        let begun = Instant::now();
        assert!(is_late(stranger(&places, minute).in_time_or_waiting(never(), waited_for, minute).await));
        assert_eq!(begun.elapsed(), minute);
    }
}
