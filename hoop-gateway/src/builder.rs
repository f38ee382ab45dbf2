//! Putting a gateway together.

mod problem;

use std::fmt;
use std::sync::{Arc, OnceLock};

use ed25519_dalek::SigningKey;
use hoop_core::{Clock, Detector, Plugin, PluginChain, Policy, SystemClock};
use tokio_util::task::TaskTracker;

use crate::access::{Access, AccessPolicy};
use crate::auth::browser::BrowserSignIns;
use crate::auth::credential::NativeCredentials;
use crate::auth::device::DeviceSignIns;
use crate::auth::token::AgentTokens;
use crate::auth::{GatewaySecret, Passwords, Throttle};
use crate::changes::Changes;
use crate::config::{Config, Record};
use crate::data::{DataError, DataFolder, open_store};
use crate::gateway::{Gateway, Parts, PublicAddress, Tls};
use crate::listen::{Certificate, CertificateFiles, SshHostKeys};
use crate::plugins::audit::{Audit, AuditOptions};
use crate::plugins::guardrail::Guardrail;
use crate::plugins::masking::Masking;
use crate::plugins::masking::detect::Detectors;
use crate::record::{PublicKey, RecordError, Recorder, RecorderConfig, Recovery, Space};
use crate::review::{ReviewLimits, Reviews};
use crate::secrets::{OperatorKey, SecretKeeper};
use crate::session::{SessionParts, Sessions, WeakSessions};
use crate::start::close_orphans;
use crate::store::{SqlStore, Store};
use crate::telemetry::Telemetry;
use crate::telemetry::span::TraceContext;
use crate::tunnel::{Agents, TunnelLimits};
use problem::Problems;
pub use problem::{BuildError, BuildProblem};

/// Builds a [`Gateway`]. Nothing has to be said: without anything it is the gateway that an empty configuration file
/// describes, with the stock policy and the stock plugins.
///
/// The chain is *audit*, *masking*, *guardrail*, and then the plugins of [`plugin`](Self::plugin) in the order of the
/// calls. [`without_stock_plugins`](Self::without_stock_plugins) leaves the first three out.
#[must_use]
pub struct GatewayBuilder {
    config: Config,
    store: Option<Arc<dyn Store>>,
    policy: Option<Arc<dyn Policy>>,
    clock: Arc<dyn Clock>,
    stock: bool,
    audit: Option<AuditOptions>,
    masking: Option<Masking>,
    guardrail: Option<Guardrail>,
    plugins: Vec<Arc<dyn Plugin>>,
    trace_context: Option<TraceContext>,
}

impl Default for GatewayBuilder {
    fn default() -> Self {
        Self {
            config: Config::default(),
            store: None,
            policy: None,
            clock: Arc::new(SystemClock),
            stock: true,
            audit: None,
            masking: None,
            guardrail: None,
            plugins: Vec::new(),
            trace_context: None,
        }
    }
}

