//! The API from outside, on a real store. Every answer is held against the document: a status or a content type that it
//! does not tell of fails whichever test got it.

mod access;
mod access_rules;
mod breaking;
mod browsers;
mod configuration;
mod document;
mod idempotency;
mod keys;
mod leaving;
mod lists;
mod pages;
mod passwords;
mod rates;
mod requests;
mod reviews;
mod secrets;
mod sessions;
mod sign_ins;
mod ssh;
mod stream;
mod tokens;
mod users;
mod web;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use chrono::{DateTime, Utc};
use hoop_core::id::{AgentId, OrgId, RequestId, SessionId};
use hoop_core::{
    AccessRequest, Clock, Code, Decision, Denial, Obligations, Policy, PolicyError, ResourceRole, Secret, SystemClock,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::*;
use crate::access::Access;
use crate::auth::browser::BrowserSignIns;
use crate::auth::credential::NativeCredentials;
use crate::auth::device::DeviceSignIns;
use crate::auth::token::AgentTokens;
use crate::auth::{GatewaySecret, Passwords, SetupToken, Throttle, first_admin};
use crate::changes::Changes;
use crate::listen::Domain;
use crate::record::PublicKey;
use crate::review::{ReviewLimits, Reviews};
use crate::secrets::{OperatorKey, SecretKeeper};
use crate::session::Reached;
use crate::store::tests::wrapped::Wrapped;
use crate::store::{Ended, SqlStore, Store};
use crate::telemetry::Telemetry;
use crate::tunnel::{AgentAuthenticator as _, AgentStatus, OpenFailure};

/// What a machine shows whose host key nobody has approved.
const HOST_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6zHCplKmaxpYRdNRVqpdFCF8SDVoJZTmoFMbgWN0Xo";

struct Open;

#[async_trait::async_trait]
impl Policy for Open {
    /// Members of `dba` may; so may whoever is called root.
    async fn decide(&self, ask: &AccessRequest<'_>) -> Result<Decision, PolicyError> {
        if ask.principal.is_in("dba") || &*ask.principal.name == "root" {
            return Ok(Decision::Allow(Obligations::default()));
        }
        Ok(Decision::Deny(Denial::new("access", Code::AccessDenied, "not in dba")))
    }
}

/// What would run in a gateway, and what was asked of it.
#[derive(Default)]
struct Live {
    cut: Mutex<Vec<AgentId>>,
    ended: Mutex<Vec<SessionId>>,
    /// Whether whoever ends a session meets a bug.
    panics: AtomicBool,
}

impl LiveAgents for Live {
    fn status(&self, _: OrgId) -> Vec<AgentStatus> {
        Vec::new()
    }
    fn count(&self) -> usize {
        3
    }
    fn cut(&self, _: OrgId, agent: AgentId) {
        self.cut.lock().push(agent);
    }
}

#[async_trait::async_trait]
impl LiveSessions for Live {
    fn count(&self) -> usize {
        0
    }
    fn end(&self, _: OrgId, id: SessionId, _: Denial) -> bool {
        assert!(!self.panics.load(Ordering::Relaxed), "a bug");
        self.ended.lock().push(id);
        true
    }
    async fn try_target(&self, role: &ResourceRole, _: RequestId) -> Result<Reached, OpenFailure> {
        let refused = |by: &'static str, code, reason: &'static str| Denial::new(by, code, reason).hint("start it");
        match &*role.name {
            "away" => Err(refused("tunnel", Code::AgentUnavailable, "agent here is not connected").into()),
            "unknown" => Err(OpenFailure {
                denial: refused("agent", Code::TargetHostKey, "the host key is not trusted"),
                target_error: HOST_KEY.into(),
            }),
            _ => Ok(Reached { server_version: Some("15.8".to_owned()) }),
        }
    }
}

impl Readiness for Live {
    fn ready(&self) -> Result<(), Denial> {
        Ok(())
    }
}

impl CheckRole for Live {
    fn check(&self, role: &ResourceRole) -> Result<(), Denial> {
        match role.plugins.contains_key("broken") {
            true => Err(Denial::new("broken", Code::PluginFailed, "broken: no such setting")),
            false => Ok(()),
        }
    }
}

/// The machine's clock, and as much more as a test wants.
#[derive(Default)]
struct Shifted(Mutex<Duration>);

impl Clock for Shifted {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + *self.0.lock()
    }
    fn monotonic(&self) -> Instant {
        SystemClock.monotonic() + *self.0.lock()
    }
}

/// One request.
struct Call<'a> {
    gateway: &'a Gateway,
    method: Method,
    path: &'a str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    json: Value,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ascii"))
    }
}

impl<'a> Call<'a> {
    fn token(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    fn body(self, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self.header("content-type", kind) }
    }

