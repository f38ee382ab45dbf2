//! The roles through which an SSH role is reached.

use hoop_core::role::SshTarget;
use hoop_core::{Code, Denial, ResourceRole, Target};
use hoop_proto::tunnel::v1::{self, open};

use super::Sessions;
use super::target::ssh_target;
use crate::auth::token::unavailable;
use crate::secrets::SealedSecrets;
use crate::store::in_time;

/// The role that this one names as its jump host.
pub(crate) fn jump_of(role: &ResourceRole) -> Option<&str> {
    match &role.target {
        Target::Ssh(target) => target.jump.as_deref(),
        _ => None,
    }
}

/// Whether `role` can be reached through `jump`, after which there are `so_far` others on the way from it.
///
/// # Errors
/// What is wrong, as a clause.
pub(crate) fn fits(role: &ResourceRole, jump: &ResourceRole, so_far: usize) -> Result<(), String> {
    if !matches!(jump.target, Target::Ssh(_)) {
        return Err(format!("role {} is not reached over SSH", jump.name));
    }
    if jump.agent != role.agent {
        return Err(format!("role {} has another agent than role {}", jump.name, role.name));
    }
    if so_far >= SshTarget::MOST_JUMPS {
        return Err(format!("a role is reached through at most {} others", SshTarget::MOST_JUMPS));
    }
    Ok(())
}

impl Sessions {
    /// The roles through which this one is reached, the nearest to it first.
    ///
    /// # Errors
    /// A [`Denial`] when one of them is not there or does not fit, or the store does not answer.
    pub(super) async fn jumps(&self, role: &ResourceRole) -> Result<Vec<ResourceRole>, Denial> {
        let mut jumps: Vec<ResourceRole> = Vec::new();
        let mut next = jump_of(role).map(str::to_owned);
        while let Some(name) = next {
            let found = in_time(self.parts().store.roles().by_name(role.org, &name)).await.map_err(unavailable)?;
            let jump = match found {
                Some(found) => fits(role, &found.role, jumps.len()).map(|()| found.role),
                None => Err(format!("there is no role {name}")),
            };
            let jump = jump.map_err(|why| {
                let reason = format!("role {} has no way to its machine: {why}", role.name);
                Denial::new("gateway", Code::TargetUnavailable, reason).hint("ask an administrator to correct its jump")
            })?;
            next = jump_of(&jump).map(str::to_owned);
            jumps.push(jump);
        }
        Ok(jumps)
    }

    /// The secrets of a role that the gateway keeps, and those of the roles through which it is reached.
    pub(super) async fn secrets(&self, role: &ResourceRole, jumps: &[ResourceRole]) -> Result<SealedSecrets, Denial> {
        let keeper = &self.parts().secrets;
        let mut secrets: Option<SealedSecrets> = None;
        for role in jumps.iter().rev().chain(std::iter::once(role)) {
            let own = keeper.of_role(role).await?;
            secrets = Some(match secrets {
                Some(jump) => own.through(jump),
                None => own,
            });
        }
        match secrets {
            Some(secrets) => Ok(secrets),
            None => keeper.of_role(role).await,
        }
    }
}

/// The target, reached through these roles.
pub(super) fn through(target: open::Target, jumps: &[ResourceRole]) -> open::Target {
    let targets = jumps.iter().rev().filter_map(|jump| match &jump.target {
        Target::Ssh(target) => Some(ssh_target(target)),
        _ => None,
    });
    let jump =
        targets.fold(None, |jump: Option<Box<v1::SshTarget>>, target| Some(Box::new(v1::SshTarget { jump, ..target })));
    match target {
        open::Target::Ssh(target) => open::Target::Ssh(v1::SshTarget { jump, ..target }),
        other => other,
    }
}
