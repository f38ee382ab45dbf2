//! The doors, and what each is given.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use tokio_util::sync::CancellationToken;

use super::{BindError, Gateway, Parts};
use crate::api::{ApiParts, ApiSettings, Endpoints, Rates, RecordingFolder};
use crate::auth::keys::UserKeys;
use crate::config::Config;
use crate::listen::{
    AccessService, Doors, Listener, PostgresDoor, PreAuthLimits, ProxyDoor, Services, SignIns, SshDoor, Transport,
    serve_grpc, ssh_config,
};
use crate::proxy::{self, http::IdentityKey};
use crate::tunnel::TunnelService;

impl Gateway {
    /// Port 8010, for agents, and for the clients of these doors who reach it there alone.
    pub(super) fn serve_tunnel(&self, listener: Listener, doors: Doors, stop: &CancellationToken) {
        let Parts { store, agents, agent_tokens, clock, tasks, tls, config, .. } = &self.parts;
        let authenticator = Arc::clone(agent_tokens);
        let tunnel =
            TunnelService::new(agents.clone(), authenticator, Arc::clone(clock), tasks.clone(), stop.child_token());
        let limits = pre_auth_limits(config);
        let access = AccessService::new(Arc::clone(store), Arc::clone(clock), doors, limits, tasks.clone());
        let services = Services::new(tunnel, access);
        let tls = config.listen.grpc.tls.then(|| tls.certificate.clone());
        let transport = Transport::new(agents.limits().channels_per_agent, config.agents.busy_poll);
        tasks.spawn(serve_grpc(listener, tls, services, transport, limits, tasks.clone(), stop.clone()));
    }

    pub(super) fn postgres_door(&self) -> PostgresDoor {
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

    pub(super) fn ssh_door(&self, endpoints: &Endpoints) -> SshDoor {
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

    pub(super) fn proxy_door(&self, endpoints: &Endpoints) -> ProxyDoor {
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

    pub(super) fn api_parts(&self, endpoints: Endpoints) -> ApiParts {
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
}

pub(super) fn door(address: SocketAddr, what: &'static str, setting: &'static str) -> Result<Listener, BindError> {
    Listener::bind(address).map_err(|source| BindError { address, what, setting, source })
}

pub(super) const fn pre_auth_limits(config: &Config) -> PreAuthLimits {
    PreAuthLimits { deadline: config.limits.login_timeout, connections: config.limits.pending_logins }
}
