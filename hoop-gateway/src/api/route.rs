//! Routes, and who may take them.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, Request, State};
use axum::handler::Handler;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, on};
use hoop_core::id::{EventId, OrgId, RequestId, TokenId, UserId};
use hoop_core::{Code, Principal};

use super::parts::Api;
use super::problem::Problem;
use crate::auth::{Bearer, credential, settled};
use crate::store::{Event, User, UserKind};

/// What a caller must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permission {
    /// Anybody at all.
    Public,
    /// Anybody who is signed in, also with a password that must be changed first.
    OwnAccount,
    /// Anybody who is signed in. The handler shows each their own: [`Caller::scope`].
    Member,
    /// Who may see everything.
    Auditor,
    /// Who may change everything.
    Admin,
}

impl Permission {
    fn allows(self, kind: UserKind) -> bool {
        match self {
            Self::Public | Self::OwnAccount | Self::Member => true,
            Self::Auditor => matches!(kind, UserKind::Auditor | UserKind::Admin),
            Self::Admin => kind == UserKind::Admin,
        }
    }
}

/// Whether a request leaves an event in the audit trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trail {
    Silent,
    Event,
}

/// Routes with their permissions.
pub(super) struct Routes {
    api: Api,
    router: Router<Api>,
}

impl Routes {
    pub(super) fn new(api: Api) -> Self {
        Self { api, router: Router::new() }
    }

    pub(super) fn get<T: 'static>(self, path: &str, needs: Permission, handler: impl Handler<T, Api>) -> Self {
        self.add(MethodFilter::GET, path, needs, Trail::Silent, handler)
    }

    /// What is read here is itself in the audit trail.
    pub(super) fn audited_get<T: 'static>(self, path: &str, needs: Permission, handler: impl Handler<T, Api>) -> Self {
        self.add(MethodFilter::GET, path, needs, Trail::Event, handler)
    }

    pub(super) fn post<T: 'static>(self, path: &str, needs: Permission, handler: impl Handler<T, Api>) -> Self {
        self.add(MethodFilter::POST, path, needs, Trail::Event, handler)
    }

    pub(super) fn put<T: 'static>(self, path: &str, needs: Permission, handler: impl Handler<T, Api>) -> Self {
        self.add(MethodFilter::PUT, path, needs, Trail::Event, handler)
    }

    pub(super) fn patch<T: 'static>(self, path: &str, needs: Permission, handler: impl Handler<T, Api>) -> Self {
        self.add(MethodFilter::PATCH, path, needs, Trail::Event, handler)
    }

    pub(super) fn delete<T: 'static>(self, path: &str, needs: Permission, handler: impl Handler<T, Api>) -> Self {
        self.add(MethodFilter::DELETE, path, needs, Trail::Event, handler)
    }

    fn add<T: 'static>(
        mut self,
        method: MethodFilter,
        path: &str,
        needs: Permission,
        trail: Trail,
        handler: impl Handler<T, Api>,
    ) -> Self {
        let guarded = on(method, handler).route_layer(from_fn_with_state((self.api.clone(), needs, trail), guard));
        self.router = self.router.route(path, guarded);
        self
    }

    pub(super) fn into_router(self) -> Router<Api> {
        self.router
    }
}

/// Who calls, signed in and permitted.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) user: User,
    pub(super) token: TokenId,
}

impl Caller {
    /// Whose things the caller may see: `None` for everyone's.
    pub(super) fn scope(&self) -> Option<UserId> {
        (!Permission::Auditor.allows(self.user.kind)).then_some(self.user.id)
    }

    /// Whose things the caller may change: `None` for everyone's.
    pub(super) fn change_scope(&self) -> Option<UserId> {
        (!Permission::Admin.allows(self.user.kind)).then_some(self.user.id)
    }

    pub(super) fn principal(&self) -> Principal {
        credential::principal(self.user.clone())
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Problem::new(Code::Unauthenticated, "this needs a caller who is signed in"))
    }
}

