//! A session at the gateway's PostgreSQL door.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_lc_rs::digest;
use futures::future::BoxFuture;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::{ChannelBinding as Binding, SslMode};
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::{CancelToken, Client, Config, Connection};
use tokio_rustls::{TlsConnector, client};
use tokio_util::task::TaskTracker;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use crate::credentials::Credential;
use crate::door::{Door, Wire};
use crate::failure::Failure;
use crate::trust;

/// How long a gateway that is asked to cancel may take.
const CANCEL: Duration = Duration::from_secs(5);

/// The gateway's door, and how it is entered.
pub(super) struct Gateway<'a> {
    pub(super) credential: &'a Credential,
    pub(super) door: Door,
    /// Settings of the session, in the form of `PGOPTIONS`.
    pub(super) settings: Option<String>,
    /// Whoever sees connections off that are dropped.
    pub(super) tasks: &'a TaskTracker,
}

impl Gateway<'_> {
    /// Logs in. The login is bound to the TLS channel: it fails when somebody is in between, whoever signed the certificate.
    pub(super) async fn open(&self) -> Result<(Client, Connection<Wire, Socket>), Failure> {
        let Credential { user, password, database, .. } = self.credential;
        let mut config = Config::new();
        config.user(user).password(password.expose()).dbname(database).application_name("hoop exec");
        if let Some(settings) = &self.settings {
            config.options(settings);
        }
        if self.credential.is_encrypted() {
            config.ssl_mode(SslMode::Require).channel_binding(Binding::Require);
        } else {
            config.ssl_mode(SslMode::Disable);
        }
        let opened = config.connect_raw(self.door.dial_for(self.tasks).await?, self.connector()?).await;
        opened.map_err(|error| super::failure(&error))
    }

    /// Asks for the end of the statement that runs.
    pub(super) async fn cancel(&self, token: &CancelToken) -> Result<(), Failure> {
        let asked = async {
            let asked = token.cancel_query_raw(self.door.dial_for(self.tasks).await?, self.connector()?).await;
            asked.map_err(|error| super::failure(&error))
        };
        let late = |_| Failure::new(Failure::UNAVAILABLE, format!("no answer within {} s", CANCEL.as_secs()));
        tokio::time::timeout(CANCEL, asked).await.map_err(late)?
    }

    fn connector(&self) -> Result<Connector, Failure> {
        let mut config = trust::bound()?;
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        let name = ServerName::try_from(self.credential.host.clone())?;
        Ok(Connector { tls: TlsConnector::from(Arc::new(config)), name })
    }
}

/// Speaks TLS to the door.
struct Connector {
    tls: TlsConnector,
    name: ServerName<'static>,
}

impl TlsConnect<Wire> for Connector {
    type Stream = Socket;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Socket>>;

    fn connect(self, wire: Wire) -> Self::Future {
        Box::pin(async move { self.tls.connect(self.name, wire).await.map(Socket) })
    }
}

/// An encrypted connection.
pub(super) struct Socket(client::TlsStream<Wire>);

impl TlsStream for Socket {
    fn channel_binding(&self) -> ChannelBinding {
        let certificate = self.0.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        certificate.and_then(end_point).map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

/// The certificate hashed with the hash of its own signature ([RFC 5929 §4.1]); `None` where that has none, as Ed25519.
///
/// [RFC 5929 §4.1]: https://www.rfc-editor.org/rfc/rfc5929#section-4.1
fn end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let parsed = Certificate::from_der(certificate).ok()?;
    let algorithm = match parsed.signature_algorithm().oid.to_string().as_str() {
        // RSA, and ECDSA; with MD5 and SHA-1, SHA-256 stands in.
        "1.2.840.113549.1.1.4" | "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" => &digest::SHA256,
        "1.2.840.113549.1.1.11" | "1.2.840.10045.4.3.2" => &digest::SHA256,
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => &digest::SHA384,
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => &digest::SHA512,
        _ => return None,
    };
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