impl GatewayBuilder {
    /// The settings, as a [`Loader`](crate::config::Loader) reads them.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Keeps everything in this store, in the place of the one that `store.url` names.
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Decides about access, in the place of [`AccessPolicy`].
    pub fn policy(mut self, policy: impl Policy + 'static) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }

    /// Takes the time from here.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Adds a plugin at the end of the chain.
    pub fn plugin(mut self, plugin: impl Plugin + 'static) -> Self {
        self.plugins.push(Arc::new(plugin));
        self
    }

    /// What audit keeps, in the place of [`AuditOptions`]' defaults with every built-in detector.
    pub fn audit(mut self, options: AuditOptions) -> Self {
        self.audit = Some(options);
        self
    }

    /// Masks with this plugin: with other rules by default, or with detectors of one's own.
    pub fn masking(mut self, masking: Masking) -> Self {
        self.masking = Some(masking);
        self
    }

    /// Refuses with this plugin: with rules for roles that have none of their own.
    pub fn guardrail(mut self, guardrail: Guardrail) -> Self {
        self.guardrail = Some(guardrail);
        self
    }

    /// Tells agents of which trace a session is, so that what they do for it is found there.
    pub fn trace_context(mut self, of: TraceContext) -> Self {
        self.trace_context = Some(of);
        self
    }

    /// Leaves the stock plugins out. Nothing is recorded, masked or guarded but by the plugins that are added.
    pub fn without_stock_plugins(mut self) -> Self {
        self.stock = false;
        self
    }

    /// Opens everything, and closes the sessions that an earlier gateway left open when it died. No address is bound yet.
    ///
    /// # Errors
    /// [`BuildError`] with every problem that there is, and not only the first.
    pub async fn build(mut self) -> Result<Gateway, BuildError> {
        let mut problems = Problems::default();
        let public = problems.note(PublicAddress::of(&self.config));
        self.check(&mut problems);
        let data = problems.note(DataFolder::open(&self.config.data).map_err(BuildProblem::Data));
        let keys = data.as_ref().and_then(|data| problems.note(Keys::of(&self.config, data)));
        let tls = data.as_ref().and_then(|data| problems.note(tls(&self.config, data)));
        let passwords = problems.note(passwords());
        let ssh_authorities = problems.note(ssh_authorities(&self.config));
        let telemetry = problems.note(Telemetry::new().map_err(|error| BuildProblem::Telemetry(Box::new(error))));
        let store = if data.is_some() { problems.note(self.open_store().await) } else { None };
        let (Some(public), Some(data), Some(keys), Some(tls), Some(passwords), Some(telemetry), Some(store), []) =
            (public, data, keys, tls, passwords, telemetry, store, problems.0.as_slice())
        else {
            return Err(BuildError { problems: problems.0 });
        };
        // The recordings come last: to open them closes what an earlier gateway left open, which is done once.
        let (recorder, recovery) = self.open_recorder(keys.recording.clone()).await?;
        let closed = close_orphans(&*store.shared, &recovery, self.clock.now()).await;
        closed.map_err(|error| BuildProblem::Store(DataError::Store(error)))?;

        let closes = Arc::new(OnceLock::new());
        let hidden = self.audit.as_ref().map_or_else(all_detectors, |options| options.detectors.clone());
        let chain = self.chain(recorder.clone(), &keys.secret, Arc::clone(&closes));
        let telemetry = Arc::new(telemetry);
        let agents = Agents::traced(tunnel_limits(&self.config), self.trace_context);
        let tasks = TaskTracker::new();
        let access = Access::load(Arc::clone(&store.shared), Arc::clone(&self.clock)).await;
        let access = access.map_err(|error| BuildProblem::Store(DataError::Store(error)))?;
        let stock_policy = || Arc::new(AccessPolicy::new(Arc::clone(&store.shared), access.clone())) as Arc<dyn Policy>;
        let policy = self.policy.take().unwrap_or_else(stock_policy);
        let changes = Arc::new(Changes::new());
        let secrets = SecretKeeper::new(Arc::clone(&store.shared), Arc::clone(&self.clock), keys.operator);
        secrets.check().await.map_err(|error| BuildProblem::Store(DataError::Store(error)))?;
        let reviews = Reviews::new(
            Arc::clone(&store.shared),
            Arc::clone(&self.clock),
            Arc::clone(&changes),
            review_limits(&self.config),
            hidden,
        );
        let sessions = Sessions::new(SessionParts {
            store: Arc::clone(&store.shared),
            policy: Arc::clone(&policy),
            chain: chain.clone(),
            agents: agents.clone(),
            secrets: secrets.clone(),
            reviews: reviews.clone(),
            clock: Arc::clone(&self.clock),
            changes: Arc::clone(&changes),
            telemetry: Arc::clone(&telemetry),
            tasks: tasks.clone(),
        });
        let _ = closes.set(sessions.downgrade());
        let (store, clock) = (store, self.clock);
        Ok(Gateway::new(Parts {
            credentials: Arc::new(NativeCredentials::new(
                Arc::clone(&store.shared),
                Arc::clone(&clock),
                keys.secret.login_key().expose(),
            )),
            agent_tokens: Arc::new(AgentTokens::new(
                Arc::clone(&store.shared),
                Arc::clone(&clock),
                keys.secret.agent_key(),
            )),
            device_sign_ins: Arc::new(DeviceSignIns::new(
                Arc::clone(&store.shared),
                Arc::clone(&clock),
                keys.secret.user_code_key(),
            )),
            browser_sign_ins: Arc::new(BrowserSignIns::new(Arc::clone(&store.shared), Arc::clone(&clock))),
            setup_token: keys.secret.setup_token(),
            request_key: keys.secret.request_key(),
            ssh_host_keys: SshHostKeys::of(&keys.secret),
            identity_key: keys.secret.identity_key(),
            ssh_authorities: ssh_authorities.unwrap_or_default(),
            changes,
            reviews,
            throttle: Arc::new(Throttle::new(Arc::clone(&clock))),
            recording_key: PublicKey::from(&keys.recording),
            config: self.config,
            store: store.shared,
            own_store: store.own,
            access,
            policy,
            chain,
            sessions,
            secrets,
            agents,
            recorder,
            passwords,
            telemetry,
            health: Arc::default(),
            tls,
            public,
            clock,
            tasks,
            data,
        }))
    }

    /// What can be wrong without anything being opened.
    fn check(&self, problems: &mut Problems) {
        let doors = [
            ("listen.http.address", self.config.listen.http.address),
            ("listen.grpc.address", self.config.listen.grpc.address),
            ("listen.postgres.address", self.config.listen.postgres.address),
            ("listen.ssh.address", self.config.listen.ssh.address),
            ("listen.proxy.address", self.config.listen.proxy.address),
        ];
        for (at, (setting, address)) in doors.iter().enumerate() {
            let same = doors.iter().take(at).find(|(_, other)| other == address && address.port() != 0);
            if let Some((other, _)) = same {
                problems.0.push(BuildProblem::SameAddress { setting, other });
            }
        }
        let stock: &[&str] = if self.stock { &STOCK } else { &[] };
        let mut names: Vec<&str> = stock.to_vec();
        for plugin in &self.plugins {
            if names.contains(&plugin.name()) {
                problems.0.push(BuildProblem::SamePlugin { name: plugin.name().to_owned() });
            }
            names.push(plugin.name());
        }
    }

    async fn open_store(&mut self) -> Result<OpenStore, BuildProblem> {
        if let Some(shared) = self.store.take() {
            return Ok(OpenStore { shared, own: None });
        }
        let store = open_store(&self.config).await.map_err(BuildProblem::Store)?;
        Ok(OpenStore { shared: Arc::new(store.clone()), own: Some(store) })
    }

    /// The recorder of audit, when there is audit.
    async fn open_recorder(&self, key: SigningKey) -> Result<(Option<Recorder>, Recovery), BuildProblem> {
        if !self.stock {
            return Ok((None, Recovery::default()));
        }
        let Record { folder, strict_free_percent, free_percent, .. } = &self.config.record;
        let space = Space { strict_percent: *strict_free_percent, all_percent: *free_percent };
        let config = RecorderConfig { space, ..RecorderConfig::new(self.config.path(folder), key) };
        let clock = Arc::clone(&self.clock);
        let opened = tokio::task::spawn_blocking(move || Recorder::open(config, clock)).await;
        let (recorder, recovery) = opened.unwrap_or(Err(RecordError::ShutDown)).map_err(BuildProblem::Record)?;
        Ok((Some(recorder), recovery))
    }

    fn chain(
        &mut self,
        recorder: Option<Recorder>,
        secret: &GatewaySecret,
        closes: Arc<OnceLock<WeakSessions>>,
    ) -> PluginChain {
        let mut plugins: Vec<Arc<dyn Plugin>> = Vec::new();
        if let Some(recorder) = recorder {
            let options = self
                .audit
                .take()
                .unwrap_or_else(|| AuditOptions { detectors: all_detectors(), ..AuditOptions::default() });
            let options = AuditOptions { strict: options.strict || self.config.record.strict, ..options };
            plugins.push(Arc::new(Audit::new(recorder, options).on_close(move |closed| {
                if let Some(sessions) = closes.get().and_then(WeakSessions::upgrade) {
                    sessions.log_closed(closed);
                }
            })));
            let masking = self.masking.take();
            plugins.push(Arc::new(masking.unwrap_or_else(|| Masking::new(*secret.derive(MASKING_KEY).expose()))));
            plugins.push(Arc::new(self.guardrail.take().unwrap_or_default().clock(&self.clock)));
        }
        plugins.append(&mut self.plugins);
        PluginChain::new(plugins)
    }
}

/// What is found in inputs, unless said otherwise.
fn all_detectors() -> Vec<Arc<dyn Detector>> {
    vec![Arc::new(Detectors::all())]
}

/// The stock plugins, in order.
const STOCK: [&str; 3] = ["audit", "masking", "guardrail"];
/// What the key of hashes and tokens in masked values is for.
const MASKING_KEY: &str = "hoop gateway 2026 masked values";

impl fmt::Debug for GatewayBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plugins: Vec<_> = self.plugins.iter().map(|plugin| plugin.name()).collect();
        f.debug_struct("GatewayBuilder")
            .field("config", &self.config)
            .field("stock", &self.stock)
            .field("plugins", &plugins)
            .finish_non_exhaustive()
    }
}

