//! How much of a line that is not whole can be no part of a value any more.

use memchr::memmem;

use super::super::mask::Masker;
use super::view::Views;

/// How far back a value with spaces in it, or one that a vendor's own detector finds, may begin, in characters of one byte.
pub(super) const REACH: usize = 512;

/// Where the part of a line begins that could be the beginning of a value. The line has no cursor that moves.
///
/// INVARIANT: it never lies before where it lay when less of the line was there. So it says the same however a line came in pieces.
pub(super) fn rest(views: &Views<'_>, masker: &Masker) -> usize {
    let text = views.wire.text.as_ref();
    let far = text.len().saturating_sub(REACH);
    let from = match masker.detectors.needs_every_value() {
        true => word(text, far),
        false => word(text, last_unspaced(text).max(far)),
    };
    let place = (from..text.len()).find_map(|at| views.wire.place(at));
    place.unwrap_or(views.whole).min(views.whole)
}

/// Where the last word of the first bytes of a text begins.
fn word(text: &[u8], first: usize) -> usize {
    let is_gap = |byte: &u8| byte.is_ascii_whitespace() || *byte < 0x20;
    text.iter().take(first).rposition(is_gap).map_or(0, |gap| gap + 1)
}

/// How long the text was when it last ended so that no value with spaces in it could go on.
fn last_unspaced(text: &[u8]) -> usize {
    let mut end = text.len();
    while end > text.len().saturating_sub(REACH) {
        match text
            .get(..end)
            .unwrap_or_default()
            .iter()
            .enumerate()
            .rev()
            .take(REACH)
            .find(|(at, _)| is_mark(text, *at))
        {
            Some((mark, _)) => end = mark,
            None => return end,
        }
    }
    0
}

/// Digits come in groups, names stand before what they name, and the first line of a key has words in it.
fn is_mark(text: &[u8], at: usize) -> bool {
    let ends = |part: &[u8]| text.get(..=at).is_some_and(|before| before.ends_with(part));
    match text.get(at) {
        Some(b'0'..=b'9' | 0x80..) => true,
        Some(b'-') => ends(b"-----"),
        Some(b't') => ends(b"ecret"),
        Some(b'T') => ends(b"ECRET"),
        _ => false,
    }
}

/// Whether the text has the first line of a private key that does not end in it.
pub(super) fn begins_key(text: &[u8]) -> bool {
    /// Where in the line what kind of key it is must stand.
    const HEAD: usize = 80;
    memmem::find_iter(text, super::line::KEY_BEGINS).any(|begin| {
        let key = text.get(begin..).unwrap_or_default();
        let head = key.get(..HEAD).unwrap_or(key);
        memmem::find(head, b"PRIVATE KEY").is_some() && memmem::find(key, super::line::KEY_ENDS).is_none()
    })
}
