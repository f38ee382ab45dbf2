//! Spans of sessions, for who traces them.
//!
//! They have a target of their own, so that a program that only logs turns them off as a whole: what is left then is one
//! look at a flag for each, and a few for each session. No statement has a span, and nothing is entered for what a session
//! forwards.

use std::net::SocketAddr;

use hoop_core::id::RequestId;
use hoop_core::{Denial, Outcome, SessionContext};
use tracing::Span;
use tracing::field::{Empty, display};

/// The target of all spans.
pub const TARGET: &str = "hoop_trace";

/// Tells of which trace a span is, in the form of W3C's [Trace Context]: only who traces knows. `None` for one that is not
/// traced.
///
/// [Trace Context]: https://www.w3.org/TR/trace-context/#traceparent-header
pub type TraceContext = fn(&Span) -> Option<String>;

/// One session, from the first packet to the end. What happens in it is below it.
pub(crate) fn session(request: RequestId, peer: SocketAddr) -> Span {
    tracing::info_span!(
        target: TARGET, parent: None, "session", otel.kind = "server", %request, source = %peer, session = Empty,
        user = Empty, role = Empty, database = Empty, outcome = Empty, otel.status_code = Empty,
        otel.status_description = Empty,
    )
}

/// The proof of who calls.
pub(crate) fn login(session: &Span) -> Span {
    tracing::info_span!(target: TARGET, parent: session, "login")
}

/// Everything between the login and the greeting.
pub(crate) fn open(session: &Span, request: RequestId) -> Span {
    tracing::info_span!(target: TARGET, parent: session, "open", %request, session = Empty)
}

/// Says in the current span which session it is about, once it is one.
pub(crate) fn is_about(context: &SessionContext) {
    Span::current().record("session", display(context.id));
}

/// Says in a session's span what it is, once it runs.
pub(crate) fn runs(session: &Span, context: &SessionContext) {
    session.record("session", display(context.id));
    session.record("user", display(&context.principal.name));
    session.record("role", display(&context.role.name));
    session.record("database", context.database.as_deref());
}

/// Says that it did not come to a session.
pub(crate) fn refused(session: &Span, denial: &Denial) {
    session.record("outcome", "denied");
    failed(session, denial);
}

/// Says how the session ended.
pub(crate) fn ended(session: &Span, outcome: &Outcome) {
    session.record("outcome", outcome.as_str());
    if let Some(denial) = outcome.denial() {
        failed(session, denial);
    }
}

/// The code alone: a reason may quote what a client sent.
fn failed(session: &Span, denial: &Denial) {
    session.record("otel.status_code", "ERROR");
    session.record("otel.status_description", denial.code.as_str());
}
