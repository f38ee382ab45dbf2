//! A gateway that is built, and how it gets its doors.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use ed25519_dalek::SigningKey;
use hoop_core::{Clock, Code, Denial, PluginChain, Policy, Secret};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Access;
use crate::api::{self, ApiParts, ApiSettings, Endpoint, Endpoints, Rates, Readiness, RecordingFolder};
use crate::auth::browser::BrowserSignIns;
use crate::auth::credential::NativeCredentials;
use crate::auth::device::DeviceSignIns;
use crate::auth::keys::UserKeys;
use crate::auth::token::AgentTokens;
use crate::auth::{self, FirstAdmin, FirstAdminError, Passwords, SetupToken, Throttle};
use crate::builder::{BuildProblem, GatewayBuilder};
use crate::changes::Changes;
use crate::config::{Config, TlsUse};
use crate::data::DataFolder;
use crate::health::{Checks, Health};
use crate::listen::{
    AccessService, Certificate, CertificateFiles, Domain, Doors, Expiry, Listener, PostgresDoor, PreAuthLimits,
    ProxyDoor, Renewal, Services, SignIns, SshDoor, SshHostKeys, serve_grpc, serve_http, ssh_config,
};
use crate::proxy::{self, http::IdentityKey};
use crate::record::{PublicKey, Recorder};
use crate::review::Reviews;
use crate::running::{Addresses, Running};
use crate::secrets::SecretKeeper;
use crate::session::{Sessions, recheck};
use crate::store::{SqlStore, Store};
use crate::telemetry::Telemetry;
use crate::tunnel::{Agents, TunnelService, keys};

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

    /// Port 8010, for agents, and for the clients of these doors who reach it there alone.
    fn serve_tunnel(&self, listener: Listener, doors: Doors, stop: &CancellationToken) {
        let Parts { store, agents, agent_tokens, clock, tasks, tls, config, .. } = &self.parts;
        let authenticator = Arc::clone(agent_tokens);
        let tunnel =
            TunnelService::new(agents.clone(), authenticator, Arc::clone(clock), tasks.clone(), stop.child_token());
        let limits = pre_auth_limits(config);
        let access = AccessService::new(Arc::clone(store), Arc::clone(clock), doors, limits, tasks.clone());
        let services = Services::new(tunnel, access);
        let tls = config.listen.grpc.tls.then(|| tls.certificate.clone());
        let channels = agents.limits().channels_per_agent;
        tasks.spawn(serve_grpc(listener, tls, services, channels, limits, tasks.clone(), stop.clone()));
    }

    fn postgres_door(&self) -> PostgresDoor {
        let parts = &self.parts;
        PostgresDoor {
            sessions: parts.sessions.clone(),
            credentials: Arc::clone(&parts.credentials),
            throttle: Arc::clone(&parts.throttle),
            certificate: parts.tls.certificate.clone(),
            tls_use: parts.config.listen.postgres.tls,
            limits: pre_auth_limits(&parts.config),
            max_message_bytes: parts.config.limits.message_bytes,
            telemetry: Arc::clone(&parts.telemetry),
            clock: Arc::clone(&parts.clock),
        }
    }

    fn ssh_door(&self, endpoints: &Endpoints) -> SshDoor {
        let parts = &self.parts;
        SshDoor {
            sessions: parts.sessions.clone(),
            credentials: Arc::clone(&parts.credentials),
            keys: UserKeys::new(Arc::clone(&parts.store), Arc::clone(&parts.clock)),
            authorities: parts.ssh_authorities.clone(),
            sign_ins: SignIns::new(
                Arc::clone(&parts.device_sign_ins),
                &endpoints.pages,
                parts.config.listen.ssh.sign_in_timeout,
            ),
            throttle: Arc::clone(&parts.throttle),
            limits: pre_auth_limits(&parts.config),
            channels: parts.config.limits.ssh_channels,
            most_keys: parts.config.limits.ssh_keys,
            telemetry: Arc::clone(&parts.telemetry),
            clock: Arc::clone(&parts.clock),
            config: ssh_config(&parts.ssh_host_keys),
        }
    }

    fn proxy_door(&self, endpoints: &Endpoints) -> ProxyDoor {
        let parts = &self.parts;
        let limits = &parts.config.limits;
        ProxyDoor {
            sessions: parts.sessions.clone(),
            credentials: Arc::clone(&parts.credentials),
            throttle: Arc::clone(&parts.throttle),
            certificate: parts.tls.certificate.clone(),
            tls_use: parts.config.listen.proxy.tls,
            limits: pre_auth_limits(&parts.config),
            session_limits: proxy::http::Limits {
                exchanges: limits.http_exchanges.max(1),
                idle: limits.http_idle,
                answer: limits.http_answer,
                body_idle: limits.http_body_idle,
                held_bytes: limits.http_session_held_bytes,
                message_bytes: limits.message_bytes,
            },
            budget: proxy::http::Budget::new(limits.http_held_bytes),
            domain: endpoints.web.clone(),
            pages: endpoints.pages.clone(),
            access: parts.access.clone(),
            sign_ins: Arc::clone(&parts.browser_sign_ins),
            credential_ttl: parts.config.credentials.ttl,
            cors: Default::default(),
            health: Arc::clone(&parts.health),
            types: Arc::default(),
            identity: IdentityKey::new(parts.identity_key.clone(), &endpoints.pages),
            telemetry: Arc::clone(&parts.telemetry),
            clock: Arc::clone(&parts.clock),
            tasks: parts.tasks.clone(),
            open: DashMap::new(),
        }
    }

    fn api_parts(&self, endpoints: Endpoints) -> ApiParts {
        let parts = &self.parts;
        ApiParts {
            store: Arc::clone(&parts.store),
            passwords: parts.passwords.clone(),
            credentials: Arc::clone(&parts.credentials),
            agent_tokens: Arc::clone(&parts.agent_tokens),
            access: parts.access.clone(),
            policy: Arc::clone(&parts.policy),
            device_sign_ins: Arc::clone(&parts.device_sign_ins),
            browser_sign_ins: Arc::clone(&parts.browser_sign_ins),
            setup_token: parts.setup_token.clone(),
            throttle: Arc::clone(&parts.throttle),
            clock: Arc::clone(&parts.clock),
            agents: Arc::new(parts.agents.clone()),
            sessions: Arc::new(parts.sessions.clone()),
            secrets: parts.secrets.clone(),
            recording_key: parts.recording_key,
            recordings: Arc::new(RecordingFolder(parts.config.path(&parts.config.record.folder))),
            readiness: Arc::new(self.readiness()),
            check_role: Arc::new(parts.chain.clone()),
            changes: Arc::clone(&parts.changes),
            reviews: parts.reviews.clone(),
            request_key: parts.request_key.clone(),
            tasks: parts.tasks.clone(),
            telemetry: Arc::clone(&parts.telemetry),
            health: Arc::clone(&parts.health),
            identity_keys: IdentityKey::new(parts.identity_key.clone(), &endpoints.pages).public(),
            endpoints,
            settings: self.api_settings(),
        }
    }

    fn api_settings(&self) -> ApiSettings {
        let Config { limits, credentials, .. } = &self.parts.config;
        let rates = Rates {
            reads: limits.reads_per_minute,
            writes: limits.writes_per_minute,
            strangers: limits.strangers_per_minute,
        };
        let api_token_ttl_max = Duration::from_secs(u64::from(limits.token_days.get()) * 24 * 3600);
        ApiSettings { credential_ttl: credentials.ttl, api_token_ttl_max, rates, ..ApiSettings::default() }
    }

    /// Where others find the doors: as configured, or at their own addresses.
    fn endpoints(&self, addresses: &Addresses) -> Endpoints {
        let Parts { config, public, tls, .. } = &self.parts;
        let endpoint = |public: &Option<(String, u16)>, address: SocketAddr, tls: bool| match public {
            Some((host, port)) => Endpoint { host: host.clone(), port: *port, tls },
            None => Endpoint { host: host_of(address, config), port: address.port(), tls },
        };
        let http = &config.listen.http;
        let own = || endpoint(&None, addresses.http, http.tls).base();
        Endpoints {
            pages: http.public.as_deref().map_or_else(own, |url| url.trim_end_matches('/').to_owned()),
            postgres: endpoint(&public.postgres, addresses.postgres, config.listen.postgres.tls != TlsUse::Off),
            ssh: endpoint(&public.ssh, addresses.ssh, false),
            web: self.web(addresses.proxy),
            proxy: self.proxy_endpoint(addresses.proxy),
            ssh_host_keys: self.parts.ssh_host_keys.public(),
            grpc: endpoint(&public.grpc, addresses.grpc, config.listen.grpc.tls),
            certificate: tls.files.is_none().then(|| tls.certificate.shown().identity.fingerprint()),
        }
    }

    /// The origins of HTTP roles.
    fn web(&self, address: SocketAddr) -> Domain {
        let proxy = &self.parts.config.listen.proxy;
        let scheme = if proxy.tls == TlsUse::Required { "https" } else { "http" };
        let own = || Domain::of(&format!("{scheme}://localhost:{}", address.port()));
        // What is configured was looked at when the gateway was built.
        proxy.public.as_deref().and_then(Domain::of).or_else(own).unwrap_or_default()
    }

    fn proxy_endpoint(&self, address: SocketAddr) -> Endpoint {
        let config = &self.parts.config;
        Endpoint {
            host: host_of(address, config),
            port: address.port(),
            tls: config.listen.proxy.tls == TlsUse::Required,
        }
    }

    pub(crate) fn readiness(&self) -> impl Readiness + 'static {
        Ready { sessions: self.parts.sessions.clone(), recorder: self.parts.recorder.clone() }
    }

    /// A recorder that has failed stays so: it is said once, aloud, and not only to those who are refused.
    fn watch_recorder(&self, stop: &CancellationToken) {
        let (Some(recorder), stop) = (self.parts.recorder.clone(), stop.clone()) else { return };
        self.parts.tasks.spawn(async move {
            tokio::select! {
                error = recorder.failed() => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "recording has failed: no session runs until the gateway is started again");
                }
                () = stop.cancelled() => {}
            }
        });
    }

    /// Agents' keys are taken away, and their time ends.
    fn watch_agents(&self, stop: &CancellationToken) {
        let Parts { agents, agent_tokens, tasks, .. } = &self.parts;
        let authenticator = Arc::clone(agent_tokens);
        let watch = keys::watch(agents.clone(), authenticator);
        tasks.spawn(stop.clone().run_until_cancelled_owned(watch));
    }

    /// Rules, users and roles change while sessions run.
    fn watch_access(&self, stop: &CancellationToken) {
        let Parts { sessions, access, tasks, .. } = &self.parts;
        let watch = recheck::watch(sessions.clone(), access.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(watch));
    }

    /// Reviews expire, and may be decided on through another gateway.
    fn watch_reviews(&self, stop: &CancellationToken) {
        let Parts { reviews, tasks, .. } = &self.parts;
        tasks.spawn(stop.clone().run_until_cancelled_owned(reviews.clone().watch()));
    }

    /// A certificate of somebody else's is renewed by somebody else, who need not know of this gateway.
    fn watch_certificate(&self, stop: &CancellationToken) {
        let Parts { tls: Tls { certificate, files }, telemetry, clock, tasks, .. } = &self.parts;
        let expiry = Expiry::new(certificate.clone(), Arc::clone(telemetry), Arc::clone(clock));
        tasks.spawn(stop.clone().run_until_cancelled_owned(expiry.watch()));
        let Some(files) = files.clone() else { return };
        let watch = Renewal::new(certificate.clone(), files).watch();
        tasks.spawn(stop.clone().run_until_cancelled_owned(watch));
    }

    fn watch_targets(&self, stop: &CancellationToken) {
        let Parts { sessions, health, tasks, .. } = &self.parts;
        let checks = Checks::new(sessions.clone(), Arc::clone(health), tasks.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(checks.run()));
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

fn door(address: SocketAddr, what: &'static str, setting: &'static str) -> Result<Listener, BindError> {
    Listener::bind(address).map_err(|source| BindError { address, what, setting, source })
}

const fn pre_auth_limits(config: &Config) -> PreAuthLimits {
    PreAuthLimits { deadline: config.limits.login_timeout, connections: config.limits.pending_logins }
}

/// The host by which a door is found that listens on this address.
fn host_of(address: SocketAddr, config: &Config) -> String {
    if address.ip().is_unspecified() {
        config.tls.names.first().cloned().unwrap_or_else(|| "localhost".to_owned())
    } else {
        address.ip().to_string()
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
        match self.recorder.as_ref().and_then(Recorder::failure) {
            None => Ok(()),
            Some(error) => Err(Denial::new("gateway", Code::RecordingFailed, "sessions cannot be recorded")
                .hint("make sure that the disk of the recordings works, and start the gateway again")
                .caused_by(error.clone())),
        }
    }
}

/// What the configuration says of addresses that others are to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicAddress {
    grpc: Option<(String, u16)>,
    postgres: Option<(String, u16)>,
    ssh: Option<(String, u16)>,
}

