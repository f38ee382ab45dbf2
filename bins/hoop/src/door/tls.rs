//! TLS to the door for HTTP: browsers and programs of this machine that come by a port of it do not speak it themselves.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::tcp;
use crate::credentials::Credential;
use crate::failure::Failure;
use crate::gateway::is_loopback;
use crate::trust::Trust;

/// How the door is recognized.
#[derive(Clone)]
pub(crate) struct Tls {
    name: ServerName<'static>,
    /// Each is enough: the certificate that the gateway's API knows, and what the API itself is verified against.
    ways: Vec<Arc<ClientConfig>>,
}

impl Tls {
    pub(super) fn of(credential: &Credential, trust: &Trust) -> Result<Self, Failure> {
        let own = credential.origin.as_ref().filter(|origin| !is_loopback(origin)).and_then(|origin| origin.host_str());
        let name = own.unwrap_or(&credential.host).trim_matches(['[', ']']).to_owned();
        let shown = credential.tunnel.as_ref().and_then(|tunnel| tunnel.certificate.as_deref());
        let shown = shown.map(str::parse).transpose();
        let shown = shown.map_err(|error: String| Failure::new(1, format!("the gateway's certificate: {error}")))?;
        // A pin of the API's certificate is no pin of this one.
        let usual = Trust { ca_file: trust.ca_file.clone(), fingerprint: None };
        let pinned = shown.map(|fingerprint| Trust { ca_file: None, fingerprint: Some(fingerprint) });
        let ways = pinned.iter().chain([&usual]).map(|trust| trust.verified().map(Arc::new));
        Ok(Self { name: ServerName::try_from(name)?, ways: ways.collect::<Result<_, _>>()? })
    }

    /// A connection to it.
    ///
    /// # Errors
    /// Of the dialling, and of a certificate that nothing verifies.
    pub(super) async fn dial(&self, host: &str, port: u16, alpn: &[u8]) -> io::Result<TlsStream<TcpStream>> {
        let mut failed = io::Error::other("nothing verifies its certificate");
        for way in &self.ways {
            let mut config = ClientConfig::clone(way);
            config.alpn_protocols = vec![alpn.to_vec()];
            match TlsConnector::from(Arc::new(config)).connect(self.name.clone(), tcp(host, port).await?).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}
