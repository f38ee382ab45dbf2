use async_trait::async_trait;
use hoop_core::id::{OrgId, RoleId};
use hoop_core::{RecordingMode, ResourceRole};
use sqlx::FromRow;
use sqlx::types::Uuid;

use super::{Engine, Result, Roles, corrupt, micros, time, unless_exists};
use crate::store::{Page, Role};

#[derive(FromRow)]
pub(super) struct RoleRow {
    org_id: Uuid,
    id: Uuid,
    name: String,
    agent: String,
    target: String,
    labels: String,
    recording: String,
    plugins: String,
    allowed_groups: String,
    created_at: i64,
    updated_at: i64,
}

impl RoleRow {
    pub(super) fn role(self) -> Result<Role> {
        let role = ResourceRole {
            id: RoleId::from_uuid(self.id),
            org: OrgId::from_uuid(self.org_id),
            name: self.name.into(),
            agent: self.agent.into(),
            target: serde_json::from_str(&self.target).map_err(corrupt("target of a role"))?,
            labels: serde_json::from_str(&self.labels).map_err(corrupt("set of labels"))?,
            recording: if self.recording == "strict" { RecordingMode::Strict } else { RecordingMode::Default },
            plugins: serde_json::from_str(&self.plugins).map_err(corrupt("set of plugin settings"))?,
        };
        Ok(Role {
            role,
            allowed_groups: serde_json::from_str(&self.allowed_groups).map_err(corrupt("list of groups"))?,
            created_at: time(self.created_at),
            updated_at: time(self.updated_at),
        })
    }
}

pub(super) struct Texts {
    pub(super) target: String,
    pub(super) labels: String,
    pub(super) plugins: String,
    pub(super) allowed_groups: String,
    pub(super) recording: &'static str,
}

pub(super) fn texts(role: &Role) -> Result<Texts> {
    Ok(Texts {
        target: serde_json::to_string(&role.role.target).map_err(corrupt("target of a role"))?,
        labels: serde_json::to_string(&role.role.labels).map_err(corrupt("set of labels"))?,
        plugins: serde_json::to_string(&role.role.plugins).map_err(corrupt("set of plugin settings"))?,
        allowed_groups: serde_json::to_string(&role.allowed_groups).map_err(corrupt("list of groups"))?,
        recording: match role.role.recording {
            RecordingMode::Default => "default",
            RecordingMode::Strict => "strict",
        },
    })
}

#[async_trait]
impl Roles for Engine {
    async fn create(&self, role: &Role) -> Result<()> {
        let texts = texts(role)?;
        sqlx::query(
            "INSERT INTO roles (org_id, id, name, agent, target, labels, recording, plugins, allowed_groups, created_at, \
             updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(role.role.org.as_uuid())
        .bind(role.role.id.as_uuid())
        .bind(&*role.role.name)
        .bind(&*role.role.agent)
        .bind(texts.target)
        .bind(texts.labels)
        .bind(texts.recording)
        .bind(texts.plugins)
        .bind(texts.allowed_groups)
        .bind(micros(role.created_at))
        .bind(micros(role.updated_at))
        .execute(&self.write)
        .await
        .map_err(unless_exists(|| format!("role {}", role.role.name)))?;
        Ok(())
    }

    async fn by_name(&self, org: OrgId, name: &str) -> Result<Option<Role>> {
        let row: Option<RoleRow> = sqlx::query_as("SELECT * FROM roles WHERE org_id = $1 AND name = $2")
            .bind(org.as_uuid())
            .bind(name)
            .fetch_optional(&self.read)
            .await?;
        row.map(RoleRow::role).transpose()
    }

    async fn get(&self, org: OrgId, id: RoleId) -> Result<Option<Role>> {
        let row: Option<RoleRow> = sqlx::query_as("SELECT * FROM roles WHERE org_id = $1 AND id = $2")
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .fetch_optional(&self.read)
            .await?;
        row.map(RoleRow::role).transpose()
    }

    async fn list(&self, org: OrgId, after: Option<&str>, limit: u32) -> Result<Page<Role>> {
        let rows: Vec<RoleRow> =
            sqlx::query_as("SELECT * FROM roles WHERE org_id = $1 AND name > $2 ORDER BY name LIMIT $3")
                .bind(org.as_uuid())
                .bind(after.unwrap_or_default())
                .bind(i64::from(limit) + 1)
                .fetch_all(&self.read)
                .await?;
        let items = rows.into_iter().map(RoleRow::role).collect::<Result<_>>()?;
        Ok(Page::cut(items, limit))
    }

    async fn of_agent(&self, org: OrgId, agent: &str, limit: u32) -> Result<Vec<String>> {
        Ok(sqlx::query_scalar("SELECT name FROM roles WHERE org_id = $1 AND agent = $2 ORDER BY name LIMIT $3")
            .bind(org.as_uuid())
            .bind(agent)
            .bind(i64::from(limit))
            .fetch_all(&self.read)
            .await?)
    }
}
