//! Sample services that speak HTTP, on the loopback address alone, as tasks of this process; and the customers that they have.

use std::net::{Ipv4Addr, SocketAddr};

use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::gateway::shifted;
use crate::failure::Failure;

/// Somebody who does not exist. The cards are numbers that their issuers keep for tests.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Customer {
    pub(super) id: i32,
    pub(super) name: &'static str,
    pub(super) email: &'static str,
    pub(super) card_number: &'static str,
}

/// All of them.
pub(super) const CUSTOMERS: [Customer; 6] = [
    customer(1, "Grace Schmidt", "grace.schmidt@example.com", "4242 4242 4242 4242"),
    customer(2, "Alan de Vries", "alan.devries@example.org", "5555 5555 5555 4444"),
    customer(3, "Ada Okafor", "ada.okafor@example.net", "3782 822463 10005"),
    customer(4, "Linus Rossi", "linus.rossi@example.com", "6011 1111 1111 1117"),
    customer(5, "Barbara Nowak", "barbara.nowak@example.org", "4000 0566 5566 5556"),
    customer(6, "Edsger Silva", "edsger.silva@example.net", "5200 8282 8282 8210"),
];

const fn customer(id: i32, name: &'static str, email: &'static str, card_number: &'static str) -> Customer {
    Customer { id, name, email, card_number }
}

/// One of them.
pub(super) fn by_id(id: i32) -> Option<Customer> {
    CUSTOMERS.into_iter().find(|customer| customer.id == id)
}

/// A service that runs.
pub(crate) struct Sample {
    address: SocketAddr,
    /// The version of HTTP that it speaks, as a role's target says it.
    version: &'static str,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Sample {
    /// Takes its port, and runs what serves on it until it is stopped.
    pub(super) async fn start<Served>(
        port: u16,
        port_offset: Option<u16>,
        version: &'static str,
        serve: impl FnOnce(TcpListener) -> Served,
    ) -> Result<Self, Failure>
    where
        Served: Future<Output = ()> + Send + 'static,
    {
        let port = shifted(port, port_offset);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| {
            let text = format!("port {port} of the sample service cannot be listened at: {error}");
            Failure::new(1, text).hint("--port-offset 100 chooses other ports, and 0 free ones")
        })?;
        let (address, tasks, stop) = (listener.local_addr()?, TaskTracker::new(), CancellationToken::new());
        let (served, stopped) = (serve(listener), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = served => {}
                () = stopped.cancelled() => {}
            }
        });
        Ok(Self { address, version, tasks, stop })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) const fn version(&self) -> &'static str {
        self.version
    }

    /// Takes no more connections; those that are there end with the agent's.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
