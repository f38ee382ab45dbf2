//! A machine that is reached over SSH, how the agent logs in there, and what its users may do.

use serde::{Deserialize, Serialize};

use super::matches_wildcard;

/// A machine that is reached over SSH. The agent shows what it is given of password and key, and takes the machine for
/// the right one by its host key alone: one that is pinned, signed by an authority, or in a `known_hosts` file.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SshTarget {
    /// Host name or address.
    #[cfg_attr(feature = "openapi", schema(min_length = 1))]
    pub host: String,
    /// Port, 22 unless given.
    #[serde(default = "default_port")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub port: u16,
    /// The user to log in as.
    #[cfg_attr(feature = "openapi", schema(min_length = 1))]
    pub user: String,
    /// Where the agent finds the password: `env:NAME`, `file:/path`, `vault:<mount>/<path>#<field>`, `aws-sm:<name>` or
    /// `aws-sm:<name>#<key>`. It answers prompts that do not echo, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^(env:|file:/|vault:|aws-sm:).*$"))]
    pub password: Option<String>,
    /// Where the agent finds the private key, in OpenSSH's or a PEM format, as for `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^(env:|file:/|vault:|aws-sm:).*$"))]
    pub private_key: Option<String>,
    /// Where the agent finds the passphrase of the private key, as for `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^(env:|file:/|vault:|aws-sm:).*$"))]
    pub passphrase: Option<String>,
    /// Where the agent finds the OpenSSH certificate of the private key, as for `password`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^(env:|file:/|vault:|aws-sm:).*$"))]
    pub certificate: Option<String>,
    /// Where the agent finds the private key of an authority of user certificates that the machine trusts, as for `password`. It
    /// makes a key and a certificate for each login, good for minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^(env:|file:/|vault:|aws-sm:).*$"))]
    pub certificate_authority: Option<String>,
    /// Host keys that the machine may have, one line each, as `ssh-keyscan` prints them without the name: `ssh-ed25519
    /// AAAA…`.
    #[serde(default)]
    pub host_keys: Vec<String>,
    /// Keys of authorities whose host certificates are trusted, in the same form.
    #[serde(default)]
    pub host_authorities: Vec<String>,
    /// A `known_hosts` file on the agent's machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<String>,
    /// The SSH role through whose machine the agent reaches this one, with that role's login; it has the same agent. What that
    /// role allows its own clients is not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^[a-z0-9][a-z0-9._-]{0,62}$"))]
    pub jump: Option<String>,
    /// What clients may do.
    #[serde(default)]
    pub allow: SshAllow,
}

impl SshTarget {
    /// The most machines that a role is reached through.
    pub const MOST_JUMPS: usize = 3;
}

const fn default_port() -> u16 {
    22
}

/// What clients of an SSH role may do. What stands in no list is refused.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SshAllow {
    /// Open a shell.
    pub shell: bool,
    /// Run a command.
    pub exec: bool,
    /// Subsystems by name.
    pub subsystems: Vec<String>,
    /// Environment variables by name; `*` stands for any run of characters.
    pub environment: Vec<String>,
    /// Addresses that `ssh -L`, `-D`, `-W` and `-J` may connect to from the target, as `host:port`; `*` stands for any run
    /// of characters.
    pub direct_tcpip: Vec<String>,
    /// Sockets on the target that `ssh -L` may connect to, by path, with `*` as above.
    pub direct_streamlocal: Vec<String>,
    /// Addresses that `ssh -R` may listen on at the target, as `host:port`, with `*` as above. The host is as the client
    /// says it: `localhost` unless it names one.
    pub tcpip_forward: Vec<String>,
    /// Sockets that `ssh -R` may listen on at the target, by path, with `*` as above.
    pub streamlocal_forward: Vec<String>,
    /// Lend the client's agent to the target (`ssh -A`).
    pub agent_forwarding: bool,
    /// Lend the client's display to programs on the target (`ssh -X`). Whoever runs there as the same user, or as root, may
    /// then see what is typed into other windows of a client that uses `-Y`.
    pub x11_forwarding: bool,
}

impl Default for SshAllow {
    fn default() -> Self {
        Self {
            shell: true,
            exec: true,
            subsystems: vec!["sftp".to_owned()],
            environment: vec!["LANG".to_owned(), "LC_*".to_owned()],
            direct_tcpip: Vec::new(),
            direct_streamlocal: Vec::new(),
            tcpip_forward: Vec::new(),
            streamlocal_forward: Vec::new(),
            agent_forwarding: false,
            x11_forwarding: false,
        }
    }
}

impl SshAllow {
    /// Whether a subsystem may be started.
    pub fn allows_subsystem(&self, name: &str) -> bool {
        self.subsystems.iter().any(|allowed| allowed == name)
    }

    /// Whether an environment variable may be set.
    pub fn allows_environment(&self, name: &str) -> bool {
        matches_any(&self.environment, name)
    }

    /// Whether a client may be connected to this address from the target.
    pub fn allows_direct_tcpip(&self, host: &str, port: u32) -> bool {
        matches_any(&self.direct_tcpip, &format!("{host}:{port}"))
    }

    /// Whether a client may be connected to this socket on the target.
    pub fn allows_direct_streamlocal(&self, path: &str) -> bool {
        matches_any(&self.direct_streamlocal, path)
    }

    /// Whether the target may listen on this address for a client.
    pub fn allows_tcpip_forward(&self, host: &str, port: u32) -> bool {
        matches_any(&self.tcpip_forward, &format!("{host}:{port}"))
    }

    /// Whether the target may listen on this socket for a client.
    pub fn allows_streamlocal_forward(&self, path: &str) -> bool {
        matches_any(&self.streamlocal_forward, path)
    }
}

fn matches_any(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| matches_wildcard(pattern, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_forwarded_unless_a_role_says_so() {
        let allow = SshAllow::default();
        assert!(allow.shell && allow.exec && allow.allows_subsystem("sftp") && allow.allows_environment("LC_ALL"));
        assert!(!allow.allows_subsystem("netconf") && !allow.allows_environment("LD_PRELOAD"));
        assert!(!allow.allows_direct_tcpip("localhost", 80) && !allow.allows_tcpip_forward("localhost", 80));
        assert!(!allow.allows_direct_streamlocal("/run/docker.sock") && !allow.allows_streamlocal_forward("/tmp/a"));
        assert!(!allow.agent_forwarding && !allow.x11_forwarding);
    }

    #[test]
    fn addresses_are_matched_with_their_port() {
        let allow = SshAllow { direct_tcpip: vec!["db-*:5432".to_owned()], ..SshAllow::default() };
        assert!(allow.allows_direct_tcpip("db-1", 5432));
        assert!(!allow.allows_direct_tcpip("db-1", 54321) && !allow.allows_direct_tcpip("web:1", 5432));
    }
}
