//! Messages of gRPC: fields as their descriptors say, and what no descriptor tells by what it looks like. Messages are written anew
//! only around what is masked; all else passes byte for byte, unknown fields included.

use hoop_core::Label;
use hoop_proto::http::protobuf::{Field, Fields as Wire, NotAMessage, Value, put_bytes, put_varint};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use super::super::action::Action;
use super::super::detect::{Builtin, is_card_number};
use super::rules::{FieldMask, knows};
use super::search::{Search, Unreadable};

/// How deep messages may lie in each other.
const MAX_DEPTH: usize = 64;

const TOO_DEEP: Unreadable = Unreadable("it has messages that are nested too deep");

/// The method's type of responses, where it is known: from the role's own descriptors, or as the target has told it. What it tells
/// counts only where it has every field that a rule names: one that was renamed would be shown.
pub(super) fn response_type(
    service: &str,
    method: &str,
    reflected: Option<&DescriptorPool>,
    search: Search<'_>,
) -> Option<MessageDescriptor> {
    let in_pool = |pool: &DescriptorPool| pool.get_service_by_name(service);
    let told = || in_pool(reflected.filter(|pool| search.fields.grpc.keys().all(|name| knows(pool, name)))?);
    let service = search.fields.pool.as_ref().and_then(in_pool).or_else(told)?;
    service.methods().find(|known| known.name() == method).map(|method| method.output())
}

/// Whether a head says that messages follow, as servers that are lenient read it; also as gRPC-Web writes them.
pub(super) fn is_type(fields: &HeaderMap) -> bool {
    const TYPE: &str = "application/grpc";
    fields.get_all(CONTENT_TYPE).iter().any(|kind| {
        let kind = String::from_utf8_lossy(kind.as_bytes()).to_ascii_lowercase();
        let Some(rest) = kind.strip_prefix(TYPE) else { return false };
        let rest = rest.strip_prefix("-web").map_or(rest, |rest| rest.strip_prefix("-text").unwrap_or(rest));
        rest.is_empty() || rest.starts_with(['+', ';', ' ', '\t', ','])
    })
}

/// How messages are written, as far as a head says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Format {
    #[default]
    Protobuf,
    Json,
    /// Something else, which nobody here reads.
    Other,
}

impl Format {
    /// By the suffix of the type, `application/grpc+json`.
    pub(super) fn of(fields: &HeaderMap) -> Self {
        let kind = fields.get(CONTENT_TYPE).map(|kind| String::from_utf8_lossy(kind.as_bytes()).to_ascii_lowercase());
        let essence = kind.as_deref().and_then(|kind| kind.split([';', ' ', '\t', ',']).next());
        match essence.and_then(|essence| essence.split_once('+')) {
            None | Some((_, "proto")) => Self::Protobuf,
            Some((_, "json")) => Self::Json,
            Some(_) => Self::Other,
        }
    }
}

/// Masks a message; nothing where it stays as it is.
pub(super) fn message(
    bytes: &[u8],
    of: Option<&MessageDescriptor>,
    search: Search<'_>,
) -> Result<Option<Vec<u8>>, Unreadable> {
    if of.is_none() && !search.fields.grpc.is_empty() {
        return Err(Unreadable("it is a message of a type that is not known, and the role has rules for fields"));
    }
    let mut masked = Masked::default();
    match masked.message(bytes, of, search, 0) {
        Ok(()) => Ok(masked.changed.then_some(masked.out)),
        Err(Broken::NotAMessage) if of.is_none() && search.fields.grpc.is_empty() => Ok(search.text(bytes)),
        Err(Broken::NotAMessage) => Err(Unreadable("it is not a message of its type")),
        Err(Broken::Unreadable(unreadable)) => Err(unreadable),
    }
}

/// Masks what looks like a message, or like a text.
pub(super) fn unknown(bytes: &[u8], search: Search<'_>) -> Option<Vec<u8>> {
    let mut masked = Masked::default();
    match masked.message(bytes, None, search, 0) {
        Ok(()) => masked.changed.then_some(masked.out),
        Err(_) => search.text(bytes),
    }
}

