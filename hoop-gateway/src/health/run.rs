//! Checks, each at its time, a few at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hoop_core::id::{OrgId, RequestId, RoleId};
use hoop_core::{Code, Denial, ResourceRole};
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::{Semaphore, broadcast};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::task::TaskTracker;

use super::{Health, checks_of, is_same};
use crate::changes::{Change, Subject};
use crate::session::Sessions;
use crate::store::{StoreError, in_time};

/// How often is looked whether a check is due.
const TICK: Duration = Duration::from_secs(1);
/// Roles are read anew when one has changed, and after this time: another gateway may have changed one.
const RELOAD: Duration = Duration::from_secs(60);
/// Roles that are read from the store at once.
const BATCH: u32 = 200;
/// Checks at once; those that are due meanwhile wait.
const AT_ONCE: usize = 8;
/// How long a check may take.
const MOST_TIME: Duration = Duration::from_secs(10);

/// What runs checks.
pub(crate) struct Checks {
    sessions: Sessions,
    health: Arc<Health>,
    tasks: TaskTracker,
    places: Arc<Semaphore>,
}

/// A role, and when it is checked next; never while a check of it runs.
struct Plan {
    role: ResourceRole,
    next: Instant,
    runs: Arc<Semaphore>,
}

impl Checks {
    pub(crate) fn new(sessions: Sessions, health: Arc<Health>, tasks: TaskTracker) -> Self {
        Self { sessions, health, tasks, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Checks for ever.
    pub(crate) async fn run(self) {
        let mut plans: HashMap<RoleId, Plan> = HashMap::new();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changes = self.sessions.parts().changes.watch(None).live;
        let mut reload = Instant::now();
        loop {
            ticks.tick().await;
            if roles_changed(&mut changes) || reload <= Instant::now() {
                reload = Instant::now();
                // While the store is away, those that are known are checked.
                if let Ok(roles) = in_time(self.roles()).await {
                    self.plan(&mut plans, roles);
                    reload += RELOAD;
                }
            }
            for plan in plans.values_mut().filter(|plan| plan.next <= Instant::now()) {
                self.check(plan);
            }
        }
    }

    /// The roles that want checks.
    async fn roles(&self) -> Result<HashMap<RoleId, ResourceRole>, StoreError> {
        let (mut roles, mut after) = (HashMap::new(), None);
        loop {
            let page = self.sessions.parts().store.roles().list(OrgId::DEFAULT, after.as_deref(), BATCH).await?;
            after = page.items.last().map(|role| role.role.name.to_string());
            let wanted = page.items.into_iter().map(|role| role.role).filter(|role| checks_of(role).is_some());
            roles.extend(wanted.map(|role| (role.id, role)));
            if !page.more {
                return Ok(roles);
            }
        }
    }

    fn plan(&self, plans: &mut HashMap<RoleId, Plan>, roles: HashMap<RoleId, ResourceRole>) {
        self.health.keep(&roles);
        plans.retain(|id, plan| roles.get(id).is_some_and(|role| is_same(role, &plan.role)));
        for (id, role) in roles {
            plans.entry(id).or_insert_with(|| Plan { role, next: Instant::now(), runs: Arc::new(Semaphore::new(1)) });
        }
    }

    /// Begins a check, where there is a place for it.
    fn check(&self, plan: &mut Plan) {
        let Ok(runs) = Arc::clone(&plan.runs).try_acquire_owned() else { return };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
        let every = checks_of(&plan.role).map_or(u32::MAX, |checks| checks.interval_seconds);
        plan.next = Instant::now() + Duration::from_secs(every.into());
        let (sessions, health, role) = (self.sessions.clone(), Arc::clone(&self.health), plan.role.clone());
        self.tasks.spawn(async move {
            let clock = Arc::clone(&sessions.parts().clock);
            let asked = sessions.check_target(&role, RequestId::new(&*clock));
            let came = timeout(MOST_TIME, Box::pin(asked)).await.unwrap_or_else(|_| Err(late()));
            health.note(&role, &came, clock.now());
            drop((runs, place));
        });
    }
}

/// Whether a role has changed since this was last asked, or may have.
fn roles_changed(changes: &mut broadcast::Receiver<Change>) -> bool {
    let mut changed = false;
    loop {
        match changes.try_recv() {
            Ok(change) => changed |= change.subject == Subject::Role,
            Err(TryRecvError::Lagged(_)) => changed = true,
            Err(TryRecvError::Empty | TryRecvError::Closed) => return changed,
        }
    }
}

fn late() -> Denial {
    Denial::new("gateway", Code::TargetTimeout, format!("it took longer than {MOST_TIME:?} to answer"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::Changes;

    #[test]
    fn roles_are_read_again_when_one_has_changed() {
        let changes = Changes::new();
        let mut live = changes.watch(None).live;
        assert!(!roles_changed(&mut live));
        changes.tell(OrgId::DEFAULT, Subject::Session, "x", None, "opened");
        assert!(!roles_changed(&mut live));
        changes.tell(OrgId::DEFAULT, Subject::Role, "x", None, "updated");
        changes.tell(OrgId::DEFAULT, Subject::Session, "x", None, "ended");
        assert!(roles_changed(&mut live) && !roles_changed(&mut live));
        for _ in 0..5_000 {
            changes.tell(OrgId::DEFAULT, Subject::Session, "x", None, "opened");
        }
        assert!(roles_changed(&mut live), "what was missed may have been one");
    }
}
