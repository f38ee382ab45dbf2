//! What is kept of bodies and messages.

use std::sync::Arc;

use bytes::Bytes;
use hoop_core::role::matches_wildcard;
use hoop_core::{Code, Denial, Hit};
use serde::{Deserialize, Serialize};

use super::redact::Redactor;
use crate::record::event::{HttpRead, MAX_MESSAGE_KEPT};

/// How many bytes of a body wait for what may follow, so that a value is found as a whole wherever it is cut.
const TAIL: usize = 8 << 10;
/// How many bytes before them are looked at again: what a value is, is told by what stands before it.
const CONTEXT: usize = 256;

/// Which bodies of exchanges are recorded on a role, and how much of each; none unless said.
///
/// ```
/// use hoop_gateway::plugins::audit::BodyRules;
/// let rules: BodyRules = serde_json::from_str(r#"{
///     "request": 65536, "response": 1048576, "types": ["application/json", "text/*"], "paths": ["/api/*"]
/// }"#)?;
/// assert_eq!(rules.request, 65536);
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BodyRules {
    /// How many bytes are kept of the body of a request.
    pub request: u64,
    /// How many bytes are kept of the body of a response.
    pub response: u64,
    /// Media types that are kept, any of these, with `*` for any run of characters; all when empty.
    pub types: Vec<String>,
    /// Paths whose bodies are kept, any of these as clients write them, with `*` for any run of characters; all when empty.
    pub paths: Vec<String>,
}

impl BodyRules {
    /// # Errors
    /// What is wrong with them.
    pub(super) fn check(&self, messages: u64) -> Result<(), Denial> {
        let wrong = |what: String| {
            let reason = format!("the settings of audit cannot be used: {what}");
            Err(Denial::new(super::NAME, Code::InvalidRequest, reason).hint("ask an administrator to correct the role"))
        };
        if messages > MAX_MESSAGE_KEPT {
            return wrong(format!("of a message at most {MAX_MESSAGE_KEPT} bytes can be kept"));
        }
        if let Some(path) = self.paths.iter().find(|path| !path.starts_with(['/', '*'])) {
            return wrong(format!("no path of bodies is written as {path}: it begins with / or *"));
        }
        match self.types.iter().find(|kind| !kind.contains(['/', '*'])) {
            Some(kind) => {
                wrong(format!("no media type is written as {kind}: take one such as application/json or text/*"))
            }
            None => Ok(()),
        }
    }

    pub(super) fn take_path(&self, path: &str) -> bool {
        self.paths.is_empty() || self.paths.iter().any(|pattern| matches_wildcard(pattern, path))
    }

    pub(super) fn take_type(&self, content_type: Option<&[u8]>) -> bool {
        let kind = String::from_utf8_lossy(content_type.unwrap_or_default()).to_ascii_lowercase();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        self.types.is_empty() || self.types.iter().any(|pattern| matches_wildcard(&pattern.to_ascii_lowercase(), kind))
    }
}

/// A body, or the messages of one direction, as they are read.
#[derive(Default)]
pub(super) struct Body {
    /// How many bytes of it are kept.
    pub(super) limit: u64,
    bytes: u64,
    kept: u64,
    messages: u64,
    hasher: Option<Box<blake3::Hasher>>,
    sieve: Sieve,
}

impl Body {
    /// Of which so many bytes are kept.
    pub(super) fn up_to(limit: u64) -> Self {
        Self { limit, ..Self::default() }
    }

    fn count(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.hasher.get_or_insert_default().update(bytes);
    }

    fn room(&self) -> usize {
        usize::try_from(self.limit - self.kept).unwrap_or(usize::MAX)
    }

    fn keep(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.truncate(self.room());
        self.kept += bytes.len() as u64;
        bytes
    }

    /// What is to be recorded after a piece of what a client sends; in it, what the detectors find is overwritten.
    pub(super) fn sent(&mut self, bytes: &[u8], last: bool, redactor: &Redactor, hits: &mut Vec<Hit>) -> Vec<u8> {
        self.count(bytes);
        if self.room() == 0 {
            return Vec::new();
        }
        self.sieve.buffer.extend_from_slice(bytes);
        let out = self.sieve.strain(if last { 0 } else { TAIL }, redactor, hits);
        self.keep(out)
    }

    /// What has waited for more.
    pub(super) fn rest(&mut self, redactor: &Redactor, hits: &mut Vec<Hit>) -> Vec<u8> {
        let out = self.sieve.strain(0, redactor, hits);
        self.keep(out)
    }

    /// How many bytes of a piece of what is shown are to be recorded.
    pub(super) fn shown(&mut self, bytes: &[u8]) -> usize {
        self.count(bytes);
        let keep = self.room().min(bytes.len());
        self.kept += keep as u64;
        keep
    }

    /// How many bytes of a message are to be recorded.
    pub(super) fn message(&mut self, bytes: &[u8]) -> usize {
        self.count(bytes);
        self.messages += 1;
        let keep = usize::try_from(self.limit).unwrap_or(usize::MAX).min(bytes.len());
        self.kept += keep as u64;
        keep
    }

    /// What was read; `None` where nothing was.
    pub(super) fn done(self) -> Option<HttpRead> {
        let digest = self.hasher?.finalize().to_hex().to_string();
        Some(HttpRead { bytes: self.bytes, kept: self.kept, digest, messages: self.messages })
    }
}

