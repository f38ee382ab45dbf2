//! The rules, as a gateway has them in memory.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hoop_core::id::OrgId;
use tokio::sync::{Mutex, Notify};

use super::rule::RuleDefinition;
use crate::store::{Store, StoreError};

/// The access rules of a gateway, in memory. It is read for every session without waiting, and read anew from the store
/// whenever a rule changes and every few seconds, since another gateway on the same store may have changed one.
#[derive(Clone)]
pub struct Access {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn Store>,
    rules: ArcSwap<Rules>,
    /// One reads at a time: what was read before a change never takes the place of what was read after it.
    reading: Mutex<()>,
    changed: Notify,
}

type Rules = HashMap<OrgId, Arc<[RuleDefinition]>>;

impl Access {
    /// The rules of a store.
    ///
    /// # Errors
    /// When they cannot be read: a gateway that does not know its rules must not run.
    pub async fn load(store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let rules = ArcSwap::from_pointee(read(&*store).await?);
        Ok(Self { shared: Arc::new(Shared { store, rules, reading: Mutex::new(()), changed: Notify::new() }) })
    }

    /// The rules of an organisation, by name.
    pub fn rules(&self, org: OrgId) -> Arc<[RuleDefinition]> {
        self.shared.rules.load().get(&org).cloned().unwrap_or_default()
    }

    /// Reads the rules anew. Whatever was stored before the call holds when it returns.
    ///
    /// # Errors
    /// When they cannot be read; those that were known stay.
    pub async fn reload(&self) -> Result<(), StoreError> {
        let _one = self.shared.reading.lock().await;
        let rules = read(&*self.shared.store).await?;
        self.shared.rules.store(Arc::new(rules));
        Ok(())
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

async fn read(store: &dyn Store) -> Result<Rules, StoreError> {
    let mut rules: HashMap<OrgId, Vec<RuleDefinition>> = HashMap::new();
    for rule in store.access_rules().all().await? {
        rules.entry(rule.org).or_default().push(rule.definition);
    }
    Ok(rules.into_iter().map(|(org, rules)| (org, rules.into())).collect())
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rules: usize = self.shared.rules.load().values().map(|rules| rules.len()).sum();
        f.debug_struct("Access").field("rules", &rules).finish_non_exhaustive()
    }
}
