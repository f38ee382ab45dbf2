//! The sessions of the door: one for each token, from its first request until there were none for a while.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures::future::BoxFuture;
use hoop_core::id::{RequestId, TokenId};
use hoop_core::{AccessMode, Code, Denial, Target};
use hoop_proto::tunnel::v1::open;
use http::HeaderMap;
use http::header::USER_AGENT;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use super::refuse::Refused;
use super::token::{Key, Token};
use super::{ProxyDoor, Visit};
use crate::auth::credential::{self, Proven, login_failed};
use crate::listen::stranger::is_own;
use crate::proxy;
use crate::proxy::http::{HttpSession, Identity, Parts, Time};
use crate::session::{Held, HttpUrl, Opening, Session, Tell, http_target};
use crate::telemetry::span;

/// Characters of `User-Agent` that are kept.
const APPLICATION: usize = 200;

/// The place of a token's session.
#[derive(Default)]
pub(crate) struct Slot {
    open: ArcSwapOption<Open>,
    /// Whoever opens it; others wait.
    opening: tokio::sync::Mutex<()>,
    /// What it waits for, or why it was not opened.
    answer: ArcSwapOption<Unopened>,
}

/// What requests are told while there is no session.
struct Unopened {
    refused: Refused,
    /// Until when; none while the session is held.
    until: Option<Instant>,
}

/// How long whoever has waited is told that nobody has agreed: a browser or a program that asks again by itself hears of it
/// before it asks anew.
const TOLD: Duration = Duration::from_secs(60);

/// A session that runs.
pub(super) struct Open {
    role: Arc<str>,
    owner: hoop_core::id::UserId,
    session: Arc<HttpSession>,
}

impl Open {
    pub(super) fn role(&self) -> &str {
        &self.role
    }

    pub(super) fn session(&self) -> Arc<HttpSession> {
        Arc::clone(&self.session)
    }
}

impl Slot {
    fn running(&self) -> Option<Arc<Open>> {
        self.open.load_full().filter(|open| !open.session.is_over())
    }

    /// What it waits for, or why nobody has agreed to it a moment ago.
    fn unopened(&self) -> Option<Refused> {
        let unopened = self.answer.load_full()?;
        let is_told = unopened.until.is_none_or(|until| Instant::now() < until);
        is_told.then(|| unopened.refused.clone())
    }

    fn tell(&self, refused: Refused, until: Option<Instant>) {
        self.answer.store(Some(Arc::new(Unopened { refused, until })));
    }

    /// Whether it is there for nobody.
    fn is_empty(&self) -> bool {
        self.running().is_none() && self.unopened().is_none()
    }

    /// Who ended the session meant all that comes with its token, and not the requests of that moment.
    fn killed(&self) -> Option<Denial> {
        let open = self.open.load_full().filter(|open| open.session.is_over())?;
        let why = Some(open.session.why()).filter(|why| why.code == Code::SessionKilled)?;
        Some(why.hint("open the page again to sign in; a program needs another token: hoop connect ROLE --print url"))
    }
}

