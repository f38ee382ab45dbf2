//! `HOOP_KEY`: where an agent attaches, as whom, and how it knows that the gateway is the right one.
//!
//! ```text
//! grpcs://<agent name>:<token>@<host>:<port>?mode=standard&ca=sha256:<64 hex digits>
//! ```

use std::fmt;
use std::str::FromStr;

use hoop_core::Secret;
use url::{Host, Url};

/// An agent's key.
#[derive(Debug, Clone)]
pub struct Dsn {
    /// The agent's name; for people, the gateway takes it from the token.
    pub name: String,
    /// The token.
    pub token: Secret<String>,
    /// Host name or address of the gateway.
    pub host: String,
    /// Port of the gateway, 8010 unless given.
    pub port: u16,
    /// Whether the link is encrypted. Only a link to this very machine may not be.
    pub tls: bool,
    /// How the agent runs.
    pub mode: Mode,
    /// SHA-256 of the gateway's certificate, where it is pinned instead of verified by the trusted authorities.
    pub certificate: Option<[u8; 32]>,
}

/// How an agent runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// A process of its own.
    #[default]
    Standard,
    /// A part of an application.
    Embedded,
}

impl Mode {
    /// The name as it stands in the key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Embedded => "embedded",
        }
    }
}

/// A text that is no key. The text itself is not repeated: it holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DsnError {
    /// No URL of the documented form.
    #[error("the key is not of the form grpcs://name:token@host:port")]
    Form,
    /// Neither `grpcs` nor `grpc`.
    #[error("the key's scheme is `{0}`; it must be grpcs")]
    Scheme(String),
    /// `grpc` to another machine.
    #[error("the key asks for an unencrypted link to {0}; grpc:// is for this machine alone, use grpcs://")]
    Unencrypted(String),
    /// Name, token or host is missing.
    #[error("the key has no {0}")]
    Missing(&'static str),
    /// A parameter that is not known, or has a wrong value.
    #[error("the key's parameter `{0}` is unknown or has a wrong value")]
    Parameter(String),
}

impl FromStr for Dsn {
    type Err = DsnError;

    fn from_str(text: &str) -> Result<Self, DsnError> {
        let url = Url::parse(text.trim()).map_err(|_| DsnError::Form)?;
        let tls = match url.scheme() {
            "grpcs" => true,
            "grpc" => false,
            other => return Err(DsnError::Scheme(other.to_owned())),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(DsnError::Missing("host"))?;
        if !tls && !is_loopback(host) {
            return Err(DsnError::Unencrypted(host.to_owned()));
        }
        if url.username().is_empty() {
            return Err(DsnError::Missing("agent name"));
        }
        let token = url.password().filter(|token| !token.is_empty()).ok_or(DsnError::Missing("token"))?;
        let (mut mode, mut certificate) = (Mode::default(), None);
        for (name, value) in url.query_pairs() {
            let wrong = || DsnError::Parameter(name.to_string());
            match &*name {
                "mode" => {
                    mode = match &*value {
                        "standard" => Mode::Standard,
                        "embedded" => Mode::Embedded,
                        _ => return Err(wrong()),
                    };
                }
                "ca" => {
                    let digits = value.strip_prefix("sha256:").ok_or_else(wrong)?;
                    certificate = Some(parse_hex(digits).ok_or_else(wrong)?);
                }
                _ => return Err(wrong()),
            }
        }
        Ok(Self {
            name: url.username().to_owned(),
            token: Secret::new(token.to_owned()),
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: url.port().unwrap_or(8010),
            tls,
            mode,
            certificate,
        })
    }
}

impl Dsn {
    /// The key in full, token included: shown once, to whom it is made for.
    pub fn expose(&self) -> Secret<String> {
        Secret::new(self.text(self.token.expose()))
    }

    fn text(&self, token: &str) -> String {
        let scheme = if self.tls { "grpcs" } else { "grpc" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let mut text = format!("{scheme}://{}:{token}@{host}:{}?mode={}", self.name, self.port, self.mode.as_str());
        if let Some(certificate) = &self.certificate {
            text.push_str("&ca=sha256:");
            text.extend(certificate.iter().map(|byte| format!("{byte:02x}")));
        }
        text
    }
}

impl fmt::Display for Dsn {
    /// The key without its token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text("***"))
    }
}

fn is_loopback(host: &str) -> bool {
    match Host::parse(host) {
        Ok(Host::Ipv4(address)) => address.is_loopback(),
        Ok(Host::Ipv6(address)) => address.is_loopback(),
        Ok(Host::Domain(name)) => name == "localhost",
        Err(_) => false,
    }
}

fn parse_hex(digits: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> =
        digits.chars().map(|digit| digit.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect::<Option<_>>()?;
    let bytes: Vec<u8> =
        digits.chunks_exact(2).filter_map(|pair| <[u8; 2]>::try_from(pair).ok()).map(|[a, b]| a * 16 + b).collect();
    if digits.len() == 64 { bytes.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_and_is_not_printed() {
        let text = format!("grpcs://shop:hoopk_abc@gw.example.com:8010?mode=standard&ca=sha256:{}", "0a".repeat(32));
        let dsn: Dsn = text.parse().expect("a key");
        assert_eq!((dsn.name.as_str(), dsn.host.as_str(), dsn.port), ("shop", "gw.example.com", 8010));
        assert_eq!(dsn.certificate, Some([10; 32]));
        assert_eq!(*dsn.expose().expose(), text);
        assert!(!format!("{dsn} {dsn:?}").contains("hoopk_abc"));
    }

    #[test]
    fn wrong_keys_say_what_is_wrong() {
        for (text, error) in [
            ("", "the key is not of the form grpcs://name:token@host:port"),
            ("https://a:b@c", "the key's scheme is `https`; it must be grpcs"),
            (
                "grpc://a:b@db.example.com",
                "the key asks for an unencrypted link to db.example.com; grpc:// is for this machine alone, use grpcs://",
            ),
            ("grpcs://:b@c", "the key has no agent name"),
            ("grpcs://a@c", "the key has no token"),
            ("grpcs://a:b@c?ca=sha256:00", "the key's parameter `ca` is unknown or has a wrong value"),
            ("grpcs://a:b@c?x=1", "the key's parameter `x` is unknown or has a wrong value"),
        ] {
            assert_eq!(
                text.parse::<Dsn>().map(|_| ()).map_err(|error| error.to_string()),
                Err(error.to_owned()),
                "{text}"
            );
        }
        assert!("grpc://a:b@127.0.0.1:1".parse::<Dsn>().is_ok() && "grpc://a:b@[::1]:1".parse::<Dsn>().is_ok());
    }
}
