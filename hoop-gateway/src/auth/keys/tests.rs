use chrono::{DateTime, Utc};
use hoop_core::SystemClock;
use hoop_core::id::{RoleId, TokenId};
use parking_lot::Mutex;

use super::*;
use crate::store::tests::{role, update_user, user};
use crate::store::{SqlStore, User};

const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6zHCplKmaxpYRdNRVqpdFCF8SDVoJZTmoFMbgWN0Xo";

#[test]
fn keys_are_read_as_they_stand_in_their_files() {
    let key = AcceptedKey::read(&format!("{ED25519} alice@laptop\n")).expect("a key");
    assert_eq!((key.line.as_str(), key.comment.as_str()), (ED25519, "alice@laptop"));
    assert!(key.fingerprint.starts_with("SHA256:") && key.fingerprint.len() == 50, "{}", key.fingerprint);
    assert_eq!(AcceptedKey::read(ED25519).expect("a key").fingerprint, key.fingerprint);
}

#[test]
fn what_is_no_key_is_told_apart() {
    let long = format!("{ED25519} {}", "x".repeat(MAX_KEY_BYTES));
    for (text, expected) in [
        ("", PublicKeyError::Malformed),
        ("ssh-ed25519", PublicKeyError::Malformed),
        ("ssh-ed25519 AAAA", PublicKeyError::Malformed),
        ("from=\"10.0.0.1\" ssh-ed25519 AAAA", PublicKeyError::Malformed),
        (&format!("{ED25519}\n{ED25519}"), PublicKeyError::Malformed),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nabc", PublicKeyError::Private),
        (&long, PublicKeyError::Long),
    ] {
        assert_eq!(AcceptedKey::read(text), Err(expected), "{text}");
    }
}

/// Keys as `ssh-keygen` makes them.
#[test]
fn short_rsa_keys_and_those_of_dsa_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = |kind: &str, bits: &str| {
        let file = folder.path().join(format!("{kind}{bits}"));
        let mut keygen = std::process::Command::new("ssh-keygen");
        keygen.args(["-q", "-t", kind, "-b", bits, "-N", "", "-f"]).arg(&file);
        hoop_testkit::output(&mut keygen, b"").ok();
        std::fs::read_to_string(file.with_added_extension("pub")).expect("made")
    };
    for (kind, bits) in [("rsa", "3072"), ("ecdsa", "256"), ("ecdsa", "384"), ("ecdsa", "521"), ("ed25519", "256")] {
        assert!(AcceptedKey::read(&made(kind, bits)).is_ok(), "{kind} {bits}");
    }
    assert_eq!(AcceptedKey::read(&made("rsa", "2048")), Err(PublicKeyError::Rsa { bits: 2048 }));
    let refused = AcceptedKey::read(&made("dsa", "1024")).expect_err("too old").to_string();
    assert!(refused.contains("ssh-dss"), "{refused}");
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

fn key(of: &User, fingerprint: &str) -> UserKey {
    UserKey {
        org: of.org,
        id: KeyId::new(&SystemClock),
        user: of.id,
        name: "laptop".to_owned(),
        fingerprint: fingerprint.to_owned(),
        public_key: ED25519.to_owned(),
        token: None,
        expires_at: Some(SystemClock.now() + TimeDelta::hours(1)),
        last_used_at: None,
        created_at: SystemClock.now(),
    }
}

#[tokio::test]
async fn a_key_is_somebodys_while_it_and_they_are_good() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("hoop.db").display());
    let store: Arc<dyn Store> = Arc::new(SqlStore::open(&url).await.expect("a store"));
    let clock = Arc::new(Later(Mutex::default()));
    let keys = UserKeys::new(Arc::clone(&store), clock.clone());
    let alice = User { must_change_password: false, ..user("alice", &["dba"]) };
    store.users().create(&alice).await.expect("stored");
    let laptop = key(&alice, "SHA256:a");
    let orphan = UserKey { token: Some(TokenId::new(&SystemClock)), ..key(&alice, "SHA256:b") };
    for key in [&laptop, &orphan] {
        store.user_keys().create(key, 9).await.expect("stored");
    }
    let find = async |fingerprint: &str| keys.find(OrgId::DEFAULT, fingerprint).await;
    let holder = find("SHA256:a").await.expect("good").expect("hers");
    assert_eq!((&*holder.principal.name, holder.principal.is_in("dba"), holder.key), ("alice", true, laptop.id));
    assert!(find("SHA256:c").await.expect("readable").is_none());
    assert_eq!(find("SHA256:b").await.expect_err("its token is gone").code, Code::CredentialRevoked);

    keys.used(&holder).await;
    let used =
        async || store.user_keys().get(alice.org, laptop.id).await.expect("readable").expect("there").last_used_at;
    let first = used().await.expect("noted");
    *clock.0.lock() = TimeDelta::seconds(30);
    keys.used(&find("SHA256:a").await.expect("good").expect("hers")).await;
    assert_eq!(used().await, Some(first), "to the minute");
    *clock.0.lock() = TimeDelta::hours(2);
    assert_eq!(find("SHA256:a").await.expect_err("over").code, Code::CredentialExpired);
    *clock.0.lock() = TimeDelta::zero();
    update_user(&*store, &User { disabled: true, ..alice.clone() }).await.expect("stored");
    assert_eq!(find("SHA256:a").await.expect_err("shut out").code, Code::AccessDenied);
    update_user(&*store, &User { must_change_password: true, ..alice }).await.expect("stored");
    assert_eq!(find("SHA256:a").await.expect_err("not settled").code, Code::AccessDenied);
}

#[tokio::test]
async fn a_role_is_found_by_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("hoop.db").display());
    let store: Arc<dyn Store> = Arc::new(SqlStore::open(&url).await.expect("a store"));
    let keys = UserKeys::new(Arc::clone(&store), Arc::new(SystemClock));
    let shop = role("shop");
    store.roles().create(&shop).await.expect("stored");
    let found: RoleId = keys.role_named(OrgId::DEFAULT, "shop").await.expect("there").role.id;
    assert_eq!(found, shop.role.id);
    let missing = keys.role_named(OrgId::DEFAULT, "web\u{1b}[2J").await.expect_err("not there");
    assert!(missing.code == Code::RoleNotFound && !missing.reason.contains('\u{1b}'), "{missing:?}");
    assert!(keys.find(OrgId::new(&SystemClock), "SHA256:a").await.expect("readable").is_none());
}
