//! Sessions whose role changes, or cannot be read.

use std::future::poll_fn;
use std::task::Poll;

use hoop_core::id::{KeyId, RequestId};
use hoop_core::{AccessMode, SystemClock, Target};
use hoop_proto::tunnel::v1::{PostgresTarget, open};

use super::*;
use crate::access::tests::spoil;
use crate::access::{Access, AccessPolicy};
use crate::auth::credential::principal;
use crate::store::tests::{role, update_role, update_user, user};
use crate::store::{Role, SqlStore, User, UserKey};
use crate::tunnel::TunnelLimits;

struct World {
    folder: tempfile::TempDir,
    store: Arc<dyn Store>,
    access: Access,
    sessions: Sessions,
    alice: User,
    shop: Role,
}

impl World {
    /// Alice may use the role shop.
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("hoop.db").display());
        let store: Arc<dyn Store> = Arc::new(SqlStore::open(&url).await.expect("a store"));
        let (alice, shop) = (user("alice", &["dba"]), role("shop"));
        store.users().create(&alice).await.expect("stored");
        store.roles().create(&shop).await.expect("stored");
        let access = Access::load(Arc::clone(&store), Arc::new(SystemClock)).await.expect("no rule");
        let sessions = Sessions::new(SessionParts {
            store: Arc::clone(&store),
            policy: Arc::new(AccessPolicy::new(Arc::clone(&store), access.clone())),
            chain: PluginChain::new(Vec::new()),
            agents: Agents::new(TunnelLimits::default()),
            clock: Arc::new(SystemClock),
            changes: Arc::new(Changes::new()),
            secrets: SecretKeeper::new(Arc::clone(&store), Arc::new(SystemClock), None),
            telemetry: Arc::new(Telemetry::new().expect("buckets")),
            tasks: TaskTracker::new(),
        });
        Self { folder, store, access, sessions, alice, shop }
    }

    /// A session of alice that runs.
    fn running(&self, role: &Role) -> (Arc<Control>, Live) {
        self.running_by(role, Vec::new())
    }

    fn running_by(&self, role: &Role, passes: Vec<Pass>) -> (Arc<Control>, Live) {
        self.running_through(role, passes, Vec::new())
    }

    fn running_through(&self, role: &Role, passes: Vec<Pass>, jumps: Vec<ResourceRole>) -> (Arc<Control>, Live) {
        let context = Arc::new(SessionContext {
            id: SessionId::new(&SystemClock),
            org: self.alice.org,
            request_id: RequestId::new(&SystemClock),
            principal: Arc::new(principal(self.alice.clone())),
            role: Arc::new(role.role.clone()),
            mode: AccessMode::Native,
            started_at: SystemClock.now(),
            expires_at: None,
            source: None,
            database: None,
            application: None,
            reason: None,
        });
        let control = Arc::new(Control::default());
        let live = self.sessions.inner.registry.enter(context.org, context.id, Arc::clone(&control));
        self.sessions.inner.registry.admit(&context, passes, jumps);
        (control, live)
    }

    /// Why a session must end, after it was looked at again.
    async fn end(&self, control: &Control) -> Option<Denial> {
        // What cannot be read is told; what can be decided is decided all the same.
        let _ = recheck::look(&self.sessions, &self.access).await;
        poll_fn(|cx| match control.poll_asked(cx) {
            Poll::Ready(Asked::End(why)) => Poll::Ready(Some(why)),
            _ => Poll::Ready(None),
        })
        .await
    }

    async fn open(&self, role: &Role) -> Denial {
        let opening = Opening {
            request_id: RequestId::new(&SystemClock),
            principal: principal(self.alice.clone()),
            passes: Vec::new(),
            role: role.role.clone(),
            mode: AccessMode::Native,
            source: None,
            database: None,
            application: None,
            reason: None,
            target: open::Target::Postgres(PostgresTarget::default()),
        };
        match self.sessions.open(opening).await {
            Ok(_) => panic!("there is no agent"),
            Err(failure) => failure.denial,
        }
    }
}

fn elsewhere(shop: &Role) -> Role {
    let mut role = shop.clone();
    let Target::Postgres(target) = &mut role.role.target else { unreachable!("a PostgreSQL server") };
    target.host = "elsewhere".to_owned();
    role
}

