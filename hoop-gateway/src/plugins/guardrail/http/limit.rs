//! How many requests of a user a rule lets through.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use hoop_core::Clock;
use hoop_core::id::{RoleId, UserId};
use serde::{Deserialize, Serialize};

use crate::ticks::Ticks;

/// So many requests in so many seconds, of each user on the role, over all of their sessions on this gateway. They fill up again
/// evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// How many requests; at least 1.
    pub requests: NonZeroU32,
    /// In how many seconds; at least 1, at most a day.
    pub per_seconds: NonZeroU32,
}

/// Longest time that a limit is over.
pub(super) const MAX_SECONDS: u32 = 24 * 60 * 60;

/// A rule of a role, by its name.
type Rule = (RoleId, String);
type Limiter = RateLimiter<UserId, DashMapStateStore<UserId>, Ticks, NoOpMiddleware<Duration>>;

/// What users have left, by role and rule.
#[derive(Clone)]
pub(crate) struct Limits {
    clock: Ticks,
    buckets: Arc<DashMap<Rule, (Limit, Arc<Limiter>)>>,
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits").field("rules", &self.buckets.len()).finish_non_exhaustive()
    }
}

impl Limits {
    pub(crate) fn new(clock: &Arc<dyn Clock>) -> Self {
        Self { clock: Ticks::new(clock), buckets: Arc::default() }
    }

    /// What a user has left of a rule's limit. A rule that is given another limit begins anew.
    pub(super) fn of(&self, role: RoleId, rule: &str, limit: Limit, user: UserId) -> Left {
        let mut bucket = self.buckets.entry((role, rule.to_owned())).or_insert_with(|| (limit, self.limiter(limit)));
        if bucket.0 != limit {
            *bucket = (limit, self.limiter(limit));
        }
        // What has filled up again needs no place.
        bucket.1.retain_recent();
        Left { limiter: Arc::clone(&bucket.1), clock: self.clock.clone(), user }
    }

    fn limiter(&self, limit: Limit) -> Arc<Limiter> {
        let each = Duration::from_secs(u64::from(limit.per_seconds.get())) / limit.requests.get();
        let quota = Quota::with_period(each.max(Duration::from_nanos(1))).expect("more than nothing");
        let quota = quota.allow_burst(limit.requests);
        Arc::new(RateLimiter::new(quota, DashMapStateStore::default(), self.clock.clone()))
    }
}

/// What a user has left of a rule's limit.
pub(super) struct Left {
    limiter: Arc<Limiter>,
    clock: Ticks,
    user: UserId,
}

impl Left {
    /// Takes one.
    ///
    /// # Errors
    /// How long it is until there is one again.
    pub(super) fn take(&self) -> Result<(), Duration> {
        self.limiter.check_key(&self.user).map_err(|until| until.wait_time_from(self.clock.now()))
    }
}

impl std::fmt::Debug for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Left").field("user", &self.user).finish_non_exhaustive()
    }
}
