//! Whole gateways, several in one process.

mod access;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hoop_core::id::OrgId;
use hoop_core::{Clock as _, Denial, Plugin, SessionContext, SessionPlugin, SystemClock};
use hoop_proto::tunnel::v1::tunnel_client::TunnelClient;
use hoop_proto::tunnel::v1::{AgentMessage, GatewayMessage, Hello, agent_message, gateway_message};
use hoop_proto::tunnel::version::{PROTOCOL_MAX, PROTOCOL_MIN};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming};

use crate::config::{Config, Loader};
use crate::record::{Recorder, RecorderConfig, event, load_or_create_key, sealed_path};
use crate::store::tests::{role, session, user};
use crate::store::{SqlStore, Store};
use crate::{BuildProblem, Gateway, Running, open_store};

fn config(data: &std::path::Path, others: &[(&str, &str)]) -> Config {
    let data = data.display().to_string();
    let free = "127.0.0.1:0";
    let settings = [
        ("data", data.as_str()),
        ("listen.http.address", free),
        ("listen.postgres.address", free),
        ("listen.ssh.address", free),
        ("listen.proxy.address", free),
    ];
    let agents = [("listen.grpc.address", free), ("listen.grpc.tls", "false"), ("limits.drain", "1s")];
    let all = settings.iter().chain(&agents).chain(others);
    let flags = all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Loader::new().flags(flags).load().expect("valid").config
}

async fn start(config: Config) -> Running {
    let gateway = Gateway::builder().config(config).build().await.expect("built");
    gateway.bind().await.expect("free ports")
}

async fn get(running: &Running, path: &str) -> String {
    let mut tcp = TcpStream::connect(running.addresses().http).await.expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    tcp.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.expect("answered");
    answer
}

/// An agent's hello with this token, and the first answer.
async fn attach(
    running: &Running,
    token: &str,
) -> Result<(mpsc::Sender<AgentMessage>, Streaming<GatewayMessage>), Status> {
    let url = format!("http://{}", running.addresses().grpc);
    let mut client = TunnelClient::connect(url).await.expect("connected");
    let (control, outgoing) = mpsc::channel(4);
    let hello = Hello { protocol_min: PROTOCOL_MIN, protocol_max: PROTOCOL_MAX, ..Hello::default() };
    let hello = AgentMessage { body: Some(agent_message::Body::Hello(hello)) };
    control.try_send(hello).expect("room");
    let mut request = Request::new(ReceiverStream::new(outgoing));
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a token"));
    let mut messages = client.attach(request).await?.into_inner();
    let first = messages.message().await?;
    assert!(matches!(first, Some(GatewayMessage { body: Some(gateway_message::Body::Welcome(_)) })), "{first:?}");
    Ok((control, messages))
}

async fn token(running: &Running, agent: &str) -> String {
    let key = running.agent_key(agent).await.expect("made");
    let key: hoop_proto::dsn::Dsn = key.expose().parse().expect("a key");
    assert_eq!((key.host.as_str(), key.port), ("127.0.0.1", running.addresses().grpc.port()));
    key.token.expose().clone()
}

#[tokio::test]
async fn two_gateways_live_in_one_process() {
    let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (one, other) = tokio::join!(start(config(one.path(), &[])), start(config(other.path(), &[])));
    assert_ne!(one.addresses().http, other.addresses().http);
    let admin = one.gateway().first_admin("admin", false).await.expect("made");
    assert_eq!(admin.expect("the first").name, "admin");
    assert!(one.gateway().first_admin("admin", false).await.expect("asked").is_none());
    for running in [&one, &other] {
        assert!(get(running, "/readyz").await.starts_with("HTTP/1.1 200"));
    }

    let _agent = attach(&one, &token(&one, "here").await).await.expect("attached");
    assert!(get(&one, "/metrics").await.contains("hoop_agents_attached 1\n"));
    assert!(get(&other, "/metrics").await.contains("hoop_agents_attached 0\n"));

    let address = one.addresses().http;
    one.shutdown().await;
    assert!(TcpStream::connect(address).await.is_err());
    assert!(get(&other, "/readyz").await.starts_with("HTTP/1.1 200"), "the other one goes on");
    other.shutdown().await;
}

