//! The store that comes with the gateway, on whichever engine its URL names.
//!
//! An engine is its pools, and the few things that no text says on both: how a transaction begins, what is locked, what
//! the catalogue is called. All else is in `sql/`, which each engine compiles for itself.

mod postgres;
mod sqlite;

use sqlx::migrate::MigrateError;
use tokio::io::{AsyncBufRead, AsyncWrite};

use super::backup::{Counts, Reader, Writer};
use super::{
    AccessRules, Admissions, Agents, Credentials, Events, Idempotency, Result, Reviews, RoleSecrets, Roles, Sessions,
    SignInRequests, Store, StoreError, StoreUrl, Tokens, UserKeys, Users, Versions,
};

/// A store on an SQLite file or a PostgreSQL database.
#[derive(Debug, Clone)]
pub struct SqlStore(Engine);

#[derive(Debug, Clone)]
enum Engine {
    Sqlite(sqlite::Engine),
    Postgres(postgres::Engine),
}

/// What is done about a store that is not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Existing {
    Only,
    OrNew,
}

/// What a check has found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// Version of the schema; 0 where there is none yet.
    pub schema: i64,
    /// The version that this gateway works with.
    pub newest: i64,
    /// What is wrong, a line each.
    pub problems: Vec<String>,
}

/// The same on whichever engine it is.
macro_rules! each {
    ($store:expr, $engine:ident => $do:expr) => {
        match &$store.0 {
            Engine::Sqlite($engine) => $do,
            Engine::Postgres($engine) => $do,
        }
    };
}

impl SqlStore {
    /// Opens the store of a URL such as `sqlite:/var/lib/hoop/hoop.db` or `postgres://hoop@db.internal/hoop`, makes the
    /// file where there is none, and brings the schema up to date. Several may do so at once.
    ///
    /// PostgreSQL's URL may say `sslmode`, `sslrootcert`, `sslcert` and `sslkey`, as libpq's does; a password that it does
    /// not have is taken from `PGPASSWORD` or the file of `PGPASSFILE`.
    ///
    /// # Errors
    /// [`StoreError::Newer`] when a newer gateway wrote it, [`StoreError::Changed`] when somebody else did;
    /// [`StoreError::Database`] when it cannot be opened.
    pub async fn open(url: &str) -> Result<Self> {
        let store = Self::connect(url, Existing::OrNew).await?;
        store.prepare(None).await?;
        each!(store, engine => engine.default_org().await)?;
        Ok(store)
    }

    /// Opens a store that is there, as it is.
    ///
    /// # Errors
    /// [`StoreError::Database`] when it cannot be opened.
    pub async fn open_as_is(url: &str) -> Result<Self> {
        Self::connect(url, Existing::Only).await
    }

    /// Whether everything in it can be read and is whole, and what is wrong.
    ///
    /// # Errors
    /// [`StoreError::Newer`], [`StoreError::Changed`]; [`StoreError::Database`] when it does not answer.
    pub async fn check(&self) -> Result<Checked> {
        each!(self, engine => {
            let (schema, newest) = (engine.version().await?, engine.newest());
            let mut problems = Vec::new();
            if schema == newest {
                problems = engine.unreadable().await;
            }
            problems.extend(engine.damages().await?);
            Ok(Checked { schema, newest, problems })
        })
    }

    /// Writes everything as of one moment, in the form that [`backup`](super::backup) describes. The gateway goes on.
    ///
    /// # Errors
    /// [`StoreError::File`] when it cannot be written; [`StoreError::Behind`] when the schema is not up to date.
    pub async fn backup(&self, to: impl AsyncWrite + Send + Unpin) -> Result<Counts> {
        each!(self, engine => engine.dump(Writer::new(to)).await)
    }

    /// Takes everything from a backup into the store of this URL, which must be empty or not there yet. It takes all of it
    /// or nothing; a schema that is older is brought up to date afterwards.
    ///
    /// # Errors
    /// [`StoreError::NotEmpty`]; [`StoreError::Backup`] when the backup is not whole or of another schema.
    pub async fn restore(url: &str, from: impl AsyncBufRead + Send + Unpin) -> Result<Counts> {
        let mut backup = Reader::open(from).await?;
        let store = Self::connect(url, Existing::OrNew).await?;
        let done = store.take(&mut backup).await;
        store.close().await;
        done
    }

