//! The gateway's certificate.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
}

impl Clone for TlsIdentity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key(), pem: self.pem.clone() }
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
        let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(pem_error(certificate))?;
        if chain.is_empty() {
            return Err(pem_error(certificate)(rustls_pki_types::pem::Error::NoItemsFound));
        }
        let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(pem_error(key))?;
        Ok(Self { chain, key, pem })
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
