//! A gateway that is built, and how it gets its doors.

mod doors;
mod endpoints;
mod watches;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use hoop_core::{Clock, Code, Denial, PluginChain, Policy, Secret};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Access;
use crate::api::{self, Readiness};
use crate::auth::browser::BrowserSignIns;
use crate::auth::credential::NativeCredentials;
use crate::auth::device::DeviceSignIns;
use crate::auth::token::AgentTokens;
use crate::auth::{self, FirstAdmin, FirstAdminError, Passwords, SetupToken, Throttle};
use crate::builder::GatewayBuilder;
use crate::changes::Changes;
use crate::config::Config;
use crate::data::DataFolder;
use crate::health::Health;
use crate::listen::{Certificate, CertificateFiles, Doors, SshHostKeys, serve_http};
use crate::record::{PublicKey, RecordError, Recorder};
use crate::review::Reviews;
use crate::running::{Addresses, Running};
use crate::secrets::SecretKeeper;
use crate::session::Sessions;
use crate::store::{SqlStore, Store};
use crate::telemetry::Telemetry;
use crate::tunnel::Agents;
use doors::{door, pre_auth_limits};
pub(crate) use endpoints::PublicAddress;

/// A gateway: everything is open but the doors. [`bind`](Self::bind) opens those.
pub struct Gateway {
    pub(crate) parts: Parts,
}

/// What a gateway is made of.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) store: Arc<dyn Store>,
    /// The store again, when it is the gateway's to close.
    pub(crate) own_store: Option<SqlStore>,
    pub(crate) access: Access,
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) chain: PluginChain,
    pub(crate) sessions: Sessions,
    pub(crate) secrets: SecretKeeper,
    pub(crate) agents: Agents,
    /// Audit's, when there is audit.
    pub(crate) recorder: Option<Recorder>,
    pub(crate) recording_key: PublicKey,
    pub(crate) passwords: Passwords,
    pub(crate) credentials: Arc<NativeCredentials>,
    pub(crate) agent_tokens: Arc<AgentTokens>,
    pub(crate) device_sign_ins: Arc<DeviceSignIns>,
    pub(crate) browser_sign_ins: Arc<BrowserSignIns>,
    pub(crate) setup_token: SetupToken,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) changes: Arc<Changes>,
    pub(crate) reviews: Reviews,
    pub(crate) request_key: Secret<[u8; 32]>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) health: Arc<Health>,
    pub(crate) tls: Tls,
    pub(crate) ssh_host_keys: SshHostKeys,
    /// Says to HTTP targets who asks.
    pub(crate) identity_key: SigningKey,
    /// Whose certificates of users the SSH door takes.
    pub(crate) ssh_authorities: Vec<russh::keys::PublicKey>,
    pub(crate) public: PublicAddress,
    pub(crate) clock: Arc<dyn Clock>,
    /// Owns every task of the gateway.
    pub(crate) tasks: TaskTracker,
    /// Last: what is above is closed before the lock is given up.
    #[allow(dead_code, reason = "held, not read")]
    pub(crate) data: DataFolder,
}

/// The certificate, and where it comes from.
pub(crate) struct Tls {
    pub(crate) certificate: Certificate,
    /// Somebody else's files; without them it is self-signed.
    pub(crate) files: Option<CertificateFiles>,
}

