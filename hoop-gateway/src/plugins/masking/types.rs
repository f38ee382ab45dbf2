//! The types of PostgreSQL, by how a value of them is searched and what may stand in its place
//! ([pg_type.dat](https://www.postgresql.org/docs/current/catalog-pg-type.html)).

use bytes::Bytes;
use hoop_core::Format;

/// How values of a type are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Nothing that a detector finds fits in.
    Fixed,
    /// Its bytes are its text.
    Text,
    /// JSON text; in binary `jsonb` a version byte comes first.
    Json,
    /// Bytes, as text in hex.
    Bytea,
    /// A network address.
    Inet,
    /// A number that could be a card's.
    Number,
    /// Arrays, records and types that are not known: text in text form, in binary form what it turns out to be.
    Other,
}

pub(crate) const JSONB: u32 = 3802;
pub(crate) const INT8: u32 = 20;

pub(crate) const fn shape(type_oid: u32) -> Shape {
    match type_oid {
        16
        | 21
        | 23
        | 24
        | 26..=29
        | 700
        | 701
        | 790
        | 829
        | 774
        | 1082
        | 1083
        | 1114
        | 1184
        | 1186
        | 1266
        | 1560
        | 1562
        | 2950
        | 3220
        | 5069
        | 600..=604
        | 628
        | 718
        | 2278 => Shape::Fixed,
        // Arrays of these, and ranges of numbers and times.
        1000 | 1005 | 1007 | 1021 | 1022 | 1115 | 1182 | 1183 | 1185 | 1187 | 2951 | 3904..=3927 => Shape::Fixed,
        18 | 19 | 25 | 1042 | 1043 | 142 | 705 | 1790 | 2275 => Shape::Text,
        114 | JSONB => Shape::Json,
        17 => Shape::Bytea,
        869 | 650 => Shape::Inet,
        INT8 | 1700 => Shape::Number,
        _ => Shape::Other,
    }
}

const fn is_array(type_oid: u32) -> bool {
    matches!(
        type_oid,
        199 | 1000
            ..=1028
                | 1034
                | 1040
                | 1041
                | 651
                | 1115
                | 1182
                | 1183
                | 1185
                | 1187
                | 1231
                | 1263
                | 2287
                | 2951
                | 3807
                | 143
    )
}

/// A value of the type that says nothing: zero, the first of January 2000, an empty array. `None` where the type has none;
/// NULL is shown then.
pub(crate) fn neutral(type_oid: u32, format: Format) -> Option<Bytes> {
    let (text, len): (&'static str, usize) = match type_oid {
        16 => ("f", 1),
        21 => ("0", 2),
        23 | 26 | 28 | 29 | 700 => ("0", 4),
        INT8 | 701 => ("0", 8),
        1700 => ("0", 8),
        1082 => ("2000-01-01", 4),
        1083 => ("00:00:00", 8),
        1114 => ("2000-01-01 00:00:00", 8),
        1184 => ("2000-01-01 00:00:00+00", 8),
        1186 => ("00:00:00", 16),
        2950 => ("00000000-0000-0000-0000-000000000000", 16),
        17 => ("\\x", 0),
        oid if is_array(oid) => ("{}", usize::MAX),
        _ => return None,
    };
    match (format, len) {
        (Format::Text, _) => Some(Bytes::from_static(text.as_bytes())),
        (Format::Binary, usize::MAX) => None,
        (Format::Binary, len) => Some(Bytes::from(vec![0; len])),
    }
}
