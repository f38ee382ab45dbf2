//! IPv4 and IPv6 addresses.

use std::net::Ipv6Addr;
use std::ops::Range;

use super::text::{Text, is_word};

/// The IPv4 address whose first dot is at this place: four numbers up to 255 without leading zeros, and neither a part of
/// a longer list of numbers nor of a word.
pub(super) fn find_v4(text: Text<'_>, at: usize) -> Option<Range<usize>> {
    let start = at - text.run_before(at, 4, |byte| byte.is_ascii_digit());
    let mut place = start;
    for octet in 0..4 {
        if octet > 0 {
            if text.at(place) != b'.' {
                return None;
            }
            place += 1;
        }
        let len = text.run(place, 4, |byte| byte.is_ascii_digit());
        let digits = text.slice(place, place + len);
        let number = digits.iter().fold(0_u32, |number, digit| number * 10 + u32::from(digit - b'0'));
        if !(1..=3).contains(&len) || number > 255 || len > 1 && digits.first() == Some(&b'0') {
            return None;
        }
        place += len;
    }
    let before = text.before(start);
    (!is_word(before) && before != b'.' && text.ends(place)).then_some(start..place)
}

/// The IPv6 address around the colon at this place ([RFC 4291 §2.2]). A shortened one must have a digit, so that a cast
/// or a path of names is none.
///
/// [RFC 4291 §2.2]: https://www.rfc-editor.org/rfc/rfc4291#section-2.2
pub(super) fn find_v6(text: Text<'_>, at: usize) -> Option<Range<usize>> {
    let mut start = at - text.run_before(at, 46, is_part);
    let mut end = at + text.run(at, 46, is_part);
    if text.at(start) == b':' && text.at(start + 1) != b':' {
        start += 1;
    } else if is_word(text.before(start)) {
        return None;
    }
    if is_word(text.at(end)) {
        return None;
    }
    while matches!(text.before(end), b'.') || text.before(end) == b':' && text.before(end - 1) != b':' {
        end -= 1;
    }
    let address = std::str::from_utf8(text.slice(start, end)).ok()?;
    let groups = address.split(':').filter(|group| !group.is_empty()).count();
    let telling =
        address.bytes().any(|byte| byte.is_ascii_digit()) && (groups > 1 || address.len() > 4 || address == "::1");
    (telling && address.parse::<Ipv6Addr>().is_ok()).then_some(start..end)
}

const fn is_part(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')
}
