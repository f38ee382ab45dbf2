//! The fields of responses, before and after their bodies.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use http::header::{
    ACCEPT_RANGES, AGE, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, EXPIRES,
    HeaderName, HeaderValue, LAST_MODIFIED, SET_COOKIE,
};
use http::{HeaderMap, StatusCode};

use super::grpc;
use super::search::{Search, Unreadable};

/// Fields that are not changed: they mean something to the client's machine alone, and what is changed in them breaks it. A cookie
/// that is masked would end a sign-in.
const KEPT: [HeaderName; 10] =
    [SET_COOKIE, ETAG, DATE, LAST_MODIFIED, EXPIRES, AGE, CONTENT_LENGTH, CONTENT_TYPE, CONTENT_RANGE, ACCEPT_RANGES];

/// Masks what is found in fields: in an address, too, which then leads nowhere. A field whose name has a value in it is left out.
pub(super) fn fields(fields: &mut HeaderMap, search: Search<'_>) {
    let named: Vec<_> = fields.keys().filter(|name| search.text(name.as_str().as_bytes()).is_some()).cloned().collect();
    for name in named {
        fields.remove(name);
    }
    for (name, value) in fields.iter_mut().filter(|(name, _)| !KEPT.contains(name)) {
        let masked = match name.as_str().ends_with("-bin") {
            true => binary(value.as_bytes(), search),
            false => search.text(value.as_bytes()).or_else(|| encoded(name, value.as_bytes(), search)),
        };
        if let Some(masked) = masked {
            *value = HeaderValue::from_bytes(&masked).unwrap_or(HeaderValue::from_static("[masked]"));
        }
    }
}

/// A field of gRPC whose value is bytes in Base64, such as the details of an error.
fn binary(value: &[u8], search: Search<'_>) -> Option<Vec<u8>> {
    let values = value.split(|byte| *byte == b',').map(|value| {
        let value = value.trim_ascii();
        let bytes = STANDARD_NO_PAD.decode(value.strip_suffix(b"==").or(value.strip_suffix(b"=")).unwrap_or(value));
        match bytes.map(|bytes| grpc::unknown(&bytes, search)) {
            Ok(Some(masked)) => (true, STANDARD.encode(masked).into_bytes()),
            Ok(None) => (false, value.to_vec()),
            // It is no Base64: a text like any other.
            Err(_) => search.text(value).map_or((false, value.to_vec()), |masked| (true, masked)),
        }
    });
    let values: Vec<_> = values.collect();
    let masked = values.iter().any(|(masked, _)| *masked);
    masked.then(|| values.into_iter().map(|(_, value)| value).collect::<Vec<_>>().join(&b","[..]))
}

/// The name of a file, in quotes with escapes.
fn encoded(name: &HeaderName, value: &[u8], search: Search<'_>) -> Option<Vec<u8>> {
    if name != CONTENT_DISPOSITION || !value.contains(&b'\\') {
        return None;
    }
    let plain: Vec<u8> = value.iter().copied().filter(|byte| *byte != b'\\').collect();
    search.text(&plain)
}

/// Refuses a part of a body: what is not whole cannot be searched.
pub(super) fn check_whole(status: StatusCode, fields: &HeaderMap) -> Result<(), Unreadable> {
    let partial = status == StatusCode::PARTIAL_CONTENT
        || fields.contains_key(CONTENT_RANGE) && status != StatusCode::RANGE_NOT_SATISFIABLE;
    match partial {
        true => Err(Unreadable("it is a part of a body that nobody asked for")),
        false => Ok(()),
    }
}

/// The type that a body is said to have: none where it is said to have several.
pub(super) fn content_type(fields: &HeaderMap) -> Option<&str> {
    let mut types = fields.get_all(CONTENT_TYPE).iter();
    let first = types.next()?.to_str().ok()?;
    types.next().is_none().then_some(first)
}
