//! International bank account numbers ([ISO 13616]).
//!
//! [ISO 13616]: https://www.swift.com/standards/data-standards/iban-international-bank-account-number

use std::ops::Range;

use super::text::{Text, is_word};

/// The account number that begins at this place, in one run or in groups with single spaces between.
pub(super) fn find(text: Text<'_>, at: usize) -> Option<Range<usize>> {
    let wanted = length(text.at(at), text.at(at + 1))?;
    if is_word(text.before(at)) {
        return None;
    }
    let mut place = at;
    let mut taken = 0;
    let mut rest = [0_u8; 34];
    while taken < wanted {
        match text.at(place) {
            byte if byte.is_ascii_alphanumeric() => {
                *rest.get_mut(taken)? = byte.to_ascii_uppercase();
                taken += 1;
            }
            b' ' if taken.is_multiple_of(4) && text.before(place) != b' ' => {}
            _ => return None,
        }
        place += 1;
    }
    (!is_word(text.at(place)) && remainder(rest.get(..taken)?) == 1).then_some(at..place)
}

/// The number modulo 97, its first four characters moved to the end and letters read as 10 to 35.
fn remainder(iban: &[u8]) -> u32 {
    iban.iter().cycle().skip(4).take(iban.len()).fold(0, |sum, byte| match byte {
        b'0'..=b'9' => (sum * 10 + u32::from(byte - b'0')) % 97,
        _ => (sum * 100 + u32::from(byte.saturating_sub(b'A')) + 10) % 97,
    })
}

/// How long an account number of this country is.
fn length(first: u8, second: u8) -> Option<usize> {
    let length = match &[first, second] {
        b"NO" => 15,
        b"BE" => 16,
        b"DK" | b"FI" | b"FK" | b"FO" | b"GL" | b"NL" | b"SD" => 18,
        b"MK" | b"SI" => 19,
        b"AT" | b"BA" | b"EE" | b"KZ" | b"LT" | b"LU" | b"MN" | b"XK" => 20,
        b"CH" | b"CR" | b"HR" | b"LI" | b"LV" => 21,
        b"BG" | b"BH" | b"DE" | b"GB" | b"GE" | b"IE" | b"ME" | b"RS" | b"VA" => 22,
        b"AE" | b"GI" | b"IL" | b"IQ" | b"OM" | b"SO" | b"TL" => 23,
        b"AD" | b"CZ" | b"ES" | b"MD" | b"PK" | b"RO" | b"SA" | b"SE" | b"SK" | b"TN" | b"VG" => 24,
        b"LY" | b"PT" | b"ST" => 25,
        b"IS" | b"TR" => 26,
        b"BI" | b"DJ" | b"FR" | b"GR" | b"IT" | b"MC" | b"MR" | b"SM" => 27,
        b"AL" | b"AZ" | b"BY" | b"CY" | b"DO" | b"GT" | b"HU" | b"LB" | b"NI" | b"PL" | b"SV" => 28,
        b"BR" | b"EG" | b"PS" | b"QA" | b"UA" => 29,
        b"JO" | b"KW" | b"MU" | b"YE" => 30,
        b"MT" | b"SC" => 31,
        b"LC" => 32,
        b"RU" => 33,
        _ => return None,
    };
    Some(length)
}
