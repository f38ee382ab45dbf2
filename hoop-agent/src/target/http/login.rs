//! How requests are authenticated. What a client sent in the same place does not reach the target.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hoop_core::{Code, Secret};
use hoop_proto::tunnel::v1::HttpTarget;
use hoop_proto::tunnel::v1::http_target::Login as Said;
use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderMap, HeaderValue, Request, StatusCode};

use super::body::RequestBody;
use super::cookie;
use super::oauth::Oauth;
use super::sigv4::Sigv4;
use crate::agent::Settings;
use crate::error::TargetFailure;

/// How a session's requests are authenticated.
pub(super) enum Login {
    /// Not at all.
    None,
    Field {
        name: HeaderName,
        value: HeaderValue,
    },
    Cookie {
        name: String,
        value: Secret<Vec<u8>>,
    },
    Oauth(Box<Oauth>),
    Sigv4(Box<Sigv4>),
}

/// What a request was authenticated with, where that can be found to be good no more.
pub(super) type Used = Option<HeaderValue>;

impl Login {
    /// As a role says, with its secrets.
    pub(super) async fn new(
        target: &HttpTarget,
        secret: Option<Secret<Vec<u8>>>,
        session_token: Option<Secret<Vec<u8>>>,
        settings: &Settings,
    ) -> Result<Self, TargetFailure> {
        let Some(said) = &target.login else { return Ok(Self::None) };
        let secret = secret.ok_or_else(|| {
            unusable("the role says how to log in, and has no secret for it").hint("name one in the role: secret")
        })?;
        Ok(match said {
            Said::Bearer(_) => Self::field(AUTHORIZATION, &[b"Bearer ".as_slice(), secret.expose()].concat())?,
            Said::Basic(basic) => Self::field(AUTHORIZATION, &basic_value(&basic.user, &secret))?,
            Said::Header(header) => {
                let name = HeaderName::from_bytes(header.name.as_bytes())
                    .map_err(|_| unusable(format!("{:?} is no name of a field", header.name)))?;
                Self::field(name, secret.expose())?
            }
            Said::Cookie(cookie) => Self::cookie(&cookie.name, secret)?,
            Said::OauthClientCredentials(said) => {
                Self::Oauth(Box::new(Oauth::new(said, secret, target, settings).await?))
            }
            Said::AwsSigv4(said) => Self::Sigv4(Box::new(Sigv4::new(said, &secret, session_token.as_ref())?)),
        })
    }

    fn field(name: HeaderName, value: &[u8]) -> Result<Self, TargetFailure> {
        let mut value = HeaderValue::from_bytes(value)
            .map_err(|_| unusable("the role's secret has characters that no field can have"))?;
        value.set_sensitive(true);
        Ok(Self::Field { name, value })
    }

    fn cookie(name: &str, value: Secret<Vec<u8>>) -> Result<Self, TargetFailure> {
        let allowed = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e);
        if HeaderName::from_bytes(name.as_bytes()).is_err() || !value.expose().iter().all(allowed) {
            return Err(unusable("the role's secret has characters that no cookie can have, or its name has"));
        }
        Ok(Self::Cookie { name: name.to_owned(), value })
    }

    /// Authenticates a request.
    pub(super) async fn apply(
        &self,
        request: Request<RequestBody>,
    ) -> Result<(Request<RequestBody>, Used), TargetFailure> {
        let mut request = request;
        match self {
            Self::None => {}
            Self::Field { name, value } => put(request.headers_mut(), name, value.clone()),
            Self::Cookie { name, value } => cookie::set(request.headers_mut(), name, value.expose()),
            Self::Oauth(oauth) => {
                let value = oauth.authorization().await?;
                put(request.headers_mut(), &AUTHORIZATION, value.clone());
                return Ok((request, Some(value)));
            }
            Self::Sigv4(sigv4) => {
                remove(request.headers_mut(), &AUTHORIZATION);
                return Ok((sigv4.sign(request).await?, None));
            }
        }
        Ok((request, None))
    }

    /// What the target has said to it.
    pub(super) async fn answered(&self, used: &Used, status: StatusCode) {
        if let (Self::Oauth(oauth), Some(used), StatusCode::UNAUTHORIZED) = (self, used, status) {
            oauth.refused(used).await;
        }
    }
}

fn basic_value(user: &str, secret: &Secret<Vec<u8>>) -> Vec<u8> {
    let pair = Secret::new([user.as_bytes(), b":", secret.expose()].concat());
    format!("Basic {}", BASE64_STANDARD.encode(pair.expose())).into_bytes()
}

fn put(headers: &mut HeaderMap, name: &HeaderName, value: HeaderValue) {
    remove(headers, name);
    headers.insert(name, value);
}

/// Removes a field, and those that a target may take for it: many do not tell `-` from `_` (RFC 3875 §4.1.18).
pub(super) fn remove(headers: &mut HeaderMap, name: &HeaderName) {
    let same = |other: &HeaderName| {
        let (a, b) = (other.as_str().bytes(), name.as_str().bytes());
        a.map(dashed).eq(b.map(dashed))
    };
    let alike: Vec<_> = headers.keys().filter(|other| same(other)).cloned().collect();
    for name in alike {
        headers.remove(name);
    }
}

const fn dashed(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte }
}

pub(super) fn unusable(reason: impl Into<String>) -> TargetFailure {
    TargetFailure::new(Code::SecretUnavailable, reason)
}
