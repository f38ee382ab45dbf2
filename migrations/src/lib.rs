//! The store's migrations: one numbered file for each change, in a folder for each engine. A file that was released is
//! never changed.

/// For SQLite.
pub static SQLITE: sqlx::migrate::Migrator = sqlx::migrate!("./sqlite");
