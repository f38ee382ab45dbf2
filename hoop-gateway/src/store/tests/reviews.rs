//! Reviews: who may decide, that it is done once, and what an approval is good for.

use super::*;

pub(crate) fn review(of: &User, group: &str) -> Review {
    Review {
        org: ORG,
        id: ReviewId::new(&SystemClock),
        request_id: RequestId::new(&SystemClock),
        session: None,
        user: of.id,
        user_name: of.name.clone(),
        role: RoleId::new(&SystemClock),
        role_name: "shop".to_owned(),
        mode: "native".to_owned(),
        database: Some("shop".to_owned()),
        source: Some("192.0.2.1:40000".to_owned()),
        group: group.to_owned(),
        rule: Some("prod".to_owned()),
        reason: Some("ticket 42".to_owned()),
        kind: ReviewKind::Session,
        subject: None,
        asked_hash: [1; 32],
        state: ReviewState::Pending,
        decided_by: None,
        decided_name: None,
        decided_at: None,
        comment: None,
        good_until: None,
        good_once: true,
        used_by: None,
        used_at: None,
        created_at: now(),
        expires_at: now() + TimeDelta::minutes(30),
    }
}

pub(super) fn decision(by: &User, approve: bool, at: DateTime<Utc>) -> ReviewDecision {
    ReviewDecision {
        approve,
        user: by.id,
        user_name: by.name.clone(),
        at,
        comment: Some("for the migration".to_owned()),
        good_until: at + TimeDelta::minutes(10),
        good_once: true,
    }
}

pub(super) async fn reviews(store: &dyn Store, alice: &User) -> Result<()> {
    let lena = user("lena", &["leads", "dba"]);
    store.users().create(&lena).await?;
    who_decides(store, alice, &lena).await?;
    what_is_good(store, alice, &lena).await?;
    what_is_over(store, alice).await?;
    within_sessions(store, alice, &lena).await?;
    lists(store, alice, &lena).await
}

async fn who_decides(store: &dyn Store, alice: &User, lena: &User) -> Result<()> {
    let reviews = store.reviews();
    let (other, gone) = (user("otto", &["dba"]), User { disabled: true, ..user("gone", &["leads"]) });
    let program = User { groups: vec!["leads".to_owned()], ..service_account("bot") };
    let own = User { groups: vec!["leads".to_owned()], ..user("olga", &[]) };
    for user in [&other, &gone, &program, &own] {
        store.users().create(user).await?;
    }
    let asked = review(alice, "leads");
    assert!(reviews.create(&asked, 16).await?);
    assert!(matches!(reviews.create(&asked, 16).await, Err(StoreError::Exists { .. })));
    assert_eq!(reviews.get(ORG, asked.id).await?.as_ref(), Some(&asked));
    assert_eq!(reviews.get(OrgId::new(&SystemClock), asked.id).await?, None);
    for (by, why) in [(alice, "their own"), (&other, "not of the group"), (&gone, "shut out"), (&program, "a program")]
    {
        assert!(!reviews.decide(ORG, asked.id, &decision(by, true, asked.created_at)).await?, "{why}");
    }
    let theirs = review(&own, "leads");
    assert!(reviews.create(&theirs, 16).await?);
    assert!(!reviews.decide(ORG, theirs.id, &decision(&own, true, theirs.created_at)).await?, "a member's own");
    // The last moment is not in time.
    assert!(!reviews.decide(ORG, asked.id, &decision(lena, true, asked.expires_at)).await?, "too late");
    let just = asked.expires_at - TimeDelta::microseconds(1);
    let yes = decision(lena, true, just);
    assert!(reviews.decide(ORG, asked.id, &yes).await?);
    assert!(!reviews.decide(ORG, asked.id, &decision(lena, false, asked.created_at)).await?, "it was decided");
    let expected = Review {
        state: ReviewState::Approved,
        decided_by: Some(lena.id),
        decided_name: Some("lena".to_owned()),
        decided_at: Some(just),
        comment: yes.comment.clone(),
        good_until: Some(yes.good_until),
        ..asked
    };
    assert_eq!(reviews.get(ORG, expected.id).await?, Some(expected));
    assert!(reviews.decide(ORG, theirs.id, &decision(lena, false, theirs.created_at)).await?);
    let denied = reviews.get(ORG, theirs.id).await?.expect("there");
    assert_eq!((denied.state, denied.good_until), (ReviewState::Denied, None));
    Ok(())
}

async fn approved(store: &dyn Store, review: &Review, by: &User, good_once: bool) -> Result<Review> {
    let decision = ReviewDecision { good_once, ..decision(by, true, review.created_at) };
    assert!(store.reviews().create(review, 16).await? && store.reviews().decide(ORG, review.id, &decision).await?);
    Ok(store.reviews().get(ORG, review.id).await?.expect("there"))
}

