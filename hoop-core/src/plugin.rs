//! The two traits of a plugin: one value for all sessions, and one value per session.

use async_trait::async_trait;

use crate::channel::ChannelId;
use crate::error::Denial;
use crate::interest::Interest;
use crate::outcome::Outcome;
use crate::request::Request;
use crate::response::Response;
use crate::role::ResourceRole;
use crate::session::SessionContext;
use crate::verdict::Verdict;

/// A plugin: one value for all sessions. The order in which a gateway is given its plugins is the order of the chain.
#[async_trait]
pub trait Plugin: Send + Sync {
    /// The name it is known by in refusals, logs and role settings: lower-case letters, digits and `-`.
    fn name(&self) -> &str;

    /// A session opens. `None` means that this session does not concern the plugin, and costs nothing from here on.
    ///
    /// This is the only place where a plugin may take its time: reading rules, compiling patterns, asking others.
    ///
    /// # Errors
    /// A [`Denial`] refuses the session.
    async fn open(&self, session: &SessionContext) -> Result<Option<Box<dyn SessionPlugin>>, Denial>;

    /// A role is about to be stored. A plugin that has settings in it says here what is wrong with them, so that an
    /// administrator hears of a mistake, and not the users whose sessions it would refuse.
    ///
    /// # Errors
    /// The [`Denial`] that every session of the role would get.
    fn check_role(&self, _role: &ResourceRole) -> Result<(), Denial> {
        Ok(())
    }
}

/// What a plugin keeps for one session. It is called by one task at a time; requests and responses each come in their
/// order, those of one channel where a session has several, but responses to earlier requests come after later requests
/// when a client pipelines.
#[async_trait]
pub trait SessionPlugin: Send {
    /// What the plugin wants to see. Asked when the session opens and again after each
    /// [`Response::Columns`], so that it may narrow per result; it does not narrow per request.
    fn interest(&self) -> Interest;

    /// A request on its way to the target. It must not block: what waits is returned as [`Verdict::Hold`].
    fn on_request(&mut self, request: Request) -> Verdict<Request> {
        Verdict::Pass(request)
    }

    /// A response on its way to the client. It must not block: what waits is returned as [`Verdict::Hold`].
    fn on_response(&mut self, response: Response) -> Verdict<Response> {
        Verdict::Pass(response)
    }

    /// Nothing more came of a channel's output for a few milliseconds, or it has ended; or the same of an exchange's body, but for
    /// its end, which [`BodyPart::last`](crate::BodyPart::last) tells. What was kept back of it, because it could have been the
    /// beginning of something, goes on now, as [`Response::Output`] or [`Response::Body`]. Asked until there is nothing more: a
    /// channel has two streams.
    fn on_flush(&mut self, _channel: ChannelId) -> Option<Response> {
        None
    }

    /// The session has ended, in this one way. Called exactly once.
    async fn close(&mut self, outcome: &Outcome);
}

const _: Option<&dyn Plugin> = None;
const _: Option<&dyn SessionPlugin> = None;