    fn request(&self) -> Request<Body> {
        let mut request = Request::builder().method(self.method.clone()).uri(self.path);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let mut request = request.body(Body::from(self.body.clone())).expect("a request");
        request.extensions_mut().insert(ConnectInfo(std::net::SocketAddr::from(([127, 0, 0, 1], 40000))));
        request
    }

    async fn send(self) -> Answer {
        let response = self.gateway.router.clone().oneshot(self.request()).await.expect("infallible");
        let (status, headers) = (response.status(), response.headers().clone());
        let text = |name: &str| headers.get(name).map_or("", |value| value.to_str().expect("ascii")).to_owned();
        let (id, kind) = (text("x-request-id"), text("content-type"));
        assert!(id.parse::<RequestId>().is_ok(), "every answer has one: {id}");
        document::check(&self.method, self.path, status, &kind);
        let bytes = to_bytes(response.into_body(), 2 << 20).await.expect("a body");
        let json: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status.is_client_error() || status.is_server_error() {
            let problem = kind == "application/problem+json";
            assert!(problem && json["status"] == status.as_u16() && json["request_id"] == id, "{status} {json}");
        }
        Answer { status, headers, json }
    }
}

struct Gateway {
    folder: tempfile::TempDir,
    router: Router,
    store: Arc<dyn Store>,
    agent_tokens: Arc<AgentTokens>,
    live: Arc<Live>,
    clock: Arc<Shifted>,
    changes: Arc<Changes>,
    access: Access,
    request_key: Secret<[u8; 32]>,
    tasks: TaskTracker,
    setup_token: SetupToken,
    admin: String,
    /// The administrator's password.
    root: String,
}

impl Gateway {
    async fn start() -> Self {
        Self::with(ApiSettings::default()).await
    }

    async fn with(settings: ApiSettings) -> Self {
        Self::new(settings, |store| store, |_, _| Arc::new(Open)).await
    }

    /// On a store of which the test keeps the strings.
    async fn wrapped() -> (Self, Arc<Wrapped>) {
        let mut kept = None;
        let wrap = |store| Arc::clone(kept.insert(Arc::new(Wrapped::new(store)))) as Arc<dyn Store>;
        let gateway = Self::new(ApiSettings::default(), wrap, |_, _| Arc::new(Open)).await;
        (gateway, kept.expect("wrapped"))
    }

    async fn governed(policy: impl FnOnce(Arc<dyn Store>, Access) -> Arc<dyn Policy>) -> Self {
        Self::new(ApiSettings::default(), |store| store, policy).await
    }

    async fn without_operator_key() -> Self {
        Self::made(ApiSettings::default(), |store| store, |_, _| Arc::new(Open), None).await.with_admin().await
    }

    /// One without users.
    async fn empty() -> Self {
        Self::made(ApiSettings::default(), |store| store, |_, _| Arc::new(Open), None).await
    }

    async fn new(
        settings: ApiSettings,
        wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>,
        policy: impl FnOnce(Arc<dyn Store>, Access) -> Arc<dyn Policy>,
    ) -> Self {
        Self::made(settings, wrap, policy, Some(OperatorKey::new(&Secret::new([7; 32])))).await.with_admin().await
    }

    async fn with_admin(mut self) -> Self {
        let passwords = Passwords::new(2).expect("argon2");
        let admin = first_admin(&*self.store, &passwords, &*self.clock, "root", false).await;
        self.root = admin.expect("the store works").expect("the first").password.expose().clone();
        self.admin = self.sign_in_root().await;
        self
    }

    async fn sign_in_root(&self) -> String {
        self.sign_in("root", &self.root).await
    }

