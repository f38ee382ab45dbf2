use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hoop_core::id::{CredentialId, OrgId, RoleId, TokenId, UserId};
use sqlx::FromRow;
use sqlx::types::Uuid;

use super::{Credentials, Engine, LAST, Result, micros, time, unless_exists};
use crate::store::{Credential, Page};

#[derive(FromRow)]
struct CredentialRow {
    org_id: Uuid,
    id: Uuid,
    login: String,
    user_id: Uuid,
    role_id: Uuid,
    salt: Vec<u8>,
    iterations: i64,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
    expires_at: i64,
    revoked_at: Option<i64>,
    last_used_at: Option<i64>,
    created_at: i64,
    token_id: Option<Uuid>,
}

impl From<CredentialRow> for Credential {
    fn from(row: CredentialRow) -> Self {
        Self {
            org: OrgId::from_uuid(row.org_id),
            id: CredentialId::from_uuid(row.id),
            login: row.login,
            user: UserId::from_uuid(row.user_id),
            role: RoleId::from_uuid(row.role_id),
            token: row.token_id.map(TokenId::from_uuid),
            salt: row.salt,
            iterations: u32::try_from(row.iterations).unwrap_or(u32::MAX),
            stored_key: row.stored_key,
            server_key: row.server_key,
            expires_at: time(row.expires_at),
            revoked_at: row.revoked_at.map(time),
            last_used_at: row.last_used_at.map(time),
            created_at: time(row.created_at),
        }
    }
}

#[async_trait]
impl Credentials for Engine {
    async fn create(&self, credential: &Credential) -> Result<()> {
        sqlx::query(
            "INSERT INTO credentials (org_id, id, login, user_id, role_id, salt, iterations, stored_key, server_key, \
             expires_at, created_at, token_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(credential.org.as_uuid())
        .bind(credential.id.as_uuid())
        .bind(&credential.login)
        .bind(credential.user.as_uuid())
        .bind(credential.role.as_uuid())
        .bind(&credential.salt)
        .bind(i64::from(credential.iterations))
        .bind(&credential.stored_key)
        .bind(&credential.server_key)
        .bind(micros(credential.expires_at))
        .bind(micros(credential.created_at))
        .bind(credential.token.map(|token| token.as_uuid()))
        .execute(&self.write)
        .await
        .map_err(unless_exists(|| format!("login {}", credential.login)))?;
        Ok(())
    }

    async fn by_login(&self, login: &str) -> Result<Option<Credential>> {
        let row: Option<CredentialRow> =
            sqlx::query_as("SELECT * FROM credentials WHERE login = $1").bind(login).fetch_optional(&self.read).await?;
        Ok(row.map(Credential::from))
    }

    async fn get(&self, org: OrgId, id: CredentialId) -> Result<Option<Credential>> {
        let row: Option<CredentialRow> = sqlx::query_as("SELECT * FROM credentials WHERE org_id = $1 AND id = $2")
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .fetch_optional(&self.read)
            .await?;
        Ok(row.map(Credential::from))
    }

    async fn list(
        &self,
        org: OrgId,
        of: Option<UserId>,
        before: Option<CredentialId>,
        limit: u32,
    ) -> Result<Page<Credential>> {
        // Two texts, since each is a range of another index.
        let query = match of {
            None => sqlx::query_as("SELECT * FROM credentials WHERE org_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"),
            Some(_) => sqlx::query_as(
                "SELECT * FROM credentials WHERE org_id = $1 AND id < $2 AND user_id = $4 ORDER BY id DESC LIMIT $3",
            ),
        };
        let query = query.bind(org.as_uuid()).bind(before.map_or(LAST, |id| id.as_uuid())).bind(i64::from(limit) + 1);
        let query = match of {
            None => query,
            Some(user) => query.bind(user.as_uuid()),
        };
        let rows: Vec<CredentialRow> = query.fetch_all(&self.read).await?;
        Ok(Page::cut(rows.into_iter().map(Credential::from).collect(), limit))
    }

    async fn used(&self, org: OrgId, id: CredentialId, at: DateTime<Utc>) -> Result<()> {
        sqlx::query("UPDATE credentials SET last_used_at = $3 WHERE org_id = $1 AND id = $2")
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .bind(micros(at))
            .execute(&self.notes)
            .await?;
        Ok(())
    }

    async fn revoke(&self, org: OrgId, id: CredentialId, of: Option<UserId>, at: DateTime<Utc>) -> Result<bool> {
        let done = sqlx::query(
            "UPDATE credentials SET revoked_at = COALESCE(revoked_at, $3) \
             WHERE org_id = $1 AND id = $2 AND ($4 IS NULL OR user_id = $4)",
        )
        .bind(org.as_uuid())
        .bind(id.as_uuid())
        .bind(micros(at))
        .bind(of.map(|user| user.as_uuid()))
        .execute(&self.write)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn revoke_all(&self, org: OrgId, user: UserId, at: DateTime<Utc>) -> Result<Vec<CredentialId>> {
        let revoked: Vec<(Uuid,)> = sqlx::query_as(
            "UPDATE credentials SET revoked_at = $3 \
             WHERE org_id = $1 AND user_id = $2 AND revoked_at IS NULL AND expires_at > $3 RETURNING id",
        )
        .bind(org.as_uuid())
        .bind(user.as_uuid())
        .bind(micros(at))
        .fetch_all(&self.write)
        .await?;
        Ok(revoked.into_iter().map(|(id,)| CredentialId::from_uuid(id)).collect())
    }
}
