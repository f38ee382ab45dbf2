//! What every store must do. A store of another kind runs [`conformance`] on itself.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use chrono::{DateTime, TimeDelta, Utc};
use hoop_core::id::{AgentId, CredentialId, EventId, OrgId, RequestId, RoleId, SessionId, TokenId, UserId};
use hoop_core::role::{ChannelBinding, SslMode};
use hoop_core::{Clock as _, PostgresTarget, RecordingMode, ResourceRole, SystemClock, Target};
use hoop_testkit::Postgres;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::*;

const ORG: OrgId = OrgId::DEFAULT;

/// Times are stored in microseconds.
fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(SystemClock.now().timestamp_micros()).expect("a time")
}

pub(crate) fn user(name: &str, groups: &[&str]) -> User {
    User {
        org: ORG,
        id: UserId::new(&SystemClock),
        name: name.to_owned(),
        kind: UserKind::Member,
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        password_hash: Some("$argon2id$".to_owned()),
        must_change_password: true,
        disabled: false,
        created_at: now(),
    }
}

pub(crate) fn role(name: &str) -> Role {
    let target = PostgresTarget {
        host: "db".to_owned(),
        port: 5432,
        user: "app".to_owned(),
        password: Some("env:HOOP_SECRET_DB".to_owned()),
        database: "shop".to_owned(),
        databases: vec!["shop_*".to_owned()],
        replication: false,
        sslmode: SslMode::VerifyFull,
        sslrootcert: None,
        sslcert: None,
        sslkey: None,
        channel_binding: ChannelBinding::Prefer,
    };
    Role {
        role: ResourceRole {
            id: RoleId::new(&SystemClock),
            org: ORG,
            name: name.into(),
            agent: "here".into(),
            target: Target::Postgres(target),
            labels: BTreeMap::from([("env".to_owned(), "prod".to_owned())]),
            recording: RecordingMode::Strict,
            plugins: BTreeMap::from([("masking".to_owned(), json!({ "rules": [] }))]),
        },
        allowed_groups: vec!["dba".to_owned()],
        created_at: now(),
        updated_at: now(),
    }
}

pub(crate) fn session(user: &User) -> Session {
    Session {
        org: ORG,
        id: SessionId::new(&SystemClock),
        request_id: RequestId::new(&SystemClock),
        user: user.id,
        user_name: user.name.clone(),
        role: RoleId::new(&SystemClock),
        role_name: "shop".to_owned(),
        agent: "here".to_owned(),
        mode: "native".to_owned(),
        source: Some("127.0.0.1:40000".to_owned()),
        application: Some("psql".to_owned()),
        database: Some("shop".to_owned()),
        state: "opening".to_owned(),
        started_at: now(),
        ended: None,
    }
}

fn ended(outcome: &str) -> Ended {
    Ended {
        at: now(),
        outcome: outcome.to_owned(),
        code: Some("agent_lost".to_owned()),
        reason: Some("agent here went away".to_owned()),
        totals: Some(json!({ "rows": 3 })),
        log_head: Some("00ff".to_owned()),
        log_records: Some(12),
    }
}

/// On an empty store.
pub(crate) async fn conformance(store: &dyn Store) {
    users(store.users()).await.expect("users");
    roles(store.roles()).await.expect("roles");
    access_rules(store.access_rules()).await.expect("access rules");
    agents(store.agents()).await.expect("agents");
    let alice = store.users().by_name(ORG, "alice").await.expect("users").expect("made above");
    credentials(store.credentials(), &alice).await.expect("credentials");
    tokens(store.tokens(), &alice).await.expect("tokens");
    sessions(store.sessions(), &alice).await.expect("sessions");
    events(store.events()).await.expect("events");
}

