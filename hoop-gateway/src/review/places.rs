//! How many sessions may wait at once, of everybody and of each.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use hoop_core::id::UserId;
use hoop_core::{Code, Denial};
use parking_lot::Mutex;

use super::BY;

/// The places of those who wait.
pub(super) struct Places {
    most: usize,
    most_of_a_user: u32,
    taken: Mutex<HashMap<UserId, u32>>,
}

/// A place. Dropping it gives the place up.
pub(crate) struct Place {
    places: Arc<Places>,
    user: UserId,
}

impl Places {
    pub(super) fn new(most: usize, most_of_a_user: u32) -> Self {
        Self { most, most_of_a_user, taken: Mutex::default() }
    }

    pub(super) fn take(self: Arc<Self>, user: UserId) -> Result<Place, Denial> {
        let full = |whose: &str| {
            let reason = format!("too much{whose} waits for a review already");
            Denial::new(BY, Code::Throttled, reason).hint("try again when some of them were decided on")
        };
        let mut taken = self.taken.lock();
        let all: usize = taken.values().map(|own| *own as usize).sum();
        let own = taken.get(&user).copied().unwrap_or_default();
        if own >= self.most_of_a_user {
            return Err(full(" of yours"));
        }
        if all >= self.most {
            return Err(full(""));
        }
        taken.insert(user, own + 1);
        drop(taken);
        Ok(Place { places: self, user })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut own) = self.places.taken.lock().entry(self.user) {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}
