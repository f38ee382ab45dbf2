//! Masking of one value, in whichever form its type has, so that what comes out is still a value of the type.

mod binary;
mod json;

use std::collections::HashMap;
use std::net::IpAddr;

use bytes::Bytes;
use hoop_core::{Format, Hit, Label};

use super::action::{Action, MaskingKey, hex, replacement};
use super::counts::MaskCounts;
use super::detect::{Builtin, Detectors, is_card_number};
use super::types::{INT8, JSONB, Shape, neutral};

/// What becomes of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Masked {
    /// It is shown as it is.
    Same,
    /// This is shown; `None` is NULL.
    As(Option<Bytes>),
}

/// Detectors, actions and key: everything that is needed to mask a value.
#[derive(Debug, Clone)]
pub(crate) struct Masker {
    pub(crate) detectors: Detectors,
    pub(crate) actions: HashMap<Builtin, Action>,
    pub(crate) key: MaskingKey,
    pub(crate) max_value_bytes: usize,
    pub(crate) counts: MaskCounts,
}

impl Masker {
    fn action(&self, label: &Label) -> Action {
        let known = Builtin::ALL.into_iter().find(|builtin| builtin.as_str() == label.as_str());
        known.and_then(|builtin| self.actions.get(&builtin).copied()).unwrap_or(Action::Label)
    }

    /// Masks a value of a type that no rule names.
    pub(crate) fn value(&self, value: &[u8], shape: Shape, type_oid: u32, format: Format) -> Masked {
        if value.len() > self.max_value_bytes {
            return self.too_large(type_oid, shape, format);
        }
        match (shape, format) {
            (Shape::Fixed, _) => Masked::Same,
            (Shape::Json, Format::Binary) if type_oid == JSONB => match value.split_first() {
                Some((version, text)) => prefixed(*version, self.json(text)),
                None => Masked::Same,
            },
            (Shape::Json, _) => self.json(value),
            (Shape::Inet, _) => self.inet(value, format),
            (Shape::Number, _) => self.number(value, type_oid, format),
            (Shape::Bytea, Format::Text) if value.starts_with(b"\\x") => self.hex(value),
            (Shape::Other, Format::Binary) => self.binary(value, 0),
            (Shape::Text | Shape::Bytea | Shape::Other, _) => self.text(value),
        }
    }

    /// Masks what is found in a text.
    pub(crate) fn text(&self, value: &[u8]) -> Masked {
        let mut hits = Vec::new();
        self.detectors.find(value, &mut hits);
        self.hits(value, &hits)
    }

    /// Masks these hits in a text.
    pub(crate) fn hits(&self, value: &[u8], hits: &[Hit]) -> Masked {
        if hits.is_empty() {
            return Masked::Same;
        }
        let mut out = Vec::with_capacity(value.len() + 16);
        let mut kept = 0;
        for hit in hits {
            self.counts.add(&hit.label);
            let found = value.get(hit.start..hit.end).unwrap_or_default();
            let Some(shown) = replacement(self.action(&hit.label), hit.label.as_str(), found, &self.key) else {
                return Masked::As(None);
            };
            out.extend_from_slice(value.get(kept..hit.start).unwrap_or_default());
            out.extend_from_slice(&shown);
            kept = hit.end;
        }
        out.extend_from_slice(value.get(kept..).unwrap_or_default());
        Masked::As(Some(out.into()))
    }

    /// Masks a text that has no NULL, such as an error message.
    pub(crate) fn message(&self, value: &Bytes) -> Bytes {
        match self.text(value) {
            Masked::Same => value.clone(),
            Masked::As(Some(shown)) => shown,
            Masked::As(None) => Bytes::from_static(b"[masked]"),
        }
    }

    /// What stands for a value that was found in a text that has no NULL.
    pub(crate) fn shown_in_text(&self, label: &Label, value: &[u8]) -> Vec<u8> {
        self.counts.add(label);
        replacement(self.action(label), label.as_str(), value, &self.key).unwrap_or_else(|| b"[masked]".to_vec())
    }

    /// Masks a whole value of a column that a rule names.
    pub(crate) fn whole(
        &self,
        value: &[u8],
        action: Action,
        label: &Label,
        shape: Shape,
        type_oid: u32,
        format: Format,
    ) -> Option<Bytes> {
        self.counts.add(label);
        if action == Action::Null {
            return None;
        }
        let plain = !matches!((shape, format), (Shape::Other, Format::Binary))
            || std::str::from_utf8(value).is_ok_and(|text| !text.contains('\0'));
        match shape {
            Shape::Text => self.shown(value, action, label),
            Shape::Other if neutral(type_oid, format).is_none() && plain && type_oid != 2249 => {
                self.shown(value, action, label)
            }
            Shape::Json => {
                let version: &[u8] = if type_oid == JSONB && format == Format::Binary { &[1] } else { &[] };
                Some([version, b"\"", &self.shown(value, action, label)?, b"\""].concat().into())
            }
            Shape::Inet => self.address(value, action, format),
            _ if action == Action::Token && type_oid == 2950 => Some(self.pseudo_uuid(value, format)),
            _ => neutral(type_oid, format),
        }
    }

