//! The gateway's certificate.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgwire::api::auth::sasl::scram::ScramServerAuth;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};

/// A certificate with its key.
#[derive(Debug)]
pub struct TlsIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    pem: Vec<u8>,
    scram: Option<ScramServerAuth>,
}

impl Clone for TlsIdentity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key(), pem: self.pem.clone(), scram: self.scram.clone() }
    }
}

/// The certificate cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{} cannot be used", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file holds no certificate, or no key.
    #[error("{} holds no usable PEM", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// A certificate could not be made.
    #[error("a self-signed certificate could not be made")]
    Generate(#[from] rcgen::Error),
    /// Certificate and key do not fit.
    #[error("certificate and key cannot be used together")]
    Unusable(#[from] rustls::Error),
}

impl TlsIdentity {
    /// Reads a certificate chain and its key from PEM files.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let read = |path: &Path| fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source });
        let pem_error = |path: &Path| {
            let path = path.to_owned();
            move |source| TlsError::Pem { path, source }
        };
        let pem = read(certificate)?;
        let chain =
            CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(pem_error(certificate))?;
        if chain.is_empty() {
            return Err(pem_error(certificate)(rustls_pki_types::pem::Error::NoItemsFound));
        }
        let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(pem_error(key))?;
        let mut scram = ScramServerAuth::new();
        let scram = scram.configure_certificate(&pem).is_ok().then_some(scram);
        Ok(Self { chain, key, pem, scram })
    }

    /// The self-signed certificate in this folder, made where there is none. It is for `localhost`, the loopback
    /// addresses, and `names`.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub fn self_signed(folder: &Path, names: &[String]) -> Result<Self, TlsError> {
        let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
        if !certificate.exists() || !key.exists() {
            let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            let mut all = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
            for name in names.iter().filter(|name| !name.is_empty()) {
                if !all.contains(name) {
                    all.push(name.clone());
                }
            }
            let mut params = CertificateParams::new(all)?;
            params.distinguished_name.push(DnType::CommonName, "hoop gateway (self-signed)");
            let made = params.self_signed(&pair)?;
            write_private(&key, pair.serialize_pem().as_bytes())?;
            write_private(&certificate, made.pem().as_bytes())?;
        }
        Self::load(&certificate, &key)
    }

    /// SHA-256 of the certificate, as `HOOP_KEY` pins it.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.chain.first().map(|certificate| Sha256::digest(certificate).into()).unwrap_or_default()
    }

    /// SCRAM that can be bound to this certificate (`tls-server-end-point`, [RFC 5929 §4.1]); made once, cheap to clone.
    /// `None` when no hash is defined for its signature, as for Ed25519: SCRAM-SHA-256-PLUS is not to be offered then.
    ///
    /// [RFC 5929 §4.1]: https://www.rfc-editor.org/rfc/rfc5929#section-4.1
    pub const fn scram(&self) -> Option<&ScramServerAuth> {
        self.scram.as_ref()
    }

    /// The certificate chain in PEM.
    pub fn pem(&self) -> &[u8] {
        &self.pem
    }

    /// TLS 1.2 and 1.3 with this certificate, speaking these protocols.
    ///
    /// # Errors
    /// [`TlsError::Unusable`] when certificate and key do not fit.
    pub fn server_config(&self, alpn: &[&[u8]]) -> Result<Arc<ServerConfig>, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

fn write_private(path: &Path, contents: &[u8]) -> Result<(), TlsError> {
    let file = |source| TlsError::File { path: path.to_owned(), source };
    let mut to = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(file)?;
    to.write_all(contents).and_then(|()| to.sync_all()).map_err(file)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD as BASE64;
    use hoop_core::Secret;
    use pgwire::api::auth::sasl::scram::ScramSecret;
    use rcgen::PKCS_ED25519;

    use super::*;
    use crate::auth::scram_client::proof;

    fn identity() -> (tempfile::TempDir, TlsIdentity) {
        let folder = tempfile::tempdir().expect("a folder");
        let identity = TlsIdentity::self_signed(folder.path(), &[]).expect("made");
        (folder, identity)
    }

    /// Whether the server takes the right password with this flag and this binding.
    fn bound(identity: &TlsIdentity, flag: &str, binding: &[u8]) -> bool {
        let (salt, password) = ([1; 16], Secret::new("pencil".to_owned()));
        let (stored_key, server_key) = crate::auth::credential::keys(password.expose(), &salt);
        let secret = ScramSecret::Verifier { salt: salt.to_vec(), iterations: 4096, stored_key, server_key };
        let server = identity.scram().expect("ECDSA with SHA-256 has a binding").clone();
        let Ok((challenge, server)) =
            server.on_client_first_message_with_secret(format!("{flag},,n=,r=abc").as_bytes(), secret)
        else {
            return false;
        };
        let nonce = challenge.split(',').next().expect("a nonce");
        let channel = BASE64.encode([format!("{flag},,").as_bytes(), binding].concat());
        let last = format!("c={channel},{nonce}");
        let (proof, _) = proof(password.expose(), &salt, 4096, &format!("n=,r=abc,{challenge},{last}"));
        server.on_client_final_message(format!("{last},p={proof}").as_bytes()).is_ok()
    }

    #[test]
    fn scram_is_bound_to_this_very_certificate() {
        let ((_folder, ours), (_other, theirs)) = (identity(), identity());
        assert!(bound(&ours, "p=tls-server-end-point", &ours.fingerprint()));
        assert!(!bound(&ours, "p=tls-server-end-point", &theirs.fingerprint()), "somebody is in between");
        assert!(!bound(&ours, "p=tls-unique", &ours.fingerprint()));
        assert!(!bound(&ours, "y", b""), "somebody took the offer of a binding away");
        assert!(bound(&ours, "n", b""), "a client that cannot");
    }

    #[test]
    fn a_certificate_without_a_binding_can_be_used_without_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let pair = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let made =
            CertificateParams::new(vec!["localhost".to_owned()]).expect("a name").self_signed(&pair).expect("signed");
        let (certificate, key) = (folder.path().join("a.crt"), folder.path().join("a.key"));
        write_private(&certificate, made.pem().as_bytes()).expect("written");
        write_private(&key, pair.serialize_pem().as_bytes()).expect("written");
        let identity = TlsIdentity::load(&certificate, &key).expect("usable");
        assert!(identity.scram().is_none() && identity.server_config(&[]).is_ok());
    }

    #[test]
    fn what_is_no_certificate_is_named() {
        let (folder, _) = identity();
        let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
        for (certificate, key, named) in [(&key, &key, "tls.key"), (&certificate, &certificate, "tls.crt")] {
            let error = TlsIdentity::load(certificate, key).expect_err("not usable").to_string();
            assert!(error.contains(named), "{error}");
        }
        let missing = TlsIdentity::load(&folder.path().join("none.crt"), &key).expect_err("missing").to_string();
        assert!(missing.contains("none.crt"), "{missing}");
    }
}