async fn users(users: &dyn Users) -> Result<()> {
    let (first, second) = (user("root", &[]), user("usurper", &[]));
    let (one, other) = tokio::join!(users.create_first(&first), users.create_first(&second));
    assert!(one? ^ other?, "exactly one is the first");
    let mut alice = user("alice", &["dba", "dev"]);
    users.create(&alice).await?;
    assert!(matches!(users.create(&user("alice", &[])).await, Err(StoreError::Exists { .. })));
    assert_eq!(users.by_name(ORG, "alice").await?.as_ref(), Some(&alice));
    assert_eq!(users.get(ORG, alice.id).await?.as_ref(), Some(&alice));
    alice = User { kind: UserKind::Auditor, groups: vec!["dev".to_owned(), "ops".to_owned()], disabled: true, ..alice };
    assert!(users.update(&alice).await?);
    assert_eq!(users.get(ORG, alice.id).await?.as_ref(), Some(&alice));
    assert!(!users.update(&user("nobody", &["dev"])).await?);
    let elsewhere = OrgId::new(&SystemClock);
    assert_eq!(users.get(elsewhere, alice.id).await?, None, "another organisation's");
    users.create(&user("bob", &["dev"])).await?;
    let page = users.list(ORG, None, 2).await?;
    assert_eq!(
        (page.items[0].clone(), page.items[1].groups.as_slice(), page.more),
        (alice, &["dev".to_owned()][..], true)
    );
    let rest = users.list(ORG, Some("bob"), 2).await?;
    assert_eq!((rest.items.len(), rest.more), (1, false));
    let groups = users.groups(ORG, None, 10).await?.items;
    assert_eq!(groups, [Group { name: "dev".to_owned(), members: 2 }, Group { name: "ops".to_owned(), members: 1 }]);
    assert!(users.list(elsewhere, None, 10).await?.items.is_empty());
    Ok(())
}

async fn roles(roles: &dyn Roles) -> Result<()> {
    let mut shop = role("shop");
    roles.create(&shop).await?;
    assert!(matches!(roles.create(&role("shop")).await, Err(StoreError::Exists { .. })));
    assert_eq!(roles.by_name(ORG, "shop").await?.as_ref(), Some(&shop));
    shop.allowed_groups = vec!["*".to_owned()];
    shop.role.recording = RecordingMode::Default;
    assert!(roles.update(&shop).await?);
    assert_eq!(roles.get(ORG, shop.role.id).await?.as_ref(), Some(&shop));
    roles.create(&role("archive")).await?;
    let names = |page: Page<Role>| page.items.iter().map(|role| role.role.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(roles.list(ORG, None, 10).await?), ["archive", "shop"]);
    assert_eq!(names(roles.list(ORG, Some("archive"), 10).await?), ["shop"]);
    assert!(roles.delete(ORG, shop.role.id).await? && !roles.delete(ORG, shop.role.id).await?);
    assert_eq!(roles.by_name(ORG, "shop").await?, None);
    Ok(())
}

fn access_rule(name: &str) -> AccessRule {
    let definition = serde_json::from_value(json!({
        "name": name, "effect": "allow", "subjects": { "groups": ["dba"] }, "roles": { "labels": { "env": "prod" } },
        "conditions": { "sources": ["10.0.0.0/8"], "times": [{ "weekdays": ["mon"], "zone": "Europe/Berlin" }] },
        "obligations": { "max_duration_seconds": 60 },
    }));
    AccessRule {
        org: ORG,
        id: AccessRuleId::new(&SystemClock),
        definition: definition.expect("a rule"),
        created_at: now(),
        updated_at: now(),
    }
}