    fn shown(&self, value: &[u8], action: Action, label: &Label) -> Option<Bytes> {
        let mut hits = Vec::new();
        if value.len() <= self.max_value_bytes {
            self.detectors.find(value, &mut hits);
        }
        // A whole value of a known kind keeps the form of that kind, so that tokens of one value are the same everywhere.
        let kind = match hits.as_slice() {
            [hit] if hit.start == 0 && hit.end == value.len() && action != Action::Label => &hit.label,
            _ => label,
        };
        replacement(action, kind.as_str(), value, &self.key).map(Bytes::from)
    }

    fn too_large(&self, type_oid: u32, shape: Shape, format: Format) -> Masked {
        let label = Label::of("too_large");
        Masked::As(match shape {
            Shape::Fixed => return Masked::Same,
            Shape::Text => self.whole(&[], Action::Label, &label, shape, type_oid, format),
            _ if format == Format::Text => self.whole(&[], Action::Label, &label, shape, type_oid, format),
            _ => self.whole(&[], Action::Null, &label, shape, type_oid, format),
        })
    }

    fn hex(&self, value: &[u8]) -> Masked {
        let nibble = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let digits = value.get(2..).unwrap_or_default();
        let pairs = digits.as_chunks::<2>().0.iter();
        let Some(bytes) =
            pairs.map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect::<Option<Vec<_>>>()
        else {
            return self.text(value);
        };
        match self.text(&bytes) {
            Masked::As(Some(shown)) => Masked::As(Some([&b"\\x"[..], &hex(&shown)].concat().into())),
            other => other,
        }
    }

    fn inet(&self, value: &[u8], format: Format) -> Masked {
        let v6 = is_v6(value, format);
        let kind = if v6 { Builtin::Ipv6 } else { Builtin::Ipv4 };
        if !self.detectors.has(kind) {
            return Masked::Same;
        }
        let label = Label::of(kind.as_str());
        self.counts.add(&label);
        Masked::As(self.address(value, self.action(&label), format))
    }

    fn address(&self, value: &[u8], action: Action, format: Format) -> Option<Bytes> {
        let digest = match action {
            Action::Null => return None,
            Action::Hash | Action::Token => self.key.digest(value),
            Action::Label | Action::Partial => [0; 32],
        };
        let v6 = is_v6(value, format);
        let len = if v6 { 16 } else { 4 };
        let (short, long) = (digest.first_chunk::<4>()?, digest.first_chunk::<16>()?);
        let address = if v6 { IpAddr::from(*long) } else { IpAddr::from(*short) };
        Some(match format {
            Format::Text => address.to_string().into(),
            Format::Binary => {
                let head = [*value.first()?, if v6 { 128 } else { 32 }, value.get(2).copied().unwrap_or(0), len];
                [&head[..], &digest[..usize::from(len)]].concat().into()
            }
        })
    }

    fn number(&self, value: &[u8], type_oid: u32, format: Format) -> Masked {
        if !self.detectors.has(Builtin::Card) {
            return Masked::Same;
        }
        let digits = match format {
            Format::Text => Some(value.to_vec()),
            Format::Binary if type_oid == INT8 => {
                value.try_into().ok().map(|bytes| i64::from_be_bytes(bytes).to_string().into())
            }
            Format::Binary => binary::numeric_digits(value),
        };
        let is_card = digits.is_some_and(|digits| {
            // Longer ones are far more often ids than cards.
            (14..=16).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) && is_card_number(&digits)
        });
        if !is_card {
            return Masked::Same;
        }
        let label = Label::of(Builtin::Card.as_str());
        self.counts.add(&label);
        let null = self.action(&label) == Action::Null;
        Masked::As(neutral(type_oid, format).filter(|_| !null))
    }

    fn pseudo_uuid(&self, value: &[u8], format: Format) -> Bytes {
        let bytes = match format {
            Format::Binary => <[u8; 16]>::try_from(value).ok().map(uuid::Uuid::from_bytes),
            Format::Text => std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()),
        };
        let digest = self.key.digest(bytes.unwrap_or_default().as_bytes());
        let uuid = uuid::Builder::from_custom_bytes(*digest.first_chunk().expect("a digest has 32 bytes")).into_uuid();
        match format {
            Format::Binary => Bytes::copy_from_slice(uuid.as_bytes()),
            Format::Text => uuid.to_string().into(),
        }
    }
}

fn is_v6(value: &[u8], format: Format) -> bool {
    match format {
        Format::Text => value.contains(&b':'),
        Format::Binary => value.first() == Some(&3),
    }
}

fn prefixed(version: u8, masked: Masked) -> Masked {
    match masked {
        Masked::As(Some(text)) => Masked::As(Some([&[version], &text[..]].concat().into())),
        other => other,
    }
}
