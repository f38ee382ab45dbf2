//! Connections through the gateway's port 8010: each is a stream of one HTTP/2 connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use hoop_proto::tunnel::v1::access_client::AccessClient;
use hoop_proto::tunnel::v1::{DialDown, DialStart, DialUp, dial_down, dial_up};
use hoop_proto::tunnel::{Connection, chunks};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request, Status};
use tower::service_fn;
use url::Url;

use super::Wire;
use crate::api::{Api, innermost};
use crate::credentials::{self, host_for_url};
use crate::failure::Failure;
use crate::gateway::is_loopback;
use crate::output::printable;
use crate::trust::Trust;

/// How long the gateway may take to be there.
const DEADLINE: Duration = Duration::from_secs(10);
/// How much of one connection the gateway may send ahead of a client that does not read, in bytes.
const STREAM_WINDOW: u32 = 512 * 1024;
/// What all connections together may be ahead: room for as many as are open at once, so that one that is stuck never stops
/// another.
const CONNECTION_WINDOW: u32 = 256 * STREAM_WINDOW;
/// The longest message; the gateway sends chunks of 64 KiB.
const MAX_MESSAGE: usize = 1024 * 1024;

/// The tunnel of a gateway, for one caller.
#[derive(Clone)]
pub(crate) struct Tunnel {
    client: AccessClient<Channel>,
    token: MetadataValue<Ascii>,
    address: String,
    /// What is spoken at the door that is meant.
    protocol: &'static str,
}

impl Tunnel {
    /// The tunnel that this API names, for whom is signed in there. It is dialled when it is used.
    pub(super) fn new(tunnel: &credentials::Tunnel, protocol: &'static str, api: &Api) -> Result<Self, Failure> {
        let address = format!("{}:{}", host_for_url(&tunnel.host), tunnel.port);
        if !tunnel.tls {
            check_plain(&address, api)?;
        }
        let mut token: MetadataValue<Ascii> = format!("Bearer {}", api.token()).parse()?;
        token.set_sensitive(true);
        let client = AccessClient::new(channel(tunnel, &address, api.trust())?).max_decoding_message_size(MAX_MESSAGE);
        Ok(Self { client, token, address, protocol })
    }

    /// A connection to the door.
    pub(super) async fn dial(&self) -> Result<Wire, Failure> {
        let (outgoing, written) = chunks();
        let start = DialStart { protocol: self.protocol.to_owned() };
        let first = futures::stream::iter([dial_up::Body::Start(start)]);
        let rest = ReceiverStream::new(written).map(dial_up::Body::Data);
        let mut request = Request::new(first.chain(rest).map(|body| DialUp { body: Some(body) }));
        request.metadata_mut().insert("authorization", self.token.clone());
        let answer = self.client.clone().dial(request).await.map_err(|status| self.refused(&status))?;
        Ok(Box::new(Connection::new(answer.into_inner().map(received), outgoing)))
    }

    fn refused(&self, status: &Status) -> Failure {
        let said = printable(status.message());
        match status.code() {
            Code::Unauthenticated => Failure::new(Failure::NOT_SIGNED_IN, said).hint("hoop login"),
            Code::PermissionDenied => Failure::new(Failure::DENIED, said),
            Code::Unimplemented => {
                let text = format!("the gateway at {} has no tunnel for clients", self.address);
                Failure::new(Failure::UNAVAILABLE, text).hint("upgrade it, or --via native")
            }
            _ => {
                let text = format!("the gateway's tunnel at {} is not there: {}", self.address, innermost(status));
                Failure::new(Failure::UNAVAILABLE, text)
            }
        }
    }
}

/// A token goes to another machine in clear text only where it was allowed to go so to the API.
fn check_plain(address: &str, api: &Api) -> Result<(), Failure> {
    let (url, base) = (Url::parse(&format!("http://{address}"))?, Url::parse(api.base())?);
    if is_loopback(&url) || (base.scheme() == "http" && !is_loopback(&base)) {
        return Ok(());
    }
    let text = format!("the gateway's tunnel at {address} has no TLS, and the token would go there without encryption");
    Err(Failure::new(1, text).hint("set listen.grpc.tls of the gateway, or --via native"))
}

