//! What somebody is asked to agree to, as whoever decides reads it: all of it, without what audit would not record.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use hoop_core::{Command, CommandKind, Detector, ExchangeKind, Format, HttpRequest, Parameters, Subject};
use http::{HeaderMap, HeaderName};

use super::fields::{Before, Heads};
use super::redact::Redactor;
use crate::record::event::{MAX_FIELD_BYTES, MAX_FIELDS, MAX_URL_BYTES, Text};

/// Most that one review can be about, in bytes: whoever decides reads all of it.
pub(crate) const MOST_SHOWN: usize = 64 << 10;

/// Fields of a request that say nothing of what is asked for, or are others each time that it is sent.
const ROUTINE: [&str; 31] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "baggage",
    "cache-control",
    "content-encoding",
    "content-length",
    "cookie",
    "date",
    "dnt",
    "expect",
    "grpc-accept-encoding",
    "grpc-encoding",
    "grpc-timeout",
    "if-modified-since",
    "if-none-match",
    "origin",
    "pragma",
    "priority",
    "purpose",
    "referer",
    "save-data",
    "te",
    "traceparent",
    "tracestate",
    "upgrade-insecure-requests",
    "user-agent",
    "x-amzn-trace-id",
    "x-correlation-id",
    "x-request-id",
];
/// What browsers add by themselves.
const BROWSERS: &str = "sec-";

/// More than can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Shows what reviews are about.
pub(crate) struct Shower(Redactor);

impl Shower {
    pub(crate) fn new(detectors: Vec<Arc<dyn Detector>>) -> Self {
        Self(Redactor::new(detectors))
    }

    /// The text that whoever decides reads.
    ///
    /// # Errors
    /// [`TooLong`] where it would not be all of it.
    pub(crate) fn show(&self, subject: &Subject) -> Result<String, TooLong> {
        if length(subject) > MOST_SHOWN {
            return Err(TooLong);
        }
        match subject {
            Subject::Statement { text, parameters } => Ok(self.statement(text, parameters.as_ref())),
            Subject::Command(command) => Ok(self.command(command)),
            Subject::Request { head, body } => self.request(head, body),
            _ => Err(TooLong),
        }
    }

    fn statement(&self, text: &Bytes, parameters: Option<&Parameters>) -> String {
        let mut shown = self.text(text);
        for (at, value) in parameters.iter().flat_map(|parameters| parameters.values.iter().enumerate()) {
            let is_binary = parameters.is_some_and(|parameters| parameters.format(at) == Format::Binary);
            let form = if is_binary { " (binary)" } else { "" };
            let _ = match value {
                None => write!(shown, "\n${} is null", at + 1),
                Some(value) => write!(shown, "\n${}{form} = {}", at + 1, self.text(value)),
            };
        }
        shown
    }

    fn command(&self, command: &Command) -> String {
        let what = if command.kind == CommandKind::Subsystem { "subsystem " } else { "" };
        let mut shown = format!("{what}{}", self.text(&command.text));
        for (name, value) in &command.environment {
            let _ = write!(shown, "\nwith {} = {}", Text(name.clone()), self.text(value));
        }
        if command.terminal.is_some() {
            shown.push_str("\non a terminal");
        }
        shown
    }

    fn request(&self, head: &HttpRequest, body: &[Bytes]) -> Result<String, TooLong> {
        let binding = binding(&head.headers);
        let is_cut = head.uri.to_string().len() > MAX_URL_BYTES
            || binding.len() > MAX_FIELDS
            || binding.values().any(|value| value.len() > MAX_FIELD_BYTES);
        if is_cut {
            return Err(TooLong);
        }
        let (mut hits, mut before) = (Vec::new(), Before::default());
        let mut heads = Heads { redactor: &self.0, hits: &mut hits, before: &mut before };
        let mut shown = format!("{} {}", head.method, heads.path(head.uri.path()));
        if let Some(query) = head.uri.query() {
            let _ = write!(shown, "?{}", heads.query(query));
        }
        for field in heads.fields(&binding).0 {
            let _ = match field.hidden {
                true => write!(shown, "\n{}: [hidden]", field.name),
                false => write!(shown, "\n{}: {}", field.name, field.value),
            };
        }
        for (at, part) in body.iter().enumerate().filter(|(_, part)| !part.is_empty()) {
            match head.kind {
                ExchangeKind::Grpc { .. } => _ = write!(shown, "\n\nmessage {}: ", at + 1),
                _ => shown.push_str("\n\n"),
            }
            let _ = write!(shown, "{}", Text(self.0.written(part, &mut Vec::new())));
        }
        Ok(shown)
    }

    fn text(&self, bytes: &Bytes) -> String {
        Text(self.0.text(bytes, &mut Vec::new())).to_string()
    }
}

