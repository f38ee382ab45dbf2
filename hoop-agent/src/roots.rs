//! Certificate authorities that are trusted.

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// Those that browsers trust.
pub(crate) fn public() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

/// Those in the text of a PEM file, and no others.
///
/// # Errors
/// One clause that names the file.
pub(crate) fn from_pem(pem: &[u8], file: &str) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("{file} holds no certificates: {error}"))?;
        store.add(certificate).map_err(|error| format!("{file} holds an unusable certificate: {error}"))?;
    }
    if store.is_empty() { Err(format!("{file} holds no certificates")) } else { Ok(store) }
}
