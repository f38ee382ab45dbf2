//! Who may ask at a port of this machine that asks the gateway in somebody's name: programs, and pages that came from there. A
//! page of another origin reaches such a port, too, by its number or by a name of its own that it lets point here.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{HOST, HeaderName, HeaderValue, ORIGIN};
use hyper::http::uri::Authority;
use hyper::{Method, Request, StatusCode};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// What a request may call the port.
#[derive(Debug, Clone)]
pub(super) enum Own {
    /// By its address, or as `localhost`.
    Port(SocketAddr),
    /// As this, host and port.
    Name(String),
}

/// Why a request is not passed on.
pub(super) type Refusal = (StatusCode, &'static str);

impl Own {
    /// The name by which the port is asked, where nobody but its own pages and programs can have asked.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn asked<B>(&self, request: &Request<B>) -> Result<String, Refusal> {
        let name = self.named(request)?;
        from_own_page(request, &name)?;
        Ok(name)
    }

    fn named<B>(&self, request: &Request<B>) -> Result<String, Refusal> {
        let wrong = (StatusCode::MISDIRECTED_REQUEST, "hoop: this port leads to one role, and has no such name");
        let hosts = request.headers().get_all(HOST).iter().map(|host| Authority::try_from(host.as_bytes()).ok());
        let named: Option<Vec<_>> = hosts.chain(request.uri().authority().cloned().map(Some)).collect();
        let named = named.filter(|named| named.iter().all(|name| self.is(name))).ok_or(wrong)?;
        let first = named.first().ok_or(wrong)?;
        if named.iter().any(|other| other != first) {
            return Err(wrong);
        }
        Ok(first.as_str().to_ascii_lowercase())
    }

    fn is(&self, name: &Authority) -> bool {
        match self {
            Self::Name(own) => name.as_str().eq_ignore_ascii_case(own),
            Self::Port(address) => {
                let host = name.host().trim_matches(['[', ']']);
                let is_here = match host.parse::<IpAddr>() {
                    // Whoever writes an address means it; only a name can be made to point somewhere else.
                    Ok(ip) => ip == address.ip() || address.ip().is_unspecified(),
                    Err(_) => host.eq_ignore_ascii_case("localhost"),
                };
                is_here && !name.as_str().contains('@') && name.port_u16().unwrap_or(80) == address.port()
            }
        }
    }
}

/// As the gateway's own door has it for cookies.
fn from_own_page<B>(request: &Request<B>, name: &str) -> Result<(), Refusal> {
    let foreign = Err((StatusCode::FORBIDDEN, "hoop: a page of another origin asks for this in your name"));
    let text = |name: &HeaderName| request.headers().get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    if let Some(origin) = text(&ORIGIN) {
        return if origin.eq_ignore_ascii_case(&format!("http://{name}")) { Ok(()) } else { foreign };
    }
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD);
    match text(&SEC_FETCH_SITE) {
        // Programs say nothing of it.
        None | Some("same-origin" | "none") => Ok(()),
        // A link on another page, which the user followed.
        Some(_)
            if is_safe && text(&SEC_FETCH_MODE) == Some("navigate") && text(&SEC_FETCH_DEST) == Some("document") =>
        {
            Ok(())
        }
        Some(_) => foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(own: &Own, method: &str, uri: &str, fields: &[(&str, &str)]) -> Result<String, u16> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        own.asked(&request.body(()).expect("a request")).map_err(|(status, _)| status.as_u16())
    }

    fn port(address: &str) -> Own {
        Own::Port(address.parse().expect("an address"))
    }

    #[test]
    fn a_port_has_its_own_names_and_no_other() {
        for (own, host, expected) in [
            (port("127.0.0.1:8080"), "127.0.0.1:8080", Ok("127.0.0.1:8080")),
            (port("127.0.0.1:8080"), "LOCALHOST:8080", Ok("localhost:8080")),
            (port("[::1]:8080"), "[::1]:8080", Ok("[::1]:8080")),
            (port("127.0.0.1:80"), "localhost", Ok("localhost")),
            (port("0.0.0.0:8080"), "10.0.0.7:8080", Ok("10.0.0.7:8080")),
            (port("127.0.0.1:8080"), "10.0.0.7:8080", Err(421)),
            (port("127.0.0.1:8080"), "127.0.0.1:8081", Err(421)),
            (port("127.0.0.1:8080"), "localhost", Err(421)),
            (port("127.0.0.1:8080"), "localhost.evil.example:8080", Err(421)),
            (port("127.0.0.1:8080"), "evil.localhost:8080", Err(421)),
            (port("0.0.0.0:8080"), "rebound.evil.example:8080", Err(421)),
            (port("127.0.0.1:8080"), "user@127.0.0.1:8080", Err(421)),
            (port("127.0.0.1:8080"), "a b", Err(421)),
            (Own::Name("app.example.com".to_owned()), "App.example.com", Ok("app.example.com")),
            (Own::Name("app.example.com".to_owned()), "127.0.0.1:8080", Err(421)),
        ] {
            let expected = expected.map(str::to_owned);
            assert_eq!(asked(&own, "GET", "/", &[("host", host)]), expected, "{own:?} {host}");
        }
        let own = port("127.0.0.1:8080");
        assert_eq!(asked(&own, "GET", "/", &[]), Err(421));
        assert_eq!(asked(&own, "GET", "http://evil.example/", &[("host", "127.0.0.1:8080")]), Err(421));
        assert_eq!(asked(&own, "GET", "/", &[("host", "127.0.0.1:8080"), ("host", "localhost:8080")]), Err(421));
    }

    #[test]
    fn no_page_of_another_origin_is_heard() {
        let own = port("127.0.0.1:8080");
        let may = |method: &str, fields: &[(&str, &str)]| {
            asked(&own, method, "/", &[&[("host", "127.0.0.1:8080")], fields].concat()).is_ok()
        };
        assert!(may("POST", &[]) && may("POST", &[("origin", "http://127.0.0.1:8080")]));
        assert!(may("GET", &[("sec-fetch-site", "none")]) && may("GET", &[("sec-fetch-site", "same-origin")]));
        for origin in
            ["null", "http://127.0.0.1:8081", "http://localhost:8080", "https://127.0.0.1:8080", "http://evil.example"]
        {
            assert!(!may("GET", &[("origin", origin)]) && !may("OPTIONS", &[("origin", origin)]), "{origin}");
            assert!(!may("GET", &[("origin", origin), ("upgrade", "websocket")]), "{origin}");
        }
        let link = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        assert!(may("GET", &link) && !may("POST", &link));
        let image = [("sec-fetch-site", "same-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")];
        let frame = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
        assert!(!may("GET", &image) && !may("GET", &frame));
    }
}
