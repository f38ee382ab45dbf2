//! Refusals, in the form that the asker reads: a page, a problem ([RFC 9457]), or the status of a gRPC call.
//!
//! [RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457

use bytes::Bytes;
use hoop_core::id::{RequestId, ReviewId};
use hoop_core::{Denial, Fault};
use http::header::{
    ACCEPT, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, LINK, RETRY_AFTER, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt as _, Full};
use serde_json::json;

use crate::api::{Page, status_of};
use crate::proxy::http::{Body, Wire, status};
use crate::session::{Held, WaitsFor};

/// Why a request is not answered by its target.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) denial: Denial,
    /// The review that its session waits for, or itself.
    review: Option<ReviewId>,
}

impl Refused {
    /// The session is held: whoever asks again, may be answered.
    pub(super) fn held(held: Held) -> Self {
        Self { denial: held.why, review: Some(held.review) }
    }
}

impl From<Denial> for Refused {
    fn from(denial: Denial) -> Self {
        let source = denial.source.as_ref().and_then(|source| source.downcast_ref::<WaitsFor>());
        let review = source.map(|WaitsFor(review)| *review);
        Self { denial, review }
    }
}

/// How long a page that waits does so until it is loaded again, in seconds.
const AGAIN: u64 = 3;
/// How long who is refused for a while should wait, in seconds.
const SOON: u64 = 5;

/// What an asker reads.
pub(super) struct Asks {
    form: Form,
    method: Method,
    uri: Uri,
    version: Version,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Page,
    Problem,
    Grpc(Wire),
}

impl Asks {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let text = |name: &HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
        let form = if let Some(wire) = Wire::of(request.headers()) {
            Form::Grpc(wire)
        } else if text(&ACCEPT).split(',').any(|kind| kind.trim().starts_with("text/html")) {
            Form::Page
        } else {
            Form::Problem
        };
        Self { form, method: request.method().clone(), uri: request.uri().clone(), version: request.version() }
    }

    /// Whether it is a person who reads it.
    pub(super) fn is_page(&self) -> bool {
        self.form == Form::Page
    }
}

/// The answer to a request that is refused. The gateway's own `pages` have its API, too.
pub(super) fn answer(refused: &Refused, request_id: RequestId, asks: &Asks, pages: &str) -> Response<Body> {
    let denial = &refused.denial;
    let status = status_of(denial.code);
    let mut response = match asks.form {
        Form::Grpc(wire) => grpc(denial, wire),
        Form::Page => page(refused, status, request_id, &asks.method),
        Form::Problem => problem(refused, status, request_id, asks.uri.path()),
    };
    if let Some(review) = refused.review {
        // RFC 8631: where it shows how far this is.
        let link = format!("<{pages}/api/v1/reviews/{review}>; rel=\"status\"");
        if let Ok(link) = HeaderValue::try_from(link) {
            response.headers_mut().insert(LINK, link);
        }
    }
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        headers.insert(RETRY_AFTER, HeaderValue::from(SOON));
    }
    // RFC 9110 §15.5.9: nobody waits for the rest.
    if status == StatusCode::REQUEST_TIMEOUT && asks.version < Version::HTTP_2 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"hoop\""));
    }
    response
}

fn body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

