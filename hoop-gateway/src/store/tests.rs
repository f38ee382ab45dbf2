//! What every store must do. A store of another kind runs [`conformance`] on itself.

mod accounts;
mod engines;
mod once;
pub(crate) mod reviews;
mod sign_ins;
pub(crate) mod wrapped;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use hoop_core::id::{
    AccessRuleId, AgentId, CredentialId, EventId, OrgId, RequestId, ReviewId, RoleId, SessionId, TokenId, UserId,
};
use hoop_core::role::{ChannelBinding, SslMode};
use hoop_core::{Clock as _, PostgresTarget, RecordingMode, ResourceRole, SystemClock, Target};
use serde_json::json;

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
        service: None,
        created_at: now(),
    }
}

fn service_account(name: &str) -> User {
    let service = ServiceAccount { description: "builds".to_owned(), created_by: Some("root".to_owned()) };
    User { password_hash: None, must_change_password: false, service: Some(service), ..user(name, &["ci"]) }
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
        review: None,
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
    users(store).await.expect("users");
    roles(store).await.expect("roles");
    access_rules(store.access_rules()).await.expect("access rules");
    agents(store.agents()).await.expect("agents");
    role_secrets(store).await.expect("secrets of roles");
    let alice = store.users().by_name(ORG, "alice").await.expect("users").expect("made above");
    credentials(store.credentials(), &alice).await.expect("credentials");
    tokens(store.tokens(), &alice).await.expect("tokens");
    accounts::service_accounts(store).await.expect("service accounts");
    accounts::api_tokens(store, &alice).await.expect("API tokens");
    accounts::user_keys(store, &alice).await.expect("public keys");
    sessions(store.sessions(), &alice).await.expect("sessions");
    events(store.events()).await.expect("events");
    once::versions(store).await.expect("versions");
    once::idempotency(store, &alice).await.expect("idempotency");
    sign_ins::requests(store, &alice).await.expect("sign-in requests");
    reviews::reviews(store, &alice).await.expect("reviews");
    admissions(store, &alice).await.expect("admissions");
    once::last_admin(store).await.expect("administrators");
}

/// Replaces what there is, of whichever version.
pub(crate) async fn update_user(store: &dyn Store, user: &User) -> Result<bool> {
    match store.versions().user(user.org, &user.name).await? {
        Some(version) => store.versions().update_user(user, version).await,
        None => Ok(false),
    }
}

/// As [`update_user`].
pub(crate) async fn update_role(store: &dyn Store, role: &Role) -> Result<bool> {
    match store.versions().role(role.role.org, &role.role.name).await? {
        Some(version) => store.versions().update_role(role, version).await,
        None => Ok(false),
    }
}

/// Removes what there is, of whichever version.
pub(crate) async fn delete_role(store: &dyn Store, role: &Role) -> Result<bool> {
    match store.versions().role(role.role.org, &role.role.name).await? {
        Some(version) => store.versions().delete_role(role.role.org, role.role.id, version).await,
        None => Ok(false),
    }
}

