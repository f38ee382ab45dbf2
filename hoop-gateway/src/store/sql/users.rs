use std::collections::HashMap;

use async_trait::async_trait;
use hoop_core::PrincipalKind;
use hoop_core::id::{OrgId, UserId};
use sqlx::FromRow;
use sqlx::types::Uuid;

use super::{Connection, Engine, Result, Users, micros, time, unless_exists};
use crate::store::{Group, Page, ServiceAccount, StoreError, User, UserKind};

#[derive(FromRow)]
struct UserRow {
    org_id: Uuid,
    id: Uuid,
    name: String,
    kind: String,
    password_hash: Option<String>,
    must_change_password: bool,
    disabled: bool,
    created_at: i64,
    service_account: bool,
    description: String,
    created_by: Option<String>,
}

impl UserRow {
    fn user(self, groups: Vec<String>) -> Result<User> {
        let kind = match self.kind.as_str() {
            "admin" => UserKind::Admin,
            "auditor" => UserKind::Auditor,
            "member" => UserKind::Member,
            _ => return Err(StoreError::Corrupt { what: "kind of user", source: self.kind.into() }),
        };
        Ok(User {
            org: OrgId::from_uuid(self.org_id),
            id: UserId::from_uuid(self.id),
            name: self.name,
            kind,
            groups,
            password_hash: self.password_hash,
            must_change_password: self.must_change_password,
            disabled: self.disabled,
            service: self
                .service_account
                .then_some(ServiceAccount { description: self.description, created_by: self.created_by }),
            created_at: time(self.created_at),
        })
    }
}

impl Engine {
    async fn with_groups(&self, row: Option<UserRow>) -> Result<Option<User>> {
        let Some(row) = row else { return Ok(None) };
        let groups = sqlx::query_scalar(
            "SELECT group_name FROM memberships WHERE org_id = $1 AND user_id = $2 ORDER BY group_name",
        )
        .bind(row.org_id)
        .bind(row.id)
        .fetch_all(&self.read)
        .await?;
        row.user(groups).map(Some)
    }
}

async fn insert(connection: &mut Connection, user: &User) -> Result<()> {
    sqlx::query(
        "INSERT INTO users (org_id, id, name, kind, password_hash, must_change_password, disabled, created_at, \
         service_account, description, created_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(user.org.as_uuid())
    .bind(user.id.as_uuid())
    .bind(&user.name)
    .bind(user.kind.as_str())
    .bind(&user.password_hash)
    .bind(user.must_change_password)
    .bind(user.disabled)
    .bind(micros(user.created_at))
    .bind(user.service.is_some())
    .bind(description(user))
    .bind(user.service.as_ref().and_then(|service| service.created_by.as_ref()))
    .execute(&mut *connection)
    .await
    .map_err(unless_exists(|| match user.service {
        // They share their names, so that a name in a log or a rule is one caller's.
        Some(_) => format!("user or service account {}", user.name),
        None => format!("user {}", user.name),
    }))?;
    join(connection, user).await
}

pub(super) fn description(user: &User) -> &str {
    user.service.as_ref().map_or("", |service| &service.description)
}

/// Makes the user a member of its groups; of others it must not be one yet.
pub(super) async fn join(connection: &mut Connection, user: &User) -> Result<()> {
    for group in &user.groups {
        sqlx::query(
            "INSERT INTO memberships (org_id, user_id, group_name) VALUES ($1, $2, $3) \
             ON CONFLICT (org_id, user_id, group_name) DO NOTHING",
        )
        .bind(user.org.as_uuid())
        .bind(user.id.as_uuid())
        .bind(group)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

#[async_trait]
impl Users for Engine {
    async fn create(&self, user: &User) -> Result<()> {
        let mut transaction = self.write.begin().await?;
        insert(&mut transaction, user).await?;
        Ok(transaction.commit().await?)
    }

    async fn create_first(&self, user: &User) -> Result<bool> {
        // Nobody can add another user between the question and the answer.
        let mut transaction = self.begin_alone("users").await?;
        let users: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM users WHERE org_id = $1")
            .bind(user.org.as_uuid())
            .fetch_one(&mut *transaction)
            .await?;
        if users > 0 {
            return Ok(false);
        }
        insert(&mut transaction, user).await?;
        transaction.commit().await?;
        Ok(true)
    }

    async fn by_name(&self, org: OrgId, name: &str) -> Result<Option<User>> {
        let row = sqlx::query_as("SELECT * FROM users WHERE org_id = $1 AND name = $2")
            .bind(org.as_uuid())
            .bind(name)
            .fetch_optional(&self.read)
            .await?;
        self.with_groups(row).await
    }

    async fn get(&self, org: OrgId, id: UserId) -> Result<Option<User>> {
        let row = sqlx::query_as("SELECT * FROM users WHERE org_id = $1 AND id = $2")
            .bind(org.as_uuid())
            .bind(id.as_uuid())
            .fetch_optional(&self.read)
            .await?;
        self.with_groups(row).await
    }

    async fn list(&self, org: OrgId, of: Option<PrincipalKind>, after: Option<&str>, limit: u32) -> Result<Page<User>> {
        // Texts of their own, since programs have an index of theirs.
        let query = sqlx::query_as(match of {
            None => "SELECT * FROM users WHERE org_id = $1 AND name > $2 ORDER BY name LIMIT $3",
            Some(PrincipalKind::User) => {
                "SELECT * FROM users WHERE org_id = $1 AND name > $2 AND NOT service_account ORDER BY name LIMIT $3"
            }
            Some(PrincipalKind::ServiceAccount) => {
                "SELECT * FROM users WHERE org_id = $1 AND name > $2 AND service_account ORDER BY name LIMIT $3"
            }
        });
        let rows: Vec<UserRow> = query
            .bind(org.as_uuid())
            .bind(after.unwrap_or_default())
            .bind(i64::from(limit) + 1)
            .fetch_all(&self.read)
            .await?;
        // SQLite takes the tables of a CROSS JOIN in their order: the users of this page, and not everyone's memberships.
        let memberships: Vec<(Uuid, String)> = sqlx::query_as(
            "SELECT m.user_id, m.group_name FROM users u CROSS JOIN memberships m \
             WHERE u.org_id = $1 AND u.name > $2 AND u.name <= $3 AND m.org_id = u.org_id AND m.user_id = u.id \
             ORDER BY m.group_name",
        )
        .bind(org.as_uuid())
        .bind(after.unwrap_or_default())
        .bind(rows.last().map(|row| row.name.as_str()).unwrap_or_default())
        .fetch_all(&self.read)
        .await?;
        let mut groups: HashMap<Uuid, Vec<String>> = HashMap::new();
        for (user, group) in memberships {
            groups.entry(user).or_default().push(group);
        }
        let users = rows.into_iter().map(|row| {
            let groups = groups.remove(&row.id).unwrap_or_default();
            row.user(groups)
        });
        Ok(Page::cut(users.collect::<Result<_>>()?, limit))
    }

    async fn groups(&self, org: OrgId, after: Option<&str>, limit: u32) -> Result<Page<Group>> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT group_name, COUNT(*) FROM memberships WHERE org_id = $1 AND group_name > $2 \
             GROUP BY group_name ORDER BY group_name LIMIT $3",
        )
        .bind(org.as_uuid())
        .bind(after.unwrap_or_default())
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.read)
        .await?;
        let groups = rows.into_iter().map(|(name, members)| Group { name, members: members.unsigned_abs() });
        Ok(Page::cut(groups.collect(), limit))
    }
}
