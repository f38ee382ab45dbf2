//! One session: its channels through the tunnel, the exchanges that run in it, and how it ends.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hoop_core::role::HttpTarget;
use hoop_core::{ChannelId, Code, Denial, Interest, Outcome, ResourceRole, SessionChain, SessionContext};
use hoop_proto::tunnel::v1::{HttpChannel, open};
use parking_lot::Mutex;
use prost_reflect::DescriptorPool;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::descriptors::{self, Descriptors};
use super::held::Budget;
use super::identity::Identity;
use super::reflection;
use super::resting::{BUSY, Resting};
use crate::proxy::chain::SharedChain;
use crate::proxy::pump::expired;
use crate::session::{Asked as ControlAsked, Control, HttpUrl};
use crate::tunnel::{self, Agents, ChannelReceiver, OpenTarget, Received, Route};

/// How long exchanges may take to tell their ends.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What a session and its exchanges may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Exchanges at once; one more waits.
    pub(crate) exchanges: usize,
    /// A session without an exchange ends after this time.
    pub(crate) idle: Duration,
    /// How long a target may take to begin its answer, or to take more of a request.
    pub(crate) answer: Duration,
    /// How long a client may send nothing of a body.
    pub(crate) body_idle: Duration,
    /// How much may be held at once of bodies and messages that are read as a whole, in bytes.
    pub(crate) held_bytes: usize,
    /// Longest body that is decided on as a whole, and longest message, in bytes.
    pub(crate) message_bytes: usize,
}

/// The time that a session has.
pub(crate) struct Time {
    pub(crate) lasts: Duration,
    /// What its clients are told when it is over.
    pub(crate) over: Denial,
}

/// A session that runs, for all its exchanges.
pub(crate) struct HttpSession {
    pub(super) chain: SharedChain,
    pub(super) context: Arc<SessionContext>,
    pub(super) target: HttpTarget,
    pub(super) url: HttpUrl,
    pub(super) limits: Limits,
    pub(super) identity: Identity,
    /// What its exchanges may hold.
    pub(super) budget: Arc<Budget>,
    /// Names what rules make of the target's representations: those of other rules are other ones.
    pub(super) variant: String,
    /// What targets have told of their messages' types, and the name of what this one has.
    types: (Arc<Descriptors>, descriptors::Key),
    agents: Agents,
    route: Route,
    open: OpenTarget,
    places: Arc<Semaphore>,
    last: AtomicU32,
    state: Mutex<State>,
    quiet: Notify,
    /// What exchanges leave to be done.
    pub(super) tasks: TaskTracker,
    /// Cancelled when the session ends.
    pub(super) ending: CancellationToken,
    why: OnceLock<Denial>,
}

struct State {
    running: usize,
    since: Instant,
    over: bool,
    resting: Resting<tunnel::Channel>,
}

/// What a session is made of.
pub(crate) struct Parts {
    pub(crate) chain: SessionChain,
    pub(crate) context: Arc<SessionContext>,
    /// The session's own channel of the tunnel.
    pub(crate) channel: tunnel::Channel,
    pub(crate) agents: Agents,
    pub(crate) open: OpenTarget,
    pub(crate) target: HttpTarget,
    pub(crate) url: HttpUrl,
    pub(crate) limits: Limits,
    pub(crate) identity: Identity,
    /// What all sessions together may hold.
    pub(crate) budget: Arc<Budget>,
    pub(crate) types: Arc<Descriptors>,
}

/// An exchange's place in its session.
pub(super) struct Place {
    session: Arc<HttpSession>,
    _turn: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.session.state.lock();
        state.running -= 1;
        state.since = Instant::now();
        if state.running == 0 && state.over {
            self.session.quiet.notify_waiters();
        }
    }
}

impl HttpSession {
    /// The session, and what its end is seen by.
    pub(crate) fn new(parts: Parts) -> (Arc<Self>, ChannelReceiver, tunnel::ChannelSender) {
        let Parts { chain, context, channel, agents, open, target, url, limits, identity, budget, types } = parts;
        let route = channel.route();
        let (receiver, sender) = channel.split();
        let session = Arc::new(Self {
            chain: SharedChain::new(chain),
            variant: variant(&context),
            types: (types, descriptors::key(&context.role)),
            context,
            target,
            url,
            limits,
            identity,
            budget: budget.part(limits.held_bytes),
            agents,
            route,
            open,
            places: Arc::new(Semaphore::new(limits.exchanges)),
            last: AtomicU32::new(0),
            state: Mutex::new(State { running: 0, since: Instant::now(), over: false, resting: Resting::new() }),
            quiet: Notify::new(),
            tasks: TaskTracker::new(),
            ending: CancellationToken::new(),
            why: OnceLock::new(),
        });
        (session, receiver, sender)
    }

    /// The role that it is of.
    pub(crate) fn role(&self) -> Arc<ResourceRole> {
        Arc::clone(&self.context.role)
    }

    /// Whether no exchange can begin in it any more.
    pub(crate) fn is_over(&self) -> bool {
        self.state.lock().over
    }

    /// Why it has ended, where somebody is to be told.
    pub(crate) fn why(&self) -> Denial {
        self.why.get().cloned().unwrap_or_else(over)
    }

