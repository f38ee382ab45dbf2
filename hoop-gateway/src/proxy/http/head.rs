//! Heads in the words of the tunnel, and what of them is read differently on both sides of the gateway.

use bytes::Bytes;
use hoop_core::role::{HostField, HttpTarget};
use hoop_core::{Code, Denial, HttpRequest};
use hoop_proto::tunnel::v1::{self, HttpField};
use http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALT_SVC, CONTENT_LENGTH,
    CONTENT_LOCATION, HeaderMap, HeaderName, HeaderValue, LOCATION, ORIGIN, REFERER, SET_COOKIE, VARY,
};

use super::coding::Coding;
use crate::session::HttpUrl;

/// What a target says of pages of other origins.
const CORS: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];

/// Most fields of a head that comes from a target.
const MOST_FIELDS: usize = 200;

/// The gateway's own cookies begin like this; they go to no target and come from none.
pub(crate) const OWN_COOKIES: &str = "__Host-hoop";

/// The length of the body that a head announces, where it does.
pub(super) fn length(fields: &HeaderMap) -> Option<u64> {
    fields.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok())
}

/// How a client has named the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    /// As in `Host`.
    pub(crate) authority: String,
}

impl Origin {
    fn text(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }
}

/// Both names of a service: the one it has for clients, and the one it has itself.
pub(super) struct Names<'a> {
    pub(super) client: &'a Origin,
    pub(super) target: &'a HttpTarget,
    pub(super) url: &'a HttpUrl,
}

impl Names<'_> {
    /// The value of `Host` that the target gets.
    pub(super) fn authority(&self) -> String {
        match self.target.host {
            HostField::Target => self.url.authority.clone(),
            HostField::Client => self.client.authority.clone(),
        }
    }

    fn own(&self) -> String {
        format!("{}://{}", self.url.scheme, self.url.authority)
    }

    /// What a request says of where it was asked, as the target would say it.
    pub(super) fn request(&self, fields: &mut HeaderMap) {
        if let Some(accept) = fields.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()) {
            let acceptable = Coding::acceptable(accept);
            match HeaderValue::from_str(&acceptable) {
                Ok(value) if !acceptable.is_empty() => fields.insert(ACCEPT_ENCODING, value),
                _ => fields.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity")),
            };
        }
        if self.target.host == HostField::Client {
            return;
        }
        for name in [ORIGIN, REFERER] {
            rewrite(fields, &name, |value| moved(value, &self.client.text(), &self.own(), "", &self.url.prefix));
        }
    }

    /// What a response says of where it is, as the client would say it.
    pub(super) fn response(&self, fields: &mut HeaderMap) {
        // It would lead clients past the gateway.
        fields.remove(ALT_SVC);
        let cookies: Vec<_> = fields.get_all(SET_COOKIE).iter().filter_map(host_only).collect();
        fields.remove(SET_COOKIE);
        for cookie in cookies {
            fields.append(SET_COOKIE, cookie);
        }
        let prefix = &self.url.prefix;
        for name in [LOCATION, CONTENT_LOCATION] {
            rewrite(fields, &name, |value| {
                let within =
                    value.strip_prefix(prefix.as_str()).filter(|_| value.starts_with('/') && !prefix.is_empty());
                match within {
                    Some("") => Some("/".to_owned()),
                    Some(rest) if rest.starts_with(['/', '?', '#']) => Some(rest.to_owned()),
                    _ => moved(value, &self.own(), &self.client.text(), prefix, ""),
                }
            });
        }
        if self.target.cors.is_some() {
            // The door says who may read it.
            for name in CORS {
                fields.remove(name);
            }
            fields.append(VARY, HeaderValue::from_static("origin"));
        } else if self.target.host == HostField::Target {
            rewrite(fields, &ACCESS_CONTROL_ALLOW_ORIGIN, |value| {
                moved(value, &self.own(), &self.client.text(), "", "")
            });
        }
    }
}

