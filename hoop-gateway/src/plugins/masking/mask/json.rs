//! JSON stays JSON: what is masked is the inside of a string, or becomes one.

use super::{Masked, Masker};

impl Masker {
    /// Masks what is found in strings, as they read without their escapes, and between them.
    pub(super) fn json(&self, value: &[u8]) -> Masked {
        let mut out = Vec::with_capacity(value.len());
        let mut rest = value;
        let mut same = true;
        while !rest.is_empty() {
            let (token, tail) = rest.split_at(token_len(rest));
            rest = tail;
            let masked = if token.starts_with(b"\"") { self.string(token) } else { self.bare(token) };
            match masked {
                Masked::Same => out.extend_from_slice(token),
                Masked::As(None) => return Masked::As(None),
                Masked::As(Some(shown)) => {
                    same = false;
                    out.extend_from_slice(&shown);
                }
            }
        }
        if same { Masked::Same } else { Masked::As(Some(out.into())) }
    }

    fn string(&self, token: &[u8]) -> Masked {
        let inside = token.strip_prefix(b"\"").unwrap_or(token);
        let inside = inside.strip_suffix(b"\"").unwrap_or(inside);
        if !inside.contains(&b'\\') {
            return match self.text(inside) {
                Masked::As(Some(shown)) => Masked::As(Some([b"\"", &shown[..], b"\""].concat().into())),
                other => other,
            };
        }
        let read = serde_json::from_slice::<String>(token);
        match self.text(read.as_ref().map_or(inside, |text| text.as_bytes())) {
            Masked::As(Some(shown)) => {
                let text = String::from_utf8_lossy(&shown);
                Masked::As(Some(serde_json::Value::from(text).to_string().into()))
            }
            other => other,
        }
    }

    fn bare(&self, token: &[u8]) -> Masked {
        let text = token.trim_ascii();
        let Some(at) = token.windows(text.len().max(1)).position(|window| window == text) else {
            return Masked::Same;
        };
        match self.text(text) {
            Masked::As(Some(shown)) => {
                let quoted = [
                    token.get(..at).unwrap_or_default(),
                    b"\"",
                    &shown,
                    b"\"",
                    token.get(at + text.len()..).unwrap_or_default(),
                ];
                Masked::As(Some(quoted.concat().into()))
            }
            other => other,
        }
    }
}

/// The length of the first token: a string, a punctuation mark, or what stands between them.
fn token_len(rest: &[u8]) -> usize {
    let is_mark = |byte: &u8| matches!(byte, b'{' | b'}' | b'[' | b']' | b':' | b',');
    match rest.first() {
        Some(b'"') => {
            let mut escaped = false;
            let end = rest.iter().skip(1).position(|byte| {
                let ends = *byte == b'"' && !escaped;
                escaped = *byte == b'\\' && !escaped;
                ends
            });
            end.map_or(rest.len(), |end| end + 2)
        }
        Some(byte) if is_mark(byte) => 1,
        _ => rest.iter().position(|byte| is_mark(byte) || *byte == b'"').unwrap_or(rest.len()),
    }
}
