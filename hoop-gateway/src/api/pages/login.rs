//! `/login`, and where somebody is when they are done.

use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use hoop_core::Secret;
use hoop_core::id::OrgId;
use serde::Deserialize;

use super::super::body::Parameters;
use super::super::cookie::{self, WithCookie};
use super::super::guard::GivenName;
use super::super::html::{Form, Page};
use super::super::login::{Browser, Given, SignedIn, by_password};
use super::super::parts::Api;
use super::super::problem::Problem;
use super::super::route::{Permission, Routes, Source};
use super::super::users::percent_encode;
use super::{Sent, again, return_to, see, told};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .page(Method::GET, "/login", Permission::Public, show)
        .page(Method::POST, "/login", Permission::Public, login)
        .page(Method::GET, "/done", Permission::Public, done)
}

#[derive(Deserialize)]
struct Back {
    #[serde(default)]
    return_to: String,
}

#[derive(Deserialize)]
struct Login {
    user: String,
    password: String,
    #[serde(default)]
    return_to: String,
}

async fn show(State(api): State<Api>, Parameters(back): Parameters<Back>) -> Result<Page, Problem> {
    if api.store.users().list(OrgId::DEFAULT, None, None, 1).await?.items.is_empty() {
        let page = Page::new("Nobody can sign in yet").text("This gateway has no administrator.");
        return Ok(page.link("/setup", "Set it up"));
    }
    Ok(form(Page::new("Sign in to Hoop"), "", &back.return_to))
}

fn form(page: Page, user: &str, back: &str) -> Page {
    let form = Form::to("/login").field("User", "user", user, "username");
    let form = form.secret("Password", "password", "current-password").hidden("return_to", return_to(back));
    page.form(form.button("Sign in"))
}

async fn login(
    State(api): State<Api>,
    source: Source,
    browser: Browser,
    Sent(login): Sent<Login>,
) -> Given<Result<Response, Problem>> {
    let name = Some(GivenName::of(&login.user));
    Given { name, answer: sign_in(&api, source, &browser, login).await }
}

async fn sign_in(api: &Api, source: Source, browser: &Browser, login: Login) -> Result<Response, Problem> {
    // Otherwise a foreign page could sign a browser in as somebody else.
    cookie::same_origin(&browser.uri, &browser.headers)?;
    cookie::is_kept(&browser.headers)?;
    let Login { user, password, return_to: back } = login;
    match by_password(api, source, &user, Secret::new(password)).await {
        Ok((secret, signed_in)) => Ok(enter(api, &secret, &signed_in, &back)),
        Err(problem) => {
            let page = told(Page::new("Sign in to Hoop"), &problem);
            Ok(again(form(page, &user, &back), problem))
        }
    }
}

/// Goes back with the cookie; first to another password, where this one is good for nothing else.
pub(super) fn enter(api: &Api, secret: &Secret<String>, signed_in: &SignedIn, back: &str) -> Response {
    let to = match signed_in.must_change_password {
        true => format!("/password?return_to={}", percent_encode(return_to(back))),
        false => return_to(back).to_owned(),
    };
    WithCookie::set(see(&to), secret.expose(), api.settings.token_ttl.as_secs()).into_response()
}

async fn done() -> Page {
    Page::new("Done").text("You may close this window.")
}
