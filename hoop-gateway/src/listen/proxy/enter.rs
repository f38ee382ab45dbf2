//! How a browser gets a role's cookie: the gateway's own pages know who somebody is, and hand them over to the role's origin
//! with a code that is good once, for a minute, and for the browser that began ([RFC 7636]).
//!
//! [RFC 7636]: https://www.rfc-editor.org/rfc/rfc7636

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hoop_core::id::TokenId;
use hoop_core::{Code, Denial};
use http::header::{
    ACCEPT, CACHE_CONTROL, COOKIE, HeaderMap, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY, SET_COOKIE,
};
use http::{Method, Request, Response, StatusCode};
use url::form_urlencoded;

use super::origin::Asked;
use super::token::SESSION_COOKIE;
use super::{ProxyDoor, Visit};
use crate::auth::browser::challenge;
use crate::auth::credential::WEB_TOKEN_PREFIX;
use crate::auth::token::unavailable;
use crate::proxy::http::{Body, RequestBody, empty};

/// The paths of an origin that are the gateway's own.
pub(super) const OWN: &str = "/.hoop/";
const ENTER: &str = "/.hoop/enter";
const LEAVE: &str = "/.hoop/leave";
/// What a browser keeps while it is away to sign in: what the code is bound to, and where it wanted to go.
const STATE_COOKIE: &str = "__Host-hoop-state";
/// How long it may be away, in seconds.
const AWAY: u32 = 600;
/// The longest path that is remembered meanwhile, in bytes.
const PATH: usize = 1024;

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

impl ProxyDoor {
    /// The answer to a request for one of the gateway's own pages.
    ///
    /// # Errors
    /// The refusal.
    pub(super) async fn own_page(
        self: &Arc<Self>,
        request: &Request<RequestBody>,
        asked: &Asked,
        visit: &Visit,
    ) -> Result<Option<Response<Body>>, Denial> {
        let Some(role) = asked.role.as_deref().filter(|_| request.uri().path().starts_with(OWN)) else {
            return Ok(None);
        };
        match (request.method(), request.uri().path()) {
            (&Method::GET, ENTER) => {
                self.only_encrypted(visit, asked)?;
                self.enter(request, asked, role).await.map(Some)
            }
            (&Method::GET | &Method::POST, LEAVE) => self.leave(request, asked, visit).await.map(Some),
            _ => Err(Denial::new("gateway", Code::NotFound, "the gateway has no such page here")),
        }
    }

    /// Who has shown nothing: a person is sent to sign in, a program is told to.
    ///
    /// # Errors
    /// [`Code::Unauthenticated`] for a program.
    pub(super) fn sign_in<B>(&self, request: &Request<B>, asked: &Asked) -> Result<Response<Body>, Denial> {
        let text = |name: &HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
        let reads_pages = text(&ACCEPT).is_some_and(|accept| accept.contains("text/html"));
        let navigates = text(&SEC_FETCH_MODE).is_none_or(|mode| mode == "navigate") && request.method() == Method::GET;
        if asked.role.is_none() || !reads_pages || !navigates {
            return Err(Denial::new("gateway", Code::Unauthenticated, "the request has no token")
                .hint("send one in Authorization, Proxy-Authorization or Hoop-Token: hoop connect ROLE --print url"));
        }
        let random: [u8; 32] = rand::random();
        let verifier = BASE64_URL_SAFE_NO_PAD.encode(random);
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("redirect_uri", &format!("{}{ENTER}", asked.own()))
            .append_pair("code_challenge", &challenge(&verifier))
            .finish();
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let path = if path.len() <= PATH { path } else { "/" };
        let state = format!("{verifier}.{}", BASE64_URL_SAFE_NO_PAD.encode(path));
        let mut response = see_other(&format!("{}/enter?{query}", self.pages))?;
        set_cookie(response.headers_mut(), STATE_COOKIE, &state, AWAY)?;
        Ok(response)
    }

