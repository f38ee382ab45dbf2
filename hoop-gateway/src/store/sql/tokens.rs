use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hoop_core::id::{OrgId, TokenId, UserId};
use sqlx::FromRow;
use sqlx::types::Uuid;

use super::users::{Member, user_columns, user_of};
use super::{Engine, LAST, Result, Tokens, corrupt, hash, micros, time, unless_exists};
use crate::store::{Grant, Page, Token, User};

#[derive(FromRow)]
struct TokenRow {
    org_id: Uuid,
    id: Uuid,
    user_id: Uuid,
    hash: Vec<u8>,
    expires_at: i64,
    revoked_at: Option<i64>,
    last_used_at: Option<i64>,
    created_at: i64,
    name: Option<String>,
    scopes: Option<String>,
}

/// A token beside its user, once for each of the user's groups.
#[derive(FromRow)]
struct TokenOfMember {
    #[sqlx(flatten)]
    token: TokenRow,
    #[sqlx(flatten)]
    member: Member,
}

impl TokenRow {
    fn token(self) -> Result<Token> {
        // A name without scopes is for nothing, and not for everything.
        let scopes = self.scopes.as_deref().unwrap_or("[]");
        let grant = |name| -> Result<Grant> {
            Ok(Grant { name, scopes: serde_json::from_str(scopes).map_err(corrupt("set of scopes"))? })
        };
        Ok(Token {
            org: OrgId::from_uuid(self.org_id),
            id: TokenId::from_uuid(self.id),
            user: UserId::from_uuid(self.user_id),
            hash: hash(self.hash)?,
            grant: self.name.map(grant).transpose()?,
            expires_at: time(self.expires_at),
            revoked_at: self.revoked_at.map(time),
            last_used_at: self.last_used_at.map(time),
            created_at: time(self.created_at),
        })
    }
}

fn scopes(grant: &Grant) -> Result<String> {
    serde_json::to_string(&grant.scopes).map_err(corrupt("set of scopes"))
}

#[async_trait]
impl Tokens for Engine {
    async fn create(&self, token: &Token) -> Result<()> {
        sqlx::query(
            "INSERT INTO tokens (org_id, id, user_id, hash, expires_at, created_at, name, scopes) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(token.org.as_uuid())
        .bind(token.id.as_uuid())
        .bind(token.user.as_uuid())
        .bind(&token.hash[..])
        .bind(micros(token.expires_at))
        .bind(micros(token.created_at))
        .bind(token.grant.as_ref().map(|grant| &grant.name))
        .bind(token.grant.as_ref().map(scopes).transpose()?)
        .execute(&self.write)
        .await
        .map_err(unless_exists(|| "token".to_owned()))?;
        Ok(())
    }

    async fn by_hash(&self, hash: &[u8; 32]) -> Result<Option<(Token, User)>> {
        let rows: Vec<TokenOfMember> = sqlx::query_as(concat!(
            "SELECT t.id, t.org_id, t.hash, t.expires_at, t.revoked_at, t.last_used_at, t.created_at, t.name, t.scopes, ",
            user_columns!(),
            " FROM tokens t JOIN users u ON u.org_id = t.org_id AND u.id = t.user_id \
             LEFT JOIN memberships m ON m.org_id = u.org_id AND m.user_id = u.id \
             WHERE t.hash = $1 ORDER BY m.group_name",
        ))
        .bind(&hash[..])
        .fetch_all(&self.read)
        .await?;
        let mut token = None;
        let members = rows.into_iter().map(|row| {
            token.get_or_insert(row.token);
            row.member
        });
        let user = user_of(members)?;
        Ok(token.map(TokenRow::token).transpose()?.zip(user))
    }

    async fn get(&self, org: OrgId, id: TokenId) -> Result<Option<Token>> {
        let row: Option<TokenRow> = sqlx::query_as("SELECT * FROM tokens WHERE org_id = $1 AND id = $2")
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .fetch_optional(&self.read)
            .await?;
        row.map(TokenRow::token).transpose()
    }

    async fn list(&self, org: OrgId, of: Option<UserId>, before: Option<TokenId>, limit: u32) -> Result<Page<Token>> {
        // Two texts, since each is a range of another index.
        let query = match of {
            None => sqlx::query_as(
                "SELECT * FROM tokens WHERE org_id = $1 AND id < $2 AND name IS NOT NULL ORDER BY id DESC LIMIT $3",
            ),
            Some(_) => sqlx::query_as(
                "SELECT * FROM tokens WHERE org_id = $1 AND id < $2 AND name IS NOT NULL AND user_id = $4 \
                 ORDER BY id DESC LIMIT $3",
            ),
        };
        let query = query.bind(org.as_uuid()).bind(before.map_or(LAST, |id| id.as_uuid())).bind(i64::from(limit) + 1);
        let query = match of {
            None => query,
            Some(user) => query.bind(user.as_uuid()),
        };
        let rows: Vec<TokenRow> = query.fetch_all(&self.read).await?;
        Ok(Page::cut(rows.into_iter().map(TokenRow::token).collect::<Result<_>>()?, limit))
    }

    async fn used(&self, org: OrgId, id: TokenId, at: DateTime<Utc>) -> Result<()> {
        sqlx::query("UPDATE tokens SET last_used_at = $3 WHERE org_id = $1 AND id = $2")
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .bind(micros(at))
            .execute(&self.notes)
            .await?;
        Ok(())
    }

    async fn revoke(&self, org: OrgId, id: TokenId, of: Option<UserId>, at: DateTime<Utc>) -> Result<bool> {
        let mut transaction = self.write.begin().await?;
        let done = sqlx::query(
            "UPDATE tokens SET revoked_at = COALESCE(revoked_at, $3) \
             WHERE org_id = $1 AND id = $2 AND ($4 IS NULL OR user_id = $4)",
        )
        .bind(org.as_uuid())
        .bind(id.as_uuid())
        .bind(micros(at))
        .bind(of.map(|user| user.as_uuid()))
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("UPDATE credentials SET revoked_at = COALESCE(revoked_at, $3) WHERE org_id = $1 AND token_id = $2")
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .bind(micros(at))
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM user_keys WHERE org_id = $1 AND token_id = $2")
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn revoke_all(&self, org: OrgId, user: UserId, keep: Option<TokenId>, at: DateTime<Utc>) -> Result<()> {
        let mut transaction = self.write.begin().await?;
        for text in [
            "UPDATE tokens SET revoked_at = COALESCE(revoked_at, $3) \
             WHERE org_id = $1 AND user_id = $2 AND ($4 IS NULL OR id <> $4)",
            "UPDATE credentials SET revoked_at = COALESCE(revoked_at, $3) \
             WHERE org_id = $1 AND user_id = $2 AND token_id IS NOT NULL AND ($4 IS NULL OR token_id <> $4)",
        ] {
            sqlx::query(text)
                .bind(org.as_uuid())
                .bind(user.as_uuid())
                .bind(micros(at))
                .bind(keep.map(|id| id.as_uuid()))
                .execute(&mut *transaction)
                .await?;
        }
        sqlx::query(
            "DELETE FROM user_keys \
             WHERE org_id = $1 AND user_id = $2 AND token_id IS NOT NULL AND ($3 IS NULL OR token_id <> $3)",
        )
        .bind(org.as_uuid())
        .bind(user.as_uuid())
        .bind(keep.map(|id| id.as_uuid()))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }
}
