//! TLS to targets: whom they must be vouched for by, and with which certificate the agent shows itself.

use std::sync::{Arc, LazyLock};

use hoop_core::Code;
use hoop_proto::tunnel::v1::SuppliedSecret;
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::TargetFailure;
use crate::roots;
use crate::secret::SecretSources;

/// A client certificate with its chain, and its key.
pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The authorities in a file on the agent's machine, or the public ones.
pub(super) async fn root_store(file: &str) -> Result<Arc<RootCertStore>, TargetFailure> {
    /// Many sessions share them.
    static PUBLIC: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| Arc::new(roots::public()));
    if file.is_empty() || file == "system" {
        return Ok(Arc::clone(&PUBLIC));
    }
    roots::from_pem(&root_file(file).await?, file).map(Arc::new).map_err(failure)
}

/// What is in a file of authorities, in PEM.
pub(super) async fn root_file(file: &str) -> Result<Vec<u8>, TargetFailure> {
    tokio::fs::read(file).await.map_err(|error| {
        failure(format!("the file of trusted authorities {file} cannot be read: {error}"))
            .hint("sslrootcert names a file on the agent's machine")
    })
}

/// The client certificate that a role names, if any: `sslcert` and `sslkey`.
pub(super) async fn identity(
    sslcert: &str,
    sslkey: &str,
    supplied: &[SuppliedSecret],
    secrets: &SecretSources,
) -> Result<Option<Identity>, TargetFailure> {
    let certificate = secrets.find("sslcert", sslcert, supplied).await?;
    let key = secrets.find("sslkey", sslkey, supplied).await?;
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            let chain = CertificateDer::pem_slice_iter(certificate.expose())
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| failure(format!("the client certificate cannot be read: {error}")))?;
            let key = PrivateKeyDer::from_pem_slice(key.expose())
                .map_err(|error| failure(format!("the key of the client certificate cannot be read: {error}")))?;
            Ok(Some((chain, key)))
        }
        (None, None) => Ok(None),
        _ => Err(failure("the role names a client certificate without its key, or a key without its certificate")),
    }
}

/// The target's TLS, or ours for it, is not what the role asks for.
pub(super) fn failure(reason: impl Into<String>) -> TargetFailure {
    TargetFailure::new(Code::TargetTls, reason)
}
