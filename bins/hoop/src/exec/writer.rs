//! Rows as data, in flat memory.

use serde::{Serialize, Serializer};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use unicode_width::UnicodeWidthStr as _;

use crate::failure::Failure;
use crate::output::{Format, is_printable, plain_json, record, yaml};

/// Bytes that are written at once.
const CHUNK: usize = 64 * 1024;
/// Rows that a table's columns are measured by; later ones may stick out.
const MEASURED: usize = 500;
/// Bytes of such rows.
const MEASURED_BYTES: usize = 1024 * 1024;
/// The widest column of a table that others are still aligned with.
const WIDEST: usize = 60;

/// Writes one result after the other. Values are text as the server writes it, and NULL is null.
pub(super) struct Writer<W> {
    format: Format,
    out: W,
    is_terminal: bool,
    buffer: Vec<u8>,
    current: Option<Current>,
    /// Results and rows so far, of all results.
    results: usize,
    rows: u64,
}

/// A result that rows belong to.
struct Current {
    columns: Vec<String>,
    /// Of a table: rows that are still measured, or how wide its columns are.
    table: Table,
}

enum Table {
    Measured { rows: Vec<Vec<String>>, bytes: usize },
    Widths(Vec<usize>),
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    pub(super) const fn new(format: Format, out: W) -> Self {
        Self { format, out, is_terminal: false, buffer: Vec::new(), current: None, results: 0, rows: 0 }
    }

    /// Whether it is a terminal that CSV goes to, whose cells must not move its cursor then.
    #[must_use]
    pub(super) fn on_terminal(mut self, is_terminal: bool) -> Self {
        self.is_terminal = is_terminal;
        self
    }

    /// A result begins.
    pub(super) async fn columns(&mut self, columns: Vec<String>) -> Result<(), Failure> {
        let separated = self.results > 0 && matches!(self.format, Format::Table | Format::Csv);
        if separated {
            self.buffer.push(b'\n');
        }
        self.results += 1;
        if self.format == Format::Csv {
            self.record(columns.iter().map(|name| Some(name.as_str())));
        }
        // Two columns of one name would be one key.
        let columns = if matches!(self.format, Format::Table | Format::Csv) { columns } else { distinct(columns) };
        self.current = Some(Current { columns, table: Table::Measured { rows: Vec::new(), bytes: 0 } });
        self.chunk().await
    }

    pub(super) async fn row(&mut self, cells: &[Option<&str>]) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.table_row(cells),
            Format::Csv => self.record(cells.iter().copied()),
            Format::Ndjson => {
                let object = serde_json::to_string(&self.object(cells))?;
                self.line(&plain_json(&object));
            }
            Format::Json => {
                self.buffer.extend_from_slice(if self.rows == 0 { b"[\n" } else { b",\n" });
                let object = serde_json::to_string(&self.object(cells))?;
                self.buffer.extend_from_slice(plain_json(&object).as_bytes());
            }
            Format::Yaml => {
                let text = yaml(&[self.object(cells)])?;
                self.buffer.extend_from_slice(text.as_bytes());
            }
        }
        self.rows += 1;
        self.chunk().await
    }

    /// A result ends; says whether there was one.
    pub(super) async fn end_of_result(&mut self) -> Result<bool, Failure> {
        self.measure();
        let had = self.current.take().is_some();
        self.chunk().await?;
        Ok(had)
    }

    /// Writes what is there, since it may take a while until more comes. A table is still measured.
    pub(super) async fn rest(&mut self) -> Result<(), Failure> {
        if !self.buffer.is_empty() {
            self.out.write_all(&self.buffer).await?;
            self.buffer.clear();
        }
        Ok(self.out.flush().await?)
    }

    /// Nothing more comes, since something failed. What has come so far is written whole; where nothing has, there is nothing.
    pub(super) async fn break_off(&mut self) -> Result<(), Failure> {
        if self.rows > 0 {
            return self.finish().await;
        }
        Ok(())
    }

    /// Everything is there.
    pub(super) async fn finish(&mut self) -> Result<(), Failure> {
        self.measure();
        match (self.format, self.rows) {
            (Format::Json, 0) => self.line("[]"),
            (Format::Json, _) => self.line("\n]"),
            (Format::Yaml, 0) => self.line("[]"),
            _ => {}
        }
        self.rest().await
    }

    async fn chunk(&mut self) -> Result<(), Failure> {
        if self.buffer.len() >= CHUNK { self.rest().await } else { Ok(()) }
    }

    fn record<'a>(&mut self, cells: impl Iterator<Item = Option<&'a str>>) {
        let mut text = record(cells);
        if self.is_terminal {
            text = text
                .chars()
                .map(|c| if is_printable(c) || matches!(c, '\n' | '\t') { c } else { '\u{fffd}' })
                .collect();
        }
        self.line(&text);
    }

    fn line(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
        self.buffer.push(b'\n');
    }

    fn object<'a>(&'a self, cells: &'a [Option<&'a str>]) -> Object<'a> {
        Object { columns: self.current.as_ref().map_or(&[], |current| &current.columns), cells }
    }

    fn table_row(&mut self, cells: &[Option<&str>]) {
        let cells: Vec<String> = cells.iter().map(|cell| shown(cell.unwrap_or_default())).collect();
        let Some(result) = &mut self.current else { return };
        match &mut result.table {
            Table::Widths(widths) => {
                let text = aligned(&cells, widths);
                self.line(&text);
            }
            Table::Measured { rows, bytes } => {
                *bytes += cells.iter().map(String::len).sum::<usize>();
                rows.push(cells);
                if rows.len() >= MEASURED || *bytes >= MEASURED_BYTES {
                    self.measure();
                }
            }
        }
    }

    /// Ends the measuring of a table, and writes what was measured.
    fn measure(&mut self) {
        if self.format != Format::Table {
            return;
        }
        let Some(result) = &mut self.current else { return };
        let Table::Measured { rows, .. } = &mut result.table else { return };
        let rows = std::mem::take(rows);
        let head: Vec<String> = result.columns.iter().map(|name| shown(name)).collect();
        let width = |at: usize| {
            let cells = rows.iter().map(|row| row.get(at)).chain([head.get(at)]).flatten();
            cells.map(|cell| cell.width()).max().unwrap_or(0).min(WIDEST)
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        let lines: Vec<String> = [&head, &rule].into_iter().chain(&rows).map(|row| aligned(row, &widths)).collect();
        result.table = Table::Widths(widths);
        lines.iter().for_each(|line| self.line(line));
    }
}

