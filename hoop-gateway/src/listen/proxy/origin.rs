//! Which role a request is for, by the host that it names, and which pages may make a browser ask.

use std::net::{IpAddr, SocketAddr};

use hoop_core::role::{HostField, HttpTarget};
use hoop_core::{Code, Denial};
use http::header::{HOST, HeaderName, HeaderValue, ORIGIN};
use http::uri::Authority;
use http::{Method, Request, Version};
use url::Url;

use crate::proxy::http::Origin;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// What the origins of roles have in common: a role is found at `<scheme>://<role>.<host>:<port>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    scheme: &'static str,
    host: String,
    port: Option<u16>,
}

/// What a request is for.
pub(super) struct Asked {
    /// How the client has named the gateway.
    pub(super) origin: Origin,
    /// The role, where the host names one.
    pub(super) role: Option<String>,
}

impl Default for Domain {
    fn default() -> Self {
        Self { scheme: "http", host: "localhost".to_owned(), port: None }
    }
}

impl Domain {
    /// Of the URL by which browsers find the door; each role is a name below its host.
    pub fn of(url: &str) -> Option<Self> {
        let url = Url::parse(url).ok()?;
        let scheme = match url.scheme() {
            "http" => "http",
            "https" => "https",
            _ => return None,
        };
        let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        let host = url.host_str().filter(|_| is_bare && url.username().is_empty())?;
        Some(Self { scheme, host: host.to_ascii_lowercase(), port: url.port() })
    }

    /// The origin of a role.
    pub fn origin(&self, role: &str) -> String {
        let Self { scheme, host, port } = self;
        match port {
            Some(port) => format!("{scheme}://{role}.{host}:{port}"),
            None => format!("{scheme}://{role}.{host}"),
        }
    }

    /// The role whose origin this is.
    pub fn role_at(&self, origin: &str) -> Option<String> {
        let url = Url::parse(origin).ok()?;
        let host = url.host_str()?;
        let role = host.strip_suffix(&self.host)?.strip_suffix('.').filter(|role| !role.is_empty())?;
        (self.origin(role) == url.origin().ascii_serialization()).then(|| role.to_owned())
    }

    /// What a request is for.
    ///
    /// # Errors
    /// [`Code::ProtocolViolation`] for one that names no host, or two.
    pub(super) fn asked<B>(&self, request: &Request<B>, scheme: Option<&'static str>) -> Result<Asked, Denial> {
        let authority = authority(request)?;
        let host = authority.host().to_ascii_lowercase();
        let role =
            host.strip_suffix(&self.host).and_then(|role| role.strip_suffix('.')).filter(|role| !role.is_empty());
        let scheme = scheme.unwrap_or(self.scheme);
        let role = role.map(str::to_owned);
        Ok(Asked { origin: Origin { scheme, authority: authority.as_str().to_ascii_lowercase() }, role })
    }

    /// Whether a request that names its host in its target is for this door, which is reached at `local`: who writes it so takes
    /// the door for a proxy that leads anywhere. A name in `Host` alone may be one that only the client knows, and over HTTP/2
    /// both look the same.
    ///
    /// # Errors
    /// [`Code::Misdirected`].
    pub(super) fn only_here<B>(&self, request: &Request<B>, local: Option<SocketAddr>) -> Result<(), Denial> {
        // CONNECT is refused for what it is.
        let in_full = request.version() < Version::HTTP_2 && request.method() != Method::CONNECT;
        let Some(named) = request.uri().authority().filter(|_| in_full) else { return Ok(()) };
        let host = named.host().to_ascii_lowercase();
        let below = host.strip_suffix(&self.host).is_some_and(|name| name.is_empty() || name.ends_with('.'));
        if below || local.is_some_and(|local| is_address(named, local)) {
            return Ok(());
        }
        let reason =
            format!("{host} is not reached through this port: it leads to the roles of this gateway, and nowhere else");
        let own = self.origin("ROLE");
        Err(Denial::new("gateway", Code::Misdirected, reason).hint(format!("ask for {own} itself, without a proxy")))
    }

