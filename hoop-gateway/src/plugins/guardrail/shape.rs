//! Texts of SQL that differ in whole numbers alone.

/// Whether two texts have the same tokens, but for the values of whole numbers.
///
/// Only texts that the grammar reads in one way are compared like that: in quotes, after a dollar sign or a backslash, and
/// next to a letter or a point, digits are part of something else, and have to be the same. What is not ASCII has to be
/// absent: whether it is part of a name depends on the encoding.
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    let (mut left, mut right) = (0, 0);
    while left < one.len() && right < other.len() {
        match (number(one, left), number(other, right)) {
            (Some(end_left), Some(end_right)) => (left, right) = (end_left, end_right),
            (None, None) if one[left] == other[right] && is_plain(one[left]) => (left, right) = (left + 1, right + 1),
            _ => return false,
        }
    }
    left == one.len() && right == other.len()
}

/// Where the whole number ends that begins at a place, if one does.
fn number(text: &[u8], begin: usize) -> Option<usize> {
    if !text[begin].is_ascii_digit() || begin.checked_sub(1).is_some_and(|before| joins(text[before])) {
        return None;
    }
    let end = text[begin..].iter().position(|byte| !byte.is_ascii_digit()).map_or(text.len(), |length| begin + length);
    (end == text.len() || !joins(text[end])).then_some(end)
}

/// Whether digits next to it may be part of a name, a parameter or another number.
fn joins(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$')
}

/// Whether it neither begins a quotation nor depends on the encoding.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii() && !matches!(byte, b'\'' | b'"' | b'$' | b'\\')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::is_same;

    #[test]
    fn numbers_alone_may_differ() {
        let same = |one: &str, other: &str| is_same(one.as_bytes(), other.as_bytes());
        assert!(same("select a from t where id = 1;", "select a from t where id = 4711;"));
        assert!(same("select 1,2", "select 33,4"));
        assert!(same("select 1", "select 2"), "the number ends the text");
        assert!(!same("select a from t1", "select a from t2"), "a name");
        assert!(!same("select 1.5", "select 2.5"), "not a whole number");
        assert!(!same("select 1e5", "select 2e5"));
        assert!(!same("select $1", "select $2"));
        assert!(!same("select U&\"\\0061\"", "select U&\"\\0062\""));
        assert!(!same("select '1'", "select '2'"));
        assert!(!same("select 1", "select 1 "));
        assert!(!same("select 1", "select 1; drop table t"));
        assert!(!same("select 1 /* \u{e9} */", "select 2 /* \u{e9} */"), "not ASCII");
        assert!(!same("select a1 from t", "select a 1 from t"));
    }

    proptest! {
        /// What is the same in shape is the same for the server's grammar.
        #[test]
        fn the_grammar_agrees(one in "[a1 .,;=()e_x0-]{0,24}", numbers in prop::collection::vec(0_u32..2000, 8)) {
            let mut numbers = numbers.into_iter().cycle();
            let other: String = replaced(&one, || numbers.next().unwrap_or_default());
            if is_same(one.as_bytes(), other.as_bytes()) {
                prop_assert_eq!(fingerprint(&one), fingerprint(&other), "{} / {}", one, other);
            }
        }
    }

    /// The text with another number in the place of each run of digits.
    fn replaced(text: &str, mut number: impl FnMut() -> u32) -> String {
        let mut replaced = String::new();
        let mut digits = false;
        for letter in text.chars() {
            if !letter.is_ascii_digit() {
                replaced.push(letter);
            } else if !digits {
                replaced.push_str(&number().to_string());
            }
            digits = letter.is_ascii_digit();
        }
        replaced
    }

    fn fingerprint(text: &str) -> Option<String> {
        pg_query::fingerprint(&format!("select {text}"), 0, 0).ok().map(|fingerprint| fingerprint.hex)
    }
}
