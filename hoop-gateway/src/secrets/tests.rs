//! Secrets in a store, from the keeper to the agent's message.

use hoop_core::SystemClock;

use super::*;
use crate::store::tests::role;
use crate::store::{Role, SqlStore};

struct Kept {
    store: Arc<dyn Store>,
    role: Role,
    _folder: tempfile::TempDir,
}

fn key(byte: u8) -> OperatorKey {
    OperatorKey::new(&Secret::new([byte; 32]))
}

impl Kept {
    /// A role with a password that is kept under the key.
    async fn under(byte: u8) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("hoop.db").display());
        let store: Arc<dyn Store> = Arc::new(SqlStore::open(&url).await.expect("a store"));
        let mut role = role("shop");
        let Target::Postgres(target) = &mut role.role.target else { panic!("not PostgreSQL") };
        target.password = None;
        store.roles().create(&role).await.expect("stored");
        let kept = Self { store, role, _folder: folder };
        let secret = Secret::new("hunter2".to_owned());
        let put = kept.keeper(Some(byte)).put(&kept.role.role, SecretField::Password, &secret).await;
        assert!(put.expect("kept").is_some());
        kept
    }

    fn keeper(&self, byte: Option<u8>) -> SecretKeeper {
        SecretKeeper::new(Arc::clone(&self.store), Arc::new(SystemClock), byte.map(key))
    }

    /// What an agent would be sent by a gateway with this key.
    async fn opened(&self, byte: Option<u8>) -> Result<Vec<String>, Denial> {
        let sealed = self.keeper(byte).of_role(&self.role.role).await?;
        assert!(!format!("{sealed:?}").contains("hunter2"));
        Ok(sealed.open()?.iter().map(|secret| format!("{}={}", secret.field, secret.value)).collect())
    }
}

#[tokio::test]
async fn a_secret_is_opened_for_the_agent_with_its_key_alone() {
    let kept = Kept::under(7).await;
    assert_eq!(kept.opened(Some(7)).await.expect("opened"), ["password=hunter2"]);
    for other in [Some(8), None] {
        let refused = kept.opened(other).await.expect_err("not opened");
        assert_eq!(refused.code, Code::SecretUnavailable);
        assert!(refused.hint.is_some_and(|hint| hint.contains("secrets.key_file")));
    }
    for (key, closed) in [(Some(7), 0), (Some(8), 1), (None, 1)] {
        assert_eq!(kept.keeper(key).check().await.expect("looked"), closed, "at the start, with {key:?}");
    }
    let mut named = kept.role.role.clone();
    let Target::Postgres(target) = &mut named.target else { panic!("not PostgreSQL") };
    target.password = Some("env:HOOP_SECRET_DB".to_owned());
    assert!(kept.keeper(Some(7)).of_role(&named).await.expect("asked").is_empty(), "what is named is used");
}

#[tokio::test]
async fn after_a_rotation_the_new_key_opens_and_the_old_one_does_not() {
    let kept = Kept::under(7).await;
    assert!(rotate(&*kept.store, &key(9), &key(8)).await.is_err(), "not the key that they are under");
    assert_eq!(kept.opened(Some(7)).await.expect("as before"), ["password=hunter2"]);
    assert_eq!(rotate(&*kept.store, &key(7), &key(8)).await.expect("rotated"), 1);
    assert_eq!(kept.opened(Some(8)).await.expect("opened"), ["password=hunter2"]);
    assert_eq!(kept.opened(Some(7)).await.expect_err("not opened").code, Code::SecretUnavailable);
    assert_eq!(rotate(&*kept.store, &key(7), &key(8)).await.expect("again"), 0, "it is done already");
    assert_eq!(kept.opened(Some(8)).await.expect("opened"), ["password=hunter2"]);
}

#[tokio::test]
async fn a_rotation_that_fails_on_one_changes_none() {
    let kept = Kept::under(7).await;
    let more = Secret::new("-----BEGIN".to_owned());
    kept.keeper(Some(7)).put(&kept.role.role, SecretField::SslKey, &more).await.expect("kept");
    let mut broken = kept.store.role_secrets().all().await.expect("read").pop().expect("the last one");
    broken.ciphertext[20] ^= 1;
    kept.store.role_secrets().put(&broken).await.expect("put");
    let before = kept.store.role_secrets().all().await.expect("read");
    let error = rotate(&*kept.store, &key(7), &key(8)).await.expect_err("one is broken").to_string();
    assert!(error.contains("sslkey"), "{error}");
    assert_eq!(kept.store.role_secrets().all().await.expect("read"), before);
}
