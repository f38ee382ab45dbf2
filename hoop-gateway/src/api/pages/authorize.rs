//! `/authorize`: a program on the machine of the browser wants to be signed in (RFC 6749 §4.1 with RFC 7636 and RFC 8252). It is
//! asked for each time: a link alone lets nobody in.

use axum::extract::{RawQuery, State};
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use hoop_core::Code;
use serde::Deserialize;
use url::Url;

use super::super::auth::{ClientId, client};
use super::super::body::Parameters;
use super::super::html::{Form, Page};
use super::super::parts::Api;
use super::super::problem::Problem;
use super::super::route::{Caller, Permission, Routes, Source};
use super::account::comes_first;
use super::see;
use crate::auth::browser::{is_challenge, loopback};
use crate::store::Binding;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .page(Method::GET, "/authorize", Permission::OwnAccount, show)
        .page(Method::POST, "/authorize/approve", Permission::SignIn, approve)
        .page(Method::POST, "/authorize/deny", Permission::SignIn, deny)
}

/// What the program asks for. The forms have it in their address, so that it is checked again with what is decided.
#[derive(Deserialize)]
struct Asked {
    response_type: String,
    #[allow(dead_code, reason = "there is one, and it is asked for so that there can be others")]
    client_id: ClientId,
    client_name: Option<String>,
    redirect_uri: String,
    state: String,
    code_challenge: String,
    code_challenge_method: String,
}

impl Asked {
    /// Where the browser goes with the answer. Whatever is wrong is told here, and sent nowhere.
    fn redirect(&self) -> Result<Url, Problem> {
        let wrong = |what: &str| Problem::new(Code::InvalidRequest, what).hint("begin again: hoop login");
        if self.response_type != "code" || self.code_challenge_method != "S256" || !is_challenge(&self.code_challenge) {
            return Err(wrong("this link does not ask for a code with an S256 challenge"));
        }
        if !(1..=512).contains(&self.state.len()) {
            return Err(wrong("this link has no state, or too long a one"));
        }
        loopback(&self.redirect_uri).ok_or_else(|| wrong("this link does not lead back to the machine of the browser"))
    }

    /// To the program, with its state and this.
    fn back(&self, mut to: Url, name: &str, value: &str) -> Response {
        to.query_pairs_mut().append_pair(name, value).append_pair("state", &self.state);
        see(to.as_str())
    }
}

async fn show(
    caller: Caller,
    source: Source,
    RawQuery(query): RawQuery,
    Parameters(asked): Parameters<Asked>,
) -> Result<Response, Problem> {
    let (to, query) = (asked.redirect()?, query.unwrap_or_default());
    if let Some(first) = comes_first(&caller.user, &format!("/authorize?{query}")) {
        return Ok(first);
    }
    let program = client(asked.client_name.as_deref());
    let address = source.0.map_or_else(|| "an unknown address".to_owned(), |source| source.ip().to_string());
    let page = Page::new(&format!("{program} wants to sign in as you"))
        .facts(&[("You are", &caller.user.name), ("It says it is", &program), ("Your browser is at", &address)])
        .text("Approve only if you have just run hoop login on this machine.");
    let form = Form::to(format!("/authorize/approve?{query}")).button("Approve");
    let page = page.form(form.other_button("Deny", &format!("/authorize/deny?{query}")));
    Ok(page.leads_to(&to.origin().ascii_serialization()).into_response())
}

async fn approve(
    State(api): State<Api>,
    caller: Caller,
    source: Source,
    Parameters(asked): Parameters<Asked>,
) -> Result<Response, Problem> {
    let to = asked.redirect()?;
    let binding = Binding { redirect_uri: asked.redirect_uri.clone(), challenge: asked.code_challenge.clone() };
    let source = source.0.map(|source| source.to_string());
    let program = client(asked.client_name.as_deref());
    let code = api.browser_sign_ins.approve(&program, source, binding, &caller.token).await?;
    Ok(asked.back(to, "code", code.expose()))
}

async fn deny(Parameters(asked): Parameters<Asked>) -> Result<Response, Problem> {
    let to = asked.redirect()?;
    Ok(asked.back(to, "error", "access_denied"))
}
