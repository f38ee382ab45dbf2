use async_trait::async_trait;
use hoop_core::id::{AccessRuleId, OrgId, RoleId, UserId};

use super::access_rules::text;
use super::roles::texts;
use super::users::{description, join};
use super::{Connection, Engine, Result, Versions, micros};
use crate::access::AccessRule;
use crate::store::{Role, StoreError, User};

/// How many may change the gateway.
async fn admins(connection: &mut Connection, org: OrgId) -> Result<i64> {
    Ok(sqlx::query_scalar("SELECT COUNT(*) FROM users WHERE org_id = $1 AND kind = 'admin' AND NOT disabled")
        .bind(org.as_uuid())
        .fetch_one(connection)
        .await?)
}

/// Whether there is still one of those that there were.
async fn one_is_left(connection: &mut Connection, org: OrgId, before: i64) -> Result<()> {
    if before > 0 && admins(connection, org).await? == 0 { Err(StoreError::LastAdmin) } else { Ok(()) }
}

#[async_trait]
impl Versions for Engine {
    async fn user(&self, org: OrgId, name: &str) -> Result<Option<i64>> {
        Ok(sqlx::query_scalar("SELECT version FROM users WHERE org_id = $1 AND name = $2")
            .bind(org.as_uuid())
            .bind(name)
            .fetch_optional(&self.read)
            .await?)
    }

    async fn update_user(&self, user: &User, version: i64) -> Result<bool> {
        // Two who shut each other out at once would leave nobody.
        let mut transaction = self.begin_alone("users").await?;
        let admins = admins(&mut transaction, user.org).await?;
        let done = sqlx::query(
            "UPDATE users SET kind = $4, password_hash = $5, must_change_password = $6, disabled = $7, \
             description = $8, version = version + 1 WHERE org_id = $1 AND id = $2 AND version = $3",
        )
        .bind(user.org.as_uuid())
        .bind(user.id.as_uuid())
        .bind(version)
        .bind(user.kind.as_str())
        .bind(&user.password_hash)
        .bind(user.must_change_password)
        .bind(user.disabled)
        .bind(description(user))
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("DELETE FROM memberships WHERE org_id = $1 AND user_id = $2")
            .bind(user.org.as_uuid())
            .bind(user.id.as_uuid())
            .execute(&mut *transaction)
            .await?;
        join(&mut transaction, user).await?;
        one_is_left(&mut transaction, user.org, admins).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn delete_user(&self, org: OrgId, id: UserId, version: i64) -> Result<bool> {
        let mut transaction = self.begin_alone("users").await?;
        let admins = admins(&mut transaction, org).await?;
        let done = sqlx::query("DELETE FROM users WHERE org_id = $1 AND id = $2 AND version = $3")
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .bind(version)
            .execute(&mut *transaction)
            .await?;
        one_is_left(&mut transaction, org, admins).await?;
        transaction.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    async fn role(&self, org: OrgId, name: &str) -> Result<Option<i64>> {
        Ok(sqlx::query_scalar("SELECT version FROM roles WHERE org_id = $1 AND name = $2")
            .bind(org.as_uuid())
            .bind(name)
            .fetch_optional(&self.read)
            .await?)
    }

    async fn update_role(&self, role: &Role, version: i64) -> Result<bool> {
        let texts = texts(role)?;
        let done = sqlx::query(
            "UPDATE roles SET agent = $4, target = $5, labels = $6, recording = $7, plugins = $8, allowed_groups = $9, \
             updated_at = $10, version = version + 1 WHERE org_id = $1 AND id = $2 AND version = $3",
        )
        .bind(role.role.org.as_uuid())
        .bind(role.role.id.as_uuid())
        .bind(version)
        .bind(&*role.role.agent)
        .bind(texts.target)
        .bind(texts.labels)
        .bind(texts.recording)
        .bind(texts.plugins)
        .bind(texts.allowed_groups)
        .bind(micros(role.updated_at))
        .execute(&self.write)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn delete_role(&self, org: OrgId, id: RoleId, version: i64) -> Result<bool> {
        let done = sqlx::query("DELETE FROM roles WHERE org_id = $1 AND id = $2 AND version = $3")
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .bind(version)
            .execute(&self.write)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn access_rule(&self, org: OrgId, name: &str) -> Result<Option<i64>> {
        Ok(sqlx::query_scalar("SELECT version FROM access_rules WHERE org_id = $1 AND name = $2")
            .bind(org.as_uuid())
            .bind(name)
            .fetch_optional(&self.read)
            .await?)
    }

    async fn update_access_rule(&self, rule: &AccessRule, version: i64) -> Result<bool> {
        let done = sqlx::query(
            "UPDATE access_rules SET definition = $4, updated_at = $5, version = version + 1 \
             WHERE org_id = $1 AND id = $2 AND version = $3",
        )
        .bind(rule.org.as_uuid())
        .bind(rule.id.as_uuid())
        .bind(version)
        .bind(text(&rule.definition)?)
        .bind(micros(rule.updated_at))
        .execute(&self.write)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn delete_access_rule(&self, org: OrgId, id: AccessRuleId, version: i64) -> Result<bool> {
        let done = sqlx::query("DELETE FROM access_rules WHERE org_id = $1 AND id = $2 AND version = $3")
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .bind(version)
            .execute(&self.write)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}