async fn admissions(store: &dyn Store, alice: &User) -> Result<()> {
    let (admissions, shop, elsewhere) = (store.admissions(), role("admitted"), OrgId::new(&SystemClock));
    let (org, id) = (ORG, shop.role.id);
    assert_eq!(admissions.user_and_role(org, alice.id, id).await?, None, "there is no such role yet");
    store.roles().create(&shop).await?;
    let both = Some((alice.clone(), shop.clone()));
    assert!(alice.groups.len() > 1, "a row for each");
    assert_eq!(admissions.user_and_role(org, alice.id, id).await?, both);
    assert_eq!(admissions.user_and_role(elsewhere, alice.id, id).await?, None, "another organisation's");
    let lone = user("lone", &[]);
    store.users().create(&lone).await?;
    assert_eq!(admissions.user_and_role(org, lone.id, id).await?, Some((lone.clone(), shop.clone())));

    assert_eq!(admissions.role_and_secrets(org, id).await?, Some((shop.clone(), vec![])));
    let secret = |field: &str| StoredSecret {
        org,
        role: id,
        field: field.to_owned(),
        key_id: "one".to_owned(),
        wrapped_key: vec![1],
        ciphertext: vec![2],
        updated_at: now(),
    };
    let kept = vec![secret("password"), secret("sslkey")];
    for secret in kept.iter().rev() {
        store.role_secrets().put(secret).await?;
    }
    assert_eq!(admissions.role_and_secrets(org, id).await?, Some((shop.clone(), kept)));

    let token = token(alice, 77);
    store.tokens().create(&token).await?;
    let login = |name: &str, token| Credential { role: id, token, ..credential(alice, name) };
    let made =
        [login("a-none", None), login("a-token", Some(token.id)), login("a-gone", Some(TokenId::new(&SystemClock)))];
    for credential in &made {
        store.credentials().create(credential).await?;
    }
    let holder = Holder { user: alice.clone(), role: shop.clone(), revoked: false, token_revoked: false };
    for (credential, token_revoked) in made.iter().zip([false, false, true]) {
        let expected = Holder { token_revoked, ..holder.clone() };
        assert_eq!(admissions.holder(org, credential.id).await?, Some(expected), "{}", credential.login);
    }
    store.credentials().revoke(org, made[0].id, None, now()).await?;
    store.tokens().revoke(org, token.id, None, now()).await?;
    assert_eq!(admissions.holder(org, made[0].id).await?, Some(Holder { revoked: true, ..holder.clone() }));
    assert_eq!(
        admissions.holder(org, made[1].id).await?,
        Some(Holder { revoked: true, token_revoked: true, ..holder })
    );
    delete_role(store, &shop).await?;
    assert_eq!(admissions.holder(org, made[2].id).await?, None);
    assert_eq!(admissions.role_and_secrets(org, id).await?, None);
    Ok(())
}

async fn users(store: &dyn Store) -> Result<()> {
    let users = store.users();
    let (first, second) = (user("root", &[]), user("usurper", &[]));
    let (one, other) = tokio::join!(users.create_first(&first), users.create_first(&second));
    assert!(one? ^ other?, "exactly one is the first");
    let mut alice = user("alice", &["dba", "dev"]);
    users.create(&alice).await?;
    assert!(matches!(users.create(&user("alice", &[])).await, Err(StoreError::Exists { .. })));
    assert_eq!(users.by_name(ORG, "alice").await?.as_ref(), Some(&alice));
    assert_eq!(users.get(ORG, alice.id).await?.as_ref(), Some(&alice));
    alice = User { kind: UserKind::Auditor, groups: vec!["dev".to_owned(), "ops".to_owned()], disabled: true, ..alice };
    assert!(update_user(store, &alice).await?);
    assert_eq!(users.get(ORG, alice.id).await?.as_ref(), Some(&alice));
    assert!(!update_user(store, &user("nobody", &["dev"])).await?);
    let elsewhere = OrgId::new(&SystemClock);
    assert_eq!(users.get(elsewhere, alice.id).await?, None, "another organisation's");
    users.create(&user("bob", &["dev"])).await?;
    let page = users.list(ORG, None, None, 2).await?;
    assert_eq!(
        (page.items[0].clone(), page.items[1].groups.as_slice(), page.more),
        (alice, &["dev".to_owned()][..], true)
    );
    let rest = users.list(ORG, None, Some("bob"), 2).await?;
    assert_eq!((rest.items.len(), rest.more), (1, false));
    let groups = users.groups(ORG, None, 10).await?.items;
    assert_eq!(groups, [Group { name: "dev".to_owned(), members: 2 }, Group { name: "ops".to_owned(), members: 1 }]);
    assert!(users.list(elsewhere, None, None, 10).await?.items.is_empty());
    Ok(())
}

