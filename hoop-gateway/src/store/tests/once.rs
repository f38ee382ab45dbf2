//! Changes of one version, and requests that act once.

use super::*;

pub(super) async fn versions(store: &dyn Store) -> Result<()> {
    let (versions, mut barbara) = (store.versions(), user("barbara", &["dev"]));
    assert_eq!(versions.user(ORG, "barbara").await?, None);
    store.users().create(&barbara).await?;
    let version = versions.user(ORG, "barbara").await?.expect("made above");
    barbara.groups = vec!["ops".to_owned()];
    let (one, other) = tokio::join!(versions.update_user(&barbara, version), versions.update_user(&barbara, version));
    assert!(one? ^ other?, "of two changes of one version, one is made");
    assert_eq!(store.users().get(ORG, barbara.id).await?, Some(barbara));
    assert_eq!(versions.user(ORG, "barbara").await?, Some(version + 1));

    let mut shop = role("versioned");
    store.roles().create(&shop).await?;
    let version = versions.role(ORG, "versioned").await?.expect("made above");
    shop.allowed_groups = vec!["ops".to_owned()];
    assert!(versions.update_role(&shop, version).await? && !versions.update_role(&shop, version).await?);
    assert_eq!(store.roles().get(ORG, shop.role.id).await?.as_ref(), Some(&shop));
    assert!(!versions.delete_role(ORG, shop.role.id, version).await?);
    assert!(versions.delete_role(ORG, shop.role.id, version + 1).await?);
    assert_eq!(versions.role(ORG, "versioned").await?, None);

    let mut rule = access_rule("versioned");
    store.access_rules().create(&rule).await?;
    let version = versions.access_rule(ORG, "versioned").await?.expect("made above");
    rule.definition.enabled = false;
    assert!(versions.update_access_rule(&rule, version).await? && !versions.update_access_rule(&rule, version).await?);
    assert_eq!(store.access_rules().by_name(ORG, "versioned").await?.as_ref(), Some(&rule));
    let elsewhere = OrgId::new(&SystemClock);
    assert!(!versions.delete_access_rule(elsewhere, rule.id, version + 1).await?, "another organisation's");
    assert!(!versions.delete_access_rule(ORG, rule.id, version).await?);
    assert!(versions.delete_access_rule(ORG, rule.id, version + 1).await?);
    assert_eq!(versions.access_rule(ORG, "versioned").await?, None);
    Ok(())
}

/// At the end of all: it makes administrators.
pub(super) async fn last_admin(store: &dyn Store) -> Result<()> {
    let admin = |name| User { kind: UserKind::Admin, ..user(name, &[]) };
    let (one, two) = (admin("admin-one"), admin("admin-two"));
    store.users().create(&one).await?;
    store.users().create(&two).await?;
    let versions = store.versions();
    let (first, second) = tokio::join!(versions.delete_user(ORG, one.id, 1), versions.delete_user(ORG, two.id, 1));
    let refused = [first, second].into_iter().filter(|done| matches!(done, Err(StoreError::LastAdmin))).count();
    assert_eq!(refused, 1, "of two who delete each other, one stays");
    let left = store.users().get(ORG, one.id).await?.or(store.users().get(ORG, two.id).await?).expect("one is left");
    for changed in [User { disabled: true, ..left.clone() }, User { kind: UserKind::Auditor, ..left.clone() }] {
        assert!(matches!(versions.update_user(&changed, 1).await, Err(StoreError::LastAdmin)));
    }
    assert_eq!(store.users().get(ORG, left.id).await?, Some(left));
    Ok(())
}

pub(super) async fn idempotency(store: &dyn Store, alice: &User) -> Result<()> {
    let idempotency = store.idempotency();
    let at = now();
    let expires_at = at + TimeDelta::hours(24);
    let claim = Claim { org: ORG, user: alice.id, key: "k".to_owned(), request: [7; 32], at, expires_at };
    let (one, other) = tokio::join!(idempotency.claim(&claim), idempotency.claim(&claim));
    let earlier = one?.xor(other?).expect("exactly one gets it");
    assert_eq!(earlier, Earlier { request: [7; 32], at, answer: None });
    idempotency.release(ORG, alice.id, "k").await?;
    assert_eq!(idempotency.claim(&claim).await?, None);
    let headers = vec![("location".to_owned(), "/x".to_owned())];
    let answer = KeptAnswer { status: 201, headers, body: Some(b"{}".to_vec()) };
    idempotency.answer(ORG, alice.id, "k", &answer).await?;
    idempotency.release(ORG, alice.id, "k").await?;
    let again = idempotency.claim(&claim).await?.expect("what is answered stays");
    assert_eq!(again.answer, Some(answer));
    let later = Claim { at: expires_at, expires_at: expires_at + TimeDelta::hours(24), ..claim };
    assert_eq!(idempotency.claim(&later).await?, None, "what has expired is forgotten");
    Ok(())
}