/// A URL that begins with one origin and path, with another in their place; `None` for one that does not.
fn moved(value: &str, from: &str, to: &str, from_prefix: &str, to_prefix: &str) -> Option<String> {
    let rest = value.get(from.len()..).filter(|_| value[..from.len()].eq_ignore_ascii_case(from))?;
    if rest.is_empty() {
        return Some(to.to_owned());
    }
    if !rest.starts_with(['/', '?', '#']) {
        return None;
    }
    let rest = rest
        .strip_prefix(from_prefix)
        .filter(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
        .unwrap_or(rest);
    Some(format!("{to}{to_prefix}{rest}"))
}

fn rewrite(fields: &mut HeaderMap, name: &HeaderName, how: impl Fn(&str) -> Option<String>) {
    let rewritten = fields.get(name).and_then(|value| value.to_str().ok()).and_then(how);
    if let Some(value) = rewritten.and_then(|value| HeaderValue::from_str(&value).ok()) {
        fields.insert(name.clone(), value);
    }
}

/// A cookie for the origin that it comes through, and for no other. Those with the gateway's own names are dropped.
fn host_only(cookie: &HeaderValue) -> Option<HeaderValue> {
    let text = cookie.to_str().ok()?;
    let mut parts = text.split(';');
    let first = parts.next()?;
    let name = first.split('=').next()?.trim();
    if name.get(..OWN_COOKIES.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(OWN_COOKIES)) {
        return None;
    }
    let is_domain = |part: &&str| part.split('=').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("domain"));
    let kept = parts.filter(|part| !is_domain(part));
    let cookie = std::iter::once(first).chain(kept).collect::<Vec<_>>().join(";");
    HeaderValue::from_str(&cookie).ok()
}

/// The head as it goes to the agent; `authority` is the value of `Host`.
pub(super) fn request(head: &HttpRequest, prefix: &str, authority: String, bodiless: bool) -> v1::HttpRequest {
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    v1::HttpRequest {
        method: head.method.as_str().to_owned(),
        path: if prefix.is_empty() { path.to_owned() } else { format!("{prefix}{path}") },
        authority,
        fields: to_wire(&head.headers),
        bodiless,
        websocket: head.kind == hoop_core::ExchangeKind::WebSocket,
        grpc: matches!(head.kind, hoop_core::ExchangeKind::Grpc { .. }),
    }
}

pub(super) fn to_wire(fields: &HeaderMap) -> Vec<HttpField> {
    let field = |(name, value): (&HeaderName, &HeaderValue)| HttpField {
        name: name.as_str().to_owned(),
        value: Bytes::copy_from_slice(value.as_bytes()),
    };
    fields.iter().map(field).collect()
}

/// Fields that an agent passes on.
///
/// # Errors
/// [`Code::TargetLost`] for what are none, or too many.
pub(super) fn from_wire(fields: Vec<HttpField>) -> Result<HeaderMap, Denial> {
    if fields.len() > MOST_FIELDS {
        return Err(broken("has too many fields"));
    }
    let mut map = HeaderMap::with_capacity(fields.len());
    for HttpField { name, value } in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| broken("has a field without a proper name"))?;
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| broken("has a field without a proper value"))?;
        map.append(name, value);
    }
    Ok(map)
}