async fn access_rules(rules: &dyn AccessRules) -> Result<()> {
    let mut prod = access_rule("prod");
    rules.create(&prod).await?;
    assert!(matches!(rules.create(&access_rule("prod")).await, Err(StoreError::Exists { .. })));
    assert_eq!(rules.by_name(ORG, "prod").await?.as_ref(), Some(&prod));
    prod.definition.enabled = false;
    assert!(rules.update(&prod).await? && !rules.update(&access_rule("none")).await?);
    rules.create(&access_rule("early")).await?;
    let names = |rules: &[AccessRule]| rules.iter().map(|rule| rule.definition.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&rules.list(ORG, None, 10).await?.items), ["early", "prod"]);
    assert_eq!(rules.list(ORG, Some("early"), 10).await?, Page { items: vec![prod.clone()], more: false });
    assert_eq!(names(&rules.all().await?), ["early", "prod"]);
    let elsewhere = OrgId::new(&SystemClock);
    assert_eq!(rules.by_name(elsewhere, "prod").await?, None, "another organisation's");
    assert!(!rules.delete(elsewhere, prod.id).await?);
    assert!(rules.delete(ORG, prod.id).await? && !rules.delete(ORG, prod.id).await?);
    Ok(())
}

async fn agents(agents: &dyn Agents) -> Result<()> {
    let agent = Agent {
        org: ORG,
        id: AgentId::new(&SystemClock),
        name: "here".to_owned(),
        token_hash: [1; 32],
        revoked_at: None,
        last_seen_at: None,
        created_at: now(),
    };
    agents.create(&agent).await?;
    assert_eq!(agents.by_token(&[1; 32]).await?.as_ref(), Some(&agent));
    assert!(agents.revoke(ORG, agent.id, now()).await?);
    assert!(agents.by_name(ORG, "here").await?.is_some_and(|agent| agent.revoked_at.is_some()));
    assert!(agents.rotate(ORG, agent.id, &[2; 32]).await?);
    agents.seen(ORG, agent.id, now()).await?;
    assert_eq!(agents.by_token(&[1; 32]).await?, None);
    let rotated = agents.by_token(&[2; 32]).await?.expect("rotated");
    assert!(rotated.revoked_at.is_none() && rotated.last_seen_at.is_some());
    assert_eq!(agents.list(ORG, None, 10).await?.items, [rotated]);
    Ok(())
}

async fn credentials(credentials: &dyn Credentials, user: &User) -> Result<()> {
    let credential = |login: &str| Credential {
        org: ORG,
        id: CredentialId::new(&SystemClock),
        login: login.to_owned(),
        user: user.id,
        role: RoleId::new(&SystemClock),
        salt: vec![1; 16],
        iterations: 4096,
        stored_key: vec![2; 32],
        server_key: vec![3; 32],
        expires_at: now() + TimeDelta::hours(8),
        revoked_at: None,
        last_used_at: None,
        created_at: now(),
    };
    let first = credential("shop-aaaa");
    credentials.create(&first).await?;
    assert!(matches!(credentials.create(&credential("shop-aaaa")).await, Err(StoreError::Exists { .. })));
    assert_eq!(credentials.by_login("shop-aaaa").await?.as_ref(), Some(&first));
    let other = UserId::new(&SystemClock);
    assert!(!credentials.revoke(ORG, first.id, Some(other), now()).await?, "another's");
    let at = now();
    assert!(credentials.revoke(ORG, first.id, Some(user.id), at).await?);
    assert!(credentials.revoke(ORG, first.id, None, at + TimeDelta::hours(1)).await?);
    credentials.used(ORG, first.id, at).await?;
    let revoked = credentials.by_login("shop-aaaa").await?.expect("there");
    assert_eq!(
        (revoked.revoked_at, revoked.last_used_at),
        (Some(at), Some(at)),
        "it stays revoked since the first time"
    );
    assert_eq!(credentials.list(ORG, Some(user.id), None, 10).await?.items, [revoked]);
    assert!(credentials.list(ORG, Some(other), None, 10).await?.items.is_empty());
    assert!(credentials.list(ORG, None, Some(first.id), 10).await?.items.is_empty());
    Ok(())
}

