//! What a handler takes and gives, told by its own types. A handler of which some part is not described cannot be
//! registered, so that the document has every route, and each as it is.

use std::future::Future;

use axum::Json;
use axum::extract::State;
use axum::handler::Handler;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::document::Operation;
use super::parts::Api;
use super::problem::Problem;

/// Something that a handler takes from the request.
pub(super) trait Input {
    /// Adds what it reads, and how it refuses.
    fn describe(operation: &mut Operation);
}

/// Something that a handler answers with.
pub(super) trait Answer {
    /// Adds its status and its form.
    fn describe(operation: &mut Operation);
}

/// A handler that is described.
pub(super) trait Described<T>: Handler<T, Api> {
    /// Adds all of it.
    fn describe(operation: &mut Operation);
}

macro_rules! described {
    ($($input:ident)*) => {
        impl<F, Fut, A, M, $($input,)*> Described<(M, $($input,)*)> for F
        where
            F: Fn($($input,)*) -> Fut + Handler<(M, $($input,)*), Api>,
            Fut: Future<Output = A>,
            A: Answer,
            $($input: Input,)*
        {
            fn describe(operation: &mut Operation) {
                $($input::describe(operation);)*
                A::describe(operation);
            }
        }
    };
}

described! {}
described! { T1 }
described! { T1 T2 }
described! { T1 T2 T3 }
described! { T1 T2 T3 T4 }
described! { T1 T2 T3 T4 T5 }
described! { T1 T2 T3 T4 T5 T6 }
described! { T1 T2 T3 T4 T5 T6 T7 }

impl Input for State<Api> {
    fn describe(_: &mut Operation) {}
}

impl<T: Answer> Answer for Result<T, Problem> {
    fn describe(operation: &mut Operation) {
        T::describe(operation);
    }
}

impl<T: ToSchema> Answer for Json<T> {
    fn describe(operation: &mut Operation) {
        operation.json::<T>(StatusCode::OK, "What was asked for.");
    }
}

/// An answer about what the body names, if there is such a thing.
pub(super) struct Found<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Found<T> {
    fn into_response(self) -> Response {
        Json(self.0).into_response()
    }
}

impl<T: ToSchema> Answer for Found<T> {
    fn describe(operation: &mut Operation) {
        operation.json::<T>(StatusCode::OK, "What was asked for.");
        operation.refuses(&[StatusCode::NOT_FOUND]);
    }
}

/// It was done, and there is nothing to say of it.
pub(super) struct Done;

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl Answer for Done {
    fn describe(operation: &mut Operation) {
        operation.answer(StatusCode::NO_CONTENT, json!({ "description": "It was done." }));
    }
}

/// It was made, and is found there.
pub(super) struct Created<T> {
    pub(super) at: String,
    pub(super) view: T,
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        located(StatusCode::CREATED, &self.at, &self.view)
    }
}

impl<T: ToSchema> Answer for Created<T> {
    fn describe(operation: &mut Operation) {
        operation.json::<T>(StatusCode::CREATED, "It was made.");
        operation.header(StatusCode::CREATED, "Location", "Where it is found.");
    }
}

/// It will be done; how far it is, is found there.
pub(super) struct Accepted<T> {
    pub(super) at: String,
    pub(super) view: T,
}

impl<T: Serialize> IntoResponse for Accepted<T> {
    fn into_response(self) -> Response {
        located(StatusCode::ACCEPTED, &self.at, &self.view)
    }
}

impl<T: ToSchema> Answer for Accepted<T> {
    fn describe(operation: &mut Operation) {
        operation.json::<T>(StatusCode::ACCEPTED, "It will be done.");
        operation.header(StatusCode::ACCEPTED, "Location", "Where it shows that it is done.");
    }
}

fn located(status: StatusCode, at: &str, view: &impl Serialize) -> Response {
    let mut response = (status, Json(view)).into_response();
    if let Ok(at) = HeaderValue::from_str(at) {
        response.headers_mut().insert(LOCATION, at);
    }
    response
}

/// An answer with a secret that is shown this once: no copy of it is kept.
pub(super) struct ShownOnce<T>(pub(super) T);

/// Marks a response that holds a secret.
#[derive(Debug, Clone, Copy)]
pub(super) struct HoldsSecret;

impl<T: IntoResponse> IntoResponse for ShownOnce<T> {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
        response.extensions_mut().insert(HoldsSecret);
        response
    }
}

impl<T: Answer> Answer for ShownOnce<T> {
    fn describe(operation: &mut Operation) {
        T::describe(operation);
        operation.shown_once = true;
    }
}
