//! The cookies of a request ([RFC 6265 §4.2](https://www.rfc-editor.org/rfc/rfc6265#section-4.2)).

use http::{HeaderMap, HeaderValue, header};

/// Makes one field of all that clients may spread them over in HTTP/2 ([RFC 9113 §8.2.3]).
///
/// [RFC 9113 §8.2.3]: https://www.rfc-editor.org/rfc/rfc9113#section-8.2.3
pub(super) fn join(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().count() > 1 {
        let pairs = pairs(headers);
        put(headers, &pairs);
    }
}

/// Sets one, in the place of those with the same name. `value` is a cookie's.
pub(super) fn set(headers: &mut HeaderMap, name: &str, value: &[u8]) {
    let mut pairs = pairs(headers);
    pairs.retain(|pair| pair.split(|byte| *byte == b'=').next().map(<[u8]>::trim_ascii) != Some(name.as_bytes()));
    pairs.push([name.as_bytes(), b"=", value].concat());
    put(headers, &pairs);
}

fn pairs(headers: &HeaderMap) -> Vec<Vec<u8>> {
    let fields = headers.get_all(header::COOKIE).iter();
    let pairs = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii));
    pairs.filter(|pair| !pair.is_empty()).map(<[u8]>::to_vec).collect()
}

fn put(headers: &mut HeaderMap, pairs: &[Vec<u8>]) {
    let value = HeaderValue::from_maybe_shared(bytes::Bytes::from(pairs.join(b"; ".as_slice())));
    // Its parts have been values, or have been tried as such.
    let Ok(mut value) = value else { return };
    value.set_sensitive(true);
    headers.insert(header::COOKIE, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_set_in_the_place_of_its_namesakes() {
        for (sent, expected) in [
            (vec![], "sid=ours"),
            (vec!["a=1; b=2"], "a=1; b=2; sid=ours"),
            (vec!["sid=theirs; a=1"], "a=1; sid=ours"),
            (vec!["a=1;sid=x", "sid = y", "sid", "b=2"], "a=1; b=2; sid=ours"),
            (vec!["SID=other; sidecar=1"], "SID=other; sidecar=1; sid=ours"),
        ] {
            let mut headers = HeaderMap::new();
            for value in sent {
                headers.append(header::COOKIE, HeaderValue::from_static(value));
            }
            set(&mut headers, "sid", b"ours");
            let cookies: Vec<_> = headers.get_all(header::COOKIE).iter().collect();
            assert_eq!(cookies, [expected]);
        }
    }
}