    /// Runs until the session ends; what its exchanges leave to be done is done then.
    pub(crate) async fn run(
        self: &Arc<Self>,
        mut receiver: ChannelReceiver,
        control: &Control,
        time: Time,
    ) -> (Option<SessionChain>, Outcome) {
        let outcome = self.wait(&mut receiver, control, time).await;
        if let Some(why) = outcome.denial() {
            let _ = self.why.set(why.clone());
        }
        {
            let mut state = self.state.lock();
            state.over = true;
            state.resting.take();
        }
        self.ending.cancel();
        let _ = timeout(LAST_WORDS, self.quieted()).await;
        self.tasks.close();
        let _ = timeout(LAST_WORDS, self.tasks.wait()).await;
        (self.chain.take(), outcome)
    }

    async fn wait(&self, receiver: &mut ChannelReceiver, control: &Control, time: Time) -> Outcome {
        let time_is_over = tokio::time::sleep(time.lasts);
        tokio::pin!(time_is_over);
        loop {
            tokio::select! {
                received = receiver.receive() => return match received {
                    Ok(Received::Closed) => Denial::new("gateway", Code::TargetLost, "the agent has ended the session").into(),
                    Ok(_) => tunnel::violation(self.route.agent()).into(),
                    Err(denial) => denial.into(),
                },
                asked = std::future::poll_fn(|cx| control.poll_asked(cx)) => match asked {
                    ControlAsked::End(why) => return why.into(),
                    // Whoever gives an exchange up closes it.
                    ControlAsked::Cancel => {}
                },
                () = &mut time_is_over => {
                    let _ = self.why.set(time.over);
                    return expired().into();
                }
                () = self.idle() => return Outcome::Completed,
                () = self.ending.cancelled() => return self.why.get().cloned().map_or(Outcome::Completed, Outcome::from),
            }
        }
    }

    /// Resolves when there was no exchange for a while; none begins after that.
    async fn idle(&self) {
        loop {
            let ends = {
                let mut state = self.state.lock();
                let ends = state.since + self.limits.idle;
                if state.running == 0 && ends <= Instant::now() {
                    state.over = true;
                    return;
                }
                if state.running == 0 { ends } else { Instant::now() + self.limits.idle }
            };
            tokio::time::sleep_until(ends).await;
        }
    }

    async fn quieted(&self) {
        loop {
            let quiet = self.quiet.notified();
            tokio::pin!(quiet);
            quiet.as_mut().enable();
            if self.state.lock().running == 0 {
                return;
            }
            quiet.await;
        }
    }

    /// An exchange begins, once another may run.
    ///
    /// # Errors
    /// Why the session has ended.
    pub(super) async fn enter(self: &Arc<Self>) -> Result<(Place, ChannelId), Denial> {
        let turn = Arc::clone(&self.places).acquire_owned().await.map_err(|_| over())?;
        let mut state = self.state.lock();
        if state.over {
            return Err(self.why());
        }
        state.running += 1;
        let running = state.running;
        state.resting.busy(running);
        drop(state);
        let place = Place { session: Arc::clone(self), _turn: turn };
        Ok((place, ChannelId(self.last.fetch_add(1, Ordering::Relaxed) + 1)))
    }

    /// The types of the messages of gRPC calls, where the role has them asked of the target and somebody looks at them.
    pub(super) async fn types(&self) -> Option<DescriptorPool> {
        if !self.target.reflection || !self.chain.wants(Interest::HTTP) {
            return None;
        }
        let (known, key) = &self.types;
        let told = known.of(*key, || reflection::ask(self));
        // What it takes is not in the future of every exchange.
        self.ending.run_until_cancelled(Box::pin(told)).await.flatten()
    }

    /// A channel of the tunnel: one that rests, or a new one.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) async fn channel(&self) -> Result<tunnel::Channel, Denial> {
        if let Some(channel) = self.state.lock().resting.wake() {
            return Ok(channel);
        }
        let target = OpenTarget {
            target: open::Target::HttpChannel(HttpChannel { connection: self.route.channel() }),
            ..self.open.clone()
        };
        let opened = self.agents.open_beside(&self.route, target).await;
        opened.map(|(channel, _)| channel).map_err(|failure| failure.denial)
    }

    /// A channel whose exchange has ended on both sides rests until the next.
    pub(super) fn rest(self: &Arc<Self>, channel: tunnel::Channel) {
        let mut state = self.state.lock();
        if state.over {
            return;
        }
        let (_too_many, settle) = state.resting.rest(channel);
        drop(state);
        if settle {
            let session = Arc::clone(self);
            self.tasks.spawn(async move { session.ending.run_until_cancelled(session.settle()).await });
        }
    }

    /// Gives channels back that nobody needs any more.
    async fn settle(&self) {
        loop {
            tokio::time::sleep(BUSY).await;
            let mut state = self.state.lock();
            let running = state.running;
            let (_surplus, goes_on) = state.resting.settle(running);
            drop(state);
            if !goes_on {
                return;
            }
        }
    }

    /// Ends the session: what cannot be recorded, masked or decided does not go on.
    pub(super) fn fail(&self, why: Denial) {
        let _ = self.why.set(why);
        self.ending.cancel();
    }

    pub(super) fn violation(&self) -> Denial {
        tunnel::violation(self.route.agent())
    }
}

fn over() -> Denial {
    Denial::new("gateway", Code::Cancelled, "the session has ended").hint("ask again")
}

/// A name for the rules of the role: eight hexadecimal digits.
fn variant(context: &SessionContext) -> String {
    let rules = serde_json::to_vec(&context.role.plugins).unwrap_or_default();
    let mut hash = blake3::Hasher::new();
    hash.update(env!("CARGO_PKG_VERSION").as_bytes()).update(&rules);
    hash.finalize().to_hex()[..8].to_owned()
}
