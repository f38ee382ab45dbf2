//! The gRPC service of the examples.

use super::InProcess;

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

    /// Where it listens, on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.server.port
    }

    /// Its URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port())
    }
}
