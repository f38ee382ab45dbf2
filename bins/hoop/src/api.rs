//! The gateway's API, as a client.

use std::time::{Duration, Instant};

use reqwest::header::IF_MATCH;
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use crate::failure::Failure;
use crate::gateway::Remote;
use crate::place::{Admin, Place};
use crate::trust::{self, Trust};

/// How long the gateway may take for an answer.
const DEADLINE: Duration = Duration::from_secs(30);
/// Items that are asked for at once.
const PAGE: usize = 200;

/// A client that may be signed in.
pub(crate) struct Api {
    client: Client,
    base: String,
    trust: Trust,
    token: String,
    allow_http: bool,
    verbose: bool,
}

impl Api {
    /// Nobody is signed in yet.
    pub(crate) fn new(base: &str, trust: &Trust) -> Result<Self, Failure> {
        let mut client = Client::builder().connect_timeout(DEADLINE).read_timeout(DEADLINE).no_proxy();
        // A password is for whom it was typed for, and not for where that one points.
        client = client.redirect(reqwest::redirect::Policy::none());
        // Without TLS the authorities of this machine need not be read.
        let tls = if base.starts_with("http:") { Some(trust::no_tls()?) } else { trust.client_config()? };
        if let Some(tls) = tls {
            client = client.tls_backend_preconfigured(tls);
        }
        let (client, base, trust) = (client.build()?, base.to_owned(), trust.clone());
        Ok(Self { client, base, trust, token: String::new(), allow_http: false, verbose: false })
    }

    /// With the token of a gateway.
    pub(crate) fn of_remote(remote: &Remote) -> Result<Self, Failure> {
        let Some((token, _)) = &remote.token else {
            let text = format!("not signed in to {}", remote.url);
            return Err(Failure::new(Failure::NOT_SIGNED_IN, text).hint(format!("hoop login {}", remote.url)));
        };
        Ok(Self::new(&remote.url, &remote.trust)?.with_token(token.expose()).allow_http(remote.allow_http))
    }

    /// Signs in at the gateway of this place.
    pub(crate) async fn of(place: &Place) -> Result<Self, Failure> {
        let mut api = Self::new(&place.api, &Trust::default())?;
        let Admin { user, password } = &place.admin;
        api.sign_in(user, password).await?;
        Ok(api)
    }

    /// Signs in, and gives what the gateway says to it.
    pub(crate) async fn sign_in(&mut self, user: &str, password: &str) -> Result<Value, Failure> {
        let signed_in = self.post("/api/v1/login", &json!({ "user": user, "password": password })).await?;
        self.token = signed_in["token"].as_str().unwrap_or_default().to_owned();
        Ok(signed_in)
    }

    #[must_use]
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.set_token(token);
        self
    }

    /// Is signed in with this from now on.
    pub(crate) fn set_token(&mut self, token: &str) {
        token.clone_into(&mut self.token);
    }

    /// Lets another machine be spoken to without encryption, as somebody has said.
    #[must_use]
    pub(crate) const fn allow_http(mut self, allow_http: bool) -> Self {
        self.allow_http = allow_http;
        self
    }

    /// Says every request on standard error; never what is in it.
    #[must_use]
    pub(crate) const fn verbose(mut self, verbose: bool) -> Self {
        self.verbose = verbose;
        self
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// How the gateway is recognized.
    pub(crate) const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Whom it is signed in as.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Whether another machine may be spoken to without encryption.
    pub(crate) const fn allows_http(&self) -> bool {
        self.allow_http
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.call(Method::DELETE, path, None).await
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let text = self.send(method, path, body).await?.text().await?;
        Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
    }

    /// Everything of a list, page by page.
    pub(crate) async fn all(&self, path: &str) -> Result<Vec<Value>, Failure> {
        self.some(path, usize::MAX, |_| true).await
    }

    /// The first of a list that are wanted, at most so many. The path may have a query.
    pub(crate) async fn some(
        &self,
        path: &str,
        most: usize,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Vec<Value>, Failure> {
        let query = if path.contains('?') { '&' } else { '?' };
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let after: String =
                cursor.map(|cursor: String| format!("&cursor={}", segment(&cursor))).unwrap_or_default();
            let mut page = self.get(&format!("{path}{query}limit={PAGE}{after}")).await?;
            if let Value::Array(items) = page["items"].take() {
                found.extend(items.into_iter().filter(|item| wanted(item)));
            }
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() || found.len() >= most {
                found.truncate(most);
                return Ok(found);
            }
        }
    }

    /// Writes the body of an answer somewhere, as it comes.
    pub(crate) async fn download(&self, path: &str, to: &mut (impl AsyncWrite + Unpin)) -> Result<(), Failure> {
        let mut response = self.send(Method::GET, path, None).await?;
        while let Some(chunk) = response.chunk().await? {
            to.write_all(&chunk).await?;
        }
        Ok(to.flush().await?)
    }

    /// An answer that is not a refusal.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Response, Failure> {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.base));
        if matches!(method, Method::PATCH | Method::DELETE) {
            // What is there is meant, whatever it is: nothing was read that it could differ from.
            request = request.header(IF_MATCH, "*");
        }
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let begun = Instant::now();
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if self.verbose {
            eprintln!("{method} {path} {} in {} ms", response.status().as_u16(), begun.elapsed().as_millis());
        }
        if response.status().is_success() { Ok(response) } else { Err(refusal(response).await) }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let text = format!("the gateway at {} does not answer: {}", self.base, innermost(error));
        Failure::new(Failure::UNAVAILABLE, text)
            .hint("is it running, and reachable from here? hoop doctor looks closer")
    }
}

/// What is behind an error: the outer ones only say that there was one.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    std::iter::successors(Some(error), |error| error.source()).last().map(ToString::to_string).unwrap_or_default()
}

/// A part of a path or a value in a query, safe whatever is in it (RFC 3986).
pub(crate) fn segment(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' => char::from(byte).to_string(),
        // A segment of dots alone would be taken for a folder.
        b'.' if text.bytes().any(|byte| byte != b'.') => ".".to_owned(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// What the gateway says, as RFC 9457 has it.
async fn refusal(response: Response) -> Failure {
    let status = response.status();
    let problem: Value = response.json().await.unwrap_or_default();
    let field = |name: &str| problem[name].as_str().map(crate::output::printable);
    let text = field("detail").or_else(|| field("title")).unwrap_or_else(|| status.to_string());
    let named = problem["code"].as_str().and_then(|code| code.parse().ok());
    let code = named.map_or_else(|| by_status(status), Failure::exit_code);
    let failure = Failure::new(code, text).named(named);
    match (code, field("hint")) {
        (Failure::NOT_SIGNED_IN, _) => failure.hint("hoop login"),
        (_, Some(hint)) if hint == "PUT /api/v1/me/password" => failure.hint("hoop login asks for a new one"),
        (_, Some(hint)) => failure.hint(hint),
        (_, None) => failure,
    }
}

/// The exit code where something in between answers, or a gateway of another version.
fn by_status(status: StatusCode) -> u8 {
    match status {
        StatusCode::UNAUTHORIZED => Failure::NOT_SIGNED_IN,
        StatusCode::FORBIDDEN => Failure::DENIED,
        StatusCode::NOT_FOUND => Failure::NOT_FOUND,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY => Failure::UNAVAILABLE,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn a_segment_stays_one() {
        for (text, expected) in
            [("ada@x.org", "ada%40x.org"), ("a/b?c", "a%2Fb%3Fc"), ("..", "%2E%2E"), ("é", "%C3%A9")]
        {
            assert_eq!(segment(text), expected);
        }
    }
}
