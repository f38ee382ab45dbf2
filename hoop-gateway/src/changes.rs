//! What changed: told to those who watch, so that they read it again. A change names a thing and never carries it.
//!
//! The last ones are remembered, for watchers that come back. A watcher that does not keep up is told so and misses some:
//! nobody waits for it, and what waits for it is bounded.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use hoop_core::id::{OrgId, UserId};
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// Changes that are remembered, and that may wait for one watcher.
const REMEMBERED: usize = 1024;

/// The kinds of things that change.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A session.
    Session,
    /// A user.
    User,
    /// A program's account.
    ServiceAccount,
    /// An API token.
    Token,
    /// A resource role.
    Role,
    /// An access rule.
    AccessRule,
    /// An agent.
    Agent,
    /// A credential of a native client.
    Credential,
    /// A user's public key.
    Key,
    /// A review.
    Review,
}

impl Subject {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::Session,
        Self::User,
        Self::ServiceAccount,
        Self::Token,
        Self::Role,
        Self::AccessRule,
        Self::Agent,
        Self::Credential,
        Self::Key,
        Self::Review,
    ];

    /// The name as the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::User => "user",
            Self::ServiceAccount => "service_account",
            Self::Token => "token",
            Self::Role => "role",
            Self::AccessRule => "access_rule",
            Self::Agent => "agent",
            Self::Credential => "credential",
            Self::Key => "key",
            Self::Review => "review",
        }
    }
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its place among the changes of this gateway.
    pub number: u64,
    /// The organisation.
    pub org: OrgId,
    /// What kind of thing changed.
    pub subject: Subject,
    /// Which one.
    pub id: Arc<str>,
    /// Whose it is, where it is somebody's.
    pub owner: Option<UserId>,
    /// The group whose members may know of it, too.
    pub group: Option<Arc<str>>,
    /// What became of it: `created`, `updated`, `deleted`, `opened`, `ended`; of a review `asked`, or its new state.
    pub what: &'static str,
}

/// Tells what changed.
#[derive(Debug)]
pub struct Changes {
    /// Tells the changes of this process from those of the one before.
    epoch: u64,
    sender: broadcast::Sender<Change>,
    past: Mutex<Past>,
    seats: Mutex<HashMap<UserId, usize>>,
    closed: CancellationToken,
}

/// A user's place among those who watch. Dropping it gives the place up.
#[derive(Debug)]
pub(crate) struct Seat {
    changes: Arc<Changes>,
    user: UserId,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.changes.seats.lock();
        if let Entry::Occupied(mut taken) = seats.entry(self.user) {
            *taken.get_mut() -= 1;
            if *taken.get() == 0 {
                taken.remove();
            }
        }
    }
}

#[derive(Debug, Default)]
struct Past {
    last: u64,
    changes: VecDeque<Change>,
}

/// What a watcher begins with.
#[derive(Debug)]
pub struct Watch {
    /// What changed since the watcher was last there; `None` when that is not known any more.
    pub missed: Option<VecDeque<Change>>,
    /// What changes from now on.
    pub live: broadcast::Receiver<Change>,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            epoch: rand::random(),
            sender: broadcast::Sender::new(REMEMBERED),
            past: Mutex::default(),
            seats: Mutex::default(),
            closed: CancellationToken::new(),
        }
    }
}

impl Changes {
    /// Nothing has changed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Something of this organisation has changed.
    pub fn tell(
        &self,
        org: OrgId,
        subject: Subject,
        id: impl std::fmt::Display,
        owner: Option<UserId>,
        what: &'static str,
    ) {
        self.tell_group(org, subject, id, (owner, None), what);
    }

    /// As [`tell`](Self::tell), of something that the members of a group may know of, too.
    pub(crate) fn tell_group(
        &self,
        org: OrgId,
        subject: Subject,
        id: impl std::fmt::Display,
        (owner, group): (Option<UserId>, Option<&str>),
        what: &'static str,
    ) {
        let mut past = self.past.lock();
        past.last += 1;
        let change = Change {
            number: past.last,
            org,
            subject,
            id: id.to_string().into(),
            owner,
            group: group.map(Into::into),
            what,
        };
        if past.changes.len() == REMEMBERED {
            past.changes.pop_front();
        }
        past.changes.push_back(change.clone());
        // There may be nobody who watches.
        let _ = self.sender.send(change);
    }

    /// Watches from here on, or from the change with this mark on.
    pub fn watch(&self, mark: Option<&str>) -> Watch {
        let past = self.past.lock();
        let missed = match mark {
            None => Some(VecDeque::new()),
            Some(mark) => self.number(mark).and_then(|number| past.since(number)),
        };
        Watch { missed, live: self.sender.subscribe() }
    }

    /// A place for one more watcher of this user, of whom this many may watch at once.
    pub(crate) fn seat(self: &Arc<Self>, user: UserId, most: usize) -> Option<Seat> {
        let mut seats = self.seats.lock();
        let taken = seats.entry(user).or_default();
        if *taken >= most {
            return None;
        }
        *taken += 1;
        Some(Seat { changes: Arc::clone(self), user })
    }

    /// How many watch.
    pub fn watchers(&self) -> usize {
        self.sender.receiver_count()
    }

    /// The mark of a change, by which a watcher comes back.
    pub fn mark(&self, change: &Change) -> String {
        format!("{:016x}-{}", self.epoch, change.number)
    }

    fn number(&self, mark: &str) -> Option<u64> {
        let (epoch, number) = mark.split_once('-')?;
        (u64::from_str_radix(epoch, 16).ok()? == self.epoch).then_some(())?;
        number.parse().ok()
    }

    /// Nobody is told any more; who watches is let go.
    pub fn close(&self) {
        self.closed.cancel();
    }

    /// Resolves when nobody is told any more. Cancel safe.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }
}

impl Past {
    /// What came after this one, when all of it is remembered.
    fn since(&self, number: u64) -> Option<VecDeque<Change>> {
        let oldest = self.changes.front().map_or(self.last + 1, |change| change.number);
        let known = number <= self.last && number + 1 >= oldest;
        known.then(|| self.changes.iter().filter(|change| change.number > number).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(changes: &Changes, id: u32) {
        changes.tell(OrgId::DEFAULT, Subject::Role, id, None, "updated");
    }

    #[tokio::test]
    async fn a_watcher_comes_back_to_what_it_missed() {
        let changes = Changes::new();
        let mut first = changes.watch(None);
        for id in 0..3 {
            told(&changes, id);
        }
        let seen = first.live.recv().await.expect("told");
        let again = changes.watch(Some(&changes.mark(&seen)));
        let missed: Vec<_> = again.missed.expect("remembered").iter().map(|change| change.id.to_string()).collect();
        assert_eq!(missed, ["1", "2"]);
        for mark in ["0-1", "x", &format!("{:016x}-9", changes.epoch)] {
            assert!(changes.watch(Some(mark)).missed.is_none(), "{mark}");
        }
    }

    #[tokio::test]
    async fn what_is_remembered_and_what_waits_is_bounded() {
        let changes = Changes::new();
        let mut slow = changes.watch(None);
        told(&changes, 0);
        let first = changes.past.lock().changes.front().cloned().expect("told");
        for id in 0..u32::try_from(2 * REMEMBERED).expect("small") {
            told(&changes, id);
        }
        assert_eq!(changes.past.lock().changes.len(), REMEMBERED);
        assert!(changes.watch(Some(&changes.mark(&first))).missed.is_none());
        assert!(matches!(slow.live.recv().await, Err(broadcast::error::RecvError::Lagged(_))));
    }
}