enum Broken {
    NotAMessage,
    Unreadable(Unreadable),
}

impl From<NotAMessage> for Broken {
    fn from(NotAMessage: NotAMessage) -> Self {
        Self::NotAMessage
    }
}

/// A message as it is written anew.
#[derive(Debug, Default)]
struct Masked {
    out: Vec<u8>,
    changed: bool,
    /// How many values were found in it.
    found: usize,
}

impl Masked {
    fn message(
        &mut self,
        bytes: &[u8],
        of: Option<&MessageDescriptor>,
        search: Search<'_>,
        depth: usize,
    ) -> Result<(), Broken> {
        if depth > MAX_DEPTH {
            return Err(Broken::Unreadable(TOO_DEEP));
        }
        let packed =
            of.filter(|of| of.full_name() == "google.protobuf.Any").and_then(|of| any(bytes, of.parent_pool()));
        for field in Wire::new(bytes) {
            let field = field?;
            let known = of.and_then(|of| of.get_field(field.number));
            let extension = of.filter(|_| known.is_none()).and_then(|of| of.get_extension(field.number));
            let rule = |name: &str| search.fields.grpc.get(name);
            match (&known, &extension) {
                (Some(known), _) => match rule(known.full_name()) {
                    Some(mask) => self.whole(&field, Some(known), mask, search),
                    None if field.number == 2 && packed.is_some() => {
                        self.nested(&field, packed.as_ref(), search, depth)?
                    }
                    None => self.known(&field, known, search, depth)?,
                },
                (None, Some(extension)) => match rule(extension.full_name()) {
                    Some(mask) => self.whole(&field, None, mask, search),
                    None => self.generic(&field, search, depth)?,
                },
                (None, None) => self.generic(&field, search, depth)?,
            }
        }
        Ok(())
    }

    fn keep(&mut self, field: &Field<'_>) {
        self.out.extend_from_slice(field.raw);
    }

    /// A field of a known type.
    fn known(
        &mut self,
        field: &Field<'_>,
        known: &FieldDescriptor,
        search: Search<'_>,
        depth: usize,
    ) -> Result<(), Broken> {
        match (known.kind(), field.value) {
            (Kind::Message(of), Value::Bytes(_) | Value::Group { .. }) => self.nested(field, Some(&of), search, depth),
            (Kind::String | Kind::Bytes, Value::Bytes(text)) => {
                self.text(field, text, search);
                Ok(())
            }
            (Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64, _) => {
                self.number(field, search);
                Ok(())
            }
            (_, Value::Varint(_) | Value::Fixed32(_) | Value::Fixed64(_)) => {
                self.keep(field);
                Ok(())
            }
            // Packed numbers, or what is not of the field's type.
            (Kind::String | Kind::Bytes, _) => self.generic(field, search, depth),
            _ => {
                self.keep(field);
                Ok(())
            }
        }
    }

    fn nested(
        &mut self,
        field: &Field<'_>,
        of: Option<&MessageDescriptor>,
        search: Search<'_>,
        depth: usize,
    ) -> Result<(), Broken> {
        let mut inner = Self::default();
        match field.value {
            Value::Bytes(bytes) => inner.message(bytes, of, search, depth + 1)?,
            Value::Group { fields, .. } => inner.message(fields, of, search, depth + 1)?,
            _ => {}
        }
        self.put(field, &inner);
        Ok(())
    }

    fn put(&mut self, field: &Field<'_>, inner: &Self) {
        self.found += inner.found;
        self.changed |= inner.changed;
        match field.value {
            _ if !inner.changed => self.keep(field),
            Value::Group { end, .. } => self.out.extend([field.tag, &inner.out, end].concat()),
            _ => put_bytes(field.tag, &inner.out, &mut self.out),
        }
    }

    fn text(&mut self, field: &Field<'_>, text: &[u8], search: Search<'_>) {
        let masked = std::str::from_utf8(text).ok().and_then(|_| search.text(text));
        match masked {
            Some(masked) => {
                (self.changed, self.found) = (true, self.found + 1);
                put_bytes(field.tag, &masked, &mut self.out);
            }
            None => self.keep(field),
        }
    }

