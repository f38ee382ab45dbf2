//! Percent-encoding ([RFC 3986 §2.1](https://www.rfc-editor.org/rfc/rfc3986#section-2.1)).

/// What an encoded text stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decoded {
    pub(super) bytes: Vec<u8>,
    /// Whether anything stood for something else.
    pub(super) changed: bool,
    /// Whether a `%` stood alone, where it may be read in any way.
    pub(super) broken: bool,
}

/// Decodes a text once. A `+` is a space in queries and forms alone.
pub(super) fn decode(text: &[u8], plus_is_space: bool) -> Decoded {
    let mut decoded = Decoded { bytes: Vec::with_capacity(text.len()), changed: false, broken: false };
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.bytes.push(digit(*high) << 4 | digit(*low));
                decoded.changed = true;
                rest = after;
            }
            (b'%', _) => {
                decoded.bytes.push(byte);
                decoded.broken = true;
            }
            (b'+', _) if plus_is_space => {
                decoded.bytes.push(b' ');
                decoded.changed = true;
            }
            _ => decoded.bytes.push(byte),
        }
    }
    decoded
}

const fn digit(hex: u8) -> u8 {
    match hex {
        b'0'..=b'9' => hex - b'0',
        b'a'..=b'f' => hex - b'a' + 10,
        b'A'..=b'F' => hex - b'A' + 10,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_escape_is_read_once() {
        for (text, bytes, changed, broken) in [
            ("abc", "abc", false, false),
            ("a%2Fb%2f", "a/b/", true, false),
            ("%252f", "%2f", true, false),
            ("100%", "100%", false, true),
            ("%zz%4", "%zz%4", false, true),
            ("a+b", "a b", true, false),
        ] {
            let decoded = decode(text.as_bytes(), true);
            assert_eq!(
                (decoded.bytes.as_slice(), decoded.changed, decoded.broken),
                (bytes.as_bytes(), changed, broken)
            );
        }
        assert_eq!(decode(b"a+b", false).bytes, b"a+b");
    }
}
