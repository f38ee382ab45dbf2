//! What the API stands on.

use std::io;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf as _, Bytes};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use hoop_core::id::{AgentId, OrgId, RequestId, SessionId};
use hoop_core::{Clock, Denial, PluginChain, Policy, ResourceRole, Secret};
use hoop_proto::dsn::{Dsn, Mode};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;
use tokio_util::task::TaskTracker;

use super::jwks::JwkSet;
use super::rate::{Limits, Rates};
use super::reference::Reference;
use crate::access::Access;
use crate::auth::browser::BrowserSignIns;
use crate::auth::credential::NativeCredentials;
use crate::auth::device::DeviceSignIns;
use crate::auth::token::AgentTokens;
use crate::auth::{Passwords, SetupToken, Throttle};
use crate::changes::Changes;
use crate::health::Health;
use crate::listen::Domain;
use crate::record::PublicKey;
use crate::review::Reviews;
use crate::secrets::SecretKeeper;
use crate::session::Reached;
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::tunnel::{AgentStatus, Agents, OpenFailure};

/// What the API stands on; the gateway puts it together.
pub struct ApiParts {
    /// Remembers everything.
    pub store: Arc<dyn Store>,
    /// Verifies local passwords.
    pub passwords: Passwords,
    /// Makes credentials for native clients.
    pub credentials: Arc<NativeCredentials>,
    /// Makes agents' tokens.
    pub agent_tokens: Arc<AgentTokens>,
    /// The access rules.
    pub access: Access,
    /// Decides who may reach a role.
    pub policy: Arc<dyn Policy>,
    /// Signs devices in that have no browser.
    pub device_sign_ins: Arc<DeviceSignIns>,
    /// Signs programs in by the browser of their machine.
    pub browser_sign_ins: Arc<BrowserSignIns>,
    /// What the first administrator shows.
    pub setup_token: SetupToken,
    /// Slows down who guesses; the same one as every other door's.
    pub throttle: Arc<Throttle>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The agents that are attached.
    pub agents: Arc<dyn LiveAgents>,
    /// The sessions that run.
    pub sessions: Arc<dyn LiveSessions>,
    /// Keeps secrets of roles.
    pub secrets: SecretKeeper,
    /// The recordings.
    pub recordings: Arc<dyn Recordings>,
    /// The key that they are verified with.
    pub recording_key: PublicKey,
    /// Whether the gateway takes sessions.
    pub readiness: Arc<dyn Readiness>,
    /// What the plugins say of a role's settings before it is stored.
    pub check_role: Arc<dyn CheckRole>,
    /// What changed, for those who watch.
    pub changes: Arc<Changes>,
    /// What somebody must agree to.
    pub reviews: Reviews,
    /// Hashes requests with an idempotency key, so that the store's copy of it tells nothing.
    pub request_key: Secret<[u8; 32]>,
    /// Owns requests that go on without their caller.
    pub tasks: TaskTracker,
    /// Metrics.
    pub telemetry: Arc<Telemetry>,
    /// How targets are.
    pub health: Arc<Health>,
    /// The keys that say to HTTP targets who asks.
    pub identity_keys: JwkSet,
    /// Where clients and agents find the gateway.
    pub endpoints: Endpoints,
    /// How long things are good for.
    pub settings: ApiSettings,
}

/// How long things are good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiSettings {
    /// A credential, unless its maker asks for something else.
    pub credential_ttl: Duration,
    /// A credential at most.
    pub credential_ttl_max: Duration,
    /// A sign-in.
    pub token_ttl: Duration,
    /// An API token at most.
    pub api_token_ttl_max: Duration,
    /// A request may take this long; downloads may take longer.
    pub request_timeout: Duration,
    /// A stream of what changes says that it lives at least this often, and its caller is looked at again as often.
    pub heartbeat: Duration,
    /// How often a caller may ask.
    pub rates: Rates,
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self {
            credential_ttl: Duration::from_secs(8 * 3600),
            credential_ttl_max: Duration::from_secs(7 * 24 * 3600),
            token_ttl: Duration::from_secs(12 * 3600),
            api_token_ttl_max: Duration::from_secs(90 * 24 * 3600),
            request_timeout: Duration::from_secs(30),
            heartbeat: Duration::from_secs(15),
            rates: Rates::default(),
        }
    }
}

/// One door, as others reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether it speaks TLS.
    pub tls: bool,
}

impl Endpoint {
    /// The beginning of a URL of it, over HTTP.
    pub(crate) fn base(&self) -> String {
        let Self { host, port, tls } = self;
        let scheme = if *tls { "https" } else { "http" };
        if host.contains(':') { format!("{scheme}://[{host}]:{port}") } else { format!("{scheme}://{host}:{port}") }
    }
}

/// Where clients and agents find the gateway: what is written into URLs and agents' keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// The pages and the API, as the beginning of a URL: `https://hoop.example.com`.
    pub pages: String,
    /// PostgreSQL clients.
    pub postgres: Endpoint,
    /// SSH clients.
    pub ssh: Endpoint,
    /// HTTP clients, at origins of roles.
    pub web: Domain,
    /// The same, as a port that a client with a token may ask, too.
    pub proxy: Endpoint,
    /// The host keys that SSH clients are shown, one line of OpenSSH's each.
    pub ssh_host_keys: Vec<String>,
    /// Agents, and native clients that reach no other door.
    pub grpc: Endpoint,
    /// SHA-256 of the certificate, where agents and tunnelled clients must pin it since no trusted authority signed it.
    pub certificate: Option<[u8; 32]>,
}

