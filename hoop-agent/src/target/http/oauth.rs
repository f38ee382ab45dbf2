//! Tokens for the client itself ([RFC 6749 §4.4]).
//!
//! The endpoint is one more address that the agent dials: its owner's list of targets holds for it too.
//!
//! [RFC 6749 §4.4]: https://www.rfc-editor.org/rfc/rfc6749#section-4.4

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use hoop_core::{Code, Secret};
use hoop_proto::tunnel::v1::{HttpOauthClientCredentials, HttpTarget};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::allowed;
use super::dial::Dialer;
use super::failure;
use super::login::unusable;
use super::tls::{Offer, Tls};
use crate::agent::Settings;
use crate::error::TargetFailure;

/// How long the endpoint may take.
const DEADLINE: Duration = Duration::from_secs(15);
/// The longest answer of it that is read.
const MOST_ANSWER_BYTES: usize = 64 * 1024;
/// How long a token is used of which nobody says how long it is good.
const UNSAID: Duration = Duration::from_secs(300);
/// How long before its end a token is used no more.
const MARGIN: Duration = Duration::from_secs(30);

/// A client, and the token that it has.
pub(super) struct Oauth {
    endpoint: Dialer,
    url: Url,
    /// Its path and query, and its host, as a request has them.
    path: http::Uri,
    host: HeaderValue,
    client: HeaderValue,
    form: String,
    /// Locked while a token is asked for: whoever needs one too waits for the same.
    token: Mutex<Option<Token>>,
}

struct Token {
    authorization: HeaderValue,
    until: Instant,
    /// Whether the target refused the one before. If it does again, it is not the token that is wrong.
    second: bool,
    refused: bool,
}

#[derive(Deserialize)]
struct Answer {
    access_token: String,
    token_type: String,
    expires_in: Option<f64>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl Oauth {
    /// Nothing is dialled yet.
    pub(super) async fn new(
        said: &HttpOauthClientCredentials,
        secret: Secret<Vec<u8>>,
        target: &HttpTarget,
        settings: &Settings,
    ) -> Result<Self, TargetFailure> {
        let wrong = || unusable(format!("`{}` is no endpoint for tokens", said.token_url));
        let url: Url = said.token_url.parse().map_err(|_| wrong())?;
        let tls = match url.scheme() {
            "https" => Some(Tls::beside(target).await?),
            "http" => None,
            _ => return Err(wrong()),
        };
        // What a URL may be, such as very long, a request need not.
        let path = url[url::Position::BeforePath..url::Position::AfterQuery].parse().map_err(|_| wrong())?;
        let field = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let host_field = HeaderValue::from_str(field).map_err(|_| wrong())?;
        let (host, port) = url.host_str().zip(url.port_or_known_default()).ok_or_else(wrong)?;
        let host = host.trim_matches(['[', ']']).to_owned();
        allowed(settings, &host, port.into())?;
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !said.scope.is_empty() {
            form.append_pair("scope", &said.scope);
        }
        Ok(Self {
            endpoint: Dialer::new(host, port, String::new(), tls),
            url,
            path,
            host: host_field,
            client: client(&said.client_id, &secret)?,
            form: form.finish(),
            token: Mutex::default(),
        })
    }

    /// What a request is authenticated with. A token that is not good any more is asked for anew.
    pub(super) async fn authorization(&self) -> Result<HeaderValue, TargetFailure> {
        let mut token = self.token.lock().await;
        if let Some(good) = token.as_ref().filter(|token| !token.refused && Instant::now() < token.until) {
            return Ok(good.authorization.clone());
        }
        let second = token.as_ref().is_some_and(|token| token.refused);
        let asked = timeout(DEADLINE, Box::pin(self.ask())).await;
        let answer = asked.unwrap_or_else(|_| {
            let reason = format!("{} gives no token in {DEADLINE:?}", self.url);
            Err(TargetFailure::new(Code::TargetTimeout, reason))
        })?;
        let new = Token { second, ..self.token(answer)? };
        let authorization = new.authorization.clone();
        *token = Some(new);
        Ok(authorization)
    }

    /// The target does not take it any more. It is asked for anew once; a second one that is refused is kept.
    pub(super) async fn refused(&self, used: &HeaderValue) {
        if let Some(token) = &mut *self.token.lock().await
            && token.authorization == used
            && !token.second
        {
            token.refused = true;
        }
    }

    fn token(&self, answer: Answer) -> Result<Token, TargetFailure> {
        if !answer.token_type.eq_ignore_ascii_case("bearer") {
            return Err(
                self.refusal(format!("it gives a token of the type {:?}, which is not served", answer.token_type))
            );
        }
        let good = answer.expires_in.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(UNSAID);
        // A token that is good for a short time is used for most of it.
        let used = good.saturating_sub(MARGIN).max(good / 2);
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", answer.access_token))
            .map_err(|_| self.refusal("it gives a token that no field can have"))?;
        authorization.set_sensitive(true);
        let until = Instant::now().checked_add(used).unwrap_or_else(|| Instant::now() + UNSAID);
        Ok(Token { authorization, until, second: false, refused: false })
    }

    async fn ask(&self) -> Result<Answer, TargetFailure> {
        let io = TokioIo::new(self.endpoint.dial(Offer::Http1).await?);
        let broken = |error: &hyper::Error| {
            TargetFailure::new(Code::TargetUnavailable, format!("{} broke the exchange off: {error}", self.url))
        };
        let (mut sender, connection) = http1::handshake(io).await.map_err(|error| broken(&error))?;
        let exchange = async {
            let response = sender.send_request(self.request()).await.map_err(|error| broken(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MOST_ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| failure::of(&*error))?.to_bytes();
            Ok((status, body))
        };
        // The connection is driven here, and ends with the answer.
        let (status, body) = tokio::select! {
            answer = exchange => answer?,
            Err(error) = async { connection.await?; std::future::pending::<Result<(), hyper::Error>>().await } => {
                return Err(broken(&error));
            }
        };
        self.read(status, &body)
    }

    fn read(&self, status: StatusCode, body: &Bytes) -> Result<Answer, TargetFailure> {
        if status == StatusCode::OK {
            return serde_json::from_slice(body)
                .map_err(|_| self.refusal("it answers with something else than a token"));
        }
        let said = serde_json::from_slice::<Refusal>(body).ok();
        let said = said.map(|refusal| format!(": {} {}", refusal.error, refusal.error_description)).unwrap_or_default();
        let said: String = said.trim_end().chars().filter(|c| !c.is_control()).take(300).collect();
        Err(self.refusal(format!("it answers {}{said}", status.as_u16())))
    }

    fn refusal(&self, why: impl std::fmt::Display) -> TargetFailure {
        TargetFailure::new(Code::TargetLoginFailed, format!("{} gives no token: {why}", self.url))
            .hint("check the role's login: token_url, client_id, scope and secret")
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(Bytes::from(self.form.clone())));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.path.clone();
        let headers = request.headers_mut();
        headers.insert(HOST, self.host.clone());
        headers.insert(AUTHORIZATION, self.client.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        request
    }
}

/// Client and secret, each encoded as in a form before they are put together (RFC 6749 §2.3.1).
fn client(id: &str, secret: &Secret<Vec<u8>>) -> Result<HeaderValue, TargetFailure> {
    let encoded = |bytes: &[u8]| byte_serialize(bytes).collect::<String>();
    let pair = Secret::new(format!("{}:{}", encoded(id.as_bytes()), encoded(secret.expose())));
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(pair.expose())))
        .map_err(|_| unusable("the client's secret is none"))?;
    value.set_sensitive(true);
    Ok(value)
}
