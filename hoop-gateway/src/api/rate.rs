//! How often a caller may ask: reads and writes of each user, and what comes without a sign-in from each address. Each is a
//! bucket that fills up again evenly. Headers tell what is left ([RateLimit header fields for HTTP]).
//!
//! [RateLimit header fields for HTTP]: https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use governor::clock::Clock as _;
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use hoop_core::Clock;
use hoop_core::id::UserId;

use super::problem::Problem;
use crate::auth::network;
use crate::ticks::Ticks;

/// Requests in a minute; 0 sets no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// `GET`, of one user.
    pub reads: u32,
    /// Everything else, of one user.
    pub writes: u32,
    /// Without a sign-in, from one address; an IPv6 network (/64) is one.
    pub strangers: u32,
}

impl Default for Rates {
    fn default() -> Self {
        Self { reads: 6000, writes: 1200, strangers: 600 }
    }
}

const WINDOW: Duration = Duration::from_secs(60);
/// Buckets for addresses. Two that share one share a limit, and nobody can choose which: their number bounds the memory.
const PLACES: u64 = 1 << 16;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Counts requests.
pub(super) struct Limits {
    reads: Limit<UserId>,
    writes: Limit<UserId>,
    strangers: Limit<u64>,
    hasher: RandomState,
}

impl Limits {
    pub(super) fn new(rates: Rates, clock: &Arc<dyn Clock>) -> Self {
        Self {
            reads: Limit::new("reads", rates.reads, clock),
            writes: Limit::new("writes", rates.writes, clock),
            strangers: Limit::new("strangers", rates.strangers, clock),
            hasher: RandomState::new(),
        }
    }

    /// Counts a request of a user; `None` where there is no limit.
    pub(super) fn user(&self, user: UserId, method: &Method) -> Option<Left> {
        let limit = if matches!(*method, Method::GET | Method::HEAD) { &self.reads } else { &self.writes };
        limit.take(&user)
    }

    /// Counts a request of nobody known. Where the connection is not known, all are counted together.
    pub(super) fn stranger(&self, address: Option<IpAddr>) -> Option<Left> {
        self.strangers.take(&(self.hasher.hash_one(address.map(network)) % PLACES))
    }
}

struct Limit<K: Hash + Eq + Clone> {
    name: &'static str,
    bucket: Option<Bucket<K>>,
}

struct Bucket<K: Hash + Eq + Clone> {
    quota: u32,
    limiter: RateLimiter<K, DashMapStateStore<K>, Ticks, StateInformationMiddleware>,
    ticks: Ticks,
}

impl<K: Hash + Eq + Clone> Limit<K> {
    fn new(name: &'static str, quota: u32, clock: &Arc<dyn Clock>) -> Self {
        let bucket = NonZeroU32::new(quota).map(|burst| {
            let ticks = Ticks::new(clock);
            let limiter = RateLimiter::new(Quota::per_minute(burst), DashMapStateStore::default(), ticks.clone());
            Bucket { quota, limiter, ticks }
        });
        Self { name, bucket }
    }

    fn take(&self, key: &K) -> Option<Left> {
        let Bucket { quota, limiter, ticks } = self.bucket.as_ref()?;
        let (remaining, retry_after) = match limiter.check_key(key) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(until) => (0, Some(until.wait_time_from(ticks.now()))),
        };
        Some(Left { name: self.name, quota: *quota, remaining, retry_after })
    }
}

/// What a caller has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Left {
    name: &'static str,
    quota: u32,
    remaining: u32,
    /// Nothing is left for so long.
    retry_after: Option<Duration>,
}

impl Left {
    /// Refuses who has nothing left.
    pub(super) fn check(left: Option<&Self>) -> Result<(), Problem> {
        match left.and_then(|left| left.retry_after) {
            Some(wait) => Err(Problem::throttled("too many requests", wait)),
            None => Ok(()),
        }
    }

    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        let Self { name, quota, remaining, .. } = self;
        let full = u64::from(quota - remaining) * WINDOW.as_secs();
        let policy = format!("\"{name}\";q={quota};w={}", WINDOW.as_secs());
        let limit = format!("\"{name}\";r={remaining};t={}", full.div_ceil(u64::from(*quota)));
        for (header, text) in [(POLICY, policy), (LIMIT, limit)] {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(header, value);
            }
        }
    }
}
