//! On SQLite.

use std::path::Path;
use std::str::FromStr as _;
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, Transaction};

use super::{Existing, failed};
use crate::store::{Result, StoreError};

#[allow(clippy::duplicate_mod, reason = "the queries are compiled once for each engine")]
#[path = "../sql/mod.rs"]
mod sql;

pub(in crate::store) type Connection = sqlx::SqliteConnection;
type Row = sqlx::sqlite::SqliteRow;
type Arguments = sqlx::sqlite::SqliteArguments;

const MIGRATIONS: &sqlx::migrate::Migrator = &hoop_migrations::SQLITE;
const LIST_TABLES: &str =
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";

/// An SQLite file, in WAL mode. What was answered survives the death of the process. Users, roles, keys and the trail of
/// the API also survive that of the machine (`synchronous = FULL`).
///
/// The rows of sessions, and when something was last used, do so only once SQLite has synced the next of the others or a
/// checkpoint (`synchronous = NORMAL`): every session writes three, one sync each would cost milliseconds at its opening,
/// and the recording, which has its own durability, tells the same.
#[derive(Debug, Clone)]
pub(in crate::store) struct Engine {
    /// The database, for messages.
    pub(in crate::store) name: String,
    /// SQLite has one writer at a time: those who wait, wait here and not in the database.
    write: SqlitePool,
    /// The writer of what need not be synced.
    notes: SqlitePool,
    read: SqlitePool,
}

const READERS: u32 = 4;
/// How long one process waits for another's transaction.
const BUSY: Duration = Duration::from_secs(5);

impl Engine {
    /// Opens the file, without a look at what is in it.
    pub(in crate::store) async fn connect(url: &str, name: String, existing: Existing) -> Result<Self> {
        let options = SqliteConnectOptions::from_str(url)?
            .create_if_missing(existing == Existing::OrNew)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY);
        let file = options.get_filename().to_owned();
        let write = first(SqlitePoolOptions::new().max_connections(1), &options).await?;
        keep_private(&file)?;
        let relaxed = options.clone().synchronous(SqliteSynchronous::Normal);
        let notes = SqlitePoolOptions::new().max_connections(1).connect_with(relaxed).await?;
        let read = SqlitePoolOptions::new().max_connections(READERS).connect_with(options.read_only(true)).await?;
        Ok(Self { name, write, notes, read })
    }

    /// Brings the schema up to `version`, or up to date. The transaction around it keeps another process that starts at
    /// this moment from doing the same, and takes all of it or nothing.
    pub(in crate::store) async fn migrate(&self, version: Option<i64>) -> Result<()> {
        let mut transaction = self.write.begin_with("BEGIN IMMEDIATE").await?;
        let done = match version {
            Some(version) => MIGRATIONS.run_to(version, &mut *transaction).await,
            None => MIGRATIONS.run(&mut *transaction).await,
        };
        done.map_err(|error| failed(error, &self.name, self.newest()))?;
        Ok(transaction.commit().await?)
    }

    /// Begins a transaction that reads what it is about to write: no other one writes meanwhile.
    async fn begin_alone(&self, _table: &'static str) -> Result<Transaction<'static, Sqlite>> {
        Ok(self.write.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Begins to read everything as of one moment. In WAL mode, a reader sees what there was at its first read.
    async fn snapshot(&self) -> Result<Transaction<'static, Sqlite>> {
        Ok(self.read.begin().await?)
    }

    /// After a whole store was loaded there is nothing to do: plans do not depend on statistics here.
    pub(in crate::store) async fn loaded(&self) -> Result<()> {
        Ok(())
    }

    /// What is wrong with the file, a line each.
    pub(in crate::store) async fn damages(&self) -> Result<Vec<String>> {
        let mut problems: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(20)").fetch_all(&self.read).await?;
        problems.retain(|line| line != "ok");
        let orphans: Vec<(String, i64, String)> = sqlx::query_as(
            "SELECT \"table\", COUNT(*), \"parent\" FROM pragma_foreign_key_check() GROUP BY \"table\", \"parent\"",
        )
        .fetch_all(&self.read)
        .await?;
        let orphans = orphans.into_iter().map(|(table, count, parent)| super::orphans(&table, count, &parent));
        problems.extend(orphans);
        Ok(problems)
    }
}

/// The first connection to a file. One that is new is switched to WAL by it, and while another process does the same, SQLite
/// refuses that at once, whatever its `busy_timeout`.
async fn first(pool: SqlitePoolOptions, options: &SqliteConnectOptions) -> Result<SqlitePool> {
    const AGAIN: Duration = Duration::from_millis(20);
    let until = Instant::now() + BUSY;
    loop {
        match pool.clone().connect_with(options.clone()).await {
            Err(error) if is_busy(&error) && Instant::now() < until => tokio::time::sleep(AGAIN).await,
            done => return Ok(done?),
        }
    }
}

/// Whether it is `SQLITE_BUSY`, or an extended code of it.
fn is_busy(error: &sqlx::Error) -> bool {
    const BUSY: i32 = 5;
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<i32>().ok());
    code.is_some_and(|code| code & 0xff == BUSY)
}

