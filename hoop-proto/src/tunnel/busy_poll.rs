//! A core that is kept awake while one message follows the other.

use std::fs;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use futures::task::AtomicWaker;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::task;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::coalesce::behind_the_others;

/// For how long is looked at most: as a core of a virtual machine does by the kernel's own default.
const LONGEST: Duration = Duration::from_micros(200);
/// For how long is looked at first.
const FIRST: Duration = Duration::from_micros(50);

/// For how long a core of a virtual machine looks for work before it sleeps, in nanoseconds (Linux, `haltpoll`).
const HALT_POLL: &str = "/sys/module/haltpoll/parameters/guest_halt_poll_ns";
/// Who decides how a core idles; the time above counts for this one alone.
const GOVERNOR: &str = "/sys/devices/system/cpu/cpuidle/current_governor";
/// Where control groups are.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// Whether a program looks for the next message for a while, in place of going to sleep at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BusyPoll {
    /// Where the cores of a virtual machine sleep at once (`guest_halt_poll_ns` is 0), the program has one worker, and no control
    /// group has a quota of the processor's time.
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
            Self::Auto => has_one_worker() && cores_sleep_at_once() && !has_quota(&groups(), Path::new(CONTROL_GROUPS)),
            Self::On => true,
            Self::Off => false,
        };
        looks.then(Poller::new)
    }
}

/// With several workers each look would wake another one.
fn has_one_worker() -> bool {
    Handle::current().metrics().num_workers() == 1
}

fn cores_sleep_at_once() -> bool {
    let is = |path, value| fs::read_to_string(path).is_ok_and(|read| read.trim() == value);
    is(GOVERNOR, "haltpoll") && is(HALT_POLL, "0")
}

fn groups() -> String {
    fs::read_to_string("/proc/self/cgroup").unwrap_or_default()
}

/// Whether a control group of the program has a quota of the processor's time, of which looking would take a part.
fn has_quota(groups: &str, mounted: &Path) -> bool {
    let is_quota = |path: PathBuf| {
        let read = fs::read_to_string(path).unwrap_or_default();
        read.split_whitespace().next().is_some_and(|quota| quota.parse::<u64>().is_ok())
    };
    groups.lines().any(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(group)) = (parts.next(), parts.next()) else { return false };
        // A group's quota is of those below it, too.
        let mut groups = Path::new(group.trim_start_matches('/')).ancestors();
        match controllers {
            "" => groups.any(|group| is_quota(mounted.join(group).join("cpu.max"))),
            _ if controllers.split(',').any(|controller| controller == "cpu") => {
                groups.any(|group| is_quota(mounted.join("cpu").join(group).join("cpu.cfs_quota_us")))
            }
            _ => false,
        }
    })
}

