//! The gateway's certificate.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use pgwire::api::auth::sasl::scram::ScramServerAuth;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use zeroize::Zeroizing;

/// What a certificate that is made here says it is.
const COMMON_NAME: &str = "hoop gateway (self-signed)";
/// What it is for in any case.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A certificate with its key.
#[derive(Debug)]
pub struct TlsIdentity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    pem: Vec<u8>,
    /// SHA-256 of the files that it was read from.
    source: [u8; 32],
    scram: Option<ScramServerAuth>,
}

impl Clone for TlsIdentity {
    fn clone(&self) -> Self {
        let Self { chain, key, pem, source, scram } = self;
        Self { chain: chain.clone(), key: key.clone_key(), pem: pem.clone(), source: *source, scram: scram.clone() }
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
        Pem::read(certificate, key)?.identity()
    }

    /// The self-signed certificate in this folder, made where there is none, and made again, with the same key, where it is
    /// for other names. It is for `localhost`, the loopback addresses, and `names`.
    ///
    /// # Errors
    /// [`TlsError`] names the file.
    pub fn self_signed(folder: &Path, names: &[String]) -> Result<Self, TlsError> {
        let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
        let params = params(names)?;
        if !certificate.exists() || !key.exists() {
            let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            write_private(&key, pair.serialize_pem().as_bytes())?;
            write_private(&certificate, params.self_signed(&pair)?.pem().as_bytes())?;
            return Self::load(&certificate, &key);
        }
        let kept = Self::load(&certificate, &key)?;
        let (before, now) = (kept.made_for(), wanted(&params));
        if before.as_ref().is_none_or(|before| *before == now) {
            return Ok(kept);
        }
        tracing::warn!(
            names = ?now,
            "the self-signed certificate is made again, for other names: agents whose key pins the last one need a new key"
        );
        let pem = fs::read_to_string(&key).map_err(|source| TlsError::File { path: key.clone(), source })?;
        write_private(&certificate, params.self_signed(&KeyPair::from_pem(&pem)?)?.pem().as_bytes())?;
        Self::load(&certificate, &key)
    }

    /// The names that it was made for, where it is one that was made here.
    fn made_for(&self) -> Option<BTreeSet<String>> {
        let parsed = Certificate::from_der(self.chain.first()?).ok()?;
        let parsed = parsed.tbs_certificate();
        if parsed.subject() != parsed.issuer() || !parsed.subject().to_string().contains(COMMON_NAME) {
            return None;
        }
        let (_, SubjectAltName(names)) = parsed.get_extension().ok()??;
        Some(names.iter().filter_map(text).collect())
    }

    /// When the first certificate of the chain ends, and with it what the others say.
    pub(crate) fn ends_at(&self) -> Option<DateTime<Utc>> {
        let end = |der: &CertificateDer<'_>| {
            let end = Certificate::from_der(der).ok()?.tbs_certificate().validity().not_after.to_unix_duration();
            DateTime::from_timestamp(i64::try_from(end.as_secs()).ok()?, 0)
        };
        self.chain.iter().filter_map(end).min()
    }

    /// SHA-256 of the certificate, as `HOOP_KEY` pins it.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.chain.first().map(|certificate| Sha256::digest(certificate).into()).unwrap_or_default()
    }

    /// SHA-256 of what was in the files that it was read from, which says whether they hold something else now.
    pub(crate) const fn source(&self) -> [u8; 32] {
        self.source
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

/// What the files of a certificate and its key hold, whatever that is.
pub(crate) struct Pem<'a> {
    certificate: (&'a Path, Vec<u8>),
    key: (&'a Path, Zeroizing<Vec<u8>>),
}

impl<'a> Pem<'a> {
    pub(crate) fn read(certificate: &'a Path, key: &'a Path) -> Result<Self, TlsError> {
        let read = |path: &Path| fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source });
        Ok(Self { certificate: (certificate, read(certificate)?), key: (key, Zeroizing::new(read(key)?)) })
    }

    pub(crate) fn digest(&self) -> [u8; 32] {
        let certificate = Sha256::digest(&self.certificate.1);
        Sha256::new().chain_update(certificate).chain_update(&*self.key.1).finalize().into()
    }

    pub(crate) fn identity(self) -> Result<TlsIdentity, TlsError> {
        let pem_error = |path: &Path| {
            let path = path.to_owned();
            move |source| TlsError::Pem { path, source }
        };
        let source = self.digest();
        let ((path, pem), (key_path, key)) = (self.certificate, self.key);
        let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>().map_err(pem_error(path))?;
        if chain.is_empty() {
            return Err(pem_error(path)(rustls_pki_types::pem::Error::NoItemsFound));
        }
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(pem_error(key_path))?;
        let mut scram = ScramServerAuth::new();
        let scram = scram.configure_certificate(&pem).is_ok().then_some(scram);
        Ok(TlsIdentity { chain, key, pem, source, scram })
    }
}

