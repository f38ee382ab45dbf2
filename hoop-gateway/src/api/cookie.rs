//! Browsers: the token in a cookie that scripts cannot read, and the proof that a request comes from the gateway's own
//! pages. Who may do what is the same with either.

use axum::http::header::{COOKIE, HOST, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use hoop_core::Code;
use url::{Host, Url};

use super::describe::Answer;
use super::document::Operation;
use super::problem::Problem;

/// The cookie's name. Its prefix makes browsers take it over TLS alone (or on the machine itself), for this host alone.
pub(super) const NAME: &str = "__Host-hoop";

/// The token in the request's cookies.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|value| value.split(';')).find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == NAME).then_some(value)
    })
}

/// A response that changes the cookie.
pub(super) struct WithCookie<T> {
    cookie: Option<String>,
    inner: T,
}

impl<T> WithCookie<T> {
    pub(super) const fn none(inner: T) -> Self {
        Self { cookie: None, inner }
    }

    pub(super) fn set(inner: T, token: &str, seconds: u64) -> Self {
        Self {
            cookie: Some(format!("{NAME}={token}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Strict")),
            inner,
        }
    }

    pub(super) fn clear(inner: T) -> Self {
        Self::set(inner, "", 0)
    }
}

impl<T: IntoResponse> IntoResponse for WithCookie<T> {
    fn into_response(self) -> Response {
        let mut response = self.inner.into_response();
        if let Some(cookie) = self.cookie.and_then(|cookie| HeaderValue::from_str(&cookie).ok()) {
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        response
    }
}

impl<T: Answer> Answer for WithCookie<T> {
    fn describe(operation: &mut Operation) {
        T::describe(operation);
    }
}

/// A browser says from where a request comes: in `Sec-Fetch-Site`, or in `Origin` when it is an older one. Without either
/// there is no proof, and that is a refusal.
pub(super) fn same_origin(uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let own = match headers.get("sec-fetch-site").and_then(|value| value.to_str().ok()) {
        Some(site) => site == "same-origin",
        None => {
            let host = uri.authority().map(|authority| authority.as_str()).or_else(|| text(HOST));
            let origin = text(ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, authority)| authority);
            origin.is_some() && origin == host
        }
    };
    if own {
        return Ok(());
    }
    Err(Problem::new(Code::CrossSite, "this request does not come from the gateway's own pages")
        .hint("programs send the token as `Authorization: Bearer`, not as a cookie"))
}

/// Whether a browser keeps the cookie of a page: it came over TLS, or from the browser's own machine. Otherwise people would
/// sign in again and again, and not be told why.
pub(super) fn is_kept(headers: &HeaderMap) -> Result<(), Problem> {
    let origin = headers.get(ORIGIN).and_then(|value| value.to_str().ok()).and_then(|origin| Url::parse(origin).ok());
    let plain = origin.as_ref().filter(|origin| origin.scheme() == "http").and_then(Url::host);
    let here = plain.is_none_or(|host| match host {
        Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    });
    if here {
        return Ok(());
    }
    Err(Problem::new(
        Code::TlsRequired,
        "this page came without encryption, and browsers keep no sign-in of such a one",
    )
    .hint("open it with https; its operator sets listen.http.tls, or a proxy that ends TLS"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().expect("a name"), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        assert_eq!(token(&headers(&[("cookie", "a=b; __Host-hoop=hoopt_x; c=d")])), Some("hoopt_x"));
        assert_eq!(token(&headers(&[("cookie", "hoop=hoopt_x; x__Host-hoop=y")])), None);
    }

    #[test]
    fn a_cookie_is_kept_of_what_is_encrypted_or_near() {
        for (origin, kept) in [
            ("https://gw.example.com", true),
            ("http://gw.example.com", false),
            ("http://192.0.2.1:8009", false),
            ("http://localhost:8009", true),
            ("http://127.0.0.1:8009", true),
            ("http://[::1]:8009", true),
            ("null", true),
        ] {
            assert_eq!(is_kept(&headers(&[("origin", origin)])).is_ok(), kept, "{origin}");
        }
    }

    #[test]
    fn only_the_own_origin_passes() {
        let uri = Uri::from_static("/api/v1/users");
        for (pairs, passes) in [
            (&[("host", "gw:8009")][..], false),
            (&[("host", "gw:8009"), ("origin", "https://gw:8009")], true),
            (&[("host", "gw:8009"), ("origin", "https://gw:8010")], false),
            (&[("host", "gw:8009"), ("origin", "https://evil/gw:8009")], false),
            (&[("host", "gw:8009"), ("origin", "null")], false),
            (&[("host", "gw:8009"), ("sec-fetch-site", "same-origin")], true),
            (&[("host", "gw:8009"), ("origin", "https://gw:8009"), ("sec-fetch-site", "cross-site")], false),
            (&[("host", "gw:8009"), ("sec-fetch-site", "same-site")], false),
            (&[("host", "gw:8009"), ("sec-fetch-site", "none")], false),
        ] {
            assert_eq!(same_origin(&uri, &headers(pairs)).is_ok(), passes, "{pairs:?}");
        }
    }
}
