//! Sessions whose role changes, or cannot be read; and those that wait until somebody agrees.

mod asks;

use std::future::poll_fn;
use std::task::Poll;

use hoop_core::id::{AccessRuleId, KeyId, RequestId, ReviewId};
use hoop_core::{AccessMode, SystemClock, Target};
use hoop_proto::tunnel::v1::{PostgresTarget, open};
use serde_json::json;
use tokio::sync::mpsc;

use super::*;
use crate::access::tests::spoil;
use crate::access::{Access, AccessPolicy, AccessRule};
use crate::auth::credential::principal;
use crate::review::ReviewLimits;
use crate::store::tests::{role, update_role, update_user, user};
use crate::store::{self, Review, ReviewDecision, ReviewState, Role, SessionFilter, SqlStore, User, UserKey};
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
        let changes = Arc::new(Changes::new());
        let limits = ReviewLimits { held: 2, ..ReviewLimits::default() };
        let reviews = Reviews::new(Arc::clone(&store), Arc::new(SystemClock), Arc::clone(&changes), limits, Vec::new());
        let sessions = Sessions::new(SessionParts {
            store: Arc::clone(&store),
            policy: Arc::new(AccessPolicy::new(Arc::clone(&store), access.clone())),
            chain: PluginChain::new(Vec::new()),
            agents: Agents::new(TunnelLimits::default()),
            clock: Arc::new(SystemClock),
            changes,
            reviews,
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
        self.admitted(role, passes, jumps, None)
    }

    /// One to which somebody of this group has agreed.
    fn agreed_by(&self, role: &Role, group: Option<&str>) -> (Arc<Control>, Live) {
        self.admitted(role, Vec::new(), Vec::new(), group.map(Into::into))
    }

    fn admitted(
        &self,
        role: &Role,
        passes: Vec<Pass>,
        jumps: Vec<ResourceRole>,
        agreed: Option<Arc<str>>,
    ) -> (Arc<Control>, Live) {
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
        self.sessions.inner.registry.admit(&context, passes, jumps, agreed);
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
        match self.sessions.open(self.opening(role, None)).await {
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

/// A rule by which somebody of `leads` must agree, or another group.
async fn rule(world: &World, group: &str) {
    let definition = json!({
        "name": group, "effect": "allow", "subjects": { "users": ["alice"] }, "roles": { "names": ["hr"] },
        "obligations": { "review": { "group": group } },
    });
    let rule = AccessRule {
        org: world.alice.org,
        id: AccessRuleId::new(&SystemClock),
        definition: serde_json::from_value(definition).expect("a rule"),
        created_at: SystemClock.now(),
        updated_at: SystemClock.now(),
    };
    world.store.access_rules().create(&rule).await.expect("stored");
    world.access.reload().await.expect("readable");
}

/// A world in which alice needs somebody's agreement to use the role hr, and lena gives it.
async fn reviewed() -> (World, Role, User) {
    let world = World::new().await;
    let (mut hr, lena) = (role("hr"), user("lena", &["leads"]));
    hr.allowed_groups.clear();
    world.store.roles().create(&hr).await.expect("stored");
    world.store.users().create(&lena).await.expect("stored");
    rule(&world, "leads").await;
    (world, hr, lena)
}

impl World {
    fn opening(&self, role: &Role, told: Option<Tell>) -> Opening {
        Opening {
            request_id: RequestId::new(&SystemClock),
            principal: principal(self.alice.clone()),
            passes: Vec::new(),
            credential: None,
            role: role.role.clone(),
            mode: AccessMode::Native,
            source: None,
            database: Some("shop".into()),
            application: None,
            reason: None,
            target: open::Target::Postgres(PostgresTarget::default()),
            told,
        }
    }

    async fn decide(&self, review: &Review, by: &User, approve: bool) {
        let reviews = &self.sessions.parts().reviews;
        let decision = ReviewDecision {
            approve,
            user: by.id,
            user_name: by.name.clone(),
            at: SystemClock.now(),
            comment: None,
            good_until: reviews.good_until(None),
            good_once: true,
        };
        reviews.decide(review, by, &decision).await.expect("lena may");
    }

    async fn review(&self, id: ReviewId) -> Review {
        self.store.reviews().get(self.alice.org, id).await.expect("readable").expect("there")
    }

    /// How the only session ended that there was.
    async fn ended(&self) -> store::Session {
        self.sessions.parts().tasks.close();
        self.sessions.parts().tasks.wait().await;
        let page = self.store.sessions().list(self.alice.org, &SessionFilter::default(), None, 2).await;
        let [session] = &page.expect("readable").items[..] else { panic!("there was one") };
        session.clone()
    }
}

#[tokio::test]
async fn a_session_is_held_until_somebody_agrees_and_everything_is_asked_anew() {
    for approve in [true, false] {
        let (world, hr, lena) = reviewed().await;
        let (told, mut held) = mpsc::channel::<Held>(1);
        let opening = world.sessions.open(world.opening(&hr, Some(told)));
        let deciding = async {
            let held = held.recv().await.expect("told");
            assert_eq!(held.why.code, Code::ReviewRequired);
            let review = world.review(held.review).await;
            assert!(review.session.is_some() && review.rule.as_deref() == Some("leads"));
            world.decide(&review, &lena, approve).await;
            review
        };
        let (opened, review) = tokio::join!(opening, deciding);
        let denial = opened.err().expect("there is no agent").denial;
        // Who is agreed to comes as far as the agent.
        let (code, used_by) = match approve {
            true => (Code::AgentUnavailable, review.session),
            false => (Code::ReviewDenied, None),
        };
        assert_eq!((denial.code, world.review(review.id).await.used_by), (code, used_by));
        let session = world.ended().await;
        assert_eq!(session.review, approve.then_some(review.id));
        assert_eq!(session.ended.map(|ended| ended.outcome), Some("denied".to_owned()));
    }
}

#[tokio::test]
async fn a_review_is_withdrawn_when_the_caller_goes_away() {
    let (world, hr, _) = reviewed().await;
    let (told, mut held) = mpsc::channel::<Held>(1);
    let mut opening = Box::pin(world.sessions.open(world.opening(&hr, Some(told))));
    let held = tokio::select! {
        held = held.recv() => held.expect("told"),
        _ = &mut opening => panic!("nobody has agreed"),
    };
    drop(opening);
    let session = world.ended().await;
    assert_eq!(session.ended.map(|ended| ended.outcome), Some("client_lost".to_owned()));
    assert_eq!(world.review(held.review).await.state, ReviewState::Withdrawn);
    assert!(world.store.reviews().pending().await.expect("readable").is_empty());
}

#[tokio::test]
async fn a_session_that_waits_can_be_ended_and_does_not_hold_a_shutdown_up() {
    for by_drain in [true, false] {
        let (world, hr, _) = reviewed().await;
        let (told, mut held) = mpsc::channel::<Held>(1);
        let ending = async {
            let held = held.recv().await.expect("told");
            let session = world.review(held.review).await.session.expect("of a session");
            match by_drain {
                true => world.sessions.drain(Duration::from_secs(3600)).await,
                false => {
                    let why = Denial::new("gateway", Code::SessionKilled, "root ended this session");
                    assert!(world.sessions.end(world.alice.org, session, why));
                }
            }
            held.review
        };
        let (opened, review) = tokio::join!(world.sessions.open(world.opening(&hr, Some(told))), ending);
        let code = opened.err().expect("it was ended").denial.code;
        assert_eq!(code, if by_drain { Code::GatewayDraining } else { Code::SessionKilled });
        assert_eq!(world.review(review).await.state, ReviewState::Withdrawn);
    }
}

#[tokio::test]
async fn an_approval_lets_nobody_in_who_was_shut_out_meanwhile() {
    let (world, hr, lena) = reviewed().await;
    let (told, mut held) = mpsc::channel::<Held>(1);
    let shutting_out = async {
        let review = world.review(held.recv().await.expect("told").review).await;
        let disabled = User { disabled: true, ..world.alice.clone() };
        update_user(&*world.store, &disabled).await.expect("stored");
        world.decide(&review, &lena, true).await;
        review.id
    };
    let (opened, review) = tokio::join!(world.sessions.open(world.opening(&hr, Some(told))), shutting_out);
    assert_eq!(opened.err().expect("refused").denial.code, Code::AccessDenied);
    assert_eq!(world.review(review).await.used_by, None, "it was used for nothing");
}

#[tokio::test]
async fn a_running_session_ends_when_another_group_must_agree() {
    let (world, hr, _) = reviewed().await;
    let ((control, _live), (without, _other)) = (world.agreed_by(&hr, Some("leads")), world.agreed_by(&hr, None));
    assert!(world.end(&control).await.is_none());
    assert_eq!(world.end(&without).await.map(|why| why.code), Some(Code::AccessRevoked));
    let version = world.store.versions().access_rule(world.alice.org, "leads").await.expect("readable");
    let rule = world.store.access_rules().by_name(world.alice.org, "leads").await.expect("readable").expect("there");
    rule_of_owners(&world, rule, version.expect("there")).await;
    let why = world.end(&control).await.expect("it ends");
    assert!(why.code == Code::AccessRevoked && why.reason.contains("group owners"), "{why:?}");
}

async fn rule_of_owners(world: &World, mut rule: AccessRule, version: i64) {
    rule.definition.obligations.review.as_mut().expect("a review").group = "owners".to_owned();
    assert!(world.store.versions().update_access_rule(&rule, version).await.expect("stored"));
}
