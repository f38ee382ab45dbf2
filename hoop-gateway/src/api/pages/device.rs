//! `/device`: somebody types in the code that a device shows, sees who asks, and decides.

use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use hoop_core::Code;
use serde::Deserialize;

use super::super::body::Parameters;
use super::super::html::{Form, Page};
use super::super::parts::Api;
use super::super::problem::Problem;
use super::super::route::{Caller, Permission, Routes, Source};
use super::account::comes_first;
use super::{Sent, again, see, told};
use crate::auth::device::Asking;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .page(Method::GET, "/device", Permission::OwnAccount, show)
        .page(Method::POST, "/device", Permission::SignIn, ask)
        .page(Method::POST, "/device/approve", Permission::SignIn, approve)
        .page(Method::POST, "/device/deny", Permission::SignIn, deny)
}

#[derive(Deserialize)]
struct Typed {
    #[serde(default)]
    user_code: String,
}

/// Nothing is looked up yet: a link alone does nothing, and its code stands in no log.
async fn show(caller: Caller, Parameters(typed): Parameters<Typed>) -> Response {
    comes_first(&caller.user, "/device")
        .unwrap_or_else(|| form(Page::new("Sign a device in"), &typed.user_code).into_response())
}

fn form(page: Page, user_code: &str) -> Page {
    let page = page.text("Go on only with a code that you see on a device of your own.");
    let form = Form::to("/device").field("Code on the device", "user_code", user_code, "off");
    page.form(form.button("Go on"))
}

async fn ask(State(api): State<Api>, source: Source, caller: Caller, Sent(typed): Sent<Typed>) -> Response {
    match asking(&api, source, &caller, &typed.user_code).await {
        Ok(asking) => question(&caller, &asking, &typed.user_code).into_response(),
        Err(problem) => wrong(&typed.user_code, problem),
    }
}

fn question(caller: &Caller, asking: &Asking, user_code: &str) -> Page {
    let since = asking.since.format("%Y-%m-%d %H:%M:%S UTC").to_string();
    let facts = [
        ("It says it is", asking.client.as_str()),
        ("It asks from", asking.source.as_deref().unwrap_or("an unknown address")),
        ("It has asked at", since.as_str()),
    ];
    let page = Page::new(&format!("Let {} sign in as you?", asking.client)).facts(&facts);
    let page = page.text(&format!("It may then do whatever {} may.", caller.user.name));
    let form = Form::to("/device/approve").hidden("user_code", user_code);
    page.form(form.button("Approve").other_button("Deny", "/device/deny"))
}

fn wrong(user_code: &str, problem: Problem) -> Response {
    let page = told(Page::new("Sign a device in"), &problem);
    again(form(page, user_code), problem)
}

async fn asking(api: &Api, source: Source, caller: &Caller, user_code: &str) -> Result<Asking, Problem> {
    let guesses = Guesses::new(api, source, caller)?;
    api.device_sign_ins.asking(user_code).await?.ok_or_else(|| guesses.wrong())
}

async fn approve(State(api): State<Api>, source: Source, caller: Caller, Sent(typed): Sent<Typed>) -> Response {
    decided(decide(&api, source, &caller, &typed.user_code, true).await, &typed.user_code)
}

async fn deny(State(api): State<Api>, source: Source, caller: Caller, Sent(typed): Sent<Typed>) -> Response {
    decided(decide(&api, source, &caller, &typed.user_code, false).await, &typed.user_code)
}

fn decided(done: Result<(), Problem>, user_code: &str) -> Response {
    match done {
        Ok(()) => see("/done"),
        Err(problem) => wrong(user_code, problem),
    }
}

async fn decide(api: &Api, source: Source, caller: &Caller, user_code: &str, yes: bool) -> Result<(), Problem> {
    let guesses = Guesses::new(api, source, caller)?;
    let devices = &api.device_sign_ins;
    let done = match yes {
        true => devices.approve(user_code, &caller.token).await?,
        false => devices.deny(user_code, &caller.token).await?,
    };
    if done { Ok(()) } else { Err(guesses.wrong()) }
}

/// Codes are short: wrong ones are counted, for the address and for who tries them. A right one forgives nothing, since
/// anybody can get one for a device of their own.
struct Guesses<'a> {
    api: &'a Api,
    source: Source,
    /// No user has such a name.
    counted_as: String,
}

impl<'a> Guesses<'a> {
    fn new(api: &'a Api, source: Source, caller: &Caller) -> Result<Self, Problem> {
        let counted_as = format!("\0device\0{}", caller.user.name);
        api.throttle.check(source.0.map(|source| source.ip()), &counted_as)?;
        Ok(Self { api, source, counted_as })
    }

    fn wrong(&self) -> Problem {
        self.api.throttle.failed(self.source.0.map(|source| source.ip()), &self.counted_as);
        Problem::new(Code::NotFound, "no device waits with this code")
            .hint("codes are good for ten minutes; get a new one")
    }
}
