//! Slowing down who guesses. One [`Throttle`] serves every door, so that guesses at the API and at a native port add up.
//!
//! Failures are counted for the address, for the user, and for both together. The first few cost nothing; each one after
//! them doubles the wait, up to a limit. For a user alone that limit is short: otherwise a stranger could lock out a known
//! user. Right logins are never counted, so any number of them may come at once.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hoop_core::{Clock, Code, Denial};
use parking_lot::Mutex;

/// Counters at most; each takes some 40 bytes.
const MOST: usize = 16 * 1024;
/// What is forgiven: failures before this.
const MEMORY: Duration = Duration::from_secs(15 * 60);

/// How one kind of counter punishes.
struct Rule {
    free: u32,
    first: Duration,
    most: Duration,
}

const PAIR: Rule = Rule { free: 5, first: Duration::from_secs(1), most: Duration::from_secs(5 * 60) };
const ADDRESS: Rule = Rule { free: 50, first: Duration::from_secs(1), most: Duration::from_secs(10 * 60) };
const USER: Rule = Rule { free: 20, first: Duration::from_millis(500), most: Duration::from_secs(5) };

/// Counts failed logins.
pub struct Throttle {
    clock: Arc<dyn Clock>,
    /// Keys are stored as hashes: their size does not depend on what a stranger sends.
    hasher: RandomState,
    counters: Mutex<HashMap<u64, Counter>>,
}

#[derive(Clone, Copy)]
struct Counter {
    failures: u32,
    last: Instant,
    until: Instant,
}

/// Too many failures; the attempt is not even looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many failed logins")]
pub struct Throttled {
    /// How long to wait.
    pub retry_after: Duration,
}

impl From<Throttled> for Denial {
    fn from(throttled: Throttled) -> Self {
        let seconds = throttled.retry_after.as_secs() + 1;
        Self::new("gateway", Code::Throttled, throttled.to_string()).hint(format!("try again in {seconds} s"))
    }
}

impl Throttle {
    /// Nobody has failed yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, hasher: RandomState::new(), counters: Mutex::default() }
    }

    /// May there be an attempt now?
    ///
    /// # Errors
    /// [`Throttled`] says when there may be.
    pub fn check(&self, source: Option<IpAddr>, user: &str) -> Result<(), Throttled> {
        let now = self.clock.monotonic();
        let counters = self.counters.lock();
        let waits = self.keys(source, user).into_iter().flatten().filter_map(|(key, _)| counters.get(&key));
        match waits.map(|counter| counter.until.saturating_duration_since(now)).max() {
            Some(retry_after) if !retry_after.is_zero() => Err(Throttled { retry_after }),
            _ => Ok(()),
        }
    }

    /// The attempt was wrong.
    pub fn failed(&self, source: Option<IpAddr>, user: &str) {
        let now = self.clock.monotonic();
        let mut counters = self.counters.lock();
        for (key, rule) in self.keys(source, user).into_iter().flatten() {
            make_room(&mut counters, key, now);
            let counter = counters.entry(key).or_insert(Counter { failures: 0, last: now, until: now });
            if now.saturating_duration_since(counter.last) > MEMORY {
                counter.failures = 0;
            }
            counter.failures = counter.failures.saturating_add(1);
            counter.last = now;
            counter.until = now + rule.penalty(counter.failures);
        }
    }

    /// The attempt was right: what its user did wrong from there is forgiven, what others did from there is not.
    pub fn succeeded(&self, source: Option<IpAddr>, user: &str) {
        let mut counters = self.counters.lock();
        let [pair, _, user] = self.keys(source, user);
        for (key, _) in [pair, user].into_iter().flatten() {
            counters.remove(&key);
        }
    }

    fn keys(&self, source: Option<IpAddr>, user: &str) -> [Option<(u64, &'static Rule)>; 3] {
        let source = source.map(network);
        [
            source.map(|source| (self.hasher.hash_one((0, source, user)), &PAIR)),
            source.map(|source| (self.hasher.hash_one((1, source)), &ADDRESS)),
            Some((self.hasher.hash_one((2, user)), &USER)),
        ]
    }
}

