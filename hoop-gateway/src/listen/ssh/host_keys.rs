//! The keys by which SSH clients know the gateway.
//!
//! They are derived from the gateway's secret, as the key of agents' tokens is: they last as long as that, every replica shows
//! the same ones, and neither the store nor a backup of it has them.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey as Scalar};
use russh::keys::ssh_key::private::{EcdsaKeypair, Ed25519Keypair, KeypairData};
use russh::keys::ssh_key::public::EcdsaPublicKey;
use russh::keys::{HashAlg, PrivateKey};

use crate::auth::GatewaySecret;

const ED25519: &str = "hoop gateway 2026 ssh host key ed25519";
/// Of all numbers of 32 bytes, one in 2^32 is no private key of this curve; then the next one is taken.
const NISTP256: [&str; 3] = [
    "hoop gateway 2026 ssh host key ecdsa-sha2-nistp256",
    "hoop gateway 2026 ssh host key ecdsa-sha2-nistp256, the second",
    "hoop gateway 2026 ssh host key ecdsa-sha2-nistp256, the third",
];

/// The host keys, the preferred one first: Ed25519, and ECDSA on P-256 for clients that have no other.
#[derive(Clone)]
pub(crate) struct SshHostKeys(Arc<[PrivateKey]>);

impl SshHostKeys {
    /// Those of the gateway with this secret.
    pub(crate) fn of(secret: &GatewaySecret) -> Self {
        let ed25519 = KeypairData::from(Ed25519Keypair::from_seed(secret.derive(ED25519).expose()));
        let nistp256 = NISTP256.iter().find_map(|purpose| nistp256(secret.derive(purpose).expose()));
        let nistp256 = KeypairData::from(nistp256.expect("one number in three is a private key"));
        let keys = [ed25519, nistp256].map(|key| PrivateKey::new(key, "").expect("an unencrypted pair is a key"));
        Self(keys.into())
    }

    /// With their private halves, for the door.
    pub(crate) fn private(&self) -> &[PrivateKey] {
        &self.0
    }

    /// Their public halves, one line of OpenSSH's each.
    pub(crate) fn public(&self) -> Vec<String> {
        self.0.iter().map(|key| key.public_key().to_string()).collect()
    }
}

impl fmt::Debug for SshHostKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| key.fingerprint(HashAlg::Sha256).to_string())).finish()
    }
}

fn nistp256(scalar: &[u8; 32]) -> Option<EcdsaKeypair> {
    let point = Scalar::from_private_key(&ECDH_P256, scalar).ok()?.compute_public_key().ok()?;
    match EcdsaPublicKey::from_sec1_bytes(point.as_ref()).ok()? {
        EcdsaPublicKey::NistP256(public) => Some(EcdsaKeypair::NistP256 { public, private: (*scalar).into() }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hoop_core::Secret;

    use super::*;

    fn keys(byte: u8) -> SshHostKeys {
        SshHostKeys::of(&GatewaySecret::new(Secret::new([byte; 32])))
    }

    #[test]
    fn they_last_as_long_as_the_secret_and_do_not_show() {
        let lines = keys(7).public();
        assert_eq!(lines, keys(7).public());
        assert!(
            lines[0].starts_with("ssh-ed25519 AAAA") && lines[1].starts_with("ecdsa-sha2-nistp256 AAAA"),
            "{lines:?}"
        );
        assert!(keys(8).public().iter().all(|line| !lines.contains(line)));
        assert!(format!("{:?}", keys(7)).starts_with("[\"SHA256:"));
    }

    #[test]
    fn what_is_signed_with_them_is_theirs() {
        for key in keys(7).private() {
            let signed = key.sign("hoop-test", HashAlg::Sha256, b"message").expect("signed");
            assert!(key.public_key().verify("hoop-test", b"message", &signed).is_ok(), "{:?}", key.algorithm());
        }
    }
}
