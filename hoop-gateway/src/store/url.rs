//! Where a store is.

use std::fmt;
use std::str::FromStr;

use hoop_core::Secret;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::StoreError;

/// The URL of a store: `sqlite:FILE` or `postgres://USER@HOST/DATABASE`. It may hold a password, which is neither printed
/// nor serialized.
#[derive(Clone)]
pub struct StoreUrl(Secret<String>);

/// What is shown of a password.
const HIDDEN: &str = "***";

impl StoreUrl {
    /// Takes a URL into care.
    pub fn new(url: impl Into<String>) -> Self {
        Self(Secret::new(url.into()))
    }

    /// The URL with its password.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The file, when it is one.
    pub fn sqlite_file(&self) -> Option<&str> {
        self.expose().strip_prefix("sqlite:")
    }

    fn is_known(&self) -> bool {
        ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| self.expose().starts_with(scheme))
    }

    fn redacted(&self) -> String {
        if self.sqlite_file().is_some() {
            return self.expose().to_owned();
        }
        let parsed = url::Url::parse(self.expose()).ok().filter(|_| self.is_known());
        let Some(mut url) = parsed else { return HIDDEN.to_owned() };
        if url.password().is_some() && url.set_password(Some(HIDDEN)).is_err() {
            return HIDDEN.to_owned();
        }
        if url.query().is_some() {
            let pairs: Vec<_> = url.query_pairs().into_owned().collect();
            let mut query = url.query_pairs_mut();
            query.clear();
            for (name, value) in &pairs {
                query.append_pair(name, if name == "password" { HIDDEN } else { value });
            }
        }
        url.into()
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.redacted(), f)
    }
}

impl PartialEq for StoreUrl {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for StoreUrl {}

impl Serialize for StoreUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StoreUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl FromStr for StoreUrl {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let url = Self::new(text);
        if url.is_known() { Ok(url) } else { Err(StoreError::Url) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        for (url, shown) in [
            ("sqlite:a=b.db", "sqlite:a=b.db"),
            ("postgres://hoop:hunter2@db/hoop?sslmode=require", "postgres://hoop:***@db/hoop?sslmode=require"),
            ("postgresql://db/hoop?user=u&password=hunter2", "postgresql://db/hoop?user=u&password=***"),
            ("postgres://hoop@db/hoop", "postgres://hoop@db/hoop"),
            ("postgres://hoop:hunter2@[db/hoop", "***"),
            ("hunter2", "***"),
        ] {
            let url = StoreUrl::new(url);
            assert_eq!((url.to_string(), format!("{url:?}")), (shown.to_owned(), format!("{shown:?}")));
        }
    }

    #[test]
    fn what_is_no_url_is_refused_and_not_repeated() {
        let error = serde_json::from_str::<StoreUrl>("\"hunter2\"").expect_err("no URL").to_string();
        assert!(error.contains("neither sqlite:FILE") && !error.contains("hunter2"), "{error}");
    }
}