async fn tokens(tokens: &dyn Tokens, user: &User) -> Result<()> {
    let token = |byte| Token {
        org: ORG,
        id: TokenId::new(&SystemClock),
        user: user.id,
        hash: [byte; 32],
        expires_at: now() + TimeDelta::hours(12),
        revoked_at: None,
        created_at: now(),
    };
    let (first, second, third) = (token(1), token(2), token(3));
    for token in [&first, &second, &third] {
        tokens.create(token).await?;
    }
    assert_eq!(tokens.by_hash(&[1; 32]).await?, Some((first.clone(), user.clone())));
    assert_eq!(tokens.by_hash(&[9; 32]).await?, None);
    tokens.revoke(ORG, first.id, now()).await?;
    tokens.revoke_all(ORG, user.id, Some(second.id), now()).await?;
    let mut good = Vec::new();
    for byte in 1..=3 {
        good.push(tokens.by_hash(&[byte; 32]).await?.is_some_and(|(token, _)| token.revoked_at.is_none()));
    }
    assert_eq!(good, [false, true, false]);
    Ok(())
}

async fn sessions(sessions: &dyn Sessions, user: &User) -> Result<()> {
    let all: Vec<Session> = (0..5).map(|_| session(user)).collect();
    for session in &all {
        sessions.open(session).await?;
    }
    let mut ids: Vec<SessionId> = all.iter().map(|session| session.id).collect();
    ids.sort();
    let [first, second, third, ..] = ids[..] else { unreachable!("five were made") };
    sessions.running(ORG, first).await?;
    assert!(sessions.close(ORG, first, &ended("agent_lost")).await?);
    assert!(!sessions.close(ORG, first, &ended("completed")).await?, "a session ends once");
    sessions.running(ORG, first).await?;
    let closed = sessions.get(ORG, first).await?.expect("there");
    assert_eq!(closed.state, "closed", "there is no way back");
    assert_eq!(closed.ended.as_ref().map(|ended| ended.outcome.as_str()), Some("agent_lost"));
    assert_eq!(closed.ended.and_then(|ended| ended.totals), Some(json!({ "rows": 3 })));
    let page = sessions.list(ORG, Some(user.id), None, 2).await?;
    assert_eq!(page.items.iter().map(|session| session.id).collect::<Vec<_>>(), [ids[4], ids[3]]);
    assert!(page.more);
    let rest = sessions.list(ORG, None, Some(third), 10).await?;
    assert_eq!(rest.items.iter().map(|session| session.id).collect::<Vec<_>>(), [second, first]);
    assert!(!rest.more && sessions.list(ORG, Some(UserId::new(&SystemClock)), None, 10).await?.items.is_empty());
    assert_eq!(sessions.open_of(ORG, user.id).await?.len(), 4);
    assert_eq!(sessions.close_orphans(now()).await?, 4);
    assert_eq!(sessions.close_orphans(now()).await?, 0);
    let orphan = sessions.get(ORG, second).await?.and_then(|session| session.ended).expect("closed");
    assert_eq!(orphan.outcome, "gateway_lost");
    let kept = sessions.get(ORG, first).await?.and_then(|session| session.ended).expect("closed");
    assert_eq!(kept.outcome, "agent_lost");
    Ok(())
}

async fn events(events: &dyn Events) -> Result<()> {
    let event = Event {
        org: ORG,
        id: EventId::new(&SystemClock),
        request_id: RequestId::new(&SystemClock),
        user: None,
        user_name: Some("mallory".to_owned()),
        action: "POST /api/v1/login".to_owned(),
        subject: "/api/v1/login".to_owned(),
        source: None,
        status: 401,
        code: Some("login_failed".to_owned()),
        at: now(),
    };
    events.add(&event).await?;
    assert!(events.list(ORG, Some(event.id), 10).await?.items.is_empty());
    assert_eq!(events.list(ORG, None, 10).await?.items, [event]);
    Ok(())
}

/// A store of its own for each test, on the engine that it asks for.
struct Place {
    url: String,
    _folder: tempfile::TempDir,
}