async fn roles(store: &dyn Store) -> Result<()> {
    let roles = store.roles();
    let mut shop = role("shop");
    roles.create(&shop).await?;
    assert!(matches!(roles.create(&role("shop")).await, Err(StoreError::Exists { .. })));
    assert_eq!(roles.by_name(ORG, "shop").await?.as_ref(), Some(&shop));
    shop.allowed_groups = vec!["*".to_owned()];
    shop.role.recording = RecordingMode::Default;
    assert!(update_role(store, &shop).await?);
    assert_eq!(roles.get(ORG, shop.role.id).await?.as_ref(), Some(&shop));
    roles.create(&role("archive")).await?;
    let names = |page: Page<Role>| page.items.iter().map(|role| role.role.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(roles.list(ORG, None, 10).await?), ["archive", "shop"]);
    assert_eq!(names(roles.list(ORG, Some("archive"), 10).await?), ["shop"]);
    assert!(delete_role(store, &shop).await? && !delete_role(store, &shop).await?);
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
    let prod = access_rule("prod");
    rules.create(&prod).await?;
    assert!(matches!(rules.create(&access_rule("prod")).await, Err(StoreError::Exists { .. })));
    assert_eq!(rules.by_name(ORG, "prod").await?.as_ref(), Some(&prod));
    rules.create(&access_rule("early")).await?;
    let names = |rules: &[AccessRule]| rules.iter().map(|rule| rule.definition.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&rules.list(ORG, None, 10).await?.items), ["early", "prod"]);
    assert_eq!(rules.list(ORG, Some("early"), 10).await?, Page { items: vec![prod.clone()], more: false });
    assert_eq!(names(&rules.all().await?), ["early", "prod"]);
    let elsewhere = OrgId::new(&SystemClock);
    assert_eq!(rules.by_name(elsewhere, "prod").await?, None, "another organisation's");
    Ok(())
}

async fn agents(agents: &dyn Agents) -> Result<()> {
    let agent = Agent {
        org: ORG,
        id: AgentId::new(&SystemClock),
        name: "here".to_owned(),
        token_hash: [1; 32],
        old_key: None,
        revoked_at: None,
        last_seen_at: None,
        created_at: now(),
    };
    agents.create(&agent).await?;
    assert_eq!(agents.by_token(&[1; 32]).await?.as_ref(), Some(&agent));
    assert!(agents.revoke(ORG, agent.id, now()).await?);
    assert!(agents.by_name(ORG, "here").await?.is_some_and(|agent| agent.revoked_at.is_some()));
    assert!(agents.rotate(ORG, agent.id, &[2; 32], Some(now())).await?);
    agents.seen(ORG, agent.id, now()).await?;
    assert_eq!(agents.by_token(&[1; 32]).await?, None);
    let rotated = agents.by_token(&[2; 32]).await?.expect("rotated");
    assert!(rotated.revoked_at.is_none() && rotated.last_seen_at.is_some());
    assert_eq!(agents.list(ORG, None, 10).await?.items, [rotated]);
    assert!(agents.rotate(ORG, agent.id, &[3; 32], Some(now())).await?);
    for hash in [[2; 32], [3; 32]] {
        let both = agents.by_token(&hash).await?.expect("either is known");
        assert_eq!((both.token_hash, both.old_key.expect("kept").token_hash), ([3; 32], [2; 32]));
    }
    assert!(agents.rotate(ORG, agent.id, &[4; 32], None).await?);
    assert_eq!((agents.by_token(&[2; 32]).await?, agents.by_token(&[3; 32]).await?), (None, None));
    agents.rotate(ORG, agent.id, &[5; 32], Some(now())).await?;
    agents.revoke(ORG, agent.id, now()).await?;
    assert_eq!(agents.by_token(&[4; 32]).await?, None, "the old one goes with it");
    Ok(())
}

