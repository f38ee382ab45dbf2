//! Pages of other origins, as far as a role lets them ask ([the CORS protocol]): what their browsers ask beforehand is answered here, and
//! what they may read is said in every answer.
//!
//! An origin is let in because the role names it, and never because it asks. `*` is for pages whose browsers send no cookie, and for
//! none of another role.
//!
//! [the CORS protocol]: https://fetch.spec.whatwg.org/#http-cors-protocol

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hoop_core::id::OrgId;
use hoop_core::role::HttpCors;
use hoop_core::{Code, Denial, Target};
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderMap, HeaderValue, ORIGIN, VARY,
};
use http::{Method, Request, Response, StatusCode};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::ProxyDoor;
use super::enter::OWN;
use super::origin::Asked;
use crate::proxy::http::{Body, Wire, empty};
use crate::store::in_time;

/// How old a role's rules may be: who asks beforehand shows no token, and the store is not asked for everyone.
const FRESH: Duration = Duration::from_secs(2);
/// Names of roles that are remembered, also such that are none.
const MOST: usize = 1024;
/// The longest name of a role.
const NAME: usize = 63;
/// What clients of gRPC-Web must be able to read.
const OF_CALLS: &str = "grpc-status, grpc-message, grpc-status-details-bin";

/// The rules of roles, for a moment.
#[derive(Default)]
pub(crate) struct Rules {
    known: Mutex<HashMap<String, Read>>,
}

/// When a role's rules were read, and what they are.
type Read = (Instant, Option<Arc<HttpCors>>);

impl Rules {
    fn fresh(&self, role: &str) -> Option<Option<Arc<HttpCors>>> {
        let known = self.known.lock();
        let (since, rules) = known.get(role)?;
        (since.elapsed() < FRESH).then(|| rules.clone())
    }

    fn keep(&self, role: &str, rules: Option<Arc<HttpCors>>) {
        let mut known = self.known.lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(role.to_owned(), (Instant::now(), rules));
    }
}

/// A page of another origin that may ask for something of a role.
#[derive(Debug)]
pub(super) struct Across {
    rules: Arc<HttpCors>,
    origin: HeaderValue,
    /// The role names its origin.
    by_name: bool,
}

impl ProxyDoor {
    /// The page of another origin that asks, where the role lets it.
    pub(super) async fn across<B>(&self, request: &Request<B>, asked: &Asked) -> Option<Across> {
        let mut origins = request.headers().get_all(ORIGIN).iter();
        let (origin, None) = (origins.next()?, origins.next()) else { return None };
        let role = asked.role.as_deref().filter(|role| role.len() <= NAME)?;
        if origin.as_bytes().eq_ignore_ascii_case(asked.own().as_bytes()) || request.uri().path().starts_with(OWN) {
            return None;
        }
        let rules = self.cors(role).await?;
        Across::new(rules, origin, |origin| self.domain.role_at(origin).is_some())
    }

    /// What a role lets pages of other origins do. When that cannot be read, nothing.
    async fn cors(&self, role: &str) -> Option<Arc<HttpCors>> {
        if let Some(rules) = self.cors.fresh(role) {
            return rules;
        }
        let store = &self.sessions.parts().store;
        let found = in_time(store.roles().by_name(OrgId::DEFAULT, role)).await.ok()?;
        let rules = found.and_then(|found| match found.role.target {
            Target::Http(target) => target.cors.map(Arc::new),
            _ => None,
        });
        self.cors.keep(role, rules.clone());
        rules
    }
}

impl Across {
    fn new(rules: Arc<HttpCors>, origin: &HeaderValue, is_role: impl Fn(&str) -> bool) -> Option<Self> {
        let text = origin.to_str().ok()?;
        let by_name = rules.origins.iter().any(|named| named != "*" && named.eq_ignore_ascii_case(text));
        let by_any = rules.origins.iter().any(|named| named == "*") && !rules.credentials && !is_role(text);
        (by_name || by_any).then(|| Self { origin: origin.clone(), rules, by_name })
    }

    /// The answer to a browser that asks what it may ask.
    pub(super) fn preflight<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        let asks = request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !asks {
            return None;
        }
        let mut response = Response::new(empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let fields = response.headers_mut();
        for (name, words) in
            [(ACCESS_CONTROL_ALLOW_METHODS, &self.rules.methods), (ACCESS_CONTROL_ALLOW_HEADERS, &self.rules.headers)]
        {
            if let Ok(value) = HeaderValue::try_from(words.join(", "))
                && !words.is_empty()
            {
                fields.insert(name, value);
            }
        }
        fields.insert(ACCESS_CONTROL_MAX_AGE, self.rules.max_age_seconds.into());
        fields.insert(
            VARY,
            HeaderValue::from_static("origin, access-control-request-method, access-control-request-headers"),
        );
        Some(response)
    }

