//! Calls of Vault's API, version 1.

use std::error::Error as _;
use std::path::Path;
use std::time::Duration;

use hoop_core::Secret;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Method, StatusCode};
use serde::Serialize;
use url::{Host, Url};

use super::trouble::Trouble;

/// How long one call may take.
const DEADLINE: Duration = Duration::from_secs(4);
/// The longest answer that is read.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
const TOKEN: &str = "x-vault-token";
const NAMESPACE: &str = "x-vault-namespace";
const REQUEST: &str = "x-vault-request";

/// A client of one Vault.
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
}

/// What Vault answers, where it is an answer to the question.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Secret<Vec<u8>>,
}

impl Client {
    /// # Errors
    /// One clause that names the setting.
    pub(super) fn new(address: &str, ca_file: Option<&Path>, namespace: Option<&str>) -> Result<Self, String> {
        let base = base(address)?;
        // A Vault Agent in between may ask for it, against requests that a browser is made to send.
        let mut headers = HeaderMap::from_iter([(HeaderName::from_static(REQUEST), HeaderValue::from_static("true"))]);
        if let Some(namespace) = namespace {
            let value = HeaderValue::from_str(namespace).map_err(|_| format!("namespace `{namespace}` is none"))?;
            headers.insert(NAMESPACE, value);
        }
        // The token is for this Vault, and not for where it points, nor for what is in between.
        let mut http = reqwest::Client::builder().redirect(Policy::none()).no_proxy().timeout(DEADLINE);
        if let Some(path) = ca_file {
            let file = path.display();
            let pem = std::fs::read(path).map_err(|error| format!("ca_file {file} cannot be read: {error}"))?;
            let authorities = Certificate::from_pem_bundle(&pem).unwrap_or_default();
            if authorities.is_empty() {
                return Err(format!("ca_file {file} holds no certificates"));
            }
            http = http.tls_certs_only(authorities);
        }
        let http = http.default_headers(headers).build().map_err(|error| format!("TLS cannot be set up: {error}"))?;
        Ok(Self { http, base })
    }

    /// Reads a path.
    pub(super) async fn get(&self, path: &str, token: &Secret<String>) -> Result<Answer, Trouble> {
        self.call(Method::GET, path, Some(token), None::<&()>).await
    }

    /// Writes to a path.
    pub(super) async fn post(
        &self,
        path: &str,
        token: Option<&Secret<String>>,
        body: &impl Serialize,
    ) -> Result<Answer, Trouble> {
        self.call(Method::POST, path, token, Some(body)).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&Secret<String>>,
        body: Option<&impl Serialize>,
    ) -> Result<Answer, Trouble> {
        let mut request = self.http.request(method, self.url(path));
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(token.expose()).map_err(|_| Trouble::NoToken)?;
            value.set_sensitive(true);
            request = request.header(TOKEN, value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = read(response).await?;
        match status.as_u16() {
            300..400 => Err(Trouble::Redirected),
            503 if contains(body.expose(), b"sealed") => Err(Trouble::Sealed),
            429 | 500.. => Err(Trouble::Unready(status.as_u16())),
            _ => Ok(Answer { status, body }),
        }
    }

    /// Names are escaped one by one, so that what is in one of them begins no other.
    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut().expect("an http address has a path").pop_if_empty().push("v1").extend(path.split('/'));
        url
    }
}

fn base(address: &str) -> Result<Url, String> {
    let url: Url = address.parse().map_err(|error| format!("address `{address}` is no URL: {error}"))?;
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if here => Ok(url),
        "http" => Err(format!("address {address} is not encrypted; http is for this machine alone, take https")),
        _ => Err(format!("address `{address}` is neither https nor http")),
    }
}

/// Reads into a place that does not move, so that all of it is overwritten afterwards.
async fn read(mut response: reqwest::Response) -> Result<Secret<Vec<u8>>, Trouble> {
    let mut body = zeroize::Zeroizing::new(Vec::with_capacity(MAX_ANSWER_BYTES));
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(Trouble::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Secret::new(std::mem::take(&mut *body)))
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

/// The innermost cause: those around it say no more.
fn unreachable(error: reqwest::Error) -> Trouble {
    if error.is_timeout() {
        return Trouble::Unreachable(format!("it does not answer in {DEADLINE:?}"));
    }
    let error = error.without_url();
    let (mut text, mut source) = (error.to_string(), error.source());
    while let Some(cause) = source {
        (text, source) = (cause.to_string(), cause.source());
    }
    Trouble::Unreachable(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_does_not_leave_the_machine_in_clear() {
        for address in ["https://vault.internal:8200", "http://127.0.0.1:8200", "http://localhost", "http://[::1]:8200"]
        {
            assert!(base(address).is_ok(), "{address}");
        }
        for address in ["http://vault.internal:8200", "http://localhost.example", "vault:8200", "file:///etc"] {
            assert!(base(address).is_err(), "{address}");
        }
    }

    #[test]
    fn a_name_stays_one_name() {
        let client = Client::new("https://vault.internal/behind/", None, None).expect("a client");
        let url = client.url("secret/data/a?b#c%2e%2e/d e").to_string();
        assert_eq!(url, "https://vault.internal/behind/v1/secret/data/a%3Fb%23c%252e%252e/d%20e");
    }

    #[test]
    fn authorities_that_cannot_be_used_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ca.pem");
        let new = || Client::new("https://vault.internal", Some(&file), None).expect_err("no authorities");
        assert!(new().contains("ca.pem cannot be read"), "{}", new());
        std::fs::write(&file, "no certificate").expect("written");
        assert!(new().contains("ca.pem holds no certificates"), "{}", new());
    }
}
