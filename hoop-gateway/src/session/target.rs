//! The target of a session in the words of the tunnel, and whether it can be reached at all.

use std::sync::Arc;

use bytes::Bytes;
use hoop_core::id::{RequestId, SessionId};
use hoop_core::role::{HttpLogin, HttpTarget, PostgresTarget, SshTarget};
use hoop_core::{Code, Denial, ResourceRole, Target};
use hoop_proto::postgres::Frames;
use hoop_proto::postgres::backend::{PARAMETER_STATUS, ParameterStatus};
use hoop_proto::postgres::startup::PROTOCOL_3_0;
use hoop_proto::tunnel::v1::{self, Parameter, PostgresReady, open, ready};

use super::Sessions;
use super::jump::through;
use crate::proxy::http::probe;
use crate::tunnel::{Channel, OpenFailure, OpenTarget};

/// A target that lets the agent in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The server's version, as it says it itself.
    pub server_version: Option<String>,
}

impl Sessions {
    /// Has the agent of a role log in to its target with the role's secret, and ends that connection at once: nothing is sent
    /// on it. Nobody's session is opened, and no policy or plugin is asked; it is for administrators.
    ///
    /// # Errors
    /// The refusal that a session would get from the agent or the target, with the target's own error.
    pub(crate) async fn try_target(&self, role: &ResourceRole, request_id: RequestId) -> Result<Reached, OpenFailure> {
        let (_, ready) = self.reach(role, request_id).await?;
        tracing::info!(role = %role.name, agent = %role.agent, request = %request_id, "target was tried");
        let server_version = match ready {
            ready::Target::Postgres(ready) => server_version(&ready),
            ready::Target::Ssh(ready) => Some(shown(&ready.server_id)),
            ready::Target::SshChannel(_) | ready::Target::Http(_) => None,
        };
        Ok(Reached { server_version })
    }

    /// Has the agent of a role ask its target whether it is well, as the role says, and ends that connection at once. What is asked
    /// stands in the role alone.
    ///
    /// # Errors
    /// Why it is not, or why that cannot be found out.
    pub(crate) async fn check_target(&self, role: &ResourceRole, request_id: RequestId) -> Result<(), Denial> {
        let Target::Http(HttpTarget { url, health: Some(checks), .. }) = &role.target else { return Ok(()) };
        let (channel, _) = self.reach(role, request_id).await.map_err(|failure| failure.denial)?;
        probe(channel, &HttpUrl::parse(url)?, checks).await
    }

    /// A channel to a target that is nobody's session.
    async fn reach(&self, role: &ResourceRole, request_id: RequestId) -> Result<(Channel, ready::Target), OpenFailure> {
        self.ready()?;
        let target = match &role.target {
            Target::Postgres(target) => {
                let application =
                    (Bytes::from_static(b"application_name"), Bytes::from_static(b"hoop connection test"));
                open::Target::Postgres(postgres_target(target, &target.database, vec![application]))
            }
            Target::Ssh(target) => open::Target::Ssh(ssh_target(target)),
            Target::Http(target) => open::Target::Http(http_target(target)?),
            _ => {
                return Err(Denial::new("gateway", Code::Unsupported, "targets of this kind cannot be tried").into());
            }
        };
        let jumps = self.jumps(role).await?;
        let opened = OpenTarget {
            org: role.org,
            agent: Arc::clone(&role.agent),
            // For the logs on both sides alone: it is stored nowhere.
            session: SessionId::new(&*self.parts().clock),
            request_id,
            role: Arc::clone(&role.name),
            target: through(target, &jumps),
            secrets: self.secrets(role, &jumps).await?,
        };
        self.parts().agents.open(opened).await
    }
}

/// Where and how the agent logs in over SSH.
pub(crate) fn ssh_target(target: &SshTarget) -> v1::SshTarget {
    let SshTarget { host, user, host_keys, host_authorities, .. } = target.clone();
    v1::SshTarget {
        host,
        port: target.port.into(),
        user,
        password: target.password.clone().unwrap_or_default(),
        private_key: target.private_key.clone().unwrap_or_default(),
        passphrase: target.passphrase.clone().unwrap_or_default(),
        certificate: target.certificate.clone().unwrap_or_default(),
        host_keys,
        host_authorities,
        known_hosts: target.known_hosts.clone().unwrap_or_default(),
        certificate_authority: target.certificate_authority.clone().unwrap_or_default(),
        // Which machine that is, the store knows.
        jump: None,
    }
}

