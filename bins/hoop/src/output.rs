//! Data on standard output.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use crate::failure::Failure;

/// How data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// One JSON document, as the API has it.
    Json,
    /// One YAML document, as the API has it.
    Yaml,
    /// One JSON document a line.
    Ndjson,
    /// The columns of the table, separated by commas (RFC 4180); an apostrophe is in front of what a spreadsheet would run.
    Csv,
}

/// Prints a list: as documents, or with these columns.
pub(crate) fn list(
    format: Format,
    items: &[Value],
    head: &[&str],
    row: impl Fn(&Value) -> Vec<String>,
    empty: &str,
) -> Result<(), Failure> {
    match format {
        Format::Json => line(&plain_json(&format!("{:#}", Value::Array(items.to_vec()))))?,
        Format::Yaml => write!(io::stdout(), "{}", yaml(&items)?)?,
        Format::Ndjson => items.iter().try_for_each(|item| line(&plain_json(&item.to_string())))?,
        Format::Csv => {
            line(&sheet_row(head.iter().copied()))?;
            items.iter().try_for_each(|item| line(&sheet_row(row(item).iter().map(String::as_str))))?;
        }
        Format::Table if items.is_empty() => eprintln!("{empty}"),
        Format::Table => {
            let mut table = Table::new();
            table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
            table.set_header(head.iter().map(|name| name.to_uppercase()));
            for item in items {
                table.add_row(row(item));
            }
            line(&table.trim_fmt())?;
        }
    }
    Ok(())
}

/// Prints one thing: as a document, or its fields in this order; those that have nothing to say are left out.
pub(crate) fn show(format: Format, item: &Value, fields: &[&str]) -> Result<(), Failure> {
    match format {
        Format::Json => line(&plain_json(&format!("{item:#}")))?,
        Format::Yaml => write!(io::stdout(), "{}", yaml(item)?)?,
        Format::Ndjson => line(&plain_json(&item.to_string()))?,
        Format::Csv => {
            line(&sheet_row(["field", "value"]))?;
            for (field, value) in lines(item, fields) {
                line(&sheet_row([field.as_str(), value.as_str()]))?;
            }
        }
        Format::Table => {
            let lines = lines(item, fields);
            let width = lines.iter().map(|(field, _)| field.chars().count()).max().unwrap_or(0);
            lines.iter().try_for_each(|(field, value)| line(&format!("{field:<width$}  {value}")))?;
        }
    }
    Ok(())
}

/// The fields, each in a line; what is within a large one in lines of its own.
fn lines(item: &Value, fields: &[&str]) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    fields.iter().for_each(|field| add_lines((*field).to_owned(), &item[*field], &mut lines));
    lines
}

/// The longest object that is told in one line, in bytes.
const ONE_LINE: usize = 60;

fn add_lines(name: String, value: &Value, lines: &mut Vec<(String, String)>) {
    let text = brief(value);
    match value {
        Value::Object(fields) if text.len() > ONE_LINE => {
            fields.iter().for_each(|(field, value)| add_lines(format!("{name}.{}", printable(field)), value, lines));
        }
        Value::Array(items) if text.len() > ONE_LINE && items.iter().any(Value::is_object) => {
            items.iter().zip(1..).for_each(|(item, at)| add_lines(format!("{name}.{at}"), item, lines));
        }
        _ if text.is_empty() => {}
        _ => lines.push((name, text)),
    }
}

/// The text as YAML, with its last line ended. Its controls are escaped; what turns the direction of text is left out where it
/// would reach a terminal.
pub(crate) fn yaml(value: &impl serde::Serialize) -> Result<String, Failure> {
    let mut text = serde_saphyr::to_string(value).map_err(|error| Failure::new(1, error.to_string()))?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(if io::stdout().is_terminal() { printable_lines(&text) } else { text })
}

/// JSON that means the same, without what serde leaves as it is and a terminal does not: the controls from U+007F on, and what
/// turns the direction of text. Either stands in strings alone.
pub(crate) fn plain_json(json: &str) -> Cow<'_, str> {
    if json.chars().all(|c| c == '\n' || is_printable(c)) {
        return json.into();
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match c {
            '\n' => out.push(c),
            c if is_printable(c) => out.push(c),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    out.into()
}

/// A record of RFC 4180, without its end. As in PostgreSQL's COPY, nothing is NULL and an empty text is `""`.
pub(crate) fn record<'a>(cells: impl IntoIterator<Item = Option<&'a str>>) -> String {
    let cell = |cell: Option<&str>| match cell {
        None => String::new(),
        Some(text) if text.is_empty() || text.contains([',', ';', '\t', '"', '\n', '\r']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Some(text) => text.to_owned(),
    };
    cells.into_iter().map(cell).collect::<Vec<_>>().join(",")
}

/// A line of CSV for people, who open it in a spreadsheet: no cell is a formula there.
pub(crate) fn sheet_row<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let cells: Vec<_> = cells.into_iter().map(no_formula).collect();
    record(cells.iter().map(|cell| Some(&**cell)))
}