#[tokio::test]
async fn an_agents_last_key_alone_lets_it_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = start(config(folder.path(), &[])).await;
    let first = token(&running, "here").await;
    let second = token(&running, "here").await;
    assert_eq!(attach(&running, &first).await.expect_err("rotated").code(), Code::Unauthenticated);
    let (_control, mut messages) = attach(&running, &second).await.expect("attached");
    assert!(running.agent_key("No Name").await.is_err());

    running.shutdown().await;
    let ended = async { while let Ok(Some(_)) = messages.message().await {} };
    tokio::time::timeout(Duration::from_secs(5), ended).await.expect("the link ends with the gateway");
}

/// A key that is taken away elsewhere, as by another process on the same store, ends the links with it as well.
#[tokio::test]
async fn a_link_ends_with_its_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = start(config(folder.path(), &[])).await;
    let ends = async |mut messages: Streaming<GatewayMessage>| {
        let ended = async { while let Ok(Some(_)) = messages.message().await {} };
        tokio::time::timeout(Duration::from_secs(5), ended).await.expect("the link ends with its key");
    };
    let (_control, messages) = attach(&running, &token(&running, "here").await).await.expect("attached");
    let second = token(&running, "here").await;
    ends(messages).await;

    let (_control, messages) = attach(&running, &second).await.expect("attached");
    let agents = running.gateway().store().agents();
    let agent = agents.by_name(OrgId::DEFAULT, "here").await.expect("asked").expect("there");
    agents.revoke(OrgId::DEFAULT, agent.id, SystemClock.now()).await.expect("revoked");
    ends(messages).await;
    running.shutdown().await;
}

#[tokio::test]
async fn a_connection_of_nobody_is_let_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = start(config(folder.path(), &[("limits.login_timeout", "300ms")])).await;
    let mut silent = TcpStream::connect(running.addresses().grpc).await.expect("connected");
    let closed = async { while silent.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {} };
    tokio::time::timeout(Duration::from_secs(5), closed).await.expect("closed");
    // An agent that got in stays in.
    let (control, mut messages) = attach(&running, &token(&running, "here").await).await.expect("attached");
    let stays = async { while let Ok(Some(_)) = messages.message().await {} };
    tokio::time::timeout(Duration::from_secs(1), stays).await.expect_err("it stays");
    drop(control);
    running.shutdown().await;
}

#[tokio::test]
async fn dropping_it_stops_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = start(config(folder.path(), &[])).await;
    let (address, tasks) = (running.addresses().http, running.gateway().parts.tasks.clone());
    drop(running);
    tasks.close();
    tokio::time::timeout(Duration::from_secs(5), tasks.wait()).await.expect("every task ends");
    assert!(TcpStream::connect(address).await.is_err());
    start(config(folder.path(), &[])).await.shutdown().await;
}

#[tokio::test]
async fn every_problem_is_told_at_once() {
    let (folder, data) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let first = Gateway::builder().config(config(data.path(), &[])).build().await.expect("built");
    let mut wrong = config(data.path(), &[("listen.grpc.public", "here"), ("listen.http.address", "127.0.0.1:9")]);
    wrong.listen.postgres.address = wrong.listen.http.address;
    let error = Gateway::builder().config(wrong).build().await.expect_err("wrong");
    let text = error.to_string();
    for words in
        ["`listen.grpc.public` is `here`", "`listen.postgres.address` is the address of", "in use by another gateway"]
    {
        assert!(text.contains(words), "{text}");
    }
    assert_eq!(error.problems().len(), 3);

    drop(first);
    let missing = [("tls.certificate", "none.crt"), ("tls.key", "none.key")];
    let error = Gateway::builder().config(config(folder.path(), &missing)).build().await.expect_err("no such file");
    assert!(error.to_string().contains("none.crt"), "{error}");
    assert!(matches!(error.problems(), [BuildProblem::Tls(_)]));
    let missing = [("secrets.key_file", "operator.key")];
    let error = Gateway::builder().config(config(folder.path(), &missing)).build().await.expect_err("no such file");
    assert!(error.to_string().contains("operator.key") && error.to_string().contains("secrets new-key"), "{error}");
    assert!(matches!(error.problems(), [BuildProblem::OperatorKey(_)]));
}

/// A plugin that wants to see nothing.
struct Mine;

#[async_trait]
impl Plugin for Mine {
    fn name(&self) -> &str {
        "mine"
    }

