use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use chrono::{DateTime, Utc};
use hoop_core::id::{OrgId, RoleId, UserId};
use hoop_core::{RecordingMode, SystemClock, Target};
use parking_lot::Mutex;
use pgwire::api::auth::sasl::scram::ScramServerAuth;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::auth::Scope;
use crate::auth::scram_client::{proof, sign};
use crate::store::tests::{delete_role, update_user};
use crate::store::{Grant, SqlStore, UserKind};

#[test]
fn the_example_of_rfc_7677() {
    let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("base64");
    let nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    let text = format!("n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}");
    let (proof, server) = proof("pencil", &salt, 4096, &text);
    assert_eq!(proof, "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    assert_eq!(server, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    let (stored_key, server_key) = keys("pencil", &salt);
    let client_key = sign(&gen_salted_password("pencil", &salt, 4096), b"Client Key");
    assert_eq!(stored_key, Sha256::digest(client_key).to_vec());
    assert_eq!(BASE64.encode(sign(&server_key, text.as_bytes())), server);
}

/// The whole exchange, as a client and a door have it; `Err` when the server does not take the proof.
fn exchange(candidate: &Candidate, password: &str) -> Result<(), String> {
    let first = "n=,r=abc";
    let door = ScramServerAuth::new();
    let (challenge, door) = door
        .on_client_first_message_with_secret(format!("n,,{first}").as_bytes(), candidate.scram_secret())
        .expect("a first message");
    let part = |name: &str| challenge.split(',').find_map(|part| part.strip_prefix(name)).expect("a part").to_owned();
    let (nonce, salt) = (part("r="), BASE64.decode(part("s=")).expect("base64"));
    assert_eq!((part("i=").as_str(), salt.len()), ("4096", 16), "known and unknown logins look the same");
    let last = format!("c=biws,r={nonce}");
    let (proof, server) = proof(password, &salt, 4096, &format!("{first},{challenge},{last}"));
    let answer =
        door.on_client_final_message(format!("{last},p={proof}").as_bytes()).map_err(|error| error.to_string())?;
    assert_eq!(answer, format!("v={server}"), "the server proves itself, too");
    Ok(())
}

struct Later(Mutex<TimeDelta>);

impl Clock for Later {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + *self.0.lock()
    }
    fn monotonic(&self) -> std::time::Instant {
        SystemClock.monotonic()
    }
}

struct Place {
    _folder: tempfile::TempDir,
    store: Arc<dyn Store>,
    clock: Arc<Later>,
    credentials: NativeCredentials,
    user: User,
    role: Role,
}

async fn place() -> Place {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("hoop.db").display());
    let store: Arc<dyn Store> = Arc::new(SqlStore::open(&url).await.expect("a store"));
    let clock = Arc::new(Later(Mutex::new(TimeDelta::zero())));
    let user = User {
        org: OrgId::DEFAULT,
        id: UserId::new(&SystemClock),
        name: "alice".to_owned(),
        kind: UserKind::Member,
        groups: vec!["dba".to_owned()],
        password_hash: None,
        must_change_password: false,
        disabled: false,
        service: None,
        created_at: clock.now(),
    };
    store.users().create(&user).await.expect("stored");
    let target = r#"{"kind":"postgres","host":"db","user":"app","database":"shop"}"#;
    let target: Target = serde_json::from_str(target).expect("a target");
    let role = Role {
        role: ResourceRole {
            id: RoleId::new(&SystemClock),
            org: OrgId::DEFAULT,
            name: "shop".into(),
            agent: "here".into(),
            target,
            labels: BTreeMap::new(),
            recording: RecordingMode::Default,
            plugins: BTreeMap::new(),
        },
        allowed_groups: Vec::new(),
        created_at: clock.now(),
        updated_at: clock.now(),
    };
    store.roles().create(&role).await.expect("stored");
    let credentials = NativeCredentials::new(Arc::clone(&store), Arc::clone(&clock) as Arc<dyn Clock>, &[7; 32]);
    Place { _folder: folder, store, clock, credentials, user, role }
}

impl Place {
    async fn issue(&self) -> Issued {
        let hour = Duration::from_secs(3600);
        self.credentials.issue(&self.user, None, &self.role.role, hour).await.expect("the store works")
    }

    async fn log_in(&self, issued: &Issued) -> Result<Proven, Denial> {
        let candidate = self.credentials.candidate(&issued.credential.login).await?;
        exchange(&candidate, issued.password.expose()).map_err(|_| login_failed())?;
        self.credentials.proven(candidate).await
    }
}

