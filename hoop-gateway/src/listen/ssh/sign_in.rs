//! Signing in with a browser: who comes with neither a credential nor a key is shown a link and a code, and waits until somebody
//! who is signed in there has let them in ([RFC 8628]).
//!
//! A client that waits is asked again and again, for nothing: it answers at once, and so one that has left is seen.
//!
//! [RFC 8628]: https://www.rfc-editor.org/rfc/rfc8628

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hoop_core::{Code, Denial, Secret};
use parking_lot::Mutex;

use super::SshDoor;
use super::login::{Caller, LoginName, Visitor};
use crate::auth::credential::{is_login, login_failed, principal};
use crate::auth::device::{DeviceSignIns, Poll, shown};
use crate::auth::token::unavailable;
use crate::auth::{Approved, Throttle, network, settled};
use crate::session::Pass;

/// How long the gateway lets pass before it looks again.
const PACE: Duration = Duration::from_secs(1);
/// Clients that may wait at once, and those among them that come from one address.
const MOST: usize = 256;
const MOST_OF_ADDRESS: usize = 16;

/// What it takes to be signed in with a browser.
pub(crate) struct SignIns {
    devices: Arc<DeviceSignIns>,
    /// Where people decide.
    page: String,
    patience: Duration,
    places: Places,
}

impl SignIns {
    /// On the pages with this beginning of a URL. Somebody may take so long; after zero there are none.
    pub(crate) fn new(devices: Arc<DeviceSignIns>, pages: &str, patience: Duration) -> Self {
        Self { devices, page: format!("{pages}/device"), patience, places: Places::default() }
    }

    /// How long a client may wait.
    pub(super) const fn patience(&self) -> Duration {
        self.patience
    }

    /// What the client is shown.
    fn text(&self, login: &str, user_code: &str) -> String {
        let (page, login, seconds) = (&self.page, shown(login), self.patience.as_secs());
        format!(
            "hoop: to go on as {login}, open this page, and approve within {seconds} s what shows the code {user_code}:\n\
             hoop: {page}?user_code={user_code}"
        )
    }
}

/// A client that waits.
pub(super) struct Waiting {
    attempt: Attempt,
    device_code: Secret<String>,
}

/// A sign-in that has begun.
pub(super) struct Begun {
    pub(super) waiting: Waiting,
    /// Held for as long as the connection may take longer than others for its login.
    pub(super) place: Place,
    /// What the client is shown.
    pub(super) text: String,
}

impl Waiting {
    /// Whether it is this login that waits.
    pub(super) fn is_of(&self, login: &str) -> bool {
        self.attempt.login == login
    }
}

/// What came of a look.
pub(super) enum Step {
    /// Nobody has decided.
    Wait(Waiting),
    /// Somebody has let it in.
    In(Box<Caller>),
    /// It does not get in.
    Over(Denial),
}

impl SshDoor {
    /// Whether somebody with this login is signed in with a browser: those with a credential have a password.
    pub(super) fn signs_in(&self, login: &str) -> bool {
        !self.sign_ins.patience.is_zero() && !is_login(login)
    }

    /// Begins a sign-in with a browser, whether there is such a user and such a role or not.
    pub(super) async fn begin_sign_in(&self, visitor: &Visitor, login: &str) -> Result<Begun, Denial> {
        let source = visitor.peer.ip();
        let begun = async {
            self.throttle.check(Some(source), login).map_err(Denial::from)?;
            let place = self.sign_ins.places.enter(source).ok_or_else(full)?;
            let attempt =
                Attempt { throttle: Arc::clone(&self.throttle), source, login: login.to_owned(), failed: true };
            let client = shown(&format!("ssh {login}"));
            let SignIns { devices, patience, .. } = &self.sign_ins;
            let begun = devices.begin_here(&client, Some(visitor.peer.to_string()), *patience).await;
            let begun = begun.map_err(unavailable)?;
            let text = self.sign_ins.text(login, &begun.user_code);
            let waiting = Waiting { attempt, device_code: begun.device_code };
            Ok(Begun { waiting, place, text })
        };
        begun.await.inspect_err(|denial| self.refused(visitor, denial))
    }

