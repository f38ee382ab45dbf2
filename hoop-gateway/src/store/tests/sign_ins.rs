//! Sign-ins that somebody decides on in a browser.

use super::*;

fn request(code: u8, user_code: Option<u8>) -> SignInRequest {
    SignInRequest {
        org: ORG,
        code_hash: [code; 32],
        user_code_hash: user_code.map(|code| [code; 32]),
        client: "hoop on laptop".to_owned(),
        source: Some("192.0.2.1:40000".to_owned()),
        binding: None,
        state: SignInState::Pending,
        user: None,
        token: None,
        issued: None,
        interval_seconds: 5,
        polled_at: None,
        created_at: now(),
        expires_at: now() + TimeDelta::minutes(10),
    }
}

pub(super) async fn requests(store: &dyn Store, alice: &User) -> Result<()> {
    let requests = store.sign_in_requests();
    let pending = request(1, Some(101));
    requests.create(&pending).await?;
    assert!(matches!(requests.create(&request(2, Some(101))).await, Err(StoreError::Exists { .. })));
    assert_eq!(requests.by_code(ORG, &[1; 32]).await?.as_ref(), Some(&pending));
    assert_eq!(requests.by_user_code(ORG, &[101; 32]).await?.as_ref(), Some(&pending));
    assert_eq!(requests.by_user_code(OrgId::new(&SystemClock), &[101; 32]).await?, None);
    requests.polled(ORG, &[1; 32], pending.created_at, 10).await?;

    let (at, token) = (pending.created_at, TokenId::new(&SystemClock));
    let approve = SignInDecision { approve: true, user: alice.id, token, at };
    let late = SignInDecision { at: pending.expires_at, ..approve };
    assert!(!requests.decide(ORG, &[101; 32], &late).await?, "too late");
    assert!(!requests.take(ORG, &[1; 32], None, at).await?, "nobody has decided");
    let deny = SignInDecision { approve: false, ..approve };
    let (one, other) =
        tokio::join!(requests.decide(ORG, &[101; 32], &approve), requests.decide(ORG, &[101; 32], &approve));
    assert!(one? ^ other?, "of two decisions, one is made");
    assert!(!requests.decide(ORG, &[101; 32], &deny).await?);
    let issued = Some(TokenId::new(&SystemClock));
    assert!(!requests.take(ORG, &[1; 32], issued, pending.expires_at).await?, "too late");
    let (one, other) = tokio::join!(requests.take(ORG, &[1; 32], issued, at), requests.take(ORG, &[1; 32], issued, at));
    assert!(one? ^ other?, "a code is used once");
    let (state, polled_at) = (SignInState::Used, Some(pending.created_at));
    let (user, token) = (Some(alice.id), Some(token));
    let used = SignInRequest { state, user, token, issued, interval_seconds: 10, polled_at, ..pending };
    assert_eq!(requests.by_code(ORG, &[1; 32]).await?, Some(used));

    requests.create(&request(3, Some(103))).await?;
    assert!(requests.decide(ORG, &[103; 32], &deny).await?);
    assert!(!requests.take(ORG, &[3; 32], None, at).await?, "it was denied");

    let binding = Binding { redirect_uri: "http://127.0.0.1:1/callback".to_owned(), challenge: "c".to_owned() };
    let mut bound = SignInRequest { binding: Some(binding), state: SignInState::Approved, user, ..request(4, None) };
    requests.create(&bound).await?;
    assert_eq!(requests.by_code(ORG, &[4; 32]).await?.as_ref(), Some(&bound));

    bound.code_hash = [5; 32];
    bound.created_at = bound.expires_at + TimeDelta::hours(1);
    bound.expires_at = bound.created_at + TimeDelta::minutes(1);
    requests.create(&bound).await?;
    assert_eq!(requests.by_code(ORG, &[1; 32]).await?, None, "what has long expired is forgotten");
    assert!(requests.by_code(ORG, &[5; 32]).await?.is_some());
    Ok(())
}