/// Where the caller is, when the connection is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source(pub(super) Option<SocketAddr>);

impl<S: Sync> FromRequestParts<S> for Source {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0)))
    }
}

/// The name that a caller gave who is not signed in yet; for the audit trail.
#[derive(Debug, Clone)]
pub(super) struct GivenName(pub(super) String);

async fn guard(
    State((api, needs, trail)): State<(Api, Permission, Trail)>,
    mut request: Request,
    next: Next,
) -> Response {
    let mut event = (trail == Trail::Event).then(|| event(&api, &request));
    let response = if needs == Permission::Public {
        next.run(request).await
    } else {
        match authenticate(&api, request.headers()).await {
            Ok(caller) => {
                if let Some(event) = &mut event {
                    event.user = Some(caller.user.id);
                    event.user_name = Some(caller.user.name.clone());
                }
                match permit(needs, &caller) {
                    Ok(()) => {
                        request.extensions_mut().insert(caller);
                        next.run(request).await
                    }
                    Err(problem) => problem.into_response(),
                }
            }
            Err(problem) => problem.into_response(),
        }
    };
    // What an administrator changes may be what lets a running session in.
    if trail == Trail::Event && needs == Permission::Admin && response.status().is_success() {
        api.access.note_change();
    }
    if let Some(event) = event.and_then(|event| answered(event, &response)) {
        remember(&api, event).await;
    }
    response
}

fn permit(needs: Permission, caller: &Caller) -> Result<(), Problem> {
    if needs != Permission::OwnAccount {
        settled(&caller.user)?;
    }
    if !needs.allows(caller.user.kind) {
        let reason = format!("{} is {}, and this is for others", caller.user.name, caller.user.kind.as_str());
        return Err(Problem::new(Code::AccessDenied, reason).hint("ask an administrator"));
    }
    Ok(())
}

async fn authenticate(api: &Api, headers: &HeaderMap) -> Result<Caller, Problem> {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Bearer { user, token, .. } = Bearer::of(header, &*api.store, &*api.clock).await?;
    Ok(Caller { user, token })
}

fn event(api: &Api, request: &Request) -> Event {
    let route = request.extensions().get::<MatchedPath>().map_or("", |path| path.as_str());
    let source = request.extensions().get::<ConnectInfo<SocketAddr>>();
    // With the query: a change that was only looked at is none.
    let subject = request.uri().path_and_query().map_or("", |subject| subject.as_str());
    Event {
        org: OrgId::DEFAULT,
        id: EventId::new(&*api.clock),
        request_id: request.extensions().get().copied().unwrap_or_else(|| RequestId::new(&*api.clock)),
        user: None,
        user_name: None,
        action: format!("{} {route}", request.method()),
        subject: subject.chars().take(512).collect(),
        source: source.map(|info| info.0.to_string()),
        status: 0,
        code: None,
        at: api.clock.now(),
    }
}

/// The event with its answer; `None` when nobody is behind it, so that strangers do not fill the disk. Logins that fail are
/// in the trail, since somebody was named; those that the throttle turned away are not.
fn answered(mut event: Event, response: &Response) -> Option<Event> {
    event.status = response.status().as_u16();
    event.code = response.extensions().get::<Problem>().map(|problem| problem.code().to_string());
    if event.user_name.is_none() {
        event.user_name = response.extensions().get::<GivenName>().map(|name| name.0.clone());
    }
    let throttled = event.code.as_deref() == Some(Code::Throttled.as_str());
    (event.user_name.is_some() && !throttled).then_some(event)
}

async fn remember(api: &Api, event: Event) {
    if let Err(error) = api.store.events().add(&event).await {
        let error = &error as &dyn std::error::Error;
        tracing::error!(error, action = event.action, subject = event.subject, "event could not be stored");
    }
}