/// Where a service is, and how the agent authenticates requests to it.
///
/// # Errors
/// [`Code::InvalidRequest`] when the role's URL is none: it was stored before that was looked at.
pub(crate) fn http_target(target: &HttpTarget) -> Result<v1::HttpTarget, Denial> {
    use v1::http_target::Login;
    let url = HttpUrl::parse(&target.url)?;
    let login = match target.login.clone() {
        HttpLogin::None => None,
        HttpLogin::Bearer => Some(Login::Bearer(v1::HttpBearer {})),
        HttpLogin::Basic { user } => Some(Login::Basic(v1::HttpBasic { user })),
        HttpLogin::Header { name } => Some(Login::Header(v1::HttpHeader { name })),
        HttpLogin::Cookie { name } => Some(Login::Cookie(v1::HttpCookie { name })),
        HttpLogin::OauthClientCredentials { token_url, client_id, scope } => {
            let scope = scope.unwrap_or_default();
            Some(Login::OauthClientCredentials(v1::HttpOauthClientCredentials { token_url, client_id, scope }))
        }
        HttpLogin::AwsSigv4 { region, service, access_key_id } => {
            Some(Login::AwsSigv4(v1::HttpAwsSigv4 { region, service, access_key_id }))
        }
    };
    Ok(v1::HttpTarget {
        scheme: url.scheme.to_owned(),
        host: url.host,
        port: url.port.into(),
        socket: target.socket.clone().unwrap_or_default(),
        version: target.version.as_str().to_owned(),
        sslrootcert: target.sslrootcert.clone().unwrap_or_default(),
        sslcert: target.sslcert.clone().unwrap_or_default(),
        sslkey: target.sslkey.clone().unwrap_or_default(),
        secret: target.secret.clone().unwrap_or_default(),
        aws_session_token: target.aws_session_token.clone().unwrap_or_default(),
        login,
    })
}

/// The URL of an HTTP target, in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpUrl {
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    /// Host name or address, without brackets.
    pub(crate) host: String,
    /// The port, also where it is the scheme's own.
    pub(crate) port: u16,
    /// As in `Host`: without a port that is the scheme's own.
    pub(crate) authority: String,
    /// What is put before every path: empty, or with a slash at its beginning and none at its end.
    pub(crate) prefix: String,
}

impl HttpUrl {
    /// Reads the URL of a role.
    ///
    /// # Errors
    /// A [`Denial`] with [`Code::InvalidRequest`] that says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, Denial> {
        let wrong = |what: &str| Denial::new("gateway", Code::InvalidRequest, format!("the URL of the target {what}"));
        let url = url::Url::parse(text).map_err(|error| wrong(&format!("cannot be read: {error}")))?;
        let scheme = match url.scheme() {
            "http" => "http",
            "https" => "https",
            _ => return Err(wrong("must begin with http:// or https://")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("must not have a user or a password").hint("use `login` and `secret`"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("must not have a query or a fragment"));
        }
        let host = url.host_str().ok_or_else(|| wrong("has no host"))?;
        let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Ok(Self {
            scheme,
            host: bare.to_owned(),
            port: url.port_or_known_default().unwrap_or(80),
            authority,
            prefix: url.path().trim_end_matches('/').to_owned(),
        })
    }
}

/// Where and how the agent logs in to a PostgreSQL server.
pub(crate) fn postgres_target(
    target: &PostgresTarget,
    database: &str,
    parameters: Vec<(Bytes, Bytes)>,
) -> v1::PostgresTarget {
    let ours = |name: &[u8]| matches!(name, b"user" | b"database") || name.starts_with(b"_pq_.");
    let parameters = parameters.into_iter().filter(|(name, _)| !ours(name));
    v1::PostgresTarget {
        host: target.host.clone(),
        port: target.port.into(),
        dbname: database.to_owned(),
        user: target.user.clone(),
        password: target.password.clone().unwrap_or_default(),
        sslmode: target.sslmode.as_str().to_owned(),
        sslrootcert: target.sslrootcert.clone().unwrap_or_default(),
        sslcert: target.sslcert.clone().unwrap_or_default(),
        sslkey: target.sslkey.clone().unwrap_or_default(),
        channel_binding: target.channel_binding.as_str().to_owned(),
        parameters: parameters.map(|(name, value)| Parameter { name, value }).collect(),
        // The versions differ in nothing that is seen beyond the login.
        protocol: PROTOCOL_3_0,
    }
}

/// What the server says of itself at the login; it is shown to people, and no more than a line of it.
fn server_version(ready: &PostgresReady) -> Option<String> {
    let mut frames = Frames::new(ready.greeting.clone());
    while let Ok(Some(frame)) = frames.next(ready.greeting.len()) {
        if frame.tag() == PARAMETER_STATUS
            && let Ok(status) = ParameterStatus::parse(&frame)
            && status.name == "server_version"
        {
            return Some(shown(&String::from_utf8_lossy(&status.value)));
        }
    }
    None
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    #[test]
    fn a_servers_version_is_what_it_says_at_the_login() {
        let mut greeting = BytesMut::new();
        ParameterStatus::write(b"server_encoding", b"UTF8", &mut greeting);
        ParameterStatus::write(b"server_version", b"15.8\x1b (Debian)", &mut greeting);
        let greeting = greeting.freeze();
        let ready = |greeting| PostgresReady { greeting, ..PostgresReady::default() };
        assert_eq!(server_version(&ready(greeting.clone())).as_deref(), Some("15.8 (Debian)"));
        assert_eq!(server_version(&ready(greeting.slice(..30))), None);
    }
}
