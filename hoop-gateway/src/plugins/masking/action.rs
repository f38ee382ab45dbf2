//! What is shown in place of a value.

use std::fmt::Write as _;

use hoop_core::Secret;
use serde::{Deserialize, Serialize};

use super::detect::Builtin;

/// How a value is masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// The name of what was there: `[email]`.
    Label,
    /// A part of it: `a***@***.com`, `**** **** **** 1111`, otherwise the last four characters.
    Partial,
    /// A keyed BLAKE3 hash, 32 hex digits.
    Hash,
    /// A keyed pseudonym: the same value has the same one everywhere in the organisation, so that it can be joined by.
    /// Numbers keep their grouping, addresses their form.
    Token,
    /// NULL, for the whole cell.
    Null,
}

impl Action {
    /// What is done with hits of a detector, or with values of a column, when nothing else is said.
    pub(crate) fn default_for(label: &str) -> Self {
        if label == Builtin::Email.as_str() || label == Builtin::Card.as_str() { Self::Partial } else { Self::Label }
    }
}

/// The key behind hashes and tokens, one for each organisation.
#[derive(Clone)]
pub struct MaskingKey(Secret<[u8; 32]>);

impl MaskingKey {
    /// Derives the key of an organisation from a secret of the gateway. Whoever changes either, changes every token.
    pub fn derive(secret: &[u8], organisation: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("hoop masking 2026 tokens and hashes");
        hasher.update(&(secret.len() as u64).to_le_bytes()).update(secret).update(organisation.as_bytes());
        Self(Secret::new(*hasher.finalize().as_bytes()))
    }

    /// 32 bytes that depend on the key and the value, whatever the way it is written.
    pub(crate) fn digest(&self, value: &[u8]) -> [u8; 32] {
        *blake3::keyed_hash(self.0.expose(), &canonical(value)).as_bytes()
    }
}

impl std::fmt::Debug for MaskingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MaskingKey([secret])")
    }
}

/// A value without case, and a number without its separators.
fn canonical(value: &[u8]) -> Vec<u8> {
    if value.iter().all(|byte| byte.is_ascii_digit() || is_separator(*byte)) {
        return value.iter().copied().filter(u8::is_ascii_digit).collect();
    }
    value.to_ascii_lowercase()
}

const fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'-' | b'.' | b'(' | b')' | b'+')
}

/// What is shown for a value of the kind `label`; `None` for NULL. It is ASCII without quotes, braces, brackets of
/// composites, commas or backslashes, so that it can stand inside arrays, JSON and SQL.
pub(crate) fn replacement(action: Action, label: &str, value: &[u8], key: &MaskingKey) -> Option<Vec<u8>> {
    match action {
        Action::Null => None,
        Action::Label => Some(format!("[{label}]").into_bytes()),
        Action::Partial => Some(partial(label, value)),
        Action::Hash => Some(hex(&key.digest(value)[..16])),
        Action::Token => Some(token(label, value, key)),
    }
}

fn partial(label: &str, value: &[u8]) -> Vec<u8> {
    if label == "email"
        && let Some(at) = value.iter().position(|byte| *byte == b'@')
    {
        return partial_email(value, at);
    }
    let digits = || value.iter().copied().filter(u8::is_ascii_digit);
    if label == "card" && digits().count() >= 13 {
        return b"**** **** **** ".iter().copied().chain(digits().skip(digits().count() - 4)).collect();
    }
    let tail = value.len().checked_sub(4).filter(|hidden| *hidden >= 4).and_then(|hidden| value.get(hidden..));
    let tail = tail.filter(|tail| tail.iter().all(u8::is_ascii_alphanumeric)).unwrap_or_default();
    let stars = (value.len() - tail.len()).clamp(4, 12);
    [vec![b'*'; stars].as_slice(), tail].concat()
}

fn partial_email(value: &[u8], at: usize) -> Vec<u8> {
    let first = value.first().filter(|first| at > 1 && first.is_ascii_alphanumeric());
    let top = value.rsplit(|byte| *byte == b'.').next().filter(|top| top.iter().all(u8::is_ascii_alphabetic));
    [first.map_or(&b""[..], std::slice::from_ref), b"***@***.", top.unwrap_or(b"***")].concat()
}

fn token(label: &str, value: &[u8], key: &MaskingKey) -> Vec<u8> {
    let digest = key.digest(value);
    match label {
        "email" => [&b"u-"[..], &hex(&digest[..10]), b"@masked.invalid"].concat(),
        "card" | "ssn" | "phone" => pseudo_digits(value, &digest),
        _ => [&b"tok_"[..], &hex(&digest[..12])].concat(),
    }
}

/// Other digits in the same places. They begin with 9 and 0, so that they are nobody's card, number or telephone.
fn pseudo_digits(value: &[u8], digest: &[u8; 32]) -> Vec<u8> {
    let mut stream = digest.iter().cycle();
    let mut place = 0;
    let kept = value.iter().filter(|byte| byte.is_ascii_digit() || is_separator(**byte));
    kept.map(|byte| {
        if !byte.is_ascii_digit() {
            return *byte;
        }
        place += 1;
        match place {
            1 => b'9',
            2 => b'0',
            _ => b'0' + stream.next().map_or(0, |byte| byte % 10),
        }
    })
    .collect()
}

pub(crate) fn hex(bytes: &[u8]) -> Vec<u8> {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(action: Action, label: &str, value: &str) -> String {
        let key = MaskingKey::derive(b"secret", "org");
        String::from_utf8(replacement(action, label, value.as_bytes(), &key).expect("not null")).expect("ascii")
    }

    #[test]
    fn partial_forms() {
        assert_eq!(shown(Action::Partial, "email", "ada@example.com"), "a***@***.com");
        assert_eq!(shown(Action::Partial, "email", "a@example.com"), "***@***.com");
        assert_eq!(shown(Action::Partial, "card", "4111-1111-1111-1111"), "**** **** **** 1111");
        assert_eq!(shown(Action::Partial, "iban", "DE89370400440532013000"), "************3000");
        assert_eq!(shown(Action::Partial, "ssn", "1234567"), "*******", "too short to keep anything");
    }

    #[test]
    fn tokens_are_stable_and_joinable() {
        let token = shown(Action::Token, "card", "4111 1111 1111 1111");
        assert!(
            token.starts_with("90")
                && token.len() == 19
                && token != shown(Action::Token, "card", "4012 8888 8888 1881")
        );
        assert_eq!(token.replace(' ', ""), shown(Action::Token, "card", "4111111111111111"));
        assert_eq!(shown(Action::Token, "email", "Ada@Example.com"), shown(Action::Token, "email", "ada@example.com"));
        let other = MaskingKey::derive(b"secret", "another").digest(b"a");
        assert_ne!(MaskingKey::derive(b"secret", "org").digest(b"a"), other);
    }
}