impl ProxyDoor {
    /// The session of a token: the one that runs, or a new one. One that is held goes on by itself: whoever asks again finds it.
    ///
    /// # Errors
    /// The refusal of the token, or of the session; [`Code::ReviewRequired`] while it is held.
    pub(super) async fn slot(
        self: &Arc<Self>,
        token: &Token,
        visit: &Visit,
        headers: &HeaderMap,
    ) -> Result<Arc<Open>, Refused> {
        let key = token.key();
        let known = self.open.get(&key).map(|slot| Arc::clone(&slot));
        if let Some(open) = known.as_ref().and_then(|slot| slot.running()) {
            if visit.bearer.as_ref().is_some_and(|bearer| bearer.user.id != open.owner) {
                return Err(login_failed().into());
            }
            return Ok(open);
        }
        if let Some(why) = known.as_ref().and_then(|slot| slot.killed()) {
            return Err(why.into());
        }
        if let Some(refused) = known.and_then(|slot| slot.unopened()) {
            return Err(refused);
        }
        let proven = self.proven(token, visit).await?;
        // It takes a place in memory only once it is known to be good.
        let slot = Arc::clone(&self.open.entry(key).or_default());
        let _opening = slot.opening.lock().await;
        if let Some(open) = slot.running() {
            return Ok(open);
        }
        if let Some(why) = slot.killed() {
            return Err(why.into());
        }
        if let Some(refused) = slot.unopened() {
            return Err(refused);
        }
        let (told, mut held) = mpsc::channel(1);
        let visitor = Visitor { peer: visit.peer, bearer: visit.bearer.as_ref().map(|bearer| bearer.token.id) };
        let application = application(headers);
        let mut beginning = Box::pin(Arc::clone(self).begin(proven, visitor, application, told));
        tokio::select! {
            begun = &mut beginning => self.begun(key, &slot, begun),
            Some(first) = held.recv() => {
                let refused = Refused::held(first);
                slot.tell(refused.clone(), None);
                let (door, slot) = (Arc::clone(self), Arc::clone(&slot));
                self.tasks.spawn(async move { door.wait(key, &slot, beginning, held).await });
                Err(refused)
            }
        }
    }

    /// Whoever asked has been told to come again: the session is opened without them.
    async fn wait(
        self: Arc<Self>,
        key: Key,
        slot: &Arc<Slot>,
        mut beginning: Pin<Box<impl Future<Output = Result<Begun, Denial>>>>,
        mut held: mpsc::Receiver<Held>,
    ) {
        let begun = loop {
            tokio::select! {
                begun = &mut beginning => break begun,
                Some(again) = held.recv() => slot.tell(Refused::held(again), None),
            }
        };
        if let Err(denial) = &begun {
            slot.tell(denial.clone().into(), Some(Instant::now() + TOLD));
            self.open.retain(|_, slot| Arc::strong_count(slot) > 1 || !slot.is_empty());
        }
        // A refusal is what the next request hears.
        let _ = self.begun(key, slot, begun);
    }

    /// The session runs from here on, or its place is given up.
    fn begun(self: &Arc<Self>, key: Key, slot: &Arc<Slot>, begun: Result<Begun, Denial>) -> Result<Arc<Open>, Refused> {
        match begun {
            Ok(Begun { open, ending }) => {
                slot.open.store(Some(Arc::clone(&open)));
                slot.answer.store(None);
                let (door, slot) = (Arc::clone(self), Arc::clone(slot));
                self.tasks.spawn(async move {
                    ending.await;
                    door.open.remove_if(&key, |_, held| Arc::ptr_eq(held, &slot) && slot.is_empty());
                });
                Ok(open)
            }
            Err(denial) => {
                self.open.remove_if(&key, |_, held| Arc::ptr_eq(held, slot) && slot.is_empty());
                Err(denial.into())
            }
        }
    }

    async fn proven(&self, token: &Token, visit: &Visit) -> Result<Proven, Denial> {
        let source = Some(visit.peer.ip());
        self.throttle.check(source, &token.login).map_err(Denial::from)?;
        let proven = async {
            let candidate = self.credentials.candidate(&token.login).await?;
            if !candidate.is_proven_by(token.password.expose()) {
                return Err(login_failed());
            }
            let proven = self.credentials.proven(candidate).await?;
            is_own(&proven.principal, visit.bearer.as_ref())?;
            Ok(proven)
        };
        let proven = proven.await;
        match &proven {
            Ok(_) => self.throttle.succeeded(source, &token.login),
            // What is unavailable is nobody's guess.
            Err(denial) if denial.code == Code::StoreUnavailable => {}
            Err(_) => {
                self.throttle.failed(source, &token.login);
                self.telemetry.logins_failed.increment(1);
            }
        }
        proven
    }

