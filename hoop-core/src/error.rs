//! Refusals. There is one list of codes; each protocol renders a [`Denial`] in one place at its edge (SQLSTATE and HINT,
//! an RFC 9457 problem, a gRPC status).

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Whose fault a refusal is: what a user, an operator or a monitoring rule asks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The caller sent something wrong, or too much of it.
    Client,
    /// The target, or the agent in front of it, did not do its part.
    Target,
    /// A rule says no.
    Policy,
    /// The gateway itself could not do its part.
    Gateway,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident $text:literal $fault:ident)*) => {
        /// Why something was refused. The texts are stable: programs may compare them.
        #[non_exhaustive]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $variant,)*
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable text of the code.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// Whose fault it is.
            pub const fn fault(self) -> Fault {
                match self {
                    $(Self::$variant => Fault::$fault,)*
                }
            }
        }
    };
}

codes! {
    /// Unknown login, wrong password or wrong token: one answer for all of them.
    LoginFailed "login_failed" Client
    /// The credential was right but its time is over.
    CredentialExpired "credential_expired" Client
    /// The credential was right but has been revoked.
    CredentialRevoked "credential_revoked" Client
    /// A password over an unencrypted connection from another machine.
    TlsRequired "tls_required" Client
    /// Too many attempts; try again later.
    Throttled "throttled" Client
    /// No token, or one that is not valid (any more).
    Unauthenticated "unauthenticated" Client
    /// Nobody has decided on the sign-in yet; ask again (RFC 8628).
    AuthorizationPending "authorization_pending" Client
    /// The client asks more often than it was told to; it asks more slowly from now on (RFC 8628).
    SlowDown "slow_down" Client
    /// Nobody has decided on the sign-in in time (RFC 8628).
    ExpiredToken "expired_token" Client
    /// The policy does not allow this role to this principal.
    AccessDenied "access_denied" Policy
    /// The rule that allows it asks what for, and nothing was said.
    ReasonRequired "reason_required" Policy
    /// Somebody must agree first, and nobody has yet.
    ReviewRequired "review_required" Policy
    /// Somebody was asked to agree, and did not.
    ReviewDenied "review_denied" Policy
    /// Nobody has decided on the review in time.
    ReviewExpired "review_expired" Policy
    /// There is no such resource role.
    RoleNotFound "role_not_found" Client
    /// The role does not reach this database.
    DatabaseDenied "database_denied" Policy
    /// The role does not allow replication connections.
    ReplicationDenied "replication_denied" Policy
    /// A rule refuses the statement.
    StatementDenied "statement_denied" Policy
    /// The statement could not be parsed, so no rule could be applied to it.
    StatementUnparsable "statement_unparsable" Policy
    /// The role, or a rule, refuses the command.
    CommandDenied "command_denied" Policy
    /// The role does not allow channels of this kind, or not to this address.
    ChannelDenied "channel_denied" Policy
    /// A rule refuses what is to be done with a file.
    FileDenied "file_denied" Policy
    /// The role, or a rule, refuses the HTTP request.
    RequestDenied "request_denied" Policy
    /// What was to be masked could not be.
    MaskingFailed "masking_failed" Gateway
    /// What was to be recorded could not be.
    RecordingFailed "recording_failed" Gateway
    /// A plugin failed; it fails closed.
    PluginFailed "plugin_failed" Gateway
    /// No agent that serves the role is attached.
    AgentUnavailable "agent_unavailable" Target
    /// The agent carries as much as it may.
    AgentBusy "agent_busy" Target
    /// The agent went away while the session ran.
    AgentLost "agent_lost" Target
    /// The agent refuses the target: it is not on its own allow-list, or not a protocol it serves.
    AgentRefused "agent_refused" Target
    /// The target does not answer.
    TargetUnavailable "target_unavailable" Target
    /// The target took too long to answer.
    TargetTimeout "target_timeout" Target
    /// The target did not answer, and its last check has failed as well; or its role lets nobody there meanwhile.
    TargetUnhealthy "target_unhealthy" Target
    /// The target's certificate or TLS support is not what the role asks for.
    TargetTls "target_tls" Target
    /// The target's host key is not one that the role trusts.
    TargetHostKey "target_host_key" Target
    /// The target refuses the login that the role names.
    TargetLoginFailed "target_login_failed" Target
    /// The target went away while the session ran.
    TargetLost "target_lost" Target
    /// A secret that the role refers to cannot be had.
    SecretUnavailable "secret_unavailable" Target
    /// Bytes that the protocol does not allow here.
    ProtocolViolation "protocol_violation" Client
    /// The client began to send something, and then nothing more of it.
    ClientTimeout "client_timeout" Client
    /// A part of the protocol that is not served.
    Unsupported "unsupported" Client
    /// Something is larger, longer or more than a limit allows.
    LimitExceeded "limit_exceeded" Client
    /// An administrator ended the session.
    SessionKilled "session_killed" Policy
    /// The time that the session was granted is over.
    SessionExpired "session_expired" Policy
    /// The policy does not allow the running session any more.
    AccessRevoked "access_revoked" Policy
    /// The gateway, or the session, holds as much as it may at once.
    GatewayBusy "gateway_busy" Gateway
    /// The gateway is shutting down.
    GatewayDraining "gateway_draining" Gateway
    /// The store cannot be reached or does not answer as it should.
    StoreUnavailable "store_unavailable" Gateway
    /// The client cancelled the request before it went on.
    Cancelled "cancelled" Client
    /// Something took longer than its deadline.
    Timeout "timeout" Gateway
    /// An API request that is not of the documented form.
    InvalidRequest "invalid_request" Client
    /// No such thing, or none that the caller may see.
    NotFound "not_found" Client
    /// The thing exists already, or has changed since it was read.
    Conflict "conflict" Client
    /// The body of an API request is of a kind that is not read.
    UnsupportedMediaType "unsupported_media_type" Client
    /// The thing has changed since the version that the caller names.
    PreconditionFailed "precondition_failed" Client
    /// A change that does not say which version it is of.
    PreconditionRequired "precondition_required" Client
    /// The idempotency key was used for another request.
    KeyReused "idempotency_key_reused" Client
    /// A browser sends this for a page that is not the gateway's.
    CrossSite "cross_site" Policy
    /// The request is for a host that is not the gateway's.
    Misdirected "misdirected" Client
    /// A failure that nobody foresaw; it is a bug, and it is logged.
    Internal "internal" Gateway
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no code of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such error code")]
pub struct UnknownCode;

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text).ok_or(UnknownCode)
    }
}

