//! Whether a host is the right one: by a key that the role names, a certificate of an authority that it names, or a
//! `known_hosts` file.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use hoop_core::Code;
use hoop_proto::tunnel::v1::SshTarget;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey, PublicKeyOrCertificate, known_hosts};

use crate::error::TargetFailure;

/// What a host is recognized by.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    host: String,
    keys: Vec<PublicKey>,
    authorities: Vec<PublicKey>,
    /// What nobody is recognized by, whoever names it.
    revoked: Vec<PublicKey>,
}

impl Trust {
    pub(super) async fn of(target: &SshTarget) -> Result<Self, TargetFailure> {
        let mut keys = parse(&target.host_keys)?;
        keys.extend(known(target).await?);
        let revoked = revoked(&target.known_hosts).await?;
        Ok(Self { host: target.host.clone(), keys, authorities: parse(&target.host_authorities)?, revoked })
    }

    pub(super) fn accepts(&self, shown: &PublicKeyOrCertificate) -> bool {
        match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => {
                self.keys.iter().any(|known| known.key_data() == key.key_data()) && !self.is_revoked(key.key_data())
            }
            PublicKeyOrCertificate::Certificate(certificate) => self.accepts_certificate(certificate),
        }
    }

    /// As OpenSSH does: a host certificate, of an authority that is trusted, for this name, at this time, and with no option
    /// that would have to be understood.
    fn accepts_certificate(&self, certificate: &Certificate) -> bool {
        let fingerprints: Vec<_> = self.authorities.iter().map(|key| key.fingerprint(HashAlg::Sha256)).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default();
        certificate.cert_type() == CertType::Host
            && certificate.critical_options().is_empty()
            && certificate.valid_principals().contains(&self.host)
            && certificate.validate_at(now, &fingerprints).is_ok()
            && ![certificate.public_key(), certificate.signature_key()].into_iter().any(|key| self.is_revoked(key))
    }

    fn is_revoked(&self, key: &KeyData) -> bool {
        self.revoked.iter().any(|revoked| revoked.key_data() == key)
    }

    /// The algorithms to ask for, those of known keys first: a host that has several keys is to show one that is known.
    pub(super) fn algorithms(&self) -> Cow<'static, [Algorithm]> {
        let all = russh::Preferred::DEFAULT.key;
        let known = |algorithm: &Algorithm| self.keys.iter().any(|key| same_kind(&key.algorithm(), algorithm));
        let (mut first, rest): (Vec<_>, Vec<_>) = all.iter().cloned().partition(known);
        first.extend(rest);
        Cow::Owned(first)
    }

    /// The algorithms of certificates to ask for: none, where no authority is trusted.
    pub(super) fn certificate_algorithms(&self) -> Cow<'static, [Algorithm]> {
        if self.authorities.is_empty() { Cow::Borrowed(&[]) } else { russh::Preferred::DEFAULT.key }
    }

    /// Why a host that has shown this is refused.
    pub(super) fn refused(&self, port: u32, shown: &PublicKeyOrCertificate) -> TargetFailure {
        let at = format!("{}:{port}", self.host);
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else {
            let reason = format!("the host certificate of {at} is not one that the role trusts");
            return TargetFailure::new(Code::TargetHostKey, reason)
                .hint("check its authority, its names and its dates with ssh-keygen -L");
        };
        let fingerprint = key.fingerprint(HashAlg::Sha256);
        if self.is_revoked(key.key_data()) {
            let reason = format!("the host key of {at} is revoked by the agent's known_hosts: it is {fingerprint}");
            return TargetFailure::new(Code::TargetHostKey, reason)
                .hint("whoever has that key may be somebody else; ask who revoked it");
        }
        let (reason, hint) = match self.keys.iter().any(|known| same_kind(&known.algorithm(), &key.algorithm())) {
            true => (
                format!("the host key of {at} has changed: it is {fingerprint} now"),
                "somebody may be in between; if the machine was set up anew, an administrator trusts its new key",
            ),
            false => (
                format!("the host key of {at} is not known: it is {fingerprint}"),
                "an administrator who has compared it trusts it with hoop admin roles trust",
            ),
        };
        let mut failure = TargetFailure::new(Code::TargetHostKey, reason).hint(hint);
        failure.target_error = line(key).into();
        failure
    }
}

