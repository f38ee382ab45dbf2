use async_trait::async_trait;
use hoop_core::id::{OrgId, RoleId};
use sqlx::FromRow;
use sqlx::types::Uuid;

use super::{Engine, Result, RoleSecrets, micros, time};
use crate::store::{Rewrapped, StoredSecret};

#[derive(FromRow)]
struct SecretRow {
    org_id: Uuid,
    role_id: Uuid,
    field: String,
    key_id: String,
    wrapped_key: Vec<u8>,
    ciphertext: Vec<u8>,
    updated_at: i64,
}

impl From<SecretRow> for StoredSecret {
    fn from(row: SecretRow) -> Self {
        Self {
            org: OrgId::from_uuid(row.org_id),
            role: RoleId::from_uuid(row.role_id),
            field: row.field,
            key_id: row.key_id,
            wrapped_key: row.wrapped_key,
            ciphertext: row.ciphertext,
            updated_at: time(row.updated_at),
        }
    }
}

#[async_trait]
impl RoleSecrets for Engine {
    async fn put(&self, secret: &StoredSecret) -> Result<bool> {
        // The role is looked for in the same statement: it may be deleted meanwhile.
        let done = sqlx::query(
            "INSERT INTO role_secrets (org_id, role_id, field, key_id, wrapped_key, ciphertext, updated_at) \
             SELECT org_id, id, $3, $4, $5, $6, $7 FROM roles WHERE org_id = $1 AND id = $2 \
             ON CONFLICT (org_id, role_id, field) DO UPDATE SET key_id = excluded.key_id, \
             wrapped_key = excluded.wrapped_key, ciphertext = excluded.ciphertext, updated_at = excluded.updated_at",
        )
        .bind(secret.org.as_uuid())
        .bind(secret.role.as_uuid())
        .bind(&secret.field)
        .bind(&secret.key_id)
        .bind(&secret.wrapped_key)
        .bind(&secret.ciphertext)
        .bind(micros(secret.updated_at))
        .execute(&self.write)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn of_role(&self, org: OrgId, role: RoleId) -> Result<Vec<StoredSecret>> {
        let rows: Vec<SecretRow> =
            sqlx::query_as("SELECT * FROM role_secrets WHERE org_id = $1 AND role_id = $2 ORDER BY field")
                .bind(org.as_uuid())
                .bind(role.as_uuid())
                .fetch_all(&self.read)
                .await?;
        Ok(rows.into_iter().map(StoredSecret::from).collect())
    }

    async fn delete(&self, org: OrgId, role: RoleId, field: &str) -> Result<bool> {
        let done = sqlx::query("DELETE FROM role_secrets WHERE org_id = $1 AND role_id = $2 AND field = $3")
            .bind(org.as_uuid())
            .bind(role.as_uuid())
            .bind(field)
            .execute(&self.write)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn all(&self) -> Result<Vec<StoredSecret>> {
        let rows: Vec<SecretRow> =
            sqlx::query_as("SELECT * FROM role_secrets ORDER BY org_id, role_id, field").fetch_all(&self.read).await?;
        Ok(rows.into_iter().map(StoredSecret::from).collect())
    }

    async fn rewrap(&self, secrets: &[Rewrapped]) -> Result<bool> {
        let mut transaction = self.write.begin().await?;
        for Rewrapped { before, key_id, wrapped_key } in secrets {
            let done = sqlx::query(
                "UPDATE role_secrets SET key_id = $5, wrapped_key = $6 \
                 WHERE org_id = $1 AND role_id = $2 AND field = $3 AND wrapped_key = $4",
            )
            .bind(before.org.as_uuid())
            .bind(before.role.as_uuid())
            .bind(&before.field)
            .bind(&before.wrapped_key)
            .bind(key_id)
            .bind(wrapped_key)
            .execute(&mut *transaction)
            .await?;
            if done.rows_affected() == 0 {
                return Ok(false);
            }
        }
        transaction.commit().await?;
        Ok(true)
    }
}