/// The file holds hashes of passwords and the names of users: it is nobody else's to read.
fn keep_private(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    match std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::Database(sqlx::Error::Io(error))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use hoop_core::id::{OrgId, UserId};
    use hoop_core::{Clock as _, SystemClock};
    use sqlx::AssertSqlSafe;

    use super::*;
    use crate::store::{SessionFilter, SessionState};

    /// A filter that takes nothing costs no more than one that takes all.
    #[tokio::test]
    async fn a_list_of_sessions_is_a_range_of_an_index() {
        let engine = Engine::connect("sqlite::memory:", String::new(), Existing::OrNew).await.expect("a store");
        engine.migrate(None).await.expect("a schema");
        let (text, now): (_, Option<DateTime<Utc>>) = (Some("x".to_owned()), Some(SystemClock.now()));
        let none = SessionFilter::default;
        let state = |state| SessionFilter { state: Some(state), ..none() };
        let ids = "sqlite_autoindex_sessions_1 (org_id=? AND id>? AND id<?)";
        let running = "sessions_running (org_id=? AND id>? AND id<?)";
        for (filter, range) in [
            (none(), ids),
            (
                SessionFilter::of(Some(UserId::new(&SystemClock))),
                "sessions_by_user (org_id=? AND user_id=? AND id>? AND id<?)",
            ),
            (
                SessionFilter { user: text.clone(), ..none() },
                "sessions_by_user_name (org_id=? AND user_name=? AND id>? AND id<?)",
            ),
            (
                SessionFilter { role: text.clone(), ..none() },
                "sessions_by_role (org_id=? AND role_name=? AND id>? AND id<?)",
            ),
            (
                SessionFilter { database: text.clone(), ..none() },
                "sessions_by_database (org_id=? AND target_db=? AND id>? AND id<?)",
            ),
            (
                SessionFilter { outcome: text.clone(), ..none() },
                "sessions_by_outcome (org_id=? AND outcome=? AND id>? AND id<?)",
            ),
            (SessionFilter { since: now, ..none() }, ids),
            (SessionFilter { until: now, ..none() }, ids),
            (state(SessionState::Closed), ids),
            (state(SessionState::Open), running),
            (state(SessionState::Opening), running),
            (state(SessionState::Running), running),
        ] {
            let query = sql::sessions::selected(OrgId::DEFAULT, &filter, None, 51);
            let text = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", query.into_string()));
            let steps: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(text).fetch_all(&engine.write).await.expect("a plan");
            let steps: Vec<String> = steps.into_iter().map(|(.., step)| step).collect();
            assert_eq!(steps, [format!("SEARCH sessions USING INDEX {range}")], "{filter:?}");
        }
    }
}