async fn what_is_good(store: &dyn Store, alice: &User, lena: &User) -> Result<()> {
    let reviews = store.reviews();
    let (waiting, another) = (session(alice), session(alice));
    for session in [&waiting, &another] {
        store.sessions().open(session).await?;
    }
    // One of a session is that session's, once.
    let own = Review { session: Some(waiting.id), asked_hash: [2; 32], ..review(alice, "leads") };
    let own = approved(store, &own, lena, true).await?;
    let (at, until) = (own.created_at, own.good_until.expect("approved"));
    assert_eq!(reviews.standing(ORG, alice.id, &[2; 32], at).await?, None, "nobody else's");
    assert!(!reviews.take(&own, another.id, at).await?, "another session's");
    assert!(!reviews.take(&own, waiting.id, until).await?, "too late");
    assert!(!reviews.take(&Review { asked_hash: [3; 32], ..own.clone() }, waiting.id, at).await?, "of something else");
    assert!(!reviews.take(&Review { user: lena.id, ..own.clone() }, waiting.id, at).await?, "somebody else's");
    let (one, other) = tokio::join!(reviews.take(&own, waiting.id, at), reviews.take(&own, waiting.id, at));
    assert!(one? ^ other?, "of two that use it, one does");
    assert_eq!(store.sessions().get(ORG, waiting.id).await?.and_then(|session| session.review), Some(own.id));
    assert_eq!(store.sessions().get(ORG, another.id).await?.and_then(|session| session.review), None);

    // One that was asked for before is whichever session's comes first.
    let before = approved(store, &Review { asked_hash: [4; 32], ..review(alice, "leads") }, lena, true).await?;
    assert_eq!(reviews.standing(ORG, alice.id, &[4; 32], at).await?.as_ref(), Some(&before));
    assert_eq!(
        reviews.standing(ORG, alice.id, &[4; 32], before.good_until.expect("approved")).await?,
        None,
        "too late"
    );
    assert_eq!(reviews.standing(ORG, lena.id, &[4; 32], at).await?, None, "somebody else's");
    assert!(reviews.take(&before, another.id, at).await? && !reviews.take(&before, waiting.id, at).await?);
    assert_eq!(reviews.standing(ORG, alice.id, &[4; 32], at).await?, None, "it was used");

    // One that is good for a time is every session's until then.
    let long = Review { session: Some(waiting.id), asked_hash: [5; 32], ..review(alice, "leads") };
    let long = approved(store, &long, lena, false).await?;
    for session in [&waiting, &another, &waiting] {
        assert_eq!(reviews.standing(ORG, alice.id, &[5; 32], at).await?.map(|review| review.id), Some(long.id));
        assert!(reviews.take(&long, session.id, at).await?);
    }
    assert!(!reviews.take(&long, another.id, until.max(long.good_until.expect("approved"))).await?, "too late");

    // What is pending can be waited for unless it is a session's.
    let (pending, held) = (Review { asked_hash: [6; 32], ..review(alice, "leads") }, review(alice, "leads"));
    let held = Review { asked_hash: [6; 32], session: Some(waiting.id), ..held };
    assert!(reviews.create(&held, 16).await?);
    assert_eq!(reviews.standing(ORG, alice.id, &[6; 32], at).await?, None);
    assert!(reviews.create(&pending, 16).await?);
    assert_eq!(reviews.standing(ORG, alice.id, &[6; 32], at).await?.as_ref(), Some(&pending));
    assert_eq!(reviews.standing(ORG, alice.id, &[6; 32], pending.expires_at).await?, None, "too late");
    assert!(!reviews.create(&review(alice, "leads"), 2).await?, "two of alice's are pending");
    assert!(reviews.create(&review(lena, "dba"), 2).await?, "others have their own");
    assert!(!reviews.take(&pending, another.id, at).await?, "nobody has decided");
    assert!(!reviews.withdraw(ORG, pending.id, lena.id).await?, "somebody else's");
    assert!(reviews.withdraw(ORG, pending.id, alice.id).await? && !reviews.withdraw(ORG, pending.id, alice.id).await?);
    assert!(!reviews.decide(ORG, pending.id, &decision(lena, true, at)).await?, "it was withdrawn");
    Ok(())
}

async fn what_is_over(store: &dyn Store, alice: &User) -> Result<()> {
    let reviews = store.reviews();
    let over = Review { expires_at: now() - TimeDelta::hours(1), ..review(alice, "leads") };
    assert!(reviews.create(&over, 16).await?);
    let pending = reviews.pending().await?;
    assert!(pending.contains(&(ORG, over.id, over.expires_at)) && pending.len() > 1);
    assert_eq!(reviews.expire(over.expires_at - TimeDelta::microseconds(1)).await?, [], "in time still");
    let expired = Review { state: ReviewState::Expired, ..over.clone() };
    assert_eq!(reviews.expire(over.expires_at).await?, [expired]);
    assert_eq!(reviews.expire(over.expires_at).await?, [], "once");
    // Only a session's ends with the gateway that has held it.
    assert_eq!(reviews.withdraw_orphans().await?, 1);
    assert_eq!(reviews.pending().await?.len(), pending.len() - 2);
    Ok(())
}