    async fn open(&self, _: &SessionContext) -> Result<Option<Box<dyn SessionPlugin>>, Denial> {
        Ok(None)
    }
}

#[tokio::test]
async fn the_chain_is_in_order_and_reads_every_setting() {
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = Gateway::builder().config(config(folder.path(), &[])).plugin(Mine).build().await.expect("built");
    let chain = &gateway.parts.chain;
    let names: Vec<_> = chain.names().collect();
    assert_eq!((names.first(), names.last()), (Some(&"audit"), Some(&"mine")));
    let check = |plugins: serde_json::Value| {
        let mut role = role("shop").role;
        role.plugins = serde_json::from_value(plugins).expect("a map");
        chain.check_role(&role).map_err(|denial| denial.reason)
    };
    check(json!({})).expect("nothing to say");
    let read = json!({ "masking": { "columns": [] }, "audit": { "rows_bytes_per_statement": 0 }, "mine": 1 });
    check(read).expect("all of it is read");
    for (plugins, named) in [
        (json!({ "masking": { "colums": [] } }), "masking"),
        (json!({ "audit": { "rows": 0 } }), "audit"),
        (json!({ "maskng": {} }), "maskng"),
    ] {
        let reason = check(plugins).expect_err("a mistake");
        assert!(reason.contains(named), "{reason}");
    }

    drop(gateway);
    let alone = Gateway::builder().config(config(folder.path(), &[])).without_stock_plugins().plugin(Mine);
    let alone = alone.build().await.expect("built");
    assert_eq!(alone.parts.chain.names().collect::<Vec<_>>(), ["mine"]);
    drop(alone);
    let twice = Gateway::builder().config(config(folder.path(), &[])).plugin(Mine).plugin(Mine).build().await;
    assert!(matches!(twice.expect_err("one name").problems(), [BuildProblem::SamePlugin { .. }]));
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let (one, other) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let running = start(config(one.path(), &[])).await;
    let taken = running.addresses().postgres.to_string();
    let gateway = Gateway::builder().config(config(other.path(), &[("listen.postgres.address", &taken)])).build().await;
    let error = gateway.expect("built").bind().await.expect_err("taken").to_string();
    assert!(error.contains(&taken) && error.contains("`listen.postgres.address`"), "{error}");
    running.shutdown().await;
}

/// Two sessions that a gateway left open when it died: one with a recording, one without.
#[tokio::test]
async fn orphans_are_closed_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path(), &[]);
    let store = open_store(&config).await.expect("a store");
    let alice = user("alice", &[]);
    store.users().create(&alice).await.expect("stored");
    let (recorded, bare) = (session(&alice), session(&alice));
    for session in [&recorded, &bare] {
        store.sessions().open(session).await.expect("stored");
    }
    let recordings = config.path(&config.record.folder);
    let key = load_or_create_key(&folder.path().join("recording.key")).expect("made");
    let died = tokio::task::spawn_blocking(move || {
        let (recorder, _) =
            Recorder::open(RecorderConfig::new(recordings, key), Arc::new(SystemClock)).expect("opened");
        let header = event::Header { org: recorded.org.to_string(), ..event::Header::default() };
        let _log = recorder.session(recorded.id, &header).expect("begun");
        recorder.shut_down();
        recorded.id
    });
    let recorded = died.await.expect("no panic");
    store.close().await;

    let running = start(config.clone()).await;
    let store: &Arc<dyn Store> = running.gateway().store();
    let ended = async |id| {
        let session = store.sessions().get(OrgId::DEFAULT, id).await.expect("asked").expect("there");
        session.ended.expect("closed")
    };
    let (with, without) = (ended(recorded).await, ended(bare.id).await);
    assert_eq!((with.outcome.as_str(), without.outcome.as_str()), ("gateway_lost", "gateway_lost"));
    assert!(with.totals.is_some() && with.log_head.is_some_and(|head| head.len() == 64) && with.log_records > Some(0));
    assert!(without.log_head.is_none() && without.at <= SystemClock.now());
    assert!(sealed_path(&config.path(&config.record.folder), recorded).exists());
    running.shutdown().await;

    let store = SqlStore::open(config.store_url().expose()).await.expect("closed in order");
    assert!(store.sessions().open_of(OrgId::DEFAULT, alice.id).await.expect("asked").is_empty());
}
