//! Patterns, in which `*` stands for any run of characters, and texts of which a part may not be known.

/// One place of a pattern or a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Byte(u8),
    /// In a pattern: any run of bytes. In a text: some run, which only the target knows.
    Run,
}

/// A text, of which a part may not be known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text(Vec<Place>);

impl Text {
    pub(super) fn known(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes.iter().copied().map(Place::Byte));
        self
    }

    pub(super) fn unknown(mut self) -> Self {
        if self.0.last() != Some(&Place::Run) {
            self.0.push(Place::Run);
        }
        self
    }

    pub(super) fn then(mut self, other: &Self) -> Self {
        self.0.extend_from_slice(&other.0);
        self
    }
}

/// A pattern that is ready to be compared.
#[derive(Debug, Clone)]
pub(super) struct Pattern(Vec<Place>);

impl Pattern {
    pub(super) fn new(pattern: &str) -> Self {
        Self(pattern.bytes().map(|byte| if byte == b'*' { Place::Run } else { Place::Byte(byte) }).collect())
    }

    /// Whether the text matches, whatever is not known of it.
    pub(super) fn surely_matches(&self, text: &Text) -> bool {
        self.compare(text, false)
    }

    /// Whether the text matches, or could.
    pub(super) fn may_match(&self, text: &Text) -> bool {
        self.compare(text, true)
    }

    /// Whether the text is a folder above what the pattern matches, or could be, as far as the pattern says which. Everything
    /// lies below the root.
    pub(super) fn may_lie_below(&self, folder: &Text) -> bool {
        if *folder == Text::default().known(b"/") {
            return true;
        }
        let ends = self.0.iter().take_while(|place| **place != Place::Run).enumerate().skip(1);
        let mut folders =
            ends.filter(|(_, place)| **place == Place::Byte(b'/')).filter_map(|(end, _)| self.0.get(..end));
        folders.any(|above| Self(above.to_vec()).may_match(folder))
    }

    /// Goes through the pattern, and keeps for each place of the text whether what comes before both fits. What is unknown
    /// fits a run of the pattern; with `guess` it fits anything.
    fn compare(&self, Text(text): &Text, guess: bool) -> bool {
        let mut fits: Vec<bool> = std::iter::once(true)
            .chain(text.iter().scan(guess, |empty, place| {
                *empty &= *place == Place::Run;
                Some(*empty)
            }))
            .collect();
        let mut next = vec![false; fits.len()];
        for place in &self.0 {
            if !fits.contains(&true) {
                return false;
            }
            for at in 0..fits.len() {
                let before = at.checked_sub(1);
                let last = before.and_then(|before| text.get(before));
                next[at] = match (place, last) {
                    (Place::Run, _) => fits[at] || before.is_some_and(|before| next[before]),
                    (Place::Byte(_), None) => false,
                    (Place::Byte(byte), Some(Place::Byte(other))) => byte == other && fits[at - 1],
                    // It stands for this byte and perhaps more, or for nothing.
                    (Place::Byte(_), Some(Place::Run)) => guess && (fits[at] || fits[at - 1] || next[at - 1]),
                };
            }
            std::mem::swap(&mut fits, &mut next);
        }
        fits.last().copied().unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Text {
        text.bytes().fold(Text::default(), |text, byte| if byte == b'?' { text.unknown() } else { text.known(&[byte]) })
    }

    #[test]
    fn what_is_not_known_may_be_anything() {
        for (pattern, against, surely, may) in [
            ("", "", true, true),
            ("a", "a", true, true),
            ("a", "b", false, false),
            ("*", "", true, true),
            ("*", "abc", true, true),
            ("/etc/*", "/etc/passwd", true, true),
            ("/etc/*", "/etc", false, false),
            ("/etc/*", "/srv/etc/x", false, false),
            ("*/x*y", "a/xby", true, true),
            ("", "?", false, true),
            ("abc", "?", false, true),
            ("abc", "a?", false, true),
            ("abc", "?c", false, true),
            ("abc", "a?c", false, true),
            ("abc", "ab?bc", false, false),
            ("abc", "abc?", false, true),
            ("abc", "x?", false, false),
            ("/etc/*", "?/shadow", false, true),
            ("/etc/*", "?/x/y", false, true),
            ("/etc/passwd", "?/shadow", false, false),
            ("rm *", "rm ?", true, true),
            ("rm *", "? /x", false, true),
            ("rm *", "echo ?", false, false),
            ("a*c", "a?c", true, true),
            ("a*c", "?", false, true),
            ("*", "?", true, true),
        ] {
            assert_eq!(Pattern::new(pattern).surely_matches(&text(against)), surely, "{pattern} surely {against}");
            assert_eq!(Pattern::new(pattern).may_match(&text(against)), may, "{pattern} may {against}");
        }
    }

    proptest! {
        /// Filling in what is not known: sure is right for every filling, and possible is what any filling gives.
        #[test]
        fn sure_and_possible_are_what_they_say(pattern in "[ab*]{0,6}", against in "[ab?]{0,6}", fill in "[ab]{0,3}") {
            let (pattern, unknown) = (Pattern::new(&pattern), text(&against));
            let filled = text(&against.replace('?', &fill));
            if pattern.surely_matches(&unknown) {
                prop_assert!(pattern.surely_matches(&filled));
            }
            if pattern.surely_matches(&filled) {
                prop_assert!(pattern.may_match(&unknown));
            }
            prop_assert_eq!(pattern.surely_matches(&filled), pattern.may_match(&filled));
        }

        #[test]
        fn it_is_the_wildcard_of_roles(pattern in "[ab*]{0,6}", against in "[ab]{0,8}") {
            let ours = Pattern::new(&pattern).surely_matches(&text(&against));
            prop_assert_eq!(ours, hoop_core::role::matches_wildcard(&pattern, &against));
        }
    }
}
