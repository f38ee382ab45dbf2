//! Events as they are shown: serialized for programs, displayed for people.

mod channel;
mod http;

use std::fmt;

use chrono::{DateTime, SecondsFormat};
use serde::{Serialize, Serializer};

use super::event::{Event, Review, RowFormat, Rows, Shown, Text};

/// One record of a log, as it is shown. Everything from outside is escaped, in JSON and for people alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventView {
    /// Number of the record.
    pub record: u64,
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// When, in microseconds since 1970-01-01 UTC; serialized as RFC 3339.
    #[serde(serialize_with = "rfc3339")]
    pub time: i64,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

fn rfc3339<S: Serializer>(time: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at(*time))
}

fn at(time: i64) -> String {
    DateTime::from_timestamp_micros(time).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Micros, true)
}

impl Rows {
    /// The cells, when the bytes are whole rows of a protocol whose rows are self-describing (PostgreSQL's DataRow):
    /// `None` for a null.
    pub fn cells(&self) -> Option<Vec<Vec<Option<Text>>>> {
        if self.format != RowFormat::Messages {
            return None;
        }
        let mut rest = self.bytes.0.as_ref();
        let mut rows = Vec::new();
        while !rest.is_empty() {
            let (b'D', frame, after) = message(rest)? else { return None };
            rows.push(data_row(frame)?);
            rest = after;
        }
        Some(rows)
    }

    /// The lines of a COPY, when the bytes are its messages: their contents one after the other.
    fn copied(&self) -> Option<Text> {
        let mut rest = self.bytes.0.as_ref();
        let mut out = Vec::new();
        while !rest.is_empty() {
            let (b'd', frame, after) = message(rest)? else { return None };
            out.extend_from_slice(frame);
            rest = after;
        }
        Some(Text(out.into()))
    }
}

/// Cuts a message of PostgreSQL's protocol off: its type, its contents, what follows.
fn message(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&kind, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (contents, after) = rest.split_at_checked((u32::from_be_bytes(*length) as usize).checked_sub(4)?)?;
    Some((kind, contents, after))
}

fn data_row(contents: &[u8]) -> Option<Vec<Option<Text>>> {
    let (count, mut rest) = contents.split_first_chunk::<2>()?;
    let mut cells = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        match i32::from_be_bytes(*length) {
            -1 => cells.push(None),
            length => {
                let (cell, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                cells.push(Some(Text(bytes::Bytes::copy_from_slice(cell))));
                rest = after;
            }
        }
    }
    Some(cells)
}

impl Serialize for Rows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct View<'a> {
            statement: u64,
            rows: u32,
            #[serde(skip_serializing_if = "Option::is_none")]
            cells: Option<Vec<Vec<Option<Text>>>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            text: Option<Text>,
            #[serde(skip_serializing_if = "Option::is_none")]
            bytes: Option<&'a Text>,
        }
        let cells = self.cells();
        let text = if cells.is_none() { self.copied() } else { None };
        let bytes = (cells.is_none() && text.is_none()).then_some(&self.bytes);
        View { statement: self.statement, rows: self.rows, cells, text, bytes }.serialize(serializer)
    }
}

impl fmt::Display for EventView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.brief(usize::MAX), f)
    }
}

/// An event for people, with the first of its rows alone. Only its first line begins where lines begin: a text from outside
/// that has lines could else pass for events.
struct Brief<'a> {
    view: &'a EventView,
    rows: usize,
}

const BELOW: &str = "    ";

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = fmt::from_fn(|f| self.view.write(f, self.rows)).to_string();
        let mut lines = whole.split('\n');
        f.write_str(lines.next().unwrap_or_default())?;
        lines.try_for_each(|line| write!(f, "\n{}{line}", if line.starts_with(BELOW) { "" } else { BELOW }))
    }
}

