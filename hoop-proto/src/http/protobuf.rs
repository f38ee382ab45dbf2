//! The fields of a protobuf message ([Encoding](https://protobuf.dev/programming-guides/encoding/)), without knowing of which type
//! it is.

/// How deep groups may lie in each other.
const MAX_GROUPS: usize = 32;

/// A field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its number.
    pub number: u32,
    /// Its value.
    pub value: Value<'a>,
    /// The field as it is written.
    pub raw: &'a [u8],
    /// The tag as it is written.
    pub tag: &'a [u8],
}

/// A value, by how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number of any size.
    Varint(u64),
    /// Eight bytes.
    Fixed64([u8; 8]),
    /// Four bytes.
    Fixed32([u8; 4]),
    /// Bytes, a text, a message, or packed numbers.
    Bytes(&'a [u8]),
    /// A group: the fields between its two tags.
    Group {
        /// The fields.
        fields: &'a [u8],
        /// The second tag.
        end: &'a [u8],
    },
}

/// Bytes that are no fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("bytes that are no protobuf message")]
pub struct NotAMessage;

/// The fields of a message, in their order.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    /// The fields in these bytes.
    pub const fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, NotAMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = field(self.rest, 0);
        self.rest = field.and_then(|field| self.rest.get(field.raw.len()..)).unwrap_or_default();
        Some(field.ok_or(NotAMessage))
    }
}

fn field(bytes: &[u8], depth: usize) -> Option<Field<'_>> {
    let (key, tag) = varint(bytes)?;
    let number = u32::try_from(key >> 3).ok().filter(|number| (1..1 << 29).contains(number))?;
    let rest = bytes.get(tag..)?;
    let (value, len) = match key & 7 {
        0 => varint(rest).map(|(value, len)| (Value::Varint(value), len))?,
        1 => (Value::Fixed64(*rest.first_chunk()?), 8),
        2 => {
            let (len, head) = varint(rest)?;
            let len = usize::try_from(len).ok()?;
            (Value::Bytes(rest.get(head..head.checked_add(len)?)?), head + len)
        }
        3 => group(rest, number, depth)?,
        5 => (Value::Fixed32(*rest.first_chunk()?), 4),
        _ => return None,
    };
    Some(Field { number, value, raw: bytes.get(..tag + len)?, tag: bytes.get(..tag)? })
}

fn group(bytes: &[u8], number: u32, depth: usize) -> Option<(Value<'_>, usize)> {
    if depth >= MAX_GROUPS {
        return None;
    }
    let mut at = 0;
    loop {
        let rest = bytes.get(at..)?;
        let (key, tag) = varint(rest)?;
        if key & 7 == 4 {
            let end = rest.get(..tag)?;
            return (key >> 3 == u64::from(number))
                .then_some((Value::Group { fields: bytes.get(..at)?, end }, at + tag));
        }
        at += field(rest, depth + 1)?.raw.len();
    }
}

/// A number of any size, and how many bytes it takes.
pub fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0_u64;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if at == 9 && bits > 1 {
            return None;
        }
        number |= bits << (7 * at);
        if byte & 0x80 == 0 {
            return Some((number, at + 1));
        }
    }
    None
}

/// Writes a number of any size.
pub fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Writes a field of bytes, with the tag as it was written.
pub fn put_bytes(tag: &[u8], bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(tag);
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}
