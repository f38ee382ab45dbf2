//! The API from outside, on a real store.

mod access;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{Method, Request, StatusCode, header};
use hoop_core::id::{AgentId, OrgId, RequestId, SessionId};
use hoop_core::{
    AccessRequest, Clock, Code, Decision, Denial, Obligations, Policy, PolicyError, ResourceRole, SystemClock,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::access::Access;
use crate::auth::credential::NativeCredentials;
use crate::auth::token::AgentTokens;
use crate::auth::{GatewaySecret, Passwords, Throttle, first_admin};
use crate::store::{Ended, SqlStore, Store};
use crate::telemetry::Telemetry;
use crate::tunnel::{AgentAuthenticator as _, AgentStatus};

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

impl LiveSessions for Live {
    fn count(&self) -> usize {
        0
    }
    fn end(&self, _: OrgId, id: SessionId, _: Denial) -> bool {
        self.ended.lock().push(id);
        true
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

struct Gateway {
    folder: tempfile::TempDir,
    router: Router,
    store: Arc<dyn Store>,
    agent_tokens: Arc<AgentTokens>,
    live: Arc<Live>,
    admin: String,
}

impl Gateway {
    async fn start() -> Self {
        Self::with(|_, _| Arc::new(Open)).await
    }

    async fn with(policy: impl FnOnce(Arc<dyn Store>, Access) -> Arc<dyn Policy>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("hoop.db").display());
        let store: Arc<dyn Store> = Arc::new(SqlStore::open(&url).await.expect("a store"));
        let secret = GatewaySecret::load_or_create(&folder.path().join("secret")).expect("a secret");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let passwords = Passwords::new(2).expect("argon2");
        let admin = first_admin(&*store, &passwords, &*clock, "root", false)
            .await
            .expect("the store works")
            .expect("the first");
        let live = Arc::new(Live::default());
        let access = Access::load(Arc::clone(&store)).await.expect("readable");
        let agent_tokens = Arc::new(AgentTokens::new(Arc::clone(&store), Arc::clone(&clock), secret.agent_key()));
        let router = router(ApiParts {
            credentials: Arc::new(NativeCredentials::new(
                Arc::clone(&store),
                Arc::clone(&clock),
                secret.login_key().expose(),
            )),
            agent_tokens: Arc::clone(&agent_tokens),
            policy: policy(Arc::clone(&store), access.clone()),
            access,
            throttle: Arc::new(Throttle::new(Arc::clone(&clock))),
            agents: live.clone(),
            sessions: live.clone(),
            readiness: live.clone(),
            check_role: live.clone(),
            recordings: Arc::new(RecordingFolder(folder.path().join("recordings"))),
            telemetry: Arc::new(Telemetry::new().expect("buckets")),
            endpoints: Endpoints {
                postgres: Endpoint { host: "db.example.com".to_owned(), port: 15432, tls: true },
                grpc: Endpoint { host: "gw.example.com".to_owned(), port: 8010, tls: true },
                certificate: Some([7; 32]),
            },
            settings: ApiSettings::default(),
            store: Arc::clone(&store),
            clock,
            passwords,
        });
        let mut gateway = Self { folder, router, store, agent_tokens, live, admin: String::new() };
        gateway.admin = gateway.sign_in("root", admin.password.expose()).await;
        gateway
    }

    async fn send(&self, token: &str, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let request =
            Request::builder().method(method).uri(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        let request = match body {
            Some(body) => request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        let mut request = request.expect("a request");
        request.extensions_mut().insert(ConnectInfo(std::net::SocketAddr::from(([127, 0, 0, 1], 40000))));
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let status = response.status();
        let id =
            response.headers().get("x-request-id").expect("every answer has one").to_str().expect("ascii").to_owned();
        assert!(id.parse::<RequestId>().is_ok(), "{id}");
        let problem =
            response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json");
        let bytes = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
        let value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status.is_client_error() || status.is_server_error() {
            assert!(problem && value["status"] == status.as_u16() && value["request_id"] == id, "{status} {value}");
        }
        (status, value)
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

#[tokio::test]
async fn from_nothing_to_a_psql_command() {
    let gateway = Gateway::start().await;
    let (status, agent) = gateway.post(&gateway.admin, "/api/v1/agents", json!({ "name": "here" })).await;
    assert_eq!(status, StatusCode::CREATED, "{agent}");
    let key: hoop_proto::dsn::Dsn = agent["key"].as_str().expect("a key").parse().expect("a DSN");
    assert_eq!((key.host.as_str(), key.port, key.certificate), ("gw.example.com", 8010, Some([7; 32])));
    assert_eq!(&*gateway.agent_tokens.authenticate(&key.token).await.expect("good").name, "here");

    let made = gateway.role("shop").await;
    assert_eq!((&made["kind"], &made["recording"]), (&json!("postgres"), &json!("default")));
    let alice = gateway.user("alice", "member", &["dba"]).await;
    let (status, made) = gateway.post(&alice, "/api/v1/roles/shop/credentials", json!({ "ttl_seconds": 60 })).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let (login, password) = (made["user"].as_str().expect("a login"), made["password"].as_str().expect("a password"));
    assert!(login.starts_with("shop-") && login.len() == "shop-".len() + 8);
    assert_eq!(made["url"], format!("postgresql://{login}:{password}@db.example.com:15432/shop?sslmode=require"));
    assert_eq!(made["command"], format!("psql '{}'", made["url"].as_str().expect("a URL")));
    let certificate = format!("sha256:{}", "07".repeat(32));
    let tunnel = json!({ "host": "gw.example.com", "port": 8010, "tls": true, "certificate": certificate });
    assert_eq!(made["tunnel"], tunnel);

    let token = key.token.expose();
    for name in ["hoop.db", "hoop.db-wal"] {
        let file = std::fs::read(gateway.folder.path().join(name)).expect("a file");
        for secret in [password, token, &alice, &gateway.admin, "the password of alice"] {
            assert!(memchr::memmem::find(&file, secret.as_bytes()).is_none(), "{secret} in {name}");
        }
    }
    let (_, listed) = gateway.get(&alice, "/api/v1/credentials").await;
    assert_eq!(listed["items"][0]["login"], login);
    assert!(!listed.to_string().contains(password));
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_have_one_answer() {
    let gateway = Gateway::start().await;
    let login =
        |user: &'static str| gateway.post("", "/api/v1/login", json!({ "user": user, "password": "a wrong password" }));
    let (known, mut first) = login("root").await;
    let (unknown, mut second) = login("nobody").await;
    assert_eq!((known, unknown), (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED));
    first["request_id"] = Value::Null;
    second["request_id"] = Value::Null;
    assert_eq!(first, second);
    for _ in 0..6 {
        login("root").await;
    }
    let (status, problem) = login("root").await;
    assert_eq!((status, &problem["code"]), (StatusCode::TOO_MANY_REQUESTS, &json!("throttled")));
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let gateway = Gateway::start().await;
    let mut unknown = role("a");
    unknown["target"]["hots"] = json!("x");
    let mut literal = role("a");
    literal["target"]["password"] = json!("hunter2");
    let mut broken = role("a");
    broken["plugins"] = json!({ "broken": {} });
    let mut missing = role("a");
    missing.as_object_mut().expect("an object").remove("agent");
    for (path, body, named) in [
        ("/api/v1/roles", unknown, "hots"),
        ("/api/v1/roles", literal, "target.password"),
        ("/api/v1/roles", broken, "plugins"),
        ("/api/v1/roles", missing, "agent"),
        ("/api/v1/roles", role("Not a slug"), "name"),
        ("/api/v1/users", json!({ "name": "x", "pasword": "y" }), "pasword"),
        ("/api/v1/users", json!({ "name": "x", "kind": "boss" }), "kind"),
        ("/api/v1/users", json!({ "name": "x", "groups": ["a", 7] }), "groups"),
        ("/api/v1/users", json!({ "name": "x", "password": "short" }), "password"),
        ("/api/v1/agents", json!({ "name": "x", "token": "y" }), "token"),
        ("/api/v1/login", json!({ "user": "x" }), "password"),
    ] {
        let (status, problem) = gateway.post(&gateway.admin, path, body).await;
        assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("invalid_request")), "{problem}");
        assert!(problem["detail"].as_str().expect("a text").contains(named), "{named}: {problem}");
        assert!(
            problem["errors"][0]["pointer"]
                .as_str()
                .expect("a pointer")
                .contains(named.split('.').next_back().expect("one")),
            "{problem}"
        );
        assert!(!problem.to_string().contains("hunter2"));
    }
    for path in [
        "/api/v1/users?limit=0",
        "/api/v1/users?limit=201",
        "/api/v1/users?limt=1",
        "/api/v1/users?cursor=!",
        "/api/v1/users?limit=x",
    ] {
        assert_eq!(gateway.get(&gateway.admin, path).await.0, StatusCode::BAD_REQUEST, "{path}");
    }
    assert_eq!(gateway.get(&gateway.admin, "/api/v1/nothing").await.0, StatusCode::NOT_FOUND);
    assert_eq!(
        gateway.send(&gateway.admin, Method::DELETE, "/api/v1/me", None).await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
    let long = json!({ "name": "x".repeat(2 << 20) });
    assert_eq!(gateway.post(&gateway.admin, "/api/v1/agents", long).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn each_route_asks_for_its_permission() {
    let gateway = Gateway::start().await;
    gateway.role("shop").await;
    let member = gateway.user("mia", "member", &[]).await;
    let auditor = gateway.user("audrey", "auditor", &[]).await;
    let someone = gateway.session("root").await;
    let (get, post, patch, delete) = (Method::GET, Method::POST, Method::PATCH, Method::DELETE);
    let id = someone.to_string();
    let table = [
        // route, then the status for a stranger, a member, an auditor
        (get.clone(), "/api/v1/me".to_owned(), [401, 200, 200]),
        (get.clone(), "/api/v1/users".to_owned(), [401, 403, 200]),
        (post.clone(), "/api/v1/users".to_owned(), [401, 403, 403]),
        (get.clone(), "/api/v1/users/root".to_owned(), [401, 403, 200]),
        (patch.clone(), "/api/v1/users/root".to_owned(), [401, 403, 403]),
        (get.clone(), "/api/v1/groups".to_owned(), [401, 403, 200]),
        (get.clone(), "/api/v1/roles".to_owned(), [401, 200, 200]),
        (post.clone(), "/api/v1/roles".to_owned(), [401, 403, 403]),
        (get.clone(), "/api/v1/roles/shop".to_owned(), [401, 404, 200]),
        (patch, "/api/v1/roles/shop".to_owned(), [401, 403, 403]),
        (delete.clone(), "/api/v1/roles/shop".to_owned(), [401, 403, 403]),
        (post.clone(), "/api/v1/roles/shop/credentials".to_owned(), [401, 404, 403]),
        (get.clone(), "/api/v1/credentials".to_owned(), [401, 200, 200]),
        (delete, "/api/v1/credentials/crd_x".to_owned(), [401, 404, 404]),
        (get.clone(), "/api/v1/agents".to_owned(), [401, 403, 200]),
        (post.clone(), "/api/v1/agents".to_owned(), [401, 403, 403]),
        (get.clone(), "/api/v1/agents/x".to_owned(), [401, 403, 404]),
        (post.clone(), "/api/v1/agents/x/rotate".to_owned(), [401, 403, 403]),
        (post.clone(), "/api/v1/agents/x/revoke".to_owned(), [401, 403, 403]),
        (get.clone(), "/api/v1/sessions".to_owned(), [401, 200, 200]),
        (get.clone(), format!("/api/v1/sessions/{id}"), [401, 404, 200]),
        (post, format!("/api/v1/sessions/{id}/kill"), [401, 404, 404]),
        (get.clone(), format!("/api/v1/sessions/{id}/recording"), [401, 404, 404]),
        (get.clone(), "/api/v1/events".to_owned(), [401, 403, 200]),
        (get, "/healthz".to_owned(), [200, 200, 200]),
    ];
    for (method, path, expected) in table {
        for (token, expected) in ["", &member, &auditor].into_iter().zip(expected) {
            let (status, answer) = gateway.send(token, method.clone(), &path, None).await;
            assert_eq!(status.as_u16(), expected, "{method} {path}: {answer}");
        }
    }
    assert!(gateway.live.ended.lock().is_empty());
    let (_, events) = gateway.get(&auditor, "/api/v1/events?limit=200").await;
    let refused: Vec<_> =
        events["items"].as_array().expect("a list").iter().filter(|event| event["code"] == "access_denied").collect();
    assert!(
        refused.iter().any(|event| event["user"] == "mia" && event["action"] == "POST /api/v1/agents/{name}/rotate"),
        "{events}"
    );
    let strangers = events["items"].as_array().expect("a list").iter().filter(|event| event["user"].is_null()).count();
    assert_eq!(strangers, 0, "strangers fill no disk");
}

#[tokio::test]
async fn pages_lead_to_every_item_once() {
    let gateway = Gateway::start().await;
    for number in 0..7 {
        gateway.role(&format!("role-{number}")).await;
    }
    let (mut names, mut path) = (Vec::new(), "/api/v1/roles?limit=3".to_owned());
    loop {
        let (_, answer) = gateway.get(&gateway.admin, &path).await;
        let items = answer["items"].as_array().expect("a list");
        assert!(items.len() <= 3);
        names.extend(items.iter().map(|role| role["name"].as_str().expect("a name").to_owned()));
        let Some(cursor) = answer["next_cursor"].as_str() else { break };
        path = format!("/api/v1/roles?limit=3&cursor={cursor}");
    }
    assert_eq!(names, (0..7).map(|number| format!("role-{number}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_member_pages_through_roles_that_are_not_for_them() {
    let gateway = Gateway::start().await;
    for number in 0..4 {
        gateway.role(&format!("role-{number}")).await;
    }
    let mia = gateway.user("mia", "member", &[]).await;
    let (_, first) = gateway.get(&mia, "/api/v1/roles?limit=3").await;
    assert_eq!(first["items"], json!([]));
    let cursor = first["next_cursor"].as_str().expect("there is more to look at");
    let (_, last) = gateway.get(&mia, &format!("/api/v1/roles?limit=3&cursor={cursor}")).await;
    assert_eq!(last, json!({ "items": [], "next_cursor": null }));
    let alice = gateway.user("alice", "member", &["dba"]).await;
    let (_, seen) = gateway.get(&alice, "/api/v1/roles").await;
    assert_eq!(seen["items"].as_array().map(Vec::len), Some(4));
    assert!(!seen.to_string().contains("HOOP_SECRET_DB"), "where a role leads to is not theirs to see");
}

#[tokio::test]
async fn a_role_changes_by_merge_and_keeps_its_name() {
    let gateway = Gateway::start().await;
    let made = gateway.role("shop").await;
    let patch =
        json!({ "recording": "strict", "labels": { "env": "prod" }, "target": { "password": null, "port": 6432 } });
    let (status, changed) = gateway.send(&gateway.admin, Method::PATCH, "/api/v1/roles/shop", Some(patch)).await;
    assert_eq!(status, StatusCode::OK, "{changed}");
    assert_eq!(
        (&changed["id"], &changed["recording"], &changed["target"]["port"]),
        (&made["id"], &json!("strict"), &json!(6432))
    );
    assert!(changed["target"].get("password").is_none() && changed["target"]["host"] == "db");
    for patch in [json!({ "name": "other" }), json!({ "agent": null }), json!({ "target": { "nope": 1 } })] {
        assert_eq!(
            gateway.send(&gateway.admin, Method::PATCH, "/api/v1/roles/shop", Some(patch)).await.0,
            StatusCode::BAD_REQUEST
        );
    }
    assert_eq!(gateway.post(&gateway.admin, "/api/v1/roles", role("shop")).await.0, StatusCode::CONFLICT);
    assert_eq!(
        gateway.send(&gateway.admin, Method::DELETE, "/api/v1/roles/shop", None).await.0,
        StatusCode::NO_CONTENT
    );
    assert_eq!(gateway.get(&gateway.admin, "/api/v1/roles/shop").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_password_that_somebody_else_knows_is_good_for_nothing_but_another() {
    let gateway = Gateway::start().await;
    let body = json!({ "name": "bob", "password": "given by the admin" });
    assert_eq!(gateway.post(&gateway.admin, "/api/v1/users", body).await.0, StatusCode::CREATED);
    let bob = gateway.sign_in("bob", "given by the admin").await;
    assert_eq!(gateway.get(&bob, "/api/v1/me").await.1["must_change_password"], true);
    assert_eq!(gateway.get(&bob, "/api/v1/roles").await.0, StatusCode::FORBIDDEN);
    let other = gateway.sign_in("bob", "given by the admin").await;
    let change = json!({ "current": "given by the admin", "new": "known to bob alone" });
    assert_eq!(gateway.send(&bob, Method::PUT, "/api/v1/me/password", Some(change)).await.0, StatusCode::NO_CONTENT);
    assert_eq!(gateway.get(&bob, "/api/v1/roles").await.0, StatusCode::OK);
    assert_eq!(gateway.get(&other, "/api/v1/me").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(gateway.post(&bob, "/api/v1/logout", json!({})).await.0, StatusCode::NO_CONTENT);
    assert_eq!(gateway.get(&bob, "/api/v1/me").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn who_is_shut_out_is_out_at_once() {
    let gateway = Gateway::start().await;
    let alice = gateway.user("alice", "member", &["dba"]).await;
    let session = gateway.session("alice").await;
    let disable = json!({ "disabled": true });
    let (status, _) = gateway.send(&gateway.admin, Method::PATCH, "/api/v1/users/alice", Some(disable.clone())).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(gateway.get(&alice, "/api/v1/me").await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(*gateway.live.ended.lock(), [session]);
    let (status, _) = gateway.send(&gateway.admin, Method::PATCH, "/api/v1/users/root", Some(disable)).await;
    assert_eq!(status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn an_agent_is_rotated_and_revoked() {
    let gateway = Gateway::start().await;
    let token =
        |answer: &Value| answer["key"].as_str().expect("a key").parse::<hoop_proto::dsn::Dsn>().expect("a DSN").token;
    let (_, made) = gateway.post(&gateway.admin, "/api/v1/agents", json!({ "name": "here" })).await;
    let (_, rotated) = gateway.post(&gateway.admin, "/api/v1/agents/here/rotate", json!({})).await;
    assert!(gateway.agent_tokens.authenticate(&token(&made)).await.is_err());
    assert!(gateway.agent_tokens.authenticate(&token(&rotated)).await.is_ok());
    let (status, revoked) = gateway.post(&gateway.admin, "/api/v1/agents/here/revoke", json!({})).await;
    assert_eq!(status, StatusCode::OK);
    assert!(revoked["revoked_at"].is_string());
    assert!(gateway.agent_tokens.authenticate(&token(&rotated)).await.is_err());
    assert_eq!(gateway.live.cut.lock().len(), 1);
}

#[tokio::test]
async fn sessions_are_listed_killed_and_their_recordings_sent() {
    let gateway = Gateway::start().await;
    let alice = gateway.user("alice", "member", &["dba"]).await;
    let (own, other) = (gateway.session("alice").await, gateway.session("root").await);
    let (_, listed) = gateway.get(&alice, "/api/v1/sessions").await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    let kill = |id: SessionId| format!("/api/v1/sessions/{id}/kill");
    assert_eq!(gateway.post(&alice, &kill(other), json!({})).await.0, StatusCode::NOT_FOUND);
    assert_eq!(gateway.post(&alice, &kill(own), json!({})).await.0, StatusCode::ACCEPTED);
    let ended = Ended {
        at: SystemClock.now(),
        outcome: "killed".to_owned(),
        code: Some("session_killed".to_owned()),
        reason: None,
        totals: Some(json!({ "rows": 7 })),
        log_head: None,
        log_records: Some(3),
    };
    assert!(gateway.store.sessions().close(OrgId::DEFAULT, own, &ended).await.expect("closed"));
    assert_eq!(gateway.post(&alice, &kill(own), json!({})).await.0, StatusCode::CONFLICT);
    let (_, shown) = gateway.get(&alice, &format!("/api/v1/sessions/{own}")).await;
    assert_eq!((&shown["outcome"], &shown["totals"]["rows"]), (&json!("killed"), &json!(7)));

    let path = crate::record::sealed_path(&gateway.folder.path().join("recordings"), own);
    std::fs::create_dir_all(path.parent().map(PathBuf::from).expect("a folder")).expect("made");
    std::fs::write(path, b"HOOPLOG1...").expect("written");
    let request = Request::get(format!("/api/v1/sessions/{own}/recording"))
        .header(header::AUTHORIZATION, format!("Bearer {alice}"));
    let response =
        gateway.router.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("infallible");
    assert_eq!(response.headers()[header::CONTENT_LENGTH], "11");
    assert_eq!(&to_bytes(response.into_body(), 100).await.expect("a body")[..], b"HOOPLOG1...");
    let (_, events) = gateway.get(&gateway.admin, "/api/v1/events?limit=1").await;
    let event = &events["items"][0];
    assert_eq!((&event["user"], &event["action"]), (&json!("alice"), &json!("GET /api/v1/sessions/{id}/recording")));
}

#[tokio::test]
async fn the_request_id_is_kept_when_it_is_one_and_metrics_are_shown() {
    let gateway = Gateway::start().await;
    let id = RequestId::new(&SystemClock).to_string();
    for (given, kept) in [(id.as_str(), true), ("forged\u{7f}", false), ("req_1", false)] {
        let Ok(request) = Request::get("/readyz").header("x-request-id", given).body(Body::empty()) else { continue };
        let response = gateway.router.clone().oneshot(request).await.expect("infallible");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["x-request-id"] == given, kept);
    }
    let request = Request::get("/metrics").body(Body::empty()).expect("a request");
    let response = gateway.router.clone().oneshot(request).await.expect("infallible");
    let text = to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("hoop_agents_attached 3") && text.contains("hoop_http_request_seconds_count"), "{text}");
}
