//! What a role lets clients ask for.

use hoop_core::role::HttpAllow;
use hoop_core::{Code, Denial, ExchangeKind, HttpRequest};
use http::HeaderName;
use url::form_urlencoded;

/// Whether the role lets clients ask for this.
pub(super) fn allowed(allow: &HttpAllow, prefix: &str, head: &HttpRequest) -> Result<(), Denial> {
    let refuse = |reason: String| {
        Err(Denial::new("gateway", Code::RequestDenied, reason).hint("ask an administrator what the role is for"))
    };
    if head.kind == ExchangeKind::WebSocket && !allow.websocket {
        return refuse("the role does not allow WebSockets".to_owned());
    }
    if !allow.allows_method(head.method.as_str()) {
        return refuse(format!("the role does not allow the method {}", head.method));
    }
    if let Some(method) = overrides(head).find(|method| !allow.allows_method(method)) {
        return refuse(format!(
            "the role does not allow the method {}, which the request asks to be taken for",
            method.escape_debug()
        ));
    }
    let path = head.uri.path();
    if !prefix.is_empty() && climbs(path) {
        return refuse(format!("the role is for what is below {prefix}, and this path leads out of it"));
    }
    if allow.paths.iter().any(|pattern| pattern == "*") {
        return Ok(());
    }
    if !is_plain(path) {
        return refuse(
            "the role allows some paths, and whether this is one cannot be told from the way it is written".into(),
        );
    }
    if allow.allows_path(path) { Ok(()) } else { refuse("the role does not allow this path".to_owned()) }
}

/// Other methods that services are asked to take a request for, as many frameworks do.
fn overrides(head: &HttpRequest) -> impl Iterator<Item = String> {
    /// Some take an underscore for a hyphen.
    const FIELDS: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];
    let named = |name: &HeaderName| FIELDS.contains(&&*name.as_str().replace('_', "-"));
    let fields = head.headers.iter().filter(move |(name, _)| named(name));
    let fields = fields.map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let query = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
    let query = query.filter(|(name, _)| name.eq_ignore_ascii_case("_method")).map(|(_, value)| value.into_owned());
    fields.chain(query).map(|method| method.trim().to_ascii_uppercase()).filter(|method| !method.is_empty())
}

/// Whether a path leads above where it begins, for a server that reads it so.
fn climbs(path: &str) -> bool {
    let mut text = path.to_ascii_lowercase();
    // Services behind others decode it more than once.
    while text.contains("%25") {
        text = text.replace("%25", "%");
    }
    let text = text.replace("%2e", ".").replace("%2f", "/").replace("%5c", "/").replace("%3b", ";").replace('\\', "/");
    text.split('/').any(|name| name.split(';').next() == Some(".."))
}

/// Whether every server reads the same in a path.
fn is_plain(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let tricky = ["//", "/./", "/../", "\\", ";", "%2e", "%2f", "%5c", "%25", "%00", "%3b"];
    !tricky.iter().any(|part| lower.contains(part)) && !lower.ends_with("/.") && !lower.ends_with("/..")
}

#[cfg(test)]
mod tests {
    use hoop_core::ChannelId;
    use http::HeaderValue;

    use super::*;

    #[test]
    fn paths_that_servers_read_differently_are_not_plain() {
        for path in ["/", "/a/b.c", "/a/..b", "/%41", "/a~b/%20"] {
            assert!(is_plain(path), "{path}");
        }
        for path in [
            "//a",
            "/a//b",
            "/a/../b",
            "/a/.",
            "/..",
            "/%2e%2E/a",
            "/a%2fb",
            "/a\\b",
            "/a;b",
            "/%252e",
            "/a%5Cb",
            "/%00",
        ] {
            assert!(!is_plain(path), "{path}");
        }
    }

    fn asked_for(method: &str, uri: &str, fields: &[(&'static str, &'static str)]) -> HttpRequest {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        HttpRequest {
            channel: ChannelId(1),
            method: method.parse().expect("a method"),
            uri: uri.parse().expect("a path"),
            headers: fields.iter().map(field).collect(),
            kind: ExchangeKind::Plain,
            body: Default::default(),
            known: Default::default(),
        }
    }

    #[test]
    fn a_method_that_is_not_allowed_is_not_asked_for_in_another_way() {
        let allow = HttpAllow { methods: vec!["GET".to_owned(), "POST".to_owned()], ..HttpAllow::default() };
        let refused =
            |allow: &HttpAllow, uri, fields: &[_]| allowed(allow, "", &asked_for("POST", uri, fields)).is_err();
        for (uri, fields) in [
            ("/", &[("x-http-method-override", "DELETE")][..]),
            ("/", &[("x_http_method_override", "delete")]),
            ("/", &[("x-http-method", "GET"), ("x-method-override", " DELETE ")]),
            ("/?a=b&_method=delete", &[]),
            ("/?%5Fmethod=DEL%45TE", &[]),
        ] {
            assert!(refused(&allow, uri, fields), "{uri} {fields:?}");
            assert!(!refused(&HttpAllow::default(), uri, fields), "{uri} {fields:?}");
        }
        assert!(!refused(&allow, "/?method=delete", &[("x-http-method-override", "get")]));
    }

    #[test]
    fn no_path_leads_out_of_what_a_role_is_for() {
        let refused = |prefix, path| allowed(&HttpAllow::default(), prefix, &asked_for("GET", path, &[])).is_err();
        for path in ["/../a", "/a/..", "/%2e%2E/a", "/a/.%2e;x/a", "/..%2fa", "/a%5c..%5cb", "/%252e%252e/a", "/..;/a"]
        {
            assert!(refused("/app", path), "{path}");
            assert!(!refused("", path), "{path}");
        }
        for path in ["/", "/a//b", "/a;b", "/..a/b", "/a...", "/a%2fb"] {
            assert!(!refused("/app", path), "{path}");
        }
    }
}
