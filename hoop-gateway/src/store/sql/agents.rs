use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hoop_core::id::{AgentId, OrgId};
use sqlx::FromRow;
use sqlx::types::Uuid;

use super::{Agents, Connection, Engine, Result, hash, micros, time, unless_exists};
use crate::store::{Agent, OldKey, Page};

/// The start of every question for agents, with the key before the last one.
macro_rules! agents_where {
    ($condition:literal) => {
        concat!(
            "SELECT a.*, o.token_hash AS old_token_hash, o.good_until AS old_good_until FROM agents a \
             LEFT JOIN agent_old_keys o ON o.org_id = a.org_id AND o.agent_id = a.id WHERE ",
            $condition
        )
    };
}

#[derive(FromRow)]
struct AgentRow {
    org_id: Uuid,
    id: Uuid,
    name: String,
    token_hash: Vec<u8>,
    old_token_hash: Option<Vec<u8>>,
    old_good_until: Option<i64>,
    revoked_at: Option<i64>,
    last_seen_at: Option<i64>,
    created_at: i64,
}

impl AgentRow {
    fn agent(self) -> Result<Agent> {
        let old_key = match self.old_token_hash.zip(self.old_good_until) {
            Some((bytes, until)) => Some(OldKey { token_hash: hash(bytes)?, good_until: time(until) }),
            None => None,
        };
        Ok(Agent {
            org: OrgId::from_uuid(self.org_id),
            id: AgentId::from_uuid(self.id),
            name: self.name,
            token_hash: hash(self.token_hash)?,
            old_key,
            revoked_at: self.revoked_at.map(time),
            last_seen_at: self.last_seen_at.map(time),
            created_at: time(self.created_at),
        })
    }
}

#[async_trait]
impl Agents for Engine {
    async fn create(&self, agent: &Agent) -> Result<()> {
        sqlx::query("INSERT INTO agents (org_id, id, name, token_hash, created_at) VALUES ($1, $2, $3, $4, $5)")
            .bind(agent.org.as_uuid())
            .bind(agent.id.as_uuid())
            .bind(&agent.name)
            .bind(&agent.token_hash[..])
            .bind(micros(agent.created_at))
            .execute(&self.write)
            .await
            .map_err(unless_exists(|| format!("agent {}", agent.name)))?;
        Ok(())
    }

    async fn by_token(&self, hash: &[u8; 32]) -> Result<Option<Agent>> {
        // Two questions, for which there is an index each.
        let by_token = sqlx::query_as(agents_where!("a.token_hash = $1")).bind(&hash[..]);
        let mut row: Option<AgentRow> = by_token.fetch_optional(&self.read).await?;
        if row.is_none() {
            let by_old = sqlx::query_as(agents_where!("o.token_hash = $1")).bind(&hash[..]);
            row = by_old.fetch_optional(&self.read).await?;
        }
        row.map(AgentRow::agent).transpose()
    }

    async fn by_name(&self, org: OrgId, name: &str) -> Result<Option<Agent>> {
        let row: Option<AgentRow> = sqlx::query_as(agents_where!("a.org_id = $1 AND a.name = $2"))
            .bind(org.as_uuid())
            .bind(name)
            .fetch_optional(&self.read)
            .await?;
        row.map(AgentRow::agent).transpose()
    }

    async fn list(&self, org: OrgId, after: Option<&str>, limit: u32) -> Result<Page<Agent>> {
        let rows: Vec<AgentRow> =
            sqlx::query_as(agents_where!("a.org_id = $1 AND a.name > $2 ORDER BY a.name LIMIT $3"))
                .bind(org.as_uuid())
                .bind(after.unwrap_or_default())
                .bind(i64::from(limit) + 1)
                .fetch_all(&self.read)
                .await?;
        let items = rows.into_iter().map(AgentRow::agent).collect::<Result<_>>()?;
        Ok(Page::cut(items, limit))
    }

    async fn rotate(&self, org: OrgId, id: AgentId, hash: &[u8; 32], old_until: Option<DateTime<Utc>>) -> Result<bool> {
        let mut transaction = self.write.begin().await?;
        forget_old(&mut transaction, org, id).await?;
        if let Some(until) = old_until {
            sqlx::query(
                "INSERT INTO agent_old_keys (org_id, agent_id, token_hash, good_until) \
                 SELECT org_id, id, token_hash, $3 FROM agents WHERE org_id = $1 AND id = $2 AND revoked_at IS NULL",
            )
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .bind(micros(until))
            .execute(&mut *transaction)
            .await?;
        }
        let done = sqlx::query("UPDATE agents SET token_hash = $3, revoked_at = NULL WHERE org_id = $1 AND id = $2")
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .bind(&hash[..])
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    async fn revoke(&self, org: OrgId, id: AgentId, at: DateTime<Utc>) -> Result<bool> {
        let mut transaction = self.write.begin().await?;
        forget_old(&mut transaction, org, id).await?;
        let done = sqlx::query("UPDATE agents SET revoked_at = $3 WHERE org_id = $1 AND id = $2")
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .bind(micros(at))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    async fn seen(&self, org: OrgId, id: AgentId, at: DateTime<Utc>) -> Result<()> {
        sqlx::query("UPDATE agents SET last_seen_at = $3 WHERE org_id = $1 AND id = $2")
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .bind(micros(at))
            .execute(&self.notes)
            .await?;
        Ok(())
    }
}

async fn forget_old(connection: &mut Connection, org: OrgId, id: AgentId) -> Result<()> {
    sqlx::query("DELETE FROM agent_old_keys WHERE org_id = $1 AND agent_id = $2")
        .bind(org.as_uuid())
        .bind(id.as_uuid())
        .execute(connection)
        .await?;
    Ok(())
}
