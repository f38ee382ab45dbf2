//! Keys and certificates for one login, of an authority whose key the agent finds.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use russh::keys::key::safe_rng;
use russh::keys::ssh_key::certificate::{Builder, CertType};
use russh::keys::{Algorithm, Certificate, PrivateKey, ssh_key};

/// How long a certificate is good for: it is shown once, at the login.
const LASTS: Duration = Duration::from_secs(5 * 60);
/// Clocks differ.
const SKEW: Duration = Duration::from_secs(60);
/// What a server lets a certificate do that OpenSSH's own tool makes without options, but for a user's `rc` file.
const EXTENSIONS: [&str; 4] =
    ["permit-X11-forwarding", "permit-agent-forwarding", "permit-port-forwarding", "permit-pty"];

/// A new key, and a certificate for it that names the user to log in as, and the session in its key id.
pub(super) fn mint(
    authority: &PrivateKey,
    user: &str,
    session: &str,
) -> Result<(Arc<PrivateKey>, Certificate), ssh_key::Error> {
    let mut random = safe_rng();
    let key = PrivateKey::random(&mut random, Algorithm::Ed25519)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (after, before) = (now.saturating_sub(SKEW).as_secs(), (now + LASTS).as_secs());
    let mut certificate = Builder::new_with_random_nonce(&mut random, key.public_key(), after, before)?;
    certificate.cert_type(CertType::User)?;
    certificate.key_id(format!("hoop {session}"))?;
    certificate.valid_principal(user)?;
    for extension in EXTENSIONS {
        certificate.extension(extension, "")?;
    }
    let certificate = certificate.sign(authority)?;
    Ok((Arc::new(key), certificate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use russh::keys::HashAlg;

    #[test]
    fn a_certificate_is_for_one_user_and_one_session() {
        let authority = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).expect("a key");
        let (key, certificate) = mint(&authority, "deploy", "ses_1").expect("a certificate");
        assert_eq!(certificate.public_key(), key.public_key().key_data());
        assert_eq!((certificate.valid_principals(), certificate.key_id()), (&["deploy".to_owned()][..], "hoop ses_1"));
        assert!(certificate.critical_options().is_empty() && certificate.cert_type() == CertType::User);
        let trusted = [authority.public_key().fingerprint(HashAlg::Sha256)];
        assert!(certificate.validate(&trusted).is_ok());
        assert!(certificate.validate_at(certificate.valid_before() + 1, &trusted).is_err());
    }
}