/// Overwrites what the detectors find in a stream.
#[derive(Default)]
struct Sieve {
    buffer: Vec<u8>,
    /// How many bytes of the buffer are out already.
    done: usize,
}

impl Sieve {
    /// What goes out when this many bytes are kept back.
    fn strain(&mut self, back: usize, redactor: &Redactor, hits: &mut Vec<Hit>) -> Vec<u8> {
        // Looking twice at what waits costs less when much comes at once.
        if self.buffer.len() < self.done + 2 * back {
            return Vec::new();
        }
        let whole = Bytes::from(std::mem::take(&mut self.buffer));
        let masked = redactor.written(&whole, hits);
        let mut to = whole.len() - back;
        // What is cut here is found again as a whole, unless it is longer than all that waits.
        if let Some(hit) = hits.iter().find(|hit| hit.start < to && to < hit.end && hit.start > self.done) {
            to = hit.start;
        }
        let out = masked.get(self.done..to).unwrap_or_default().to_vec();
        let from = to.saturating_sub(CONTEXT);
        self.buffer = whole.get(from..).unwrap_or_default().to_vec();
        self.done = to - from;
        out
    }
}

/// What is to be kept on a role.
#[derive(Clone, Default)]
pub(super) struct Keep {
    pub(super) bodies: Arc<BodyRules>,
    /// Of each message.
    pub(super) messages: u64,
}

#[cfg(test)]
mod tests {
    use hoop_core::{Detector, Label};
    use proptest::prelude::*;

    use super::*;

    /// Finds `<` and what follows up to a `>`.
    struct Angles;

    impl Detector for Angles {
        fn name(&self) -> &str {
            "angles"
        }

        fn find(&self, value: &[u8], hits: &mut Vec<Hit>) {
            let mut from = 0;
            while let Some(start) = value.get(from..).and_then(|rest| rest.iter().position(|byte| *byte == b'<')) {
                let Some(end) = value.get(from + start..).and_then(|rest| rest.iter().position(|byte| *byte == b'>'))
                else {
                    return;
                };
                let start = from + start;
                hits.push(Hit { start, end: start + end + 1, label: Label::of("angles") });
                from = hits.last().map_or(from, |hit| hit.start + (hit.end - hit.start));
            }
        }
    }

    fn strained(text: &[u8], pieces: &[usize], limit: u64) -> Vec<u8> {
        let redactor = Redactor::new(vec![Arc::new(Angles)]);
        let (mut body, mut hits, mut out) = (Body::up_to(limit), Vec::new(), Vec::new());
        let mut rest = text;
        for piece in pieces {
            let (now, later) = rest.split_at((*piece).min(rest.len()));
            out.extend(body.sent(now, false, &redactor, &mut hits));
            rest = later;
        }
        out.extend(body.sent(rest, true, &redactor, &mut hits));
        let read = body.done().expect("it was read");
        assert_eq!((read.bytes, read.kept), (text.len() as u64, out.len() as u64));
        assert_eq!(read.digest, blake3::hash(text).to_hex().to_string());
        out
    }

    proptest! {
        /// Wherever a body is cut, the same is found.
        #[test]
        fn cuts_hide_nothing(
            parts in prop::collection::vec((0usize..9_000, 0usize..3_000), 0..6),
            pieces in prop::collection::vec(1usize..20_000, 0..8),
            limit in prop_oneof![Just(u64::MAX), 0u64..30_000],
        ) {
            let mut text = Vec::new();
            let mut expected = Vec::new();
            for (plain, secret) in parts {
                text.extend(std::iter::repeat_n(b'a', plain));
                expected.extend(std::iter::repeat_n(b'a', plain));
                text.push(b'<');
                text.extend(std::iter::repeat_n(b's', secret));
                text.push(b'>');
                expected.extend(std::iter::repeat_n(b'*', secret + 2));
            }
            expected.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            prop_assert_eq!(strained(&text, &pieces, limit), expected);
        }
    }

    #[test]
    fn what_is_written_with_escapes_is_found() {
        for secret in ["\\u003csecret\\u003e", "&lt;secret&#62;", "%3Csecret%3e", "%3Ctop+secret%3E", "<secret>"] {
            let text = format!("a={secret}&b \"c\"");
            let expected = format!("a={}&b \"c\"", "*".repeat(secret.len()));
            for cut in 0..text.len() {
                assert_eq!(String::from_utf8_lossy(&strained(text.as_bytes(), &[cut], u64::MAX)), expected);
            }
        }
    }

    #[test]
    fn rules_take_types_and_paths() {
        let rules: BodyRules =
            serde_json::from_str(r#"{"types":["application/json","text/*"],"paths":["/api/*"]}"#).expect("rules");
        for (kind, taken) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/html", true),
            ("image/png", false),
            ("", false),
        ] {
            assert_eq!(rules.take_type(Some(kind.as_bytes())), taken, "{kind}");
        }
        assert!(rules.take_path("/api/x") && !rules.take_path("/x"));
        assert!(BodyRules::default().take_path("/") && BodyRules::default().take_type(None));
        assert!(rules.check(0).is_ok() && rules.check(MAX_MESSAGE_KEPT + 1).is_err());
        assert!(BodyRules { paths: vec!["api".into()], ..BodyRules::default() }.check(0).is_err());
        assert!(BodyRules { types: vec!["json".into()], ..BodyRules::default() }.check(0).is_err());
    }
}
