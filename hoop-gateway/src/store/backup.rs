//! A whole store in one file, whatever engine it is on. A line each, in JSON:
//!
//! ```text
//! {"hoop_backup":1,"schema":1,"tables":{"orgs":1,"users":2,…}}    how many rows there are of each
//! {"table":"users","columns":["org_id","id","name",…]}            the rows of this table follow
//! ["0190…","0191…","alice",true,null,1764237877000000]            one row: ids and bytes in hex, times in microseconds
//! {"sha256":"…"}                                                  of every line before this one
//! ```
//!
//! It has hashes of passwords and tokens in it, and is to be kept like the store itself.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};

use super::{Result, SqlStore, StoreError, StoreUrl};

/// How many rows there are of each table.
pub type Counts = BTreeMap<String, u64>;

/// The form that this version writes, and the one that it reads.
const FORM: u32 = 1;
/// How much is written at once.
const CHUNK: usize = 64 << 10;

/// Writes everything of a store into a new file that is its owner's alone. One that could not be written to its end is
/// removed.
///
/// # Errors
/// [`StoreError::File`], also when there is such a file; as of [`SqlStore::backup`].
pub async fn to_file(store: &SqlStore, path: &Path) -> Result<Counts> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(StoreError::File)?;
    let mut file = File::from_std(file);
    let mut done = store.backup(&mut file).await;
    if done.is_ok()
        && let Err(error) = file.sync_all().await
    {
        done = Err(StoreError::File(error));
    }
    if done.is_err() {
        // Half a backup is no backup; that it could not be removed either changes nothing about the error.
        let _ = std::fs::remove_file(path);
    }
    done
}

/// Takes everything from a file into the store of this URL, which must be empty or not there yet.
///
/// # Errors
/// As of [`SqlStore::restore`].
pub async fn from_file(url: &StoreUrl, path: &Path) -> Result<Counts> {
    let file = File::open(path).await.map_err(StoreError::File)?;
    SqlStore::restore(url.expose(), BufReader::with_capacity(CHUNK, file)).await
}

/// What a backup begins with.
#[derive(Debug, Clone)]
pub(super) struct Header {
    /// Version of the schema.
    pub(super) schema: i64,
    pub(super) tables: Counts,
}

#[derive(Serialize, Deserialize)]
struct FirstLine {
    hoop_backup: u32,
    schema: i64,
    tables: Counts,
}

#[derive(Serialize, Deserialize)]
struct TableLine {
    table: String,
    columns: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct LastLine {
    sha256: String,
}

/// A line between the first and the last one.
#[derive(Debug, PartialEq)]
pub(super) enum Line {
    Table { table: String, columns: Vec<String> },
    Row(Vec<Value>),
}

/// Writes a backup.
pub(super) struct Writer<W> {
    to: W,
    chunk: Vec<u8>,
    hash: Sha256,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to, chunk: Vec::with_capacity(2 * CHUNK), hash: Sha256::new() }
    }

    pub(super) async fn header(&mut self, header: &Header) -> Result<()> {
        let Header { schema, tables } = header.clone();
        self.line(&FirstLine { hoop_backup: FORM, schema, tables }).await
    }

    pub(super) async fn table(&mut self, table: &str, columns: impl Iterator<Item = &str>) -> Result<()> {
        self.line(&TableLine { table: table.to_owned(), columns: columns.map(str::to_owned).collect() }).await
    }

    pub(super) async fn row(&mut self, values: &[Value]) -> Result<()> {
        self.line(&values).await
    }

    /// Writes the last line, and what is still under way.
    pub(super) async fn finish(mut self) -> Result<()> {
        self.flush().await?;
        let sha256 = hex(&self.hash.finalize_reset());
        self.line(&LastLine { sha256 }).await?;
        self.flush().await?;
        self.to.shutdown().await.map_err(StoreError::File)
    }

    async fn line(&mut self, line: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.chunk, line).map_err(|error| StoreError::File(error.into()))?;
        self.chunk.push(b'\n');
        if self.chunk.len() < CHUNK { Ok(()) } else { self.flush().await }
    }

    async fn flush(&mut self) -> Result<()> {
        self.hash.update(&self.chunk);
        self.to.write_all(&self.chunk).await.map_err(StoreError::File)?;
        self.chunk.clear();
        Ok(())
    }
}