async fn role_secrets(store: &dyn Store) -> Result<()> {
    let (role, secrets) = (role("kept"), store.role_secrets());
    let secret = StoredSecret {
        org: ORG,
        role: role.role.id,
        field: "password".to_owned(),
        key_id: "one".to_owned(),
        wrapped_key: vec![1],
        ciphertext: vec![2],
        updated_at: now(),
    };
    assert!(!secrets.put(&secret).await?, "there is no such role");
    store.roles().create(&role).await?;
    assert_eq!(store.roles().of_agent(ORG, "here", 10).await?, ["archive", "kept"]);
    let key = StoredSecret { field: "sslkey".to_owned(), ..secret.clone() };
    assert!(secrets.put(&secret).await? && secrets.put(&key).await?);
    let newer = StoredSecret { ciphertext: vec![3], ..secret };
    assert!(secrets.put(&newer).await?);
    assert_eq!(secrets.of_role(ORG, role.role.id).await?, [newer.clone(), key.clone()]);
    let again = |before: &StoredSecret, key: u8| Rewrapped {
        before: before.clone(),
        key_id: "two".to_owned(),
        wrapped_key: vec![key],
    };
    let gone = StoredSecret { wrapped_key: vec![9], ..key.clone() };
    assert!(!secrets.rewrap(&[again(&newer, 5), again(&gone, 6)]).await?);
    assert_eq!(secrets.all().await?, [newer.clone(), key.clone()], "all or nothing");
    assert!(secrets.rewrap(&[again(&newer, 5), again(&key, 6)]).await?);
    assert!(secrets.all().await?.iter().all(|secret| secret.key_id == "two"));
    assert!(secrets.delete(ORG, role.role.id, "sslkey").await?);
    assert!(!secrets.delete(ORG, role.role.id, "sslkey").await?);
    delete_role(store, &role).await?;
    assert_eq!(secrets.all().await?, [], "they go with the role");
    Ok(())
}

fn token(user: &User, byte: u8) -> Token {
    Token {
        org: ORG,
        id: TokenId::new(&SystemClock),
        user: user.id,
        hash: [byte; 32],
        grant: None,
        expires_at: now() + TimeDelta::hours(12),
        revoked_at: None,
        last_used_at: None,
        created_at: now(),
    }
}

fn credential(user: &User, login: &str) -> Credential {
    Credential {
        org: ORG,
        id: CredentialId::new(&SystemClock),
        login: login.to_owned(),
        user: user.id,
        role: RoleId::new(&SystemClock),
        token: None,
        salt: vec![1; 16],
        iterations: 4096,
        stored_key: vec![2; 32],
        server_key: vec![3; 32],
        expires_at: now() + TimeDelta::hours(8),
        revoked_at: None,
        last_used_at: None,
        created_at: now(),
    }
}

async fn credentials(credentials: &dyn Credentials, user: &User) -> Result<()> {
    let first = credential(user, "shop-aaaa");
    credentials.create(&first).await?;
    assert!(matches!(credentials.create(&credential(user, "shop-aaaa")).await, Err(StoreError::Exists { .. })));
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

    let (good, over) = (credential(user, "shop-bbbb"), Credential { expires_at: at, ..credential(user, "shop-cccc") });
    for credential in [&good, &over] {
        credentials.create(credential).await?;
    }
    assert_eq!(credentials.revoke_all(ORG, other, at).await?, [], "another's");
    assert_eq!(credentials.revoke_all(ORG, user.id, at).await?, [good.id], "the others were good for nothing any more");
    assert_eq!(credentials.by_login("shop-bbbb").await?.and_then(|credential| credential.revoked_at), Some(at));
    Ok(())
}