/// Looks for the next message for a while, in place of letting a core go to sleep.
///
/// Where cores sleep at once, to wake one takes longer than a message takes to pass. The time for which is looked grows while
/// messages follow each other within 200 µs, and goes to nothing when they do not. Whoever else wants the core has it
/// meanwhile. Clones are the same one, for several connections.
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
            limit = self.next(limit, &mut seen).await;
        }
    }

    /// Waits for what passes next, and looks for so long before it sleeps. For how long to look from then on.
    async fn next(&self, limit: Duration, seen: &mut u64) -> Duration {
        let last = Instant::now();
        if !self.goes_on_within(limit, seen).await {
            self.goes_on(seen).await;
        }
        adapted(limit, last.elapsed())
    }

    /// Looks for so long whether more has passed than what has been seen.
    async fn goes_on_within(&self, limit: Duration, seen: &mut u64) -> bool {
        let since = Instant::now();
        while since.elapsed() < limit {
            // What the network has, and the tasks that it is for; then other programs.
            task::yield_now().await;
            behind_the_others().await;
            if self.is_beyond(seen) {
                return true;
            }
            thread::yield_now();
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
    use std::io;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::{advance, timeout};
    use tokio_util::task::TaskTracker;

    use super::super::Coalescing;
    use super::*;

    const SOON: Duration = Duration::from_micros(150);
    const LATE: Duration = Duration::from_millis(2);
    const PATIENCE: Duration = Duration::from_secs(10);

    /// One that notes, and does not look by itself.
    fn noting() -> Poller {
        #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
        let never = task::spawn(std::future::pending());
        Poller { traffic: Arc::default(), _looks: Arc::new(AbortOnDropHandle::new(never)) }
    }

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

    /// The time stands still but for what is said here, so that only what wakes can end what waits.
    #[tokio::test(start_paused = true)]
    async fn it_sleeps_first_looks_once_messages_come_soon_and_sleeps_again() {
        let (poller, mut seen) = (noting(), 0);
        let traffic = &poller.traffic;
        let pass = async |after: Duration| {
            advance(after).await;
            poller.note();
        };
        let (limit, ()) = tokio::join!(traffic.next(Duration::ZERO, &mut seen), pass(SOON));
        assert_eq!((limit, seen), (FIRST, 1), "asleep, and woken");
        let (limit, ()) = tokio::join!(traffic.next(limit, &mut seen), pass(FIRST / 2));
        assert_eq!((limit, seen), (FIRST, 2), "found");
        let (limit, ()) = tokio::join!(traffic.next(limit, &mut seen), pass(SOON));
        assert_eq!((limit, seen), (FIRST * 2, 3), "missed by little");
        let (limit, ()) = tokio::join!(traffic.next(FIRST, &mut seen), pass(LATE));
        assert_eq!((limit, seen), (Duration::ZERO, 4), "asleep again, and woken");
    }

    #[tokio::test]
    async fn it_ends_with_the_last_of_its_connections() {
        let poller = Poller::new();
        let (other, traffic) = (poller.clone(), Arc::downgrade(&poller.traffic));
        drop(poller);
        task::yield_now().await;
        assert!(!other._looks.is_finished());
        drop(other);
        let ended = async {
            while traffic.upgrade().is_some() {
                task::yield_now().await;
            }
        };
        timeout(PATIENCE, ended).await.expect("it ends");
    }

    #[tokio::test]
    async fn what_a_connection_reads_and_writes_is_noted() -> io::Result<()> {
        let (near, mut far) = duplex(1 << 20);
        let poller = noting();
        let (mut connection, mut seen) = (Coalescing::new(near, Some(poller.clone())), 0);
        let mut passed = || poller.traffic.is_beyond(&mut seen);
        far.write_all(b"in").await?;
        connection.read_exact(&mut [0; 2]).await?;
        assert!(passed());
        for long in [vec![0; 4], vec![0; 1 << 17]] {
            connection.write_all(&long).await?;
            connection.flush().await?;
            far.read_exact(&mut vec![0; long.len()]).await?;
            assert!(passed());
        }
        assert!(!passed());
        Ok(())
    }

    #[tokio::test]
    async fn nothing_looks_where_it_is_not_to() {
        assert!(BusyPoll::Off.poller().is_none());
        assert!(BusyPoll::On.poller().is_some());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_looks_by_itself_with_several_workers() {
        let poller = TaskTracker::new().spawn(async { BusyPoll::Auto.poller() }).await.expect("no panic");
        assert!(poller.is_none());
    }

    #[test]
    fn quotas_of_control_groups_are_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).and_then(|()| fs::write(path, text)).expect("written");
        };
        write("free/cpu.max", "max 100000\n");
        write("pods/cpu.max", "150000 100000\n");
        write("pods/one/cpu.max", "max 100000\n");
        write("cpu/free/cpu.cfs_quota_us", "-1\n");
        write("cpu/pods/cpu.cfs_quota_us", "50000\n");
        let seen = [
            "0::/free",
            "0::/pods/one",
            "0::/",
            "0::/gone",
            "4:cpu,cpuacct:/free",
            "4:cpuacct,cpu:/pods",
            "5:memory:/pods",
            "",
            "?",
        ]
        .map(|groups| has_quota(groups, folder.path()));
        assert_eq!(seen, [false, true, false, false, false, true, false, false, false]);
    }
}
