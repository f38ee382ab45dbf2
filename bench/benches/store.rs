//! What lists cost in a store that has been in use for years, and what a start costs, on each engine.
//!
//! `cargo bench -p hoop-bench --bench store [folder]`: the folder decides which disk SQLite is measured on. The stores are
//! filled with what `hoop-gateway store restore` takes, so that the time of that is seen, too.

use std::io;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta};
use hoop_core::id::{EventId, OrgId, SessionId, UserId};
use hoop_core::{Clock as _, SystemClock};
use hoop_gateway::store::{SessionFilter, SessionState, SqlStore, Store as _};
use hoop_testkit::Postgres;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncWriteExt as _, BufReader, BufWriter, DuplexStream};

/// Users, sessions and events that the lists are taken from.
const MANY: u128 = 100_000;
/// Past sessions at a start.
const PAST: u128 = 1_000_000;
const LISTED: u32 = 200;
const ROUNDS: u128 = 300;
/// A list must not take longer than this for 99 of 100.
const LIST: Duration = Duration::from_millis(50);
/// Nor a start.
const START: Duration = Duration::from_secs(1);
/// How long the time is that sessions are looked for in; one begins each millisecond.
const APART: TimeDelta = TimeDelta::milliseconds(500);
const ORG: OrgId = OrgId::DEFAULT;

fn main() {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let folder = folder.map_or_else(tempfile::tempdir, tempfile::tempdir_in).expect("a folder");
    let server = Postgres::start();
    let sqlite = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        lists("SQLite", &sqlite("lists.db")).await;
        lists("PostgreSQL", &server.url(&server.database())).await;
        start("SQLite", &sqlite("start.db")).await;
        start("PostgreSQL", &server.url(&server.database())).await;
    });
}

async fn lists(engine: &str, url: &str) {
    fill(engine, url, Amount { users: MANY, sessions: MANY, events: MANY }).await;
    let store = SqlStore::open(url).await.expect("a store");
    let user = |number| UserId::from_uuid(uuid(USER, number));
    page(engine, "users, from anywhere", async |at| {
        store.users().list(ORG, None, Some(&name(at)), LISTED).await.expect("a page").items.len()
    })
    .await;
    page(engine, "sessions, from anywhere", async |at| {
        let before = Some(SessionId::from_uuid(uuid(SESSION, at + 1)));
        store.sessions().list(ORG, &SessionFilter::default(), before, LISTED).await.expect("a page").items.len()
    })
    .await;
    page(engine, "sessions of a user with few", async |at| {
        listed(&store, &SessionFilter::of(Some(user(at | 1)))).await
    })
    .await;
    page(engine, "sessions of the user with most", async |_| listed(&store, &SessionFilter::of(Some(user(0)))).await)
        .await;
    let none = SessionFilter::default;
    page(engine, "sessions of a role with few", async |at| {
        listed(&store, &SessionFilter { role: Some(format!("role-{:03}", at % 1000)), ..none() }).await
    })
    .await;
    page(engine, "sessions of a database with few", async |at| {
        listed(&store, &SessionFilter { database: Some(format!("shop-{:03}", at % 1000)), ..none() }).await
    })
    .await;
    page(engine, "sessions of a name with few", async |at| {
        listed(&store, &SessionFilter { user: Some(name(at | 1)), ..none() }).await
    })
    .await;
    page(engine, "sessions that have not ended", async |_| {
        listed(&store, &SessionFilter { state: Some(SessionState::Open), ..none() }).await
    })
    .await;
    page(engine, "sessions with a rare outcome", async |_| {
        listed(&store, &SessionFilter { outcome: Some("agent_lost".to_owned()), ..none() }).await
    })
    .await;
    page(engine, "sessions of a time long ago", async |at| {
        let since = DateTime::from_timestamp_millis(i64::try_from(at + 1).expect("small")).expect("a time");
        listed(&store, &SessionFilter { since: Some(since), until: Some(since + APART), ..none() }).await
    })
    .await;
    page(engine, "groups and their members", async |_| {
        store.users().groups(ORG, None, LISTED).await.expect("a page").items.len()
    })
    .await;
    page(engine, "events, from anywhere", async |at| {
        let before = Some(EventId::from_uuid(uuid(EVENT, at + 1)));
        store.events().list(ORG, before, LISTED).await.expect("a page").items.len()
    })
    .await;
    store.close().await;
}

async fn listed(store: &SqlStore, filter: &SessionFilter) -> usize {
    store.sessions().list(ORG, filter, None, LISTED).await.expect("a page").items.len()
}

/// Lists a page again and again, each time from another place; `list` says how many there are on it.
async fn page(engine: &str, name: &str, list: impl AsyncFn(u128) -> usize) {
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let start = Instant::now();
        let found = list(round * (MANY / ROUNDS)).await;
        times.push(start.elapsed());
        assert!(found > 0, "{name}: nothing is listed");
    }
    times.sort_unstable();
    let of = |percent: usize| times[(times.len() - 1) * percent / 100];
    let met = if of(99) <= LIST { "met   " } else { "MISSED" };
    println!("{met} {engine:10} {name:32} p50 {:>9.2?}  p99 {:>9.2?}  most {:>9.2?}", of(50), of(99), of(100));
}