    /// Whether it may ask in this way. A browser asks beforehand for some, and not for all.
    ///
    /// # Errors
    /// [`Code::RequestDenied`].
    pub(super) fn may<B>(&self, request: &Request<B>) -> Result<(), Denial> {
        // The request of a WebSocket over HTTP/2.
        let method = if request.method() == Method::CONNECT { &Method::GET } else { request.method() };
        if self.rules.methods.iter().any(|allowed| allowed == method.as_str()) {
            return Ok(());
        }
        let reason = format!("the role does not allow the method {method} for pages of other origins");
        Err(Denial::new("gateway", Code::RequestDenied, reason).hint("ask an administrator what the role is for"))
    }

    /// Whether its browser may ask in its user's name.
    pub(super) fn brings_cookies(&self) -> bool {
        self.by_name && self.rules.credentials
    }

    /// Says in an answer that the page may read it.
    pub(super) fn answered(&self, fields: &mut HeaderMap) {
        fields.insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.origin.clone());
        if self.brings_cookies() {
            fields.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        let mut exposed = self.rules.expose.clone();
        exposed.extend(Wire::of(fields).filter(|wire| wire.is_web()).map(|_| OF_CALLS.to_owned()));
        if let Ok(value) = HeaderValue::try_from(exposed.join(", "))
            && !exposed.is_empty()
        {
            fields.insert(ACCESS_CONTROL_EXPOSE_HEADERS, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "https://app.example.com";

    fn across(origins: &[&str], credentials: bool, origin: &str) -> Option<Across> {
        let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
        let rules = HttpCors { origins, credentials, ..HttpCors::default() };
        let origin = HeaderValue::from_str(origin).expect("a value");
        Across::new(Arc::new(rules), &origin, |origin| origin.ends_with(".apps.example.com"))
    }

    fn request(method: &str, fields: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request")
    }

    #[test]
    fn origins_are_let_in_that_the_role_names() {
        for (origins, credentials, origin, let_in, cookies) in [
            (&[APP][..], true, APP, true, true),
            (&[APP], false, APP, true, false),
            (&[APP], true, "https://APP.example.com", true, true),
            (&[APP], true, "https://app.example.com.evil.example", false, false),
            (&[APP], true, "http://app.example.com", false, false),
            (&[APP], true, "https://app.example.com:8443", false, false),
            (&[APP], true, "null", false, false),
            (&["*"], false, "https://any.example", true, false),
            // It cannot be stored; it would reflect whoever asks.
            (&["*"], true, "https://any.example", false, false),
            (&["*"], false, "https://other.apps.example.com", false, false),
            (&["*", "https://other.apps.example.com"], false, "https://other.apps.example.com", true, false),
            (&["https://other.apps.example.com"], true, "https://other.apps.example.com", true, true),
            (&[], true, APP, false, false),
        ] {
            let found = across(origins, credentials, origin);
            assert_eq!(found.is_some(), let_in, "{origins:?} {credentials} {origin}");
            assert_eq!(
                found.is_some_and(|across| across.brings_cookies()),
                cookies,
                "{origins:?} {credentials} {origin}"
            );
        }
    }

    #[test]
    fn what_a_browser_asks_beforehand_is_answered_by_the_rule_and_not_by_what_it_asks() {
        let across = across(&[APP], true, APP).expect("let in");
        let asks = [("access-control-request-method", "DELETE"), ("access-control-request-headers", "x-secret")];
        let mut answer = across.preflight(&request("OPTIONS", &asks)).expect("it is asked beforehand");
        across.answered(answer.headers_mut());
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        for (name, expected) in [
            ("access-control-allow-origin", APP),
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-methods", "GET, HEAD, POST"),
            ("access-control-max-age", "600"),
        ] {
            assert_eq!(answer.headers()[name], expected, "{name}");
        }
        let headers = answer.headers()["access-control-allow-headers"].to_str().expect("text");
        assert!(headers.contains("hoop-token") && !headers.contains("x-secret"), "{headers}");
        assert!(
            across.preflight(&request("OPTIONS", &[])).is_none() && across.preflight(&request("GET", &asks)).is_none()
        );
        assert!(across.may(&request("POST", &[])).is_ok() && across.may(&request("CONNECT", &[])).is_ok());
        assert_eq!(across.may(&request("DELETE", &[])).expect_err("not named").code, Code::RequestDenied);
    }

    #[test]
    fn a_client_of_grpc_web_reads_how_its_call_ended() {
        let across = across(&["*"], false, APP).expect("let in");
        let mut fields = request("POST", &[("content-type", "application/grpc-web+proto")]).headers().clone();
        across.answered(&mut fields);
        assert_eq!(fields["access-control-expose-headers"], OF_CALLS);
        assert_eq!(fields["access-control-allow-origin"], APP);
        assert!(!fields.contains_key("access-control-allow-credentials"));
        let mut plain = HeaderMap::new();
        across.answered(&mut plain);
        assert!(!plain.contains_key("access-control-expose-headers"));
    }

    #[test]
    fn rules_are_remembered_for_names_that_are_none_too() {
        let rules = Rules::default();
        assert!(rules.fresh("a").is_none());
        rules.keep("a", None);
        assert_eq!(rules.fresh("a"), Some(None));
        for number in 0..=MOST {
            rules.keep(&number.to_string(), None);
        }
        assert!(rules.known.lock().len() <= MOST);
    }
}