    async fn begin(
        self: Arc<Self>,
        proven: Proven,
        Visitor { peer, bearer }: Visitor,
        application: Option<Arc<str>>,
        told: Tell,
    ) -> Result<Begun, Denial> {
        let since = Instant::now();
        let request_id = RequestId::new(&*self.clock);
        let span = span::session(request_id, peer);
        let role = &proven.role.role;
        let Target::Http(target) = role.target.clone() else {
            let reason = format!("role {} is not reached over HTTP", role.name);
            return Err(
                Denial::new("gateway", Code::RoleNotFound, reason).hint("connect with the client that the role is for")
            );
        };
        if let Some(refusal) = self.health.refusal(role) {
            return Err(refusal);
        }
        let url = HttpUrl::parse(&target.url)?;
        let role = role.clone();
        let expires_at = proven.expires_at;
        let credential = (proven.principal.org, proven.credential);
        let passes = proven.passes(bearer);
        let opening = Opening {
            request_id,
            passes,
            credential: Some(proven.credential),
            target: open::Target::Http(http_target(&target)?),
            principal: proven.principal,
            role: proven.role.role,
            mode: AccessMode::Native,
            source: Some(peer),
            database: None,
            application,
            reason: None,
            told: Some(told),
        };
        let opened = Box::pin(self.sessions.open(opening).instrument(span::open(&span, request_id))).await;
        let mut session = opened.map_err(|failure| {
            span::refused(&span, &failure.denial);
            self.health.explain(&role, failure.denial)
        })?;
        span::runs(&span, &session.context);
        if !session.reviewed {
            self.telemetry.session_open_seconds.record(since.elapsed().as_secs_f64());
        }
        let Some((chain, channel)) = session.take() else { return Err(login_failed()) };
        let context = Arc::clone(&session.context);
        let (shared, receiver, sender) = HttpSession::new(Parts {
            chain,
            channel,
            agents: self.sessions.parts().agents.clone(),
            open: session.target.clone(),
            target,
            url,
            limits: self.session_limits,
            identity: Identity::new(self.identity.clone(), Arc::clone(&self.clock), Arc::clone(&context)),
            budget: Arc::clone(&self.budget),
            types: Arc::clone(&self.types),
            context: Arc::clone(&context),
        });
        // Neither the grant nor the token may be outlived.
        let (ends_at, over) = match context.expires_at {
            Some(granted) if granted <= expires_at => (granted, proxy::expired()),
            _ => (expires_at, credential::expired(expires_at)),
        };
        let time = Time { lasts: (ends_at - self.clock.now()).to_std().unwrap_or_default(), over };
        let role = Arc::clone(&context.role.name);
        let open = Arc::new(Open { role, owner: context.principal.user, session: Arc::clone(&shared) });
        let (store, clock) = (Arc::clone(&self.sessions.parts().store), Arc::clone(&self.clock));
        let ending = async move {
            if run(session, Arc::clone(&shared), receiver, sender, time, span).await == Some(Code::SessionKilled) {
                let (org, id) = credential;
                let revoked = store.credentials().revoke(org, id, None, clock.now()).await;
                if let Err(error) = revoked {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the token of a session that was ended is still good"
                    );
                }
            }
        };
        Ok(Begun { open, ending: Box::pin(ending) })
    }
}

/// Who has come, as far as a session knows.
struct Visitor {
    peer: SocketAddr,
    bearer: Option<TokenId>,
}

/// A session that was opened, and what it is run by.
struct Begun {
    open: Arc<Open>,
    ending: BoxFuture<'static, ()>,
}

/// Runs the session to its end, and gives the code of it, where it has one.
async fn run(
    session: Session,
    shared: Arc<HttpSession>,
    receiver: crate::tunnel::ChannelReceiver,
    sender: crate::tunnel::ChannelSender,
    time: Time,
    span: Span,
) -> Option<Code> {
    let control = Arc::clone(&session.control);
    let (chain, outcome) = shared.run(receiver, &control, time).await;
    drop(sender);
    span::ended(&span, &outcome);
    let code = outcome.denial().map(|denial| denial.code);
    if let Some(chain) = chain {
        Box::pin(session.close(chain, outcome)).await;
    }
    code
}

fn application(headers: &HeaderMap) -> Option<Arc<str>> {
    let agent = headers.get(USER_AGENT)?.to_str().ok()?;
    Some(agent.chars().filter(|c| !c.is_control()).take(APPLICATION).collect::<String>().into())
}
