//! Identifiers: a prefix that names the kind, then a UUIDv7 as 32 lower-case hex digits, as in
//! `ses_0192f0c1a2b37d4e8f90112233445566`. UUIDv7 ([RFC 9562 §5.7]) sorts by time, so that lists need no other key.
//!
//! [RFC 9562 §5.7]: https://www.rfc-editor.org/rfc/rfc9562#section-5.7

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::{NoContext, Timestamp, Uuid};

use crate::clock::Clock;

/// A UUIDv7 of this time. Its first twelve random bits are the part of the millisecond ([RFC 9562 §6.2], method 3): what is made
/// one after the other within a millisecond is in that order, too.
///
/// [RFC 9562 §6.2]: https://www.rfc-editor.org/rfc/rfc9562#section-6.2
fn at(now: DateTime<Utc>) -> Uuid {
    let (seconds, nanos) = (u64::try_from(now.timestamp()).unwrap_or(0), now.timestamp_subsec_nanos());
    let mut bytes = Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, nanos)).into_bytes();
    let part = (nanos % 1_000_000) * 4096 / 1_000_000;
    let [.., high, low] = part.to_be_bytes();
    (bytes[6], bytes[7]) = (0x70 | high, low);
    Uuid::from_bytes(bytes)
}

/// A text is not an identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an id of the form `{prefix}_` and 32 hex digits")]
pub struct InvalidId {
    /// The prefix that was wanted.
    pub prefix: &'static str,
    /// The text that was given, at most 64 characters of it.
    pub text: String,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The prefix of this kind of id, without the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new id, from the clock's time and 74 random bits.
            pub fn new(clock: &dyn Clock) -> Self {
                Self(at(clock.now()))
            }

            /// The id with this UUID, as read back from a store.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID alone, for a store that has a type for it.
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse($prefix, text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                schema($prefix)
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                std::borrow::Cow::Borrowed(stringify!($name))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// An organisation. Every row and every key carries one.
    OrgId "org"
    /// A user, or a service account.
    UserId "usr"
    /// A resource role.
    RoleId "rol"
    /// An access rule.
    AccessRuleId "acr"
    /// An agent.
    AgentId "agt"
    /// A session.
    SessionId "ses"
    /// A time-limited credential for a native client.
    CredentialId "crd"
    /// One request of a user: a login, a connection, an API call.
    RequestId "req"
    /// An audit event.
    EventId "evt"
    /// A token of a user or an agent.
    TokenId "tok"
    /// A user's public key.
    KeyId "key"
    /// A review: what somebody must agree to before it is done.
    ReviewId "rev"
}

impl OrgId {
    /// The organisation of a gateway that serves only one.
    pub const DEFAULT: Self = Self(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
}

#[cfg(feature = "openapi")]
fn schema(prefix: &str) -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
    use utoipa::openapi::schema::{ObjectBuilder, Type};
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(format!("^{prefix}_[0-9a-f]{{32}}$"))).into()
}

fn parse(prefix: &'static str, text: &str) -> Result<Uuid, InvalidId> {
    let invalid = || InvalidId { prefix, text: text.chars().take(64).collect() };
    let digits = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')).ok_or_else(invalid)?;
    let canonical = digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !canonical {
        return Err(invalid());
    }
    Uuid::try_parse(digits).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        let id = SessionId::new(&SystemClock);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().len(), "ses_".len() + 32);
    }

    #[test]
    fn another_kind_and_other_spellings_are_refused() {
        let id = UserId::new(&SystemClock).to_string();
        assert!(id.parse::<SessionId>().is_err());
        assert!(id.to_uppercase().parse::<UserId>().is_err());
        assert!("usr_".parse::<UserId>().is_err());
        assert!("usr_0190-0000".parse::<UserId>().is_err());
    }

    #[test]
    fn later_ids_sort_later() {
        struct At(i64);
        impl Clock for At {
            fn now(&self) -> chrono::DateTime<chrono::Utc> {
                chrono::DateTime::from_timestamp(self.0, 0).expect("a valid time")
            }
            fn monotonic(&self) -> std::time::Instant {
                std::time::Instant::now()
            }
        }
        assert!(SessionId::new(&At(1_000)) < SessionId::new(&At(1_001)));
    }

    #[test]
    fn ids_of_one_millisecond_are_in_the_order_of_their_times() {
        let begin = DateTime::from_timestamp(1_700_000_000, 0).expect("a valid time");
        let ids: Vec<_> = (0..1_000).map(|micros| at(begin + chrono::TimeDelta::microseconds(micros))).collect();
        assert!(ids.is_sorted() && ids.iter().all(|id| id.get_version_num() == 7));
        assert_eq!(ids[0].as_bytes()[..6], ids[999].as_bytes()[..6], "it is one millisecond");
    }
}