impl Place {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { url: format!("sqlite:{}", folder.path().join("hoop.db").display()), _folder: folder }
    }

    /// On a server that all tests share.
    fn postgres() -> Self {
        static SERVER: OnceLock<Postgres> = OnceLock::new();
        let server = SERVER.get_or_init(Postgres::start);
        Self { url: server.url(&server.database()), _folder: tempfile::tempdir().expect("a folder") }
    }

    async fn open(&self) -> SqlStore {
        SqlStore::open(&self.url).await.expect("a store")
    }
}

/// Every test runs on every engine.
macro_rules! on_each_engine {
    ($($test:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")] async fn $test() { super::$test(super::Place::sqlite()).await })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")] async fn $test() { super::$test(super::Place::postgres()).await })*
        }
    };
}

on_each_engine! {
    it_conforms
    it_keeps_what_it_was_given
    a_newer_database_is_left_alone
    a_database_that_was_changed_by_hand_is_left_alone
    several_may_start_at_once
    of_many_at_once_one_is_the_first
    writers_do_not_get_in_each_others_way
    lists_go_on_where_they_ended
    names_sort_by_their_bytes
    the_list_of_tables_is_the_schema
    a_backup_is_restored_on_every_engine
    a_store_that_holds_something_is_not_overwritten
    a_backup_is_of_one_moment
    a_backup_of_an_older_schema_is_brought_up_to_date
    a_check_finds_orphans
    a_database_without_a_schema_is_told_as_such
}

async fn it_conforms(place: Place) {
    conformance(&place.open().await).await;
}

async fn it_keeps_what_it_was_given(place: Place) {
    let store = place.open().await;
    store.users().create(&user("alice", &[])).await.expect("stored");
    store.close().await;
    let store = place.open().await;
    assert!(store.users().by_name(ORG, "alice").await.expect("readable").is_some());
}

async fn a_newer_database_is_left_alone(place: Place) {
    let store = place.open().await;
    store
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (99999, 'from the future', TRUE, '', 0)",
        )
        .await;
    assert!(matches!(store.check().await, Err(StoreError::Newer { .. })));
    store.close().await;
    let again = SqlStore::open(&place.url).await.expect_err("newer");
    assert!(matches!(again, StoreError::Newer { .. }), "{again}");
    assert!(!again.to_string().contains(Postgres::password()), "{again}");
}

async fn a_database_that_was_changed_by_hand_is_left_alone(place: Place) {
    let store = place.open().await;
    store.execute("UPDATE _sqlx_migrations SET checksum = '' WHERE version = 1").await;
    assert!(matches!(store.check().await, Err(StoreError::Changed { version: 1, .. })));
    store.close().await;
    let again = SqlStore::open(&place.url).await.expect_err("changed");
    assert!(matches!(again, StoreError::Changed { version: 1, .. }), "{again}");
}

async fn several_may_start_at_once(place: Place) {
    let started = futures::future::join_all((0..6).map(|_| SqlStore::open(&place.url))).await;
    for store in started {
        let store = store.expect("a store");
        assert!(store.users().list(ORG, None, 1).await.expect("readable").items.is_empty());
        store.close().await;
    }
}

async fn of_many_at_once_one_is_the_first(place: Place) {
    let (one, other) = (place.open().await, place.open().await);
    let users: Vec<User> = (0..20).map(|number| user(&format!("user-{number}"), &[])).collect();
    let stores = [&one, &other].into_iter().cycle();
    let made = users.iter().zip(stores).map(|(user, store)| store.users().create_first(user));
    let made = futures::future::try_join_all(made).await.expect("stored");
    assert_eq!(made.iter().filter(|first| **first).count(), 1);
    assert_eq!(one.users().list(ORG, None, 10).await.expect("readable").items.len(), 1);
}