impl EventView {
    /// The event for people; of rows that were shown or sent, the first `rows` alone, and how many there are more.
    pub fn brief(&self, rows: usize) -> impl fmt::Display {
        Brief { view: self, rows }
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, most: usize) -> fmt::Result {
        write!(f, "{}  ", at(self.time))?;
        match &self.event {
            Event::Header(h) => {
                write!(f, "session {}: {} on {} through {}", h.session, h.name, h.role_name, h.agent)?;
                labelled(f, "database", &h.database)?;
                labelled(f, "application", &h.application)?;
                if !h.source.is_empty() {
                    write!(f, ", from {}", h.source)?;
                }
                labelled(f, "reason", &h.reason)?;
                if h.strict { f.write_str(", strict") } else { Ok(()) }
            }
            Event::Statement(s) => {
                write!(f, "#{} {} {}", s.statement, s.phase, s.text)?;
                for (number, parameter) in s.parameters.iter().enumerate() {
                    let number = number + 1;
                    match parameter.null {
                        true => write!(f, "\n    ${number} = null")?,
                        false => write!(f, "\n    ${number} = {}", parameter.value)?,
                    }
                }
                Ok(())
            }
            Event::Columns(c) => {
                write!(f, "#{} columns", c.statement)?;
                list(f, c.columns.iter().map(|column| &column.name))
            }
            Event::Rows(rows) => show_rows(f, "shown", rows, most),
            Event::CopyIn(rows) => show_rows(f, "sent", rows, most),
            Event::Complete(c) => {
                write!(
                    f,
                    "#{} {}{}, {} ms",
                    c.statement,
                    c.tag,
                    if c.suspended { " (suspended)" } else { "" },
                    milliseconds(c.duration_us)
                )?;
                sums(f, &c.shown, &c.sent)
            }
            Event::Failed(e) => {
                if let Some(statement) = e.statement {
                    write!(f, "#{statement} ")?;
                }
                if e.denial.is_empty() {
                    write!(f, "{} {}: {}", e.severity, e.code, e.message)?;
                } else {
                    write!(f, "DENIED by {} ({}): {}", e.denied_by, e.denial, e.message)?;
                }
                sums(f, &e.shown, &e.sent)
            }
            Event::Notice(n) => write!(f, "{} {}: {}", n.severity, n.code, n.message),
            Event::Notification(n) => write!(f, "notification on {}: {}", n.channel, n.payload),
            Event::Cancel(c) => match c.statement {
                Some(statement) => write!(f, "cancel of #{statement}"),
                None => f.write_str("cancel"),
            },
            Event::Function(c) => write!(f, "#{} function {} with {} arguments", c.statement, c.oid, c.arguments.len()),
            Event::Command(_)
            | Event::WindowChange(_)
            | Event::Input(_)
            | Event::Output(_)
            | Event::Line(_)
            | Event::Signal(_)
            | Event::Forward(_)
            | Event::ChannelClosed(_)
            | Event::File(_)
            | Event::FileDone(_)
            | Event::FileBytes(_) => channel::write(f, &self.event, most),
            Event::HttpRequest(_)
            | Event::HttpResponse(_)
            | Event::HttpBody(_)
            | Event::HttpMessage(_)
            | Event::HttpDone(_) => http::write(f, &self.event, most),
            Event::Review(r) => review(f, r),
            Event::Checkpoint(c) => write!(f, "signed checkpoint of {} records", c.records),
            Event::End(end) => {
                write!(f, "end: {}", end.outcome)?;
                labelled(f, "because", &end.reason)?;
                end.totals.iter().try_for_each(|t| {
                    if t.requests > 0 {
                        return http::totals(f, t);
                    }
                    if t.commands + t.forwards > 0 {
                        return channel::totals(f, t);
                    }
                    let (statements, rows) = (counted(t.statements, "statement"), counted(t.rows, "row"));
                    write!(f, "; {statements}, {} denied, {} failed, {rows} shown", t.denied, t.failed)
                })
            }
            Event::Seal(c) => write!(f, "sealed: {} records, {}", c.records, blake3::Hash::from_bytes(c.head).to_hex()),
            Event::Unknown { number, .. } => write!(f, "record of kind {number}, which a later version wrote"),
        }
    }
}

fn review(f: &mut fmt::Formatter<'_>, r: &Review) -> fmt::Result {
    if let Some(statement) = r.statement {
        write!(f, "#{statement} ")?;
    }
    if let Some(channel) = r.channel {
        write!(f, "channel {channel} ")?;
    }
    match r.what.as_str() {
        "asked" => write!(f, "waits for somebody of group {} (rule {}, review {})", r.group, r.rule, r.review),
        "agreed" => {
            write!(f, "{} of group {} has agreed (rule {}, review {})", r.by, r.group, r.rule, r.review)?;
            if r.said.0.is_empty() { Ok(()) } else { write!(f, ": {}", r.said) }
        }
        code => write!(f, "does not go on (rule {}, {code}): {}", r.rule, r.said),
    }
}

fn labelled(f: &mut fmt::Formatter<'_>, label: &str, text: &Text) -> fmt::Result {
    if text.0.is_empty() { Ok(()) } else { write!(f, ", {label} {text}") }
}

fn list<'a>(f: &mut fmt::Formatter<'_>, texts: impl Iterator<Item = &'a Text>) -> fmt::Result {
    for (number, text) in texts.enumerate() {
        write!(f, "{} {text}", if number == 0 { "" } else { " |" })?;
    }
    Ok(())
}

