//! The pages on which people sign in, and let others in who wait for it. They work without a script, and what they are sent is
//! sent from them: a foreign page can neither show them in a frame nor send their forms.
//!
//! `/login` is where somebody proves who they are; an identity provider may take its place. Everything else asks for a sign-in
//! and sends who has none there, with the way back.

mod account;
mod authorize;
mod device;
mod enter;
mod login;
mod setup;

use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hoop_core::Code;
use serde::de::DeserializeOwned;

use super::html::Page;
use super::problem::{Problem, Told};
use super::route::Routes;
use super::users::percent_encode;

pub(super) fn routes(routes: Routes) -> Routes {
    [login::routes, setup::routes, account::routes, device::routes, authorize::routes, enter::routes]
        .into_iter()
        .fold(routes, |routes, add| add(routes))
}

/// Where somebody is sent who does not say where to.
const HOME: &str = "/";

/// What stands before the pages: a refusal is a page, too, and who is not signed in goes where they can be.
pub(super) async fn tell(request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let mut response = next.run(request).await;
    let told = response.extensions().get::<Told>().is_some();
    let Some(problem) = response.extensions().get::<Problem>().filter(|_| !told).cloned() else { return response };
    let mut page = match problem.code() {
        Code::Unauthenticated => {
            let path = if method == Method::GET { uri.path() } else { page_of(uri.path()) };
            let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            see(&format!("/login?return_to={}", percent_encode(&format!("{path}{query}"))))
        }
        _ => refusal("This did not work", &problem).into_response(),
    };
    // What is told of the request beside its body stays: the rest of a rate, the id.
    for (name, value) in response.headers() {
        if !page.headers().contains_key(name) && name != CONTENT_LENGTH {
            page.headers_mut().append(name, value.clone());
        }
    }
    page.extensions_mut().extend(std::mem::take(response.extensions_mut()));
    page.extensions_mut().insert(Told);
    page
}

/// The page whose form is sent there.
fn page_of(path: &str) -> &str {
    let cut = |end| path.strip_suffix(end);
    cut("/approve").or_else(|| cut("/deny")).unwrap_or(path)
}

/// A page that tells of a refusal.
fn refusal(title: &str, problem: &Problem) -> Page {
    told(Page::new(title), problem)
}

/// The page, with the refusal that it is about.
fn told(page: Page, problem: &Problem) -> Page {
    let page = page.status(problem.status()).retry_after(problem.retry_after()).alert(&sentence(problem.reason()));
    match problem.next().filter(|next| !next.contains("/api/")) {
        Some(next) => page.text(&sentence(next)),
        None => page,
    }
}

/// Reasons are clauses, and people read sentences.
fn sentence(clause: &str) -> String {
    let mut letters = clause.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// A page that says what is wrong with what it was sent. The problem goes along for the trail.
fn again(page: Page, problem: Problem) -> Response {
    let mut response = page.into_response();
    response.extensions_mut().insert(problem);
    response.extensions_mut().insert(Told);
    response
}

/// Sends the browser elsewhere, to read there.
fn see(to: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    match HeaderValue::from_str(to) {
        Ok(to) => drop(response.headers_mut().insert(LOCATION, to)),
        // It was checked before; what cannot be a header is nowhere.
        Err(_) => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    response
}

/// The way back, where it leads to this gateway: a path and what follows it. Browsers read `//` and `/\` as another host, and
/// leave out what cannot be seen.
fn return_to(wanted: &str) -> &str {
    let visible = wanted.len() <= 2048 && wanted.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let own = wanted.starts_with('/') && !wanted.starts_with("//");
    if visible && own { wanted } else { HOME }
}

/// What a form says.
struct Sent<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !kind.starts_with("application/x-www-form-urlencoded") {
            return Err(Problem::new(Code::UnsupportedMediaType, "this takes the form of its page"));
        }
        let form = axum::Form::<T>::from_request(request, state).await;
        // What was sent is not repeated: it may be a password.
        form.map(|axum::Form(form)| Self(form)).map_err(|_| Problem::new(Code::InvalidRequest, "the form is not whole"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_leads_nowhere_else() {
        for own in ["/", "/device?user_code=BCDF-GHJK", "/authorize?redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2Fcallback"]
        {
            assert_eq!(return_to(own), own);
        }
        for foreign in [
            "",
            "device",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "/x\r\nset-cookie: a=b",
            "https://evil.example",
            "javascript:alert(1)",
            " /device",
            "/é",
        ] {
            assert_eq!(return_to(foreign), HOME, "{foreign}");
        }
        assert_eq!(return_to(&format!("/{}", "x".repeat(3000))), HOME);
    }
}
