use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hoop_core::id::{OrgId, TokenId, UserId};
use sqlx::FromRow;
use sqlx::types::Uuid;

use super::{Engine, Result, Tokens, hash, micros, time, unless_exists};
use crate::store::{Store as _, Token, User};

#[derive(FromRow)]
struct TokenRow {
    org_id: Uuid,
    id: Uuid,
    user_id: Uuid,
    hash: Vec<u8>,
    expires_at: i64,
    revoked_at: Option<i64>,
    created_at: i64,
}

impl TokenRow {
    fn token(self) -> Result<Token> {
        Ok(Token {
            org: OrgId::from_uuid(self.org_id),
            id: TokenId::from_uuid(self.id),
            user: UserId::from_uuid(self.user_id),
            hash: hash(self.hash)?,
            expires_at: time(self.expires_at),
            revoked_at: self.revoked_at.map(time),
            created_at: time(self.created_at),
        })
    }
}

#[async_trait]
impl Tokens for Engine {
    async fn create(&self, token: &Token) -> Result<()> {
        sqlx::query(
            "INSERT INTO tokens (org_id, id, user_id, hash, expires_at, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(token.org.as_uuid())
        .bind(token.id.as_uuid())
        .bind(token.user.as_uuid())
        .bind(&token.hash[..])
        .bind(micros(token.expires_at))
        .bind(micros(token.created_at))
        .execute(&self.write)
        .await
        .map_err(unless_exists(|| "token".to_owned()))?;
        Ok(())
    }

    async fn by_hash(&self, hash: &[u8; 32]) -> Result<Option<(Token, User)>> {
        let row: Option<TokenRow> =
            sqlx::query_as("SELECT * FROM tokens WHERE hash = $1").bind(&hash[..]).fetch_optional(&self.read).await?;
        let Some(token) = row.map(TokenRow::token).transpose()? else { return Ok(None) };
        let user = self.users().get(token.org, token.user).await?;
        Ok(user.map(|user| (token, user)))
    }

    async fn revoke(&self, org: OrgId, id: TokenId, at: DateTime<Utc>) -> Result<()> {
        sqlx::query("UPDATE tokens SET revoked_at = COALESCE(revoked_at, $3) WHERE org_id = $1 AND id = $2")
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .bind(micros(at))
            .execute(&self.write)
            .await?;
        Ok(())
    }

    async fn revoke_all(&self, org: OrgId, user: UserId, keep: Option<TokenId>, at: DateTime<Utc>) -> Result<()> {
        sqlx::query(
            "UPDATE tokens SET revoked_at = COALESCE(revoked_at, $3) \
             WHERE org_id = $1 AND user_id = $2 AND ($4 IS NULL OR id <> $4)",
        )
        .bind(org.as_uuid())
        .bind(user.as_uuid())
        .bind(micros(at))
        .bind(keep.map(|id| id.as_uuid()))
        .execute(&self.write)
        .await?;
        Ok(())
    }
}
