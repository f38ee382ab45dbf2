use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hoop_core::id::{KeyId, OrgId, TokenId, UserId};
use sqlx::FromRow;
use sqlx::types::Uuid;

use super::{Engine, LAST, Result, UserKeys, micros, time, unless_exists};
use crate::store::{Page, UserKey};

#[derive(FromRow)]
struct KeyRow {
    org_id: Uuid,
    id: Uuid,
    user_id: Uuid,
    name: String,
    fingerprint: String,
    public_key: String,
    token_id: Option<Uuid>,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
    created_at: i64,
}

impl From<KeyRow> for UserKey {
    fn from(row: KeyRow) -> Self {
        Self {
            org: OrgId::from_uuid(row.org_id),
            id: KeyId::from_uuid(row.id),
            user: UserId::from_uuid(row.user_id),
            name: row.name,
            fingerprint: row.fingerprint,
            public_key: row.public_key,
            token: row.token_id.map(TokenId::from_uuid),
            expires_at: row.expires_at.map(time),
            last_used_at: row.last_used_at.map(time),
            created_at: time(row.created_at),
        }
    }
}

#[async_trait]
impl UserKeys for Engine {
    async fn create(&self, key: &UserKey, most: u32) -> Result<bool> {
        // They are counted in the same statement: several may be added at once.
        let done = sqlx::query(
            "INSERT INTO user_keys (org_id, id, user_id, name, fingerprint, public_key, token_id, expires_at, created_at) \
             SELECT org_id, $2, id, $4, $5, $6, $7, $8, $9 FROM users WHERE org_id = $1 AND id = $3 \
             AND (SELECT COUNT(*) FROM user_keys WHERE org_id = $1 AND user_id = $3) < $10",
        )
        .bind(key.org.as_uuid())
        .bind(key.id.as_uuid())
        .bind(key.user.as_uuid())
        .bind(&key.name)
        .bind(&key.fingerprint)
        .bind(&key.public_key)
        .bind(key.token.map(|token| token.as_uuid()))
        .bind(key.expires_at.map(micros))
        .bind(micros(key.created_at))
        .bind(i64::from(most))
        .execute(&self.write)
        .await
        .map_err(unless_exists(|| format!("key {}", key.fingerprint)))?;
        Ok(done.rows_affected() > 0)
    }

    async fn by_fingerprint(&self, org: OrgId, fingerprint: &str) -> Result<Option<UserKey>> {
        let row: Option<KeyRow> = sqlx::query_as("SELECT * FROM user_keys WHERE org_id = $1 AND fingerprint = $2")
            .bind(org.as_uuid())
            .bind(fingerprint)
            .fetch_optional(&self.read)
            .await?;
        Ok(row.map(UserKey::from))
    }

    async fn get(&self, org: OrgId, id: KeyId) -> Result<Option<UserKey>> {
        let row: Option<KeyRow> = sqlx::query_as("SELECT * FROM user_keys WHERE org_id = $1 AND id = $2")
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .fetch_optional(&self.read)
            .await?;
        Ok(row.map(UserKey::from))
    }

    async fn list(&self, org: OrgId, of: Option<UserId>, before: Option<KeyId>, limit: u32) -> Result<Page<UserKey>> {
        // Two texts, since each is a range of another index.
        let query = match of {
            None => sqlx::query_as("SELECT * FROM user_keys WHERE org_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3"),
            Some(_) => sqlx::query_as(
                "SELECT * FROM user_keys WHERE org_id = $1 AND id < $2 AND user_id = $4 ORDER BY id DESC LIMIT $3",
            ),
        };
        let query = query.bind(org.as_uuid()).bind(before.map_or(LAST, |id| id.as_uuid())).bind(i64::from(limit) + 1);
        let query = match of {
            None => query,
            Some(user) => query.bind(user.as_uuid()),
        };
        let rows: Vec<KeyRow> = query.fetch_all(&self.read).await?;
        Ok(Page::cut(rows.into_iter().map(UserKey::from).collect(), limit))
    }

    async fn used(&self, org: OrgId, id: KeyId, at: DateTime<Utc>) -> Result<()> {
        sqlx::query("UPDATE user_keys SET last_used_at = $3 WHERE org_id = $1 AND id = $2")
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .bind(micros(at))
            .execute(&self.notes)
            .await?;
        Ok(())
    }

    async fn delete(&self, org: OrgId, id: KeyId, of: Option<UserId>) -> Result<bool> {
        let done = sqlx::query("DELETE FROM user_keys WHERE org_id = $1 AND id = $2 AND ($3 IS NULL OR user_id = $3)")
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .bind(of.map(|user| user.as_uuid()))
            .execute(&self.write)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn delete_all(&self, org: OrgId, user: UserId) -> Result<Vec<KeyId>> {
        let removed: Vec<(Uuid,)> =
            sqlx::query_as("DELETE FROM user_keys WHERE org_id = $1 AND user_id = $2 RETURNING id")
                .bind(org.as_uuid())
                .bind(user.as_uuid())
                .fetch_all(&self.write)
                .await?;
        Ok(removed.into_iter().map(|(id,)| KeyId::from_uuid(id)).collect())
    }
}