impl Rule {
    fn penalty(&self, failures: u32) -> Duration {
        match failures.saturating_sub(self.free) {
            0 => Duration::ZERO,
            over => self.first.saturating_mul(1 << (over - 1).min(20)).min(self.most),
        }
    }
}

/// One network of IPv6 is one stranger: each has 2^64 addresses.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        IpAddr::V4(address) => IpAddr::V4(address),
    }
}

/// A full table forgets what is old, and then who has failed the least: a flood of new names cannot wash out a guesser.
fn make_room(counters: &mut HashMap<u64, Counter>, key: u64, now: Instant) {
    if counters.len() < MOST || counters.contains_key(&key) {
        return;
    }
    counters.retain(|_, counter| now.saturating_duration_since(counter.last) <= MEMORY);
    if counters.len() < MOST {
        return;
    }
    let mut failures: Vec<u32> = counters.values().map(|counter| counter.failures).collect();
    let (_, middle, _) = failures.select_nth_unstable(MOST / 4);
    let least = *middle;
    let mut excess = MOST / 4;
    counters.retain(|_, counter| {
        let kept = counter.failures > least || excess == 0;
        excess -= usize::from(!kept);
        kept
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Utc};

    struct Still {
        start: Instant,
        passed: Mutex<Duration>,
    }

    impl Clock for Still {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH
        }
        fn monotonic(&self) -> Instant {
            self.start + *self.passed.lock()
        }
    }

    fn throttle() -> (Throttle, Arc<Still>) {
        let clock = Arc::new(Still { start: Instant::now(), passed: Mutex::default() });
        (Throttle::new(Arc::clone(&clock) as Arc<dyn Clock>), clock)
    }

    const HOME: Option<IpAddr> = Some(IpAddr::V6(Ipv6Addr::LOCALHOST));
    const AWAY: Option<IpAddr> = Some(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)));

    #[test]
    fn the_wait_grows_and_ends() {
        let (throttle, clock) = throttle();
        for _ in 0..5 {
            assert_eq!(throttle.check(AWAY, "alice"), Ok(()));
            throttle.failed(AWAY, "alice");
        }
        assert_eq!(throttle.check(AWAY, "alice"), Ok(()));
        for seconds in [1, 2, 4] {
            throttle.failed(AWAY, "alice");
            assert_eq!(throttle.check(AWAY, "alice"), Err(Throttled { retry_after: Duration::from_secs(seconds) }));
            *clock.passed.lock() += Duration::from_secs(seconds);
            assert_eq!(throttle.check(AWAY, "alice"), Ok(()));
        }
    }

    #[test]
    fn a_guesser_does_not_lock_the_user_out() {
        let (throttle, _) = throttle();
        for _ in 0..1000 {
            throttle.failed(AWAY, "alice");
        }
        assert!(throttle.check(HOME, "alice").is_err_and(|wait| wait.retry_after <= Duration::from_secs(5)));
        assert_eq!(throttle.check(HOME, "bob"), Ok(()));
        assert!(throttle.check(AWAY, "bob").is_err(), "the address tries one name after the other");
    }

    #[test]
    fn success_forgives() {
        let (throttle, _) = throttle();
        for _ in 0..7 {
            throttle.failed(HOME, "alice");
        }
        throttle.succeeded(HOME, "alice");
        assert_eq!(throttle.check(HOME, "alice"), Ok(()));
    }

    #[test]
    fn the_table_is_bounded_and_remembers_the_worst() {
        let (throttle, _) = throttle();
        for _ in 0..60 {
            throttle.failed(AWAY, "alice");
        }
        for number in 0..3 * MOST {
            throttle.failed(None, &number.to_string());
        }
        assert!(throttle.counters.lock().len() <= MOST);
        assert!(throttle.check(AWAY, "alice").is_err());
    }
}