fn problem(refused: &Refused, status: StatusCode, request_id: RequestId, path: &str) -> Response<Body> {
    let denial = &refused.denial;
    let mut problem = json!({
        "type": format!("urn:hoop:problem:{}", denial.code),
        "title": denial.code.as_str().replace('_', " "),
        "status": status.as_u16(),
        "detail": denial.reason,
        "instance": path.chars().take(200).collect::<String>(),
        "code": denial.code.as_str(),
        "request_id": request_id.to_string(),
    });
    if let Some(hint) = &denial.hint {
        problem["hint"] = json!(hint);
    }
    if let Some(review) = refused.review {
        problem["review"] = json!(review);
    }
    let mut response = Response::new(body(problem.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

/// A page whose session is held goes on by itself: it is loaded again, which whoever only looks at it would do as well.
fn page(refused: &Refused, status: StatusCode, request_id: RequestId, method: &Method) -> Response<Body> {
    let denial = &refused.denial;
    let title = match denial.fault() {
        _ if refused.review.is_some() => "Somebody must agree first",
        Fault::Policy => "This is not allowed",
        Fault::Target => "The service cannot be reached",
        Fault::Gateway => "The gateway cannot do this now",
        Fault::Client => "This request cannot be answered",
    };
    let id = request_id.to_string();
    let mut page = Page::new(title);
    if refused.review.is_none() {
        page = page.alert(&denial.reason);
    } else {
        page = page.text(&denial.reason);
        if method == Method::GET {
            page = page.again(AGAIN).text("This page goes on by itself.");
        }
    }
    if let Some(hint) = &denial.hint {
        page = page.text(hint);
    }
    let page = page.status(status).facts(&[("Code", denial.code.as_str()), ("Request", &id)]);
    axum::response::IntoResponse::into_response(page)
        .map(|page| page.map_err(|error| Denial::failed("page", error)).boxed_unsync())
}

/// A response of trailers alone ([the protocol](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md)).
fn grpc(denial: &Denial, wire: Wire) -> Response<Body> {
    let mut response = Response::new(crate::proxy::http::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(wire.content_type()));
    headers.extend(status::fields(denial));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use hoop_core::{Code, SystemClock};

    fn refused(fields: &[(&str, &str)], code: Code) -> Response<Body> {
        let mut request = Request::builder().uri("/a");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let asks = Asks::of(&request.body(()).expect("a request"));
        let denial = Denial::new("gateway", code, "not so <b>").hint("do – this");
        answer(&denial.into(), RequestId::new(&SystemClock), &asks, PAGES)
    }

    const PAGES: &str = "https://hoop.example.com";

    async fn text(response: Response<Body>) -> String {
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        String::from_utf8(body.to_vec()).expect("text")
    }

    #[tokio::test]
    async fn each_asker_reads_it_in_its_own_form() {
        let page = refused(&[("accept", "text/html,*/*")], Code::RequestDenied);
        assert_eq!(page.status(), StatusCode::FORBIDDEN);
        assert!(text(page).await.contains("not so &lt;b&gt;"));
        let problem = refused(&[("accept", "*/*")], Code::TargetTimeout);
        assert_eq!(problem.status(), StatusCode::GATEWAY_TIMEOUT);
        assert!(text(problem).await.contains("\"code\":\"target_timeout\""));
        let call = refused(&[("content-type", "application/grpc+proto")], Code::RequestDenied);
        assert_eq!(call.status(), StatusCode::OK);
        assert_eq!(call.headers()["grpc-status"], "7");
        assert_eq!(call.headers()["grpc-message"], "not so <b>; do %E2%80%93 this");
        let busy = refused(&[], Code::AgentBusy);
        assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(busy.headers().contains_key(RETRY_AFTER));
        assert_eq!(refused(&[("content-type", "application/grpc")], Code::AgentBusy).headers()["grpc-status"], "14");
        let late = refused(&[], Code::ClientTimeout);
        assert_eq!(
            (late.status(), &late.headers()[CONNECTION]),
            (StatusCode::REQUEST_TIMEOUT, &"close".parse().expect("a value"))
        );
        let web = refused(&[("content-type", "application/grpc-web-text+proto")], Code::RequestDenied);
        assert_eq!(web.status(), StatusCode::OK);
        assert_eq!(web.headers()[CONTENT_TYPE], "application/grpc-web-text");
        assert_eq!(web.headers()["grpc-status"], "7");
        assert!(refused(&[], Code::CredentialExpired).headers().contains_key(WWW_AUTHENTICATE));
    }

    fn held(fields: &[(&str, &str)], method: Method) -> Response<Body> {
        let mut request = Request::builder().method(method).uri("/a");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let asks = Asks::of(&request.body(()).expect("a request"));
        let why = Denial::new("review", Code::ReviewRequired, "somebody of <leads> must agree").hint("ask them");
        let refused = Refused::held(Held { review: REVIEW.parse().expect("an id"), why });
        answer(&refused, RequestId::new(&SystemClock), &asks, PAGES)
    }

    const REVIEW: &str = "rev_0192f0c1a2b37d4e8f90112233445566";

    #[test]
    fn a_request_that_waits_names_its_review() {
        let review = REVIEW.parse().expect("an id");
        let why = Denial::new("review", Code::ReviewRequired, "somebody must agree").caused_by(WaitsFor(review));
        assert_eq!(Refused::from(why).review, Some(review));
    }

    #[tokio::test]
    async fn who_must_wait_reads_what_for_and_when_to_come_again() {
        let link = format!("<{PAGES}/api/v1/reviews/{REVIEW}>; rel=\"status\"");
        let (page, problem) = (held(&[("accept", "text/html")], Method::GET), held(&[("accept", "*/*")], Method::GET));
        for response in [&page, &problem] {
            assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(
                (&response.headers()[RETRY_AFTER], &response.headers()[LINK]),
                (&"5".parse().expect("a value"), &link.parse().expect("a value"))
            );
        }
        assert_eq!(page.headers()["refresh"], "3", "it goes on by itself");
        assert!(
            page.headers()["content-security-policy"]
                .to_str()
                .is_ok_and(|policy| policy.starts_with("default-src 'none'"))
        );
        assert!(text(page).await.contains("somebody of &lt;leads&gt; must agree"));
        assert!(text(problem).await.contains(&format!("\"review\":\"{REVIEW}\"")));
        let form = held(&[("accept", "text/html")], Method::POST);
        assert!(!form.headers().contains_key("refresh"), "what was sent is not sent again");
        let call = held(&[("content-type", "application/grpc")], Method::POST);
        assert_eq!(call.headers()["grpc-status"], "14");
    }
}