    /// Whether a target that is asked as its client says may be asked so: it believes its own name. One that is neither the
    /// gateway's nor the role's could be anybody's, such as that of a page whose name was led here (DNS rebinding).
    ///
    /// # Errors
    /// [`Code::Misdirected`].
    pub(super) fn only_named(&self, asked: &Asked, role: &str, target: &HttpTarget) -> Result<(), Denial> {
        let host = asked.host();
        let is_own = asked.role.is_some() || host == self.host;
        if target.host == HostField::Target || is_own || target.hosts.iter().any(|named| named == host) {
            return Ok(());
        }
        let reason = format!("the role {role} is not asked as {host}");
        let own = self.origin(role);
        Err(Denial::new("gateway", Code::Misdirected, reason)
            .hint(format!("ask for {own}, or ask an administrator to add the name to the role's hosts")))
    }
}

fn is_address(named: &Authority, local: SocketAddr) -> bool {
    let host = named.host().trim_matches(['[', ']']).parse::<IpAddr>();
    host.is_ok_and(|host| host == local.ip().to_canonical()) && named.port_u16() == Some(local.port())
}

fn authority<B>(request: &Request<B>) -> Result<Authority, Denial> {
    let wrong = |what: &str| Denial::new("gateway", Code::ProtocolViolation, format!("the request {what}"));
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = match hosts.next().map(|host| Authority::try_from(host.as_bytes())) {
        None => None,
        Some(Ok(host)) if host.as_str().contains('@') => return Err(wrong("has a Host with a user in it")),
        Some(Ok(host)) => Some(host),
        Some(Err(_)) => return Err(wrong("has a Host that is none")),
    };
    if hosts.next().is_some() {
        return Err(wrong("has more than one Host"));
    }
    let named = request.uri().authority().cloned();
    match (named, host) {
        (Some(named), Some(host)) if !named.as_str().eq_ignore_ascii_case(host.as_str()) => {
            Err(wrong("names one host in its target and another in Host"))
        }
        (Some(named), _) if named.as_str().contains('@') => Err(wrong("has a target with a user in it")),
        (Some(authority), _) | (None, Some(authority)) => Ok(authority),
        (None, None) => Err(wrong("names no host")),
    }
}

impl Asked {
    /// The origin that was asked.
    pub(super) fn own(&self) -> String {
        format!("{}://{}", self.origin.scheme, self.origin.authority)
    }

    /// The host, in lower case and without its port; an address of version 6 without its brackets.
    fn host(&self) -> &str {
        let authority = self.origin.authority.as_str();
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => authority,
        };
        host.trim_matches(['[', ']'])
    }

    /// Whether the host is one where this role is found. A host that is no role's is the door's own, for programs.
    pub(super) fn is_for(&self, role: &str) -> Result<(), Denial> {
        match &self.role {
            Some(asked) if asked != role => {
                let reason = format!("this token is for the role {role}, and not for {asked}");
                Err(Denial::new("gateway", Code::AccessDenied, reason).hint("get a token for that role: hoop connect"))
            }
            _ => Ok(()),
        }
    }

    /// As [`only_own_pages`](Self::only_own_pages), where also a link on another page would do what nobody meant.
    ///
    /// # Errors
    /// [`Code::CrossSite`].
    pub(super) fn only_itself<B>(&self, request: &Request<B>) -> Result<(), Denial> {
        self.only_own_pages(request)?;
        match request.headers().get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
            None | Some(b"same-origin" | b"none") => Ok(()),
            Some(_) => Err(cross_site()),
        }
    }

    /// Whether it is the role's own page that makes a browser ask, or its user: cookies come with whatever any page asks for,
    /// and pages of other roles are of the same site.
    ///
    /// # Errors
    /// [`Code::CrossSite`].
    pub(super) fn only_own_pages<B>(&self, request: &Request<B>) -> Result<(), Denial> {
        let refuse = || Err(cross_site());
        if self.role.is_none() {
            return refuse();
        }
        let text = |name: &HeaderName| request.headers().get(name).map(|value| value.to_str().unwrap_or("?"));
        if let Some(origin) = text(&ORIGIN) {
            return if origin.eq_ignore_ascii_case(&self.own()) { Ok(()) } else { refuse() };
        }
        let is_safe = matches!(*request.method(), Method::GET | Method::HEAD);
        match text(&SEC_FETCH_SITE) {
            Some("same-origin" | "none") => Ok(()),
            // A link on another page, which the user followed.
            Some(_)
                if is_safe
                    && text(&SEC_FETCH_MODE) == Some("navigate")
                    && text(&SEC_FETCH_DEST) == Some("document") =>
            {
                Ok(())
            }
            Some(_) => refuse(),
            // Browsers that say neither are old, or ask over plain HTTP of another machine: they say Origin where it matters.
            None if is_safe && !request.headers().contains_key(http::header::UPGRADE) => Ok(()),
            None => refuse(),
        }
    }
}