fn channel(tunnel: &credentials::Tunnel, address: &str, trust: &Trust) -> Result<Channel, Failure> {
    let (host, port) = (tunnel.host.clone(), tunnel.port);
    let tls = if tunnel.tls { Some(connector(tunnel, trust)?) } else { None };
    let endpoint = Endpoint::try_from(format!("http://{address}"))?
        .connect_timeout(DEADLINE)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        // A gateway that is gone without a word is noticed.
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(DEADLINE);
    Ok(endpoint.connect_with_connector_lazy(service_fn(move |_: Uri| {
        let (host, tls) = (host.clone(), tls.clone());
        async move {
            let tcp = TcpStream::connect((host.as_str(), port)).await?;
            tcp.set_nodelay(true)?;
            let wire: Wire = match tls {
                Some((tls, name)) => Box::new(tls.connect(name, tcp).await?),
                None => Box::new(tcp),
            };
            Ok::<_, io::Error>(TokioIo::new(wire))
        }
    })))
}

/// The gateway's API knows the certificate where no authority does; and else its own authorities are asked.
fn connector(tunnel: &credentials::Tunnel, trust: &Trust) -> Result<(TlsConnector, ServerName<'static>), Failure> {
    let pinned = tunnel.certificate.as_deref().map(str::parse).transpose();
    let pinned = pinned.map_err(|error: String| Failure::new(1, format!("the tunnel's certificate: {error}")))?;
    let trust = match pinned {
        Some(fingerprint) => Trust { ca_file: None, fingerprint: Some(fingerprint) },
        // A pin of the API's certificate is no pin of this one.
        None => Trust { ca_file: trust.ca_file.clone(), fingerprint: None },
    };
    let mut config = trust.verified()?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from(tunnel.host.clone())?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

fn received(message: Result<DialDown, Status>) -> io::Result<Bytes> {
    match message {
        Ok(DialDown { body: Some(dial_down::Body::Data(data)) }) => Ok(data),
        Ok(DialDown { body: None }) => Err(io::Error::new(io::ErrorKind::InvalidData, "a message that is no data")),
        Err(status) => Err(io::Error::new(io::ErrorKind::ConnectionReset, innermost(&status))),
    }
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::CertificateDer;

    use super::*;
    use crate::trust::{Fingerprint, tests::server};

    fn api(base: &str, trust: &Trust) -> Api {
        Api::new(base, trust).expect("a client").with_token("hoopt_secret")
    }

    fn at(host: &str, port: u16, certificate: Option<Fingerprint>) -> credentials::Tunnel {
        let certificate = certificate.map(|fingerprint| fingerprint.to_string());
        credentials::Tunnel { host: host.to_owned(), port, tls: true, certificate }
    }

    #[tokio::test]
    async fn a_token_goes_to_nobody_who_is_not_known() {
        let tasks = tokio_util::task::TaskTracker::new();
        let (port, ..) = server(&tasks).await;
        let other = Fingerprint::of(&CertificateDer::from(vec![7]));
        for certificate in [Some(other), None] {
            let tunnel =
                Tunnel::new(&at("localhost", port, certificate), "postgres", &api("https://gw", &Trust::default()));
            let failure = tunnel.expect("lazy").dial().await.err().expect("not trusted");
            assert!(failure.is_unavailable() && failure.to_string().contains("certificate"), "{failure}");
        }
    }

    /// Channels are made within a runtime.
    #[tokio::test]
    async fn a_token_goes_nowhere_in_clear_text() {
        let plain = |host: &str| credentials::Tunnel { tls: false, ..at(host, 8010, None) };
        let made = |host: &str, base: &str| Tunnel::new(&plain(host), "ssh", &api(base, &Trust::default()));
        assert!(made("gw.example.com", "https://gw.example.com").is_err());
        assert!(made("gw.example.com", "http://localhost:8009").is_err(), "that one is this machine's own");
        assert!(made("gw.example.com", "http://gw.example.com").is_ok(), "it was allowed at the login");
        assert!(made("::1", "http://[::1]:8009").is_ok());
    }
}
