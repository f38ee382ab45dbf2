//! The sessions that run in this gateway.

use std::sync::Arc;

use bytes::Bytes;
use dashmap::{DashMap, Entry};
use hoop_core::id::{CredentialId, KeyId, OrgId, SessionId, TokenId};
use hoop_core::{Denial, ResourceRole, SessionContext};
use rand::RngExt as _;
use tokio::sync::Notify;

use super::control::Control;
use crate::plugins::audit::Closed;

/// What a caller came in by, beside a password: a session ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Pass {
    /// An API token.
    Token(TokenId),
    /// A public key.
    Key(KeyId),
    /// A credential.
    Credential(CredentialId),
}

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
    admitted: Option<Known>,
    /// Whether it waits until somebody agrees.
    held: bool,
    key: Option<CancelKey>,
}

impl Running {
    fn as_admitted(&self) -> Option<Admitted> {
        let Known { context, passes, jumps, agreed } = self.admitted.clone()?;
        Some(Admitted { context, passes, jumps, agreed, control: Arc::clone(&self.control) })
    }
}

#[derive(Clone)]
struct Known {
    context: Arc<SessionContext>,
    passes: Arc<[Pass]>,
    jumps: Arc<[ResourceRole]>,
    agreed: Option<Arc<str>>,
}

/// A session that was allowed.
pub(super) struct Admitted {
    /// What is known of it.
    pub(super) context: Arc<SessionContext>,
    /// What it ends with.
    pub(super) passes: Arc<[Pass]>,
    /// The roles through which its target is reached, as they were.
    pub(super) jumps: Arc<[ResourceRole]>,
    /// The group of which somebody has agreed to it.
    pub(super) agreed: Option<Arc<str>>,
    /// What ends it.
    pub(super) control: Arc<Control>,
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

/// A session waits. Dropping it says that it does not any more.
pub(super) struct Waits {
    shared: Arc<Shared>,
    id: SessionId,
}

impl Drop for Waits {
    fn drop(&mut self) {
        if let Some(mut running) = self.shared.running.get_mut(&self.id) {
            running.held = false;
        }
    }
}

impl Registry {
    pub(super) fn enter(&self, org: OrgId, id: SessionId, control: Arc<Control>) -> Live {
        self.shared.running.insert(id, Running { org, control, admitted: None, held: false, key: None });
        Live { shared: Arc::clone(&self.shared), id }
    }

    /// The session is allowed: from now on it is asked about again and again.
    pub(super) fn admit(
        &self,
        context: &Arc<SessionContext>,
        passes: Vec<Pass>,
        jumps: Vec<ResourceRole>,
        agreed: Option<Arc<str>>,
    ) {
        if let Some(mut running) = self.shared.running.get_mut(&context.id) {
            let context = Arc::clone(context);
            running.admitted = Some(Known { context, passes: passes.into(), jumps: jumps.into(), agreed });
        }
    }

    /// The session waits until somebody agrees, or what is given is dropped.
    pub(super) fn hold(&self, id: SessionId) -> Waits {
        if let Some(mut running) = self.shared.running.get_mut(&id) {
            running.held = true;
        }
        Waits { shared: Arc::clone(&self.shared), id }
    }

    /// Ends the sessions that wait until somebody agrees.
    pub(super) fn end_held(&self, why: &Denial) {
        for running in self.shared.running.iter().filter(|running| running.held) {
            running.control.end(why.clone());
        }
    }

    /// The sessions that were allowed.
    pub(super) fn admitted(&self) -> Vec<Admitted> {
        self.shared.running.iter().filter_map(|running| running.as_admitted()).collect()
    }

    /// The session, where it was allowed and runs.
    pub(super) fn admitted_one(&self, id: SessionId) -> Option<Admitted> {
        self.shared.running.get(&id)?.as_admitted()
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
