//! A gateway that serves, and how it stops.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use hoop_core::id::{AgentId, OrgId};
use hoop_core::{Denial, Secret};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::api::{self, Endpoints, Readiness as _};
use crate::gateway::{Gateway, Parts};
use crate::store::{Agent, StoreError};

/// How long what is left may take, once every session has ended: requests to the API, and links that close.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// The addresses of the doors, with the ports that they got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Addresses {
    /// The API, health and metrics.
    pub http: SocketAddr,
    /// Agents, and native clients that reach no other door.
    pub grpc: SocketAddr,
    /// PostgreSQL clients.
    pub postgres: SocketAddr,
    /// SSH clients.
    pub ssh: SocketAddr,
    /// HTTP clients.
    pub proxy: SocketAddr,
}

/// A gateway that serves. [`shutdown`](Self::shutdown) lets what runs end first; dropping it ends everything at once.
#[derive(Debug)]
#[must_use = "dropping it stops the gateway"]
pub struct Running {
    gateway: Gateway,
    addresses: Addresses,
    endpoints: Endpoints,
    router: Router,
    /// Lets no more clients in.
    clients: CancellationToken,
    /// Ends everything.
    stop: CancellationToken,
}

/// An agent's key cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentKeyError {
    /// The name is of no use in URLs and logs.
    #[error("`{name}` is no name for an agent: it has {}", api::SLUG)]
    Name {
        /// The name.
        name: String,
    },
    /// The store does not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Running {
    pub(crate) const fn new(
        gateway: Gateway,
        addresses: Addresses,
        endpoints: Endpoints,
        router: Router,
        clients: CancellationToken,
        stop: CancellationToken,
    ) -> Self {
        Self { gateway, addresses, endpoints, router, clients, stop }
    }

    /// The gateway.
    pub const fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Where the doors are.
    pub const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Where clients and agents are told that the doors are.
    pub const fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The certificate chain that the doors show now, in PEM.
    pub fn certificate_pem(&self) -> Vec<u8> {
        self.gateway.parts.tls.certificate.shown().identity.pem().to_vec()
    }

    /// The API, to be nested in an application of one's own; it is served on its own door all the same.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Whether a new session would be taken.
    ///
    /// # Errors
    /// The refusal that it would get.
    pub fn ready(&self) -> Result<(), Denial> {
        self.gateway.readiness().ready()
    }

    /// The `HOOP_KEY` of an agent, which is made where there is none of this name. One that is there gets another key: the
    /// old one lets no process in again, and links with it are cut within seconds.
    ///
    /// # Errors
    /// [`AgentKeyError`].
    pub async fn agent_key(&self, name: &str) -> Result<Secret<String>, AgentKeyError> {
        if !api::is_slug(name) {
            return Err(AgentKeyError::Name { name: name.to_owned() });
        }
        let Parts { store, agent_tokens, clock, .. } = &self.gateway.parts;
        let (org, agents) = (OrgId::DEFAULT, store.agents());
        let known = agents.by_name(org, name).await?;
        let id = known.as_ref().map_or_else(|| AgentId::new(&**clock), |agent| agent.id);
        let (token, token_hash) = agent_tokens.issue(org, id);
        if known.is_some() {
            agents.rotate(org, id, &token_hash, None).await?;
        } else {
            let name = name.to_owned();
            let created_at = clock.now();
            agents
                .create(&Agent {
                    org,
                    id,
                    name,
                    token_hash,
                    old_key: None,
                    revoked_at: None,
                    last_seen_at: None,
                    created_at,
                })
                .await?;
        }
        Ok(self.endpoints.agent_key(name, token))
    }

    /// Lets no more clients in, waits for running sessions up to `limits.drain`, and ends those that are left. The API
    /// answers meanwhile, so that `/readyz` can say that the gateway drains. Cancel safe.
    pub async fn drain(&self) {
        let Parts { sessions, agents, config, .. } = &self.gateway.parts;
        let grace = config.limits.drain;
        self.clients.cancel();
        agents.drain(grace);
        sessions.drain(grace).await;
    }

    /// Ends every running session now, for who cannot wait for [`drain`](Self::drain): each is told, recorded and closed.
    pub fn end_sessions(&self) {
        self.gateway.parts.sessions.stop();
    }

    /// [Drains](Self::drain), and returns when everything is on disk and closed.
    pub async fn shutdown(self) {
        self.drain().await;
        self.gateway.parts.changes.close();
        self.stop.cancel();
        let Parts { tasks, recorder, own_store, .. } = &self.gateway.parts;
        tasks.close();
        if tokio::time::timeout(LAST_WORDS, tasks.wait()).await.is_err() {
            tracing::warn!(
                tasks = tasks.len(),
                "connections were still open after the grace time, and are left to their ends"
            );
        }
        if let Some(recorder) = recorder.clone() {
            // It waits for the disk.
            let _ = tokio::task::spawn_blocking(move || recorder.shut_down()).await;
        }
        if let Some(store) = own_store {
            store.close().await;
        }
        tracing::info!("gateway has stopped");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.gateway.parts.sessions.stop();
        self.gateway.parts.changes.close();
        self.stop.cancel();
    }
}