    /// Looks whether somebody has decided, a little later.
    pub(super) async fn wait(&self, visitor: &Visitor, mut waiting: Waiting) -> Step {
        tokio::time::sleep(PACE).await;
        let approved = match self.sign_ins.devices.poll(waiting.device_code.expose(), None).await {
            Ok(Poll::Pending | Poll::SlowDown(_)) => return Step::Wait(waiting),
            Ok(Poll::Approved(approved)) => Ok(*approved),
            Ok(Poll::Denied) => {
                Err(Denial::new("gateway", Code::AccessDenied, "the sign-in was denied on the gateway's page"))
            }
            Ok(Poll::Expired) => {
                let denial = Denial::new("gateway", Code::Timeout, "nobody has approved the sign-in in time");
                Err(denial.hint("connect again"))
            }
            Ok(Poll::Unknown) => Err(login_failed()),
            Err(error) => Err(unavailable(error)),
        };
        let caller = match approved {
            Ok(approved) => self.signed_in(visitor, &waiting.attempt.login, approved).await,
            Err(denial) => Err(denial),
        };
        match caller {
            Ok(caller) => {
                waiting.attempt.succeeded();
                Step::In(Box::new(caller))
            }
            Err(denial) => {
                self.refused(visitor, &denial);
                Step::Over(denial)
            }
        }
    }

    /// Where the login names a user, nobody else's approval counts. Who has approved is not told: whoever waits has proven nothing.
    async fn signed_in(&self, visitor: &Visitor, login: &str, approved: Approved) -> Result<Caller, Denial> {
        let Approved { user, by, .. } = approved;
        if let Some(named) = LoginName::of(login).user.filter(|named| *named != user.name) {
            tracing::info!(peer = %visitor.peer, request = %visitor.request_id, named = shown(named), by = user.name, "another user has approved a sign-in");
            let reason = format!("the sign-in was approved by somebody else than {}", shown(named));
            return Err(
                Denial::new("gateway", Code::AccessDenied, reason).hint("let that user approve it, or name none")
            );
        }
        settled(&user)?;
        self.caller(visitor, login, principal(user), Some(Pass::Token(by))).await
    }
}

fn full() -> Denial {
    Denial::new("gateway", Code::LimitExceeded, "too many clients wait for a sign-in with a browser")
        .hint("connect again later, or with a key: hoop keys add")
}

/// Counts as a failed login, unless it succeeds: also that of a client that leaves.
struct Attempt {
    throttle: Arc<Throttle>,
    source: IpAddr,
    login: String,
    failed: bool,
}

impl Attempt {
    fn succeeded(&mut self) {
        self.failed = false;
        self.throttle.succeeded(Some(self.source), &self.login);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.failed {
            self.throttle.failed(Some(self.source), &self.login);
        }
    }
}

/// How many wait from each address.
#[derive(Clone, Default)]
struct Places(Arc<Mutex<HashMap<IpAddr, usize>>>);

impl Places {
    /// `None` when there is none left. Nobody loses theirs: a person is about to use it.
    fn enter(&self, source: IpAddr) -> Option<Place> {
        let source = network(source);
        let mut taken = self.0.lock();
        let of_address = taken.get(&source).copied().unwrap_or_default();
        if of_address >= MOST_OF_ADDRESS || taken.values().sum::<usize>() >= MOST {
            return None;
        }
        taken.insert(source, of_address + 1);
        Some(Place { places: self.clone(), source })
    }
}

/// One place. Dropping it makes it free.
pub(super) struct Place {
    places: Places,
    source: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock();
        let Some(left) = taken.get_mut(&self.source) else { return };
        *left -= 1;
        if *left == 0 {
            taken.remove(&self.source);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn as_many_wait_as_there_are_places_and_few_from_one_address() {
        let (places, address) = (Places::default(), |number: usize| {
            IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(number).expect("a small number")))
        });
        let mut held: Vec<_> = (0..MOST_OF_ADDRESS).filter_map(|_| places.enter(address(0))).collect();
        assert_eq!(held.len(), MOST_OF_ADDRESS);
        assert!(places.enter(address(0)).is_none());
        held.pop();
        held.extend(places.enter(address(0)));
        let others = (0..MOST).map_while(|number| places.enter(address(1 + number)));
        held.extend(others.collect::<Vec<_>>());
        assert_eq!(held.len(), MOST);
        assert!(places.enter(address(1 + MOST)).is_none());
        held.clear();
        assert!(places.0.lock().is_empty());
    }
}
