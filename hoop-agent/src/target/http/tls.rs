//! TLS to a service, and which version of HTTP is agreed on in it ([RFC 7301]).
//!
//! [RFC 7301]: https://www.rfc-editor.org/rfc/rfc7301

use std::sync::Arc;

use hoop_proto::tunnel::v1::{HttpTarget, SuppliedSecret};
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::TargetFailure;
use crate::roots;
use crate::secret::SecretSources;
use crate::target::tls::{Identity, failure, identity, root_file, root_store};

/// TLS sessions that are kept to be gone on with: those of one target.
const RESUMED: usize = 8;

/// Which versions of HTTP are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    /// Both, and the target chooses.
    Both,
    Http1,
    Http2,
}

impl Offer {
    fn names(self) -> Vec<Vec<u8>> {
        let names: &[&[u8]] = match self {
            Self::Both => &[b"h2", b"http/1.1"],
            Self::Http1 => &[b"http/1.1"],
            Self::Http2 => &[b"h2"],
        };
        names.iter().map(|name| name.to_vec()).collect()
    }
}

/// How to speak TLS to a service.
pub(super) struct Tls {
    both: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

impl Tls {
    /// As a role says.
    pub(super) async fn new(
        target: &HttpTarget,
        supplied: &[SuppliedSecret],
        secrets: &SecretSources,
    ) -> Result<Self, TargetFailure> {
        let roots = root_store(&target.sslrootcert).await?;
        let identity = identity(&target.sslcert, &target.sslkey, supplied, secrets).await?;
        Self::with(roots, identity)
    }

    /// For services beside the target: the public authorities are trusted there, and those of the target.
    pub(super) async fn beside(target: &HttpTarget) -> Result<Self, TargetFailure> {
        let mut roots = roots::public();
        if !target.sslrootcert.is_empty() {
            let file = &target.sslrootcert;
            roots.roots.extend(roots::from_pem(&root_file(file).await?, file).map_err(failure)?.roots);
        }
        Self::with(Arc::new(roots), None)
    }

    fn with(roots: Arc<RootCertStore>, identity: Option<Identity>) -> Result<Self, TargetFailure> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failure(format!("TLS cannot be set up: {error}")))?
            .with_root_certificates(roots);
        let mut config = match identity {
            Some((chain, key)) => builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| failure(format!("the client certificate cannot be used: {error}")))?,
            None => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::in_memory_sessions(RESUMED);
        let offering = |offer: Offer| {
            let mut config = config.clone();
            config.alpn_protocols = offer.names();
            Arc::new(config)
        };
        Ok(Self { both: offering(Offer::Both), http1: offering(Offer::Http1), http2: offering(Offer::Http2) })
    }

    /// Speaks TLS. What is agreed on is in the stream.
    pub(super) async fn handshake<Io: AsyncRead + AsyncWrite + Send + Unpin>(
        &self,
        host: &str,
        io: Io,
        offer: Offer,
    ) -> Result<TlsStream<Io>, TargetFailure> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| failure(format!("`{host}` is no name that a certificate can be issued for")))?;
        let config = match offer {
            Offer::Both => &self.both,
            Offer::Http1 => &self.http1,
            Offer::Http2 => &self.http2,
        };
        TlsConnector::from(Arc::clone(config)).connect(name, io).await.map_err(|error| {
            failure(format!("TLS with {host} failed: {error}"))
                .hint("check the role's URL, sslrootcert and client certificate against the target's certificate")
        })
    }
}