#[test]
fn a_login_is_known_by_its_form() {
    for _ in 0..20 {
        assert!(is_login(&format!("web-prod-{}", random_text(LOGIN_SUFFIX))));
    }
    for other in
        ["web-prod", "abcdefgh", "-abcdefgh", "alice+web-abcdefgh", "web-abcdefg", "web-abcdefgl", "web-ABCDEFGH", ""]
    {
        assert!(!is_login(other), "{other}");
    }
}

#[tokio::test]
async fn who_knows_the_password_is_known() {
    let place = place().await;
    let issued = place.issue().await;
    assert!(issued.credential.login.starts_with("shop-") && issued.password.expose().len() == 26);
    let proven = place.log_in(&issued).await.expect("right");
    assert_eq!((&*proven.principal.name, &*proven.role.role.name), ("alice", "shop"));
    assert_eq!(proven.credential, issued.credential.id);
    let wrong = Issued { password: Secret::new("x".repeat(26)), credential: issued.credential.clone() };
    assert_eq!(place.log_in(&wrong).await.expect_err("wrong").code, Code::LoginFailed);
}

#[tokio::test]
async fn what_a_token_made_is_good_while_the_token_is() {
    let place = place().await;
    let token = |hash, minutes| Token {
        org: OrgId::DEFAULT,
        id: TokenId::new(&SystemClock),
        user: place.user.id,
        hash: [hash; 32],
        grant: Some(Grant { name: "ci".to_owned(), scopes: [Scope::Connect].into() }),
        expires_at: place.clock.now() + TimeDelta::minutes(minutes),
        revoked_at: None,
        last_used_at: None,
        created_at: place.clock.now(),
    };
    let (short, long) = (token(1, 5), token(2, 500));
    let hour = Duration::from_secs(3600);
    let issue = |token| place.credentials.issue(&place.user, Some(token), &place.role.role, hour);
    assert_eq!(issue(&short).await.expect("the store works").credential.expires_at, short.expires_at);
    place.store.tokens().create(&long).await.expect("stored");
    let first = issue(&long).await.expect("the store works");
    assert_eq!(place.log_in(&first).await.expect("good").token, Some(long.id));
    place.store.tokens().revoke(OrgId::DEFAULT, long.id, None, place.clock.now()).await.expect("stored");
    // The one was there, the other was being made meanwhile.
    let second = issue(&long).await.expect("the store works");
    for issued in [first, second] {
        assert_eq!(place.log_in(&issued).await.expect_err("revoked").code, Code::CredentialRevoked);
    }
}

#[tokio::test]
async fn an_unknown_login_looks_like_a_known_one_each_time_the_same() {
    let place = place().await;
    let candidate = place.credentials.candidate("shop-nobodyxx").await.expect("the store works");
    assert!(exchange(&candidate, "whatever").is_err());
    let again = place.credentials.candidate("shop-nobodyxx").await.expect("the store works");
    assert_eq!(again.secret.salt, candidate.secret.salt);
    let other = place.credentials.candidate("shop-somebody").await.expect("the store works");
    assert_ne!(other.secret.salt, candidate.secret.salt);
    let refused = place.credentials.proven(candidate).await.expect_err("nobody");
    assert_eq!(refused.code, Code::LoginFailed, "even a proof would not help");
}

#[tokio::test]
async fn only_who_knows_the_password_learns_why_it_is_not_good_any_more() {
    let place = place().await;
    let (expired, revoked) = (place.issue().await, place.issue().await);
    place
        .store
        .credentials()
        .revoke(OrgId::DEFAULT, revoked.credential.id, None, place.clock.now())
        .await
        .expect("stored");
    assert_eq!(place.log_in(&revoked).await.expect_err("revoked").code, Code::CredentialRevoked);
    *place.clock.0.lock() = TimeDelta::seconds(3601);
    assert_eq!(place.log_in(&expired).await.expect_err("expired").code, Code::CredentialExpired);
    let guess = Issued { password: Secret::new("guess".to_owned()), credential: expired.credential.clone() };
    assert_eq!(place.log_in(&guess).await.expect_err("wrong").code, Code::LoginFailed);
    *place.clock.0.lock() = TimeDelta::zero();
    let disabled = User { disabled: true, ..place.user.clone() };
    update_user(&*place.store, &disabled).await.expect("stored");
    assert_eq!(place.log_in(&expired).await.expect_err("disabled").code, Code::AccessDenied);
    update_user(&*place.store, &place.user).await.expect("stored");
    delete_role(&*place.store, &place.role).await.expect("stored");
    assert_eq!(place.log_in(&expired).await.expect_err("no role").code, Code::RoleNotFound);
}
