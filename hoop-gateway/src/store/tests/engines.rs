//! What the stores on SQL do beyond that, each test on every engine.

use std::sync::OnceLock;

use hoop_testkit::Postgres;
use sha2::{Digest as _, Sha256};

use super::*;

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
    of_many_who_decide_one_does
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
        assert!(store.users().list(ORG, None, None, 1).await.expect("readable").items.is_empty());
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
    assert_eq!(one.users().list(ORG, None, None, 10).await.expect("readable").items.len(), 1);
}

/// Fifty members of the group, half of whom agree, on two gateways.
async fn of_many_who_decide_one_does(place: Place) {
    let (one, other) = (place.open().await, place.open().await);
    let alice = user("alice", &[]);
    one.users().create(&alice).await.expect("stored");
    let leads: Vec<User> = (0..50).map(|number| user(&format!("lead-{number}"), &["leads"])).collect();
    for lead in &leads {
        one.users().create(lead).await.expect("stored");
    }
    let asked = reviews::review(&alice, "leads");
    assert!(one.reviews().create(&asked, 16).await.expect("stored"));
    let decisions: Vec<_> = leads
        .iter()
        .enumerate()
        .map(|(number, lead)| reviews::decision(lead, number % 2 == 0, asked.created_at))
        .collect();
    let deciding = decisions.iter().zip([&one, &other].into_iter().cycle());
    let done = deciding.map(|(decision, store)| store.reviews().decide(ORG, asked.id, decision));
    let done = futures::future::try_join_all(done).await.expect("stored");
    let won: Vec<_> = done.iter().zip(&decisions).filter(|(won, _)| **won).map(|(_, decision)| decision).collect();
    let [winner] = won[..] else { panic!("{} have decided", won.len()) };
    let decided = other.reviews().get(ORG, asked.id).await.expect("readable").expect("there");
    assert_eq!((decided.decided_by, decided.state == ReviewState::Approved), (Some(winner.user), winner.approve));
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
            let page = store.sessions().list(ORG, &SessionFilter::of(of), before, 4).await.expect("readable");
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
    let users = store.users().list(ORG, None, None, 10).await.expect("readable").items;
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
        assert_eq!((counts["users"], counts["sessions"]), (11, 10));
        let restored = target.open().await;
        assert_eq!(rows(&backup_of(&restored).await), rows(&backup));
        assert_eq!(
            restored.users().list(ORG, None, None, 10).await.ok(),
            store.users().list(ORG, None, None, 10).await.ok()
        );
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
    let users = fresh.open().await.users().list(ORG, None, None, 10).await.expect("readable");
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
    let source = Place::sqlite();
    let store = filled(&source).await;
    let newest = store.check().await.expect("checked").newest;
    let backup = with_schema(&backup_of(&store).await, 1);
    SqlStore::restore(&place.url, &backup[..]).await.expect("restored");
    let restored = place.open().await;
    let checked = restored.check().await.expect("checked");
    assert_eq!((checked.schema, checked.problems.as_slice()), (newest, &[][..]));
    // Who could reach every role before there were rules can after it, and by a rule.
    let rules = restored.access_rules().all().await.expect("readable");
    let [rule] = rules.as_slice() else { panic!("{rules:?}") };
    assert_eq!((rule.definition.name.as_str(), rule.definition.check()), ("administrators", Ok(())));
    // A store that is further than the backup, and a backup that is further than this gateway.
    let further = Place::sqlite();
    further.open().await.close().await;
    let error = SqlStore::restore(&further.url, &backup[..]).await.expect_err("another schema").to_string();
    assert!(error.contains("give it a new, empty store"), "{error}");
    let newer = with_schema(&backup, newest + 1);
    assert!(matches!(SqlStore::restore(&further.url, &newer[..]).await, Err(StoreError::Newer { .. })));
}

/// A backup as a gateway of another schema would have written it, without what later versions have brought.
fn with_schema(backup: &[u8], schema: i64) -> Vec<u8> {
    const LATER: [&str; 7] =
        ["access_rules", "idempotency", "agent_old_keys", "role_secrets", "user_keys", "sign_in_requests", "reviews"];
    const LATER_COLUMNS: [(&str, &[&str]); 7] = [
        ("users", &["version", "service_account", "description", "created_by"]),
        ("roles", &["version"]),
        ("access_rules", &["version"]),
        ("tokens", &["name", "scopes"]),
        ("credentials", &["token_id"]),
        ("sessions", &["review_id"]),
        ("events", &["token_id", "token_name"]),
    ];
    let json = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON");
    let text = std::str::from_utf8(backup).expect("text");
    let (first, rest) = text.split_once('\n').expect("a first line");
    let mut first = json(first);
    first["schema"] = schema.into();
    first["tables"].as_object_mut().expect("counts").retain(|table, _| !LATER.contains(&table.as_str()));
    let (mut lines, mut table, mut later) = (format!("{first}\n"), String::new(), Vec::new());
    for line in rest.lines().map(json).take_while(|line| line.get("sha256").is_none()) {
        let mut line = line;
        if let Some(name) = line["table"].as_str() {
            table = name.to_owned();
            let of_table = LATER_COLUMNS.iter().filter(|(name, _)| *name == table).flat_map(|(_, columns)| *columns);
            let columns = line["columns"].as_array().expect("names");
            later = of_table.filter_map(|name| columns.iter().position(|column| column == name)).collect();
            later.sort_unstable();
        }
        let values = if line["table"].is_null() { Some(&mut line) } else { line.get_mut("columns") };
        if let Some(values) = values.filter(|_| !later.is_empty()) {
            let values = values.as_array_mut().expect("a list");
            later.iter().rev().for_each(|column| drop(values.remove(*column)));
        }
        if !LATER.contains(&table.as_str()) {
            lines.push_str(&format!("{line}\n"));
        }
    }
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
