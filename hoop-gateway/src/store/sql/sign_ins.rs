use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use hoop_core::id::{OrgId, TokenId, UserId};
use sqlx::FromRow;
use sqlx::types::Uuid;

use super::{Engine, Result, SignInRequests, hash, micros, time, unless_exists};
use crate::store::{Binding, SignInDecision, SignInRequest, SignInState, StoreError};

#[derive(FromRow)]
struct RequestRow {
    org_id: Uuid,
    code_hash: Vec<u8>,
    user_code_hash: Option<Vec<u8>>,
    client: String,
    source: Option<String>,
    redirect_uri: Option<String>,
    challenge: Option<String>,
    state: String,
    user_id: Option<Uuid>,
    token_id: Option<Uuid>,
    issued_id: Option<Uuid>,
    interval_seconds: i64,
    polled_at: Option<i64>,
    created_at: i64,
    expires_at: i64,
}

impl RequestRow {
    fn request(self) -> Result<SignInRequest> {
        let state = match self.state.as_str() {
            "pending" => SignInState::Pending,
            "approved" => SignInState::Approved,
            "denied" => SignInState::Denied,
            "used" => SignInState::Used,
            _ => return Err(StoreError::Corrupt { what: "state of a sign-in", source: self.state.into() }),
        };
        let binding = self.redirect_uri.zip(self.challenge);
        Ok(SignInRequest {
            org: OrgId::from_uuid(self.org_id),
            code_hash: hash(self.code_hash)?,
            user_code_hash: self.user_code_hash.map(hash).transpose()?,
            client: self.client,
            source: self.source,
            binding: binding.map(|(redirect_uri, challenge)| Binding { redirect_uri, challenge }),
            state,
            user: self.user_id.map(UserId::from_uuid),
            token: self.token_id.map(TokenId::from_uuid),
            issued: self.issued_id.map(TokenId::from_uuid),
            interval_seconds: u32::try_from(self.interval_seconds).unwrap_or(u32::MAX),
            polled_at: self.polled_at.map(time),
            created_at: time(self.created_at),
            expires_at: time(self.expires_at),
        })
    }
}

/// What has expired so long ago is forgotten: until then, a code that comes too late or twice is known as such.
const KEPT: TimeDelta = TimeDelta::hours(1);

#[async_trait]
impl SignInRequests for Engine {
    async fn create(&self, request: &SignInRequest) -> Result<()> {
        let mut transaction = self.write.begin().await?;
        sqlx::query("DELETE FROM sign_in_requests WHERE expires_at <= $1")
            .bind(micros(request.created_at - KEPT))
            .execute(&mut *transaction)
            .await?;
        let binding = request.binding.as_ref();
        sqlx::query(
            "INSERT INTO sign_in_requests (org_id, code_hash, user_code_hash, client, source, redirect_uri, challenge, \
             state, user_id, token_id, issued_id, interval_seconds, polled_at, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        )
        .bind(request.org.as_uuid())
        .bind(&request.code_hash[..])
        .bind(request.user_code_hash.as_ref().map(|hash| &hash[..]))
        .bind(&request.client)
        .bind(&request.source)
        .bind(binding.map(|binding| &binding.redirect_uri))
        .bind(binding.map(|binding| &binding.challenge))
        .bind(request.state.as_str())
        .bind(request.user.map(|user| user.as_uuid()))
        .bind(request.token.map(|token| token.as_uuid()))
        .bind(request.issued.map(|token| token.as_uuid()))
        .bind(i64::from(request.interval_seconds))
        .bind(request.polled_at.map(micros))
        .bind(micros(request.created_at))
        .bind(micros(request.expires_at))
        .execute(&mut *transaction)
        .await
        .map_err(unless_exists(|| "sign-in request".to_owned()))?;
        Ok(transaction.commit().await?)
    }

    async fn by_code(&self, org: OrgId, code_hash: &[u8; 32]) -> Result<Option<SignInRequest>> {
        let row: Option<RequestRow> =
            sqlx::query_as("SELECT * FROM sign_in_requests WHERE org_id = $1 AND code_hash = $2")
                .bind(org.as_uuid())
                .bind(&code_hash[..])
                .fetch_optional(&self.read)
                .await?;
        row.map(RequestRow::request).transpose()
    }

    async fn by_user_code(&self, org: OrgId, user_code_hash: &[u8; 32]) -> Result<Option<SignInRequest>> {
        let row: Option<RequestRow> =
            sqlx::query_as("SELECT * FROM sign_in_requests WHERE org_id = $1 AND user_code_hash = $2")
                .bind(org.as_uuid())
                .bind(&user_code_hash[..])
                .fetch_optional(&self.read)
                .await?;
        row.map(RequestRow::request).transpose()
    }

    async fn decide(&self, org: OrgId, user_code_hash: &[u8; 32], decision: &SignInDecision) -> Result<bool> {
        let state = if decision.approve { SignInState::Approved } else { SignInState::Denied };
        let done = sqlx::query(
            "UPDATE sign_in_requests SET state = $3, user_id = $4, token_id = $5 \
             WHERE org_id = $1 AND user_code_hash = $2 AND state = 'pending' AND expires_at > $6",
        )
        .bind(org.as_uuid())
        .bind(&user_code_hash[..])
        .bind(state.as_str())
        .bind(decision.user.as_uuid())
        .bind(decision.token.as_uuid())
        .bind(micros(decision.at))
        .execute(&self.write)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn polled(&self, org: OrgId, code_hash: &[u8; 32], at: DateTime<Utc>, interval_seconds: u32) -> Result<()> {
        sqlx::query(
            "UPDATE sign_in_requests SET polled_at = $3, interval_seconds = $4 WHERE org_id = $1 AND code_hash = $2",
        )
        .bind(org.as_uuid())
        .bind(&code_hash[..])
        .bind(micros(at))
        .bind(i64::from(interval_seconds))
        .execute(&self.notes)
        .await?;
        Ok(())
    }

    async fn take(&self, org: OrgId, code_hash: &[u8; 32], issued: Option<TokenId>, at: DateTime<Utc>) -> Result<bool> {
        let done = sqlx::query(
            "UPDATE sign_in_requests SET state = 'used', issued_id = $3 \
             WHERE org_id = $1 AND code_hash = $2 AND state = 'approved' AND expires_at > $4",
        )
        .bind(org.as_uuid())
        .bind(&code_hash[..])
        .bind(issued.map(|token| token.as_uuid()))
        .bind(micros(at))
        .execute(&self.write)
        .await?;
        Ok(done.rows_affected() > 0)
    }
}