    async fn made(
        settings: ApiSettings,
        wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>,
        policy: impl FnOnce(Arc<dyn Store>, Access) -> Arc<dyn Policy>,
        key: Option<OperatorKey>,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("hoop.db").display());
        let store = wrap(Arc::new(SqlStore::open(&url).await.expect("a store")));
        let secret = GatewaySecret::load_or_create(&folder.path().join("secret")).expect("a secret");
        let shifted = Arc::new(Shifted::default());
        let clock: Arc<dyn Clock> = shifted.clone();
        let changes = Arc::new(Changes::new());
        let passwords = Passwords::new(2).expect("argon2");
        let (live, tasks) = (Arc::new(Live::default()), TaskTracker::new());
        let access = Access::load(Arc::clone(&store), Arc::clone(&clock)).await.expect("readable");
        let agent_tokens = Arc::new(AgentTokens::new(Arc::clone(&store), Arc::clone(&clock), secret.agent_key()));
        let reviews = Reviews::new(
            Arc::clone(&store),
            Arc::clone(&clock),
            Arc::clone(&changes),
            ReviewLimits::default(),
            Vec::new(),
        );
        let router = router(ApiParts {
            reviews,
            credentials: Arc::new(NativeCredentials::new(
                Arc::clone(&store),
                Arc::clone(&clock),
                secret.login_key().expose(),
            )),
            agent_tokens: Arc::clone(&agent_tokens),
            policy: policy(Arc::clone(&store), access.clone()),
            access: access.clone(),
            device_sign_ins: Arc::new(DeviceSignIns::new(
                Arc::clone(&store),
                Arc::clone(&clock),
                secret.user_code_key(),
            )),
            browser_sign_ins: Arc::new(BrowserSignIns::new(Arc::clone(&store), Arc::clone(&clock))),
            setup_token: secret.setup_token(),
            throttle: Arc::new(Throttle::new(Arc::clone(&clock))),
            agents: live.clone(),
            sessions: live.clone(),
            readiness: live.clone(),
            check_role: live.clone(),
            secrets: SecretKeeper::new(Arc::clone(&store), Arc::clone(&clock), key),
            recording_key: PublicKey::from(&ed25519_dalek::SigningKey::from_bytes(&[7; 32])),
            recordings: Arc::new(RecordingFolder(folder.path().join("recordings"))),
            changes: Arc::clone(&changes),
            request_key: secret.request_key(),
            tasks: tasks.clone(),
            telemetry: Arc::new(Telemetry::new().expect("buckets")),
            health: Arc::default(),
            identity_keys: JwkSet { keys: Vec::new() },
            endpoints: Endpoints {
                pages: "https://gw.example.com".to_owned(),
                postgres: Endpoint { host: "db.example.com".to_owned(), port: 15432, tls: true },
                ssh: Endpoint { host: "gw.example.com".to_owned(), port: 12222, tls: false },
                web: Domain::of("https://apps.example.com").expect("a URL"),
                proxy: Endpoint { host: "gw.example.com".to_owned(), port: 18888, tls: true },
                ssh_host_keys: vec![HOST_KEY.to_owned()],
                grpc: Endpoint { host: "gw.example.com".to_owned(), port: 8010, tls: true },
                certificate: Some([7; 32]),
            },
            settings,
            store: Arc::clone(&store),
            clock,
            passwords,
        });
        Self {
            folder,
            router,
            store,
            agent_tokens,
            live,
            clock: shifted,
            changes,
            access,
            request_key: secret.request_key(),
            tasks,
            setup_token: secret.setup_token(),
            admin: String::new(),
            root: String::new(),
        }
    }

    fn call<'a>(&'a self, method: Method, path: &'a str) -> Call<'a> {
        Call { gateway: self, method, path, headers: Vec::new(), body: Vec::new() }
    }

    /// A change is meant for whatever is there.
    async fn send(&self, token: &str, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let changes = matches!(method, Method::PATCH | Method::DELETE);
        let mut call = self.call(method, path).token(token);
        if changes {
            call = call.header("if-match", "*");
        }
        let answer = match body {
            Some(body) => call.json(&body).send().await,
            None => call.send().await,
        };
        (answer.status, answer.json)
    }

    async fn get(&self, token: &str, path: &str) -> (StatusCode, Value) {
        self.send(token, Method::GET, path, None).await
    }

    async fn post(&self, token: &str, path: &str, body: Value) -> (StatusCode, Value) {
        self.send(token, Method::POST, path, Some(body)).await
    }

    async fn sign_in(&self, user: &str, password: &str) -> String {
        let (status, answer) = self.post("", "/api/v1/login", json!({ "user": user, "password": password })).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["token"].as_str().expect("a token").to_owned()
    }

    async fn user(&self, name: &str, kind: &str, groups: &[&str]) -> String {
        let password = format!("the password of {name}");
        let body = json!({ "name": name, "kind": kind, "groups": groups, "password": password, "must_change_password": false });
        assert_eq!(self.post(&self.admin, "/api/v1/users", body).await.0, StatusCode::CREATED);
        self.sign_in(name, &password).await
    }

    async fn role(&self, name: &str) -> Value {
        let (status, role) = self.post(&self.admin, "/api/v1/roles", role(name)).await;
        assert_eq!(status, StatusCode::CREATED, "{role}");
        role
    }

    async fn session(&self, of: &str) -> SessionId {
        let user = self.store.users().by_name(OrgId::DEFAULT, of).await.expect("the store works").expect("a user");
        let session = crate::store::tests::session(&user);
        self.store.sessions().open(&session).await.expect("stored");
        session.id
    }
}

fn role(name: &str) -> Value {
    json!({
        "name": name,
        "agent": "here",
        "target": { "kind": "postgres", "host": "db", "user": "app", "password": "env:HOOP_SECRET_DB", "database": "shop", "databases": ["shop_*"] },
        "allowed_groups": ["dba"],
    })
}
