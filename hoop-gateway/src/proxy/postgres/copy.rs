//! How the rows of a COPY are written: the options are in the statement's text alone.

use std::sync::Arc;

use bytes::Bytes;
use hoop_core::{Format, RowEncoding, TextEncoding, TextSettings};
use hoop_proto::postgres::backend::CopyResponse;
use hoop_proto::postgres::copy::{CopyBinary, CopyCsv, CopyLines, CopyText};
use pg_query::NodeEnum;
use pg_query::protobuf::{DefElem, Token};

/// Longest text that is parsed for its COPY options, in bytes.
const LONGEST: usize = 1 << 20;

/// How the rows are written that the statement with this number in the text gives, when that can be found out, and where
/// its cells are can be seen in its bytes.
pub(super) fn encoding(
    text: &[u8],
    number: usize,
    response: &CopyResponse,
    client: TextEncoding,
) -> Option<Arc<dyn RowEncoding>> {
    if response.format == Format::Binary {
        return Some(Arc::new(CopyBinary));
    }
    let options = options(text, number)?;
    let option = |name: &str| options.iter().rev().find(|(option, _)| option == name).map(|(_, value)| value.as_str());
    // A delimiter may be a part of a character there.
    let encoding = option("encoding").map_or(client, named_encoding);
    let has_cells = matches!(option("format"), None | Some("text" | "csv"));
    (has_cells && encoding != TextEncoding::Other).then(|| from_options(&options))
}

/// Every line is searched as a whole.
pub(super) fn lines() -> Arc<dyn RowEncoding> {
    Arc::new(CopyLines)
}

/// An encoding by one of the names that PostgreSQL knows it by, of which only letters and digits count.
fn named_encoding(name: &str) -> TextEncoding {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).map(|char| char.to_ascii_lowercase()).collect();
    let is_safe = ["utf8", "unicode", "latin", "iso8859", "win125", "windows125", "koi8", "euc", "sqlascii"];
    match name.as_str() {
        "utf8" | "unicode" => TextEncoding::Utf8,
        name if is_safe.iter().any(|safe| name.starts_with(safe)) => TextEncoding::AsciiSuperset,
        _ => TextEncoding::Other,
    }
}

/// The SELECT that gives what a COPY … TO STDOUT gives, when the text is one and nothing else. Of several statements in one text
/// the server could be asked only before the first has run, which may give the names of the others another meaning.
pub(super) fn select(text: &[u8], settings: TextSettings) -> Option<Vec<u8>> {
    let mentions = text.len() <= LONGEST && text.windows(4).any(|word| word.eq_ignore_ascii_case(b"copy"));
    let is_plain = text.is_ascii() || settings.encoding == TextEncoding::Utf8;
    if !mentions || !is_plain || !settings.standard_conforming_strings {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    let parsed = pg_query::parse(text, 0).ok()?;
    let [statement] = parsed.protobuf.stmts.as_slice() else { return None };
    let Some(NodeEnum::CopyStmt(copy)) = &statement.stmt.as_ref()?.node else { return None };
    if copy.is_from || copy.is_program || !copy.filename.is_empty() {
        return None;
    }
    match &copy.relation {
        Some(relation) => {
            let columns: Vec<_> = copy.attlist.iter().filter_map(name).map(quoted).collect();
            let columns = if columns.is_empty() { "*".to_owned() } else { columns.join(", ") };
            let parts = [&relation.schemaname, &relation.relname].into_iter().filter(|part| !part.is_empty());
            let table: Vec<_> = parts.map(|part| quoted(part)).collect();
            Some(format!("select {columns} from {}", table.join(".")).into_bytes())
        }
        None => within_parentheses(text).map(|query| query.as_bytes().to_vec()),
    }
}

fn name(node: &pg_query::protobuf::Node) -> Option<&str> {
    match &node.node {
        Some(NodeEnum::String(text)) => Some(&text.sval),
        _ => None,
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What is within the first parentheses of the text, as the scanner sees them.
fn within_parentheses(text: &str) -> Option<&str> {
    let scanned = pg_query::scan(text).ok()?;
    let (mut depth, mut from) = (0_usize, None);
    for token in &scanned.tokens {
        match token.token() {
            Token::Ascii40 => {
                depth += 1;
                from = from.or(Some(token.end));
            }
            Token::Ascii41 => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return text.get(usize::try_from(from?).ok()?..usize::try_from(token.start).ok()?);
                }
            }
            _ => {}
        }
    }
    None
}

fn options(text: &[u8], number: usize) -> Option<Vec<(String, String)>> {
    if text.len() > LONGEST {
        return None;
    }
    // Only what is ASCII matters here, and a server in another encoding has that in the same places.
    let text: String = match std::str::from_utf8(text) {
        Ok(text) => text.to_owned(),
        Err(_) => text.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '_' }).collect(),
    };
    let parsed = pg_query::parse(&text, 0).ok()?;
    let statement = parsed.protobuf.stmts.get(number)?.stmt.as_ref()?;
    let Some(NodeEnum::CopyStmt(copy)) = &statement.node else { return None };
    let options = copy.options.iter().filter_map(|node| match &node.node {
        Some(NodeEnum::DefElem(option)) => Some((option.defname.to_lowercase(), value(option))),
        _ => None,
    });
    Some(options.collect())
}

