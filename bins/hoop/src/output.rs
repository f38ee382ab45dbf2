//! Data on standard output.

use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

/// How data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// One JSON document, as the API has it.
    Json,
    /// One JSON document a line.
    Ndjson,
}

/// Prints a list: as JSON, or with these columns for people.
pub(crate) fn list(
    format: Format,
    items: &[Value],
    head: &[&str],
    row: impl Fn(&Value) -> Vec<String>,
    empty: &str,
) -> io::Result<()> {
    match format {
        Format::Json => line(&format!("{:#}", Value::Array(items.to_vec()))),
        Format::Ndjson => items.iter().try_for_each(|item| line(&item.to_string())),
        Format::Table if items.is_empty() => {
            eprintln!("{empty}");
            Ok(())
        }
        Format::Table => {
            let mut table = Table::new();
            table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
            table.set_header(head.iter().map(|name| name.to_uppercase()));
            for item in items {
                table.add_row(row(item));
            }
            line(&table.trim_fmt())
        }
    }
}

/// Prints a line. A reader that has seen enough, as `head` does, is an error here and not a panic.
pub(crate) fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// A field as text, empty when there is none.
pub(crate) fn text(item: &Value, field: &str) -> String {
    match &item[field] {
        Value::Null => String::new(),
        Value::String(text) => printable(text),
        other => other.to_string(),
    }
}

/// The text without what would move a terminal's cursor.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Whether standard output takes colours.
pub(crate) fn has_colour() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
