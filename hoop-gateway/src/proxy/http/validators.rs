//! Representations that rules have changed are not those of the target ([RFC 9110 §8.8]): their validators have the name of the
//! rules in them, so that what a client keeps is never taken for the other.
//!
//! [RFC 9110 §8.8]: https://www.rfc-editor.org/rfc/rfc9110#section-8.8

use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH,
    IF_RANGE, RANGE,
};

/// Digests of what the target has sent.
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// Between the target's tag and the name of the rules.
const MARK: &str = ";hoop-";

/// What a response says of a body that is changed on its way.
pub(super) fn changed(fields: &mut HeaderMap, variant: &str) {
    for name in [CONTENT_LENGTH, CONTENT_RANGE, ACCEPT_RANGES].iter().chain(&DIGESTS) {
        fields.remove(name);
    }
    let tag = fields.get(ETAG).and_then(|value| value.to_str().ok()).and_then(|tag| {
        let end = tag.strip_suffix('"').filter(|begin| begin.contains('"'))?;
        HeaderValue::try_from(format!("{end}{MARK}{variant}\"")).ok()
    });
    match tag {
        Some(tag) => fields.insert(ETAG, tag),
        None => fields.remove(ETAG),
    };
}

/// Conditions that name changed representations, in the target's own words. Those that were changed by other rules are none
/// that a target has.
pub(super) fn asked(fields: &mut HeaderMap, variant: &str) {
    for name in [IF_MATCH, IF_NONE_MATCH] {
        let Some(value) = fields.get(&name).and_then(|value| value.to_str().ok()) else { continue };
        if !value.contains(MARK) {
            continue;
        }
        let own = format!("{MARK}{variant}\"");
        let tags: Vec<String> = value
            .split(',')
            .map(str::trim)
            .filter_map(|tag| match tag.strip_suffix(&own) {
                Some(begin) => Some(format!("{begin}\"")),
                None if tag.contains(MARK) => None,
                None => Some(tag.to_owned()),
            })
            .collect();
        // A condition with no tag left holds for none.
        let tags = if tags.is_empty() && name == IF_MATCH { vec!["\"\"".to_owned()] } else { tags };
        match HeaderValue::try_from(tags.join(", ")) {
            Ok(value) if !tags.is_empty() => fields.insert(name, value),
            _ => fields.remove(name),
        };
    }
    if fields.get(IF_RANGE).is_some_and(|value| value.to_str().is_ok_and(|tag| tag.contains(MARK))) {
        whole(fields);
    }
}

/// Asks for the whole and not for a part of it.
pub(super) fn whole(fields: &mut HeaderMap) {
    fields.remove(RANGE);
    fields.remove(IF_RANGE);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().expect("a value"))])
    }

    #[test]
    fn a_changed_body_has_a_tag_of_its_own_that_leads_back() {
        for tag in ["\"a\"", "W/\"a\"", "\"\""] {
            let mut response = fields(ETAG, tag);
            response.insert(CONTENT_LENGTH, HeaderValue::from_static("5"));
            changed(&mut response, "0123abcd");
            assert_ne!(response[ETAG], tag);
            assert!(!response.contains_key(CONTENT_LENGTH));
            let mut request = fields(IF_NONE_MATCH, response[ETAG].to_str().expect("text"));
            asked(&mut request, "0123abcd");
            assert_eq!(request[IF_NONE_MATCH], tag);
        }
        let mut response = fields(ETAG, "not a tag");
        changed(&mut response, "0123abcd");
        assert!(!response.contains_key(ETAG));
    }

    #[test]
    fn tags_of_other_rules_are_none_of_the_target_s() {
        let mut request = fields(IF_NONE_MATCH, "\"a;hoop-ffffffff\", \"b\", \"c;hoop-0123abcd\"");
        asked(&mut request, "0123abcd");
        assert_eq!(request[IF_NONE_MATCH], "\"b\", \"c\"");
        let mut request = fields(IF_NONE_MATCH, "\"a;hoop-ffffffff\"");
        asked(&mut request, "0123abcd");
        assert!(!request.contains_key(IF_NONE_MATCH));
        let mut request = fields(IF_MATCH, "\"a;hoop-ffffffff\"");
        asked(&mut request, "0123abcd");
        assert_eq!(request[IF_MATCH], "\"\"", "a write that is for another representation must not happen");
    }
}
