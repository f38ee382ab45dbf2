//! Where in Vault a secret lies.

/// The longest reference.
const MAX_BYTES: usize = 1024;

/// `<mount>/<path>#<field>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference<'a> {
    /// Mount and path, as they are written.
    pub(super) path: &'a str,
    pub(super) field: &'a str,
}

impl<'a> Reference<'a> {
    /// `None` where it is not of that form, or could mean another path than the one that it shows.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (path, field) = text.rsplit_once('#')?;
        let plain = |segment: &str| !matches!(segment, "" | "." | "..") && !segment.contains(char::is_control);
        let fits = text.len() <= MAX_BYTES && !field.is_empty() && path.contains('/') && path.split('/').all(plain);
        fits.then_some(Self { path, field })
    }

    /// Whether it lies at `place` or below it.
    pub(super) fn is_within(&self, place: &str) -> bool {
        below(self.path, place).is_some()
    }
}

/// What comes after `place` in `path`: empty where they are the same, `None` where it is another place.
pub(super) fn below<'a>(path: &'a str, place: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(place.trim_matches('/'))?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_means_the_path_that_it_shows() {
        let parsed = Reference::parse("team/kv/shop/db#password").expect("a reference");
        assert_eq!((parsed.path, parsed.field), ("team/kv/shop/db", "password"));
        let long = format!("secret/{}#x", "x".repeat(MAX_BYTES));
        for wrong in [
            "secret/db",
            "secret/db#",
            "secret#x",
            "#x",
            "/secret/db#x",
            "secret//db#x",
            "secret/../sys/raw#x",
            "secret/./db#x",
            "secret/db/#x",
            "secret/d\nb#x",
            &long,
        ] {
            assert_eq!(Reference::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_place_ends_where_a_name_ends() {
        let within = |path, place| Reference { path, field: "x" }.is_within(place);
        assert!(within("secret/shop", "secret/shop") && within("secret/shop/db", "secret/shop/"));
        assert!(!within("secret/shopping", "secret/shop") && !within("secret", "secret/shop"));
    }
}
