//! A core that is kept awake while one message follows the other.

use std::fs;
use std::future::poll_fn;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::thread::{self, available_parallelism};
use std::time::{Duration, Instant};

use futures::task::AtomicWaker;
use serde::{Deserialize, Serialize};
use tokio::task;
use tokio_util::task::AbortOnDropHandle;

/// For how long is looked at most: as a core of a virtual machine does by the kernel's own default.
const LONGEST: Duration = Duration::from_micros(200);
/// For how long is looked at first.
const FIRST: Duration = Duration::from_micros(50);

/// For how long a core of a virtual machine looks for work before it sleeps, in nanoseconds (Linux, `haltpoll`).
const HALT_POLL: &str = "/sys/module/haltpoll/parameters/guest_halt_poll_ns";
/// Who decides how a core idles; the time above counts for this one alone.
const GOVERNOR: &str = "/sys/devices/system/cpu/cpuidle/current_governor";

/// Whether a program looks for the next message for a while, in place of going to sleep at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BusyPoll {
    /// Where the cores of a virtual machine sleep at once (`guest_halt_poll_ns` is 0), and the program may use all of them.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

impl BusyPoll {
    /// What looks, if anything does. It needs a runtime.
    pub fn poller(self) -> Option<Poller> {
        let looks = match self {
            Self::Auto => cores_sleep_at_once() && !is_throttled(),
            Self::On => true,
            Self::Off => false,
        };
        looks.then(Poller::new)
    }
}

fn cores_sleep_at_once() -> bool {
    let is = |path, value| fs::read_to_string(path).is_ok_and(|read| read.trim() == value);
    is(GOVERNOR, "haltpoll") && is(HALT_POLL, "0")
}

/// Whether a control group gives the program less time than the cores that it may run on have. Time that is spent with looking would be
/// missing then.
fn is_throttled() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    // It counts a control group's quota; the kernel's mask does not.
    cores(&status).zip(available_parallelism().ok()).is_none_or(|(cores, given)| NonZero::get(given) < cores)
}

/// How many cores a process may run on, by what the kernel says of it (`/proc/PID/status`).
fn cores(status: &str) -> Option<usize> {
    let mask = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed:"))?;
    mask.trim().chars().filter(|digit| *digit != ',').map(|digit| Some(digit.to_digit(16)?.count_ones() as usize)).sum()
}

/// Looks for the next message for a while, in place of letting a core go to sleep.
///
/// Where cores sleep at once, to wake one takes longer than a message takes to pass. The time for which is looked grows while
/// messages follow each other within [`LONGEST`], and goes to nothing when they do not. Whoever else wants the core has it
/// meanwhile. Clones are the same one, for all connections of a program.
#[derive(Debug, Clone)]
pub struct Poller {
    traffic: Arc<Traffic>,
    _looks: Arc<AbortOnDropHandle<()>>,
}

/// The messages that have passed.
#[derive(Debug, Default)]
struct Traffic {
    count: AtomicU64,
    awaited: AtomicWaker,
}

impl Poller {
    fn new() -> Self {
        let traffic = Arc::<Traffic>::default();
        #[expect(clippy::disallowed_methods, reason = "it ends with its connections, and has nothing to finish")]
        let looks = AbortOnDropHandle::new(task::spawn(Arc::clone(&traffic).look()));
        Self { traffic, _looks: Arc::new(looks) }
    }

    /// A message has passed.
    pub(super) fn note(&self) {
        self.traffic.count.fetch_add(1, Ordering::Release);
        self.traffic.awaited.wake();
    }
}

impl Traffic {
    async fn look(self: Arc<Self>) {
        let (mut seen, mut limit) = (0, Duration::ZERO);
        loop {
            let last = Instant::now();
            if !self.goes_on_within(limit, &mut seen).await {
                self.goes_on(&mut seen).await;
            }
            limit = adapted(limit, last.elapsed());
        }
    }

    /// Looks for so long whether more has passed than what has been seen.
    async fn goes_on_within(&self, limit: Duration, seen: &mut u64) -> bool {
        let since = Instant::now();
        while since.elapsed() < limit {
            // Other programs first, then the other tasks of this one and what the network has for them.
            thread::yield_now();
            task::yield_now().await;
            if self.is_beyond(seen) {
                return true;
            }
        }
        false
    }

