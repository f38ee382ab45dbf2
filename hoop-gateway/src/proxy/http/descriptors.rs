//! What targets have told of their messages' types, for the sessions of their roles, for a while.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hoop_core::{Denial, ResourceRole};
use parking_lot::Mutex;
use prost_reflect::DescriptorPool;
use tokio::time::Instant;

/// How long it is believed.
const LASTS: Duration = Duration::from_secs(300);
/// How long a target that did not tell is not asked again.
const PAUSE: Duration = Duration::from_secs(30);
/// Targets of which it is kept; the oldest goes.
const MOST: usize = 64;

/// A role with its target: a role that changes has other types.
pub(crate) type Key = [u8; 32];

/// The types that are known.
#[derive(Debug, Default)]
pub(crate) struct Descriptors {
    slots: Mutex<HashMap<Key, (Instant, Arc<Slot>)>>,
}

/// What is known of one target. Whoever asks it has the lock; others wait for what it says.
type Slot = tokio::sync::Mutex<Option<Told>>;

#[derive(Debug)]
struct Told {
    until: Instant,
    /// Nothing when it could not be told.
    types: Option<DescriptorPool>,
}

/// Names what is told.
pub(crate) fn key(role: &ResourceRole) -> Key {
    let target = serde_json::to_vec(&role.target).unwrap_or_default();
    let mut hash = blake3::Hasher::new();
    hash.update(role.id.to_string().as_bytes()).update(role.agent.as_bytes()).update(b"\0").update(&target);
    *hash.finalize().as_bytes()
}

impl Descriptors {
    /// What a target has told, or tells now. One that fails to is left in peace for half a minute.
    pub(super) async fn of<F>(&self, key: Key, ask: impl FnOnce() -> F) -> Option<DescriptorPool>
    where
        F: Future<Output = Result<DescriptorPool, Denial>>,
    {
        let slot = self.slot(key);
        let mut told = slot.lock().await;
        if let Some(told) = told.as_ref().filter(|told| told.until > Instant::now()) {
            return told.types.clone();
        }
        let types = match ask().await {
            Ok(types) => Some(types),
            Err(denial) => {
                tracing::warn!(code = %denial.code, reason = denial.reason, "a target does not tell the types of its messages");
                None
            }
        };
        let until = Instant::now() + if types.is_some() { LASTS } else { PAUSE };
        *told = Some(Told { until, types: types.clone() });
        types
    }

    fn slot(&self, key: Key) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        if let Some((_, slot)) = slots.get(&key) {
            return Arc::clone(slot);
        }
        if slots.len() >= MOST
            && let Some(oldest) = slots.iter().min_by_key(|(_, (since, _))| *since).map(|(key, _)| *key)
        {
            slots.remove(&oldest);
        }
        let (_, slot) = slots.entry(key).or_insert_with(|| (Instant::now(), Arc::default()));
        Arc::clone(slot)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use hoop_core::Code;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_target_is_asked_when_what_it_said_is_old() {
        let (known, asked) = (Descriptors::default(), Cell::new(0));
        let ask = async |key: u8, answer: Result<(), ()>| {
            let tell = || async {
                asked.set(asked.get() + 1);
                answer.map(|()| DescriptorPool::new()).map_err(|()| Denial::new("x", Code::TargetLost, "x"))
            };
            known.of([key; 32], tell).await.is_some()
        };
        assert!(ask(1, Ok(())).await && ask(1, Err(())).await);
        assert_eq!(asked.get(), 1);
        assert!(!ask(2, Err(())).await && !ask(2, Ok(())).await);
        assert_eq!(asked.get(), 2);
        tokio::time::advance(PAUSE).await;
        assert!(ask(2, Ok(())).await && ask(1, Err(())).await);
        assert_eq!(asked.get(), 3);
        tokio::time::advance(LASTS).await;
        assert!(!ask(1, Err(())).await, "what is old is not believed any more");
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_are_kept_and_no_more() {
        let (known, asked) = (Descriptors::default(), Cell::new(0));
        let ask = async |key: u8| {
            tokio::time::advance(Duration::from_millis(1)).await;
            let tell = || async {
                asked.set(asked.get() + 1);
                Ok(DescriptorPool::new())
            };
            known.of([key; 32], tell).await
        };
        for key in 0..=MOST as u8 {
            ask(key).await;
        }
        assert_eq!((known.slots.lock().len(), asked.get()), (MOST, MOST + 1));
        ask(1).await;
        assert_eq!(asked.get(), MOST + 1);
        ask(0).await;
        assert_eq!(asked.get(), MOST + 2, "the oldest is gone");
    }
}
