//! `/api/v1/auth/…`: how a program is signed in by somebody who has a browser. The flows are OAuth's (RFC 8628, RFC 6749 with
//! RFC 7636); bodies and refusals are those of this API, whose codes have OAuth's names.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hoop_core::Code;
use hoop_core::id::TokenId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::Body;
use super::describe::ShownOnce;
use super::guard::GivenName;
use super::login::{Given, SignedIn, ttl};
use super::parts::Api;
use super::problem::Problem;
use super::route::{Permission, Routes, Source};
use crate::auth::Approved;
use crate::auth::device::{Poll, shown};
use crate::auth::sign_in::whose;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .post("/api/v1/auth/device", Permission::Public, "Begins the sign-in of a device without a browser.", device)
        .post(
            "/api/v1/auth/token",
            Permission::Public,
            "Gives the token of a sign-in that somebody has approved; it shows a code of either flow.",
            token,
        )
        .may_refuse(&[StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN])
}

/// A program that signs people in. There is one; it is public, and nothing hangs on its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
pub(super) enum ClientId {
    #[serde(rename = "hoop-cli")]
    HoopCli,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BeginDevice {
    #[allow(dead_code, reason = "there is one, and it is asked for so that there can be others")]
    client_id: ClientId,
    /// The machine, for who approves; 64 characters of it are shown.
    client_name: Option<String>,
}

/// A sign-in that waits for somebody (RFC 8628).
#[derive(Serialize, ToSchema)]
struct DeviceAuthorization {
    /// For the device itself.
    device_code: String,
    /// For people.
    user_code: String,
    /// Where they type it in.
    verification_uri: String,
    /// Where it is typed in already.
    verification_uri_complete: String,
    /// Seconds.
    expires_in: u64,
    /// Seconds between two questions.
    interval: u64,
}

/// What else is in it is not looked at (RFC 6749 §3.2).
#[derive(Deserialize, ToSchema)]
#[serde(tag = "grant_type")]
enum Redeem {
    #[serde(rename = "authorization_code")]
    Code {
        #[allow(dead_code, reason = "there is one, and it is asked for so that there can be others")]
        client_id: ClientId,
        code: String,
        /// The one to which the browser brought it.
        redirect_uri: String,
        /// What the challenge was made of.
        code_verifier: String,
    },
    #[serde(rename = "urn:ietf:params:oauth:grant-type:device_code")]
    Device {
        #[allow(dead_code, reason = "there is one, and it is asked for so that there can be others")]
        client_id: ClientId,
        device_code: String,
    },
}

impl Redeem {
    fn code(&self) -> &str {
        match self {
            Self::Code { code, .. } => code,
            Self::Device { device_code, .. } => device_code,
        }
    }
}

/// What a program on a machine of this name is called.
pub(super) fn client(name: Option<&str>) -> String {
    match shown(name.unwrap_or_default()).as_str() {
        "" => "hoop".to_owned(),
        name => format!("hoop on {name}"),
    }
}

async fn device(
    State(api): State<Api>,
    source: Source,
    Body(begin): Body<BeginDevice>,
) -> Result<ShownOnce<Json<DeviceAuthorization>>, Problem> {
    let source = source.0.map(|source| source.to_string());
    let begun = api.device_sign_ins.begin(&client(begin.client_name.as_deref()), source).await?;
    let verification_uri = format!("{}/device", api.endpoints.pages);
    Ok(ShownOnce(Json(DeviceAuthorization {
        device_code: begun.device_code.expose().clone(),
        verification_uri_complete: format!("{verification_uri}?user_code={}", begun.user_code),
        user_code: begun.user_code,
        verification_uri,
        expires_in: begun.expires_in.as_secs(),
        interval: begun.interval.as_secs(),
    })))
}

/// In the trail is who is signed in, and whose code was refused. What has nobody behind it is not: codes that are guessed, and
/// questions that are asked every few seconds. A denial is there from when it was made.
async fn token(
    State(api): State<Api>,
    Body(redeem): Body<Redeem>,
) -> Given<Result<ShownOnce<Json<SignedIn>>, Problem>> {
    let (id, code) = (TokenId::new(&*api.clock), redeem.code().to_owned());
    let (user, answer) = match approved(&api, redeem, id).await {
        Ok(approved) => (Some(approved.user.clone()), sign_in(&api, approved, id).await),
        Err(problem) if problem.code() == Code::LoginFailed => (whose(&*api.store, &code).await, Err(problem)),
        Err(problem) => (None, Err(problem)),
    };
    Given { name: user.map(|user| GivenName::of(&user.name)), answer }
}

async fn approved(api: &Api, redeem: Redeem, id: TokenId) -> Result<Approved, Problem> {
    match redeem {
        Redeem::Code { code, redirect_uri, code_verifier, .. } => {
            let approved = api.browser_sign_ins.redeem(&code, &code_verifier, &redirect_uri, id).await?;
            approved.ok_or_else(refused)
        }
        Redeem::Device { device_code, .. } => match api.device_sign_ins.poll(&device_code, Some(id)).await? {
            Poll::Approved(approved) => Ok(*approved),
            Poll::Unknown => Err(refused()),
            Poll::Denied => Err(Problem::new(Code::AccessDenied, "the sign-in was denied on the gateway's page")),
            Poll::Expired => {
                Err(Problem::new(Code::ExpiredToken, "nobody has approved the sign-in in time").hint("begin again"))
            }
            Poll::Pending => Err(Problem::new(Code::AuthorizationPending, "nobody has approved the sign-in yet")),
            Poll::SlowDown(wait) => {
                let reason = format!("this was asked too early; ask every {} s from now on", wait.as_secs());
                Err(Problem::new(Code::SlowDown, reason))
            }
        },
    }
}

fn refused() -> Problem {
    Problem::new(Code::LoginFailed, "the code is unknown, was used, or is not good any more").hint("sign in again")
}

async fn sign_in(api: &Api, approved: Approved, id: TokenId) -> Result<ShownOnce<Json<SignedIn>>, Problem> {
    let signed_in = approved.sign_in(&*api.store, &*api.clock, id, ttl(api)).await?.ok_or_else(refused)?;
    let answer = SignedIn::new(signed_in.user, signed_in.expires_at).with_token(&signed_in.secret);
    Ok(ShownOnce(Json(answer)))
}

#[cfg(test)]
mod tests {
    use super::client;

    #[test]
    fn a_machine_is_called_what_it_says_within_limits() {
        for (name, shown) in [
            (None, "hoop"),
            (Some("  "), "hoop"),
            (Some("laptop"), "hoop on laptop"),
            (Some("a\u{202e}b\u{1b}[2J\nc"), "hoop on ab[2Jc"),
        ] {
            assert_eq!(client(name), shown);
        }
        assert_eq!(client(Some(&"x".repeat(1000))).len(), "hoop on ".len() + 64);
    }
}
