//! Doors: they learn who is calling and which role they want, and hand over. The accept loop only accepts, so that one
//! silent client delays nobody.

mod accept;
mod access;
mod certificate;
mod expiry;
mod grpc;
mod http;
mod postgres;
mod probation;
mod proxy;
mod ssh;
mod stranger;
mod tls;

pub(crate) use accept::Listener;
pub use accept::PreAuthLimits;
pub(crate) use access::{AccessService, Doors};
pub(crate) use certificate::{Certificate, CertificateFiles, Renewal};
pub(crate) use expiry::Expiry;
pub(crate) use grpc::{Services, Transport, serve as serve_grpc};
pub(crate) use http::{OverTls, serve as serve_http};
pub(crate) use postgres::PostgresDoor;
pub use proxy::Domain;
pub(crate) use proxy::ProxyDoor;
pub(crate) use ssh::{SignIns, SshDoor, SshHostKeys, config as ssh_config};
pub use tls::{TlsError, TlsIdentity};
