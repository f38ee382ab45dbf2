//! Programs' accounts, and their tokens.

use std::collections::BTreeSet;

use hoop_core::id::KeyId;

use super::*;
use crate::auth::Scope;

pub(super) async fn service_accounts(store: &dyn Store) -> Result<()> {
    let (users, versions) = (store.users(), store.versions());
    let mut ci = service_account("ci");
    users.create(&ci).await?;
    assert_eq!(users.by_name(ORG, "ci").await?.as_ref(), Some(&ci));
    for taken in [service_account("alice"), user("ci", &[])] {
        assert!(matches!(users.create(&taken).await, Err(StoreError::Exists { .. })), "names are one caller's");
    }
    users.create(&service_account("deploy")).await?;
    let names = |page: Page<User>| page.items.into_iter().map(|user| user.name).collect::<Vec<_>>();
    let (people, programs) = (Some(PrincipalKind::User), Some(PrincipalKind::ServiceAccount));
    assert_eq!(names(users.list(ORG, programs, None, 10).await?), ["ci", "deploy"]);
    let first = users.list(ORG, programs, None, 1).await?;
    assert!(first.more && first.items[0].groups == ["ci"]);
    assert_eq!(names(users.list(ORG, programs, Some("ci"), 10).await?), ["deploy"]);
    let everybody = users.list(ORG, None, None, 50).await?.items.len();
    assert_eq!(users.list(ORG, people, None, 50).await?.items.len(), everybody - 2);

    ci.service =
        Some(ServiceAccount { description: "builds and tests".to_owned(), ..ci.service.expect("a program's") });
    ci.disabled = true;
    let version = versions.user(ORG, "ci").await?.expect("made above");
    assert!(versions.update_user(&ci, version).await? && !versions.update_user(&ci, version).await?);
    assert_eq!(users.get(ORG, ci.id).await?.as_ref(), Some(&ci));
    ci.disabled = false;
    assert!(update_user(store, &ci).await?);
    assert_eq!(users.get(ORG, ci.id).await?.as_ref(), Some(&ci));

    store.tokens().create(&token(&ci, 40)).await?;
    let elsewhere = OrgId::new(&SystemClock);
    assert!(!versions.delete_user(elsewhere, ci.id, version + 2).await?, "another organisation's");
    assert!(!versions.delete_user(ORG, ci.id, version).await?, "changed since");
    assert!(versions.delete_user(ORG, ci.id, version + 2).await?);
    assert_eq!((users.get(ORG, ci.id).await?, store.tokens().by_hash(&[40; 32]).await?), (None, None));
    let deploy = users.by_name(ORG, "deploy").await?.expect("made above");
    assert!(versions.delete_user(ORG, deploy.id, 1).await?);
    Ok(())
}

pub(super) async fn api_tokens(store: &dyn Store, alice: &User) -> Result<()> {
    let (tokens, credentials) = (store.tokens(), store.credentials());
    let scopes = BTreeSet::from([Scope::Read, Scope::Connect]);
    let grant = Some(Grant { name: "laptop".to_owned(), scopes });
    let (first, second) = (Token { grant: grant.clone(), ..token(alice, 50) }, Token { grant, ..token(alice, 51) });
    for token in [&first, &second] {
        tokens.create(token).await?;
    }
    assert_eq!(tokens.get(ORG, first.id).await?.as_ref(), Some(&first));
    assert_eq!(tokens.get(OrgId::new(&SystemClock), first.id).await?, None, "another organisation's");
    assert_eq!(tokens.by_hash(&[50; 32]).await?, Some((first.clone(), alice.clone())));
    let mut ids = [first.id, second.id];
    ids.sort_unstable_by(|one, other| other.cmp(one));
    let page = tokens.list(ORG, Some(alice.id), None, 10).await?;
    assert_eq!(page.items.iter().map(|token| token.id).collect::<Vec<_>>(), ids, "and no sign-in");
    assert_eq!(tokens.list(ORG, None, Some(ids[0]), 10).await?.items.len(), 1);
    assert!(tokens.list(ORG, Some(UserId::new(&SystemClock)), None, 10).await?.items.is_empty());
    let at = now();
    tokens.used(ORG, first.id, at).await?;
    assert_eq!(tokens.get(ORG, first.id).await?.and_then(|token| token.last_used_at), Some(at));

    let made = |login: &str, token: Option<TokenId>| Credential { token, ..credential(alice, login) };
    let all = [made("t-first", Some(first.id)), made("t-second", Some(second.id)), made("t-none", None)];
    for credential in &all {
        credentials.create(credential).await?;
    }
    assert_eq!(credentials.by_login("t-first").await?.as_ref(), Some(&all[0]));
    let good = async || {
        let mut good = Vec::new();
        for Credential { login, .. } in &all {
            good.push(credentials.by_login(login).await?.is_some_and(|found| found.revoked_at.is_none()));
        }
        Ok::<_, StoreError>(good)
    };
    let other = Some(UserId::new(&SystemClock));
    assert!(!tokens.revoke(ORG, first.id, other, now()).await?, "another's");
    assert_eq!(good().await?, [true, true, true]);
    assert!(tokens.revoke(ORG, first.id, Some(alice.id), now()).await?);
    assert_eq!(good().await?, [false, true, true], "what was made with it ends with it");
    tokens.revoke_all(ORG, alice.id, None, now()).await?;
    assert_eq!(good().await?, [false, false, true]);
    Ok(())
}

