//! What is recorded of heads: URLs and fields, without what is secret in them.
//!
//! The values of fields and parameters whose names say that they are secret are never recorded; in all others, what the detectors
//! find is replaced, also where it is percent-encoded.

use bytes::Bytes;
use hoop_core::Hit;
use http::{HeaderMap, HeaderName};

use super::super::percent;
use super::redact::Redactor;
use crate::record::event::{HttpField, MAX_FIELD_BYTES, MAX_FIELDS, MAX_NAME_BYTES, MAX_URL_BYTES, Text};

/// Stands for a value that is never recorded.
const HIDDEN: &str = "[hidden]";
/// Names of fields and parameters with these in them have secret values.
const SECRETS: [&str; 13] = [
    "token",
    "secret",
    "password",
    "passwd",
    "apikey",
    "api-key",
    "access-key",
    "signature",
    "credential",
    "private-key",
    "session-id",
    "sessionid",
    "sessid",
];
/// Fields that sign somebody in.
const FIELDS: [&str; 5] = ["authorization", "proxy-authorization", "cookie", "set-cookie", "x-auth"];
/// Parameters that sign somebody in, or are good for that.
const PARAMETERS: [&str; 14] = [
    "auth",
    "authorization",
    "code",
    "sig",
    "key",
    "pass",
    "pwd",
    "sid",
    "jwt",
    "assertion",
    "otp",
    "ticket",
    "samlresponse",
    "samlart",
];
/// Fields with URLs in them.
const URLS: [&str; 4] = ["location", "content-location", "referer", "refresh"];

/// How many fields of a head are remembered, and the longest value, in bytes: an idle session must stay small.
const REMEMBERED: usize = 32;
const MAX_REMEMBERED_BYTES: usize = 256;

/// What was kept of the head before, each field at its place: most fields of the next one are the same, and need not be searched
/// again. What is hidden, and what something was found in, is not remembered.
#[derive(Default)]
pub(super) struct Before(Vec<Option<HttpField>>);

impl Before {
    fn get(&self, place: usize, name: &HeaderName, value: &[u8]) -> Option<&HttpField> {
        let field = self.0.get(place)?.as_ref()?;
        (field.value.0 == value && field.name.0 == name.as_str()).then_some(field)
    }

    fn keep(&mut self, place: usize, field: &HttpField, value: &[u8]) {
        let is_kept = !field.hidden && field.value.0 == value && value.len() <= MAX_REMEMBERED_BYTES;
        if is_kept && place < REMEMBERED {
            self.0.resize_with(self.0.len().max(place + 1), || None);
            self.0[place] = Some(field.clone());
        }
    }
}

/// Takes out what is secret.
pub(super) struct Heads<'a> {
    pub(super) redactor: &'a Redactor,
    pub(super) hits: &'a mut Vec<Hit>,
    /// Of requests, or of responses.
    pub(super) before: &'a mut Before,
}

