use sqlx::AssertSqlSafe;

use super::super::{LIST_TABLES, MIGRATIONS};
use super::{Connection, Engine, Result};
use crate::store::{StoreError, TABLES};

/// The migrator's own table.
const MIGRATOR: &str = "_sqlx_migrations";

impl Engine {
    /// The tables that there are, by name, without the migrator's own.
    #[cfg(test)]
    pub(in crate::store) async fn tables(&self) -> Result<Vec<String>> {
        let mut tables: Vec<String> = sqlx::query_scalar(LIST_TABLES).fetch_all(&self.read).await?;
        tables.retain(|table| table != MIGRATOR);
        Ok(tables)
    }

    /// The version of the schema; 0 where there is none yet.
    ///
    /// # Errors
    /// [`StoreError::Newer`] and [`StoreError::Changed`] when it is none that this gateway has made.
    pub(in crate::store) async fn version(&self) -> Result<i64> {
        self.version_on(&mut *self.read.acquire().await?).await
    }

    pub(super) async fn version_on(&self, connection: &mut Connection) -> Result<i64> {
        let tables: Vec<String> = sqlx::query_scalar(LIST_TABLES).fetch_all(&mut *connection).await?;
        if !tables.iter().any(|table| table == MIGRATOR) {
            return Ok(0);
        }
        let applied: Vec<(i64, Vec<u8>, bool)> =
            sqlx::query_as("SELECT version, checksum, success FROM _sqlx_migrations ORDER BY version")
                .fetch_all(connection)
                .await?;
        for (version, checksum, success) in &applied {
            match MIGRATIONS.iter().find(|migration| migration.version == *version) {
                Some(migration) if *success && *migration.checksum == checksum[..] => {}
                None if *version > self.newest() => return Err(StoreError::Newer { database: self.name.clone() }),
                _ => return Err(StoreError::Changed { database: self.name.clone(), version: *version }),
            }
        }
        Ok(applied.last().map_or(0, |(version, ..)| *version))
    }

    /// The version that this gateway works with.
    pub(in crate::store) fn newest(&self) -> i64 {
        MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
    }

    /// Asks every table for its rows' number; gives what is wrong, a line each.
    pub(in crate::store) async fn unreadable(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for table in TABLES {
            let text = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
            if let Err(error) = sqlx::query_scalar::<_, i64>(text).fetch_one(&self.read).await {
                problems.push(format!("table {table} cannot be read: {error}"));
            }
        }
        problems
    }
}