/// A store, and whether it is this gateway's to close.
struct OpenStore {
    shared: Arc<dyn Store>,
    own: Option<SqlStore>,
}

struct Keys {
    secret: GatewaySecret,
    recording: SigningKey,
    /// Where one is configured.
    operator: Option<OperatorKey>,
}

impl Keys {
    fn of(config: &Config, data: &DataFolder) -> Result<Self, BuildProblem> {
        let operator = config.secrets.key_file.as_deref().map(|file| OperatorKey::load(&config.path(file)));
        Ok(Self {
            secret: data.secret().map_err(BuildProblem::Data)?,
            recording: data.recording_key().map_err(BuildProblem::Data)?,
            operator: operator.transpose().map_err(BuildProblem::OperatorKey)?,
        })
    }
}

fn tls(config: &Config, data: &DataFolder) -> Result<Tls, BuildProblem> {
    let files = match (&config.tls.certificate, &config.tls.key) {
        (Some(certificate), Some(key)) => {
            Some(CertificateFiles { certificate: config.path(certificate), key: config.path(key) })
        }
        _ => None,
    };
    let identity = match &files {
        Some(files) => files.read().and_then(|pem| pem.identity()),
        None => data.self_signed(&PublicAddress::names(config)),
    };
    let certificate = identity.and_then(Certificate::new).map_err(BuildProblem::Tls)?;
    Ok(Tls { certificate, files })
}

fn ssh_authorities(config: &Config) -> Result<Vec<russh::keys::PublicKey>, BuildProblem> {
    let key = |line: &String| {
        russh::keys::PublicKey::from_openssh(line).map_err(|_| BuildProblem::SshAuthority { line: line.clone() })
    };
    config.listen.ssh.user_authorities.iter().map(key).collect()
}

/// One processor is left to everybody else: who signs in must not slow sessions and requests down.
fn passwords() -> Result<Passwords, BuildProblem> {
    let at_once = std::thread::available_parallelism().map_or(1, |processors| processors.get() - 1);
    Passwords::new(at_once).map_err(BuildProblem::Passwords)
}

fn tunnel_limits(config: &Config) -> TunnelLimits {
    TunnelLimits {
        heartbeat_interval: config.agents.heartbeat_interval,
        heartbeat_timeout: config.agents.heartbeat_timeout,
        connect_timeout: config.limits.open_timeout,
        ..TunnelLimits::default()
    }
}

const fn review_limits(config: &Config) -> ReviewLimits {
    ReviewLimits { timeout: config.limits.review_timeout, held: config.limits.held_sessions }
}
