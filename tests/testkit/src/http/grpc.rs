//! The gRPC service of the examples.

use grpc_customers::Shop;
use grpc_customers::shop::customers_server::CustomersServer;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic_reflection::server::Builder;

use super::{InProcess, Told};

/// A running service `shop.v1.Customers`: `Get`, `List`, `Count` and `Shout` are one call of each kind; with health and reflection.
#[derive(Debug)]
pub struct Grpc {
    server: InProcess,
}

impl Grpc {
    /// Starts one.
    ///
    /// # Panics
    /// When no port is free.
    pub fn start() -> Self {
        let serve = |listener| async { grpc_customers::serve(listener).await.expect("it serves until it is stopped") };
        Self { server: InProcess::start(serve) }
    }

    /// One without health that tells of itself in the version of reflection before: `grpc.reflection.v1alpha`.
    ///
    /// # Panics
    /// When no port is free.
    pub fn with_reflection_v1alpha() -> Self {
        let serve = |listener| async {
            let reflection = Builder::configure().register_encoded_file_descriptor_set(Self::DESCRIPTORS);
            let server = Server::builder()
                .add_service(CustomersServer::new(Shop))
                .add_service(reflection.build_v1alpha().expect("the types are whole"));
            server.serve_with_incoming(TcpListenerStream::new(listener)).await.expect("it serves until it is stopped");
        };
        Self { server: InProcess::start(serve) }
    }

    /// One that is hostile to who asks it for its types, and serves calls like others.
    ///
    /// # Panics
    /// When no port is free.
    pub fn hostile(told: Told) -> Self {
        Self { server: InProcess::start(move |listener| super::hostile::serve(listener, told)) }
    }

    /// Its types, as a `FileDescriptorSet`.
    pub const DESCRIPTORS: &[u8] = grpc_customers::DESCRIPTORS;

    /// Where it listens, on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.server.port
    }

    /// Its URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }
}