/// A certificate for the loopback addresses and these names.
fn params(names: &[String]) -> Result<CertificateParams, TlsError> {
    let mut all = LOOPBACK.map(str::to_owned).to_vec();
    for name in names.iter().filter(|name| !name.is_empty()) {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    let mut params = CertificateParams::new(all)?;
    params.distinguished_name.push(DnType::CommonName, COMMON_NAME);
    Ok(params)
}

fn wanted(params: &CertificateParams) -> BTreeSet<String> {
    let text = |name: &SanType| match name {
        SanType::DnsName(name) => Some(name.as_str().to_owned()),
        SanType::IpAddress(address) => Some(address.to_string()),
        _ => None,
    };
    params.subject_alt_names.iter().filter_map(text).collect()
}

fn text(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_owned()),
        GeneralName::IpAddress(address) => match address.as_bytes().len() {
            4 => Some(IpAddr::from(<[u8; 4]>::try_from(address.as_bytes()).ok()?).to_string()),
            _ => Some(IpAddr::from(<[u8; 16]>::try_from(address.as_bytes()).ok()?).to_string()),
        },
        _ => None,
    }
}

/// Writes it beside its place and moves it there: a start that is killed leaves the old one or the new one.
fn write_private(path: &Path, contents: &[u8]) -> Result<(), TlsError> {
    let file = |source| TlsError::File { path: path.to_owned(), source };
    let beside = path.with_added_extension("new");
    let mut to = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside).map_err(file)?;
    to.write_all(contents).and_then(|()| to.sync_all()).map_err(file)?;
    fs::rename(&beside, path).map_err(file)
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
    fn other_names_make_another_certificate() {
        let folder = tempfile::tempdir().expect("a folder");
        let made = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
            let identity = TlsIdentity::self_signed(folder.path(), &names).expect("made");
            identity.server_config(&[]).expect("usable with the key that is there");
            let key = fs::read(folder.path().join("tls.key")).expect("a key");
            (identity.fingerprint(), identity.made_for().expect("made here"), key)
        };
        let first = made(&["gw.example.com", "10.0.0.1"]);
        assert_eq!(made(&["10.0.0.1", "", "gw.example.com", "localhost"]), first, "the same names in another order");
        let second = made(&["gw.example.com", "2001:db8::1"]);
        assert_ne!(second.0, first.0);
        assert_eq!(second.2, first.2, "the key stays");
        let names = ["127.0.0.1", "2001:db8::1", "::1", "gw.example.com", "localhost"];
        assert_eq!(second.1.iter().map(String::as_str).collect::<Vec<_>>(), names);
        assert_eq!(made(&["gw.example.com", "2001:db8:0::1"]), second, "the same address in another form");
    }

    #[test]
    fn a_certificate_of_somebody_elses_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let made = CertificateParams::new(vec!["other.example.com".to_owned()]).expect("a name").self_signed(&pair);
        write_private(&folder.path().join("tls.crt"), made.expect("signed").pem().as_bytes()).expect("written");
        write_private(&folder.path().join("tls.key"), pair.serialize_pem().as_bytes()).expect("written");
        let identity = TlsIdentity::self_signed(folder.path(), &[]).expect("read");
        assert_eq!(identity.pem(), fs::read(folder.path().join("tls.crt")).expect("there"));
        assert!(identity.made_for().is_none());
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