#[tokio::test]
async fn a_session_ends_when_its_role_leads_elsewhere() {
    let world = World::new().await;
    let mut relabelled = world.shop.clone();
    relabelled.role.labels.clear();
    let (mut by_another, mut unmasked) = (world.shop.clone(), world.shop.clone());
    by_another.role.agent = "there".into();
    unmasked.role.plugins.clear();
    for (changed, ends) in [(relabelled, false), (elsewhere(&world.shop), true), (by_another, true), (unmasked, true)] {
        update_role(&*world.store, &world.shop).await.expect("stored");
        let (control, _live) = world.running(&world.shop);
        assert!(world.end(&control).await.is_none());
        update_role(&*world.store, &changed).await.expect("stored");
        let why = world.end(&control).await;
        assert_eq!(why.as_ref().map(|why| why.code), ends.then_some(Code::AccessRevoked));
        assert!(why.is_none_or(|why| why.reason.contains("was changed") && why.hint.is_some()));
    }
}

#[tokio::test]
async fn a_session_ends_when_a_role_on_its_way_leads_elsewhere() {
    let world = World::new().await;
    let hr = role("hr");
    world.store.roles().create(&hr).await.expect("stored");
    let way = vec![world.shop.role.clone()];
    let ((through, _live), (beside, _other)) = (world.running_through(&hr, Vec::new(), way), world.running(&hr));
    assert!(world.end(&through).await.is_none());
    update_role(&*world.store, &elsewhere(&world.shop)).await.expect("stored");
    let why = world.end(&through).await.expect("it ends");
    assert!(why.code == Code::AccessRevoked && why.reason.contains("role shop was changed"), "{why:?}");
    assert!(world.end(&beside).await.is_none());
}

#[tokio::test]
async fn no_session_opens_with_a_role_that_leads_elsewhere_by_now() {
    let world = World::new().await;
    assert_eq!(world.open(&world.shop).await.code, Code::AgentUnavailable);
    let changed = elsewhere(&world.shop);
    update_role(&*world.store, &changed).await.expect("stored");
    assert_eq!(world.open(&world.shop).await.code, Code::AccessRevoked);
    assert_eq!(world.open(&changed).await.code, Code::AgentUnavailable);
}

#[tokio::test]
async fn a_rule_that_cannot_be_read_keeps_nobody_in() {
    let world = World::new().await;
    let rule = "INSERT INTO access_rules (org_id, id, name, definition, created_at, updated_at) \
        SELECT org_id, id, 'broken', 'x', 0, 0 FROM roles";
    spoil(&world.folder, rule).await;
    let (control, _live) = world.running(&world.shop);
    assert!(world.end(&control).await.is_none());
    assert!(world.access.reload().await.is_err());
    let disabled = User { disabled: true, ..world.alice.clone() };
    update_user(&*world.store, &disabled).await.expect("stored");
    assert_eq!(world.end(&control).await.map(|why| why.code), Some(Code::AccessRevoked));
}

#[tokio::test]
async fn a_role_that_cannot_be_read_ends_its_own_sessions_alone() {
    let world = World::new().await;
    let hr = role("hr");
    world.store.roles().create(&hr).await.expect("stored");
    let ((shop, _shop), (hr, _hr)) = (world.running(&world.shop), world.running(&hr));
    spoil(&world.folder, "UPDATE roles SET labels = 'x' WHERE name = 'hr'").await;
    assert_eq!(world.end(&hr).await.map(|why| why.code), Some(Code::AccessRevoked));
    assert!(world.end(&shop).await.is_none());
}

#[tokio::test]
async fn a_session_ends_with_the_key_that_it_came_in_by() {
    let world = World::new().await;
    let key = UserKey {
        org: world.alice.org,
        id: KeyId::new(&SystemClock),
        user: world.alice.id,
        name: "laptop".to_owned(),
        fingerprint: "SHA256:a".to_owned(),
        public_key: "ssh-ed25519 AAAA".to_owned(),
        token: None,
        expires_at: Some(SystemClock.now()),
        last_used_at: None,
        created_at: SystemClock.now(),
    };
    world.store.user_keys().create(&key, 1).await.expect("stored");
    let ((by_key, _live), (without, _other)) =
        (world.running_by(&world.shop, vec![Pass::Key(key.id)]), world.running(&world.shop));
    assert!(world.end(&by_key).await.is_none(), "one that has expired opens no more, and keeps what runs");
    world.store.user_keys().delete(key.org, key.id, None).await.expect("stored");
    let why = world.end(&by_key).await.expect("it ends");
    assert!(why.code == Code::AccessRevoked && why.reason.contains("the key"), "{why:?}");
    assert!(world.end(&without).await.is_none());
}
