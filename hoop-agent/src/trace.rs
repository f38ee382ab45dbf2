//! Spans of what the agent does for a session, for who traces them. They end with the login: what a channel carries has none.

use hoop_proto::tunnel::v1::Open;
use tracing::Span;
use tracing::field::Empty;

use crate::error::TargetFailure;

/// The target of all spans, which keeps them out of logs.
pub(crate) const TARGET: &str = "hoop_trace";

/// Makes a span a part of the trace that a gateway names, in the form of W3C's [Trace Context]: only who traces knows how.
///
/// [Trace Context]: https://www.w3.org/TR/trace-context/#traceparent-header
pub type ContinueTrace = fn(&Span, &str);

/// The way to the target, and the login there.
pub(crate) fn target(open: &Open, continues: Option<ContinueTrace>) -> Span {
    let span = tracing::info_span!(
        target: TARGET, parent: None, "target", otel.kind = "server", session = open.session, request = open.request_id,
        role = open.role, otel.status_code = Empty, otel.status_description = Empty,
    );
    if let Some(continues) = continues.filter(|_| !open.traceparent.is_empty()) {
        continues(&span, &open.traceparent);
    }
    span
}

/// The code alone: a reason may quote what a target says.
pub(crate) fn failed(span: &Span, failure: &TargetFailure) {
    span.record("otel.status_code", "ERROR");
    span.record("otel.status_description", failure.code.as_str());
}
