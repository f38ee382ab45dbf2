//! What the command line says of a role that is reached over SSH.

use clap::Args;
use serde_json::{Map, Value};

use super::set;

#[derive(Args)]
#[command(next_help_heading = "Roles of kind ssh")]
pub(crate) struct Ssh {
    /// Where the agent finds the private key: `env:NAME` or `file:/path`. Never the key itself.
    #[arg(long, value_name = "REFERENCE")]
    private_key: Option<String>,
    /// Where the agent finds the passphrase of the private key, likewise.
    #[arg(long, value_name = "REFERENCE")]
    passphrase: Option<String>,
    /// Where the agent finds the OpenSSH certificate of the private key, likewise.
    #[arg(long, value_name = "REFERENCE")]
    certificate: Option<String>,
    /// Where the agent finds the private key of an authority of user certificates, likewise; it makes one for each login.
    #[arg(long, value_name = "REFERENCE")]
    certificate_authority: Option<String>,
    /// A host key of the machine, `ssh-ed25519 AAAA…`; again for each. Without one, `hoop admin roles test` shows the one
    /// that is to be approved.
    #[arg(long = "host-key", value_name = "KEY")]
    host_keys: Vec<String>,
    /// The key of an authority whose host certificates are trusted; again for each.
    #[arg(long = "host-authority", value_name = "KEY")]
    host_authorities: Vec<String>,
    /// A `known_hosts` file on the agent's machine.
    #[arg(long, value_name = "FILE")]
    known_hosts: Option<String>,
    /// The SSH role through whose machine this one is reached; it has the same agent.
    #[arg(long, value_name = "ROLE")]
    jump: Option<String>,
    /// An address that `ssh -L`, `-D`, `-W` and `-J` may connect to from the machine, `host:port` with `*`; again for each.
    #[arg(long = "allow-forward", value_name = "PATTERN")]
    direct_tcpip: Vec<String>,
    /// A socket on the machine that `ssh -L` may connect to, by path with `*`; again for each.
    #[arg(long = "allow-socket", value_name = "PATTERN")]
    direct_streamlocal: Vec<String>,
    /// An address that `ssh -R` may listen on at the machine, `host:port` with `*`; again for each.
    #[arg(long = "allow-listen", value_name = "PATTERN")]
    tcpip_forward: Vec<String>,
    /// A socket that `ssh -R` may listen on at the machine, by path with `*`; again for each.
    #[arg(long = "allow-listen-socket", value_name = "PATTERN")]
    streamlocal_forward: Vec<String>,
    /// A subsystem; again for each. They replace those from before, of which a new role has `sftp`.
    #[arg(long = "allow-subsystem", value_name = "NAME")]
    subsystems: Vec<String>,
    /// An environment variable that clients may set, with `*`; again for each. They replace those from before.
    #[arg(long = "allow-env", value_name = "PATTERN")]
    environment: Vec<String>,
    /// Whether clients may open a shell.
    #[arg(long, value_name = "BOOL")]
    allow_shell: Option<bool>,
    /// Whether clients may run commands.
    #[arg(long, value_name = "BOOL")]
    allow_exec: Option<bool>,
    /// Whether clients may lend their agent to the machine (`ssh -A`).
    #[arg(long, value_name = "BOOL")]
    allow_agent_forwarding: Option<bool>,
    /// Whether clients may lend their display to programs on the machine (`ssh -X`).
    #[arg(long, value_name = "BOOL")]
    allow_x11_forwarding: Option<bool>,
}

impl Ssh {
    pub(super) fn set(self, target: &mut Map<String, Value>) {
        let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
        set(target, "private_key", self.private_key);
        set(target, "passphrase", self.passphrase);
        set(target, "certificate", self.certificate);
        set(target, "certificate_authority", self.certificate_authority);
        set(target, "host_keys", some(self.host_keys));
        set(target, "host_authorities", some(self.host_authorities));
        set(target, "known_hosts", self.known_hosts);
        set(target, "jump", self.jump);
        let mut allow = Map::new();
        set(&mut allow, "direct_tcpip", some(self.direct_tcpip));
        set(&mut allow, "direct_streamlocal", some(self.direct_streamlocal));
        set(&mut allow, "tcpip_forward", some(self.tcpip_forward));
        set(&mut allow, "streamlocal_forward", some(self.streamlocal_forward));
        set(&mut allow, "subsystems", some(self.subsystems));
        set(&mut allow, "environment", some(self.environment));
        set(&mut allow, "shell", self.allow_shell);
        set(&mut allow, "exec", self.allow_exec);
        set(&mut allow, "agent_forwarding", self.allow_agent_forwarding);
        set(&mut allow, "x11_forwarding", self.allow_x11_forwarding);
        set(target, "allow", (!allow.is_empty()).then_some(allow));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::read;

    #[test]
    fn an_ssh_role_is_what_the_command_line_says() {
        let line = "--kind ssh --agent here --host web-1 --user deploy --private-key file:/k --host-key a --host-key b \
                    --allow-forward db:5432 --allow-shell false";
        let target = json!({
            "kind": "ssh", "host": "web-1", "user": "deploy", "private_key": "file:/k", "host_keys": ["a", "b"],
            "allow": { "direct_tcpip": ["db:5432"], "shell": false },
        });
        assert_eq!(read(line), json!({ "agent": "here", "target": target }));
    }
}
