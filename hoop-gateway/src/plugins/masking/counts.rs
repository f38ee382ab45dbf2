//! How much was masked, for the audit trail.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hoop_core::Label;
use hoop_core::id::SessionId;
use parking_lot::Mutex;

/// What was masked in one session, by label. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct MaskCounts(Arc<Mutex<HashMap<Label, u64>>>);

impl MaskCounts {
    pub(crate) fn add(&self, label: &Label) {
        let mut counts = self.0.lock();
        match counts.get_mut(label) {
            Some(count) => *count += 1,
            None => {
                counts.insert(label.clone(), 1);
            }
        }
    }

    /// The number of values masked until now, by label.
    pub fn totals(&self) -> BTreeMap<String, u64> {
        self.0.lock().iter().map(|(label, count)| (label.to_string(), *count)).collect()
    }
}

/// The counts of the sessions that run. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct SessionCounts(Arc<Mutex<HashMap<SessionId, MaskCounts>>>);

impl SessionCounts {
    pub(crate) fn open(&self, session: SessionId) -> MaskCounts {
        self.0.lock().entry(session).or_default().clone()
    }

    pub(crate) fn close(&self, session: SessionId) {
        self.0.lock().remove(&session);
    }

    /// The counts of a session, until the masking plugin closes it; `None` when it does not mask that session.
    pub fn of(&self, session: SessionId) -> Option<MaskCounts> {
        self.0.lock().get(&session).cloned()
    }
}