/// A cell that a spreadsheet takes for text: what others have named may begin as a formula does, and would be run by whoever
/// opens the file. An apostrophe in front of it is what spreadsheets themselves write for text.
fn no_formula(cell: &str) -> Cow<'_, str> {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell != "-" && cell.parse::<f64>().is_err();
    if is_formula { format!("'{cell}").into() } else { cell.into() }
}

/// Prints a line. A reader that has seen enough, as `head` does, is an error here and not a panic.
pub(crate) fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{text}")
}

/// A field as text, empty when there is none.
pub(crate) fn text(item: &Value, field: &str) -> String {
    brief(&item[field])
}

/// A value in one line.
pub(crate) fn brief(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => printable(text),
        Value::Array(items) => items.iter().map(brief).collect::<Vec<_>>().join(", "),
        Value::Object(fields) if fields.values().all(|value| !value.is_object() && !value.is_array()) => {
            let pairs = fields.iter().map(|(name, value)| format!("{} {}", printable(name), brief(value)));
            pairs.collect::<Vec<_>>().join(", ")
        }
        other => printable(&other.to_string()),
    }
}

/// A time as people read it, in UTC.
pub(crate) fn time(item: &Value, field: &str) -> String {
    let at: Option<chrono::DateTime<chrono::Utc>> = item[field].as_str().and_then(|text| text.parse().ok());
    at.map(|at| at.format("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default()
}

/// The text without what would move a terminal's cursor, or show it in another order than it has.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_printable(c) { c } else { '\u{fffd}' }).collect()
}

/// As [`printable`], of a text that has lines.
pub(crate) fn printable_lines(text: &str) -> String {
    text.chars().map(|c| if c == '\n' || is_printable(c) { c } else { '\u{fffd}' }).collect()
}

/// Whether a character is only itself on a terminal: no control, and none of Unicode's that turn the direction of text.
pub(crate) fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether standard output takes colours.
pub(crate) fn has_colour() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn records_keep_null_and_empty_apart() {
        let cells = [None, Some(""), Some("plain"), Some("a,b"), Some("say \"hi\""), Some("two\nlines")];
        assert_eq!(record(cells), ",\"\",plain,\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\"");
    }

    #[test]
    fn no_cell_is_a_formula() {
        for cell in ["=1+1", "+1+1", "-cmd", "@SUM(A1)", "\t=1", "\r=1"] {
            assert_eq!(no_formula(cell), format!("'{cell}"));
        }
        for cell in ["", "-", "-1.5", "+2", "a=1", "ada@example.com", "'=1"] {
            assert_eq!(no_formula(cell), cell);
        }
    }

    #[test]
    fn json_means_the_same_and_moves_no_cursor() {
        let item = json!({ "a\u{9b}2J\u{1b}": ["\u{202e}evil\u{7f}", "caf\u{e9} \u{6f22}"] });
        for text in [item.to_string(), format!("{item:#}")] {
            let plain = plain_json(&text);
            assert!(plain.chars().all(|c| c == '\n' || is_printable(c)), "{plain}");
            assert_eq!(serde_json::from_str::<Value>(&plain).expect("JSON"), item);
        }
        assert!(matches!(plain_json("{\"a\": 1}\n"), Cow::Borrowed(_)));
        assert_eq!(printable_lines("a\u{1b}\nb\u{202e}"), "a\u{fffd}\nb\u{fffd}");
    }

    #[test]
    fn a_large_field_has_a_line_for_each_of_its_own() {
        let long = "x".repeat(ONE_LINE);
        let item = json!({ "labels": { "env": "demo" }, "rules": { "a": [{ "name": long, "on": true }], "b": [] }, "none": null });
        let told = lines(&item, &["labels", "none", "rules"]);
        let told: Vec<String> = told.into_iter().map(|(name, value)| format!("{name} {value}")).collect();
        assert_eq!(
            told,
            ["labels env demo".to_owned(), format!("rules.a.1.name {long}"), "rules.a.1.on true".to_owned()]
        );
    }

    #[test]
    fn values_in_a_line() {
        for (value, expected) in [
            (json!(null), ""),
            (json!(["a", 1]), "a, 1"),
            (json!({"env": "demo", "n": 2}), "env demo, n 2"),
            (json!({"a": {"b": 1}}), r#"{"a":{"b":1}}"#),
            (json!("a\u{1b}[2J"), "a\u{fffd}[2J"),
            (json!("a\u{202e}b\u{2066}c"), "a\u{fffd}b\u{fffd}c"),
        ] {
            assert_eq!(brief(&value), expected);
        }
    }
}
