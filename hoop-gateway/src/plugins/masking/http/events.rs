//! Server-sent events ([HTML §9.2](https://html.spec.whatwg.org/multipage/server-sent-events.html)): the data of each line is masked at
//! its end, so that no event is kept.

use hoop_proto::http::json::Lines;
use hoop_proto::http::reading::Coding;
use memchr::memchr2;

use super::json::Json;
use super::search::{Search, Unreadable};
use super::text::{End, Text};

/// How many spaces may come before the first character that tells what data is.
const MAX_SPACES: usize = 1024;

/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xEF\xBB\xBF";

#[derive(Debug)]
pub(super) struct Events {
    /// The beginning of a line whose field is not known yet.
    begin: Vec<u8>,
    field: Field,
    /// The data of the event that is being read, where it is JSON.
    json: Option<Json>,
    text: Text,
    /// Whether anything stands in the line.
    empty: bool,
    /// Whether the last byte was a carriage return.
    returned: bool,
    begun: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Unknown,
    Json,
    Text,
}

impl Events {
    pub(super) fn new() -> Self {
        let text = Text::new(Coding::Plain);
        Self { begin: Vec::new(), field: Field::Unknown, json: None, text, empty: true, returned: false, begun: false }
    }

    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        end: End,
        search: Search<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unreadable> {
        let mut rest = bytes;
        // A mark at the beginning is no part of the first line; as many bytes as it has come at once.
        if !std::mem::replace(&mut self.begun, true)
            && let Some(after) = bytes.strip_prefix(MARK)
        {
            out.extend_from_slice(MARK);
            rest = after;
        }
        while let Some(at) = memchr2(b'\n', b'\r', rest) {
            let (line, after) = rest.split_at(at);
            self.line(line, search, out)?;
            self.end_line(after.first() == Some(&b'\r'), search, out)?;
            out.extend(after.first());
            rest = after.get(1..).unwrap_or_default();
        }
        self.line(rest, search, out)?;
        if end == End::Whole { self.end_line(false, search, out) } else { Ok(()) }
    }

    fn line(&mut self, bytes: &[u8], search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        if bytes.is_empty() {
            return Ok(());
        }
        (self.empty, self.returned) = (false, false);
        if self.field != Field::Unknown {
            return self.data(bytes, search, out);
        }
        self.begin.extend_from_slice(bytes);
        let Some(field) = self.tell() else { return Ok(()) };
        self.field = field;
        let begin = std::mem::take(&mut self.begin);
        let head = if field == Field::Json { begin.len() - value(&begin).len() } else { 0 };
        out.extend_from_slice(begin.get(..head).unwrap_or_default());
        if field == Field::Json && self.json.is_none() {
            self.json = Some(Json::new(Lines::Cut, true, search));
        }
        self.data(begin.get(head..).unwrap_or_default(), search, out)
    }

    /// What the line is, once that can be told.
    fn tell(&self) -> Option<Field> {
        if !self.begin.starts_with(b"data:") {
            return (!b"data:".starts_with(&self.begin)).then_some(Field::Text);
        }
        if self.json.is_some() {
            return Some(Field::Json);
        }
        let value = value(&self.begin);
        match value.iter().take(MAX_SPACES).find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{' | b'[' | b'"') => Some(Field::Json),
            None if value.len() < MAX_SPACES => None,
            _ => Some(Field::Text),
        }
    }

    fn data(&mut self, bytes: &[u8], search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        match &mut self.json {
            Some(json) if self.field == Field::Json => json.push(bytes, End::Open, search, out),
            _ => self.text.push(bytes, End::Open, search, out),
        }
    }

    fn end_line(&mut self, returned: bool, search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        // A line feed after a carriage return ends no line of its own.
        let pair = std::mem::replace(&mut self.returned, returned) && !returned;
        let begin = std::mem::take(&mut self.begin);
        self.text.push(&begin, End::Whole, search, out)?;
        if let Some(json) = &mut self.json {
            json.push(b"", End::Whole, search, out)?;
        }
        if self.empty && !pair {
            self.json = None;
        }
        (self.empty, self.field) = (true, Field::Unknown);
        Ok(())
    }
}

fn value(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"data:").unwrap_or(line)
}