fn value(option: &DefElem) -> String {
    match option.arg.as_ref().and_then(|arg| arg.node.as_ref()) {
        Some(NodeEnum::String(text)) => text.sval.clone(),
        _ => String::new(),
    }
}

fn from_options(options: &[(String, String)]) -> Arc<dyn RowEncoding> {
    let option = |name: &str| options.iter().rev().find(|(option, _)| option == name).map(|(_, value)| value);
    let byte = |name: &str, default: u8| option(name).and_then(|text| text.bytes().next()).unwrap_or(default);
    let null = option("null").map(|text| Bytes::copy_from_slice(text.as_bytes()));
    if option("format").is_some_and(|format| format == "csv") {
        let quote = byte("quote", b'"');
        return Arc::new(CopyCsv {
            delimiter: byte("delimiter", b','),
            null: null.unwrap_or_default(),
            quote,
            escape: byte("escape", quote),
        });
    }
    let text = CopyText::default();
    Arc::new(CopyText { delimiter: byte("delimiter", text.delimiter), null: null.unwrap_or(text.null) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, number: usize) -> String {
        let response = CopyResponse { format: Format::Text, columns: Vec::new() };
        let encoding = encoding(text.as_bytes(), number, &response, TextEncoding::Utf8);
        encoding.map_or_else(|| "lines".to_owned(), |encoding| format!("{encoding:?}"))
    }

    #[test]
    fn options_old_and_new() {
        assert!(shown("copy t to stdout", 0).starts_with("CopyText { delimiter: 9"));
        assert!(
            shown("COPY t TO STDOUT (FORMAT csv, DELIMITER ';', NULL 'x')", 0).contains("delimiter: 59, null: b\"x\"")
        );
        assert!(shown("copy t to stdout with csv quote '!'", 0).contains("quote: 33, escape: 33"));
        assert!(shown("select 1; copy (select 2) to stdout delimiter '|'", 1).contains("delimiter: 124"));
    }

    #[test]
    fn a_copy_is_described_by_its_select() {
        let settings = TextSettings::default();
        for (copy, expected) in [
            ("copy customers to stdout", Some("select * from \"customers\"")),
            (
                "COPY shop.\"Odd\"\"name\" (ID, \"B\") TO STDOUT (FORMAT binary)",
                Some("select \"id\", \"B\" from \"shop\".\"Odd\"\"name\""),
            ),
            ("/* ( */ copy (select ')', (1) from t) to stdout csv", Some("select ')', (1) from t")),
            ("copy t from stdin", None),
            ("copy t to '/tmp/x'", None),
            ("copy t to program 'x'", None),
            ("select 'copy'", None),
            ("copy t to stdout; select 1", None),
        ] {
            assert_eq!(select(copy.as_bytes(), settings).as_deref(), expected.map(str::as_bytes), "{copy}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_lines() {
        for (text, number) in [
            ("select 1", 0),
            ("copy t to stdout", 1),
            ("copy copy copy", 0),
            ("copy t to stdout (format json)", 0),
            ("copy t to stdout (encoding 'Shift-JIS', delimiter '|')", 0),
            ("copy t to stdout encoding 'win936'", 0),
        ] {
            assert_eq!(shown(text, number), "lines", "{text}");
        }
        assert!(shown("copy t to stdout (encoding 'UTF-8')", 0).starts_with("CopyText"));
        let response = CopyResponse { format: Format::Text, columns: Vec::new() };
        assert!(encoding(b"copy t to stdout", 0, &response, TextEncoding::Other).is_none());
        assert!(encoding(b"copy t to stdout encoding 'latin1'", 0, &response, TextEncoding::Other).is_some());
    }
}
