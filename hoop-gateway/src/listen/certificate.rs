//! The certificate that the doors show, and how another takes its place while they are open.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use tokio_rustls::TlsAcceptor;

use super::tls::{Pem, TlsError, TlsIdentity};

/// How often the files are looked at. What is new in them is used at the second look that finds it.
const LOOK: Duration = Duration::from_secs(2);

/// What all doors show. Who connects after a change meets the new certificate; connections that are there go on.
#[derive(Clone)]
pub(crate) struct Certificate(Arc<ArcSwap<Shown>>);

/// One certificate, as each door shows it.
///
/// Another certificate is another TLS configuration and not another answer within the same one. The TLS sessions that can
/// be resumed go with the old one: a client that resumed one would bind its login to a certificate that is not shown any
/// more.
pub(crate) struct Shown {
    pub(crate) identity: TlsIdentity,
    /// When it is not good any more; `None` where it does not say so in a form that is read.
    pub(crate) ends_at: Option<DateTime<Utc>>,
    pub(crate) http: TlsAcceptor,
    pub(crate) agents: TlsAcceptor,
    pub(crate) postgres: TlsAcceptor,
}

impl Shown {
    fn new(identity: TlsIdentity) -> Result<Self, TlsError> {
        Ok(Self {
            http: TlsAcceptor::from(identity.server_config(&[b"h2", b"http/1.1"])?),
            agents: TlsAcceptor::from(identity.server_config(&[b"h2"])?),
            // Clients that speak TLS from the first byte on say so ([PostgreSQL, ALPN]).
            postgres: TlsAcceptor::from(identity.server_config(&[b"postgresql"])?),
            ends_at: identity.ends_at(),
            identity,
        })
    }
}

impl Certificate {
    /// Every door shows this one.
    ///
    /// # Errors
    /// [`TlsError::Unusable`] when certificate and key do not fit.
    pub(crate) fn new(identity: TlsIdentity) -> Result<Self, TlsError> {
        Ok(Self(Arc::new(ArcSwap::from_pointee(Shown::new(identity)?))))
    }

    /// What is shown now. A connection asks once, so that all it does is about one certificate.
    pub(crate) fn shown(&self) -> Arc<Shown> {
        self.0.load_full()
    }

    fn show(&self, identity: TlsIdentity) -> Result<(), TlsError> {
        self.0.store(Arc::new(Shown::new(identity)?));
        Ok(())
    }
}

/// Where a certificate and its key are kept by others.
#[derive(Debug, Clone)]
pub(crate) struct CertificateFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl CertificateFiles {
    pub(crate) fn read(&self) -> Result<Pem<'_>, TlsError> {
        Pem::read(&self.certificate, &self.key)
    }
}

/// Shows what the files hold, also when that is something else than before.
pub(crate) struct Renewal {
    certificate: Certificate,
    files: CertificateFiles,
    /// What was in them at the last look; `None`: they could not be read.
    seen: Option<[u8; 32]>,
    /// What was in them when they were last used, or could not be.
    tried: Option<[u8; 32]>,
}

impl Renewal {
    pub(crate) fn new(certificate: Certificate, files: CertificateFiles) -> Self {
        let shown = Some(certificate.shown().identity.source());
        Self { certificate, files, seen: shown, tried: shown }
    }

    /// Looks again and again.
    pub(crate) async fn watch(mut self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let looked = tokio::task::spawn_blocking(move || {
                self.look();
                self
            });
            let Ok(renewal) = looked.await else { return };
            self = renewal;
        }
    }

    /// Looks once. A certificate and its key are two files that are written one after the other: what is new is used when
    /// it is the same at two looks. Whatever cannot be used leaves the old certificate where it is, and is said once.
    fn look(&mut self) {
        let pem = self.files.read();
        let found = pem.as_ref().ok().map(Pem::digest);
        let settled = std::mem::replace(&mut self.seen, found) == found;
        if !settled || found == self.tried {
            return;
        }
        self.tried = found;
        let CertificateFiles { certificate, key } = &self.files;
        let (certificate, key) = (certificate.display(), key.display());
        match pem.and_then(|pem| pem.identity()).and_then(|identity| self.certificate.show(identity)) {
            Ok(()) => {
                let fingerprint = hex(self.certificate.shown().identity.fingerprint());
                tracing::info!(%certificate, %key, fingerprint, "new connections are shown a new certificate");
            }
            Err(error) => {
                let error = &error as &dyn Error;
                tracing::error!(%certificate, %key, error, "the new certificate cannot be used: the old one is still shown");
            }
        }
    }
}