fn show_rows(f: &mut fmt::Formatter<'_>, what: &str, rows: &Rows, most: usize) -> fmt::Result {
    write!(f, "#{} {what} {}", rows.statement, counted(u64::from(rows.rows), "row"))?;
    if let Some(cells) = rows.cells() {
        let null = Text::from("null");
        for row in cells.iter().take(most) {
            f.write_str("\n   ")?;
            list(f, row.iter().map(|cell| cell.as_ref().unwrap_or(&null)))?;
        }
        return left_out(f, cells.len(), most);
    }
    let Some(text) = rows.copied() else { return write!(f, ", {} bytes", rows.bytes.0.len()) };
    let text = text.to_string();
    text.lines().take(most).try_for_each(|line| write!(f, "\n    {line}"))?;
    left_out(f, text.lines().count(), most)
}

fn left_out(f: &mut fmt::Formatter<'_>, all: usize, most: usize) -> fmt::Result {
    if all > most { write!(f, "\n    … {} more", all - most) } else { Ok(()) }
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn sums(f: &mut fmt::Formatter<'_>, shown: &Option<Shown>, sent: &Option<Shown>) -> fmt::Result {
    for (what, sum) in shown.iter().map(|sum| ("shown", sum)).chain(sent.iter().map(|sum| ("sent", sum))) {
        write!(f, ", {} {what} ({} bytes", counted(sum.rows, "row"), sum.bytes)?;
        if sum.digest.is_empty() {
            f.write_str(")")?;
        } else {
            write!(f, ", truncated at {}, BLAKE3 {})", sum.kept, sum.digest)?;
        }
    }
    Ok(())
}

fn milliseconds(microseconds: u64) -> String {
    format!("{}.{:03}", microseconds / 1_000, microseconds % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// DataRow messages with one cell each.
    fn rows(cells: &[Option<&str>]) -> EventView {
        let mut bytes = Vec::new();
        for cell in cells {
            let length = cell.map_or(-1, |cell| i32::try_from(cell.len()).expect("short"));
            let contents =
                [&1u16.to_be_bytes(), &length.to_be_bytes()[..], cell.unwrap_or_default().as_bytes()].concat();
            bytes.push(b'D');
            bytes.extend(u32::try_from(contents.len() + 4).expect("short").to_be_bytes());
            bytes.extend(contents);
        }
        let rows = Rows {
            statement: 1,
            rows: u32::try_from(cells.len()).expect("few"),
            format: RowFormat::Messages,
            bytes: Text(bytes.into()),
        };
        EventView { record: 3, offset: 8, time: 0, event: Event::Rows(rows) }
    }

    #[test]
    fn a_review_is_told_with_who_and_what_about() {
        let told = |what: &str, by: &str, said: &str| {
            let review = Review {
                review: "rev_1".to_owned(),
                statement: Some(2),
                rule: "no-drop".into(),
                group: "dba".into(),
                what: what.to_owned(),
                by: by.into(),
                said: said.into(),
                ..Review::default()
            };
            let view = EventView { record: 3, offset: 8, time: 0, event: Event::Review(review) };
            view.to_string().split_once("Z  ").expect("a time").1.to_owned()
        };
        assert_eq!(told("asked", "", ""), "#2 waits for somebody of group dba (rule no-drop, review rev_1)");
        assert_eq!(told("agreed", "lena", "go"), "#2 lena of group dba has agreed (rule no-drop, review rev_1): go");
        assert_eq!(told("review_denied", "", "no"), "#2 does not go on (rule no-drop, review_denied): no");
    }

    #[test]
    fn brief_is_the_first_rows_and_how_many_more() {
        let view = rows(&[Some("Ada"), None, Some("Grace")]);
        let time = "1970-01-01T00:00:00.000000Z";
        assert_eq!(view.to_string(), format!("{time}  #1 shown 3 rows\n    Ada\n    null\n    Grace"));
        assert_eq!(view.brief(1).to_string(), format!("{time}  #1 shown 3 rows\n    Ada\n    … 2 more"));
        assert_eq!(rows(&[None]).brief(1).to_string(), format!("{time}  #1 shown 1 row\n    null"));
    }

    #[test]
    fn no_text_passes_for_an_event() {
        let time = "1970-01-01T00:00:00.000000Z";
        let forged = format!("a\n{time}  end: completed\n");
        let shown = format!("{time}  #1 shown 1 row\n    a\n    {time}  end: completed\n    ");
        assert_eq!(rows(&[Some(&forged)]).to_string(), shown);
        let event =
            Event::Notice(super::super::event::Notice { message: Text::from(&forged[..]), ..Default::default() });
        let notice = EventView { record: 3, offset: 8, time: 0, event }.to_string();
        assert!(notice.lines().skip(1).all(|line| line.starts_with(BELOW)), "{notice}");
    }
}
