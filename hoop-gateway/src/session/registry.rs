//! The sessions that run in this gateway.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use dashmap::{DashMap, Entry};
use hoop_core::id::{OrgId, SessionId};
use hoop_core::{Denial, SessionContext};
use rand::RngExt as _;
use tokio::sync::Notify;

use super::control::Control;
use crate::plugins::audit::Closed;

/// Running sessions, by id and by cancel key.
#[derive(Default)]
pub(super) struct Registry {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    running: DashMap<SessionId, Running>,
    keys: DashMap<CancelKey, SessionId>,
    logs: DashMap<SessionId, Closed>,
    ended: Notify,
}

struct Running {
    org: OrgId,
    control: Arc<Control>,
    /// What is known of it, once it is allowed.
    context: Option<Arc<SessionContext>>,
    /// The hash of the API token without which it ends.
    token: Option<[u8; 32]>,
    key: Option<CancelKey>,
}

/// What a client must name to cancel what runs in its session. The secret is random: whoever does not know it cannot guess
/// it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct CancelKey {
    /// PostgreSQL's process id.
    pub(crate) process: i32,
    /// The secret.
    pub(crate) secret: Bytes,
}

/// A session's place in the registry. Dropping it gives the place up.
pub(crate) struct Live {
    shared: Arc<Shared>,
    id: SessionId,
}

impl Registry {
    pub(super) fn enter(&self, org: OrgId, id: SessionId, control: Arc<Control>) -> Live {
        self.shared.running.insert(id, Running { org, control, context: None, token: None, key: None });
        Live { shared: Arc::clone(&self.shared), id }
    }

    /// The session is allowed: from now on it is asked about again and again.
    pub(super) fn admit(&self, context: &Arc<SessionContext>, token: Option<[u8; 32]>) {
        if let Some(mut running) = self.shared.running.get_mut(&context.id) {
            running.context = Some(Arc::clone(context));
            running.token = token;
        }
    }

    /// The sessions that were allowed, each with what ends it.
    pub(super) fn admitted(&self) -> Vec<(Arc<SessionContext>, Arc<Control>)> {
        let running = self.shared.running.iter();
        running.filter_map(|running| Some((running.context.clone()?, Arc::clone(&running.control)))).collect()
    }

    /// The sessions that end with a token, by its hash.
    pub(super) fn by_token(&self) -> HashMap<[u8; 32], Vec<(SessionId, Arc<Control>)>> {
        let mut found: HashMap<_, Vec<_>> = HashMap::new();
        for running in &self.shared.running {
            if let Some(token) = running.token {
                found.entry(token).or_default().push((*running.key(), Arc::clone(&running.control)));
            }
        }
        found
    }

    pub(super) fn count(&self) -> usize {
        self.shared.running.len()
    }

    pub(super) fn end(&self, org: OrgId, id: SessionId, why: Denial) -> bool {
        let running = self.shared.running.get(&id).filter(|running| running.org == org);
        running.map(|running| running.control.end(why)).is_some()
    }

    pub(super) fn end_all(&self, why: &Denial) {
        for running in &self.shared.running {
            running.control.end(why.clone());
        }
    }

    /// Resolves when no session runs.
    pub(super) async fn emptied(&self) {
        loop {
            let ended = self.shared.ended.notified();
            if self.shared.running.is_empty() {
                return;
            }
            ended.await;
        }
    }

    pub(super) fn cancel_key(&self, id: SessionId, process: i32, secret_bytes: usize) -> CancelKey {
        loop {
            let mut random = rand::rng();
            let mut secret = vec![0; secret_bytes];
            random.fill(secret.as_mut_slice());
            let process = if process == 0 { random.random_range(1..=i32::MAX) } else { process };
            let key = CancelKey { process, secret: secret.into() };
            // Processes of two servers may have one number; their keys must differ.
            let Entry::Vacant(place) = self.shared.keys.entry(key.clone()) else { continue };
            place.insert(id);
            if let Some(mut running) = self.shared.running.get_mut(&id) {
                running.key = Some(key.clone());
            }
            return key;
        }
    }

    pub(super) fn cancel(&self, key: &CancelKey) {
        // The look-up is by a keyed hash, which tells a guesser nothing of the keys there are.
        let id = self.shared.keys.get(key).map(|id| *id);
        if let Some(running) = id.and_then(|id| self.shared.running.get(&id)) {
            running.control.cancel();
        }
    }

    pub(super) fn log_closed(&self, closed: Closed) {
        self.shared.logs.insert(closed.session, closed);
    }

    pub(super) fn take_log(&self, id: SessionId) -> Option<Closed> {
        self.shared.logs.remove(&id).map(|(_, closed)| closed)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some((_, running)) = self.shared.running.remove(&self.id)
            && let Some(key) = running.key
        {
            self.shared.keys.remove(&key);
        }
        self.shared.ended.notify_waiters();
    }
}