async fn writers_do_not_get_in_each_others_way(place: Place) {
    let store = place.open().await;
    let alice = user("alice", &[]);
    store.users().create(&alice).await.expect("stored");
    let sessions: Vec<Session> = (0..100).map(|_| session(&alice)).collect();
    let users: Vec<User> = (0..100).map(|number| user(&format!("user-{number}"), &["dev"])).collect();
    let opened = futures::future::try_join_all(sessions.iter().map(|session| store.sessions().open(session)));
    let made = futures::future::try_join_all(users.iter().map(|user| store.users().create(user)));
    let (opened, made) = tokio::join!(opened, made);
    assert_eq!((opened.expect("stored").len(), made.expect("stored").len()), (100, 100));
    assert_eq!(store.sessions().open_of(ORG, alice.id).await.expect("readable").len(), 100);
}

/// Who could reach every role before there were rules can after an upgrade, and by a rule; a new store has none.
#[tokio::test]
async fn administrators_keep_their_reach_by_a_rule() {
    let (new, old) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    assert!(in_folder(new.path()).await.access_rules().all().await.expect("readable").is_empty());

    let before = hoop_migrations::SQLITE.migrations.iter().filter(|migration| migration.version < 3).cloned();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(old.path().join("hoop.db"));
    let pool = sqlx::SqlitePool::connect_with(options.create_if_missing(true)).await.expect("a database");
    sqlx::migrate::Migrator::with_migrations(before.collect()).run(&pool).await.expect("migrated");
    let id = ORG.as_uuid();
    sqlx::query("INSERT INTO orgs VALUES ($1, 'default', 0)").bind(id).execute(&pool).await.expect("stored");
    sqlx::query("INSERT INTO users VALUES ($1, $2, 'root', 'admin', NULL, FALSE, FALSE, 0)")
        .bind(id)
        .bind(UserId::new(&SystemClock).as_uuid())
        .execute(&pool)
        .await
        .expect("stored");
    pool.close().await;
    let rules = in_folder(old.path()).await.access_rules().all().await.expect("readable");
    let [rule] = rules.as_slice() else { panic!("{rules:?}") };
    assert_eq!((rule.definition.name.as_str(), rule.definition.check()), ("administrators", Ok(())));
}

async fn in_folder(folder: &std::path::Path) -> SqlStore {
    SqlStore::open(&format!("sqlite:{}", folder.join("hoop.db").display())).await.expect("a store")
}

async fn lists_go_on_where_they_ended(place: Place) {
    let store = place.open().await;
    let (alice, bob) = (user("alice", &[]), user("bob", &[]));
    let mut all: Vec<Session> = (0..30).map(|number| session(if number % 3 == 0 { &bob } else { &alice })).collect();
    for session in &all {
        store.sessions().open(session).await.expect("stored");
    }
    all.sort_by_key(|session| std::cmp::Reverse(session.id));
    for of in [None, Some(bob.id)] {
        let (mut listed, mut before) = (Vec::new(), None);
        loop {
            let page = store.sessions().list(ORG, of, before, 4).await.expect("readable");
            before = page.items.last().map(|session| session.id);
            listed.extend(page.items);
            if !page.more {
                break;
            }
        }
        let expected: Vec<_> = all.iter().filter(|session| of.is_none_or(|of| session.user == of)).cloned().collect();
        assert_eq!(listed, expected);
    }
}

async fn names_sort_by_their_bytes(place: Place) {
    let store = place.open().await;
    let names = ["B", "_", "a", "a b", "a-b", "ab", "é"];
    for name in names {
        store.users().create(&user(name, &[name])).await.expect("stored");
    }
    let users = store.users().list(ORG, None, 10).await.expect("readable").items;
    assert_eq!(users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), names);
    assert!(users.iter().all(|user| user.groups == [user.name.clone()]));
    let groups = store.users().groups(ORG, Some("a"), 10).await.expect("readable").items;
    assert_eq!(groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), ["a b", "a-b", "ab", "é"]);
}

async fn the_list_of_tables_is_the_schema(place: Place) {
    let mut listed = TABLES.to_vec();
    listed.sort_unstable();
    assert_eq!(place.open().await.tables().await, listed);
}

