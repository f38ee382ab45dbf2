//! HTML and XML: text as it is shown, over the borders of elements that stand in a line, attributes, comments and scripts.

use hoop_proto::http::markup::{Comment, Dialect, Lexer, Token};
use hoop_proto::http::reading::Coding;

use super::flow::Flow;
use super::rules::FieldMask;
use super::search::{Search, Unreadable};
use super::text::{End, Text};

/// Elements whose text is shown in a line with what is around.
const INLINE: [&str; 39] = [
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i", "img",
    "ins", "kbd", "label", "mark", "nobr", "q", "ruby", "s", "samp", "small", "span", "strike", "strong", "sub", "sup",
    "time", "tspan", "tt", "u", "var", "wbr", "svg", "slot",
];

/// How much of a tag is remembered to tell an attribute's name, in bytes.
const MAX_ATTRIBUTE: usize = 256;

#[derive(Debug)]
pub(super) struct Markup {
    dialect: Dialect,
    lexer: Lexer,
    held: Vec<u8>,
    /// The text, with the tags that do not end it.
    text: Flow,
    /// What stands in a tag or a comment.
    side: Flow,
    script: Text,
    /// The last of what was read of a tag.
    tag: Vec<u8>,
    quoted: bool,
    elements: Elements,
}

/// The elements that are open, in XML, where rules name some.
#[derive(Debug, Default)]
struct Elements {
    depth: usize,
    /// The depth of the one that a rule masks.
    masked: Option<(usize, FieldMask)>,
    closing: bool,
}

impl Markup {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            lexer: Lexer::new(dialect),
            held: Vec::new(),
            text: Flow::default(),
            side: Flow::default(),
            script: Text::new(Coding::Escapes),
            tag: Vec::new(),
            quoted: false,
            elements: Elements::default(),
        }
    }

    pub(super) fn is_held(&self) -> bool {
        !self.text.is_empty() || self.script.is_held()
    }

    pub(super) fn let_go(&mut self, search: Search<'_>, out: &mut Vec<u8>) {
        if self.text.is_empty() {
            self.script.let_go(search, out);
        }
        if self.side.is_empty() {
            self.text.let_go(search, out);
        }
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
        while let Some((token, len)) = self.lexer.next(held.get(at..).unwrap_or_default(), end == End::Whole) {
            self.token(token, held.get(at..at + len).unwrap_or_default(), search, out)?;
            at += len;
        }
        held.drain(..at);
        self.held = held;
        if end == End::Whole {
            self.script.push(b"", end, search, out)?;
            self.end_side(search, out)?;
            self.text.finish(search, out)?;
        }
        Ok(())
    }

    fn token(&mut self, token: Token, bytes: &[u8], search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        match token {
            Token::Text => self.text.push(bytes, Coding::References, search, out),
            Token::Cdata => self.text.push(bytes, Coding::Plain, search, out),
            Token::Open { closing } => self.open(bytes, closing, search, out),
            Token::Inside => {
                self.tag.extend_from_slice(bytes);
                let excess = self.tag.len().saturating_sub(MAX_ATTRIBUTE);
                self.tag.drain(..excess);
                self.aside(bytes, search, out)
            }
            Token::Value => self.aside(bytes, search, out),
            Token::Quote => self.quote(bytes, search, out),
            Token::Close { empty } => {
                self.end_side(search, out)?;
                self.text.other(bytes, search, out)?;
                self.close(empty, search);
                Ok(())
            }
            Token::Comment(comment) => {
                if comment == Comment::Declaration && self.dialect == Dialect::Xml && bytes.contains(&b'[') {
                    return Err(Unreadable("it is XML with definitions of its own"));
                }
                self.aside(bytes, search, out)
            }
            Token::Script => {
                self.text.finish(search, out)?;
                self.script.push(bytes, End::Open, search, out)
            }
            Token::Mark => {
                self.end_side(search, out)?;
                self.text.other(bytes, search, out)
            }
        }
    }

    fn open(&mut self, bytes: &[u8], closing: bool, search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        self.script.push(b"", End::Whole, search, out)?;
        let name = bytes.get(1 + usize::from(closing)..).unwrap_or_default();
        if !self.is_inline(name) || self.elements.masked.is_some() {
            self.text.finish(search, out)?;
        }
        self.tag.clear();
        self.text.other(bytes, search, out)?;
        if self.dialect == Dialect::Xml && !search.fields.elements.is_empty() {
            self.enter(name, closing, search, out)?;
        }
        Ok(())
    }

    /// Also what browsers do not know stands in a line.
    fn is_inline(&self, name: &[u8]) -> bool {
        let is_custom = self.dialect == Dialect::Html && name.iter().any(|byte| matches!(byte, b'-' | b':'));
        is_custom || INLINE.iter().any(|inline| inline.as_bytes().eq_ignore_ascii_case(name))
    }

    fn enter(&mut self, name: &[u8], closing: bool, search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let elements = &mut self.elements;
        elements.closing = closing;
        if closing {
            if elements.masked.as_ref().is_some_and(|(depth, _)| *depth == elements.depth) {
                elements.masked = None;
            }
            elements.depth = elements.depth.saturating_sub(1);
            return Ok(());
        }
        elements.depth += 1;
        if elements.masked.is_none()
            && let Some(mask) = rule(name, "", search)
        {
            elements.masked = Some((elements.depth, mask.clone()));
            // What was before, in the line, is not a part of it.
            self.text.finish(search, out)?;
        }
        Ok(())
    }

    fn close(&mut self, empty: bool, search: Search<'_>) {
        if self.dialect != Dialect::Xml || search.fields.elements.is_empty() {
            return;
        }
        let elements = &mut self.elements;
        if empty && !elements.closing {
            elements.masked.take_if(|(depth, _)| *depth == elements.depth);
            elements.depth = elements.depth.saturating_sub(1);
        }
        self.text.mask(elements.masked.as_ref().map(|(_, mask)| mask.clone()));
    }

    fn quote(&mut self, bytes: &[u8], search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        self.end_side(search, out)?;
        self.text.other(bytes, search, out)?;
        self.quoted = !self.quoted;
        if self.quoted && self.dialect == Dialect::Xml && !search.fields.elements.is_empty() {
            let name = self.tag.trim_ascii_end();
            let name = name.strip_suffix(b"=").unwrap_or(name).trim_ascii_end();
            let start = name.iter().rposition(u8::is_ascii_whitespace).map_or(0, |space| space + 1);
            self.side.mask(rule(name.get(start..).unwrap_or_default(), "@", search).cloned());
        }
        Ok(())
    }

    /// What stands beside the text.
    fn aside(&mut self, bytes: &[u8], search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let mut shown = Vec::new();
        self.side.push(bytes, Coding::References, search, &mut shown)?;
        self.text.other(&shown, search, out)
    }

    fn end_side(&mut self, search: Search<'_>, out: &mut Vec<u8>) -> Result<(), Unreadable> {
        let mut shown = Vec::new();
        self.side.finish(search, &mut shown)?;
        self.text.other(&shown, search, out)
    }
}

/// The rule for an element or an attribute of this name, whatever its prefix.
fn rule<'a>(name: &[u8], kind: &str, search: Search<'a>) -> Option<&'a FieldMask> {
    let local = name.rsplit(|byte| *byte == b':').next().unwrap_or(name);
    let name = format!("{kind}{}", String::from_utf8_lossy(local).to_lowercase());
    search.fields.elements.iter().find(|(of, _)| *of == name).map(|(_, mask)| mask)
}
