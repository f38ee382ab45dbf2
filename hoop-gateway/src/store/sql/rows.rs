//! Whole tables, for backups and moves: rows as JSON, whatever the engine's types are.

use futures::TryStreamExt as _;
use serde_json::Value;
use sqlx::types::Uuid;
use sqlx::{AssertSqlSafe, Column as _, Executor as _, Row as _, SqlSafeStr as _, Statement as _, TypeInfo as _};
use tokio::io::{AsyncBufRead, AsyncWrite};

use super::super::{Arguments, LIST_TABLES};
use super::{Connection, Engine, Result, Row};
use crate::store::backup::{Counts, Header, Line, Reader, Writer, from_hex, hex};
use crate::store::{StoreError, TABLES};

/// How many parameters one INSERT has at most. SQLite looks for each among all of them.
const PARAMETERS: usize = 500;

/// A column, as far as a backup tells types apart: what one engine calls UUID is a BLOB to another.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Uuid,
    Bytes,
    Text,
    Integer,
    Boolean,
}

impl Kind {
    fn of(type_name: &str) -> Result<Self> {
        Ok(match type_name {
            "UUID" => Self::Uuid,
            "BLOB" | "BYTEA" => Self::Bytes,
            "TEXT" => Self::Text,
            "INTEGER" | "INT8" => Self::Integer,
            "BOOLEAN" | "BOOL" => Self::Boolean,
            other => return Err(StoreError::Backup { reason: format!("it has no form for columns of type {other}") }),
        })
    }
}

impl Engine {
    /// Writes every row there is, as of one moment.
    pub(in crate::store) async fn dump<W: AsyncWrite + Send + Unpin>(&self, mut to: Writer<W>) -> Result<Counts> {
        let mut transaction = self.snapshot().await?;
        let schema = self.version_on(&mut transaction).await?;
        if schema != self.newest() {
            return Err(StoreError::Behind { database: self.name.clone() });
        }
        let tables = counts(&mut transaction).await?;
        to.header(&Header { schema, tables: tables.clone() }).await?;
        for table in TABLES {
            let columns = columns(&mut transaction, table).await?;
            to.table(table, columns.iter().map(|(name, _)| name.as_str())).await?;
            let text = AssertSqlSafe(format!("SELECT * FROM {table}"));
            let mut rows = sqlx::query(text).fetch(&mut *transaction);
            while let Some(row) = rows.try_next().await? {
                let values = columns.iter().enumerate().map(|(index, (_, kind))| value(&row, index, *kind));
                to.row(&values.collect::<Result<Vec<_>>>()?).await?;
            }
        }
        to.finish().await?;
        Ok(tables)
    }

    /// Takes every row of a backup into an empty store, or none.
    pub(in crate::store) async fn load<R: AsyncBufRead + Send + Unpin>(&self, from: &mut Reader<R>) -> Result<Counts> {
        let mut transaction = self.begin_alone("orgs").await?;
        empty(&mut transaction, &self.name).await?;
        let mut into: Option<Insert> = None;
        while let Some(line) = from.line().await? {
            match (line, &mut into) {
                (Line::Table { table, columns }, _) => {
                    if let Some(done) = into.take() {
                        done.finish(&mut transaction).await?;
                    }
                    into = Some(Insert::new(&mut transaction, table, columns).await?);
                }
                (Line::Row(row), Some(insert)) => insert.add(&mut transaction, row).await?,
                (Line::Row(_), None) => {
                    return Err(StoreError::Backup { reason: "a row comes before its table".to_owned() });
                }
            }
        }
        if let Some(done) = into {
            done.finish(&mut transaction).await?;
        }
        let counts = counts(&mut transaction).await?;
        if counts != from.header().tables {
            let reason = format!("it promises {:?}, and has {counts:?}", from.header().tables);
            return Err(StoreError::Backup { reason });
        }
        transaction.commit().await?;
        Ok(counts)
    }
}

/// A schema that is older may not have all of the tables.
async fn counts(connection: &mut Connection) -> Result<Counts> {
    let there: Vec<String> = sqlx::query_scalar(LIST_TABLES).fetch_all(&mut *connection).await?;
    let mut counts = Counts::new();
    for table in TABLES.iter().filter(|table| there.iter().any(|name| name == *table)) {
        let text = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        let count: i64 = sqlx::query_scalar(text).fetch_one(&mut *connection).await?;
        counts.insert((*table).to_owned(), count.unsigned_abs());
    }
    Ok(counts)
}

/// Makes sure that nothing is lost. Every store has its organisation from the first start on; the backup's takes its place.
async fn empty(connection: &mut Connection, database: &str) -> Result<()> {
    let counts = counts(connection).await?;
    if counts.iter().any(|(table, count)| table != "orgs" && *count > 0) {
        return Err(StoreError::NotEmpty { database: database.to_owned() });
    }
    sqlx::query("DELETE FROM orgs").execute(connection).await?;
    Ok(())
}