/// What an approval is good for, and nothing else: a hash over all that is asked for.
pub(crate) fn hash(subject: &Subject) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    let mut add = |bytes: &[u8]| {
        // With its length, so that where one ends and the next begins is part of it.
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    match subject {
        Subject::Statement { text, parameters } => {
            add(b"statement");
            add(text);
            for (at, value) in parameters.iter().flat_map(|parameters| parameters.values.iter().enumerate()) {
                let format = parameters.as_ref().map(|parameters| parameters.format(at));
                add(if value.is_none() { &b"null"[..] } else { b"value" });
                add(if format == Some(Format::Binary) { &b"binary"[..] } else { b"text" });
                add(value.as_deref().unwrap_or_default());
            }
        }
        Subject::Command(command) => {
            add(command.kind.as_str().as_bytes());
            add(&command.text);
            add(if command.terminal.is_some() { &b"terminal"[..] } else { b"" });
            for (name, value) in &command.environment {
                add(name);
                add(value);
            }
        }
        Subject::Request { head, body } => {
            add(b"request");
            add(head.method.as_str().as_bytes());
            add(head.uri.to_string().as_bytes());
            let binding = binding(&head.headers);
            add(&(binding.len() as u64).to_le_bytes());
            for (name, value) in &binding {
                add(name.as_str().as_bytes());
                add(value.as_bytes());
            }
            body.iter().for_each(|part| add(part));
        }
        _ => add(b"unknown"),
    }
    *hasher.finalize().as_bytes()
}

/// The fields that are part of what is asked for, in the order of their names.
fn binding(fields: &HeaderMap) -> HeaderMap {
    let is_routine = |name: &HeaderName| ROUTINE.contains(&name.as_str()) || name.as_str().starts_with(BROWSERS);
    let mut names: Vec<_> = fields.keys().filter(|name| !is_routine(name)).collect();
    names.sort_unstable_by_key(|name| name.as_str());
    let values =
        |name: &HeaderName| fields.get_all(name).iter().map(|value| (name.clone(), value.clone())).collect::<Vec<_>>();
    let mut binding = HeaderMap::new();
    for (name, value) in names.into_iter().flat_map(values) {
        binding.append(name, value);
    }
    binding
}

fn length(subject: &Subject) -> usize {
    match subject {
        Subject::Statement { text, parameters } => {
            let values = parameters.iter().flat_map(|parameters| parameters.values.iter().flatten());
            text.len() + values.map(|value| value.len() + 16).sum::<usize>()
        }
        Subject::Command(command) => {
            let variables = command.environment.iter().map(|(name, value)| name.len() + value.len());
            command.text.len() + variables.sum::<usize>()
        }
        Subject::Request { body, .. } => body.iter().map(|part| part.len() + 16).sum(),
        _ => usize::MAX,
    }
}

#[cfg(test)]
mod tests {
    use hoop_core::ChannelId;
    use http::{HeaderValue, Method};

    use super::*;
    use crate::plugins::masking::detect::Detectors;

    fn shower() -> Shower {
        Shower::new(vec![Arc::new(Detectors::all())])
    }

    fn request(uri: &str, fields: &[(&'static str, &'static str)], body: &'static str) -> Subject {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let head = HttpRequest {
            channel: ChannelId(1),
            method: Method::POST,
            uri: uri.parse().expect("a path"),
            headers: fields.iter().map(field).collect(),
            kind: ExchangeKind::Plain,
            body: Default::default(),
            known: Default::default(),
        };
        Subject::Request { head: Box::new(head), body: vec![Bytes::from_static(body.as_bytes())] }
    }

    #[test]
    fn all_of_a_statement_is_shown_but_for_its_secrets() {
        let parameters = Parameters {
            values: vec![Some(Bytes::from_static(b"42")), None, Some(Bytes::from_static(b"\0\x01"))],
            formats: vec![Format::Text, Format::Text, Format::Binary],
        };
        let text = Bytes::from_static(b"update t set mail = 'ada@example.com'\n where a = $1");
        let shown = shower().show(&Subject::Statement { text, parameters: Some(parameters) }).expect("short enough");
        let lines: Vec<_> = shown.lines().collect();
        assert!(lines[0].starts_with("update t set mail = '[") && !shown.contains("ada@"), "{shown}");
        assert_eq!(lines[1..], [" where a = $1", "$1 = 42", "$2 is null", "$3 (binary) = \\u{0}\\u{1}"]);
    }

    #[test]
    fn what_cannot_be_read_as_a_whole_is_not_shown() {
        let text = Bytes::from(vec![b'x'; MOST_SHOWN + 1]);
        assert_eq!(shower().show(&Subject::Statement { text, parameters: None }), Err(TooLong));
    }

    #[test]
    fn a_request_is_shown_with_the_fields_that_bind_it() {
        let fields =
            [("x-api-key", "k3y"), ("user-agent", "curl"), ("content-type", "text/plain"), ("sec-fetch-site", "none")];
        let shown =
            shower().show(&request("/pay?token=s3cret&n=1", &fields, "to ada@example.com")).expect("short enough");
        for there in
            ["POST /pay?token=[hidden]&n=1", "\ncontent-type: text/plain", "\nx-api-key: [hidden]", "\n\nto ****"]
        {
            assert!(shown.contains(there), "{there} is not in {shown}");
        }
        assert!(!shown.contains("curl") && !shown.contains("s3cret"), "{shown}");
    }

    #[test]
    fn an_approval_is_for_these_bytes_alone() {
        let asked = hash(&request("/pay", &[("content-type", "text/plain"), ("user-agent", "curl")], "1"));
        assert_eq!(asked, hash(&request("/pay", &[("user-agent", "other"), ("content-type", "text/plain")], "1")));
        for other in [
            request("/pay?a", &[("content-type", "text/plain")], "1"),
            request("/pay", &[("content-type", "text/plain")], "2"),
            request("/pay", &[("content-type", "text/html")], "1"),
            request("/pay", &[("content-type", "text/plain"), ("x-http-method-override", "DELETE")], "1"),
            Subject::Statement { text: Bytes::from_static(b"1"), parameters: None },
        ] {
            assert_ne!(asked, hash(&other), "{other:?}");
        }
    }
}
