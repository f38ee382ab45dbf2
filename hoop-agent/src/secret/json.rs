//! One text out of a JSON document, without a copy of what else is in it.

use std::collections::HashMap;

use hoop_core::Secret;
use serde_json::value::RawValue;

/// What there is at a place in a document.
#[derive(Debug)]
pub(super) enum Found {
    /// A text.
    Text(Secret<String>),
    /// Something else: a number, a list, null.
    Other,
    /// Nothing.
    Missing,
}

/// What is at `path`, the names of members one below the other; `None` where the document is no JSON. What is wrong with
/// it is not said: it would be quoted.
pub(super) fn find(json: &[u8], path: &[&str]) -> Option<Found> {
    let mut value: &RawValue = serde_json::from_slice(json).ok()?;
    for name in path {
        let members: HashMap<String, &RawValue> = serde_json::from_str(value.get()).unwrap_or_default();
        let Some(member) = members.get(*name) else { return Some(Found::Missing) };
        value = member;
    }
    Some(serde_json::from_str(value.get()).map_or(Found::Other, |text: String| Found::Text(Secret::new(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_where_it_is_and_nothing_else_is_taken_for_it() {
        let json = br#"{"data": {"data": {"password": "a\"b", "port": 5432, "none": null}, "list": ["x"]}}"#;
        let text = |path: &[&str]| match find(json, path) {
            Some(Found::Text(text)) => text.expose().clone(),
            other => format!("{other:?}"),
        };
        assert_eq!(text(&["data", "data", "password"]), "a\"b");
        for other in ["port", "none"] {
            assert_eq!(text(&["data", "data", other]), "Some(Other)", "{other}");
        }
        for missing in [&["password"][..], &["data", "list", "0"], &["data", "data", "none", "x"], &["data", "nothing"]]
        {
            assert_eq!(text(missing), "Some(Missing)", "{missing:?}");
        }
        assert!(find(b"{\"data\": \"cut off", &["data"]).is_none() && find(b"", &[]).is_none());
    }
}
