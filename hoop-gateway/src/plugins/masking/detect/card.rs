//! Payment card numbers ([ISO/IEC 7812]): the issuers' ranges and lengths, and the check digit.
//!
//! [ISO/IEC 7812]: https://www.iso.org/standard/70484.html

use std::ops::Range;

use super::text::Text;

/// The groups that cards are printed in.
const SHAPES: [&[usize]; 9] = [
    &[4, 4, 4, 4],
    &[4, 6, 5],
    &[4, 6, 4],
    &[4, 4, 4, 4, 3],
    &[4, 4, 4, 3],
    &[4, 4, 4, 5],
    &[4, 5, 6],
    &[4, 4, 5],
    &[4, 3, 3, 3],
];

/// The card number that begins at this place: 13 to 19 digits, in one run or in groups with a space or a hyphen between.
pub(super) fn find(text: Text<'_>, at: usize) -> Option<Range<usize>> {
    if !text.begins(at) {
        return None;
    }
    let run = text.run(at, 20, |byte| byte.is_ascii_digit());
    if run > 4 {
        return (text.ends(at + run) && is_number(text.slice(at, at + run))).then_some(at..at + run);
    }
    SHAPES.iter().rev().chain(&SHAPES[..1]).find_map(|shape| grouped(text, at, shape))
}

fn grouped(text: Text<'_>, at: usize, shape: &[usize]) -> Option<Range<usize>> {
    let mut digits = [0; 19];
    let mut filled = 0;
    let mut place = at;
    for (group, len) in shape.iter().enumerate() {
        if group > 0 {
            if !matches!(text.at(place), b' ' | b'-') {
                return None;
            }
            place += 1;
        }
        if text.run(place, len + 1, |byte| byte.is_ascii_digit()) != *len {
            return None;
        }
        digits.get_mut(filled..filled + len)?.copy_from_slice(text.slice(place, place + len));
        filled += len;
        place += len;
    }
    (text.ends(place) && is_number(digits.get(..filled)?)).then_some(at..place)
}

/// Whether these digits are a card number: of an issuer's range, with its length, and the check digit right.
pub(crate) fn is_number(digits: &[u8]) -> bool {
    (13..=19).contains(&digits.len())
        && lengths(digits).is_some_and(|lengths| lengths.contains(&digits.len()))
        && luhn(digits)
}

fn lengths(digits: &[u8]) -> Option<std::ops::RangeInclusive<usize>> {
    let prefix = digits.iter().take(6).fold(0_u32, |number, digit| number * 10 + u32::from(digit - b'0'));
    let lengths = match prefix {
        400_000..=499_999 if digits.len() == 13 => 13..=13,
        400_000..=499_999 if digits.len() == 19 => 19..=19,
        400_000..=499_999 | 510_000..=559_999 | 222_100..=272_099 | 970_400..=979_299 | 860_000..=860_099 => 16..=16,
        340_000..=349_999 | 370_000..=379_999 => 15..=15,
        300_000..=305_999 | 309_500..=309_599 | 380_000..=399_999 | 360_000..=369_999 => 14..=16,
        601_100..=601_199 | 644_000..=659_999 | 352_800..=358_999 | 620_000..=629_999 | 810_000..=829_999 => 16..=19,
        220_000..=220_499 | 506_000..=509_999 | 600_000..=609_999 => 16..=19,
        500_000..=505_999 | 560_000..=589_999 | 630_000..=639_999 | 670_000..=679_999 => 13..=19,
        _ => return None,
    };
    Some(lengths)
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(digit - b'0') << (place % 2);
            if digit > 9 { digit - 9 } else { digit }
        })
        .sum();
    sum.is_multiple_of(10)
}
