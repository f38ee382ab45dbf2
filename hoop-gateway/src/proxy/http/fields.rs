//! Which fields of a head go on. It is the one place that decides, for every version of HTTP, for WebSockets, for gRPC and for
//! trailers.

use std::borrow::Cow;

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

/// Fields that are of one connection ([RFC 9110 §7.6.1]), beside those that `Connection` names. `Trailer` is none of them: over
/// HTTP/1.1 what it does not announce is not sent.
///
/// [RFC 9110 §7.6.1]: https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1
static HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Fields by which whoever stands in front of a service tells it who asks: a client that sends them says what it likes.
const ASSERTED: [&str; 18] = [
    "forwarded",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-url",
    "x-original-host",
    "x-original-uri",
    "x-original-method",
    "x-rewrite-url",
    "x-remote-user",
    "x-remote-group",
    "x-authenticated-user",
    "remote-user",
    "remote-groups",
    "x-user",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
];

/// What begins like this is the gateway's own, or makes its bearer act for another.
const ASSERTED_PREFIXES: [&str; 12] = [
    "hoop-",
    "x-hoop-",
    "impersonate-",
    "x-forwarded-",
    "x-auth-request-",
    "x-webauth-",
    "x-goog-authenticated-user-",
    "x-goog-iap-",
    "x-amzn-oidc-",
    "x-ms-client-principal",
    "cf-access-",
    "tailscale-user-",
];

/// Fields of a response that are for whoever stands between gateway and client, and not for the client: they would have caches
/// keep for all what `Cache-Control` says is one user's ([RFC 9213]), or make a server show files of its own.
///
/// [RFC 9213]: https://www.rfc-editor.org/rfc/rfc9213
const FOR_OTHERS: [&str; 6] =
    ["cdn-cache-control", "surrogate-control", "edge-control", "x-accel-redirect", "x-accel-expires", "x-sendfile"];

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// Whether a field is of one connection, or announces what follows a body.
pub(crate) fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.iter().chain([&TRAILER]).any(|field| field.as_str().eq_ignore_ascii_case(name))
}

/// Whether a field says who asks, or how the request came here; or would frame the message for a server that takes an underscore
/// for a hyphen.
fn is_asserted(name: &str) -> bool {
    let has_underscore = name.contains('_');
    let hyphened = if has_underscore { Cow::Owned(name.replace('_', "-")) } else { Cow::Borrowed(name) };
    ASSERTED.contains(&&*hyphened)
        || ASSERTED_PREFIXES.iter().any(|prefix| hyphened.starts_with(prefix))
        || (has_underscore && (is_hop_by_hop(&hyphened) || hyphened == CONTENT_LENGTH.as_str()))
}

/// Leaves of a request's fields what goes to the target.
pub(crate) fn strip_request(fields: &mut HeaderMap) {
    let te_trailers = fields.get_all(TE).iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers"));
    strip_connection(fields);
    let asserted: Vec<_> = fields.keys().filter(|name| is_asserted(name.as_str())).cloned().collect();
    for name in asserted {
        fields.remove(name);
    }
    // The gateway has answered it: the client sends its body when that is read.
    fields.remove(EXPECT);
    fields.remove(HOST);
    if te_trailers {
        fields.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Leaves of a response's fields what goes to the client.
pub(crate) fn strip_response(fields: &mut HeaderMap) {
    strip_connection(fields);
    // Caches of one vendor have fields of their own, such as `Cloudflare-CDN-Cache-Control`.
    let is_for_others = |name: &str| FOR_OTHERS.contains(&name) || name.ends_with("-cdn-cache-control");
    let for_others: Vec<_> = fields.keys().filter(|name| is_for_others(name.as_str())).cloned().collect();
    for name in for_others {
        fields.remove(name);
    }
    keep_cookies(fields);
}

/// Cookies are cleared of a whole domain ([Clear Site Data §3.1]): one role's service would sign its user out of all roles.
///
/// [Clear Site Data §3.1]: https://www.w3.org/TR/clear-site-data/#header
fn keep_cookies(fields: &mut HeaderMap) {
    if !fields.contains_key(CLEAR_SITE_DATA) {
        return;
    }
    let cleared: Vec<String> = fields
        .get_all(CLEAR_SITE_DATA)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or_default().split(',').map(str::trim))
        .flat_map(|what| match what {
            "\"*\"" => vec!["\"cache\"", "\"storage\"", "\"executionContexts\""],
            what => vec![what],
        })
        .filter(|what| !what.is_empty() && *what != "\"cookies\"")
        .map(str::to_owned)
        .collect();
    fields.remove(CLEAR_SITE_DATA);
    if let Ok(value) = HeaderValue::try_from(cleared.join(", "))
        && !cleared.is_empty()
    {
        fields.insert(CLEAR_SITE_DATA, value);
    }
}

/// Leaves of the fields after a body those that may stand there ([RFC 9110 §6.5.1]).
///
/// [RFC 9110 §6.5.1]: https://www.rfc-editor.org/rfc/rfc9110#section-6.5.1
pub(crate) fn strip_trailers(fields: &mut HeaderMap) {
    if fields.is_empty() {
        return;
    }
    strip_connection(fields);
    let asserted: Vec<_> = fields.keys().filter(|name| is_asserted(name.as_str())).cloned().collect();
    for name in asserted {
        fields.remove(name);
    }
    static NEVER: [HeaderName; 10] = [
        CONTENT_LENGTH,
        HOST,
        http::header::AUTHORIZATION,
        http::header::COOKIE,
        http::header::SET_COOKIE,
        http::header::CONTENT_TYPE,
        http::header::CONTENT_ENCODING,
        http::header::CONTENT_RANGE,
        http::header::LOCATION,
        http::header::CACHE_CONTROL,
    ];
    for name in &NEVER {
        fields.remove(name);
    }
}

fn strip_connection(fields: &mut HeaderMap) {
    let named: Vec<HeaderName> = fields
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(|name| !is_end_to_end(name))
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        fields.remove(name);
    }
}

