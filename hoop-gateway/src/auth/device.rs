//! Signing in on a machine without a browser ([RFC 8628]): it shows a code, and somebody types that in elsewhere, where they
//! are signed in. Everything is in the store, so that any replica can answer.
//!
//! [RFC 8628]: https://www.rfc-editor.org/rfc/rfc8628

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hoop_core::id::{OrgId, TokenId};
use hoop_core::{Clock, Secret};

use super::sign_in::{Approved, take};
use super::token;
use crate::store::{SignInDecision, SignInRequest, SignInState, Store, StoreError, Token};

/// How long somebody may take.
const LIFE: Duration = Duration::from_secs(600);
/// How long a device leaves between two questions, in seconds; each one that comes too early adds as much.
const INTERVAL: u32 = 5;
/// The longest it gets, in seconds.
const INTERVAL_MAX: u32 = 60;
/// Without vowels, so that no word comes of it, and without what is taken for something else.
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const LETTERS: usize = 8;
/// The longest name of a client, in characters.
const MAX_CLIENT: usize = 64;

/// Sign-ins of devices.
pub struct DeviceSignIns {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// Hashes what people type in: there are so few such codes that a plain hash would tell them.
    key: Secret<[u8; 32]>,
}

/// A sign-in that has begun: the only time that its codes are known.
#[derive(Debug)]
pub struct Begun {
    /// For the device itself, to ask with.
    pub device_code: Secret<String>,
    /// For people, such as `BCDF-GHJK`.
    pub user_code: String,
    /// How long both are good.
    pub expires_in: Duration,
    /// How long the device is to leave between two questions.
    pub interval: Duration,
}

/// Who asks to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asking {
    /// What the device calls itself. It may say anything.
    pub client: String,
    /// Where the device is.
    pub source: Option<String>,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// What a device is told.
#[derive(Debug)]
pub enum Poll {
    /// Nobody has decided.
    Pending,
    /// Nobody has decided, and the device is to ask less often from now on: after this long.
    SlowDown(Duration),
    /// Somebody has said no.
    Denied,
    /// Nobody has decided in time.
    Expired,
    /// There is no such code, or it was used, or who approved it was shut out since.
    Unknown,
    /// Somebody has let it in. The code is used up.
    Approved(Box<Approved>),
}

impl DeviceSignIns {
    /// In this store. `key` is the gateway's own and lasting; replicas share it.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, key: Secret<[u8; 32]>) -> Self {
        Self { store, clock, key }
    }

    /// Begins a sign-in of a device that calls itself `client`.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn begin(&self, client: &str, source: Option<String>) -> Result<Begun, StoreError> {
        self.begin_with(client, source, LIFE, INTERVAL).await
    }

    /// Begins a sign-in of a client that waits at one of the gateway's own doors, for as long as `life`: the door keeps its
    /// own pace when it asks.
    ///
    /// # Errors
    /// When the store does not answer.
    pub(crate) async fn begin_here(
        &self,
        client: &str,
        source: Option<String>,
        life: Duration,
    ) -> Result<Begun, StoreError> {
        self.begin_with(client, source, life, 0).await
    }

    async fn begin_with(
        &self,
        client: &str,
        source: Option<String>,
        life: Duration,
        interval_seconds: u32,
    ) -> Result<Begun, StoreError> {
        let ((device_code, code_hash), user_code) = (token::device_code(), new_user_code());
        let now = self.clock.now();
        let request = SignInRequest {
            org: OrgId::DEFAULT,
            code_hash,
            user_code_hash: self.hash(&user_code),
            client: client.to_owned(),
            source,
            binding: None,
            state: SignInState::Pending,
            user: None,
            token: None,
            issued: None,
            interval_seconds,
            polled_at: None,
            created_at: now,
            expires_at: now + TimeDelta::from_std(life).unwrap_or(TimeDelta::MAX),
        };
        self.store.sign_in_requests().create(&request).await?;
        let interval = Duration::from_secs(interval_seconds.into());
        Ok(Begun { device_code, user_code, expires_in: life, interval })
    }

    /// Who asks with this user code, while somebody can decide on it. The caller counts wrong ones: they are guessed.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn asking(&self, user_code: &str) -> Result<Option<Asking>, StoreError> {
        let Some(hash) = self.hash(user_code) else { return Ok(None) };
        let found = self.store.sign_in_requests().by_user_code(OrgId::DEFAULT, &hash).await?;
        let now = self.clock.now();
        let open = found.filter(|request| request.state == SignInState::Pending && request.expires_at > now);
        Ok(open.map(|SignInRequest { client, source, created_at: since, .. }| Asking { client, source, since }))
    }

    /// Lets the device with this user code in as the user of this sign-in. Says whether there was one to decide on.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn approve(&self, user_code: &str, by: &Token) -> Result<bool, StoreError> {
        self.decide(user_code, true, by).await
    }

    /// Turns the device with this user code away. Says whether there was one to decide on.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn deny(&self, user_code: &str, by: &Token) -> Result<bool, StoreError> {
        self.decide(user_code, false, by).await
    }

    async fn decide(&self, user_code: &str, approve: bool, by: &Token) -> Result<bool, StoreError> {
        let Some(hash) = self.hash(user_code) else { return Ok(false) };
        let decision = SignInDecision { approve, user: by.user, token: by.id, at: self.clock.now() };
        self.store.sign_in_requests().decide(OrgId::DEFAULT, &hash, &decision).await
    }

    /// What the device with this code is told. Where it is let in the code is used, for the token `issued`, which ends
    /// should the code come again.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn poll(&self, device_code: &str, issued: Option<TokenId>) -> Result<Poll, StoreError> {
        let found = self.store.sign_in_requests().by_code(OrgId::DEFAULT, &token::hash(device_code)).await?;
        // The code of another kind of sign-in is bound to more than this one asks for.
        let Some(request) = found.filter(|request| request.binding.is_none()) else { return Ok(Poll::Unknown) };
        match request.state {
            SignInState::Denied => Ok(Poll::Denied),
            SignInState::Pending | SignInState::Approved if request.expires_at <= self.clock.now() => Ok(Poll::Expired),
            SignInState::Pending => self.still_pending(&request).await,
            SignInState::Approved | SignInState::Used => {
                let taken = take(&*self.store, &*self.clock, &request, issued).await?;
                Ok(taken.map_or(Poll::Unknown, |approved| Poll::Approved(Box::new(approved))))
            }
        }
    }

    async fn still_pending(&self, request: &SignInRequest) -> Result<Poll, StoreError> {
        let (now, before) = (self.clock.now(), request.interval_seconds);
        if before == 0 {
            return Ok(Poll::Pending);
        }
        let early = request.polled_at.is_some_and(|at| now < at + TimeDelta::seconds(before.into()));
        let interval = if early { (before + INTERVAL).min(INTERVAL_MAX) } else { before };
        self.store.sign_in_requests().polled(request.org, &request.code_hash, now, interval).await?;
        Ok(if early { Poll::SlowDown(Duration::from_secs(interval.into())) } else { Poll::Pending })
    }

    /// `None` for what is no user code.
    fn hash(&self, user_code: &str) -> Option<[u8; 32]> {
        let plain = plain(user_code)?;
        Some(blake3::keyed_hash(self.key.expose(), plain.as_bytes()).into())
    }
}