    /// A browser comes back with a code.
    async fn enter(&self, request: &Request<RequestBody>, asked: &Asked, role: &str) -> Result<Response<Body>, Denial> {
        let again = || {
            Denial::new("gateway", Code::LoginFailed, "this link to enter is not for this browser, or was used before")
                .hint("open the page itself again")
        };
        let query = request.uri().query().unwrap_or("");
        let code = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "code").ok_or_else(again)?.1;
        let state = cookie(request.headers(), STATE_COOKIE).ok_or_else(again)?;
        let (verifier, path) = state.split_once('.').ok_or_else(again)?;
        let path = BASE64_URL_SAFE_NO_PAD.decode(path).ok().and_then(|path| String::from_utf8(path).ok());
        let path = path.filter(|path| is_own_path(path)).unwrap_or_else(|| "/".to_owned());
        let redirect_uri = format!("{}{ENTER}", asked.own());
        let issued = TokenId::new(&*self.clock);
        let approved = self.sign_ins.redeem(&code, verifier, &redirect_uri, issued).await.map_err(unavailable)?;
        let approved = approved.ok_or_else(again)?;
        let store = &self.sessions.parts().store;
        let org = approved.user.org;
        let role = store.roles().by_name(org, role).await.map_err(unavailable)?;
        let role = role.ok_or_else(|| Denial::new("gateway", Code::RoleNotFound, "there is no such role"))?.role;
        let token = store.tokens().get(org, approved.by).await.map_err(unavailable)?.ok_or_else(again)?;
        let issued = self.credentials.issue(&approved.user, Some(&token), &role, self.credential_ttl).await?;
        let lasts = (issued.credential.expires_at - self.clock.now()).num_seconds().clamp(0, i64::from(u32::MAX));
        let value = format!("{WEB_TOKEN_PREFIX}{}.{}", issued.credential.login, issued.password.expose());
        tracing::info!(user = approved.user.name, role = %role.name, "browser entered");
        let mut response = see_other(&path)?;
        set_cookie(response.headers_mut(), SESSION_COOKIE, &value, u32::try_from(lasts).unwrap_or(u32::MAX))?;
        set_cookie(response.headers_mut(), STATE_COOKIE, "", 0)?;
        Ok(response)
    }

    /// A browser gives its cookie back; the session ends with it.
    async fn leave(
        &self,
        request: &Request<RequestBody>,
        asked: &Asked,
        visit: &Visit,
    ) -> Result<Response<Body>, Denial> {
        asked.only_itself(request)?;
        let token = cookie(request.headers(), SESSION_COOKIE).and_then(|value| super::token::Token::parse(&value));
        if let Some(token) = token {
            // Whoever guesses here is slowed down as anywhere else.
            let source = Some(visit.peer.ip());
            self.throttle.check(source, &token.login).map_err(Denial::from)?;
            let candidate = self.credentials.candidate(&token.login).await?;
            if candidate.is_proven_by(token.password.expose()) {
                self.credentials.revoke(candidate).await?;
                self.access.note_change();
            } else {
                self.throttle.failed(source, &token.login);
            }
        }
        let mut response = see_other(&self.pages)?;
        set_cookie(response.headers_mut(), SESSION_COOKIE, "", 0)?;
        // What was shown is not shown again to who comes after.
        response.headers_mut().insert(CLEAR_SITE_DATA, HeaderValue::from_static("\"cache\""));
        Ok(response)
    }
}

/// A browser gives up a cookie that is good for nothing any more.
pub(super) fn forget(headers: &mut HeaderMap) {
    // A name and a number make a value.
    let _ = set_cookie(headers, SESSION_COOKIE, "", 0);
}

/// A path of the same origin, whatever a browser makes of it.
fn is_own_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains(['\\', '\r', '\n', '\t'])
        && !path.starts_with(OWN)
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value.to_owned())
}

fn set_cookie(headers: &mut HeaderMap, name: &str, value: &str, seconds: u32) -> Result<(), Denial> {
    let cookie = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={seconds}");
    headers.append(SET_COOKIE, header(&cookie)?);
    Ok(())
}

fn see_other(to: &str) -> Result<Response<Body>, Denial> {
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, header(to)?);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

fn header(text: &str) -> Result<HeaderValue, Denial> {
    HeaderValue::try_from(text)
        .map_err(|_| Denial::new("gateway", Code::InvalidRequest, "the address cannot be written"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_led_to_its_own_origin_alone() {
        for path in ["/", "/a?b=c", "/a/../b"] {
            assert!(is_own_path(path), "{path}");
        }
        for path in
            ["", "a", "//evil.example", "/\\evil.example", "/\t/evil.example", "https://evil.example", "/.hoop/leave"]
        {
            assert!(!is_own_path(path), "{path}");
        }
    }
}
