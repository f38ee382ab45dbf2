//! A machine that is reached over SSH, how the agent logs in there, and what its users may do.

use std::net::{IpAddr, Ipv6Addr};

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
    /// A `known_hosts` file on the agent's machine. Keys in its lines that begin with `@revoked` are nobody's, whoever else names
    /// them; patterns and `@cert-authority` are not read.
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
    /// of characters. The host is as the client says it, and the target looks a name up: `db-*:5432` is `db-1.example.org`,
    /// too, whoever has that domain. A host of digits, dots and `*` is for addresses and matches no name.
    pub direct_tcpip: Vec<String>,
    /// Sockets on the target that `ssh -L` may connect to, by path, with `*` as above, which also stands for `/`. A path with
    /// `//`, `.` or `..` in it is none of them; links on the machine are followed.
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
        matches_address(&self.direct_tcpip, host, port)
    }

    /// Whether a client may be connected to this socket on the target.
    pub fn allows_direct_streamlocal(&self, path: &str) -> bool {
        is_plain(path) && matches_any(&self.direct_streamlocal, path)
    }

    /// Whether the target may listen on this address for a client.
    pub fn allows_tcpip_forward(&self, host: &str, port: u32) -> bool {
        matches_address(&self.tcpip_forward, host, port)
    }

    /// Whether the target may listen on this socket for a client.
    pub fn allows_streamlocal_forward(&self, path: &str) -> bool {
        is_plain(path) && matches_any(&self.streamlocal_forward, path)
    }
}

fn matches_any(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| matches_wildcard(pattern, text))
}

/// Host and port are compared each by itself: a host with a colon in it is no other port. A pattern for addresses matches no
/// name: who chooses a name like `10.0.x.example.org` chooses where it leads.
fn matches_address(patterns: &[String], host: &str, port: u32) -> bool {
    let port = port.to_string();
    patterns.iter().any(|pattern| {
        let (wanted, wanted_port) = pattern.rsplit_once(':').unwrap_or((pattern, "*"));
        let may_be = !is_for_addresses(wanted) || is_address(host);
        may_be && matches_wildcard(wanted, host) && matches_wildcard(wanted_port, &port)
    })
}

/// Digits, dots and `*`, or with a colon in it.
fn is_for_addresses(pattern: &str) -> bool {
    let is_numeric = pattern.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'*'));
    pattern.contains(':') || (is_numeric && pattern.bytes().any(|byte| byte.is_ascii_digit()))
}

/// An address; of IPv6, also with a zone.
fn is_address(host: &str) -> bool {
    let is_zoned = || host.split_once('%').is_some_and(|(address, _)| address.parse::<Ipv6Addr>().is_ok());
    host.parse::<IpAddr>().is_ok() || is_zoned()
}

/// Whether a path names what it says: `..` would lead out of what a pattern names.
fn is_plain(path: &str) -> bool {
    let names = path.strip_prefix('/').unwrap_or(path);
    names.split('/').all(|name| !matches!(name, "" | "." | ".."))
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

    #[test]
    fn a_pattern_of_addresses_matches_no_name_and_a_port_is_no_part_of_a_host() {
        let allow = |pattern: &str| SshAllow { direct_tcpip: vec![pattern.to_owned()], ..SshAllow::default() };
        for (pattern, host, port, allowed) in [
            ("10.0.*:5432", "10.0.3.4", 5432, true),
            ("10.0.*:5432", "10.0.3.4", 22, false),
            ("10.0.*:5432", "10.0.x.example.org", 5432, false),
            ("10.0.*:5432", "10.0.3.4 ", 5432, false),
            ("10.0.*:5432", "10.0.3", 5432, false),
            ("10.0.*:5432", "10.0.3.4%.example.org", 5432, false),
            ("10.0.*:5432", "::ffff:10.0.3.4", 5432, false),
            ("db-1:*", "db-1", 80, true),
            ("db-1:*", "db-1:x", 80, false),
            ("db-*:5432", "db-1", 5432, true),
            ("*:80", "anything.example.org", 80, true),
            ("*", "anything.example.org", 1, true),
            ("::1:80", "::1", 80, true),
            ("fd00:*:443", "fd00::1", 443, true),
            ("fd00:*:443", "fd00::1%eth0", 443, true),
            ("fd00:*:443", "fd00:x.example.org", 443, false),
            ("127.0.0.1:22", "127.0.0.1", 22, true),
            ("127.0.0.1:22", "localhost", 22, false),
        ] {
            assert_eq!(allow(pattern).allows_direct_tcpip(host, port), allowed, "{pattern} and {host}:{port}");
        }
    }

    #[test]
    fn no_path_leads_out_of_what_a_pattern_names() {
        let sockets = vec!["/run/app/*".to_owned()];
        let allow =
            SshAllow { direct_streamlocal: sockets.clone(), streamlocal_forward: sockets, ..SshAllow::default() };
        let both = |path| (allow.allows_direct_streamlocal(path), allow.allows_streamlocal_forward(path));
        assert_eq!(both("/run/app/a.sock"), (true, true));
        assert_eq!(both("/run/app/deeper/a.sock"), (true, true));
        for path in
            ["/run/app/../docker.sock", "/run/app/./../docker.sock", "/run/app//a.sock", "/run/app/", "/run/app/.."]
        {
            assert_eq!(both(path), (false, false), "{path}");
        }
    }
}