/// A client's name for people. The client may say anything: it is cut, and what would move a cursor or turn text around is left
/// out.
pub(crate) fn shown(name: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let shown: String = name.chars().filter(|c| !c.is_control() && !turns(*c)).take(MAX_CLIENT).collect();
    shown.trim().to_owned()
}

/// The letters of a user code as somebody types it: small or large, with or without what stands between them.
fn plain(user_code: &str) -> Option<String> {
    // What is longer is none: it is not looked at to its end.
    let typed = user_code.chars().take(4 * LETTERS).filter(|c| !c.is_whitespace() && *c != '-');
    let letters: String = typed.map(|c| c.to_ascii_uppercase()).collect();
    let fits = letters.len() == LETTERS && letters.bytes().all(|letter| ALPHABET.contains(&letter));
    fits.then_some(letters)
}

fn new_user_code() -> String {
    let letter = |_| char::from(ALPHABET[rand::random_range(0..ALPHABET.len())]);
    let half = || (0..LETTERS / 2).map(letter).collect::<String>();
    format!("{}-{}", half(), half())
}

#[cfg(test)]
mod tests {
    use hoop_core::SystemClock;
    use parking_lot::Mutex;

    use super::*;
    use crate::store::SqlStore;

    struct Later(Mutex<TimeDelta>);

    impl Clock for Later {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH + *self.0.lock()
        }
        fn monotonic(&self) -> std::time::Instant {
            SystemClock.monotonic()
        }
    }

    #[tokio::test]
    async fn a_door_asks_as_often_as_it_likes_and_until_the_time_is_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("hoop.db").display());
        let store: Arc<dyn Store> = Arc::new(SqlStore::open(&url).await.expect("a store"));
        let clock = Arc::new(Later(Mutex::default()));
        let sign_ins = DeviceSignIns::new(store, clock.clone(), Secret::new([7; 32]));
        let life = Duration::from_secs(120);
        let begun = sign_ins.begin_here("ssh web", None, life).await.expect("begun");
        let poll = async || sign_ins.poll(begun.device_code.expose(), None).await.expect("readable");
        for _ in 0..3 {
            assert!(matches!(poll().await, Poll::Pending));
        }
        *clock.0.lock() = TimeDelta::seconds(120) - TimeDelta::microseconds(1);
        assert!(matches!(poll().await, Poll::Pending));
        assert!(sign_ins.asking(&begun.user_code).await.expect("readable").is_some());
        *clock.0.lock() = TimeDelta::seconds(120);
        assert!(matches!(poll().await, Poll::Expired));
        assert!(sign_ins.asking(&begun.user_code).await.expect("readable").is_none());
    }

    #[test]
    fn a_user_code_is_read_however_it_is_typed() {
        let code = new_user_code();
        assert_eq!((code.len(), code.as_bytes()[4]), (9, b'-'));
        let letters = code.replace('-', "");
        for typed in [code.clone(), letters.to_lowercase(), format!(" {} {} ", &letters[..4], &letters[4..])] {
            assert_eq!(plain(&typed).as_deref(), Some(letters.as_str()), "{typed}");
        }
        for wrong in ["", "BCDF-GHJ", "BCDF-GHJKL", "ABCD-FGHJ", "BCDF-GHJ0", "BCDF-GHJÉ"] {
            assert_eq!(plain(wrong), None, "{wrong}");
        }
    }
}
