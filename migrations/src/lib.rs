//! The store's migrations: one numbered file for each change, with the same number in a folder for each engine. A file that
//! was released is never changed.

/// For SQLite.
pub static SQLITE: sqlx::migrate::Migrator = sqlx::migrate!("./sqlite");
/// For PostgreSQL.
pub static POSTGRES: sqlx::migrate::Migrator = sqlx::migrate!("./postgres");
