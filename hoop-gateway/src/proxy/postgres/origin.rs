//! From which table columns a result is read: RowDescription has their numbers, and the names are in the target's catalog.
//!
//! They are asked for on a connection of its own to the same database, for within the client's there is no moment at which
//! a statement more would change nothing. Tables of a transaction that has not ended cannot be seen from there: their
//! names stay unknown, and rules decide what that means.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use hoop_core::response::ColumnNames;
use hoop_core::{CellIndex, Column, Denial, RowEncoding as _, TableColumn};
use hoop_proto::postgres::rows::DataRows;
use hoop_proto::postgres::{Frames, backend, frontend};
use hoop_proto::tunnel::v1::{Parameter, open};
use tokio::time::timeout;

use crate::tunnel::{Agents, Channel, OpenTarget, Received};

/// How long a look-up may take before the names stay unknown.
const LIMIT: Duration = Duration::from_secs(5);
/// Longest answer that is read, in bytes.
const MOST: usize = 4 << 20;

/// Asks a target's catalog.
#[derive(Clone)]
pub(crate) struct Catalog {
    agents: Agents,
    target: OpenTarget,
}

/// Names of table columns, by table and number.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<(u32, i16), Arc<ColumnNames>>);

impl Names {
    /// The column with the names of its origin, where they are known.
    pub(super) fn fill(&self, mut column: Column) -> Column {
        if let Some(TableColumn { table_oid, attribute, names }) = &mut column.table {
            *names = self.0.get(&(*table_oid, *attribute)).cloned();
        }
        column
    }
}

impl Catalog {
    /// The catalog of the database that this session is connected to.
    pub(crate) fn new(agents: Agents, mut target: OpenTarget) -> Self {
        // The client's own settings may be anything; these make the answer readable.
        let parameter = |name: &'static [u8], value: &'static [u8]| Parameter {
            name: Bytes::from_static(name),
            value: Bytes::from_static(value),
        };
        if let open::Target::Postgres(postgres) = &mut target.target {
            postgres.parameters =
                vec![parameter(b"client_encoding", b"UTF8"), parameter(b"application_name", b"hoop catalog")];
            postgres.protocol = hoop_proto::postgres::startup::PROTOCOL_3_0;
        }
        Self { agents, target }
    }

    /// The names of every column of these tables. What cannot be found out stays unknown.
    pub(super) fn look_up(&self, tables: Vec<u32>) -> BoxFuture<'static, Names> {
        let catalog = self.clone();
        Box::pin(async move {
            let started = Instant::now();
            match timeout(LIMIT, catalog.ask(&tables)).await {
                Ok(Ok(names)) => names,
                Ok(Err(denial)) => {
                    tracing::warn!(session = %catalog.target.session, %denial, "names of table columns could not be looked up");
                    Names::default()
                }
                Err(_) => {
                    tracing::warn!(session = %catalog.target.session, waited = ?started.elapsed(), "the catalog does not answer");
                    Names::default()
                }
            }
        })
    }

    async fn ask(&self, tables: &[u32]) -> Result<Names, Denial> {
        let (mut channel, _) = self.agents.open(self.target.clone()).await.map_err(|failure| failure.denial)?;
        let tables: Vec<String> = tables.iter().map(u32::to_string).collect();
        // Every name is qualified, and numbers are all that is put in.
        let text = format!(
            "select c.oid, a.attnum, n.nspname, c.relname, a.attname from pg_catalog.pg_class c \
             join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace \
             join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) c.oid \
             where a.attnum operator(pg_catalog.>) 0 and c.oid in ({})",
            tables.join(",")
        );
        let mut query = BytesMut::new();
        frontend::Query::write(text.as_bytes(), &mut query);
        std::future::poll_fn(|cx| channel.poll_send_ready(cx)).await?;
        channel.send(query.freeze())?;
        rows(&mut channel).await
    }
}

async fn rows(channel: &mut Channel) -> Result<Names, Denial> {
    let mut received = BytesMut::new();
    let mut names = Names::default();
    loop {
        let Received::Data(bytes) = std::future::poll_fn(|cx| channel.poll_receive(cx)).await? else {
            return Err(unreadable());
        };
        received.extend_from_slice(&bytes);
        if received.len() > MOST {
            return Err(unreadable());
        }
        let mut frames = Frames::new(received.split().freeze());
        while let Some(frame) = frames.next(MOST).map_err(|_| unreadable())? {
            match frame.tag() {
                backend::DATA_ROW => names.add(frame.bytes()).ok_or_else(unreadable)?,
                backend::ERROR_RESPONSE => return Err(unreadable()),
                backend::READY_FOR_QUERY => return Ok(names),
                _ => {}
            }
        }
        received.extend_from_slice(frames.rest());
    }
}

impl Names {
    fn add(&mut self, row: &Bytes) -> Option<()> {
        let mut index = CellIndex::default();
        DataRows.index(row, &mut index).ok()?;
        let mut batch =
            hoop_core::RowBatch::new(hoop_core::StatementId(0), Arc::from([]), Arc::new(DataRows), row.clone(), 1);
        let cells = batch.cells().ok()?;
        let text = |column| std::str::from_utf8(cells.get(0, column)??).ok();
        let key = (text(0)?.parse().ok()?, text(1)?.parse().ok()?);
        let (schema, table, column) = (text(2)?.into(), text(3)?.into(), text(4)?.into());
        self.0.insert(key, Arc::new(ColumnNames { schema, table, column }));
        Some(())
    }
}

fn unreadable() -> Denial {
    Denial::new("catalog", hoop_core::Code::TargetUnavailable, "the target's catalog gave no readable answer")
}
