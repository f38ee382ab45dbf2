//! TLS: whom the agent trusts, whom it shows itself to, and which version of HTTP is agreed on.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::server::{Server, paths, serve};
use super::*;

/// An authority, and what it has issued.
struct Issued {
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Issued {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self { authority: CertifiedIssuer::self_signed(params, key).expect("an authority") }
    }

    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        (params.signed_by(&key, &self.authority).expect("issued").pem(), key.serialize_pem())
    }

    fn file(&self, folder: &Path) -> String {
        let path = folder.join("ca.pem");
        std::fs::write(&path, self.authority.pem()).expect("written");
        path.display().to_string()
    }
}

async fn server(issued: &Issued, name: &str, versions: &[&str], clients: bool) -> Server {
    let (certificate, key) = issued.issue(name);
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(issued.authority.der().clone()).expect("an authority");
    let builder = if clients {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        builder.with_client_cert_verifier(verifier.expect("a verifier"))
    } else {
        builder.with_no_client_auth()
    };
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    let mut config = builder.with_single_cert(chain, key).expect("a certificate");
    config.alpn_protocols = versions.iter().map(|version| version.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Server::with(move |io| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(io) = acceptor.accept(io).await {
                serve(io, paths).await;
            }
        }
    })
    .await
}

fn secure(port: u16, authorities: &str) -> HttpTarget {
    HttpTarget {
        scheme: "https".to_owned(),
        host: "localhost".to_owned(),
        sslrootcert: authorities.to_owned(),
        ..target(port)
    }
}

#[tokio::test]
async fn the_version_is_agreed_on_in_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let issued = Issued::new();
    let file = issued.file(folder.path());
    for (served, version, grpc, spoken) in [
        (["h2", "http/1.1"].as_slice(), "auto", false, "HTTP/2.0"),
        (&["http/1.1"], "auto", false, "HTTP/1.1"),
        (&[], "auto", false, "HTTP/1.1"),
        (&["h2", "http/1.1"], "1.1", false, "HTTP/1.1"),
        (&["h2", "http/1.1"], "2", false, "HTTP/2.0"),
        (&["h2", "http/1.1"], "1.1", true, "HTTP/2.0"),
    ] {
        let server = server(&issued, "localhost", served, false).await;
        let target = HttpTarget { version: version.to_owned(), ..secure(server.port, &file) };
        let mut channel = Channel::open(&target).await;
        let answer = channel.ask(HttpRequest { grpc, ..get("/") }).await;
        assert_eq!(answer.field("x-version"), Some(spoken), "{served:?} {version} {grpc}: {answer:?}");
        let websocket = channel.ask(HttpRequest { websocket: true, ..get("/") }).await;
        assert_eq!(websocket.field("x-version"), Some("HTTP/1.1"), "{served:?} {version}");
    }
    let server = server(&issued, "localhost", &["http/1.1"], false).await;
    let mut channel = Channel::open(&secure(server.port, &file)).await;
    let answer = channel.ask(HttpRequest { grpc: true, ..get("/") }).await;
    assert_eq!(answer.code(), Some(Code::TargetTls), "gRPC needs HTTP/2");
}

#[tokio::test]
async fn who_is_not_vouched_for_is_not_talked_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let issued = Issued::new();
    let file = issued.file(folder.path());
    let (right, other) =
        (server(&issued, "localhost", &[], false).await, server(&issued, "other.example", &[], false).await);
    for (target, expected) in [
        (secure(right.port, &file), None),
        (secure(right.port, ""), Some(Code::TargetTls)),
        (secure(other.port, &file), Some(Code::TargetTls)),
        (secure(right.port, "/nowhere/ca.pem"), Some(Code::TargetTls)),
    ] {
        let opened = Channel::with(&target, &[], &settings()).await;
        assert_eq!(opened.err().map(|failure| failure.code), expected, "{target:?}");
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let issued = Issued::new();
    let target = secure(server(&issued, "localhost", &["h2"], true).await.port, &issued.file(folder.path()));
    let (certificate, key) = issued.issue("agent");
    let supplied = [("sslcert", certificate), ("sslkey", key)]
        .map(|(field, value)| SuppliedSecret { field: field.to_owned(), value });
    let mut channel = Channel::with(&target, &supplied, &settings()).await.expect("a session");
    assert_eq!(channel.ask(get("/")).await.status, 200);
    let half = Channel::with(&target, &supplied[..1], &settings()).await.err().expect("half of it");
    assert_eq!(half.code, Code::TargetTls);
}