impl Heads<'_> {
    /// The fields that are kept, and how many there were where these are not all.
    pub(super) fn fields(&mut self, fields: &HeaderMap) -> (Vec<HttpField>, Option<u64>) {
        let mut kept = Vec::with_capacity(fields.len().min(MAX_FIELDS));
        for (place, (name, value)) in fields.iter().take(MAX_FIELDS).enumerate() {
            let value = value.as_bytes();
            kept.push(match self.before.get(place, name, value) {
                Some(field) => field.clone(),
                None => {
                    let field = self.field(name, value);
                    self.before.keep(place, &field, value);
                    field
                }
            });
        }
        (kept, (fields.len() > MAX_FIELDS).then_some(fields.len() as u64))
    }

    fn field(&mut self, name: &HeaderName, value: &[u8]) -> HttpField {
        let hidden = is_secret(name.as_str(), &FIELDS) || carries_bearer(value);
        let value = match hidden {
            true => Text::default(),
            false if URLS.contains(&name.as_str()) => Text::capped(&self.url(value), MAX_FIELD_BYTES),
            false => Text::capped(&self.redactor.text(&Bytes::copy_from_slice(value), self.hits), MAX_FIELD_BYTES),
        };
        HttpField { name: Text::copied(name.as_str(), MAX_NAME_BYTES), value, hidden }
    }

    pub(super) fn path(&mut self, path: &str) -> Text {
        let segments: Vec<_> = path.split('/').map(|segment| self.segment(segment.as_bytes())).collect();
        Text::capped(&segments.join(&b'/').into(), MAX_URL_BYTES)
    }

    /// A part of a path, which may have parameters of its own: `page;jsessionid=…`.
    fn segment(&mut self, segment: &[u8]) -> Vec<u8> {
        let at = segment.iter().position(|byte| *byte == b';').unwrap_or(segment.len());
        let (name, parameters) = segment.split_at_checked(at).unwrap_or((segment, &[]));
        [self.encoded(name, false), self.parameters(parameters)].concat()
    }

    pub(super) fn query(&mut self, query: &str) -> Text {
        Text::capped(&self.parameters(query.as_bytes()).into(), MAX_URL_BYTES)
    }

    /// A URL, in whose query and fragment parameters may stand.
    fn url(&mut self, url: &[u8]) -> Bytes {
        let at = url.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(url.len());
        let (path, rest) = url.split_at_checked(at).unwrap_or((url, &[]));
        let segments: Vec<_> = path.split(|byte| *byte == b'/').map(|segment| self.segment(segment)).collect();
        [segments.join(&b'/'), self.parameters(rest)].concat().into()
    }

    fn parameters(&mut self, query: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(query.len());
        for pair in query.split_inclusive(|byte| matches!(byte, b'&' | b';' | b'?' | b'#')) {
            let ends = pair.last().is_some_and(|byte| matches!(byte, b'&' | b';' | b'?' | b'#'));
            let (pair, end) = pair.split_at_checked(pair.len() - usize::from(ends)).unwrap_or((pair, &[]));
            self.parameter(pair, &mut out);
            out.extend_from_slice(end);
        }
        out
    }

    fn parameter(&mut self, pair: &[u8], out: &mut Vec<u8>) {
        let Some(at) = pair.iter().position(|byte| *byte == b'=') else {
            out.extend(self.encoded(pair, true));
            return;
        };
        let (name, value) = pair.split_at_checked(at + 1).unwrap_or((pair, &[]));
        out.extend(self.encoded(name, true));
        let name = percent::decode(name, true).bytes;
        let name = String::from_utf8_lossy(&name).to_ascii_lowercase();
        match is_secret(name.trim_end_matches('='), &PARAMETERS) {
            true => out.extend_from_slice(HIDDEN.as_bytes()),
            false => out.extend(self.encoded(value, true)),
        }
    }

    /// A text that may be percent-encoded: as it is, unless something is found in what it stands for.
    fn encoded(&mut self, text: &[u8], plus_is_space: bool) -> Vec<u8> {
        let decoded = percent::decode(text, plus_is_space);
        if decoded.changed {
            let bytes = Bytes::from(decoded.bytes);
            let redacted = self.redactor.text(&bytes, self.hits);
            if redacted != bytes {
                return redacted.into();
            }
        }
        self.redactor.text(&Bytes::copy_from_slice(text), self.hits).into()
    }
}

fn is_secret(name: &str, names: &[&str]) -> bool {
    let name = name.replace('_', "-");
    names.contains(&name.as_str())
        || name.starts_with("x-auth-")
        || SECRETS.iter().any(|secret| name.contains(secret))
        || name.split('-').collect::<String>().contains("apikey")
}

/// Whether a token stands in the value, as in `Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.…`.
fn carries_bearer(value: &[u8]) -> bool {
    let value = value.to_ascii_lowercase();
    value.windows(7).any(|part| part == b"bearer " || part == b"bearer.")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hoop_core::{Detector, Label};

    use super::*;

    /// Finds `42`.
    struct Number;

    impl Detector for Number {
        fn name(&self) -> &str {
            "number"
        }

        fn find(&self, value: &[u8], hits: &mut Vec<Hit>) {
            let found = value.windows(2).position(|part| part == b"42");
            hits.extend(found.map(|start| Hit { start, end: start + 2, label: Label::of("NUMBER") }));
        }
    }

    #[test]
    fn a_field_is_recorded_alike_whatever_was_before_it() {
        let redactor = Redactor::new(vec![Arc::new(Number)]);
        let heads: [&[(&str, &str)]; 7] = [
            &[("accept", "a"), ("x-a", "1")],
            &[("accept", "a"), ("x-a", "1")],
            &[("accept", "a"), ("x-a", "42")],
            &[("accept", "b"), ("x-api-key", "1"), ("x-a", "1")],
            &[("x-a", "1")],
            &[("authorization", "1"), ("x-a", "1"), ("x-b", "42")],
            &[("x-api-key", "1"), ("x-a", "bearer 1"), ("x-b", "42")],
        ];
        let record = |before: &mut Before, lines: &[(&str, &str)]| {
            let fields = lines.iter().map(|(name, value)| {
                let name: HeaderName = name.parse().expect("a name");
                (name, value.parse().expect("a value"))
            });
            let mut heads = Heads { redactor: &redactor, hits: &mut Vec::new(), before };
            heads.fields(&fields.collect()).0
        };
        let mut before = Before::default();
        for _ in 0..2 {
            for lines in heads {
                assert_eq!(record(&mut before, lines), record(&mut Before::default(), lines), "{lines:?}");
            }
        }
        assert!(before.0.iter().flatten().all(|field| !field.hidden && !field.value.to_string().contains("42")));
    }
}
