use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hoop_core::id::{AgentId, OrgId};
use sqlx::FromRow;
use sqlx::types::Uuid;

use super::{Agents, Engine, Result, hash, micros, time, unless_exists};
use crate::store::{Agent, Page};

#[derive(FromRow)]
struct AgentRow {
    org_id: Uuid,
    id: Uuid,
    name: String,
    token_hash: Vec<u8>,
    revoked_at: Option<i64>,
    last_seen_at: Option<i64>,
    created_at: i64,
}

impl AgentRow {
    fn agent(self) -> Result<Agent> {
        Ok(Agent {
            org: OrgId::from_uuid(self.org_id),
            id: AgentId::from_uuid(self.id),
            name: self.name,
            token_hash: hash(self.token_hash)?,
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
        let row: Option<AgentRow> = sqlx::query_as("SELECT * FROM agents WHERE token_hash = $1")
            .bind(&hash[..])
            .fetch_optional(&self.read)
            .await?;
        row.map(AgentRow::agent).transpose()
    }

    async fn by_name(&self, org: OrgId, name: &str) -> Result<Option<Agent>> {
        let row: Option<AgentRow> = sqlx::query_as("SELECT * FROM agents WHERE org_id = $1 AND name = $2")
            .bind(org.as_uuid())
            .bind(name)
            .fetch_optional(&self.read)
            .await?;
        row.map(AgentRow::agent).transpose()
    }

    async fn list(&self, org: OrgId, after: Option<&str>, limit: u32) -> Result<Page<Agent>> {
        let rows: Vec<AgentRow> =
            sqlx::query_as("SELECT * FROM agents WHERE org_id = $1 AND name > $2 ORDER BY name LIMIT $3")
                .bind(org.as_uuid())
                .bind(after.unwrap_or_default())
                .bind(i64::from(limit) + 1)
                .fetch_all(&self.read)
                .await?;
        let items = rows.into_iter().map(AgentRow::agent).collect::<Result<_>>()?;
        Ok(Page::cut(items, limit))
    }

    async fn rotate(&self, org: OrgId, id: AgentId, hash: &[u8; 32]) -> Result<bool> {
        let done = sqlx::query("UPDATE agents SET token_hash = $3, revoked_at = NULL WHERE org_id = $1 AND id = $2")
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .bind(&hash[..])
            .execute(&self.write)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn revoke(&self, org: OrgId, id: AgentId, at: DateTime<Utc>) -> Result<bool> {
        let done = sqlx::query("UPDATE agents SET revoked_at = $3 WHERE org_id = $1 AND id = $2")
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .bind(micros(at))
            .execute(&self.write)
            .await?;
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
