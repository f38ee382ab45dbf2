//! `/enter`: a browser that opened the origin of an HTTP role is let in there as who it is signed in here. It is led to origins of
//! roles alone, and the code that it takes along is of use only to the browser that began there.

use axum::extract::{RawQuery, State};
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use hoop_core::Code;
use serde::Deserialize;
use url::Url;

use super::super::body::Parameters;
use super::super::html::Page;
use super::super::parts::Api;
use super::super::problem::Problem;
use super::super::roles::{reach, reachable};
use super::super::route::{Caller, Permission, Routes, Source};
use super::account::comes_first;
use crate::auth::browser::is_challenge;
use crate::store::Binding;

/// The page of an origin that takes a code.
const ENTER: &str = "/.hoop/enter";

pub(super) fn routes(routes: Routes) -> Routes {
    routes.page(Method::GET, "/enter", Permission::Member, enter)
}

#[derive(Deserialize)]
struct Asked {
    redirect_uri: String,
    code_challenge: String,
}

async fn enter(
    State(api): State<Api>,
    caller: Caller,
    source: Source,
    RawQuery(query): RawQuery,
    Parameters(asked): Parameters<Asked>,
) -> Result<Response, Problem> {
    if let Some(first) = comes_first(&caller.user, &format!("/enter?{}", query.unwrap_or_default())) {
        return Ok(first);
    }
    let foreign = || Problem::new(Code::InvalidRequest, "this link does not lead to a role of this gateway");
    let origin = asked.redirect_uri.strip_suffix(ENTER).ok_or_else(foreign)?;
    let name = api.endpoints.web.role_at(origin).filter(|_| is_challenge(&asked.code_challenge)).ok_or_else(foreign)?;
    let role = reachable(&api, &caller, source, &name).await?.role;
    reach(&api, &caller, source, &role).await??;
    let mut to = Url::parse(&asked.redirect_uri).map_err(|_| foreign())?;
    let binding = Binding { redirect_uri: asked.redirect_uri, challenge: asked.code_challenge };
    let source = source.0.map(|source| source.to_string());
    let code = api.browser_sign_ins.approve(&format!("browser on {name}"), source, binding, &caller.token).await?;
    to.query_pairs_mut().append_pair("code", code.expose());
    Ok(Page::new(&format!("You are being taken to {name}")).goes_to(to.as_str()).into_response())
}