async fn columns(connection: &mut Connection, table: &str) -> Result<Vec<(String, Kind)>> {
    let text = AssertSqlSafe(format!("SELECT * FROM {table} WHERE 1 = 0")).into_sql_str();
    let statement = connection.prepare(text).await?;
    statement
        .columns()
        .iter()
        .map(|column| Ok((column.name().to_owned(), Kind::of(column.type_info().name())?)))
        .collect()
}

fn value(row: &Row, index: usize, kind: Kind) -> Result<Value> {
    Ok(match kind {
        Kind::Uuid => row.try_get::<Option<Uuid>, _>(index)?.map(|uuid| hex(uuid.as_bytes())).into(),
        Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(index)?.map(|bytes| hex(&bytes)).into(),
        Kind::Text => row.try_get::<Option<String>, _>(index)?.into(),
        Kind::Integer => row.try_get::<Option<i64>, _>(index)?.into(),
        Kind::Boolean => row.try_get::<Option<bool>, _>(index)?.into(),
    })
}

/// Rows on their way into a table, some at a time.
struct Insert {
    table: String,
    columns: Vec<(String, Kind)>,
    rows: usize,
    arguments: Arguments,
}

impl Insert {
    async fn new(connection: &mut Connection, table: String, names: Vec<String>) -> Result<Self> {
        // What goes into the text of a statement is compared with what there is first.
        let unknown = |what: String| StoreError::Backup { reason: format!("it has {what}, which the store has not") };
        if !TABLES.contains(&table.as_str()) {
            return Err(unknown(format!("a table {table}")));
        }
        let known = columns(connection, &table).await?;
        let columns = names.into_iter().map(|name| {
            let kind = known.iter().find(|(column, _)| *column == name).map(|(_, kind)| *kind);
            kind.map(|kind| (name.clone(), kind)).ok_or_else(|| unknown(format!("a column {table}.{name}")))
        });
        let columns = columns.collect::<Result<_>>()?;
        Ok(Self { table, columns, rows: 0, arguments: Arguments::default() })
    }

    async fn add(&mut self, connection: &mut Connection, row: Vec<Value>) -> Result<()> {
        if row.len() != self.columns.len() {
            let reason = format!("a row of {} has {} values", self.table, row.len());
            return Err(StoreError::Backup { reason });
        }
        for ((name, kind), value) in self.columns.iter().zip(row) {
            add(&mut self.arguments, *kind, value).ok_or_else(|| StoreError::Backup {
                reason: format!("a value of {}.{name} does not fit", self.table),
            })?;
        }
        self.rows += 1;
        if (self.rows + 1) * self.columns.len() > PARAMETERS {
            self.flush(connection).await?;
        }
        Ok(())
    }

    async fn finish(mut self, connection: &mut Connection) -> Result<()> {
        self.flush(connection).await
    }

    async fn flush(&mut self, connection: &mut Connection) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let width = self.columns.len();
        let row = |row: usize| {
            let places: Vec<_> = (1..=width).map(|column| format!("${}", row * width + column)).collect();
            format!("({})", places.join(", "))
        };
        let rows: Vec<_> = (0..self.rows).map(row).collect();
        let names: Vec<_> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        let text = format!("INSERT INTO {} ({}) VALUES {}", self.table, names.join(", "), rows.join(", "));
        let arguments = std::mem::take(&mut self.arguments);
        sqlx::query_with(AssertSqlSafe(text), arguments).execute(connection).await?;
        self.rows = 0;
        Ok(())
    }
}

/// Adds a value to the arguments of a statement; `None` when it is of another kind.
fn add(arguments: &mut Arguments, kind: Kind, value: Value) -> Option<()> {
    use sqlx::Arguments as _;
    let added = match (kind, value) {
        (Kind::Uuid, Value::Null) => arguments.add(None::<Uuid>),
        (Kind::Uuid, Value::String(text)) => arguments.add(Uuid::from_slice(&from_hex(&text)?).ok()?),
        (Kind::Bytes, Value::Null) => arguments.add(None::<Vec<u8>>),
        (Kind::Bytes, Value::String(text)) => arguments.add(from_hex(&text)?),
        (Kind::Text, Value::Null) => arguments.add(None::<String>),
        (Kind::Text, Value::String(text)) => arguments.add(text),
        (Kind::Integer, Value::Null) => arguments.add(None::<i64>),
        (Kind::Integer, Value::Number(number)) => arguments.add(number.as_i64()?),
        (Kind::Boolean, Value::Null) => arguments.add(None::<bool>),
        (Kind::Boolean, Value::Bool(value)) => arguments.add(value),
        _ => return None,
    };
    added.ok()
}
