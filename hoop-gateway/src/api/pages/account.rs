//! `/`, `/password`, `/logout`: one's own account.

use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use hoop_core::Secret;
use serde::Deserialize;

use super::super::body::Parameters;
use super::super::cookie::WithCookie;
use super::super::html::{Form, Page};
use super::super::login::end;
use super::super::me::new_password;
use super::super::parts::Api;
use super::super::problem::Problem;
use super::super::route::{Caller, Permission, Routes, Source};
use super::super::users::percent_encode;
use super::{HOME, Sent, again, return_to, see, told};
use crate::store::User;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .page(Method::GET, "/", Permission::OwnAccount, home)
        .page(Method::GET, "/password", Permission::OwnAccount, show)
        .page(Method::POST, "/password", Permission::OwnAccount, change)
        .page(Method::POST, "/logout", Permission::OwnAccount, logout)
}

async fn home(caller: Caller) -> Response {
    if let Some(first) = comes_first(&caller.user, HOME) {
        return first;
    }
    let page = Page::new("Hoop").text(&format!("You are signed in as {}.", caller.user.name));
    let page = page.link("/device", "Sign a device in").link("/password", "Change the password");
    page.form(Form::to("/logout").button("Sign out")).into_response()
}

/// Where somebody goes whose password must be changed first; then it goes on `here`.
pub(super) fn comes_first(user: &User, here: &str) -> Option<Response> {
    user.must_change_password.then(|| see(&format!("/password?return_to={}", percent_encode(here))))
}

#[derive(Deserialize)]
struct Back {
    #[serde(default)]
    return_to: String,
}

#[derive(Deserialize)]
struct Change {
    current: String,
    new: String,
    again: String,
    #[serde(default)]
    return_to: String,
}

async fn show(caller: Caller, Parameters(back): Parameters<Back>) -> Page {
    let page = Page::new("Change the password");
    let page = match caller.user.must_change_password {
        true => page.text("The one that you have is good for nothing but to set another."),
        false => page,
    };
    form(page, &back.return_to)
}

fn form(page: Page, back: &str) -> Page {
    let form = Form::to("/password").hidden("return_to", return_to(back));
    let form = form.secret("Current password", "current", "current-password");
    let form =
        form.secret("New password", "new", "new-password").secret("New password, again", "again", "new-password");
    page.form(form.button("Change it"))
}

async fn change(State(api): State<Api>, source: Source, caller: Caller, Sent(sent): Sent<Change>) -> Response {
    let Change { current, new, again: typed, return_to: back } = sent;
    let (current, new, typed) = (Secret::new(current), Secret::new(new), Secret::new(typed));
    let done = match new.expose() == typed.expose() {
        true => new_password(&api, source, &caller, current, new).await,
        false => Err(Problem::field("/again", "the two passwords are not the same")),
    };
    match done {
        Ok(()) => see(return_to(&back)),
        Err(problem) => {
            let page = told(Page::new("Change the password"), &problem);
            again(form(page, &back), problem)
        }
    }
}

async fn logout(State(api): State<Api>, caller: Caller) -> Result<Response, Problem> {
    end(&api, &caller).await?;
    Ok(WithCookie::clear(see("/done")).into_response())
}
