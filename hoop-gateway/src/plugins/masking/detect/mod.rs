//! The built-in detectors, and the engine that runs all of them in one pass.

mod anchor;
mod card;
#[cfg(test)]
mod corpus;
mod email;
mod engine;
mod fold;
mod iban;
mod ip;
mod key;
mod phone;
mod ssn;
mod text;

pub use engine::Detectors;
pub(crate) use engine::settle;

use std::ops::Range;

use hoop_core::{Detector, Hit, Label};
use serde::{Deserialize, Serialize};

pub(crate) use anchor::Anchor;
pub(crate) use card::is_number as is_card_number;
use text::Text;

/// A built-in detector. Its name in rules, and its label, is its name in snake case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Builtin {
    /// E-mail addresses.
    Email,
    /// Payment card numbers: an issuer's range, 13 to 19 digits, the check digit right.
    Card,
    /// US social security numbers with hyphens.
    Ssn,
    /// International bank account numbers: a country's length, the check digits right.
    Iban,
    /// Telephone numbers with `+` or in national groups.
    Phone,
    /// IPv4 addresses.
    Ipv4,
    /// IPv6 addresses.
    Ipv6,
    /// JSON web tokens.
    Jwt,
    /// Keys and tokens of clouds and services, and private keys in PEM.
    CloudKey,
}

impl Builtin {
    /// Every built-in detector.
    pub const ALL: [Self; 9] = [
        Self::Email,
        Self::Card,
        Self::Ssn,
        Self::Iban,
        Self::Phone,
        Self::Ipv4,
        Self::Ipv6,
        Self::Jwt,
        Self::CloudKey,
    ];

    /// The name, which is also the label of its hits.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Card => "card",
            Self::Ssn => "ssn",
            Self::Iban => "iban",
            Self::Phone => "phone",
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Jwt => "jwt",
            Self::CloudKey => "cloud_key",
        }
    }

    const fn label(self) -> Label {
        Label::of(self.as_str())
    }

    const fn anchor(self) -> Anchor {
        match self {
            Self::Email => Anchor::Email,
            Self::Card => Anchor::Card,
            Self::Ssn => Anchor::Ssn,
            Self::Iban => Anchor::Iban,
            Self::Phone => Anchor::Phone,
            Self::Ipv4 => Anchor::Ipv4,
            Self::Ipv6 => Anchor::Ipv6,
            Self::Jwt | Self::CloudKey => Anchor::Literal,
        }
    }

    fn find_at(self, text: Text<'_>, at: usize) -> Option<Range<usize>> {
        match self {
            Self::Email => email::find(text, at),
            Self::Card => card::find(text, at),
            Self::Ssn => ssn::find(text, at),
            Self::Iban => iban::find(text, at),
            Self::Phone => phone::find(text, at),
            Self::Ipv4 => ip::find_v4(text, at),
            Self::Ipv6 => ip::find_v6(text, at),
            Self::Jwt => key::find_jwt(text, at),
            Self::CloudKey => key::find_key(text, at),
        }
    }
}

impl Detector for Builtin {
    fn name(&self) -> &str {
        self.as_str()
    }

    fn find(&self, value: &[u8], hits: &mut Vec<Hit>) {
        Detectors::new([*self], []).find(value, hits);
    }
}
