//! A credential of a role that speaks HTTP.

use hoop_core::Secret;
use hoop_gateway::auth::credential::WEB_TOKEN_PREFIX;
use serde::{Deserialize as _, Deserializer};
use serde_json::Value;
use url::Url;

use super::{Credential, better_host, host_for_url};
use crate::gateway::{is_here, is_loopback};

/// The origin in the URL of a credential, without the login that is in it.
pub(super) fn origin<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    let url = Option::<String>::deserialize(deserializer)?;
    let url = url.and_then(|url| Url::parse(&url).ok()).filter(|url| matches!(url.scheme(), "http" | "https"));
    Ok(url.and_then(|url| Url::parse(&url.origin().ascii_serialization()).ok()))
}

impl Credential {
    /// Finds the door: where the role's origin is, and else, where no origin is said to be elsewhere than on this machine, under
    /// the name of the API.
    pub(super) fn find_web(&mut self, api: &str, made: &mut Value) {
        let Some(origin) = &self.origin else { return };
        if !is_loopback(origin) {
            self.host = origin.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            self.port = origin.port_or_known_default().unwrap_or(443);
        } else if let Some(host) = better_host(&self.host, api) {
            self.host = host;
            made["command"] = self.command().into();
        }
        made["host"] = self.host.clone().into();
        made["port"] = self.port.into();
        made["url"] = self.any_url().into();
    }

    /// Whether a browser of this machine finds the role by its origin.
    pub(crate) fn is_reached_by_browsers(&self) -> bool {
        self.origin.as_ref().is_some_and(|origin| !is_loopback(origin) || is_here(&self.host))
    }

    /// The origin by which programs of this machine find the role. Where the role's own is not known here, it is the door's.
    pub(crate) fn base(&self) -> String {
        match &self.origin {
            Some(origin) if self.is_reached_by_browsers() => origin.origin().ascii_serialization(),
            origin => {
                let scheme = origin.as_ref().map_or("http", Url::scheme);
                format!("{scheme}://{}:{}", host_for_url(&self.host), self.port)
            }
        }
    }

    /// The host of the role's origin, with its port, as it stands in `Host`.
    pub(crate) fn authority(&self) -> String {
        self.origin.as_ref().map(|origin| origin.authority().to_owned()).unwrap_or_default()
    }

    /// What a program shows for it.
    pub(crate) fn token(&self) -> Secret<String> {
        Secret::new(format!("{WEB_TOKEN_PREFIX}{}.{}", self.user, self.password.expose()))
    }

    /// The same as a line of a request's head.
    pub(crate) fn token_line(&self) -> Secret<String> {
        Secret::new(format!("Hoop-Token: {}", self.token().expose()))
    }
}
