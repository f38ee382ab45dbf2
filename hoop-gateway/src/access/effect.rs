//! What a change of the rules would do.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use hoop_core::AccessMode;
use serde::Serialize;

use super::evaluate::{Mismatch, Question, Ruling, evaluate, mismatch};
use super::rule::{RuleDefinition, SubjectKind};
use crate::auth::credential::principal;
use crate::store::{Role, User};

/// Most pairs of a user and a role that are looked at.
const MOST_PAIRS: usize = 20_000;
/// Most pairs that are told, for gains and losses each.
const MOST_TOLD: usize = 500;

/// The rules before and after a change, and for whom it is looked at.
pub struct Comparison {
    /// The rules as they are.
    pub before: Vec<RuleDefinition>,
    /// The rules as they would be.
    pub after: Vec<RuleDefinition>,
    /// The users, and whether these are all of them.
    pub users: (Vec<User>, bool),
    /// The roles, and whether these are all of them.
    pub roles: (Vec<Role>, bool),
    /// When; time windows count as of then.
    pub at: DateTime<Utc>,
    /// From where.
    pub source: Option<IpAddr>,
}

/// Who gains and who loses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = AccessChange)]
pub struct Change {
    /// What would be allowed and is not.
    pub gains: Vec<Reach>,
    /// What is allowed and would not be.
    pub losses: Vec<Reach>,
    /// Whether every user and role was looked at, and everything found is told.
    pub complete: bool,
}

/// What a user may reach, or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Reach {
    /// The user.
    pub user: String,
    /// The role.
    pub role: String,
    /// In which modes.
    pub modes: Vec<AccessMode>,
}

impl Comparison {
    /// Compares. Where a rule asks for a reason, it counts as given; what no one can meet is no access. It is work for
    /// a thread of its own: up to half a million evaluations.
    pub fn change(&self) -> Change {
        let touched = self.touched();
        let mut change = Change { gains: Vec::new(), losses: Vec::new(), complete: self.users.1 && self.roles.1 };
        let pairs = self.users.0.iter().flat_map(|user| self.roles.0.iter().map(move |role| (user, role)));
        let mut concerned = pairs
            .filter(|(user, _)| !user.disabled)
            .filter(|(user, role)| touched.iter().any(|rule| self.is_about(rule, user, role)));
        for (user, role) in concerned.by_ref().take(MOST_PAIRS) {
            let (gains, losses): (Vec<_>, Vec<_>) = AccessMode::ALL
                .into_iter()
                .map(|mode| {
                    (mode, self.allows(&self.before, user, role, mode), self.allows(&self.after, user, role, mode))
                })
                .filter(|(_, before, after)| before != after)
                .partition(|(_, _, after)| *after);
            for (found, told) in [(gains, &mut change.gains), (losses, &mut change.losses)] {
                let modes: Vec<_> = found.into_iter().map(|(mode, ..)| mode).collect();
                if modes.is_empty() {
                    continue;
                }
                if told.len() == MOST_TOLD {
                    change.complete = false;
                    continue;
                }
                told.push(Reach { user: user.name.clone(), role: role.role.name.to_string(), modes });
            }
        }
        change.complete &= concerned.next().is_none();
        change
    }

    /// The rules that are there only before or only after.
    fn touched(&self) -> Vec<&RuleDefinition> {
        let gone = self.before.iter().filter(|rule| !self.after.contains(rule));
        gone.chain(self.after.iter().filter(|rule| !self.before.contains(rule))).collect()
    }

    fn is_about(&self, rule: &RuleDefinition, user: &User, role: &Role) -> bool {
        let question = self.question(user, role, AccessMode::Native);
        !matches!(mismatch(rule, &question), Some(Mismatch::Subject | Mismatch::Role | Mismatch::Disabled))
    }

    fn allows(&self, rules: &[RuleDefinition], user: &User, role: &Role, mode: AccessMode) -> bool {
        let own = RuleDefinition::of_role(role);
        let ruling = evaluate(rules.iter().chain(&own), &self.question(user, role, mode));
        matches!(ruling, Ruling::Allowed(_, obligations) if obligations.review.is_none())
    }

    fn question<'a>(&self, user: &'a User, role: &'a Role, mode: AccessMode) -> Question<'a> {
        let kind = SubjectKind::of(principal(user.clone()).kind, user.kind);
        let (at, source, reason) = (self.at, self.source, Some("to see what would change"));
        Question { user, kind, role: &role.role, mode, source, at, reason, since: None }
    }
}