async fn within_sessions(store: &dyn Store, alice: &User, lena: &User) -> Result<()> {
    let reviews = store.reviews();
    let (one, another) = (session(alice), session(alice));
    for session in [&one, &another] {
        store.sessions().open(session).await?;
    }
    let of = |kind, hash| Review {
        session: Some(one.id),
        kind,
        subject: Some("delete from t".to_owned()),
        asked_hash: [hash; 32],
        ..review(alice, "leads")
    };
    // A statement is its session's; a request is its user's, and is known by its hash.
    let statement = approved(store, &of(ReviewKind::Statement, 7), lena, true).await?;
    assert_eq!(statement.subject.as_deref(), Some("delete from t"));
    let (at, request) = (statement.created_at, of(ReviewKind::Request, 8));
    assert!(!reviews.take(&statement, another.id, at).await?, "another session's");
    assert!(reviews.take(&statement, one.id, at).await? && !reviews.take(&statement, one.id, at).await?);
    assert_eq!(store.sessions().get(ORG, one.id).await?.and_then(|session| session.review), None, "nobody let it in");
    assert!(reviews.create(&request, 16).await?);
    let long = ReviewDecision { good_once: false, ..decision(lena, true, at) };
    assert!(!reviews.decide(ORG, request.id, &long).await?, "it is good once");
    assert!(reviews.decide(ORG, request.id, &decision(lena, true, at)).await?);
    let approval = reviews.get(ORG, request.id).await?.expect("there");
    assert_eq!(reviews.standing(ORG, alice.id, &[8; 32], at).await?, None, "it lets no session in");
    assert_eq!(reviews.asked_before(ORG, alice.id, &[8; 32]).await?, std::slice::from_ref(&approval));
    assert_eq!(reviews.asked_before(ORG, lena.id, &[8; 32]).await?, []);
    assert!(reviews.take(&approval, another.id, at).await? && !reviews.take(&approval, one.id, at).await?);

    // Who is shut out takes nothing along; what was used stays as it is.
    let (open, good) = (of(ReviewKind::Request, 9), approved(store, &of(ReviewKind::Request, 10), lena, true).await?);
    assert!(reviews.create(&open, 16).await?);
    let elsewhere = Review { session: Some(another.id), ..of(ReviewKind::Request, 11) };
    assert!(reviews.create(&elsewhere, 16).await?);
    assert_eq!(reviews.withdraw_orphans().await?, 0, "no request waits in a gateway");
    let later = at + TimeDelta::seconds(1);
    let revoked = reviews.revoke_of(ORG, one.id, later).await?;
    assert_eq!(revoked.iter().map(|review| review.id).collect::<Vec<_>>(), [open.id]);
    assert!(!reviews.take(&good, one.id, later).await?, "it is void");
    assert_eq!(reviews.get(ORG, approval.id).await?.and_then(|review| review.good_until), approval.good_until);
    assert_eq!(reviews.get(ORG, elsewhere.id).await?.map(|review| review.state), Some(ReviewState::Pending));
    assert!(reviews.withdraw(ORG, elsewhere.id, alice.id).await?);
    Ok(())
}

async fn lists(store: &dyn Store, alice: &User, lena: &User) -> Result<()> {
    let reviews = store.reviews();
    let list = async |filter: ReviewFilter, before, limit| reviews.list(ORG, &filter, before, limit).await;
    let all = list(ReviewFilter::default(), None, 100).await?.items;
    assert!(all.len() > 5 && all.is_sorted_by(|one, other| one.id > other.id), "the latest first");
    let first = list(ReviewFilter::default(), None, 2).await?;
    assert!(first.more && first.items == all[..2]);
    assert_eq!(list(ReviewFilter::default(), Some(all[1].id), 100).await?.items, all[2..]);
    let visible =
        |user: &User| all.iter().filter(|review| review.user == user.id || user.groups.contains(&review.group)).count();
    for user in [alice, lena] {
        let found = list(ReviewFilter { of: Some(user.id), ..ReviewFilter::default() }, None, 100).await?.items;
        assert_eq!(found.len(), visible(user));
    }
    assert!(visible(alice) < visible(lena), "lena sees what she decides on");
    for state in ReviewState::ALL {
        let found = list(ReviewFilter { state: Some(state), ..ReviewFilter::default() }, None, 100).await?.items;
        assert!(!found.is_empty() && found.iter().all(|review| review.state == state), "{state:?}");
    }
    let role = Some("other".to_owned());
    assert!(list(ReviewFilter { role, ..ReviewFilter::default() }, None, 100).await?.items.is_empty());
    Ok(())
}