/// A store with something of everything.
async fn filled(place: &Place) -> SqlStore {
    let store = place.open().await;
    conformance(&store).await;
    store
}

async fn backup_of(store: &SqlStore) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.backup(&mut bytes).await.expect("a backup");
    bytes
}

/// The lines between the first and the last one, in any order but that of the tables.
fn rows(backup: &[u8]) -> Vec<String> {
    let mut table = String::new();
    let lines = String::from_utf8(backup.to_vec()).expect("text");
    let mut rows = Vec::new();
    for line in lines.lines() {
        if line.starts_with("{\"table\"") {
            line.clone_into(&mut table);
        }
        rows.push(format!("{table} {line}"));
    }
    rows.pop();
    rows.sort();
    rows
}

async fn a_backup_is_restored_on_every_engine(place: Place) {
    let store = filled(&place).await;
    let backup = backup_of(&store).await;
    for target in [Place::sqlite(), Place::postgres()] {
        let counts = SqlStore::restore(&target.url, &backup[..]).await.expect("restored");
        assert_eq!((counts["users"], counts["sessions"]), (3, 5));
        let restored = target.open().await;
        assert_eq!(rows(&backup_of(&restored).await), rows(&backup));
        assert_eq!(restored.users().list(ORG, None, 10).await.ok(), store.users().list(ORG, None, 10).await.ok());
        assert!(restored.check().await.expect("checked").problems.is_empty());

        let moved = Place::sqlite();
        restored.copy_to(&moved.url).await.expect("moved");
        assert_eq!(rows(&backup_of(&moved.open().await).await), rows(&backup), "and back");
    }
}

async fn a_store_that_holds_something_is_not_overwritten(place: Place) {
    let store = filled(&place).await;
    let backup = backup_of(&store).await;
    let target = Place::sqlite();
    target.open().await.users().create(&user("zoe", &[])).await.expect("stored");
    for url in [&target.url, &place.url] {
        let error = SqlStore::restore(url, &backup[..]).await.expect_err("something is there");
        assert!(matches!(error, StoreError::NotEmpty { .. }), "{error}");
        let error = store.copy_to(url).await.expect_err("something is there");
        assert!(matches!(error, StoreError::NotEmpty { .. }), "{error}");
    }
    assert_eq!(rows(&backup_of(&store).await), rows(&backup), "it is as it was");
    // What is cut off is not taken at all.
    let fresh = if place.url.starts_with("sqlite") { Place::sqlite() } else { Place::postgres() };
    let cut = SqlStore::restore(&fresh.url, &backup[..backup.len() - 80]).await;
    assert!(matches!(cut, Err(StoreError::Backup { .. })), "{cut:?}");
    let users = fresh.open().await.users().list(ORG, None, 10).await.expect("readable");
    assert!(users.items.is_empty());
}

async fn a_backup_is_of_one_moment(place: Place) {
    let store = place.open().await;
    let users: Vec<User> = (0..200).map(|number| user(&format!("user-{number}"), &["dev", "ops"])).collect();
    let made = async {
        for user in &users {
            store.users().create(user).await.expect("stored");
        }
    };
    let ((), early, late) = tokio::join!(made, backup_of(&store), backup_of(&store));
    for backup in [early, late] {
        let counts = SqlStore::restore(&Place::sqlite().url, &backup[..]).await.expect("what it promises");
        assert_eq!(counts["memberships"], 2 * counts["users"], "a user has both groups or is not there");
    }
}

async fn a_backup_of_an_older_schema_is_brought_up_to_date(place: Place) {
    let store = filled(&Place::sqlite()).await;
    let newest = store.check().await.expect("checked").newest;
    let backup = with_schema(&backup_of(&store).await, newest, 1);
    SqlStore::restore(&place.url, &backup[..]).await.expect("restored");
    let checked = place.open().await.check().await.expect("checked");
    assert_eq!((checked.schema, checked.problems.as_slice()), (newest, &[][..]));
    // A store that is further than the backup, and a backup that is further than this gateway.
    let further = Place::sqlite();
    further.open().await.close().await;
    let error = SqlStore::restore(&further.url, &backup[..]).await.expect_err("another schema").to_string();
    assert!(error.contains("give it a new, empty store"), "{error}");
    let newer = with_schema(&backup, 1, newest + 1);
    assert!(matches!(SqlStore::restore(&further.url, &newer[..]).await, Err(StoreError::Newer { .. })));
}

