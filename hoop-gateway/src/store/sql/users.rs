use std::collections::{BTreeMap, HashMap};

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

/// The columns of a [`Member`]: of users as `u`, and memberships as `m`.
macro_rules! user_columns {
    () => {
        "u.org_id AS user_org_id, u.id AS user_id, u.name AS user_name, u.kind AS user_kind, \
         u.password_hash AS user_password_hash, u.must_change_password AS user_must_change_password, \
         u.disabled AS user_disabled, u.created_at AS user_created_at, u.service_account AS user_service_account, \
         u.description AS user_description, u.created_by AS user_created_by, m.group_name AS user_group"
    };
}
pub(super) use user_columns;

/// A user as they stand beside other things, once for each of their groups; once when they are in none.
#[derive(FromRow)]
pub(super) struct Member {
    user_org_id: Uuid,
    user_id: Uuid,
    user_name: String,
    user_kind: String,
    user_password_hash: Option<String>,
    user_must_change_password: bool,
    user_disabled: bool,
    user_created_at: i64,
    user_service_account: bool,
    user_description: String,
    user_created_by: Option<String>,
    user_group: Option<String>,
}

/// The user whom all of these rows are of.
pub(super) fn user_of(members: impl IntoIterator<Item = Member>) -> Result<Option<User>> {
    let (mut user, mut groups) = (None, Vec::new());
    for mut member in members {
        groups.extend(member.user_group.take());
        user.get_or_insert(member);
    }
    user.map(|member: Member| UserRow::from(member).user(groups)).transpose()
}

impl From<Member> for UserRow {
    fn from(member: Member) -> Self {
        Self {
            org_id: member.user_org_id,
            id: member.user_id,
            name: member.user_name,
            kind: member.user_kind,
            password_hash: member.user_password_hash,
            must_change_password: member.user_must_change_password,
            disabled: member.user_disabled,
            created_at: member.user_created_at,
            service_account: member.user_service_account,
            description: member.user_description,
            created_by: member.user_created_by,
        }
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
        let members: Vec<Member> = sqlx::query_as(concat!(
            "SELECT ",
            user_columns!(),
            " FROM users u LEFT JOIN memberships m ON m.org_id = u.org_id AND m.user_id = u.id \
             WHERE u.org_id = $1 AND u.name = $2 ORDER BY m.group_name",
        ))
        .bind(org.as_uuid())
        .bind(name)
        .fetch_all(&self.read)
        .await?;
        user_of(members)
    }

    async fn get(&self, org: OrgId, id: UserId) -> Result<Option<User>> {
        let members: Vec<Member> = sqlx::query_as(concat!(
            "SELECT ",
            user_columns!(),
            " FROM users u LEFT JOIN memberships m ON m.org_id = u.org_id AND m.user_id = u.id \
             WHERE u.org_id = $1 AND u.id = $2 ORDER BY m.group_name",
        ))
        .bind(org.as_uuid())
        .bind(id.as_uuid())
        .fetch_all(&self.read)
        .await?;
        user_of(members)
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
        let after = after.unwrap_or_default();
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT group_name, COUNT(*) FROM memberships WHERE org_id = $1 AND group_name > $2 \
             GROUP BY group_name ORDER BY group_name LIMIT $3",
        )
        .bind(org.as_uuid())
        .bind(after)
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.read)
        .await?;
        let named = self.named_groups(org).await?.into_iter().filter(|name| name.as_str() > after);
        let mut groups: BTreeMap<String, u64> = named.map(|name| (name, 0)).collect();
        groups.extend(rows.into_iter().map(|(name, members)| (name, members.unsigned_abs())));
        let groups = groups.into_iter().map(|(name, members)| Group { name, members });
        Ok(Page::cut(groups.collect(), limit))
    }
}
