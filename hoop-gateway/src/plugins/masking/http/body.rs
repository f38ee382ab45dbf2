//! A body: what it is, by what it is said to be and by what it begins with, and how it is read.

use std::borrow::Cow;

use hoop_proto::http::charset::{Charset, NotOfCharset, Transcoder};
use hoop_proto::http::json::{self, Lines};
use hoop_proto::http::markup::Dialect;
use hoop_proto::http::reading::Coding;
use memchr::{memchr, memmem};

use super::events::Events;
use super::form::Form;
use super::json::Json;
use super::keys::Keys;
use super::markup::Markup;
use super::parts::{Parts, parameter};
use super::search::{Search, Unreadable};
use super::text::{End, Text};

/// How much of a body is looked at to tell what it is, in bytes.
const SNIFFED: usize = 1024;
/// The longest byte order mark, in bytes.
const MARK: usize = 4;
/// How many spaces may come before the first character that tells what a text is.
const MAX_SPACES: usize = 1024;
/// How deep parts may lie in parts.
const MAX_DEPTH: usize = 4;

/// What a body is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    JsonLines,
    Events,
    Html,
    Xml,
    Form,
    Script,
    Text,
    /// Text, because a rule says so.
    Forced,
    Parts,
    /// Values with their types in bytes, which nobody here reads, and which clients may ask for in the place of a text.
    Encoded,
    /// Something else, or nothing.
    Other,
    /// What nobody looks at, because a rule says so.
    Unsearched,
}

/// A body that is being read.
#[derive(Debug)]
pub(super) struct Body {
    kind: Kind,
    /// The charset that it is said to have, in lower case.
    charset: Option<String>,
    boundary: Option<String>,
    depth: usize,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Too little is there to tell.
    Begins(Vec<u8>),
    Reads(Option<Transcoder>, Format),
    /// It is no text.
    Passes,
}

#[derive(Debug)]
enum Format {
    Json(Box<Json>),
    /// It begins as JSON does.
    Guessed(Box<(Keys, Json)>),
    Events(Box<Events>),
    Markup(Box<Markup>),
    Form(Form),
    Text(Text),
    Parts(Box<Parts>),
}

impl Body {
    /// A body of this type, as a field says it.
    pub(super) fn new(content_type: Option<&str>, search: Search<'_>, depth: usize) -> Self {
        let value = content_type.unwrap_or_default();
        let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let kind = match kind(&essence) {
            _ if search.fields.is_unsearched(&essence) && !essence.is_empty() => Kind::Unsearched,
            Kind::Other | Kind::Encoded if search.fields.is_searched(&essence) => Kind::Forced,
            _ if hides_fields(&essence, search) && !search.fields.is_searched(&essence) => Kind::Encoded,
            kind => kind,
        };
        Self {
            kind,
            charset: parameter(value, "charset").map(|charset| charset.to_ascii_lowercase()),
            boundary: parameter(value, "boundary"),
            depth,
            stage: if kind == Kind::Unsearched { Stage::Passes } else { Stage::Begins(Vec::new()) },
        }
    }

    /// Whether nobody looks at it.
    pub(super) fn is_unsearched(&self) -> bool {
        self.kind == Kind::Unsearched
    }

    /// Whether something is kept back that [`let_go`](Self::let_go) could show.
    pub(super) fn is_held(&self) -> bool {
        match &self.stage {
            Stage::Reads(_, Format::Text(text)) => text.is_held(),
            Stage::Reads(_, Format::Markup(markup)) => markup.is_held(),
            _ => false,
        }
    }

    /// Nothing more comes for a while.
    pub(super) fn let_go(&mut self, search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let Stage::Reads(transcoder, format) = &mut self.stage else { return Ok(()) };
        let mut shown = Vec::new();
        match format {
            Format::Text(text) => text.let_go(search, &mut shown),
            Format::Markup(markup) => markup.let_go(search, &mut shown),
            _ => {}
        }
        match transcoder {
            Some(transcoder) => transcoder.write(&shown, out).map_err(not_of_charset),
            None => {
                out.extend(shown);
                Ok(())
            }
        }
    }