    /// A number that is a card's becomes zero.
    fn number(&mut self, field: &Field<'_>, search: Search<'_>) {
        let number = match field.value {
            Value::Varint(number) => number,
            Value::Fixed64(bytes) => u64::from_le_bytes(bytes),
            _ => 0,
        };
        let digits = number.to_string();
        let is_card = (14..=16).contains(&digits.len()) && is_card_number(digits.as_bytes());
        if !is_card || !search.masker.detectors.has(Builtin::Card) {
            return self.keep(field);
        }
        search.masker.counts.add(&Label::of(Builtin::Card.as_str()));
        (self.changed, self.found) = (true, self.found + 1);
        self.zero(field);
    }

    fn zero(&mut self, field: &Field<'_>) {
        self.out.extend_from_slice(field.tag);
        match field.value {
            Value::Varint(_) => self.out.push(0),
            Value::Fixed64(_) => self.out.extend([0; 8]),
            Value::Fixed32(_) => self.out.extend([0; 4]),
            Value::Bytes(_) => put_varint(0, &mut self.out),
            Value::Group { end, .. } => self.out.extend_from_slice(end),
        }
    }

    /// A field that a rule masks.
    fn whole(&mut self, field: &Field<'_>, known: Option<&FieldDescriptor>, mask: &FieldMask, search: Search<'_>) {
        self.changed = true;
        let is_text = known.is_none_or(|known| matches!(known.kind(), Kind::String | Kind::Bytes));
        match field.value {
            _ if mask.action == Action::Null => search.masker.counts.add(&mask.label),
            Value::Bytes(text) if is_text => {
                let shown = search.whole(text, mask).unwrap_or_default();
                put_bytes(field.tag, &shown, &mut self.out);
            }
            // Messages, maps and packed numbers.
            Value::Bytes(_) | Value::Group { .. } => search.masker.counts.add(&mask.label),
            _ => {
                search.masker.counts.add(&mask.label);
                self.zero(field);
            }
        }
    }

    /// A field of which nothing is known: bytes are a message where they can be one, and otherwise a text.
    fn generic(&mut self, field: &Field<'_>, search: Search<'_>, depth: usize) -> Result<(), Broken> {
        match field.value {
            Value::Varint(_) | Value::Fixed64(_) => self.number(field, search),
            Value::Fixed32(_) => self.keep(field),
            Value::Group { .. } => self.nested(field, None, search, depth)?,
            Value::Bytes(bytes) => {
                let mut inner = Self::default();
                match inner.message(bytes, None, search, depth + 1) {
                    Ok(()) if !bytes.is_empty() => {
                        self.check_text(bytes, inner.found, search)?;
                        self.put(field, &inner);
                    }
                    Err(Broken::Unreadable(unreadable)) => return Err(Broken::Unreadable(unreadable)),
                    _ => self.text(field, bytes, search),
                }
            }
        }
        Ok(())
    }

    /// What can be read as a message may be a text by chance. Where more is found in it as a text, nobody knows what it is.
    fn check_text(&self, bytes: &[u8], found: usize, search: Search<'_>) -> Result<(), Broken> {
        let is_text = std::str::from_utf8(bytes)
            .is_ok_and(|text| !text.chars().any(|char| char.is_control() && !char.is_whitespace()));
        let mut hits = Vec::new();
        if is_text {
            search.find(bytes, &mut hits);
        }
        match hits.len() > found {
            true => Err(Broken::Unreadable(Unreadable("it has a field that is either a message or a text"))),
            false => Ok(()),
        }
    }
}

/// The type of what is packed in an `Any`, where it is known.
fn any(bytes: &[u8], pool: &DescriptorPool) -> Option<MessageDescriptor> {
    let url = Wire::new(bytes).flatten().find_map(|field| match field.value {
        Value::Bytes(url) if field.number == 1 => std::str::from_utf8(url).ok(),
        _ => None,
    })?;
    pool.get_message_by_name(url.rsplit('/').next()?)
}