    /// Copies everything into the store of another URL, which must be empty or not there yet.
    ///
    /// # Errors
    /// As of [`backup`](Self::backup) and [`restore`](Self::restore).
    pub async fn copy_to(&self, url: &str) -> Result<Counts> {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let (written, taken) =
            tokio::join!(self.backup(ours), Self::restore(url, tokio::io::BufReader::with_capacity(PIPE, theirs)));
        match (written, taken) {
            (Ok(written), Ok(taken)) if written == taken => Ok(taken),
            (Ok(written), Ok(taken)) => {
                Err(StoreError::Backup { reason: format!("of {written:?}, {taken:?} have arrived") })
            }
            // Of a pipe with a broken end, the reason is at the other one.
            (Err(StoreError::File(_)), Err(error)) | (Ok(_), Err(error)) | (Err(error), _) => Err(error),
        }
    }

    /// Closes the store; what is under way is finished.
    pub async fn close(&self) {
        each!(self, engine => engine.close().await);
    }

    async fn connect(url: &str, existing: Existing) -> Result<Self> {
        let name = StoreUrl::new(url).to_string();
        match url.split(':').next() {
            Some("sqlite") => Ok(Self(Engine::Sqlite(sqlite::Engine::connect(url, name, existing).await?))),
            Some("postgres" | "postgresql") => {
                Ok(Self(Engine::Postgres(postgres::Engine::connect(url, name, existing).await?)))
            }
            _ => Err(StoreError::Url),
        }
    }

    /// Brings the schema up to `version`, or up to date; a store that cannot be used is not left open.
    async fn prepare(&self, version: Option<i64>) -> Result<()> {
        let done = each!(self, engine => engine.migrate(version).await);
        if done.is_err() {
            self.close().await;
        }
        done
    }

    async fn take<R: AsyncBufRead + Send + Unpin>(&self, backup: &mut Reader<R>) -> Result<Counts> {
        let wanted = backup.header().schema;
        let newest = each!(self, engine => engine.newest());
        if wanted > newest {
            return Err(StoreError::Newer { database: "of the backup".to_owned() });
        }
        self.prepare(Some(wanted)).await?;
        let schema = each!(self, engine => engine.version().await)?;
        if schema != wanted {
            let reason =
                format!("its schema is {wanted}, and the store's {schema} already; give it a new, empty store");
            return Err(StoreError::Backup { reason });
        }
        let counts = each!(self, engine => engine.load(backup).await)?;
        self.prepare(None).await?;
        each!(self, engine => engine.loaded().await)?;
        Ok(counts)
    }

    #[cfg(test)]
    pub(in crate::store) async fn execute(&self, text: &'static str) {
        each!(self, engine => engine.execute(text).await);
    }

    #[cfg(test)]
    pub(in crate::store) async fn tables(&self) -> Vec<String> {
        each!(self, engine => engine.tables().await).expect("a list")
    }
}

/// What is under way between two stores.
const PIPE: usize = 256 << 10;

/// What the migrator says, in the store's words.
fn failed(error: MigrateError, database: &str, newest: i64) -> StoreError {
    let database = database.to_owned();
    match error {
        MigrateError::VersionMissing(version) if version > newest => StoreError::Newer { database },
        MigrateError::VersionMissing(version)
        | MigrateError::VersionMismatch(version)
        | MigrateError::Dirty(version) => StoreError::Changed { database, version },
        error => sqlx::Error::from(error).into(),
    }
}

fn orphans(child: &str, count: i64, parent: &str) -> String {
    format!("{count} rows of {child} belong to rows of {parent} that are not there")
}

impl Store for SqlStore {
    fn users(&self) -> &dyn Users {
        each!(self, engine => engine)
    }

    fn roles(&self) -> &dyn Roles {
        each!(self, engine => engine)
    }

    fn role_secrets(&self) -> &dyn RoleSecrets {
        each!(self, engine => engine)
    }

    fn admissions(&self) -> &dyn Admissions {
        each!(self, engine => engine)
    }

    fn agents(&self) -> &dyn Agents {
        each!(self, engine => engine)
    }

    fn credentials(&self) -> &dyn Credentials {
        each!(self, engine => engine)
    }

    fn access_rules(&self) -> &dyn AccessRules {
        each!(self, engine => engine)
    }

    fn versions(&self) -> &dyn Versions {
        each!(self, engine => engine)
    }

    fn idempotency(&self) -> &dyn Idempotency {
        each!(self, engine => engine)
    }

    fn sign_in_requests(&self) -> &dyn SignInRequests {
        each!(self, engine => engine)
    }

    fn reviews(&self) -> &dyn Reviews {
        each!(self, engine => engine)
    }

    fn tokens(&self) -> &dyn Tokens {
        each!(self, engine => engine)
    }

    fn user_keys(&self) -> &dyn UserKeys {
        each!(self, engine => engine)
    }

    fn sessions(&self) -> &dyn Sessions {
        each!(self, engine => engine)
    }

    fn events(&self) -> &dyn Events {
        each!(self, engine => engine)
    }
}
