//! On PostgreSQL.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Postgres, Transaction};

use super::{Existing, failed};
use crate::store::{Result, TABLES};

#[allow(clippy::duplicate_mod, reason = "the queries are compiled once for each engine")]
#[path = "../sql/mod.rs"]
mod sql;

pub(in crate::store) type Connection = sqlx::PgConnection;
type Row = sqlx::postgres::PgRow;
type Arguments = sqlx::postgres::PgArguments;

const MIGRATIONS: &sqlx::migrate::Migrator = &hoop_migrations::POSTGRES;
const LIST_TABLES: &str = "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1";

/// A database of a PostgreSQL server. What was answered survives the death of the server, as far as its own
/// `synchronous_commit` says: other than with a file, the gateway is there to miss a session whose row was lost.
#[derive(Debug, Clone)]
pub(in crate::store) struct Engine {
    /// The database, for messages.
    pub(in crate::store) name: String,
    /// One pool under three names: the server has as many writers as one likes.
    write: PgPool,
    notes: PgPool,
    read: PgPool,
}

/// A server allows 100 by default.
const CONNECTIONS: u32 = 16;
/// A caller waits this long for a connection, also while the server is away: what is refused is refused in time.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long the very first connection may take.
const FIRST: Duration = Duration::from_secs(10);

impl Engine {
    /// Connects, without a look at what is in the database.
    pub(in crate::store) async fn connect(url: &str, name: String, _existing: Existing) -> Result<Self> {
        let mut options = PgConnectOptions::from_str(url)?;
        if options.get_application_name().is_none() {
            options = options.application_name("hoop-gateway");
        }
        warn_of_plain_text(&options, &name);
        // The pool would try again until its time is up, and could not say what was wrong.
        let first = tokio::time::timeout(FIRST, options.connect()).await;
        first.map_err(|_| sqlx::Error::PoolTimedOut)??.close().await?;
        // A connection is tried before it is used: one that a restarted server has closed is replaced unseen.
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .test_before_acquire(true)
            .connect_lazy_with(options);
        Ok(Self { name, write: pool.clone(), notes: pool.clone(), read: pool })
    }

    /// Brings the schema up to `version`, or up to date. sqlx holds an advisory lock meanwhile: of several gateways that
    /// start at once, one does it. The connection is its own, so that the lock goes with it whatever happens.
    pub(in crate::store) async fn migrate(&self, version: Option<i64>) -> Result<()> {
        let mut connection = self.write.connect_options().connect().await?;
        let done = match version {
            Some(version) => MIGRATIONS.run_to(version, &mut connection).await,
            None => MIGRATIONS.run(&mut connection).await,
        };
        connection.close().await?;
        done.map_err(|error| failed(error, &self.name, self.newest()))
    }

    /// Begins a transaction that reads what it is about to write: no other one writes to the table meanwhile.
    async fn begin_alone(&self, table: &'static str) -> Result<Transaction<'static, Postgres>> {
        let mut transaction = self.write.begin().await?;
        let lock = AssertSqlSafe(format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"));
        sqlx::query(lock).execute(&mut *transaction).await?;
        Ok(transaction)
    }

    /// Begins to read everything as of one moment.
    async fn snapshot(&self) -> Result<Transaction<'static, Postgres>> {
        Ok(self.read.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
    }

    /// Has the planner know what a whole store that was loaded looks like, before the server gets to it by itself.
    pub(in crate::store) async fn loaded(&self) -> Result<()> {
        for table in TABLES {
            sqlx::query(AssertSqlSafe(format!("ANALYZE {table}"))).execute(&self.write).await?;
        }
        Ok(())
    }

    /// What is wrong with the database, a line each.
    pub(in crate::store) async fn damages(&self) -> Result<Vec<String>> {
        let invalid: Vec<String> = sqlx::query_scalar(
            "SELECT 'index ' || indexrelid::regclass::text || ' is not valid; rebuild it with REINDEX' FROM pg_index \
             JOIN pg_class ON pg_class.oid = indexrelid \
             WHERE NOT indisvalid AND relnamespace = current_schema()::regnamespace",
        )
        .fetch_all(&self.read)
        .await?;
        let mut problems = invalid;
        for ForeignKey { child, parent, matching } in self.foreign_keys().await? {
            let text =
                format!("SELECT COUNT(*) FROM {child} c WHERE NOT EXISTS (SELECT 1 FROM {parent} p WHERE {matching})");
            let count: i64 = sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(&self.read).await?;
            if count > 0 {
                problems.push(super::orphans(&child, count, &parent));
            }
        }
        Ok(problems)
    }

    /// Every foreign key: the server keeps them, unless somebody has told it not to.
    async fn foreign_keys(&self) -> Result<Vec<ForeignKey>> {
        Ok(sqlx::query_as(
            "SELECT k.conrelid::regclass::text AS child, k.confrelid::regclass::text AS parent, \
             (SELECT string_agg(format('c.%I = p.%I', own.attname, other.attname), ' AND ') \
              FROM unnest(k.conkey, k.confkey) AS pair (own_number, other_number) \
              JOIN pg_attribute own ON own.attrelid = k.conrelid AND own.attnum = pair.own_number \
              JOIN pg_attribute other ON other.attrelid = k.confrelid AND other.attnum = pair.other_number) AS matching \
             FROM pg_constraint k WHERE k.contype = 'f' AND k.connamespace = current_schema()::regnamespace \
             ORDER BY 1, 2",
        )
        .fetch_all(&self.read)
        .await?)
    }
}

#[derive(sqlx::FromRow)]
struct ForeignKey {
    child: String,
    parent: String,
    matching: String,
}

/// A server beyond this machine is told everything in the clear unless the URL says otherwise: `prefer` takes what comes.
fn warn_of_plain_text(options: &PgConnectOptions, name: &str) {
    let here =
        options.get_socket().is_some() || ["localhost", "127.0.0.1", "::1", "[::1]"].contains(&options.get_host());
    let plain = matches!(options.get_ssl_mode(), PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer);
    if plain && !here {
        tracing::warn!(
            store = name,
            "the way to the store may be in plain text; add sslmode=verify-full to `store.url`"
        );
    }
}