impl Endpoints {
    /// The lines of a `known_hosts` file by which SSH clients know the gateway.
    pub fn known_hosts(&self) -> Vec<String> {
        let Endpoint { host, port, .. } = &self.ssh;
        let name = if *port == 22 { host.clone() } else { format!("[{host}]:{port}") };
        self.ssh_host_keys.iter().map(|key| format!("{name} {key}")).collect()
    }

    /// The `HOOP_KEY` of an agent: where it finds the gateway, and the token that it shows there.
    pub fn agent_key(&self, name: &str, token: Secret<String>) -> Secret<String> {
        let dsn = Dsn {
            name: name.to_owned(),
            token,
            host: self.grpc.host.clone(),
            port: self.grpc.port,
            tls: self.grpc.tls,
            mode: Mode::Standard,
            certificate: self.certificate.filter(|_| self.grpc.tls),
        };
        dsn.expose()
    }
}

/// The agents that are attached.
pub trait LiveAgents: Send + Sync {
    /// Every attached process.
    fn status(&self, org: OrgId) -> Vec<AgentStatus>;
    /// How many processes are attached, of all organisations.
    fn count(&self) -> usize;
    /// Cuts the links of an agent.
    fn cut(&self, org: OrgId, agent: AgentId);
}

const _: Option<&dyn LiveAgents> = None;

impl LiveAgents for Agents {
    fn status(&self, org: OrgId) -> Vec<AgentStatus> {
        Self::status(self, org)
    }

    fn count(&self) -> usize {
        Self::status(self, OrgId::DEFAULT).len()
    }

    fn cut(&self, org: OrgId, agent: AgentId) {
        Self::cut(self, org, agent);
    }
}

/// The sessions that run in this gateway.
#[async_trait]
pub trait LiveSessions: Send + Sync {
    /// How many run.
    fn count(&self) -> usize;
    /// Ends a session for this reason. Says whether it runs here.
    fn end(&self, org: OrgId, id: SessionId, why: Denial) -> bool;
    /// Has the agent of a role log in to its target, and no more. It is no session of anybody's.
    ///
    /// # Errors
    /// The refusal that a session would get from the agent or the target, with what the target itself said.
    async fn try_target(&self, role: &ResourceRole, request: RequestId) -> Result<Reached, OpenFailure>;
}

const _: Option<&dyn LiveSessions> = None;

/// A recording as it is stored.
pub struct Recording {
    /// How long it is, where that is known.
    pub len: Option<u64>,
    /// Its bytes.
    pub bytes: BoxStream<'static, io::Result<Bytes>>,
}

/// Where recordings are kept.
#[async_trait]
pub trait Recordings: Send + Sync {
    /// The recording of a session; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn open(&self, session: SessionId) -> io::Result<Option<Recording>>;

    /// The recording of a session from a byte on, for who follows one that is still written.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn open_from(&self, session: SessionId, offset: u64) -> io::Result<Option<Recording>> {
        let Some(recording) = self.open(session).await? else { return Ok(None) };
        let mut left = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = recording.bytes.map(move |bytes| {
            let mut bytes = bytes?;
            let gone = left.min(bytes.len());
            left -= gone;
            bytes.advance(gone);
            Ok(bytes)
        });
        Ok(Some(Recording { len: recording.len.map(|len| len.saturating_sub(offset)), bytes: rest.boxed() }))
    }
}

const _: Option<&dyn Recordings> = None;

/// Recordings in a local folder, as [`Recorder`](crate::record::Recorder) writes them.
#[derive(Debug, Clone)]
pub struct RecordingFolder(pub PathBuf);

#[async_trait]
impl Recordings for RecordingFolder {
    async fn open(&self, session: SessionId) -> io::Result<Option<Recording>> {
        self.open_from(session, 0).await
    }

    async fn open_from(&self, session: SessionId, offset: u64) -> io::Result<Option<Recording>> {
        let Some(path) = crate::record::find(&self.0, session) else { return Ok(None) };
        let mut file = tokio::fs::File::open(path).await?;
        file.seek(io::SeekFrom::Start(offset)).await?;
        // A log that is still written to grows meanwhile: what is there now is what is sent.
        let len = file.metadata().await?.len().saturating_sub(offset);
        let bytes = ReaderStream::with_capacity(file.take(len), 64 * 1024).boxed();
        Ok(Some(Recording { len: Some(len), bytes }))
    }
}

/// Whether the gateway takes sessions.
pub trait Readiness: Send + Sync {
    /// # Errors
    /// The refusal that a new session would get.
    fn ready(&self) -> Result<(), Denial>;
}

const _: Option<&dyn Readiness> = None;

/// What the plugins say of a role's settings.
pub trait CheckRole: Send + Sync {
    /// # Errors
    /// The refusal that every session of the role would get.
    fn check(&self, role: &ResourceRole) -> Result<(), Denial>;
}

const _: Option<&dyn CheckRole> = None;

impl CheckRole for PluginChain {
    fn check(&self, role: &ResourceRole) -> Result<(), Denial> {
        self.check_role(role)
    }
}

/// The parts, shared by all handlers.
#[derive(Clone)]
pub(super) struct Api(Arc<Inner>);

struct Inner {
    parts: ApiParts,
    rates: Limits,
    reference: Reference,
}

impl Api {
    pub(super) fn new(parts: ApiParts, reference: Reference) -> Self {
        let rates = Limits::new(parts.settings.rates, &parts.clock);
        Self(Arc::new(Inner { parts, rates, reference }))
    }

    pub(super) fn rates(&self) -> &Limits {
        &self.0.rates
    }

    pub(super) fn reference(&self) -> &Reference {
        &self.0.reference
    }
}

impl Deref for Api {
    type Target = ApiParts;

    fn deref(&self) -> &ApiParts {
        &self.0.parts
    }
}