    /// Masks a piece.
    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        end: End,
        search: Search<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unreadable> {
        if let Stage::Begins(begun) = &mut self.stage {
            begun.extend_from_slice(bytes);
            let head = self.kind.head(begun, self.charset.is_some());
            if head.is_none() && end == End::Open {
                return Ok(());
            }
            let begun = std::mem::take(begun);
            self.stage = self.tell(begun.get(..head.unwrap_or(begun.len())).unwrap_or_default(), search)?;
            return self.read(&begun, end, search, out);
        }
        self.read(bytes, end, search, out)
    }

    fn read(&mut self, bytes: &[u8], end: End, search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        match &mut self.stage {
            Stage::Begins(_) => Ok(()),
            Stage::Passes => {
                out.extend_from_slice(bytes);
                Ok(())
            }
            Stage::Reads(None, format) => format.push(bytes, end, search, out),
            Stage::Reads(Some(transcoder), format) => {
                let (mut text, mut shown) = (Vec::new(), Vec::new());
                transcoder.read(bytes, end == End::Whole, &mut text).map_err(not_of_charset)?;
                format.push(&text, end, search, &mut shown)?;
                transcoder.write(&shown, out).map_err(not_of_charset)
            }
        }
    }

    /// What it is, by its first bytes.
    fn tell(&self, head: &[u8], search: Search<'_>) -> Result<Stage, Unreadable> {
        if self.kind == Kind::Encoded && !head.is_empty() {
            return Err(Unreadable("it is data in a form that is not read"));
        }
        let charset = self.charset(head)?;
        if self.kind == Kind::Other && is_data(head, charset) {
            return Ok(Stage::Passes);
        }
        Ok(Stage::Reads(charset.map(Transcoder::new), self.format(&text_of(head, charset), search)?))
    }

    fn format(&self, head: &[u8], search: Search<'_>) -> Result<Format, Unreadable> {
        // Where JSON is only guessed, a quote alone does not run on over its line.
        let guessed = || Format::Guessed(Box::new((Keys::default(), Json::new(Lines::Cut, false, search))));
        let markup = |dialect| Format::Markup(Box::new(Markup::new(dialect)));
        let first = head.first().copied().unwrap_or(0);
        let begins_json = matches!(first, b'{' | b'[');
        Ok(match self.kind {
            Kind::Json | Kind::JsonLines if first == b'<' => markup(Dialect::Html),
            Kind::Json => Format::Json(Box::new(Json::new(Lines::Join, true, search))),
            Kind::JsonLines => Format::Json(Box::new(Json::new(Lines::Cut, true, search))),
            Kind::Events => Format::Events(Box::new(Events::new())),
            Kind::Text | Kind::Forced | Kind::Other if begins_json => guessed(),
            Kind::Html | Kind::Xml | Kind::Script if begins_json && looks_json(head) => guessed(),
            Kind::Script if calls_with_json(head) => guessed(),
            Kind::Html => markup(Dialect::Html),
            Kind::Xml => markup(Dialect::Xml),
            Kind::Other if first == b'<' => markup(Dialect::Html),
            Kind::Form => Format::Form(Form::default()),
            Kind::Script => Format::Text(Text::new(Coding::Escapes)),
            Kind::Parts => match &self.boundary {
                Some(boundary) if self.depth < MAX_DEPTH => Format::Parts(Box::new(Parts::new(boundary, self.depth))),
                _ => return Err(Unreadable("it has parts that cannot be told from each other")),
            },
            Kind::Text | Kind::Forced | Kind::Other | Kind::Encoded | Kind::Unsearched => {
                Format::Text(Text::new(Coding::Plain))
            }
        })
    }