fn cross_site() -> Denial {
    Denial::new("gateway", Code::CrossSite, "a page of another origin asks for this in your name")
        .hint("open it by itself")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, uri: &str, fields: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request")
    }

    fn domain() -> Domain {
        Domain::of("https://apps.example.com").expect("a URL")
    }

    #[test]
    fn a_host_names_a_role() {
        for (host, role) in [
            ("billing.apps.example.com", Some("billing")),
            ("Billing.APPS.example.com", Some("billing")),
            ("billing.apps.example.com:443", Some("billing")),
            ("a.b.apps.example.com", Some("a.b")),
            ("apps.example.com", None),
            (".apps.example.com", None),
            ("billingapps.example.com", None),
            ("billing.apps.example.com.evil.example", None),
            ("127.0.0.1:18888", None),
        ] {
            let asked = domain().asked(&request("GET", "/", &[("host", host)]), None).expect("a host");
            assert_eq!(asked.role.as_deref(), role, "{host}");
        }
    }

    #[test]
    fn one_host_and_no_other() {
        let refused = |uri: &str, fields: &[(&str, &str)]| domain().asked(&request("GET", uri, fields), None).is_err();
        assert!(refused("/", &[]));
        assert!(refused("/", &[("host", "a.apps.example.com"), ("host", "b.apps.example.com")]));
        assert!(refused("/", &[("host", "user@a.apps.example.com")]));
        assert!(refused("/", &[("host", "a b")]));
        assert!(refused("http://a.apps.example.com/", &[("host", "b.apps.example.com")]));
        assert!(!refused("http://a.apps.example.com/", &[("host", "A.apps.example.com")]));
    }

    #[test]
    fn a_door_is_no_proxy_to_other_hosts() {
        let local = Some(([10, 0, 0, 7], 18888).into());
        let refused =
            |uri: &str| domain().only_here(&request("GET", uri, &[]), local).map_err(|denial| denial.code).err();
        for own in ["/a", "http://billing.apps.example.com/a", "http://APPS.example.com:1/", "http://10.0.0.7:18888/"] {
            assert_eq!(refused(own), None, "{own}");
        }
        for foreign in [
            "http://other.example/",
            "http://billingapps.example.com/",
            "http://billing.apps.example.com.evil.example/",
            "http://10.0.0.7/",
            "http://10.0.0.7:80/",
            "http://10.0.0.8:18888/",
        ] {
            assert_eq!(refused(foreign), Some(Code::Misdirected), "{foreign}");
        }
        let mut over_http2 = request("GET", "http://other.example/", &[]);
        *over_http2.version_mut() = Version::HTTP_2;
        assert!(domain().only_here(&over_http2, local).is_ok(), "a client has a name of its own for the door");
        assert!(domain().only_here(&request("GET", "http://10.0.0.7:18888/", &[]), None).is_err());
        assert!(domain().only_here(&request("CONNECT", "other.example:443", &[]), local).is_ok());
    }

    #[test]
    fn origins_are_those_of_roles() {
        assert_eq!(domain().role_at("https://billing.apps.example.com").as_deref(), Some("billing"));
        let local = Domain::of("http://localhost:18888").expect("a URL");
        assert_eq!(local.role_at(&local.origin("shop")).as_deref(), Some("shop"));
        for wrong in [
            "http://billing.apps.example.com",
            "https://billing.apps.example.com:8443",
            "https://apps.example.com",
            "https://evil.example",
            "https://billing.apps.example.com.evil.example",
            "billing",
        ] {
            assert_eq!(domain().role_at(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_target_is_asked_as_the_gateway_or_its_role_has_named_it() {
        let target = |host: &str| {
            let hosts = serde_json::json!(["app.example.org", "::1", "10.0.0.5"]);
            let target = serde_json::json!({ "url": "http://app", "host": host, "hosts": hosts });
            serde_json::from_value::<HttpTarget>(target).expect("a target")
        };
        let refused = |host: &str, whose: &str| {
            let asked = domain().asked(&request("GET", "/", &[("host", host)]), None).expect("a host");
            domain().only_named(&asked, "a", &target(whose)).err().map(|denial| denial.code)
        };
        for named in [
            "a.apps.example.com",
            "A.apps.example.com:8443",
            "apps.example.com",
            "app.example.org",
            "APP.example.org:443",
            "[::1]:18888",
            "[::1]",
            "10.0.0.5:18888",
        ] {
            assert_eq!(refused(named, "client"), None, "{named}");
        }
        for foreign in [
            "evil.example",
            "127.0.0.1:18888",
            "localhost",
            "apps.example.com.evil.example",
            "xapp.example.org",
            "app.example.org.",
            "[::2]",
        ] {
            assert_eq!(refused(foreign, "client"), Some(Code::Misdirected), "{foreign}");
            assert_eq!(refused(foreign, "target"), None, "{foreign} is not passed on");
        }
    }

    #[test]
    fn no_page_of_another_origin_asks_in_a_user_s_name() {
        let may = |method: &str, fields: &[(&str, &str)]| {
            let fields = [&[("host", "a.apps.example.com")], fields].concat();
            let request = request(method, "/", &fields);
            domain().asked(&request, None).expect("a host").only_own_pages(&request).is_ok()
        };
        let own = ("origin", "https://a.apps.example.com");
        let sibling = ("origin", "https://b.apps.example.com");
        assert!(may("POST", &[own]) && may("GET", &[own, ("upgrade", "websocket")]));
        assert!(
            !may("POST", &[sibling]) && !may("GET", &[sibling, ("upgrade", "websocket")]) && !may("GET", &[sibling])
        );
        assert!(!may("POST", &[("origin", "null")]) && !may("POST", &[]) && !may("GET", &[("upgrade", "websocket")]));
        assert!(may("GET", &[]) && may("GET", &[("sec-fetch-site", "none")]));
        assert!(may("GET", &[("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")]));
        let link = [("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        assert!(may("GET", &link) && !may("POST", &link));
        let leaves = |site| {
            let fields = [("host", "a.apps.example.com"), ("sec-fetch-site", site), link[1], link[2]];
            let request = request("GET", "/", &fields);
            domain().asked(&request, None).expect("a host").only_itself(&request).is_ok()
        };
        assert!(leaves("same-origin") && leaves("none") && !leaves("same-site") && !leaves("cross-site"));
        let frame = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
        assert!(!may("GET", &frame));
        assert!(!may(
            "GET",
            &[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")]
        ));
    }
}