async fn start(engine: &str, url: &str) {
    fill(engine, url, Amount { users: 1, sessions: PAST, events: 0 }).await;
    let start = Instant::now();
    let store = SqlStore::open(url).await.expect("a store");
    let closed = store.sessions().close_orphans(SystemClock.now()).await.expect("closed");
    let took = start.elapsed();
    let met = if took <= START { "met   " } else { "MISSED" };
    println!("{met} {engine:10} a start with {PAST} past sessions: {took:.2?}, {closed} of them left open");
    store.close().await;
}

/// Fills a store.
async fn fill(engine: &str, url: &str, amount: Amount) {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let start = Instant::now();
    let written = async move {
        let mut backup = Backup { to: BufWriter::new(ours), hash: Sha256::new() };
        backup.write(amount).await.expect("the other end reads");
    };
    let ((), restored) = tokio::join!(written, SqlStore::restore(url, BufReader::new(theirs)));
    let rows: u64 = restored.expect("a backup").values().sum();
    println!("       {engine:10} restored {rows} rows in {:.2?}", start.elapsed());
}

/// How many there are of each.
#[derive(Clone, Copy)]
struct Amount {
    users: u128,
    sessions: u128,
    events: u128,
}

/// A backup, as of `hoop_gateway::store::backup`.
struct Backup {
    to: BufWriter<DuplexStream>,
    hash: Sha256,
}

impl Backup {
    async fn write(&mut self, Amount { users, sessions, events }: Amount) -> io::Result<()> {
        let tables = json!({
            "orgs": 1, "users": users, "memberships": users, "agents": 0, "roles": 0, "tokens": 0, "credentials": 0,
            "sessions": sessions, "events": events,
        });
        self.line(&json!({ "hoop_backup": 1, "schema": 1, "tables": tables })).await?;
        let org = ORG.as_uuid().simple().to_string();
        let id = |kind, number| uuid(kind, number).simple().to_string();
        self.table("orgs", "id name created_at", 1, |_| json!([org, "default", 0])).await?;
        let columns = "org_id id name kind must_change_password disabled created_at";
        self.table("users", columns, users, |user| json!([org, id(USER, user), name(user), "member", false, false, 0]))
            .await?;
        self.table("memberships", "org_id user_id group_name", users, |user| {
            json!([org, id(USER, user), format!("group-{}", user % 50)])
        })
        .await?;
        let columns = "org_id id request_id user_id user_name role_id role_name agent mode source application target_db \
            state started_at ended_at outcome totals log_head log_records";
        let totals = json!({ "requests": 12, "rows": 3456, "bytes_in": 7890, "bytes_out": 123_456 }).to_string();
        self.table("sessions", columns, sessions, |number| {
            // Every tenth is of the first user. A thousand were open when the gateway died.
            let user = if number % 10 == 0 { 0 } else { number % users };
            let state = if number % (sessions / 1000) == 0 { "running" } else { "closed" };
            json!([
                org,
                id(SESSION, number),
                id(REQUEST, number),
                id(USER, user),
                name(user),
                id(ROLE, 1),
                format!("role-{:03}", number % 1000),
                "here",
                "native",
                "127.0.0.1:40000",
                "psql",
                format!("shop-{:03}", number % 1000),
                state,
                number * 1000,
                number * 1000 + 1,
                if number % 500 == 0 { "agent_lost" } else { "completed" },
                totals,
                "00".repeat(32),
                12,
            ])
        })
        .await?;
        let columns = "org_id id request_id user_name action subject status at";
        self.table("events", columns, events, |number| {
            let path = "/api/v1/login";
            json!([org, id(EVENT, number), id(REQUEST, number), "alice", format!("POST {path}"), path, 200, 0])
        })
        .await?;
        let sha256: String = self.hash.finalize_reset().iter().map(|byte| format!("{byte:02x}")).collect();
        self.line(&json!({ "sha256": sha256 })).await?;
        self.to.shutdown().await
    }

    async fn table(&mut self, name: &str, columns: &str, rows: u128, row: impl Fn(u128) -> Value) -> io::Result<()> {
        let columns: Vec<_> = columns.split_whitespace().collect();
        self.line(&json!({ "table": name, "columns": columns })).await?;
        for number in 0..rows {
            self.line(&row(number)).await?;
        }
        Ok(())
    }

    async fn line(&mut self, line: &Value) -> io::Result<()> {
        let line = format!("{line}\n");
        self.hash.update(&line);
        self.to.write_all(line.as_bytes()).await
    }
}

const USER: u128 = 1;
const SESSION: u128 = 2;
const REQUEST: u128 = 3;
const ROLE: u128 = 4;
const EVENT: u128 = 5;

/// Those of one kind are in the order of their numbers, as ids are in the order of their times.
fn uuid(kind: u128, number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128((number << 80) | (0x7000_8000 << 32) | kind)
}

fn name(user: u128) -> String {
    format!("user-{user:06}")
}
