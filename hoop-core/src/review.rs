//! What somebody must agree to while a session runs: a plugin says so ([`Verdict::Review`](crate::Verdict::Review)), the gateway
//! asks and waits ([`Reviewer`]), and the chain goes on with exactly what was asked for.

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::channel::{ChannelId, Command};
use crate::error::Denial;
use crate::http::HttpRequest;
use crate::id::ReviewId;
use crate::request::{Parameters, StatementId};

/// What somebody is asked to agree to, and who.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The plugin that asks, as in [`Denial::by`].
    pub by: &'static str,
    /// The rule that wants it.
    pub rule: String,
    /// The group of which somebody decides.
    pub group: String,
    /// What the user may do besides waiting.
    pub hint: Option<String>,
    /// What it is about: all of what goes on when somebody agrees.
    pub subject: Subject,
}

/// What a review is about. Whoever decides is shown all of it, without its secrets, and an approval is good for these very bytes.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub enum Subject {
    /// A statement, held until somebody agrees.
    Statement {
        /// Its text.
        text: Bytes,
        /// The parameters that it runs with.
        parameters: Option<Parameters>,
    },
    /// A command or a subsystem, held until somebody agrees.
    Command(Command),
    /// A request over HTTP. It is not held, since no client would wait: it is refused with
    /// [`Code::ReviewRequired`](crate::Code::ReviewRequired) until somebody agrees, and then goes through once.
    Request {
        /// The head.
        head: Box<HttpRequest>,
        /// The body, decoded, or the messages of a gRPC call.
        body: Vec<Bytes>,
    },
}

/// Who asks somebody of a group; the gateway, for a session of it.
pub trait Reviewer: Send + Sync {
    /// Asks. Returns at once; nobody has decided by then.
    ///
    /// # Errors
    /// When it cannot be asked, such as for too many that wait already.
    fn ask(&self, ask: &Ask) -> Result<Asked, Denial>;
}

/// Somebody is asked.
pub struct Asked {
    /// The review that is waited for; none where whoever asks does not wait.
    pub review: Option<ReviewId>,
    /// What the user is told while they wait.
    pub notice: Option<String>,
    /// Resolves to what became of it. To drop it takes the review back.
    pub until: BoxFuture<'static, Decided>,
}

/// What became of a review.
#[derive(Debug, Clone)]
pub struct Decided {
    /// Which, where there is one.
    pub review: Option<ReviewId>,
    /// Who has agreed, or why it does not go on.
    pub result: Result<Agreed, Denial>,
}

/// Somebody has agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// Who, by name.
    pub by: String,
    /// What they said to it.
    pub comment: Option<String>,
}

/// A step of a review, as the plugins before the one that asked are told it: to keep, and not to change.
#[derive(Debug, Clone)]
pub struct ReviewStep {
    /// The review, where there is one.
    pub review: Option<ReviewId>,
    /// The statement that it is about.
    pub statement: Option<StatementId>,
    /// The channel of which it is about a command or a request.
    pub channel: Option<ChannelId>,
    /// The rule that wants it.
    pub rule: String,
    /// The group of which somebody decides.
    pub group: String,
    /// What has happened.
    pub what: Step,
}

/// What has happened to a review.
#[derive(Debug, Clone)]
pub enum Step {
    /// Somebody is asked, and it waits.
    Asked,
    /// Somebody has agreed: it goes on.
    Agreed(Agreed),
    /// It does not go on: somebody has not agreed, nobody has in time, or the client waits no longer.
    Refused(Denial),
}
