//! The rules, as a gateway has them in memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hoop_core::Clock;
use hoop_core::id::OrgId;
use tokio::sync::{Mutex, Notify};

use super::rule::RuleDefinition;
use crate::store::{Store, StoreError, in_time};

/// The access rules of a gateway, in memory. It is read for every session without waiting, and read anew from the store
/// whenever a rule changes and every few seconds, since another gateway on the same store may have changed one.
#[derive(Clone)]
pub struct Access {
    shared: Arc<Shared>,
}

/// Rules that were read longer ago let nobody new in: another gateway may have taken away what they allow.
const OLD: Duration = Duration::from_secs(10);

struct Shared {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    rules: ArcSwap<Rules>,
    /// One reads at a time: what was read before a change never takes the place of what was read after it.
    reading: Mutex<()>,
    changed: Notify,
}

struct Rules {
    of: HashMap<OrgId, Arc<[RuleDefinition]>>,
    read_at: Instant,
}

impl Access {
    /// The rules of a store.
    ///
    /// # Errors
    /// When they cannot be read: a gateway that does not know its rules must not run.
    pub async fn load(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let rules = ArcSwap::from_pointee(in_time(read(&*store, &*clock)).await?);
        Ok(Self { shared: Arc::new(Shared { store, clock, rules, reading: Mutex::new(()), changed: Notify::new() }) })
    }

    /// The rules of an organisation, by name.
    pub fn rules(&self, org: OrgId) -> Arc<[RuleDefinition]> {
        self.shared.rules.load().of.get(&org).cloned().unwrap_or_default()
    }

    /// Reads the rules anew. Whatever was stored before the call holds when it returns.
    ///
    /// # Errors
    /// When they cannot be read within three seconds; those that were known stay.
    pub async fn reload(&self) -> Result<(), StoreError> {
        in_time(async {
            let _one = self.shared.reading.lock().await;
            self.shared.read().await
        })
        .await
    }

    /// Sees to it that the rules are recent enough to let somebody in by: within ten seconds a change holds everywhere, or
    /// nobody new gets in.
    ///
    /// # Errors
    /// When they are older, and cannot be read within three seconds.
    pub(crate) async fn refresh(&self) -> Result<(), StoreError> {
        if !self.shared.is_old() {
            return Ok(());
        }
        in_time(async {
            let _one = self.shared.reading.lock().await;
            // Somebody else may have read them meanwhile.
            if self.shared.is_old() { self.shared.read().await } else { Ok(()) }
        })
        .await
    }

    /// Says that something changed by which running sessions may be allowed no more.
    pub(crate) fn note_change(&self) {
        self.shared.changed.notify_one();
    }

    /// Resolves when something changed since it did so last. Cancel safe.
    pub(crate) async fn changed(&self) {
        self.shared.changed.notified().await;
    }
}

impl Shared {
    async fn read(&self) -> Result<(), StoreError> {
        let rules = read(&*self.store, &*self.clock).await?;
        self.rules.store(Arc::new(rules));
        Ok(())
    }

    fn is_old(&self) -> bool {
        self.clock.monotonic().saturating_duration_since(self.rules.load().read_at) > OLD
    }
}

async fn read(store: &dyn Store, clock: &dyn Clock) -> Result<Rules, StoreError> {
    let read_at = clock.monotonic();
    let mut rules: HashMap<OrgId, Vec<RuleDefinition>> = HashMap::new();
    for rule in store.access_rules().all().await? {
        rules.entry(rule.org).or_default().push(rule.definition);
    }
    Ok(Rules { of: rules.into_iter().map(|(org, rules)| (org, rules.into())).collect(), read_at })
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rules: usize = self.shared.rules.load().of.values().map(|rules| rules.len()).sum();
        f.debug_struct("Access").field("rules", &rules).finish_non_exhaustive()
    }
}