/// Reads a backup.
pub(super) struct Reader<R> {
    from: R,
    header: Header,
    hash: Sha256,
    line: Vec<u8>,
    number: u64,
}

impl<R: AsyncBufRead + Unpin> Reader<R> {
    /// Reads the first line.
    pub(super) async fn open(from: R) -> Result<Self> {
        let header = Header { schema: 0, tables: Counts::new() };
        let mut reader = Self { from, header, hash: Sha256::new(), line: Vec::new(), number: 0 };
        reader.next().await?;
        let first: FirstLine =
            serde_json::from_slice(&reader.line).map_err(|_| broken("it does not begin as a backup does"))?;
        if first.hoop_backup != FORM {
            return Err(broken(format!("it is of form {}, and this version reads form {FORM}", first.hoop_backup)));
        }
        reader.header = Header { schema: first.schema, tables: first.tables };
        Ok(reader)
    }

    pub(super) const fn header(&self) -> &Header {
        &self.header
    }

    /// The next line; `None` after the last one, once everything is known to be as it was written.
    pub(super) async fn line(&mut self) -> Result<Option<Line>> {
        let before = self.hash.clone();
        self.next().await?;
        if let Ok(values) = serde_json::from_slice(&self.line) {
            return Ok(Some(Line::Row(values)));
        }
        if let Ok(TableLine { table, columns }) = serde_json::from_slice(&self.line) {
            return Ok(Some(Line::Table { table, columns }));
        }
        let last: LastLine = serde_json::from_slice(&self.line)
            .map_err(|error| broken(format!("line {} cannot be read: {error}", self.number)))?;
        if last.sha256 != hex(&before.finalize()) {
            return Err(broken("it was changed after it was written"));
        }
        if self.from.fill_buf().await.map_err(StoreError::File)?.is_empty() {
            return Ok(None);
        }
        Err(broken("there is more after its end"))
    }

    async fn next(&mut self) -> Result<()> {
        self.line.clear();
        self.number += 1;
        self.from.read_until(b'\n', &mut self.line).await.map_err(StoreError::File)?;
        if self.line.last() != Some(&b'\n') {
            return Err(broken(format!("it is cut off in line {}", self.number)));
        }
        self.hash.update(&self.line);
        Ok(())
    }
}

fn broken(reason: impl Into<String>) -> StoreError {
    StoreError::Backup { reason: reason.into() }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// `None` when it is not hex.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    bytes.collect::<Option<_>>().filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn written() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        let tables = Counts::from([("orgs".to_owned(), 1)]);
        writer.header(&Header { schema: 7, tables }).await.expect("written");
        writer.table("orgs", ["id", "name"].into_iter()).await.expect("written");
        writer.row(&[json!("00ff"), json!("default")]).await.expect("written");
        writer.finish().await.expect("written");
        bytes
    }

    async fn read(bytes: &[u8]) -> Result<Vec<Line>> {
        let mut reader = Reader::open(bytes).await?;
        let mut lines = Vec::new();
        while let Some(line) = reader.line().await? {
            lines.push(line);
        }
        Ok(lines)
    }

    #[tokio::test]
    async fn it_reads_back_as_it_was_written() {
        let bytes = written().await;
        let columns = vec!["id".to_owned(), "name".to_owned()];
        let row = Line::Row(vec![json!("00ff"), json!("default")]);
        assert_eq!(read(&bytes).await.expect("read"), [Line::Table { table: "orgs".to_owned(), columns }, row]);
        assert_eq!(Reader::open(&bytes[..]).await.expect("read").header().schema, 7);
    }

    #[tokio::test]
    async fn every_change_and_every_cut_is_seen() {
        let bytes = written().await;
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(read(&changed).await.is_err(), "byte {at} was changed");
            assert!(read(&bytes[..at]).await.is_err(), "cut at {at}");
        }
        assert!(read(&[&bytes[..], b"\n"].concat()).await.is_err(), "more after the end");
    }

    #[test]
    fn hex_reads_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&hex(&bytes)), Some(bytes));
        assert_eq!((from_hex("0"), from_hex("0g"), from_hex("é")), (None, None, None));
    }
}
