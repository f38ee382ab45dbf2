//! Sign-ins that somebody decides on in a browser: those of a program on the same machine, and those of a device elsewhere.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hoop_core::id::{OrgId, TokenId, UserId};

use super::Result;

/// A client that wants to be signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInRequest {
    /// The organisation.
    pub org: OrgId,
    /// SHA-256 of the code that the client gets its token for.
    pub code_hash: [u8; 32],
    /// Keyed hash of the code that a person types in; none where the browser is the client's own.
    pub user_code_hash: Option<[u8; 32]>,
    /// What the client calls itself.
    pub client: String,
    /// From where it asks.
    pub source: Option<String>,
    /// What the client must show beside its code; none for a device.
    pub binding: Option<Binding>,
    /// How far it is.
    pub state: SignInState,
    /// Who has decided.
    pub user: Option<UserId>,
    /// With which sign-in they have.
    pub token: Option<TokenId>,
    /// The sign-in that came of it.
    pub issued: Option<TokenId>,
    /// Seconds that the client leaves between two questions.
    pub interval_seconds: u32,
    /// When it last asked.
    pub polled_at: Option<DateTime<Utc>>,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// Until when it can be decided on, and the code be used.
    pub expires_at: DateTime<Utc>,
}

/// What binds a code to the client that began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Where the browser was sent with the code.
    pub redirect_uri: String,
    /// The S256 challenge ([RFC 7636 §4.2]).
    ///
    /// [RFC 7636 §4.2]: https://www.rfc-editor.org/rfc/rfc7636#section-4.2
    pub challenge: String,
}

/// How far a sign-in is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignInState {
    /// Nobody has decided.
    Pending,
    /// Somebody has let the client in, and it has not come for its token yet.
    Approved,
    /// Somebody has not.
    Denied,
    /// The code was used.
    Used,
}

impl SignInState {
    /// The name as the store spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Used => "used",
        }
    }
}

/// What somebody says of a client that wants to be signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignInDecision {
    /// Whether they let it in.
    pub approve: bool,
    /// Who.
    pub user: UserId,
    /// With which sign-in.
    pub token: TokenId,
    /// When.
    pub at: DateTime<Utc>,
}

/// Sign-ins that somebody decides on in a browser.
#[async_trait]
pub trait SignInRequests: Send + Sync {
    /// Adds one. Those that expired an hour before it began, or earlier, are forgotten on the way.
    async fn create(&self, request: &SignInRequest) -> Result<()>;
    /// Finds the one with this hash of its code.
    async fn by_code(&self, org: OrgId, code_hash: &[u8; 32]) -> Result<Option<SignInRequest>>;
    /// Finds the one with this hash of its user code.
    async fn by_user_code(&self, org: OrgId, user_code_hash: &[u8; 32]) -> Result<Option<SignInRequest>>;
    /// Decides on the one with this hash of its user code. Says whether it did: nobody had, and it was in time.
    async fn decide(&self, org: OrgId, user_code_hash: &[u8; 32], decision: &SignInDecision) -> Result<bool>;
    /// Notes that the client has asked, and how long it is to leave until it asks again.
    async fn polled(&self, org: OrgId, code_hash: &[u8; 32], at: DateTime<Utc>, interval_seconds: u32) -> Result<()>;
    /// Uses the code, for the sign-in that is to come of it. Says whether it did: of several at once, exactly one does.
    async fn take(&self, org: OrgId, code_hash: &[u8; 32], issued: Option<TokenId>, at: DateTime<Utc>) -> Result<bool>;
}

const _: Option<&dyn SignInRequests> = None;
