//! Routes, and who may take them.

use std::any::type_name;
use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::handler::Handler;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodFilter, on};
use hoop_core::id::UserId;
use hoop_core::{Code, Principal};

use super::describe::{Described, Input};
use super::document::Operation;
use super::guard::guard;
use super::pages;
use super::parts::Api;
use super::problem::Problem;
use crate::auth::{Scope, credential};
use crate::store::{Token, User, UserKind};

/// What a caller must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Permission {
    /// Anybody at all.
    Public,
    /// Anybody who is signed in, also with a password that must be changed first.
    OwnAccount,
    /// Anybody who is signed in. The handler shows each their own: [`Caller::scope`].
    Member,
    /// Anybody who is signed in themself, and does not come with an API token.
    SignIn,
    /// Who may see everything.
    Auditor,
    /// Who may change everything.
    Admin,
}

impl Permission {
    pub(super) fn allows(self, kind: UserKind) -> bool {
        match self {
            Self::Public | Self::OwnAccount | Self::Member | Self::SignIn => true,
            Self::Auditor => matches!(kind, UserKind::Auditor | UserKind::Admin),
            Self::Admin => kind == UserKind::Admin,
        }
    }

    /// What an API token must be for to do this: one of these. For none, there must be a sign-in.
    pub(super) fn scopes(self, method: &Method) -> &'static [Scope] {
        let reads = matches!(*method, Method::GET | Method::HEAD);
        match self {
            Self::Public => Scope::ALL,
            Self::OwnAccount | Self::Member if reads => Scope::ALL,
            Self::OwnAccount | Self::SignIn => &[],
            Self::Member => &[Scope::Connect, Scope::Admin],
            Self::Auditor if reads => &[Scope::Read, Scope::Admin],
            Self::Auditor | Self::Admin => &[Scope::Admin],
        }
    }

    /// The name as the document spells it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::OwnAccount => "own_account",
            Self::Member => "member",
            Self::SignIn => "sign_in",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }
}

/// Whether a request leaves an event in the audit trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trail {
    Silent,
    Event,
}

/// Routes with their permissions and their descriptions; there is none without.
pub(super) struct Routes {
    /// None while only the document is wanted.
    api: Option<Api>,
    router: Router<Api>,
    operations: Vec<Operation>,
}

impl Routes {
    pub(super) fn new(api: Api) -> Self {
        Self { api: Some(api), ..Self::described() }
    }

    /// Routes that serve nobody, for the document.
    pub(super) fn described() -> Self {
        Self { api: None, router: Router::new(), operations: Vec::new() }
    }

    pub(super) fn get<T: 'static, H: Described<T>>(
        self,
        path: &str,
        needs: Permission,
        about: &'static str,
        handler: H,
    ) -> Self {
        self.add(Method::GET, Trail::Silent, path, needs, about, handler)
    }

    /// What is read here is itself in the audit trail.
    pub(super) fn audited_get<T: 'static, H: Described<T>>(
        self,
        path: &str,
        needs: Permission,
        about: &'static str,
        handler: H,
    ) -> Self {
        self.add(Method::GET, Trail::Event, path, needs, about, handler)
    }

    pub(super) fn post<T: 'static, H: Described<T>>(
        self,
        path: &str,
        needs: Permission,
        about: &'static str,
        handler: H,
    ) -> Self {
        self.add(Method::POST, Trail::Event, path, needs, about, handler)
    }

    pub(super) fn put<T: 'static, H: Described<T>>(
        self,
        path: &str,
        needs: Permission,
        about: &'static str,
        handler: H,
    ) -> Self {
        self.add(Method::PUT, Trail::Event, path, needs, about, handler)
    }

    pub(super) fn patch<T: 'static, H: Described<T>>(
        self,
        path: &str,
        needs: Permission,
        about: &'static str,
        handler: H,
    ) -> Self {
        self.add(Method::PATCH, Trail::Event, path, needs, about, handler)
    }

    pub(super) fn delete<T: 'static, H: Described<T>>(
        self,
        path: &str,
        needs: Permission,
        about: &'static str,
        handler: H,
    ) -> Self {
        self.add(Method::DELETE, Trail::Event, path, needs, about, handler)
    }

    /// The route before also refuses with these, beside what its types tell.
    pub(super) fn may_refuse(mut self, statuses: &[StatusCode]) -> Self {
        if let Some(operation) = self.operations.last_mut() {
            operation.refuses(statuses);
        }
        self
    }

    /// A page for people, which the document of the API does not have: what is sent to it is audited, what is read is not.
    pub(super) fn page<T: 'static, H: Handler<T, Api>>(
        mut self,
        method: Method,
        path: &str,
        needs: Permission,
        handler: H,
    ) -> Self {
        let trail = if method == Method::GET { Trail::Silent } else { Trail::Event };
        if let Some(api) = &self.api {
            let filter = MethodFilter::try_from(method).expect("pages are read and sent to");
            let guarded = on(filter, handler).route_layer(from_fn_with_state((api.clone(), needs, trail), guard));
            self.router = self.router.route(path, guarded.route_layer(from_fn(pages::tell)));
        }
        self
    }

    fn add<T: 'static, H: Described<T>>(
        mut self,
        method: Method,
        trail: Trail,
        path: &str,
        needs: Permission,
        about: &'static str,
        handler: H,
    ) -> Self {
        let mut operation = Operation::new(method.clone(), path, needs, about, type_name::<H>());
        H::describe(&mut operation);
        self.operations.push(operation);
        if let Some(api) = &self.api {
            let filter = MethodFilter::try_from(method).expect("the methods above are known ones");
            let guarded = on(filter, handler).route_layer(from_fn_with_state((api.clone(), needs, trail), guard));
            self.router = self.router.route(path, guarded);
        }
        self
    }

    pub(super) fn into_parts(self) -> (Router<Api>, Vec<Operation>) {
        (self.router, self.operations)
    }
}

/// Who calls, signed in and permitted.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) user: User,
    /// What the caller may be to the gateway: no more than the user is, and with an API token no more than that is for.
    pub(super) may: UserKind,
    pub(super) token: Token,
    pub(super) proof: Proof,
}

/// How a caller shows the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    Bearer,
    Cookie,
}

impl Caller {
    /// Whose things the caller may see: `None` for everyone's.
    pub(super) fn scope(&self) -> Option<UserId> {
        (!Permission::Auditor.allows(self.may)).then_some(self.user.id)
    }

    /// Whose things the caller may change: `None` for everyone's.
    pub(super) fn change_scope(&self) -> Option<UserId> {
        (!Permission::Admin.allows(self.may)).then_some(self.user.id)
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

impl Input for Caller {
    fn describe(_: &mut Operation) {}
}

/// Where the caller is, when the connection is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source(pub(super) Option<SocketAddr>);

impl Source {
    pub(super) fn of(parts: &Parts) -> Self {
        Self(parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0))
    }
}

impl<S: Sync> FromRequestParts<S> for Source {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}

impl Input for Source {
    fn describe(_: &mut Operation) {}
}