/// A door cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {what}; free that address, or give `{setting}` another")]
#[non_exhaustive]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Whom the door is for.
    pub what: &'static str,
    /// The setting with the address.
    pub setting: &'static str,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl Gateway {
    /// Begins to build one.
    pub fn builder() -> GatewayBuilder {
        GatewayBuilder::default()
    }

    pub(crate) const fn new(parts: Parts) -> Self {
        Self { parts }
    }

    /// Where everything is kept.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.parts.store
    }

    /// The time.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.parts.clock
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.parts.config
    }

    /// The key with which everyone can verify a recording.
    pub fn recording_key(&self) -> PublicKey {
        self.parts.recording_key
    }

    /// Makes an administrator with a random password where there is no user at all yet; `None` where there is one. With
    /// `must_change_password`, the password is good for nothing but to set another.
    ///
    /// # Errors
    /// [`FirstAdminError`].
    pub async fn first_admin(
        &self,
        name: &str,
        must_change_password: bool,
    ) -> Result<Option<FirstAdmin>, FirstAdminError> {
        let Parts { store, passwords, clock, .. } = &self.parts;
        auth::first_admin(&**store, passwords, &**clock, name, must_change_password).await
    }

    /// Opens the doors. Nobody has to wait for a door once this returns.
    ///
    /// # Errors
    /// [`BindError`] names the first address that cannot be had.
    pub async fn bind(self) -> Result<Running, BindError> {
        let listen = &self.parts.config.listen;
        let http = door(listen.http.address, "the API", "listen.http.address")?;
        let grpc = door(listen.grpc.address, "agents and tunnelled clients", "listen.grpc.address")?;
        let postgres = door(listen.postgres.address, "PostgreSQL clients", "listen.postgres.address")?;
        let ssh = door(listen.ssh.address, "SSH clients", "listen.ssh.address")?;
        let proxy = door(listen.proxy.address, "HTTP clients", "listen.proxy.address")?;
        let addresses = Addresses {
            http: http.address(),
            grpc: grpc.address(),
            postgres: postgres.address(),
            ssh: ssh.address(),
            proxy: proxy.address(),
        };
        let endpoints = self.endpoints(&addresses);
        let router = api::router(self.api_parts(endpoints.clone()));

        let Parts { tasks, config, tls, .. } = &self.parts;
        let (stop, limits) = (CancellationToken::new(), pre_auth_limits(config));
        let clients = stop.child_token();
        let tls = config.listen.http.tls.then(|| tls.certificate.clone());
        tasks.spawn(serve_http(http, tls, router.clone(), limits, tasks.clone(), stop.clone()));
        let (door, ssh_door) = (Arc::new(self.postgres_door()), Arc::new(self.ssh_door(&endpoints)));
        let proxy_door = Arc::new(self.proxy_door(&endpoints));
        let doors = Doors { postgres: Arc::clone(&door), ssh: Arc::clone(&ssh_door), proxy: Arc::clone(&proxy_door) };
        self.serve_tunnel(grpc, doors, &stop);
        self.watch_agents(&stop);
        tasks.spawn(door.serve(postgres, tasks.clone(), clients.clone()));
        tasks.spawn(ssh_door.serve(ssh, tasks.clone(), clients.clone()));
        tasks.spawn(proxy_door.serve(proxy, tasks.clone(), clients.clone()));
        self.watch_recorder(&stop);
        self.watch_access(&stop);
        self.watch_reviews(&stop);
        self.watch_certificate(&stop);
        self.watch_targets(&stop);
        self.tell(&addresses);
        Ok(Running::new(self, addresses, endpoints, router, clients, stop))
    }

    /// Opens the doors, serves until `shutdown` resolves, and then lets what runs end.
    ///
    /// # Errors
    /// As of [`bind`](Self::bind).
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), BindError> {
        let running = self.bind().await?;
        shutdown.await;
        running.shutdown().await;
        Ok(())
    }

    pub(crate) fn readiness(&self) -> impl Readiness + 'static {
        Ready { sessions: self.parts.sessions.clone(), recorder: self.parts.recorder.clone() }
    }

    fn tell(&self, addresses: &Addresses) {
        let Addresses { http, grpc, postgres, ssh, proxy } = addresses;
        let plugins = self.parts.chain.names().collect::<Vec<_>>().join(", ");
        tracing::info!(%http, %grpc, %postgres, %ssh, %proxy, plugins, "gateway is ready");
        if !http.ip().is_loopback() && !self.parts.config.listen.http.tls {
            tracing::warn!(address = %http, "the API speaks plain HTTP; set `listen.http.tls`, or put a proxy that ends TLS in front of it");
        }
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Parts { config, chain, .. } = &self.parts;
        f.debug_struct("Gateway").field("data", &config.data).field("chain", chain).finish_non_exhaustive()
    }
}

/// Takes sessions unless it drains, or cannot record them.
struct Ready {
    sessions: Sessions,
    recorder: Option<Recorder>,
}

impl Readiness for Ready {
    fn ready(&self) -> Result<(), Denial> {
        self.sessions.ready()?;
        let Some(Err(error)) = self.recorder.as_ref().map(Recorder::ready) else { return Ok(()) };
        let (reason, hint) = match error {
            RecordError::NoSpace => {
                ("the disk of the recordings is full", "make room on it; sessions are taken again by themselves")
            }
            _ => (
                "sessions cannot be recorded",
                "make sure that the disk of the recordings works, and start the gateway again",
            ),
        };
        Err(Denial::new("gateway", Code::RecordingFailed, reason).hint(hint).caused_by(error))
    }
}
