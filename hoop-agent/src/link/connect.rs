//! Dialling the gateway.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use hoop_proto::dsn::Dsn;
use hoop_proto::tunnel::{Coalescing, Poller, read_ahead};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;

use crate::agent::Settings;
use crate::error::ConnectError;

/// Flow control of one carry stream: as much as a client may be ahead of its target. It is what the gateway grants in the
/// other direction.
const STREAM_WINDOW: u32 = 512 * 1024;
/// Flow control of all carry streams together. What a stuck stream holds counts here, too, so that there is room for as
/// many of them as a gateway opens: one that is stuck must never stop another.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A channel to the gateway that dials when it is used. What looks for more is told of what passes.
pub(super) fn channel(settings: &Settings, poller: Option<Poller>) -> Result<Channel, ConnectError> {
    let dsn = &settings.dsn;
    let (host, port) = (dsn.host.clone(), dsn.port);
    let tls = if dsn.tls { Some((tls_config(settings)?, server_name(dsn)?)) } else { None };
    let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let endpoint = Endpoint::try_from(format!("http://{authority}"))
        .map_err(|error| unreachable(dsn, error))?
        .connect_timeout(Duration::from_secs(10))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        // A connection that a firewall has forgotten is found before the next session needs it.
        .keep_alive_while_idle(true);
    Ok(endpoint.connect_with_connector_lazy(service_fn(move |_: Uri| {
        let (host, tls, poller) = (host.clone(), tls.clone(), poller.clone());
        async move {
            let tcp = TcpStream::connect((host.as_str(), port)).await?;
            tcp.set_nodelay(true)?;
            let io: Box<dyn Io> = match tls {
                Some((config, name)) => {
                    Box::new(TlsConnector::from(config).connect(name, read_ahead(tcp)).await.map_err(not_trusted)?)
                }
                None => Box::new(tcp),
            };
            Ok::<_, io::Error>(TokioIo::new(Coalescing::new(io, poller)))
        }
    })))
}

pub(super) fn unreachable(dsn: &Dsn, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ConnectError {
    ConnectError::Unreachable { address: format!("{}:{}", dsn.host, dsn.port), source: source.into() }
}

fn server_name(dsn: &Dsn) -> Result<ServerName<'static>, ConnectError> {
    ServerName::try_from(dsn.host.clone()).map_err(|error| unreachable(dsn, error))
}

/// A failed handshake, with what to do about a certificate that is not trusted.
fn not_trusted(error: io::Error) -> io::Error {
    let certificate = match error.get_ref().and_then(|error| error.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(certificate)) => certificate,
        _ => return error,
    };
    match certificate {
        CertificateError::UnknownIssuer => io::Error::other(
            "its certificate is not from an authority that this agent trusts; name the authority's PEM file in ca_file or \
             HOOP_CA_FILE",
        ),
        CertificateError::ApplicationVerificationFailure => io::Error::other(
            "it shows another certificate than the one that this agent's key names; give the agent a new key",
        ),
        _ => error,
    }
}

fn tls_config(settings: &Settings) -> Result<Arc<ClientConfig>, ConnectError> {
    let dsn = &settings.dsn;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| unreachable(dsn, error))?;
    let mut config = match dsn.certificate {
        Some(sha256) => builder.dangerous().with_custom_certificate_verifier(Arc::new(Pinned { sha256, provider })),
        None => builder.with_root_certificates(settings.roots.clone()),
    }
    .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// Accepts exactly one certificate, by its SHA-256; its name and its issuer do not matter then.
#[derive(Debug)]
struct Pinned {
    sha256: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if digest::digest(&digest::SHA256, end_entity).as_ref() == self.sha256 {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