/// A key as files have it, without a comment.
pub(super) fn line(key: &PublicKey) -> String {
    let mut key = key.clone();
    key.set_comment("");
    key.to_openssh().map(|line| line.trim().to_owned()).unwrap_or_default()
}

/// Whether keys are of one kind. RSA is one, whatever it is signed with.
fn same_kind(one: &Algorithm, other: &Algorithm) -> bool {
    one == other || matches!((one, other), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }))
}

fn parse(lines: &[String]) -> Result<Vec<PublicKey>, TargetFailure> {
    let key = |line: &String| {
        PublicKey::from_openssh(line).map_err(|error| {
            let reason = format!("`{}` is no public key: {error}", line.chars().take(80).collect::<String>());
            TargetFailure::new(Code::TargetHostKey, reason).hint("write it as in a .pub file: ssh-ed25519 AAAA…")
        })
    };
    lines.iter().map(key).collect()
}

/// The keys in the lines of a `known_hosts` file that begin with `@revoked`, of whatever hosts: a key that somebody else has is
/// nobody's any more.
async fn revoked(path: &str) -> Result<Vec<PublicKey>, TargetFailure> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let unusable = |what: String| TargetFailure::new(Code::TargetHostKey, format!("{path} cannot be read: {what}"));
    let text = match tokio::fs::read(path).await {
        Ok(text) => text,
        // It names no keys either.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unusable(error.to_string())),
    };
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().filter_map(|line| line.trim_start().strip_prefix("@revoked"));
    let key = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().skip(1).take(2).collect();
        PublicKey::from_openssh(&words.join(" ")).map_err(|error| unusable(format!("a key that it revokes: {error}")))
    };
    lines.map(key).collect()
}

async fn known(target: &SshTarget) -> Result<Vec<PublicKey>, TargetFailure> {
    if target.known_hosts.is_empty() {
        return Ok(Vec::new());
    }
    let (host, path) = (target.host.clone(), target.known_hosts.clone());
    let port = u16::try_from(target.port).unwrap_or_default();
    let read = tokio::task::spawn_blocking(move || known_hosts::known_host_keys_path(&host, port, path)).await;
    let unreadable = |error: &dyn std::fmt::Display| {
        let reason = format!("{} cannot be read: {error}", target.known_hosts);
        TargetFailure::new(Code::TargetHostKey, reason)
    };
    match read {
        Ok(Ok(found)) => Ok(found.into_iter().map(|(_, key)| key).collect()),
        Ok(Err(error)) => Err(unreadable(&error)),
        Err(error) => Err(unreadable(&error)),
    }
}

#[cfg(test)]
mod tests {
    use russh::keys::PrivateKey;
    use russh::keys::key::safe_rng;

    use super::*;

    fn key() -> PublicKey {
        PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).expect("a key").public_key().clone()
    }

    async fn trust(lines: &str, pinned: &[&PublicKey]) -> Result<Trust, TargetFailure> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("known_hosts");
        std::fs::write(&file, lines).expect("written");
        let target = SshTarget {
            host: "web".to_owned(),
            port: 22,
            host_keys: pinned.iter().map(|key| line(key)).collect(),
            known_hosts: file.display().to_string(),
            ..SshTarget::default()
        };
        Trust::of(&target).await
    }

    #[tokio::test]
    async fn a_revoked_key_is_nobodys_whoever_else_names_it() {
        let (good, stolen) = (key(), key());
        let shows = |key: &PublicKey| PublicKeyOrCertificate::PublicKey { key: key.clone(), hash_alg: None };
        for revoking in
            [format!("@revoked * {}", line(&stolen)), format!("  @revoked\tother,hosts {} why", line(&stolen))]
        {
            let lines = format!("web {}\nweb {}\n{revoking}\n", line(&good), line(&stolen));
            let trust = trust(&lines, &[&stolen]).await.unwrap_or_else(|failure| panic!("{}", failure.reason));
            assert!(trust.accepts(&shows(&good)) && !trust.accepts(&shows(&stolen)), "{revoking}");
            assert!(trust.refused(22, &shows(&stolen)).reason.contains("revoked"));
        }
        assert!(trust("@revoked * ssh-ed25519 AAAA", &[&good]).await.is_err(), "what cannot be read revokes something");
    }
}