/// A row whose keys are in the order of its columns.
struct Object<'a> {
    columns: &'a [String],
    cells: &'a [Option<&'a str>],
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.columns.iter().zip(self.cells))
    }
}

/// A cell in one line that moves no cursor.
fn shown(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => '↵',
            '\t' => ' ',
            c if is_printable(c) => c,
            _ => '\u{fffd}',
        })
        .collect()
}

fn aligned(cells: &[String], widths: &[usize]) -> String {
    let pad = |cell: &String, width: usize| " ".repeat(width.saturating_sub(cell.width()));
    let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell}{}", pad(cell, *width)));
    let mut line = padded.collect::<Vec<_>>().join("  ");
    line.truncate(line.trim_end().len());
    line
}

/// The names, a number behind those that were there before.
fn distinct(columns: Vec<String>) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(columns.len());
    for column in columns {
        let free = |name: &String| !names.contains(name);
        let numbered = (2..).map(|number| format!("{column}_{number}"));
        let name = std::iter::once(column.clone()).chain(numbered).find(free).unwrap_or(column);
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Columns and rows.
    type Given = (&'static [&'static str], &'static [&'static [Option<&'static str>]]);

    async fn written(format: Format, results: &[Given]) -> String {
        let mut out = Vec::new();
        let mut writer = Writer::new(format, &mut out);
        for (columns, rows) in results {
            writer.columns(columns.iter().map(|name| (*name).to_owned()).collect()).await.expect("written");
            for row in *rows {
                writer.row(row).await.expect("written");
            }
            assert!(writer.end_of_result().await.expect("written"));
        }
        writer.finish().await.expect("written");
        String::from_utf8(out).expect("text")
    }

    const RESULT: Given =
        (&["id", "name", "id"], &[&[Some("1"), Some("Ada"), None], &[Some("20"), Some(""), Some("a\nb")]]);

    #[tokio::test]
    async fn each_format_of_one_result() {
        for (format, expected) in [
            (Format::Table, "id  name  id\n--  ----  ---\n1   Ada\n20        a↵b\n"),
            (Format::Csv, "id,name,id\n1,Ada,\n20,\"\",\"a\nb\"\n"),
            (
                Format::Ndjson,
                "{\"id\":\"1\",\"name\":\"Ada\",\"id_2\":null}\n{\"id\":\"20\",\"name\":\"\",\"id_2\":\"a\\nb\"}\n",
            ),
        ] {
            assert_eq!(written(format, &[RESULT]).await, expected, "{format:?}");
        }
    }

    #[tokio::test]
    async fn csv_moves_no_cursor_and_is_exact_for_programs() {
        for (is_terminal, expected) in
            [(true, "a\u{fffd}\n\"\u{fffd}[2J\n\tb,\u{fffd}\"\n"), (false, "a\u{202e}\n\"\u{1b}[2J\n\tb,\r\"\n")]
        {
            let mut out = Vec::new();
            let mut writer = Writer::new(Format::Csv, &mut out).on_terminal(is_terminal);
            writer.columns(vec!["a\u{202e}".to_owned()]).await.expect("written");
            writer.row(&[Some("\u{1b}[2J\n\tb,\r")]).await.expect("written");
            writer.finish().await.expect("written");
            assert_eq!(String::from_utf8(out).expect("text"), expected);
        }
    }

    #[tokio::test]
    async fn documents_are_whole_whatever_the_number_of_results() {
        for results in [&[][..], &[RESULT], &[RESULT, (&["x"], &[]), RESULT]] {
            let rows = results.iter().map(|(_, rows)| rows.len()).sum::<usize>();
            let json: Vec<Value> = serde_json::from_str(&written(Format::Json, results).await).expect("JSON");
            let yaml: Vec<Value> = serde_saphyr::from_str(&written(Format::Yaml, results).await).expect("YAML");
            assert_eq!((json.len(), yaml.len()), (rows, rows));
            assert_eq!(json, yaml);
        }
    }

    #[tokio::test]
    async fn a_long_table_is_not_kept() {
        let mut out = Vec::new();
        let mut writer = Writer::new(Format::Table, &mut out);
        writer.columns(vec!["n".to_owned()]).await.expect("written");
        for _ in 0..100_000 {
            writer.row(&[Some("1234567890")]).await.expect("written");
            assert!(writer.buffer.len() < 2 * CHUNK);
        }
        writer.finish().await.expect("written");
        assert_eq!(out.split(|byte| *byte == b'\n').filter(|line| *line == b"1234567890").count(), 100_000);
    }
}
