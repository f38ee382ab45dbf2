//! A store that does not do as it should.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::super::*;
use super::update_user;
use crate::access::AccessRule;

/// A store with some parts of it replaced.
pub(crate) struct Wrapped {
    inner: Arc<dyn Store>,
    /// Whether rules are waited for in vain.
    pub(crate) hangs: AtomicBool,
    /// What becomes of a user as soon as they have a token.
    pub(crate) meanwhile: Mutex<Option<User>>,
}

impl Wrapped {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, hangs: AtomicBool::new(false), meanwhile: Mutex::new(None) }
    }
}

impl Store for Wrapped {
    fn users(&self) -> &dyn Users {
        self.inner.users()
    }
    fn roles(&self) -> &dyn Roles {
        self.inner.roles()
    }
    fn access_rules(&self) -> &dyn AccessRules {
        self
    }
    fn admissions(&self) -> &dyn Admissions {
        self.inner.admissions()
    }
    fn agents(&self) -> &dyn Agents {
        self.inner.agents()
    }
    fn credentials(&self) -> &dyn Credentials {
        self.inner.credentials()
    }
    fn tokens(&self) -> &dyn Tokens {
        self
    }
    fn user_keys(&self) -> &dyn UserKeys {
        self.inner.user_keys()
    }
    fn sessions(&self) -> &dyn Sessions {
        self.inner.sessions()
    }
    fn events(&self) -> &dyn Events {
        self.inner.events()
    }
    fn role_secrets(&self) -> &dyn RoleSecrets {
        self.inner.role_secrets()
    }
    fn versions(&self) -> &dyn Versions {
        self.inner.versions()
    }
    fn idempotency(&self) -> &dyn Idempotency {
        self.inner.idempotency()
    }
    fn sign_in_requests(&self) -> &dyn SignInRequests {
        self.inner.sign_in_requests()
    }
    fn reviews(&self) -> &dyn Reviews {
        self.inner.reviews()
    }
}

#[async_trait]
impl AccessRules for Wrapped {
    async fn create(&self, rule: &AccessRule) -> Result<()> {
        self.inner.access_rules().create(rule).await
    }
    async fn by_name(&self, org: OrgId, name: &str) -> Result<Option<AccessRule>> {
        self.inner.access_rules().by_name(org, name).await
    }
    async fn list(&self, org: OrgId, after: Option<&str>, limit: u32) -> Result<Page<AccessRule>> {
        self.inner.access_rules().list(org, after, limit).await
    }
    async fn all(&self) -> Result<Vec<AccessRule>> {
        if self.hangs.load(Ordering::Relaxed) {
            return pending().await;
        }
        self.inner.access_rules().all().await
    }
}

#[async_trait]
impl Tokens for Wrapped {
    async fn create(&self, token: &Token) -> Result<()> {
        // The change comes first, and with it the end of all tokens that there are.
        let meanwhile = self.meanwhile.lock().take();
        if let Some(user) = meanwhile {
            update_user(&*self.inner, &user).await?;
            self.inner.tokens().revoke_all(user.org, user.id, None, token.created_at).await?;
        }
        self.inner.tokens().create(token).await
    }
    async fn by_hash(&self, hash: &[u8; 32]) -> Result<Option<(Token, User)>> {
        self.inner.tokens().by_hash(hash).await
    }
    async fn get(&self, org: OrgId, id: TokenId) -> Result<Option<Token>> {
        self.inner.tokens().get(org, id).await
    }
    async fn list(&self, org: OrgId, of: Option<UserId>, before: Option<TokenId>, limit: u32) -> Result<Page<Token>> {
        self.inner.tokens().list(org, of, before, limit).await
    }
    async fn used(&self, org: OrgId, id: TokenId, at: DateTime<Utc>) -> Result<()> {
        self.inner.tokens().used(org, id, at).await
    }
    async fn revoke(&self, org: OrgId, id: TokenId, of: Option<UserId>, at: DateTime<Utc>) -> Result<bool> {
        self.inner.tokens().revoke(org, id, of, at).await
    }
    async fn revoke_all(&self, org: OrgId, user: UserId, keep: Option<TokenId>, at: DateTime<Utc>) -> Result<()> {
        self.inner.tokens().revoke_all(org, user, keep, at).await
    }
}