    /// Sleeps until more has passed.
    async fn goes_on(&self, seen: &mut u64) {
        poll_fn(|cx| {
            self.awaited.register(cx.waker());
            if self.is_beyond(seen) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn is_beyond(&self, seen: &mut u64) -> bool {
        let count = self.count.load(Ordering::Acquire);
        std::mem::replace(seen, count) != count
    }
}

/// For how long to look from now on, when a message came so long after the one before it.
fn adapted(limit: Duration, gap: Duration) -> Duration {
    if gap <= limit {
        limit
    } else if gap <= LONGEST {
        (limit * 2).clamp(FIRST, LONGEST)
    } else if limit > FIRST {
        limit / 2
    } else {
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;
    use tokio_util::task::TaskTracker;

    use super::*;

    const FAR: Duration = Duration::from_secs(3600);
    const SOON: Duration = Duration::from_micros(150);
    const LATE: Duration = Duration::from_millis(2);

    #[test]
    fn it_looks_for_longer_while_messages_come_soon_and_not_at_all_once_they_do_not() {
        let after = |limit, gaps: &[Duration]| gaps.iter().fold(limit, |limit, gap| adapted(limit, *gap));
        assert_eq!(after(Duration::ZERO, &[LATE]), Duration::ZERO);
        assert_eq!(after(Duration::ZERO, &[SOON]), FIRST);
        assert_eq!(after(Duration::ZERO, &[SOON; 9]), LONGEST);
        assert_eq!(after(LONGEST, &[SOON, LONGEST]), LONGEST);
        assert_eq!(after(LONGEST, &[LATE]), LONGEST / 2);
        assert_eq!(after(LONGEST, &[LATE, FIRST]), LONGEST / 2, "it was found");
        assert_eq!(after(LONGEST, &[LATE, SOON]), LONGEST, "it would have been");
        assert_eq!(after(LONGEST, &[LATE; 3]), Duration::ZERO);
    }

    #[tokio::test]
    async fn what_passes_while_it_looks_is_found() {
        let traffic = Arc::<Traffic>::default();
        let poller = Poller { traffic: Arc::clone(&traffic), _looks: Arc::new(AbortOnDropHandle::new(never())) };
        let mut seen = 0;
        assert!(!traffic.goes_on_within(FIRST, &mut seen).await, "nothing has passed");
        let noting = TaskTracker::new().spawn(async move { poller.note() });
        assert!(traffic.goes_on_within(FAR, &mut seen).await);
        assert_eq!(seen, 1);
        noting.await.expect("no panic");
        assert!(!traffic.goes_on_within(FIRST, &mut seen).await, "it has been seen");
    }

    #[tokio::test]
    async fn what_passes_while_it_sleeps_wakes_it() {
        let poller = Poller::new();
        let (traffic, woken) = (Arc::clone(&poller.traffic), Arc::<Notify>::default());
        let slept = TaskTracker::new().spawn({
            let woken = Arc::clone(&woken);
            async move {
                let mut seen = 0;
                woken.notify_one();
                traffic.goes_on(&mut seen).await;
                seen
            }
        });
        woken.notified().await;
        poller.note();
        assert_eq!(slept.await.expect("no panic"), 1);
    }

    #[tokio::test]
    async fn it_ends_with_the_last_of_its_connections() {
        let poller = Poller::new();
        let (other, traffic) = (poller.clone(), Arc::downgrade(&poller.traffic));
        drop(poller);
        task::yield_now().await;
        assert!(traffic.upgrade().is_some());
        drop(other);
        while traffic.upgrade().is_some() {
            task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn nothing_looks_where_it_is_not_to() {
        assert!(BusyPoll::Off.poller().is_none());
        assert!(BusyPoll::On.poller().is_some());
    }

    #[test]
    fn cores_are_counted_by_the_kernels_mask() {
        assert_eq!(cores("Name:\thoop\nCpus_allowed:\t3\nCpus_allowed_list:\t0-1\n"), Some(2));
        assert_eq!(cores("Cpus_allowed:\tff,ffffffff\n"), Some(40));
        assert_eq!(cores("Name:\thoop\n"), None);
        assert_eq!(cores("Cpus_allowed:\tmany\n"), None);
    }

    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    fn never() -> task::JoinHandle<()> {
        task::spawn(std::future::pending())
    }
}
