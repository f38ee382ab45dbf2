//! How a gateway is recognized: by an authority, by the fingerprint of its certificate, or by a channel binding.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context as _;
use aws_lc_rs::digest;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::net::TcpStream;

use crate::failure::Failure;

/// SHA-256 of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
        Self(hash)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    /// `sha256:` and 64 hexadecimal digits; also as openssl writes it, in capitals with colons between.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "a fingerprint is `sha256:` and 64 hexadecimal digits".to_owned();
        let digits: String = text.strip_prefix("sha256:").unwrap_or(text).chars().filter(|c| *c != ':').collect();
        let mut hash = [0; 32];
        if digits.len() != 64 || !digits.is_ascii() {
            return Err(wrong());
        }
        for (at, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(hash))
    }
}

/// What a gateway's certificate is verified against. Neither: the authorities of this machine.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trust {
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) fingerprint: Option<Fingerprint>,
}

impl Trust {
    /// Verifies as asked for; `None` where this machine's authorities decide.
    pub(crate) fn client_config(&self) -> Result<Option<ClientConfig>, Failure> {
        match (self.fingerprint, &self.ca_file) {
            (Some(pin), _) => Ok(Some(with_verifier(Accept::Pinned(pin))?)),
            (None, Some(file)) => {
                let builder = builder()?.with_root_certificates(authorities(file)?);
                Ok(Some(builder.with_no_client_auth()))
            }
            (None, None) => Ok(None),
        }
    }

    /// As [`client_config`](Self::client_config), with this machine's authorities spelled out.
    pub(crate) fn verified(&self) -> Result<ClientConfig, Failure> {
        match self.client_config()? {
            Some(config) => Ok(config),
            None => Ok(builder()?.with_platform_verifier()?.with_no_client_auth()),
        }
    }
}

/// For connections on which nothing is verified by certificate, since nothing is encrypted.
pub(crate) fn no_tls() -> Result<ClientConfig, Failure> {
    Ok(builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// For a login that is bound to the channel: whoever is in between shows another certificate, and the login fails.
pub(crate) fn bound() -> Result<ClientConfig, Failure> {
    with_verifier(Accept::Any)
}

/// The certificate that a server shows, whoever signed it.
pub(crate) async fn shown(host: &str, port: u16) -> Result<Fingerprint, Failure> {
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
    let tcp = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(with_verifier(Accept::Any)?));
    let stream = connector.connect(name, tcp).await?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    certificate.map(Fingerprint::of).ok_or_else(|| Failure::new(1, "the gateway shows no certificate"))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, Failure> {
    Ok(ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?)
}

fn with_verifier(accept: Accept) -> Result<ClientConfig, Failure> {
    let verifier = Arc::new(Verifier { accept, provider: provider() });
    Ok(builder()?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

fn authorities(file: &Path) -> Result<RootCertStore, Failure> {
    let named = || format!("the authorities in {} cannot be used", file.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).with_context(named)? {
        roots.add(certificate.with_context(named)?).with_context(named)?;
    }
    if roots.is_empty() { Err(Failure::new(1, format!("{} holds no certificate", file.display()))) } else { Ok(roots) }
}

#[derive(Debug, Clone, Copy)]
enum Accept {
    Any,
    Pinned(Fingerprint),
}

/// Accepts certificates for what they are, and not for who signed them. The handshake's own signature is always verified.
#[derive(Debug)]
struct Verifier {
    accept: Accept,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.accept {
            Accept::Pinned(pin) if pin != Fingerprint::of(end_entity) => {
                Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
            Accept::Any | Accept::Pinned(_) => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// A server with a certificate of its own: its port, and the certificate in DER and PEM.
    pub(crate) async fn server(tasks: &tokio_util::task::TaskTracker) -> (u16, CertificateDer<'static>, String) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("made");
        let certificate = made.cert.der().clone();
        let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let config = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .expect("they fit");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        tasks.spawn(async move {
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
            while let Ok((tcp, _)) = listener.accept().await {
                // A client that does not like the certificate ends the handshake.
                let _ = acceptor.accept(tcp).await;
            }
        });
        (port, certificate, made.cert.pem())
    }

    async fn connects(trust: &Trust, port: u16) -> bool {
        let config = trust.client_config().expect("usable").expect("it says how");
        let tcp = TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
        let name = ServerName::try_from("localhost").expect("a name");
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.is_ok()
    }

    #[tokio::test]
    async fn a_pin_lets_one_certificate_through_and_an_authority_its_own() {
        let tasks = tokio_util::task::TaskTracker::new();
        let (port, certificate, pem) = server(&tasks).await;
        let (other_port, other, _) = server(&tasks).await;
        assert_eq!(shown("127.0.0.1", port).await.expect("shown"), Fingerprint::of(&certificate));
        let pinned = |certificate| Trust { ca_file: None, fingerprint: Some(Fingerprint::of(certificate)) };
        assert!(connects(&pinned(&certificate), port).await);
        assert!(!connects(&pinned(&other), port).await);
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, pem).expect("written");
        let authority = Trust { ca_file: Some(file), fingerprint: None };
        assert!(connects(&authority, port).await);
        assert!(!connects(&authority, other_port).await);
    }

    #[test]
    fn fingerprints_are_read_in_both_spellings() {
        let pin = Fingerprint([0xab; 32]);
        assert_eq!(pin.to_string().parse(), Ok(pin));
        assert_eq!(["AB"; 32].join(":").parse(), Ok(pin));
        for wrong in ["", "sha256:", "sha256:abcd", &"g".repeat(64), &"é".repeat(32)] {
            assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
        }
    }
}
