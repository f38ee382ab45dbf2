//! The store on SQL. The texts are written once for every engine: `$1` placeholders, RETURNING, and no function of one
//! engine alone.

mod agents;
mod credentials;
mod events;
mod idempotency;
mod roles;
mod sessions;
mod tokens;
mod users;
mod versions;

use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hoop_core::id::OrgId;
use hoop_core::{Clock, SystemClock};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use super::{
    Agents, Credentials, Events, Idempotency, Result, Roles, Sessions, Store, StoreError, Tokens, Users, Versions,
};

/// A store on an SQLite file, in WAL mode. What was answered survives the death of the process. Users, roles, keys and the
/// trail of the API also survive that of the machine (`synchronous = FULL`).
///
/// The rows of sessions, and when something was last used, do so only once SQLite has synced the next of the others or a
/// checkpoint (`synchronous = NORMAL`): every session writes three, one sync each would cost milliseconds at its opening,
/// and the recording, which has its own durability, tells the same.
#[derive(Debug, Clone)]
pub struct SqlStore {
    /// SQLite has one writer at a time: those who wait, wait here and not in the database.
    write: SqlitePool,
    /// The writer of what need not be synced.
    notes: SqlitePool,
    read: SqlitePool,
}

const READERS: u32 = 4;

impl SqlStore {
    /// Opens the store of a URL such as `sqlite:/var/lib/hoop/hoop.db`, makes it where there is none, and brings it up to
    /// date.
    ///
    /// # Errors
    /// [`StoreError::Newer`] when a newer gateway wrote it; [`StoreError::Database`] when it cannot be opened.
    pub async fn open(url: &str) -> Result<Self> {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5));
        let file = options.get_filename().to_owned();
        let write = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        keep_private(&file)?;
        match hoop_migrations::SQLITE.run(&write).await {
            Ok(()) => {}
            Err(sqlx::migrate::MigrateError::VersionMissing(_)) => {
                return Err(StoreError::Newer { database: url.to_owned() });
            }
            Err(error) => return Err(sqlx::Error::from(error).into()),
        }
        let relaxed = options.clone().synchronous(SqliteSynchronous::Normal);
        let notes = SqlitePoolOptions::new().max_connections(1).connect_with(relaxed).await?;
        let read = SqlitePoolOptions::new().max_connections(READERS).connect_with(options.read_only(true)).await?;
        let store = Self { write, notes, read };
        store.default_org().await?;
        Ok(store)
    }

    /// Closes the store; what is under way is finished.
    pub async fn close(&self) {
        self.read.close().await;
        self.notes.close().await;
        self.write.close().await;
    }

    #[cfg(test)]
    pub(in crate::store) async fn pretend_newer(&self) {
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (99999, 'from the future', TRUE, x'00', 0)",
        )
        .execute(&self.write)
        .await
        .expect("a row of the migrator's own table");
    }

    async fn default_org(&self) -> Result<()> {
        sqlx::query("INSERT INTO orgs (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING")
            .bind(OrgId::DEFAULT.as_uuid())
            .bind("default")
            .bind(micros(SystemClock.now()))
            .execute(&self.write)
            .await?;
        Ok(())
    }
}

/// The file holds hashes of passwords and the names of users: it is nobody else's to read.
fn keep_private(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    match std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(sqlx::Error::Io(error).into()),
        _ => Ok(()),
    }
}

impl Store for SqlStore {
    fn users(&self) -> &dyn Users {
        self
    }

    fn roles(&self) -> &dyn Roles {
        self
    }

    fn agents(&self) -> &dyn Agents {
        self
    }

    fn credentials(&self) -> &dyn Credentials {
        self
    }

    fn tokens(&self) -> &dyn Tokens {
        self
    }

    fn sessions(&self) -> &dyn Sessions {
        self
    }

    fn events(&self) -> &dyn Events {
        self
    }

    fn versions(&self) -> &dyn Versions {
        self
    }

    fn idempotency(&self) -> &dyn Idempotency {
        self
    }
}

/// Times are stored as microseconds, so that they compare alike on every engine.
fn micros(time: DateTime<Utc>) -> i64 {
    time.timestamp_micros()
}

fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

fn corrupt(what: &'static str) -> impl FnOnce(serde_json::Error) -> StoreError {
    move |source| StoreError::Corrupt { what, source: Box::new(source) }
}

/// An insertion that finds the name taken is a conflict, and not a failure.
fn unless_exists(what: impl FnOnce() -> String) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| match &error {
        sqlx::Error::Database(database) if database.is_unique_violation() => StoreError::Exists { what: what() },
        _ => StoreError::Database(error),
    }
}

fn hash(bytes: Vec<u8>) -> Result<[u8; 32]> {
    bytes.try_into().map_err(|bytes: Vec<u8>| StoreError::Corrupt {
        what: "hash",
        source: format!("{} bytes instead of 32", bytes.len()).into(),
    })
}