/// Fields that no connection can claim: who names them in `Connection` wants them gone on the way, to be taken for another.
fn is_end_to_end(name: &HeaderName) -> bool {
    static KEPT: [HeaderName; 9] = [
        http::header::AUTHORIZATION,
        http::header::COOKIE,
        http::header::CONTENT_TYPE,
        http::header::CONTENT_ENCODING,
        http::header::CONTENT_LENGTH,
        http::header::ORIGIN,
        http::header::CACHE_CONTROL,
        http::header::IF_MATCH,
        http::header::IF_UNMODIFIED_SINCE,
    ];
    KEPT.contains(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&str, &str)| {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            (name, http::HeaderValue::from_str(value).expect("a value"))
        };
        lines.iter().map(field).collect()
    }

    fn names(fields: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_is_of_the_connection_or_of_the_gateway_does_not_go_on() {
        let mut request = fields(&[
            ("host", "a"),
            ("connection", "close, X-Mine , content-type"),
            ("x-mine", "1"),
            ("content-type", "text/plain"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "Basic x"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x_forwarded_for", "1.2.3.4"),
            ("hoop-identity", "me"),
            ("Hoop_Identity", "me"),
            ("transfer_encoding", "chunked"),
            ("content_length", "5"),
            ("impersonate-user", "root"),
            ("expect", "100-continue"),
            ("accept", "*/*"),
        ]);
        strip_request(&mut request);
        assert_eq!(names(&request), ["accept", "content-type", "te"]);
        assert_eq!(request["te"], "trailers");
    }

    #[test]
    fn whatever_says_who_asks_or_from_where_does_not_go_on() {
        let said = [
            "forwarded",
            "x-forwarded-scheme",
            "x-forwarded-uri",
            "X_Forwarded_Anything",
            "x-webauth-user",
            "x-ms-client-principal-name",
            "x-goog-iap-jwt-assertion",
            "cf-connecting-ip",
            "x-original-uri",
        ];
        let lines: Vec<_> = said.into_iter().chain(["accept"]).map(|name| (name, "x")).collect();
        let mut request = fields(&lines);
        strip_request(&mut request);
        assert_eq!(names(&request), ["accept"]);
    }

    #[test]
    fn nobody_on_the_way_is_told_to_keep_an_answer_for_all_or_to_answer_himself() {
        let mut response = fields(&[
            ("cache-control", "private"),
            ("cdn-cache-control", "max-age=600"),
            ("cloudflare-cdn-cache-control", "max-age=600"),
            ("surrogate-control", "max-age=600"),
            ("x-accel-redirect", "/internal/key.pem"),
            ("x-accel-buffering", "no"),
        ]);
        strip_response(&mut response);
        assert_eq!(names(&response), ["cache-control", "x-accel-buffering"]);
    }

    #[test]
    fn a_service_clears_what_is_its_own() {
        for (said, kept) in [
            ("\"cache\", \"cookies\"", Some("\"cache\"")),
            ("\"cookies\"", None),
            ("\"*\"", Some("\"cache\", \"storage\", \"executionContexts\"")),
            ("\"storage\"", Some("\"storage\"")),
        ] {
            let mut response = fields(&[("clear-site-data", said)]);
            strip_response(&mut response);
            assert_eq!(response.get(CLEAR_SITE_DATA).map(|value| value.to_str().expect("text")), kept);
        }
    }

    #[test]
    fn trailers_frame_nothing_and_prove_nothing() {
        let mut trailers = fields(&[
            ("grpc-status", "0"),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
            ("authorization", "x"),
            ("set-cookie", "a=b"),
            ("x-forwarded-user", "root"),
        ]);
        strip_trailers(&mut trailers);
        assert_eq!(names(&trailers), ["grpc-status"]);
    }
}
