//! Whether an SSH role can be reached through the one that it names, and those that are reached through it still can. Roles that
//! are not there are no fault: what a file describes comes in any order. A session looks again.

use std::collections::HashMap;

use hoop_core::{Code, ResourceRole};

use super::parts::Api;
use super::problem::Problem;
use crate::session::{fits, jump_of};

/// Roles that are read at once.
const PAGE: u32 = 200;

/// Checks a role before it is stored.
///
/// # Errors
/// A loop, a way through too many, or one through another kind of role or another agent.
pub(super) async fn check(api: &Api, role: &ResourceRole) -> Result<(), Problem> {
    // Without a jump host of its own it makes no way longer.
    let Some(jump) = jump_of(role) else { return Ok(()) };
    if jump == &*role.name {
        return Err(wrong("a role is not reached through itself"));
    }
    let all = all(api, role).await?;
    way(role, &all)?;
    // Whichever comes through this role has become longer with it.
    all.values().filter(|other| jump_of(other).is_some() && other.name != role.name).try_for_each(|other| {
        let passes = names(other, &all).any(|name| name == &*role.name);
        if passes { way(other, &all) } else { Ok(()) }
    })
}

/// Checks a role before it is deleted: the others would be reached through whichever role gets its name next.
///
/// # Errors
/// Roles that name it as their jump host.
pub(super) async fn no_role_passes(api: &Api, role: &ResourceRole) -> Result<(), Problem> {
    let all = all(api, role).await?;
    let passing = all.values().filter(|other| other.name != role.name && jump_of(other) == Some(&role.name));
    let mut passing: Vec<&str> = passing.map(|other| &*other.name).collect();
    passing.sort_unstable();
    let Some(first) = passing.first() else { return Ok(()) };
    let reason = format!("roles are reached through role {}: {}", role.name, passing.join(", "));
    Err(Problem::new(Code::Conflict, reason).hint(format!(
        "give each another target.jump, or none, with hoop admin roles update {first} -f FILE, or delete it first"
    )))
}

fn wrong(why: impl Into<String>) -> Problem {
    Problem::field("/target/jump", why)
}

/// All SSH roles that are or name a jump host, with `role` as it is to be.
async fn all(api: &Api, role: &ResourceRole) -> Result<HashMap<String, ResourceRole>, Problem> {
    let mut all = HashMap::new();
    let mut after: Option<String> = None;
    loop {
        let page = api.store.roles().list(role.org, after.as_deref(), PAGE).await?;
        after = page.items.last().map(|last| last.role.name.to_string());
        all.extend(page.items.into_iter().map(|stored| (stored.role.name.to_string(), stored.role)));
        if !page.more {
            break;
        }
    }
    all.insert(role.name.to_string(), role.clone());
    Ok(all)
}

/// The roles on the way to one, no more than there are.
fn names<'a>(role: &'a ResourceRole, all: &'a HashMap<String, ResourceRole>) -> impl Iterator<Item = &'a str> {
    let next = |name: &&'a str| all.get(*name).and_then(jump_of);
    std::iter::successors(jump_of(role), next).take(all.len())
}

fn way(role: &ResourceRole, all: &HashMap<String, ResourceRole>) -> Result<(), Problem> {
    for (so_far, name) in names(role, all).enumerate() {
        if name == &*role.name {
            return Err(wrong(format!("role {name} is then reached through itself")));
        }
        if let Some(jump) = all.get(name) {
            fits(role, jump, so_far).map_err(wrong)?;
        }
    }
    Ok(())
}
