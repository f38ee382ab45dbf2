//! What a sign-in ends in: its token. Whether the proof was a password or an approval in a browser, it is made here.

use chrono::{DateTime, TimeDelta, Utc};
use hoop_core::id::{OrgId, TokenId};
use hoop_core::{Clock, Secret};

use super::token;
use crate::store::{SignInRequest, Store, StoreError, Token, User};

/// Makes the token of a user who has proven who they are; `None` when they were shut out, or their password changed, while
/// they did.
pub(crate) async fn issue(
    store: &dyn Store,
    user: &User,
    id: TokenId,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> Result<Option<Secret<String>>, StoreError> {
    let (secret, hash) = token::generate();
    let token = Token {
        org: user.org,
        id,
        user: user.id,
        hash,
        grant: None,
        expires_at,
        revoked_at: None,
        last_used_at: None,
        created_at: now,
    };
    store.tokens().create(&token).await?;
    // A change takes away the tokens that there are. Where it came before this one, it is seen here.
    let stored = store.users().get(user.org, user.id).await?;
    if stored.is_none_or(|stored| stored.disabled || stored.password_hash != user.password_hash) {
        store.tokens().revoke(token.org, token.id, None, now).await?;
        return Ok(None);
    }
    tracing::info!(user = user.name, "signed in");
    Ok(Some(secret))
}

/// Somebody has let a client in, and its code was used for it.
#[derive(Debug, Clone)]
pub struct Approved {
    /// Who.
    pub user: User,
    /// The sign-in with which they did. What comes of it must not outlive its being revoked.
    pub by: TokenId,
    /// Until when what comes of it is good: an approval makes no sign-in last longer.
    pub until: DateTime<Utc>,
}

/// The token that an approval has come to.
pub(crate) struct SignedIn {
    pub(crate) user: User,
    pub(crate) secret: Secret<String>,
    pub(crate) expires_at: DateTime<Utc>,
}

impl Approved {
    /// Makes the token; `None` when who approved was shut out meanwhile.
    pub(crate) async fn sign_in(
        self,
        store: &dyn Store,
        clock: &dyn Clock,
        id: TokenId,
        ttl: TimeDelta,
    ) -> Result<Option<SignedIn>, StoreError> {
        let now = clock.now();
        let expires_at = self.until.min(now + ttl);
        let Some(secret) = issue(store, &self.user, id, now, expires_at).await? else { return Ok(None) };
        // Who takes all sign-ins of a user away takes this one, too, or has taken that one before.
        if good(store, self.user.org, self.by, now).await?.is_none() {
            store.tokens().revoke(self.user.org, id, None, now).await?;
            return Ok(None);
        }
        Ok(Some(SignedIn { user: self.user, secret, expires_at }))
    }
}

/// Uses the code of an approved request, for the token `issued`. One that was used before is known to two, of whom one should
/// not have it: what came of it ends.
pub(super) async fn take(
    store: &dyn Store,
    clock: &dyn Clock,
    request: &SignInRequest,
    issued: Option<TokenId>,
) -> Result<Option<Approved>, StoreError> {
    let (org, now, requests) = (request.org, clock.now(), store.sign_in_requests());
    if !requests.take(org, &request.code_hash, issued, now).await? {
        let used = requests.by_code(org, &request.code_hash).await?;
        if let Some(issued) = used.and_then(|used| used.issued) {
            tracing::warn!(token = %issued, "a code came a second time; the sign-in that came of it is ended");
            store.tokens().revoke(org, issued, None, now).await?;
        }
        return Ok(None);
    }
    let (Some(user), Some(by)) = (request.user, request.token) else { return Ok(None) };
    let user = store.users().get(org, user).await?.filter(|user| !user.disabled);
    let approval = good(store, org, by, now).await?;
    Ok(user.zip(approval).map(|(user, approval)| Approved { user, by, until: approval.expires_at }))
}

/// Who has decided on the request with this code, for the trail; nobody, where that cannot be told.
pub(crate) async fn whose(store: &dyn Store, code: &str) -> Option<User> {
    let request = store.sign_in_requests().by_code(OrgId::DEFAULT, &token::hash(code)).await.ok()??;
    store.users().get(request.org, request.user?).await.ok()?
}

/// The token, while it is good.
async fn good(store: &dyn Store, org: OrgId, id: TokenId, now: DateTime<Utc>) -> Result<Option<Token>, StoreError> {
    let token = store.tokens().get(org, id).await?;
    Ok(token.filter(|token| token.revoked_at.is_none() && token.expires_at > now))
}
