//! E-mail addresses.

use super::text::Text;
use std::ops::Range;

/// The address around the `@` at this place. Bytes of other characters count as letters, as in internationalised
/// addresses ([RFC 6531]); a domain without a dot is no address.
///
/// [RFC 6531]: https://www.rfc-editor.org/rfc/rfc6531
pub(super) fn find(text: Text<'_>, at: usize) -> Option<Range<usize>> {
    let local = text.run_before(at, 64, is_local);
    let leading = text.run(at - local, local, |byte| matches!(byte, b'.' | b'-' | b'\'' | b'!' | b'#' | b'~'));
    if leading == local || text.before(at) == b'.' {
        return None;
    }
    let start = at + 1;
    let mut end = start;
    let mut labels = 0;
    let mut place = start;
    while place - start < 253 {
        let len = text.run(place, 64, is_label);
        if len == 0 || len > 63 || text.at(place) == b'-' {
            break;
        }
        labels += 1;
        let label = text.slice(place, place + len);
        place += len;
        if labels > 1 {
            let kept = trim_dashes(label);
            if is_top_level(kept) || has_glued_number(kept) {
                end = place - (len - kept.len());
            }
        }
        if text.at(place) != b'.' {
            break;
        }
        place += 1;
    }
    (end > start && !is_file_name(text.slice(start, end))).then_some(at - local + leading..end)
}

const fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-' | b'\'' | b'!' | b'#' | b'~')
        || byte >= 0x80
}

const fn is_label(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte >= 0x80
}

fn trim_dashes(label: &[u8]) -> &[u8] {
    let dashes = label.iter().rev().take_while(|byte| **byte == b'-').count();
    label.get(..label.len() - dashes).unwrap_or_default()
}

fn is_top_level(label: &[u8]) -> bool {
    label.len() >= 2
        && (label.iter().all(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80)
            || label.get(..4).is_some_and(|head| head.eq_ignore_ascii_case(b"xn--")))
}

/// A top-level domain that a long number follows without a space, as where values are put together: the number is taken
/// along, for within a word no other detector looks.
fn has_glued_number(label: &[u8]) -> bool {
    let digits = label.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    digits >= 9 && label.get(..label.len() - digits).is_some_and(is_top_level)
}

/// Pictures for dense screens are called `logo@2x.png`.
fn is_file_name(domain: &[u8]) -> bool {
    let mut parts = domain.split(|byte| *byte == b'.');
    let scale = parts.next().unwrap_or_default();
    let is_scale =
        scale.strip_suffix(b"x").is_some_and(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit));
    is_scale && parts.any(|part| [&b"png"[..], b"jpg", b"jpeg", b"gif", b"webp", b"svg"].contains(&part))
}
