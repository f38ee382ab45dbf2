//! TLS to a server: what is verified as `sslmode` says, and the binding of SCRAM to the channel.

use std::sync::Arc;

use aws_lc_rs::digest;
use hoop_proto::tunnel::v1::{PostgresTarget, SuppliedSecret};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use super::socket::SslMode;
use crate::error::TargetFailure;
use crate::secret::SecretSources;
use crate::target::tls::{self, failure};

/// How to speak TLS to a server.
#[derive(Clone)]
pub(super) struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    pub(super) async fn new(
        target: &PostgresTarget,
        sslmode: SslMode,
        supplied: &[SuppliedSecret],
        secrets: &SecretSources,
    ) -> Result<Self, TargetFailure> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        // As in libpq: given authorities are used, also where the mode alone would not ask for it.
        let verify = match sslmode {
            SslMode::Require | SslMode::Prefer | SslMode::Allow if !target.sslrootcert.is_empty() => SslMode::VerifyCa,
            mode => mode,
        };
        let verifier = Verifier::new(verify, &target.sslrootcert, Arc::clone(&provider)).await?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failure(format!("TLS cannot be set up: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let identity = tls::identity(&target.sslcert, &target.sslkey, supplied, secrets).await?;
        let mut config = match identity {
            Some((chain, key)) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| failure(format!("the client certificate cannot be used: {error}")))?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(Self { config: Arc::new(config) })
    }

    /// Speaks TLS, and gives the hash of the server's certificate ([RFC 5929 §4.1], `tls-server-end-point`).
    ///
    /// [RFC 5929 §4.1]: https://www.rfc-editor.org/rfc/rfc5929#section-4.1
    pub(super) async fn handshake(
        &self,
        host: &str,
        tcp: TcpStream,
    ) -> Result<(TlsStream<TcpStream>, Vec<u8>), TargetFailure> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| failure(format!("`{host}` is no name that a certificate can be issued for")))?;
        let stream = TlsConnector::from(Arc::clone(&self.config)).connect(name, tcp).await.map_err(|error| {
            failure(format!("TLS with {host} failed: {error}"))
                .hint("check the role's sslmode and sslrootcert against the server's certificate")
        })?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let end_point = certificate.and_then(end_point).ok_or_else(|| failure("the server shows no certificate"))?;
        Ok((stream, end_point))
    }
}

/// The certificate hashed with the hash of its own signature, or SHA-256 where that is MD5 or SHA-1.
fn end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    const SHA384: [&str; 2] = ["1.2.840.113549.1.1.12", "1.2.840.10045.4.3.3"];
    const SHA512: [&str; 2] = ["1.2.840.113549.1.1.13", "1.2.840.10045.4.3.4"];
    let parsed = Certificate::from_der(certificate).ok()?;
    let signature = parsed.signature_algorithm().oid.to_string();
    let algorithm = if SHA384.contains(&signature.as_str()) {
        &digest::SHA384
    } else if SHA512.contains(&signature.as_str()) {
        &digest::SHA512
    } else {
        &digest::SHA256
    };
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

/// Verifies as much of a certificate as the mode asks for. The handshake's own signature is always verified.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// `None`: any certificate will do.
    chain: Option<Arc<WebPkiServerVerifier>>,
    /// Whether the certificate must be issued for the host.
    name: bool,
}

impl Verifier {
    async fn new(mode: SslMode, roots: &str, provider: Arc<CryptoProvider>) -> Result<Self, TargetFailure> {
        let chain = if mode >= SslMode::VerifyCa {
            let roots = tls::root_store(roots).await?;
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
            Some(verifier.map_err(|error| failure(format!("the trusted authorities cannot be used: {error}")))?)
        } else {
            None
        };
        Ok(Self { provider, chain, name: mode == SslMode::VerifyFull })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.name => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
