//! `/setup`: the first administrator. Whoever runs the gateway has the token that it asks for.

use axum::extract::State;
use axum::http::Method;
use axum::response::Response;
use hoop_core::id::OrgId;
use hoop_core::{Code, Secret};
use serde::Deserialize;

use super::super::cookie;
use super::super::guard::GivenName;
use super::super::html::{Form, Page};
use super::super::login::{Browser, Given, issue};
use super::super::parts::Api;
use super::super::problem::Problem;
use super::super::route::{Permission, Routes, Source};
use super::super::users::check_name;
use super::login::enter;
use super::{HOME, Sent, again, told};
use crate::auth::{FirstAdminError, PasswordError, make_first};
use crate::changes::Subject;
use crate::store::User;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.page(Method::GET, "/setup", Permission::Public, show).page(
        Method::POST,
        "/setup",
        Permission::Public,
        set_up,
    )
}

/// Under which wrong tokens are counted: no user has this name.
const COUNTED_AS: &str = "\0set-up";

#[derive(Deserialize)]
struct SetUp {
    token: String,
    user: String,
    password: String,
    again: String,
}

async fn show(State(api): State<Api>) -> Result<Page, Problem> {
    still_empty(&api).await?;
    Ok(form(Page::new("Set Hoop up"), ""))
}

fn form(page: Page, user: &str) -> Page {
    let page = page.text(
        "On the gateway's machine, hoop-gateway setup-token shows the token. It makes you the first administrator.",
    );
    let form = Form::to("/setup").secret("Set-up token", "token", "off").field("User", "user", user, "username");
    let form = form.secret("Password", "password", "new-password").secret("Password, again", "again", "new-password");
    page.form(form.button("Become the administrator"))
}

async fn still_empty(api: &Api) -> Result<(), Problem> {
    match api.store.users().list(OrgId::DEFAULT, None, None, 1).await?.items.is_empty() {
        true => Ok(()),
        false => Err(set_up_already()),
    }
}

fn set_up_already() -> Problem {
    Problem::new(Code::NotFound, "this gateway is set up already").hint("sign in, or ask its administrator")
}

async fn set_up(
    State(api): State<Api>,
    source: Source,
    browser: Browser,
    Sent(sent): Sent<SetUp>,
) -> Given<Result<Response, Problem>> {
    let name = Some(GivenName::of(&sent.user));
    Given { name, answer: answer(&api, source, &browser, sent).await }
}

async fn answer(api: &Api, source: Source, browser: &Browser, sent: SetUp) -> Result<Response, Problem> {
    cookie::same_origin(&browser.uri, &browser.headers)?;
    cookie::is_kept(&browser.headers)?;
    still_empty(api).await?;
    let user = sent.user.clone();
    match first(api, source, sent).await {
        Ok(user) => {
            let (secret, signed_in) = issue(api, user).await?;
            Ok(enter(api, &secret, &signed_in, HOME))
        }
        Err(problem) => {
            let page = told(Page::new("Set Hoop up"), &problem);
            Ok(again(form(page, &user), problem))
        }
    }
}

/// Makes the administrator. Of several who come at once, the store lets one be the first.
async fn first(api: &Api, source: Source, sent: SetUp) -> Result<User, Problem> {
    let address = source.0.map(|source| source.ip());
    api.throttle.check(address, COUNTED_AS)?;
    if !api.setup_token.is(&Secret::new(sent.token)) {
        api.throttle.failed(address, COUNTED_AS);
        return Err(Problem::new(Code::LoginFailed, "the set-up token is wrong"));
    }
    check_name("/user", &sent.user)?;
    let (password, typed) = (Secret::new(sent.password), Secret::new(sent.again));
    if password.expose() != typed.expose() {
        return Err(Problem::field("/again", "the two passwords are not the same"));
    }
    let made = make_first(&*api.store, &api.passwords, &*api.clock, &sent.user, password, false).await;
    let user = made.map_err(refused)?.ok_or_else(set_up_already)?;
    api.changes.tell(user.org, Subject::User, user.id, Some(user.id), "created");
    Ok(user)
}

fn refused(error: FirstAdminError) -> Problem {
    match error {
        FirstAdminError::Store(error) => error.into(),
        FirstAdminError::Password(PasswordError::Hash) => Problem::new(Code::Internal, "the password cannot be hashed"),
        FirstAdminError::Password(error) => Problem::field("/password", error.to_string()),
    }
}