    /// The charset to read it in; nothing for UTF-8.
    fn charset(&self, head: &[u8]) -> Result<Option<Charset>, Unreadable> {
        match head {
            [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => return Err(Unreadable("it is in UTF-32")),
            [0xFF, 0xFE, ..] => return Ok(Some(Charset::Utf16Le)),
            [0xFE, 0xFF, ..] => return Ok(Some(Charset::Utf16Be)),
            [0xEF, 0xBB, 0xBF, ..] => return Ok(None),
            _ if self.kind != Kind::Other && is_wider(head) => return Err(Unreadable("it is in UTF-32")),
            _ => {}
        }
        if let Some(charset) = wide(head) {
            return Ok(Some(charset));
        }
        let named = match (&self.charset, self.kind) {
            (Some(charset), _) => Some(charset.clone()),
            (None, Kind::Html | Kind::Xml | Kind::Other) => declared(head),
            _ => None,
        };
        let is_json = matches!(self.kind, Kind::Json | Kind::JsonLines);
        match named.as_deref() {
            // It begins with a character of ASCII. Most programs read JSON as UTF-8, whatever it is said to be in.
            Some(name) if is_json && name.starts_with("utf-16") && !head.iter().take(MARK).any(|byte| *byte == 0) => {
                Err(Unreadable("it is not in the charset that it is said to be in"))
            }
            None | Some("" | "utf-8" | "utf8" | "us-ascii" | "ascii" | "unicode-1-1-utf-8") => Ok(None),
            Some("utf-16be") => Ok(Some(Charset::Utf16Be)),
            // Declared within a text that is read as ASCII, it cannot be true.
            Some("utf-16" | "utf-16le") if self.charset.is_none() => Ok(None),
            Some("utf-16" | "utf-16le" | "utf-16-le") => Ok(Some(Charset::Utf16Le)),
            Some(name) if is_single(name) => Ok(Some(Charset::Single)),
            // What is no text is in no charset.
            Some(_) if self.kind == Kind::Other && self.charset.is_none() => Ok(None),
            Some(_) => Err(Unreadable("it is in a charset that is not read")),
        }
    }
}

impl Kind {
    /// How many of the first bytes tell what a body is; nothing where they are not all there.
    fn head(self, begun: &[u8], has_charset: bool) -> Option<usize> {
        let sniffs =
            matches!(self, Self::Other | Self::Script) || matches!(self, Self::Html | Self::Xml) && !has_charset;
        if sniffs {
            return (begun.len() >= SNIFFED).then_some(SNIFFED);
        }
        let spaces = begun.iter().take(MAX_SPACES).position(|byte| !byte.is_ascii_whitespace());
        let begins_json = spaces.and_then(|at| begun.get(at)).is_some_and(|first| matches!(first, b'{' | b'['));
        let needs = match spaces {
            Some(_) if begins_json && matches!(self, Self::Html | Self::Xml) => SNIFFED,
            spaces => spaces.map_or(MAX_SPACES, |at| (at + 1).max(MARK)),
        };
        (begun.len() >= needs).then_some(needs)
    }
}

impl Format {
    fn push(&mut self, bytes: &[u8], end: End, search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        match self {
            Self::Json(json) => json.push(bytes, end, search, out),
            Self::Guessed(guessed) => {
                let (keys, json) = &mut **guessed;
                json.push(&keys.pass(bytes, end, search), end, search, out)
            }
            Self::Events(events) => events.push(bytes, end, search, out),
            Self::Markup(markup) => markup.push(bytes, end, search, out),
            Self::Form(form) => form.push(bytes, end, search, out),
            Self::Text(text) => text.push(bytes, end, search, out),
            Self::Parts(parts) => parts.push(bytes, end, search, out),
        }
    }
}

fn not_of_charset(_: NotOfCharset) -> Unreadable {
    Unreadable("it is not in the charset that it is said to be in")
}

fn kind(essence: &str) -> Kind {
    match essence {
        "text/event-stream" => Kind::Events,
        // Messages with their lengths between them, which are no JSON.
        "application/connect+json" => Kind::Encoded,
        "application/json" | "text/json" | "application/x-json" | "text/x-json" | "application/jsonrequest" => {
            Kind::Json
        }
        "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/x-jsonl"
        | "application/jsonlines"
        | "application/x-jsonlines"
        | "application/json-seq"
        | "application/stream+json"
        | "application/json-lines"
        | "text/x-ndjson" => Kind::JsonLines,
        "text/html" => Kind::Html,
        "text/xml" | "application/xml" => Kind::Xml,
        "application/x-www-form-urlencoded" => Kind::Form,
        "text/javascript"
        | "application/javascript"
        | "application/x-javascript"
        | "text/ecmascript"
        | "application/ecmascript"
        | "text/jscript" => Kind::Script,
        _ if essence.starts_with("multipart/") => Kind::Parts,
        _ if essence.ends_with("+json") => Kind::Json,
        _ if essence.ends_with("+xml") => Kind::Xml,
        _ if essence.starts_with("text/") => Kind::Text,
        _ if is_encoded(essence) => Kind::Encoded,
        _ => Kind::Other,
    }
}

/// Whether a type is of data whose fields a rule for JSON does not find: many services give the same in it to who asks for it.
fn hides_fields(essence: &str, search: Search<'_>) -> bool {
    /// Pictures, pages and news, which are no data.
    const DOCUMENTS: [&str; 5] = ["svg+xml", "xhtml+xml", "mathml+xml", "rss+xml", "atom+xml"];
    let (_, name) = essence.split_once('/').unwrap_or_default();
    let form = name.rsplit('+').next().unwrap_or(name);
    let form = form.strip_prefix("x-").or_else(|| form.strip_prefix("vnd.")).unwrap_or(form);
    let hides = match form {
        "yaml" | "toml" | "csv" | "tab-separated-values" | "comma-separated-values" => true,
        "xml" => !DOCUMENTS.contains(&name) && search.fields.elements.is_empty(),
        _ => false,
    };
    hides && !search.fields.paths.is_empty()
}

/// Whether a type is of values that are encoded in bytes: many services answer in one of them who asks for it in `Accept`.
fn is_encoded(essence: &str) -> bool {
    const FORMS: [&str; 21] = [
        "cbor",
        "cbor-seq",
        "msgpack",
        "messagepack",
        "smile",
        "bson",
        "ubjson",
        "protobuf",
        "avro",
        "thrift",
        "ion",
        "hessian",
        "proto",
        "flatbuffers",
        "capnp",
        "parquet",
        "arrow",
        "orc",
        "pickle",
        "python-pickle",
        "bincode",
    ];
    let Some(("application", name)) = essence.split_once('/') else { return false };
    if name.starts_with("vnd.apache.arrow.") {
        return true;
    }
    let form = name.rsplit(['+', '.']).next().unwrap_or(name);
    let form = form.strip_prefix("x-").or_else(|| form.strip_prefix("jackson-")).unwrap_or(form);
    FORMS.contains(&form) || matches!(form, "thrift-binary" | "java-serialized-object" | "jackson-smile")
}

/// Charsets of one byte for each character.
fn is_single(name: &str) -> bool {
    ["iso-8859-", "iso8859-", "iso_8859-", "windows-125", "cp125", "latin", "l1", "koi8-"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// UTF-32 without a mark: of four bytes three are zero.
fn is_wider(head: &[u8]) -> bool {
    let units = head.as_chunks::<4>().0;
    let is_text = |unit: &&[u8; 4]| matches!(**unit, [byte, 0, 0, 0] | [0, 0, 0, byte] if is_printed(byte));
    !units.is_empty() && units.iter().filter(is_text).count() * 10 >= units.len() * 9
}

/// UTF-16 without a mark: text in it has a zero in every second byte.
fn wide(head: &[u8]) -> Option<Charset> {
    let units = head.as_chunks::<2>().0;
    let most = |is: fn(&[u8; 2]) -> bool| {
        units.len() >= 2 && units.iter().filter(|unit| is(unit)).count() * 10 >= units.len() * 9
    };
    if most(|[low, high]| *high == 0 && is_printed(*low)) {
        return Some(Charset::Utf16Le);
    }
    most(|[high, low]| *high == 0 && is_printed(*low)).then_some(Charset::Utf16Be)
}

const fn is_printed(byte: u8) -> bool {
    matches!(byte, 0x20..0x7f | b'\t' | b'\r' | b'\n')
}

/// The charset that a document says it is in.
fn declared(head: &[u8]) -> Option<String> {
    let head = head.to_ascii_lowercase();
    let found =
        memmem::find(&head, b"charset=").map(|at| at + 8).or(memmem::find(&head, b"encoding=").map(|at| at + 9))?;
    let name = head.get(found..)?.iter().skip_while(|byte| matches!(byte, b'"' | b'\'' | b' '));
    let name: Vec<u8> =
        name.copied().take_while(|byte| byte.is_ascii_alphanumeric() || b"-_:".contains(byte)).collect();
    String::from_utf8(name).ok()
}

/// Whether bytes are no text, by the rule of browsers ([MIME Sniffing §7.2](https://mimesniff.spec.whatwg.org/)).
fn is_data(head: &[u8], charset: Option<Charset>) -> bool {
    let binary = |byte: &u8| matches!(byte, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f);
    !matches!(charset, Some(Charset::Utf16Be | Charset::Utf16Le))
        && (head.iter().any(binary) || head.starts_with(b"%PDF-"))
}

/// The text that bytes are the beginning of, without the spaces before it; of UTF-16 what of it is ASCII.
fn text_of(head: &[u8], charset: Option<Charset>) -> Cow<'_, [u8]> {
    let head = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    if !matches!(charset, Some(Charset::Utf16Be | Charset::Utf16Le)) {
        return head.trim_ascii_start().into();
    }
    let text: Vec<u8> = head.iter().copied().filter(|byte| !matches!(byte, 0 | 0xFE | 0xFF)).collect();
    text.trim_ascii_start().to_vec().into()
}

/// Whether a script hands JSON to a function that its reader has named (JSONP), with whatever is written before to be careful.
fn calls_with_json(head: &[u8]) -> bool {
    let Some((name, argument)) = memchr(b'(', head).and_then(|at| head.split_at_checked(at)) else { return false };
    let argument = argument.get(1..).unwrap_or_default().trim_ascii_start();
    let is_name =
        |byte: &u8| byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || b"_$.[]/*='\"&;".contains(byte);
    name.iter().all(is_name) && matches!(argument.first(), Some(b'{' | b'[')) && looks_json(argument)
}

/// Whether a text that begins with a bracket goes on as JSON does: nothing but numbers, literals and marks is between its strings.
fn looks_json(head: &[u8]) -> bool {
    let mut strings = Vec::new();
    let open = json::strings(head, SNIFFED, Lines::Join, &mut strings);
    let ends = strings.iter().map(|string| string.start).chain([open.unwrap_or(head.len())]);
    let starts = [0].into_iter().chain(strings.iter().map(|string| string.end));
    starts.zip(ends).all(|(start, end)| {
        let between = head.get(start..end).unwrap_or_default();
        let mut words = between.split(|byte| byte.is_ascii_whitespace() || b"{}[]:,();".contains(byte)).peekable();
        std::iter::from_fn(|| words.next().map(|word| (word, end == head.len() && words.peek().is_none()))).all(
            |(word, cut)| match word {
                [] => true,
                [b'-' | b'0'..=b'9', rest @ ..] => {
                    rest.iter().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(byte))
                }
                _ => [&b"true"[..], b"false", b"null"]
                    .iter()
                    .any(|known| *known == word || cut && known.starts_with(word)),
            },
        )
    })
}
