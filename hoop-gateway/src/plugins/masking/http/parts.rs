//! Multipart bodies: each part as its own type says.

use hoop_proto::http::multipart::{NotParts, Splitter, Token};
use hoop_proto::http::reading::Coding;

use super::super::action::Action;
use super::body::Body;
use super::flow::WINDOW;
use super::form;
use super::rules::FieldMask;
use super::search::{Search, Unreadable};
use super::text::{End, Text};

#[derive(Debug)]
pub(super) struct Parts {
    splitter: Splitter,
    held: Vec<u8>,
    part: Part,
    depth: usize,
}

#[derive(Debug)]
enum Part {
    /// Before the first, or after the last.
    Around(Text),
    Body(Box<Body>),
    /// What a rule masks whole.
    Masked(Vec<u8>, FieldMask),
}

impl Parts {
    pub(super) fn new(boundary: &str, depth: usize) -> Self {
        let part = Part::Around(Text::new(Coding::Plain));
        Self { splitter: Splitter::new(boundary), held: Vec::new(), part, depth }
    }

    pub(super) fn push(
        &mut self,
        bytes: &[u8],
        end: End,
        search: Search<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Unreadable> {
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            let rest = held.get(at..).unwrap_or_default();
            let next = self.splitter.next(rest, end == End::Whole);
            let Some((token, len)) = next.map_err(|NotParts| Unreadable("it has parts with too many fields"))? else {
                break;
            };
            self.token(token, rest.get(..len).unwrap_or_default(), search, out)?;
            at += len;
        }
        held.drain(..at);
        self.held = held;
        if end == End::Whole { self.end_part(search, out) } else { Ok(()) }
    }

    fn token(&mut self, token: Token, bytes: &[u8], search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        match (token, &mut self.part) {
            (Token::Boundary, _) => {
                self.end_part(search, out)?;
                out.extend_from_slice(bytes);
                self.part = Part::Around(Text::new(Coding::Plain));
                Ok(())
            }
            (Token::Fields, _) => self.fields(bytes, search, out),
            (_, Part::Around(text)) => text.push(bytes, End::Open, search, out),
            (_, Part::Body(body)) => body.push(bytes, End::Open, search, out),
            (_, Part::Masked(value, mask)) => {
                if value.len() + bytes.len() <= WINDOW {
                    value.extend_from_slice(bytes);
                } else {
                    mask.action = Action::Label;
                }
                Ok(())
            }
        }
    }

    fn end_part(&mut self, search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        match &mut self.part {
            Part::Around(text) => text.push(b"", End::Whole, search, out),
            Part::Body(body) => body.push(b"", End::Whole, search, out),
            Part::Masked(value, mask) => {
                out.extend(search.whole(value, mask).unwrap_or_default());
                Ok(())
            }
        }
    }

    fn fields(&mut self, bytes: &[u8], search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let (mut kind, mut rule) = (None, None);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = String::from_utf8_lossy(line);
            let (name, value) = text.split_once(':').unwrap_or((&text, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "content-type" => kind = Some(value.trim().to_owned()),
                "content-disposition" => {
                    rule = parameter(value, "name").and_then(|name| form::rule(name.as_bytes(), search))
                }
                "content-encoding" => return Err(Unreadable("it has parts that are encoded")),
                "content-transfer-encoding"
                    if !["7bit", "8bit", "binary"].iter().any(|known| value.trim().eq_ignore_ascii_case(known)) =>
                {
                    return Err(Unreadable("it has parts that are encoded"));
                }
                _ => {}
            }
            match search.text(line) {
                Some(masked) => out.extend(masked),
                None => out.extend_from_slice(line),
            }
        }
        self.part = match rule {
            Some(mask) => Part::Masked(Vec::new(), mask.clone()),
            // RFC 7578 §4.4: without a type it is text.
            None => {
                Part::Body(Box::new(Body::new(Some(kind.as_deref().unwrap_or("text/plain")), search, self.depth + 1)))
            }
        };
        Ok(())
    }
}

/// The value of a parameter of a field, such as the boundary in a type.
pub(super) fn parameter(value: &str, name: &str) -> Option<String> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let (key, tail) = rest.split_once('=')?;
        let tail = tail.trim_start();
        let (text, after) = match tail.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => tail.split_at(tail.find(';').unwrap_or(tail.len())),
        };
        if key.trim_matches([' ', ';', '\t']).eq_ignore_ascii_case(name) {
            return Some(text.trim().to_owned());
        }
        rest = after.trim_start_matches([' ', ';']);
    }
}
