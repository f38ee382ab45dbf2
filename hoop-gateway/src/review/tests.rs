//! Who is woken, what is bound, and how many wait.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hoop_core::id::RequestId;
use hoop_core::{AccessMode, Principal, SystemClock};
use parking_lot::Mutex;

use super::*;
use crate::auth::credential::principal;
use crate::store::tests::{role, user};
use crate::store::{ReviewDecision, Role, SqlStore, User};

/// The machine's clock, and as much more as a test wants.
#[derive(Default)]
struct Shifted(Mutex<Duration>);

impl Clock for Shifted {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + *self.0.lock()
    }
    fn monotonic(&self) -> std::time::Instant {
        SystemClock.monotonic() + *self.0.lock()
    }
}

struct World {
    _folder: tempfile::TempDir,
    store: Arc<dyn Store>,
    clock: Arc<Shifted>,
    reviews: Reviews,
    alice: User,
    lena: User,
    shop: Role,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("hoop.db").display());
        let store: Arc<dyn Store> = Arc::new(SqlStore::open(&url).await.expect("a store"));
        let (alice, lena, shop) = (user("alice", &["dba"]), user("lena", &["leads"]), role("shop"));
        for user in [&alice, &lena] {
            store.users().create(user).await.expect("stored");
        }
        let clock = Arc::new(Shifted::default());
        let reviews = reviews(&store, &clock);
        Self { _folder: folder, store, clock, reviews, alice, lena, shop }
    }

    async fn ask(&self) -> Review {
        let alice = principal(self.alice.clone());
        let asking = asking(&alice, &self.shop.role);
        self.reviews.ask(ReviewId::new(&SystemClock), &asking).await.expect("asked")
    }

    async fn decide(&self, through: &Reviews, review: &Review, approve: bool) -> Result<Review, Denial> {
        let lena = &self.lena;
        let decision = ReviewDecision {
            approve,
            user: lena.id,
            user_name: lena.name.clone(),
            at: self.clock.now(),
            comment: Some("talk to me".to_owned()),
            good_until: through.good_until(None),
            good_once: true,
        };
        through.decide(review, lena, &decision).await
    }
}

/// A gateway on this store.
fn reviews(store: &Arc<dyn Store>, clock: &Arc<Shifted>) -> Reviews {
    let clock: Arc<dyn Clock> = clock.clone();
    Reviews::new(Arc::clone(store), clock, Arc::new(Changes::new()), ReviewLimits::default(), Vec::new())
}

fn asking<'a>(principal: &'a Principal, role: &'a hoop_core::ResourceRole) -> Asking<'a> {
    Asking {
        request_id: RequestId::new(&SystemClock),
        session: None,
        principal,
        role,
        mode: AccessMode::Native,
        database: Some("shop"),
        source: None,
        reason: Some("ticket 42"),
        group: "leads",
        rule: Some("prod"),
        about: None,
    }
}

#[tokio::test]
async fn whoever_waits_is_woken_by_the_decision() {
    let world = World::new().await;
    for approve in [true, false] {
        let review = world.ask().await;
        let (agreed, decided) =
            tokio::join!(world.reviews.agreed(&review), world.decide(&world.reviews, &review, approve));
        assert_eq!(decided.expect("lena may").state == ReviewState::Approved, approve);
        match agreed {
            Ok(review) => assert!(approve && review.decided_by == Some(world.lena.id)),
            Err(denial) => {
                assert!(!approve && denial.code == Code::ReviewDenied, "{denial:?}");
                assert!(denial.reason.starts_with("lena of group leads has not agreed to role shop"), "{denial}");
                assert!(denial.reason.ends_with(": talk to me"), "{denial}");
            }
        }
    }
    assert!(world.reviews.inner.waiting.is_empty(), "nobody waits any more");
}

#[tokio::test]
async fn what_another_gateway_decides_is_found_by_the_look() {
    let world = World::new().await;
    let (review, other) = (world.ask().await, reviews(&world.store, &world.clock));
    let mut waits = Box::pin(world.reviews.agreed(&review));
    assert!(futures::poll!(&mut waits).is_pending());
    world.decide(&other, &review, true).await.expect("lena may");
    world.reviews.look().await.expect("the store works");
    waits.await.expect("agreed");
}

