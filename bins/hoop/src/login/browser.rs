//! By the browser of this machine: it brings a code to a port of it, and the code is good for nobody else (RFC 8252, RFC 7636).

use std::future::IntoFuture as _;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hoop_gateway::auth::browser::challenge;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{CLIENT, PATIENCE, machine};
use crate::api::Api;
use crate::failure::Failure;

/// How long the browser may take for its last page, once it is known what that is.
const LAST_PAGE: Duration = Duration::from_secs(2);
const PATH: &str = "/callback";

/// What the browser brings.
#[derive(Deserialize)]
struct Brought {
    #[serde(default)]
    state: String,
    code: Option<String>,
}

/// The code, or that somebody has said no; and what the browser waits for: whether it worked.
struct Answer {
    code: Option<String>,
    worked: oneshot::Sender<bool>,
}

struct Waiting {
    /// Only the browser that was sent from here knows it.
    state: String,
    /// The page that says that it is done.
    done: String,
    answers: mpsc::Sender<Answer>,
}

/// Signs in, and gives what the gateway says to it.
pub(super) async fn sign_in(api: &Api) -> Result<Value, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let redirect_uri = format!("http://{}{PATH}", listener.local_addr()?);
    let (state, verifier) = (random(), random());
    open(&authorize(api.base(), &redirect_uri, &state, &verifier)?);
    let (answers, brought) = mpsc::channel(1);
    let done = format!("{}/done", api.base());
    let waiting = Arc::new(Waiting { state, done, answers });
    let stop = CancellationToken::new();
    let router = Router::new().route(PATH, get(callback)).with_state(waiting);
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let mut served = Box::pin(served.into_future());
    let done = tokio::select! {
        done = timeout(PATIENCE, redeem(api, brought, &redirect_uri, &verifier)) => done.unwrap_or_else(|_| Err(super::late())),
        ended = &mut served => Err(ended.err().map_or_else(|| Failure::new(1, "nothing listens any more"), Failure::from)),
    };
    stop.cancel();
    // A browser that holds a connection open for nothing is not waited for.
    let _ = timeout(LAST_PAGE, served).await;
    done
}

/// The link is always said: the browser may be another one, or none may open.
fn open(url: &Url) {
    eprintln!("Sign in with your browser:\n\n    {url}\n");
    if open::that_detached(url.as_str()).is_err() {
        eprintln!("No browser could be opened; open the link yourself on this machine, or use hoop login --device.");
    }
}

fn authorize(base: &str, redirect_uri: &str, state: &str, verifier: &str) -> Result<Url, Failure> {
    let mut url = Url::parse(&format!("{base}/authorize"))?;
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", CLIENT)
        .append_pair("redirect_uri", redirect_uri)
        .append_pair("code_challenge", &challenge(verifier))
        .append_pair("code_challenge_method", "S256")
        .append_pair("state", state);
    if let Some(machine) = machine() {
        url.query_pairs_mut().append_pair("client_name", &machine);
    }
    Ok(url)
}

/// 256 bits as a verifier has them (RFC 7636 §4.1).
fn random() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

async fn redeem(
    api: &Api,
    mut brought: mpsc::Receiver<Answer>,
    redirect_uri: &str,
    verifier: &str,
) -> Result<Value, Failure> {
    let answer = brought.recv().await.ok_or_else(|| Failure::new(1, "nothing listens any more"))?;
    let Some(code) = answer.code else {
        let _ = answer.worked.send(true);
        return Err(Failure::new(Failure::DENIED, "the sign-in was denied in the browser"));
    };
    let body = json!({
        "grant_type": "authorization_code",
        "client_id": CLIENT,
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": verifier,
    });
    let signed_in = api.post("/api/v1/auth/token", &body).await;
    // The browser may be gone; that is its own affair.
    let _ = answer.worked.send(signed_in.is_ok());
    signed_in
}

async fn callback(State(waiting): State<Arc<Waiting>>, Query(brought): Query<Brought>) -> Response {
    let (worked, told) = oneshot::channel();
    if brought.state != waiting.state {
        // Somebody else's link: the right answer may still come.
        return (StatusCode::BAD_REQUEST, "This is not the sign-in that hoop waits for.\n").into_response();
    }
    if waiting.answers.send(Answer { code: brought.code, worked }).await.is_err() {
        return (StatusCode::GONE, "hoop does not wait for a sign-in any more.\n").into_response();
    }
    match told.await {
        Ok(true) => Redirect::to(&waiting.done).into_response(),
        _ => (StatusCode::BAD_GATEWAY, "The sign-in did not work; the terminal says why.\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_everything_and_no_secret() {
        let verifier = random();
        let url = authorize("https://gw.example.com", "http://127.0.0.1:4/callback", "s", &verifier).expect("a link");
        let pairs: std::collections::BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!((pairs["redirect_uri"].as_str(), pairs["state"].as_str()), ("http://127.0.0.1:4/callback", "s"));
        assert_eq!(pairs["code_challenge"], challenge(&verifier));
        assert!(!url.as_str().contains(&verifier) && verifier.len() == 43);
    }
}
