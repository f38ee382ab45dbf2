//! What happens around every request: its id, its span, its deadline, its body as a problem when it is refused.

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hoop_core::Code;
use hoop_core::id::RequestId;
use tracing::Instrument as _;

use super::parts::Api;
use super::problem::{self, Problem};
use crate::listen::OverTls;

/// Carries the request's id, both ways.
const HEADER: HeaderName = HeaderName::from_static("x-request-id");

pub(super) async fn handle(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    // An id of another form is not taken over: it would stand in every log line.
    let given = request.headers().get(HEADER).and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
    let id: RequestId = given.unwrap_or_else(|| RequestId::new(&*api.clock));
    request.extensions_mut().insert(id);
    let over_tls = request.extensions().get::<OverTls>().is_some();
    let path = request.uri().path().to_owned();
    let span = tracing::info_span!("request", request = %id, method = %request.method(), path);
    let begun = api.clock.monotonic();
    let answered = async {
        let response = match tokio::time::timeout(api.settings.request_timeout, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::new(Code::Timeout, "the request took too long").into_response(),
        };
        let mut response = problem::render(response, id, &path);
        let headers = response.headers_mut();
        if let Ok(text) = HeaderValue::from_str(&id.to_string()) {
            headers.insert(HEADER, text);
        }
        protect(headers, over_tls);
        tracing::debug!(status = response.status().as_u16(), "request answered");
        response
    };
    let response = answered.instrument(span).await;
    api.telemetry.http_request_seconds.record((api.clock.monotonic() - begun).as_secs_f64());
    response
}

/// What browsers need to be told of every answer. A page may have policies of its own.
fn protect(headers: &mut HeaderMap, over_tls: bool) {
    let fixed = HeaderValue::from_static;
    headers.insert(CACHE_CONTROL, fixed("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, fixed("nosniff"));
    headers.entry(REFERRER_POLICY).or_insert(fixed("no-referrer"));
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), fixed("same-origin"));
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(fixed("default-src 'none'; frame-ancestors 'none'"));
    if over_tls {
        headers.insert(STRICT_TRANSPORT_SECURITY, fixed("max-age=31536000"));
    }
}