#[tokio::test]
async fn a_review_expires_when_its_time_is_over_and_not_before() {
    let world = World::new().await;
    let review = world.ask().await;
    let mut waits = Box::pin(world.reviews.agreed(&review));
    assert!(futures::poll!(&mut waits).is_pending());
    *world.clock.0.lock() = ReviewLimits::default().timeout - Duration::from_secs(60);
    world.reviews.look().await.expect("the store works");
    let state =
        async || world.store.reviews().get(review.org, review.id).await.expect("readable").expect("there").state;
    assert_eq!(state().await, ReviewState::Pending);
    *world.clock.0.lock() = ReviewLimits::default().timeout;
    world.reviews.look().await.expect("the store works");
    assert_eq!(state().await, ReviewState::Expired);
    let denial = waits.await.expect_err("too late");
    assert_eq!(denial.code, Code::ReviewExpired);
    let late = world.decide(&world.reviews, &review, true).await.expect_err("too late");
    assert!(late.code == Code::Conflict && late.reason.contains("has expired"), "{late}");
    let events = world.store.events().list(review.org, None, 10).await.expect("readable").items;
    let trail: Vec<_> = events.iter().map(|event| (event.action.as_str(), event.status)).collect();
    assert_eq!(trail, [("review expired", 408), ("review asked", 202)]);
}

#[tokio::test]
async fn who_asks_again_is_told_of_the_end_before_anybody_has_looked() {
    let world = World::new().await;
    let review = world.ask().await;
    let alice = principal(world.alice.clone());
    let before = async || {
        let before = world.reviews.asked_before(&asking(&alice, &world.shop.role)).await.expect("the store works");
        before.iter().map(|review| (review.id, review.state)).collect::<Vec<_>>()
    };
    assert_eq!(before().await, [(review.id, ReviewState::Pending)]);
    *world.clock.0.lock() = ReviewLimits::default().timeout;
    assert_eq!(before().await, [(review.id, ReviewState::Expired)]);
}

#[tokio::test]
async fn a_user_asks_for_so_many_at_once() {
    let world = World::new().await;
    let mut last = None;
    for _ in 0..MOST_OF_A_USER {
        last = Some(world.ask().await);
    }
    let alice = principal(world.alice.clone());
    let again = async || world.reviews.ask(ReviewId::new(&SystemClock), &asking(&alice, &world.shop.role)).await;
    assert_eq!(again().await.expect_err("one too many").code, Code::Throttled);
    let last = last.expect("asked");
    assert!(world.reviews.withdraw(last.org, last.id, last.user).await.expect("the store works"));
    again().await.expect("there is room again");
}

#[tokio::test]
async fn places_are_given_up() {
    let world = World::new().await;
    let clock: Arc<dyn Clock> = world.clock.clone();
    let limits = ReviewLimits { held: 2, ..ReviewLimits::default() };
    let reviews = Reviews::new(Arc::clone(&world.store), clock, Arc::new(Changes::new()), limits, Vec::new());
    let (alice, lena) = (world.alice.id, world.lena.id);
    let (first, _second) = (reviews.place(alice).expect("free"), reviews.place(lena).expect("free"));
    assert_eq!(reviews.place(lena).err().map(|denial| denial.code), Some(Code::Throttled));
    drop(first);
    assert!(reviews.place(lena).is_ok());
    let many = world.reviews;
    let _own: Vec<_> = (0..MOST_OF_A_USER).map(|_| many.place(alice).expect("free")).collect();
    assert!(many.place(alice).is_err_and(|denial| denial.reason.contains("of yours")));
    assert!(many.place(lena).is_ok(), "others have places of their own");
}

#[test]
fn an_approval_is_bound_to_all_that_was_asked() {
    let (alice, shop) = (principal(user("alice", &["dba"])), role("shop").role);
    let asked = asking(&alice, &shop);
    let hash = asked.hash();
    let (bob, mut elsewhere, mut unmasked, mut by_another) =
        (principal(user("bob", &["dba"])), shop.clone(), shop.clone(), shop.clone());
    let hoop_core::Target::Postgres(target) = &mut elsewhere.target else { unreachable!("a PostgreSQL server") };
    target.host = "elsewhere".to_owned();
    unmasked.plugins.clear();
    by_another.agent = "there".into();
    for (what, other) in [
        ("somebody else", Asking { principal: &bob, ..asked }),
        ("another server", Asking { role: &elsewhere, ..asked }),
        ("other rules", Asking { role: &unmasked, ..asked }),
        ("another agent", Asking { role: &by_another, ..asked }),
        ("another mode", Asking { mode: AccessMode::Exec, ..asked }),
        ("another database", Asking { database: Some("hr"), ..asked }),
        ("no database", Asking { database: None, ..asked }),
        ("another group", Asking { group: "owners", ..asked }),
    ] {
        assert_ne!(other.hash(), hash, "{what}");
    }
    // Words, and where somebody is, change nothing.
    assert_eq!(Asking { reason: None, source: Some(([192, 0, 2, 1], 1).into()), ..asked }.hash(), hash);
    let mut relabelled = shop.clone();
    relabelled.labels.clear();
    assert_eq!(Asking { role: &relabelled, ..asked }.hash(), hash);
}
