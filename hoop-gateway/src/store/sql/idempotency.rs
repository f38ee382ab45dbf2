use async_trait::async_trait;
use hoop_core::id::{OrgId, UserId};
use sqlx::FromRow;

use super::{Engine, Idempotency, Result, corrupt, hash, micros, time};
use crate::store::{Claim, Earlier, KeptAnswer};

#[derive(FromRow)]
struct EarlierRow {
    request: Vec<u8>,
    status: Option<i64>,
    headers: Option<String>,
    body: Option<Vec<u8>>,
    created_at: i64,
}

impl EarlierRow {
    fn earlier(self) -> Result<Earlier> {
        let headers = self.headers.as_deref().map(serde_json::from_str).transpose();
        let headers = headers.map_err(corrupt("set of headers"))?.unwrap_or_default();
        let status = self.status.map(|status| u16::try_from(status).unwrap_or_default());
        Ok(Earlier {
            request: hash(self.request)?,
            at: time(self.created_at),
            answer: status.map(|status| KeptAnswer { status, headers, body: self.body }),
        })
    }
}

#[async_trait]
impl Idempotency for Engine {
    async fn claim(&self, claim: &Claim) -> Result<Option<Earlier>> {
        let mut transaction = self.write.begin().await?;
        sqlx::query("DELETE FROM idempotency WHERE expires_at <= $1")
            .bind(micros(claim.at))
            .execute(&mut *transaction)
            .await?;
        let done = sqlx::query(
            "INSERT INTO idempotency (org_id, user_id, idem_key, request, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (org_id, user_id, idem_key) DO NOTHING",
        )
        .bind(claim.org.as_uuid())
        .bind(claim.user.as_uuid())
        .bind(&claim.key)
        .bind(&claim.request[..])
        .bind(micros(claim.at))
        .bind(micros(claim.expires_at))
        .execute(&mut *transaction)
        .await?;
        let earlier: Option<EarlierRow> = if done.rows_affected() > 0 {
            None
        } else {
            let row = sqlx::query_as(
                "SELECT request, status, headers, body, created_at FROM idempotency \
                 WHERE org_id = $1 AND user_id = $2 AND idem_key = $3",
            )
            .bind(claim.org.as_uuid())
            .bind(claim.user.as_uuid())
            .bind(&claim.key);
            Some(row.fetch_one(&mut *transaction).await?)
        };
        transaction.commit().await?;
        earlier.map(EarlierRow::earlier).transpose()
    }

    async fn answer(&self, org: OrgId, user: UserId, key: &str, answer: &KeptAnswer) -> Result<()> {
        let headers = serde_json::to_string(&answer.headers).map_err(corrupt("set of headers"))?;
        sqlx::query(
            "UPDATE idempotency SET status = $4, headers = $5, body = $6 \
             WHERE org_id = $1 AND user_id = $2 AND idem_key = $3",
        )
        .bind(org.as_uuid())
        .bind(user.as_uuid())
        .bind(key)
        .bind(i64::from(answer.status))
        .bind(headers)
        .bind(&answer.body)
        .execute(&self.write)
        .await?;
        Ok(())
    }

    async fn release(&self, org: OrgId, user: UserId, key: &str) -> Result<()> {
        sqlx::query("DELETE FROM idempotency WHERE org_id = $1 AND user_id = $2 AND idem_key = $3 AND status IS NULL")
            .bind(org.as_uuid())
            .bind(user.as_uuid())
            .bind(key)
            .execute(&self.write)
            .await?;
        Ok(())
    }
}