/// A refusal: what said no, why, and what to do next.
#[derive(Debug, Clone)]
pub struct Denial {
    /// What refused: a plugin, a rule, an agent, a part of the gateway.
    pub by: Cow<'static, str>,
    /// The stable code.
    pub code: Code,
    /// One lower-case clause for the user: what happened and why.
    pub reason: String,
    /// What to do next, for the user.
    pub hint: Option<String>,
    /// The failure behind it, for the log and never for the user.
    pub source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Denial {
    /// A refusal by `by`, for `reason`.
    pub fn new(by: impl Into<Cow<'static, str>>, code: Code, reason: impl Into<String>) -> Self {
        Self { by: by.into(), code, reason: reason.into(), hint: None, source: None }
    }

    /// A failure inside `by`, turned into a refusal: what fails, fails closed.
    pub fn failed(by: impl Into<Cow<'static, str>>, source: impl Error + Send + Sync + 'static) -> Self {
        let by = by.into();
        let reason = format!("{by} failed, so nothing was let through");
        Self { source: Some(Arc::new(source)), ..Self::new(by, Code::PluginFailed, reason) }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the failure behind the refusal, for the log.
    #[must_use]
    pub fn caused_by(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Gives the refusal another code.
    #[must_use]
    pub fn with_code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// Whose fault it is.
    pub const fn fault(&self) -> Fault {
        self.code.fault()
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl Error for Denial {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_from_its_text() {
        for code in Code::ALL {
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
    }

    #[test]
    fn the_texts_are_distinct() {
        let texts: std::collections::HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
    }
}