pub(super) async fn user_keys(store: &dyn Store, alice: &User) -> Result<()> {
    let (keys, tokens) = (store.user_keys(), store.tokens());
    let grant = Some(Grant { name: "laptop".to_owned(), scopes: BTreeSet::from([Scope::Connect]) });
    let token = Token { grant, ..token(alice, 60) };
    tokens.create(&token).await?;
    let key = |fingerprint: &str, token: Option<TokenId>| UserKey {
        org: ORG,
        id: KeyId::new(&SystemClock),
        user: alice.id,
        name: "laptop".to_owned(),
        fingerprint: fingerprint.to_owned(),
        public_key: format!("ssh-ed25519 {fingerprint}"),
        token,
        expires_at: token.map(|_| now() + TimeDelta::hours(1)),
        last_used_at: None,
        created_at: now(),
    };
    let (first, second) = (key("SHA256:a", None), key("SHA256:b", Some(token.id)));
    assert!(keys.create(&first, 2).await? && keys.create(&second, 2).await?);
    assert!(!keys.create(&key("SHA256:c", None), 2).await?, "as many as there may be");
    assert!(matches!(keys.create(&key("SHA256:a", None), 9).await, Err(StoreError::Exists { .. })));
    assert_eq!(keys.by_fingerprint(ORG, "SHA256:b").await?.as_ref(), Some(&second));
    assert_eq!(keys.by_fingerprint(ORG, "SHA256:B").await?, None);
    let elsewhere = OrgId::new(&SystemClock);
    assert_eq!(keys.by_fingerprint(elsewhere, "SHA256:a").await?, None, "another organisation's");
    let at = now();
    keys.used(ORG, first.id, at).await?;
    assert_eq!(keys.get(ORG, first.id).await?.and_then(|key| key.last_used_at), Some(at));
    let page = keys.list(ORG, Some(alice.id), None, 1).await?;
    assert_eq!((page.items[0].id, page.more), (first.id.max(second.id), true));
    assert_eq!(keys.list(ORG, None, Some(page.items[0].id), 5).await?.items.len(), 1);
    let other = Some(UserId::new(&SystemClock));
    assert!(!keys.delete(ORG, first.id, other).await?, "another's");
    assert!(keys.list(ORG, other, None, 5).await?.items.is_empty());
    tokens.revoke(ORG, token.id, None, now()).await?;
    assert_eq!(keys.get(ORG, second.id).await?, None, "it ends with the token that it was added with");
    assert!(keys.delete(ORG, first.id, Some(alice.id)).await? && !keys.delete(ORG, first.id, None).await?);
    let last = key("SHA256:d", None);
    assert!(keys.create(&last, 1).await?);
    assert_eq!(keys.delete_all(ORG, alice.id).await?, [last.id]);
    assert!(keys.create(&key("SHA256:e", None), 1).await?);
    Ok(())
}