fn broken(what: &str) -> Denial {
    Denial::new("gateway", Code::TargetLost, format!("the answer of the target {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hoop_core::HttpAllow;

    fn target(host: HostField) -> HttpTarget {
        HttpTarget {
            url: "https://app.internal:8443/base".to_owned(),
            socket: None,
            version: Default::default(),
            sslrootcert: None,
            sslcert: None,
            sslkey: None,
            login: Default::default(),
            secret: None,
            aws_session_token: None,
            host,
            hosts: Vec::new(),
            identity: true,
            reflection: false,
            grpc_web: Default::default(),
            cors: None,
            health: None,
            allow: HttpAllow::default(),
        }
    }

    fn client() -> Origin {
        Origin { scheme: "https", authority: "app.hoop.example".to_owned() }
    }

    fn response(host: HostField, name: &'static str, value: &str) -> Vec<String> {
        let (client, target) = (client(), target(host));
        let url = HttpUrl::parse(&target.url).expect("a URL");
        let mut fields = HeaderMap::new();
        fields.insert(name, value.parse().expect("a value"));
        Names { client: &client, target: &target, url: &url }.response(&mut fields);
        fields.get_all(name).iter().map(|value| value.to_str().expect("text").to_owned()).collect()
    }

    #[test]
    fn a_service_is_found_where_the_client_has_found_it() {
        for (name, given, expected) in [
            ("location", "https://app.internal:8443/base/a?b#c", "https://app.hoop.example/a?b#c"),
            ("location", "HTTPS://APP.internal:8443/base", "https://app.hoop.example"),
            ("location", "https://app.internal:8443/other", "https://app.hoop.example/other"),
            ("location", "https://app.internal:84430/base/a", "https://app.internal:84430/base/a"),
            ("location", "https://app.internal:8443.evil.example/", "https://app.internal:8443.evil.example/"),
            ("location", "/base/a", "/a"),
            ("location", "/basement", "/basement"),
            ("location", "a/b", "a/b"),
            ("location", "https://elsewhere.example/", "https://elsewhere.example/"),
            ("access-control-allow-origin", "https://app.internal:8443", "https://app.hoop.example"),
            ("access-control-allow-origin", "*", "*"),
        ] {
            assert_eq!(response(HostField::Target, name, given), [expected], "{name}: {given}");
        }
    }

    #[test]
    fn what_a_target_says_of_other_origins_counts_where_the_role_says_nothing() {
        let (client, mut target) = (client(), target(HostField::Target));
        target.cors = Some(Default::default());
        let url = HttpUrl::parse(&target.url).expect("a URL");
        let mut fields = HeaderMap::new();
        for name in ["access-control-allow-origin", "access-control-allow-credentials", "access-control-allow-headers"]
        {
            fields.insert(name, HeaderValue::from_static("*"));
        }
        Names { client: &client, target: &target, url: &url }.response(&mut fields);
        assert_eq!((fields.len(), &fields[VARY]), (1, &HeaderValue::from_static("origin")));
    }

    #[test]
    fn cookies_are_of_one_role() {
        let cookie = |value| response(HostField::Target, "set-cookie", value);
        assert_eq!(cookie("a=b; Domain=internal; Path=/; HttpOnly"), ["a=b; Path=/; HttpOnly"]);
        assert_eq!(cookie("a=b; domain = x"), ["a=b"]);
        assert!(cookie("__Host-hoop=x").is_empty() && cookie(" __host-HOOP-state=x").is_empty());
    }

    #[test]
    fn a_target_is_asked_as_itself_unless_it_wants_to_know_the_client_s_name() {
        for (host, authority, origin) in [
            (HostField::Target, "app.internal:8443", "https://app.internal:8443"),
            (HostField::Client, "app.hoop.example", "https://app.hoop.example"),
        ] {
            let (client, target) = (client(), target(host));
            let url = HttpUrl::parse(&target.url).expect("a URL");
            let names = Names { client: &client, target: &target, url: &url };
            let mut fields = HeaderMap::new();
            fields.insert(ORIGIN, HeaderValue::from_static("https://app.hoop.example"));
            fields.insert(ACCEPT_ENCODING, HeaderValue::from_static("compress"));
            names.request(&mut fields);
            assert_eq!((names.authority().as_str(), &fields[ORIGIN]), (authority, &HeaderValue::from_static(origin)));
            assert_eq!(fields[ACCEPT_ENCODING], "identity");
        }
    }
}
