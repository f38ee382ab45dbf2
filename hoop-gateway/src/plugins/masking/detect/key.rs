//! Tokens and keys, by the prefixes that their issuers give them for this purpose.

use std::ops::Range;

use aho_corasick::packed::{Config, MatchKind, Searcher};
use aho_corasick::{AhoCorasick, AhoCorasickBuilder};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::text::{Text, is_word};

/// The first characters of a JSON object in base64url.
const JWT: [&str; 3] = ["eyJ", "eyAi", "ewo"];
const PEM: &str = "-----BEGIN ";
/// Names that stand before a secret without a prefix of its own.
const NAMES: [&str; 3] = ["aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", "ecretAccessKey"];

#[derive(Clone, Copy)]
enum Class {
    Word,
    WordDash,
    WordDashDot,
    Alphanumeric,
    Upper,
}

/// Prefix, what follows it, and how much of it at least. Up to 32 prefixes in all are searched at once at full speed.
const KEYS: [(&str, Class, usize); 25] = [
    ("AKIA", Class::Upper, 16),
    ("ASIA", Class::Upper, 16),
    ("ghp_", Class::Alphanumeric, 36),
    ("gho_", Class::Alphanumeric, 36),
    ("ghu_", Class::Alphanumeric, 36),
    ("ghs_", Class::Alphanumeric, 36),
    ("ghr_", Class::Alphanumeric, 36),
    ("github_pat_", Class::Word, 22),
    ("glpat-", Class::WordDash, 20),
    ("xox", Class::WordDashDot, 20),
    ("xapp-", Class::WordDash, 10),
    ("AIza", Class::WordDash, 35),
    ("ya29.", Class::WordDash, 20),
    ("sk_live_", Class::Alphanumeric, 16),
    ("rk_live_", Class::Alphanumeric, 16),
    ("sk_test_", Class::Alphanumeric, 16),
    ("rk_test_", Class::Alphanumeric, 16),
    ("whsec_", Class::Alphanumeric, 24),
    ("npm_", Class::Alphanumeric, 36),
    ("dop_v1_", Class::Alphanumeric, 64),
    ("shpat_", Class::Alphanumeric, 32),
    ("sk-ant-", Class::WordDash, 20),
    ("sk-proj-", Class::WordDash, 20),
    ("SG.", Class::WordDashDot, 40),
    ("pypi-", Class::WordDash, 40),
];

/// Finds the places where a token or key may begin.
#[derive(Debug)]
pub(super) enum Literals {
    /// By vectors of bytes, where the processor has them.
    Packed(Box<Searcher>),
    /// By an automaton.
    Automaton(AhoCorasick),
}

impl Literals {
    /// Hands over each place.
    pub(super) fn each(&self, bytes: &[u8], mut found: impl FnMut(usize)) {
        match self {
            Self::Packed(searcher) => searcher.find_iter(bytes).for_each(|at| found(at.start())),
            Self::Automaton(searcher) => searcher.find_iter(bytes).for_each(|at| found(at.start())),
        }
    }
}

pub(super) fn literals() -> Literals {
    let texts = || JWT.iter().chain([&PEM]).chain(&NAMES).chain(KEYS.iter().map(|(prefix, ..)| prefix));
    match Config::new().match_kind(MatchKind::LeftmostFirst).builder().extend(texts()).build() {
        Some(searcher) => Literals::Packed(Box::new(searcher)),
        None => Literals::Automaton(
            AhoCorasickBuilder::new().build(texts()).expect("a few short texts make a small automaton"),
        ),
    }
}

/// The JSON web token that begins at this place: three parts, the first of them a JSON object
/// ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519)).
pub(super) fn find_jwt(text: Text<'_>, at: usize) -> Option<Range<usize>> {
    if is_base64url(text.before(at)) {
        return None;
    }
    let header = text.run(at, 4096, is_base64url);
    let payload_at = at + header + 1;
    let payload = text.run(payload_at, usize::MAX, is_base64url);
    let signature_at = payload_at + payload + 1;
    if text.at(payload_at - 1) != b'.' || text.at(signature_at - 1) != b'.' || payload < 2 {
        return None;
    }
    let decoded = URL_SAFE_NO_PAD.decode(text.slice(at, at + header)).ok()?;
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&decoded).ok()?;
    Some(at..signature_at + text.run(signature_at, usize::MAX, is_base64url))
}

/// The key that begins at this place, or that is named there.
pub(super) fn find_key(text: Text<'_>, at: usize) -> Option<Range<usize>> {
    let rest = text.0.get(at..).unwrap_or_default();
    if rest.starts_with(PEM.as_bytes()) {
        return find_pem(rest).map(|len| at..at + len);
    }
    if let Some(name) = NAMES.iter().find(|name| rest.starts_with(name.as_bytes())) {
        let start = at + name.len();
        let start = start + text.run(start, 8, |byte| matches!(byte, b' ' | b'"' | b'\'' | b':' | b'=' | b'\\'));
        let len = text.run(start, 41, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+'));
        return (len == 40).then_some(start..start + len);
    }
    let (prefix, class, least) = KEYS.iter().find(|(prefix, ..)| rest.starts_with(prefix.as_bytes()))?;
    let start = at + prefix.len();
    let len = text.run(start, 4096, |byte| class.has(byte));
    let exact = !matches!(class, Class::Upper) || len == *least;
    (len >= *least && exact && !is_word(text.before(at))).then_some(at..start + len)
}

/// How long the private key is, up to the end of the value where its last line is missing.
fn find_pem(rest: &[u8]) -> Option<usize> {
    let head = rest.get(..rest.len().min(80))?;
    memchr::memmem::find(head, b"PRIVATE KEY-----")
        .or_else(|| memchr::memmem::find(head, b"PRIVATE KEY BLOCK-----"))?;
    let Some(tail) = memchr::memmem::find(rest, b"-----END ") else {
        return Some(rest.len());
    };
    let end = tail + 9;
    let close = memchr::memmem::find(rest.get(end..)?, b"-----").map_or(rest.len() - end, |close| close + 5);
    Some(end + close)
}

const fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

impl Class {
    const fn has(self, byte: u8) -> bool {
        match self {
            Self::Word => is_word(byte),
            Self::WordDash => is_base64url(byte),
            Self::WordDashDot => is_base64url(byte) || byte == b'.',
            Self::Alphanumeric => byte.is_ascii_alphanumeric(),
            Self::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
        }
    }
}
