use async_trait::async_trait;
use hoop_core::id::{AccessRuleId, OrgId};
use sqlx::FromRow;
use sqlx::types::Uuid;

use super::{Engine, Result, corrupt, micros, time, unless_exists};
use crate::access::{AccessRule, RuleDefinition};
use crate::store::{AccessRules, Page};

#[derive(FromRow)]
struct AccessRuleRow {
    org_id: Uuid,
    id: Uuid,
    definition: String,
    created_at: i64,
    updated_at: i64,
}

impl AccessRuleRow {
    fn rule(self) -> Result<AccessRule> {
        Ok(AccessRule {
            org: OrgId::from_uuid(self.org_id),
            id: AccessRuleId::from_uuid(self.id),
            definition: serde_json::from_str(&self.definition).map_err(corrupt("access rule"))?,
            created_at: time(self.created_at),
            updated_at: time(self.updated_at),
        })
    }
}

pub(super) fn text(definition: &RuleDefinition) -> Result<String> {
    serde_json::to_string(definition).map_err(corrupt("access rule"))
}

#[async_trait]
impl AccessRules for Engine {
    async fn create(&self, rule: &AccessRule) -> Result<()> {
        sqlx::query(
            "INSERT INTO access_rules (org_id, id, name, definition, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(rule.org.as_uuid())
        .bind(rule.id.as_uuid())
        .bind(&rule.definition.name)
        .bind(text(&rule.definition)?)
        .bind(micros(rule.created_at))
        .bind(micros(rule.updated_at))
        .execute(&self.write)
        .await
        .map_err(unless_exists(|| format!("access rule {}", rule.definition.name)))?;
        Ok(())
    }

    async fn by_name(&self, org: OrgId, name: &str) -> Result<Option<AccessRule>> {
        let row: Option<AccessRuleRow> = sqlx::query_as("SELECT * FROM access_rules WHERE org_id = $1 AND name = $2")
            .bind(org.as_uuid())
            .bind(name)
            .fetch_optional(&self.read)
            .await?;
        row.map(AccessRuleRow::rule).transpose()
    }

    async fn list(&self, org: OrgId, after: Option<&str>, limit: u32) -> Result<Page<AccessRule>> {
        let rows: Vec<AccessRuleRow> =
            sqlx::query_as("SELECT * FROM access_rules WHERE org_id = $1 AND name > $2 ORDER BY name LIMIT $3")
                .bind(org.as_uuid())
                .bind(after.unwrap_or_default())
                .bind(i64::from(limit) + 1)
                .fetch_all(&self.read)
                .await?;
        let items = rows.into_iter().map(AccessRuleRow::rule).collect::<Result<_>>()?;
        Ok(Page::cut(items, limit))
    }

    async fn all(&self) -> Result<Vec<AccessRule>> {
        let rows: Vec<AccessRuleRow> =
            sqlx::query_as("SELECT * FROM access_rules ORDER BY org_id, name").fetch_all(&self.read).await?;
        rows.into_iter().map(AccessRuleRow::rule).collect()
    }
}