fn hex(bytes: [u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertificateParams, KeyPair};
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, HandshakeKind, RootCertStore};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
    use tokio_rustls::{TlsConnector, client, server};

    use super::*;

    /// A certificate for `localhost` and its key, in PEM, and the certificate as it is shown.
    struct Made {
        certificate: String,
        key: String,
        der: CertificateDer<'static>,
    }

    fn made() -> Made {
        let pair = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let signed = params.self_signed(&pair).expect("signed");
        Made { certificate: signed.pem(), key: pair.serialize_pem(), der: signed.der().clone() }
    }

    struct Stand {
        _folder: tempfile::TempDir,
        files: CertificateFiles,
        certificate: Certificate,
        renewal: Renewal,
    }

    fn stand(first: &Made) -> Stand {
        let folder = tempfile::tempdir().expect("a folder");
        let files = CertificateFiles { certificate: folder.path().join("a.crt"), key: folder.path().join("a.key") };
        write(&files, &first.certificate, &first.key);
        let identity = files.read().and_then(|pem| pem.identity()).expect("usable");
        let certificate = Certificate::new(identity).expect("they fit");
        Stand { _folder: folder, renewal: Renewal::new(certificate.clone(), files.clone()), files, certificate }
    }

    fn write(files: &CertificateFiles, certificate: &str, key: &str) {
        fs::write(&files.certificate, certificate).expect("written");
        fs::write(&files.key, key).expect("written");
    }

    fn shows(stand: &Stand, made: &Made) -> bool {
        stand.certificate.shown().identity.pem() == made.certificate.as_bytes()
    }

    #[test]
    fn what_is_new_is_shown_when_it_is_whole() {
        let (first, second) = (made(), made());
        let mut stand = stand(&first);
        stand.renewal.look();
        assert!(shows(&stand, &first));

        write(&stand.files, &second.certificate, &first.key);
        stand.renewal.look();
        write(&stand.files, &second.certificate, &second.key);
        stand.renewal.look();
        assert!(shows(&stand, &first), "half of it may have been there alone");
        stand.renewal.look();
        assert!(shows(&stand, &second));
    }

    #[test]
    fn what_cannot_be_used_changes_nothing() {
        let (first, second) = (made(), made());
        let mut stand = stand(&first);
        let long = second.certificate.len() / 2;
        for (certificate, key) in [
            (second.certificate.as_str(), first.key.as_str()),
            (&second.certificate[..long], &second.key),
            ("", ""),
            (&second.certificate, "not a key"),
        ] {
            write(&stand.files, certificate, key);
            (0..3).for_each(|_| stand.renewal.look());
            assert!(shows(&stand, &first), "{certificate}{key}");
        }
        fs::remove_file(&stand.files.key).expect("there");
        (0..3).for_each(|_| stand.renewal.look());
        assert!(shows(&stand, &first));
        write(&stand.files, &second.certificate, &second.key);
        (0..2).for_each(|_| stand.renewal.look());
        assert!(shows(&stand, &second));
    }

    type Ends = (client::TlsStream<DuplexStream>, server::TlsStream<DuplexStream>);

    /// Both ends of a connection, on which the client has read what a server sends after the handshake.
    async fn connection(client: &TlsConnector, certificate: &Certificate) -> Ends {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let name = ServerName::try_from("localhost").expect("a name");
        let shown = certificate.shown();
        let (near, far) = tokio::join!(client.connect(name, near), shown.postgres.accept(far));
        let (mut near, mut far) = (near.expect("verified"), far.expect("accepted"));
        said(&mut near, &mut far).await;
        (near, far)
    }

    async fn said(near: &mut client::TlsStream<DuplexStream>, far: &mut server::TlsStream<DuplexStream>) {
        far.write_all(b"x").await.expect("sent");
        far.flush().await.expect("sent");
        assert_eq!(near.read_u8().await.expect("received"), b'x');
    }

    fn seen(near: &client::TlsStream<DuplexStream>) -> (CertificateDer<'static>, HandshakeKind) {
        let connection = near.get_ref().1;
        let chain = connection.peer_certificates().expect("the server shows one");
        (chain[0].clone().into_owned(), connection.handshake_kind().expect("it is done"))
    }

    #[tokio::test]
    async fn a_connection_goes_on_and_none_is_resumed_under_another_certificate() {
        let (first, second) = (made(), made());
        let mut stand = stand(&first);
        let mut roots = RootCertStore::empty();
        for made in [&first, &second] {
            roots.add(made.der.clone()).expect("a certificate");
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let client = client.expect("versions").with_root_certificates(roots).with_no_client_auth();
        let client = TlsConnector::from(Arc::new(client));

        let (mut near, mut far) = connection(&client, &stand.certificate).await;
        assert_eq!(seen(&near), (first.der.clone(), HandshakeKind::Full));
        let (again, _far) = connection(&client, &stand.certificate).await;
        assert_eq!(seen(&again), (first.der, HandshakeKind::Resumed), "while the certificate is the same");

        write(&stand.files, &second.certificate, &second.key);
        (0..2).for_each(|_| stand.renewal.look());
        let (new, _far) = connection(&client, &stand.certificate).await;
        assert_eq!(seen(&new), (second.der, HandshakeKind::Full));
        said(&mut near, &mut far).await;
    }
}
