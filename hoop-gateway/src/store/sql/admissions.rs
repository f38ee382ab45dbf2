use async_trait::async_trait;
use hoop_core::id::{CredentialId, OrgId, RoleId, UserId};
use sqlx::FromRow;
use sqlx::types::Uuid;

use super::roles::RoleRow;
use super::users::{Member, user_columns, user_of};
use super::{Admissions, Engine, Result, time};
use crate::store::{Holder, Role, StoredSecret, User};

/// A role beside a user, once for each of the user's groups.
#[derive(FromRow)]
struct Admitted {
    #[sqlx(flatten)]
    role: RoleRow,
    #[sqlx(flatten)]
    member: Member,
}

/// The same for a credential.
#[derive(FromRow)]
struct HolderRow {
    #[sqlx(flatten)]
    admitted: Admitted,
    credential_revoked_at: Option<i64>,
    credential_token_id: Option<Uuid>,
    token_id: Option<Uuid>,
    token_revoked_at: Option<i64>,
}

/// A role beside its secrets, once for each; once when there is none.
#[derive(FromRow)]
struct RoleAndSecret {
    #[sqlx(flatten)]
    role: RoleRow,
    secret_field: Option<String>,
    secret_key_id: Option<String>,
    secret_wrapped_key: Option<Vec<u8>>,
    secret_ciphertext: Option<Vec<u8>>,
    secret_updated_at: Option<i64>,
}

impl RoleAndSecret {
    fn secret(&mut self, org: OrgId, role: RoleId) -> Option<StoredSecret> {
        Some(StoredSecret {
            org,
            role,
            field: self.secret_field.take()?,
            key_id: self.secret_key_id.take()?,
            wrapped_key: self.secret_wrapped_key.take()?,
            ciphertext: self.secret_ciphertext.take()?,
            updated_at: self.secret_updated_at.map(time)?,
        })
    }
}

fn user_and_role(rows: Vec<Admitted>) -> Result<Option<(User, Role)>> {
    let mut role = None;
    let members = rows.into_iter().map(|row| {
        role.get_or_insert(row.role);
        row.member
    });
    let Some(user) = user_of(members)? else { return Ok(None) };
    Ok(role.map(RoleRow::role).transpose()?.map(|role| (user, role)))
}

#[async_trait]
impl Admissions for Engine {
    async fn holder(&self, org: OrgId, credential: CredentialId) -> Result<Option<Holder>> {
        let rows: Vec<HolderRow> = sqlx::query_as(concat!(
            "SELECT r.*, c.revoked_at AS credential_revoked_at, c.token_id AS credential_token_id, t.id AS token_id, \
             t.revoked_at AS token_revoked_at, ",
            user_columns!(),
            " FROM credentials c JOIN users u ON u.org_id = c.org_id AND u.id = c.user_id \
             JOIN roles r ON r.org_id = c.org_id AND r.id = c.role_id \
             LEFT JOIN tokens t ON t.org_id = c.org_id AND t.id = c.token_id \
             LEFT JOIN memberships m ON m.org_id = u.org_id AND m.user_id = u.id \
             WHERE c.org_id = $1 AND c.id = $2 ORDER BY m.group_name",
        ))
        .bind(org.as_uuid())
        .bind(credential.as_uuid())
        .fetch_all(&self.read)
        .await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let revoked = first.credential_revoked_at.is_some();
        let has_good_token = first.token_id.is_some() && first.token_revoked_at.is_none();
        let token_revoked = first.credential_token_id.is_some() && !has_good_token;
        let both = user_and_role(rows.into_iter().map(|row| row.admitted).collect())?;
        Ok(both.map(|(user, role)| Holder { user, role, revoked, token_revoked }))
    }

    async fn user_and_role(&self, org: OrgId, user: UserId, role: RoleId) -> Result<Option<(User, Role)>> {
        let rows: Vec<Admitted> = sqlx::query_as(concat!(
            "SELECT r.*, ",
            user_columns!(),
            " FROM users u JOIN roles r ON r.org_id = u.org_id AND r.id = $3 \
             LEFT JOIN memberships m ON m.org_id = u.org_id AND m.user_id = u.id \
             WHERE u.org_id = $1 AND u.id = $2 ORDER BY m.group_name",
        ))
        .bind(org.as_uuid())
        .bind(user.as_uuid())
        .bind(role.as_uuid())
        .fetch_all(&self.read)
        .await?;
        user_and_role(rows)
    }

    async fn role_and_secrets(&self, org: OrgId, role: RoleId) -> Result<Option<(Role, Vec<StoredSecret>)>> {
        let mut rows: Vec<RoleAndSecret> = sqlx::query_as(
            "SELECT r.*, s.field AS secret_field, s.key_id AS secret_key_id, s.wrapped_key AS secret_wrapped_key, \
             s.ciphertext AS secret_ciphertext, s.updated_at AS secret_updated_at \
             FROM roles r LEFT JOIN role_secrets s ON s.org_id = r.org_id AND s.role_id = r.id \
             WHERE r.org_id = $1 AND r.id = $2 ORDER BY s.field",
        )
        .bind(org.as_uuid())
        .bind(role.as_uuid())
        .fetch_all(&self.read)
        .await?;
        let secrets = rows.iter_mut().filter_map(|row| row.secret(org, role)).collect();
        let role = rows.into_iter().next().map(|row| row.role.role()).transpose()?;
        Ok(role.map(|role| (role, secrets)))
    }
}