/// A backup as an older or a newer gateway would have written it.
fn with_schema(backup: &[u8], now: i64, then: i64) -> Vec<u8> {
    let text = String::from_utf8(backup.to_vec()).expect("text");
    let text = text.replacen(&format!("\"schema\":{now},"), &format!("\"schema\":{then},"), 1);
    let (lines, _) = text.split_once("{\"sha256\"").expect("a last line");
    let hash = backup::hex(&Sha256::digest(lines.as_bytes()));
    format!("{lines}{{\"sha256\":\"{hash}\"}}\n").into_bytes()
}

async fn a_check_finds_orphans(place: Place) {
    let store = filled(&place).await;
    let checked = store.check().await.expect("checked");
    assert_eq!((checked.schema, checked.problems.as_slice()), (checked.newest, &[][..]));
    if place.url.starts_with("sqlite") {
        store.execute("PRAGMA foreign_keys = OFF").await;
    } else {
        store.execute("ALTER TABLE users DISABLE TRIGGER ALL").await;
    }
    store.execute("DELETE FROM users WHERE name = 'alice'").await;
    let problems = store.check().await.expect("checked").problems;
    let orphans = |table: &str| format!("of {table} belong to rows of users that are not there");
    for table in ["tokens", "credentials", "memberships"] {
        assert!(problems.iter().any(|problem| problem.ends_with(&orphans(table))), "{table}: {problems:?}");
    }
}

async fn a_database_without_a_schema_is_told_as_such(place: Place) {
    if let Some(file) = place.url.strip_prefix("sqlite:") {
        assert!(matches!(SqlStore::open_as_is(&place.url).await, Err(StoreError::Database(_))), "it is not made");
        std::fs::write(file, "").expect("an empty file is an empty database");
    }
    let store = SqlStore::open_as_is(&place.url).await.expect("it is there");
    let checked = store.check().await.expect("it answers");
    assert_eq!((checked.schema, checked.newest > 0), (0, true));
    assert!(matches!(store.backup(&mut Vec::new()).await, Err(StoreError::Behind { .. })));
}

#[tokio::test]
async fn the_file_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::sqlite();
    let store = place.open().await;
    store.users().create(&user("alice", &[])).await.expect("stored");
    for name in ["hoop.db", "hoop.db-wal", "hoop.db-shm"] {
        let mode = std::fs::metadata(place._folder.path().join(name)).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

/// One engine's columns are the other's: a migration was not written for one alone.
#[tokio::test(flavor = "multi_thread")]
async fn the_engines_have_one_schema() {
    let columns = async |place: Place| {
        let backup = backup_of(&place.open().await).await;
        let text = String::from_utf8(backup).expect("text");
        text.lines().filter(|line| line.starts_with("{\"table\"")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(columns(Place::sqlite()).await, columns(Place::postgres()).await);
}

/// What a client sends may hold any character, and PostgreSQL stores all but one.
#[tokio::test(flavor = "multi_thread")]
async fn a_nul_is_a_mistake_of_the_caller() {
    let store = Place::postgres().open().await;
    let found = store.users().by_name(ORG, "a\0b").await;
    assert!(matches!(found, Err(StoreError::Nul)), "{found:?}");
}

#[tokio::test]
async fn an_unknown_engine_is_refused() {
    let error = SqlStore::open("mysql://hoop:hunter2@db/hoop").await.expect_err("no such engine").to_string();
    assert!(error.contains("sqlite:FILE") && !error.contains("hunter2"), "{error}");
}
