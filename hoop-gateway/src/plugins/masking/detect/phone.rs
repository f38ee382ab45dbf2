//! Telephone numbers: international ones with their `+` ([ITU-T E.164]), and national ones in the forms that are written
//! with separators. A plain run of digits is none: it might be anything.
//!
//! [ITU-T E.164]: https://www.itu.int/rec/T-REC-E.164

use std::ops::Range;

use super::text::{Text, is_word};

/// The telephone number that begins at this place with `+`, `(` or a digit.
pub(super) fn find(text: Text<'_>, at: usize) -> Option<Range<usize>> {
    match text.at(at) {
        b'+' => international(text, at),
        b'(' => bracketed(text, at),
        _ => north_american(text, at).or_else(|| pairs(text, at)).or_else(|| trunk(text, at)),
    }
}

fn international(text: Text<'_>, at: usize) -> Option<Range<usize>> {
    let first = text.at(at + 1 + text.run(at + 1, 1, |byte| byte == b'('));
    if is_word(text.before(at)) || text.before(at) == b'+' || !matches!(first, b'1'..=b'9') {
        return None;
    }
    let (mut digits, mut end, mut place) = (0, None, at + 1);
    loop {
        let opening = text.run(place, 3, |byte| matches!(byte, b' ' | b'.' | b'-' | b'(' | b')'));
        let run = text.run(place + opening, 16, |byte| byte.is_ascii_digit());
        let broken = opening > 2 && text.at(place + 2) != b'(' || digits > 0 && opening == 0;
        if run == 0 || broken || digits + run > 15 || digits >= 9 && run < 2 {
            break;
        }
        digits += run;
        place += opening + run;
        if digits >= 9 && text.ends(place) && !followed_by_time(text, place) {
            end = Some(place);
        }
    }
    end.map(|end| at..end)
}

fn followed_by_time(text: Text<'_>, at: usize) -> bool {
    text.at(at) == b':' && text.at(at + 1).is_ascii_digit()
}

/// `(415) 555-2671`, `(11) 98765-4321`
fn bracketed(text: Text<'_>, at: usize) -> Option<Range<usize>> {
    let digits = |start, limit| text.run(start, limit, |byte: u8| byte.is_ascii_digit());
    let area = digits(at + 1, 6);
    let close = at + 1 + area;
    let start = close + 1 + text.run(close + 1, 1, |byte| byte == b' ');
    let first = digits(start, 6);
    let second = digits(start + first + 1, 5);
    let end = start + first + 1 + second;
    let shape =
        (2..=5).contains(&area) && text.at(close) == b')' && (3..=5).contains(&first) && (3..=4).contains(&second);
    let apart = matches!(text.at(start + first), b'-' | b' ' | b'.');
    (shape && apart && (10..=11).contains(&(area + first + second)) && !is_word(text.before(at)) && text.ends(end))
        .then_some(at..end)
}

/// `415-555-2671`, with or without `1-` before it.
fn north_american(text: Text<'_>, at: usize) -> Option<Range<usize>> {
    let gap = text.at(at + 3);
    let groups = [(at, 3), (at + 4, 3), (at + 8, 4)];
    let shape = groups.iter().all(|(start, len)| text.run(*start, *len, |byte| byte.is_ascii_digit()) == *len);
    let apart = matches!(gap, b'-' | b'.' | b' ') && text.at(at + 7) == gap;
    let valid = matches!(text.at(at), b'2'..=b'9')
        && matches!(text.at(at + 4), b'2'..=b'9')
        && text.slice(at + 5, at + 7) != b"11";
    if !shape || !apart || !valid || !alone(text, at + 12) {
        return None;
    }
    let prefixed = text.before(at) == gap && at >= 2 && text.at(at - 2) == b'1' && opens(text, at - 2);
    match (prefixed, opens(text, at)) {
        (true, _) => Some(at - 2..at + 12),
        (false, true) => Some(at..at + 12),
        _ => None,
    }
}

/// `06 12 34 56 78`
fn pairs(text: Text<'_>, at: usize) -> Option<Range<usize>> {
    let gap = text.at(at + 2);
    let shape = (0..5).all(|pair| {
        let start = at + pair * 3;
        text.run(start, 3, |byte| byte.is_ascii_digit()) == 2 && (pair == 4 || text.at(start + 2) == gap)
    });
    let valid = text.at(at) == b'0' && matches!(text.at(at + 1), b'1'..=b'9') && matches!(gap, b' ' | b'.' | b'-');
    (shape && valid && opens(text, at) && alone(text, at + 14)).then_some(at..at + 14)
}

/// `020 7946 0958`, `0171 1234567`, `090-1234-5678`
fn trunk(text: Text<'_>, at: usize) -> Option<Range<usize>> {
    if text.at(at) != b'0' || !matches!(text.at(at + 1), b'1'..=b'9') || !opens(text, at) {
        return None;
    }
    let (mut digits, mut place, mut groups) = (0, at, 0);
    loop {
        let run = text.run(place, 9, |byte| byte.is_ascii_digit());
        let range = if groups == 0 { 2..=5 } else { 3..=8 };
        if !range.contains(&run) {
            return None;
        }
        digits += run;
        groups += 1;
        place += run;
        if digits >= 10 || groups == 3 {
            break;
        }
        if !matches!(text.at(place), b' ' | b'-') {
            return None;
        }
        place += 1;
    }
    (groups > 1 && (10..=11).contains(&digits) && alone(text, place)).then_some(at..place)
}

fn opens(text: Text<'_>, at: usize) -> bool {
    let before = text.before(at);
    !is_word(before) && !matches!(before, b'.' | b'-' | b'+' | b':' | b'/' | b',' | b'$' | b'#')
}

fn alone(text: Text<'_>, at: usize) -> bool {
    let next = text.at(at);
    text.ends(at) && !(matches!(next, b'-' | b':' | b'/') && text.at(at + 1).is_ascii_digit())
}