async fn tokens(tokens: &dyn Tokens, user: &User) -> Result<()> {
    let (first, second, third) = (token(user, 1), token(user, 2), token(user, 3));
    for token in [&first, &second, &third] {
        tokens.create(token).await?;
    }
    assert_eq!(tokens.by_hash(&[1; 32]).await?, Some((first.clone(), user.clone())));
    assert_eq!(tokens.by_hash(&[9; 32]).await?, None);
    assert!(tokens.revoke(ORG, first.id, None, now()).await?);
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
    let page = sessions.list(ORG, &SessionFilter::of(Some(user.id)), None, 2).await?;
    assert_eq!(page.items.iter().map(|session| session.id).collect::<Vec<_>>(), [ids[4], ids[3]]);
    assert!(page.more);
    let rest = sessions.list(ORG, &SessionFilter::default(), Some(third), 10).await?;
    assert_eq!(rest.items.iter().map(|session| session.id).collect::<Vec<_>>(), [second, first]);
    let nobodys = SessionFilter::of(Some(UserId::new(&SystemClock)));
    assert!(!rest.more && sessions.list(ORG, &nobodys, None, 10).await?.items.is_empty());
    session_lists(sessions, &all, first).await?;
    assert_eq!(sessions.open_of(ORG, user.id).await?.len(), 4);
    assert_eq!(sessions.close_orphans(now()).await?, 4);
    assert_eq!(sessions.close_orphans(now()).await?, 0);
    let orphan = sessions.get(ORG, second).await?.and_then(|session| session.ended).expect("closed");
    assert_eq!(orphan.outcome, "gateway_lost");
    let kept = sessions.get(ORG, first).await?.and_then(|session| session.ended).expect("closed");
    assert_eq!(kept.outcome, "agent_lost");
    Ok(())
}

/// Lists of some sessions, of which the one that was opened first has ended as `agent_lost`.
async fn session_lists(sessions: &dyn Sessions, all: &[Session], lost: SessionId) -> Result<()> {
    let last = all.iter().max_by_key(|session| session.id).expect("there are some");
    let elsewhere = Session { role_name: "hr".to_owned(), database: Some("staff".to_owned()), ..session_of(last) };
    sessions.open(&elsewhere).await?;
    sessions.running(ORG, elsewhere.id).await?;
    let none = SessionFilter::default;
    let text = |text: &str| Some(text.to_owned());
    let state = |state| SessionFilter { state: Some(state), ..none() };
    let soon = elsewhere.started_at + TimeDelta::minutes(1);
    for (filter, expected) in [
        (none(), 6),
        (SessionFilter { user: text(&last.user_name), ..none() }, 6),
        (SessionFilter { user: text("nobody"), ..none() }, 0),
        (SessionFilter { role: text("hr"), ..none() }, 1),
        (SessionFilter { database: text("staff"), ..none() }, 1),
        (SessionFilter { role: text("hr"), database: text("shop"), ..none() }, 0),
        (SessionFilter { outcome: text("agent_lost"), ..none() }, 1),
        (state(SessionState::Closed), 1),
        (state(SessionState::Open), 5),
        (state(SessionState::Opening), 4),
        (state(SessionState::Running), 1),
        (SessionFilter { since: Some(soon), ..none() }, 0),
        (SessionFilter { until: Some(soon), ..none() }, 6),
        (SessionFilter { since: Some(soon - TimeDelta::hours(1)), until: Some(soon), ..none() }, 6),
        (SessionFilter { until: Some(soon - TimeDelta::hours(1)), ..none() }, 0),
    ] {
        let found = sessions.list(ORG, &filter, None, 10).await?.items;
        assert_eq!(found.len(), expected, "{filter:?}");
        assert!(found.is_sorted_by(|one, other| one.id > other.id), "the latest first");
    }
    let gone = sessions.list(ORG, &state(SessionState::Closed), None, 10).await?;
    assert_eq!(gone.items[0].id, lost);
    sessions.close(ORG, elsewhere.id, &ended("completed")).await?;
    Ok(())
}

/// Another one like it.
fn session_of(session: &Session) -> Session {
    Session { id: SessionId::new(&SystemClock), request_id: RequestId::new(&SystemClock), ..session.clone() }
}

async fn events(events: &dyn Events) -> Result<()> {
    let event = Event {
        org: ORG,
        id: EventId::new(&SystemClock),
        request_id: RequestId::new(&SystemClock),
        user: None,
        user_name: Some("mallory".to_owned()),
        token: Some(TokenId::new(&SystemClock)),
        token_name: Some("ci".to_owned()),
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
