//! Who is calling: by a credential's password, or by a public key of a user's.

use std::net::SocketAddr;

use hoop_core::id::{RequestId, TokenId};
use hoop_core::{Denial, Principal, ResourceRole};

use super::SshDoor;
use crate::auth::Bearer;
use crate::auth::credential::login_failed;
use crate::listen::stranger::is_own;

/// Where a client comes from.
pub(super) struct Visitor {
    pub(super) peer: SocketAddr,
    pub(super) request_id: RequestId,
    pub(super) bearer: Option<Bearer>,
}

/// A caller whose login is proven.
pub(super) struct Caller {
    pub(super) principal: Principal,
    /// The tokens behind it: the session ends with any of them.
    pub(super) tokens: Vec<TokenId>,
    /// What for, or why that cannot be.
    pub(super) role: Result<ResourceRole, Denial>,
    /// What the client calls itself.
    pub(super) client: String,
}

impl SshDoor {
    /// By the login and the password of a credential.
    pub(super) async fn with_password(&self, visitor: &Visitor, login: &str, password: &str) -> Option<Caller> {
        let proven = self.proven(visitor, login, password).await;
        match proven {
            Ok(caller) => {
                self.throttle.succeeded(Some(visitor.peer.ip()), login);
                Some(caller)
            }
            Err(denial) => {
                self.telemetry.logins_failed.increment(1);
                self.throttle.failed(Some(visitor.peer.ip()), login);
                tracing::info!(peer = %visitor.peer, request = %visitor.request_id, code = %denial.code, reason = denial.reason, "client refused");
                None
            }
        }
    }

    async fn proven(&self, visitor: &Visitor, login: &str, password: &str) -> Result<Caller, Denial> {
        self.throttle.check(Some(visitor.peer.ip()), login).map_err(Denial::from)?;
        let candidate = self.credentials.candidate(login).await?;
        if !candidate.is_proven_by(password) {
            return Err(login_failed());
        }
        let proven = self.credentials.proven(candidate).await?;
        is_own(&proven, visitor.bearer.as_ref())?;
        let bearer = visitor.bearer.as_ref().map(|bearer| bearer.token.id);
        Ok(Caller {
            principal: proven.principal,
            tokens: proven.token.into_iter().chain(bearer).collect(),
            role: Ok(proven.role.role),
            client: String::new(),
        })
    }
}

impl SshDoor {
    pub(super) async fn knows_key(&self, _visitor: &Visitor, _user: &str, _fingerprint: &str) -> bool {
        false
    }

    pub(super) async fn with_key(&self, _visitor: &Visitor, _user: &str, _fingerprint: &str) -> Option<Caller> {
        None
    }
}