impl PublicAddress {
    pub(crate) fn of(config: &Config) -> Result<Self, BuildProblem> {
        let read = |setting, value: &Option<String>| match value {
            None => Ok(None),
            Some(value) => host_and_port(value).map(Some).ok_or(BuildProblem::Public { setting, value: value.clone() }),
        };
        if let Some(value) = config.listen.proxy.public.clone().filter(|url| Domain::of(url).is_none()) {
            return Err(BuildProblem::PublicUrl { setting: "listen.proxy.public", value });
        }
        Ok(Self {
            grpc: read("listen.grpc.public", &config.listen.grpc.public)?,
            postgres: read("listen.postgres.public", &config.listen.postgres.public)?,
            ssh: read("listen.ssh.public", &config.listen.ssh.public)?,
        })
    }

    /// The names that a self-signed certificate is for.
    pub(crate) fn names(config: &Config) -> Vec<String> {
        let public = [&config.listen.grpc.public, &config.listen.postgres.public].into_iter().flatten();
        let hosts = public.filter_map(|value| host_and_port(value)).map(|(host, _)| host);
        config.tls.names.iter().cloned().chain(hosts).collect()
    }
}

fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = bare.unwrap_or(host);
    let fits = !host.is_empty() && (bare.is_some() || !host.contains(':'));
    Some((host.to_owned(), port.parse().ok().filter(|port| *port != 0)?)).filter(|_| fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses() {
        let some = |host: &str, port| Some((host.to_owned(), port));
        for (text, expected) in [
            ("gw.example.com:8010", some("gw.example.com", 8010)),
            ("[2001:db8::1]:443", some("2001:db8::1", 443)),
            ("gw.example.com", None),
            ("gw.example.com:0", None),
            ("gw.example.com:http", None),
            (":8010", None),
            ("2001:db8::1", None),
        ] {
            assert_eq!(host_and_port(text), expected, "{text}");
        }
    }
}
