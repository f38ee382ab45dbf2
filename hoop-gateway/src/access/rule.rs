//! What a rule says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use hoop_core::id::{AccessRuleId, OrgId};
use hoop_core::{AccessMode, ResourceKind};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::window::TimeWindow;
use crate::api::{SLUG, is_slug};
use crate::store::Role;

/// Most names, networks, labels or windows in one list of a rule.
pub const MAX_ITEMS: usize = 256;
/// Most rules of an organisation.
pub const MAX_RULES: usize = 1000;
/// Longest description, in characters.
const MAX_DESCRIPTION: usize = 1024;
/// Longest name of a subject or a role, or part of a label, in characters.
const MAX_NAME: usize = 128;
/// Longest time box: a year.
const MAX_DURATION: Duration = Duration::from_secs(366 * 24 * 3600);

/// An access rule, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    /// The organisation.
    pub org: OrgId,
    /// The lasting identity.
    pub id: AccessRuleId,
    /// What it says.
    pub definition: RuleDefinition,
    /// When it was added.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// What an access rule says. It matches a question when every part of it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccessRuleDefinition)]
pub struct RuleDefinition {
    /// The name, unique in the organisation; it stands in refusals.
    pub name: String,
    /// For people; whoever the rule denies is told it.
    #[serde(default)]
    pub description: String,
    /// Whether it counts.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What it does to whom it matches.
    pub effect: Effect,
    /// Whom it is for.
    pub subjects: Subjects,
    /// What it is for.
    pub roles: Roles,
    /// In which modes; all of them unless given.
    #[serde(default = "all_modes")]
    pub modes: Vec<AccessMode>,
    /// When and from where.
    #[serde(default)]
    pub conditions: Conditions,
    /// What it asks of whom it allows.
    #[serde(default)]
    pub obligations: Asks,
}

const fn yes() -> bool {
    true
}

fn all_modes() -> Vec<AccessMode> {
    AccessMode::ALL.to_vec()
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It lets in.
    Allow,
    /// It keeps out, whatever other rules allow.
    Deny,
}

/// Whom a rule is for: whoever one of these names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = AccessRuleSubjects)]
pub struct Subjects {
    /// Everyone.
    pub everyone: bool,
    /// Members of these groups.
    pub groups: BTreeSet<String>,
    /// People of these names.
    pub users: BTreeSet<String>,
    /// Programs of these names.
    pub service_accounts: BTreeSet<String>,
    /// Whoever is of one of these kinds.
    pub kinds: BTreeSet<SubjectKind>,
}

/// The kinds of callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    /// People who may change the gateway.
    Admin,
    /// People who may see everything in it.
    Auditor,
    /// Other people.
    Member,
    /// Programs.
    ServiceAccount,
}

/// What a rule is for: roles of which all that is given here is true. Something must be given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = AccessRuleRoles)]
pub struct Roles {
    /// The role has one of these names; `*` stands for any run of characters.
    pub names: BTreeSet<String>,
    /// The role has all of these labels.
    pub labels: BTreeMap<String, String>,
    /// The role's resource is of one of these kinds.
    pub kinds: Vec<ResourceKind>,
}

/// When and from where a rule matches: all that is given here must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = AccessRuleConditions)]
pub struct Conditions {
    /// Within one of these.
    pub times: Vec<TimeWindow>,
    /// From one of these networks. Of a caller whose address is not known, no rule that allows holds, and every one that
    /// denies.
    #[schema(value_type = Vec<String>)]
    pub sources: Vec<IpNet>,
    /// From this time on.
    pub valid_from: Option<DateTime<Utc>>,
    /// Up to this time, and not at it.
    pub valid_until: Option<DateTime<Utc>>,
}

/// What a rule asks of whom it allows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = AccessRuleObligations)]
pub struct Asks {
    /// To say what for.
    pub reason: bool,
    /// That somebody agrees.
    pub review: Option<Review>,
    /// To be done after so many seconds.
    pub max_duration_seconds: Option<u32>,
}

/// Who must agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccessRuleReview)]
pub struct Review {
    /// A member of this group.
    pub group: String,
}

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {detail}")]
pub struct Invalid {
    /// The field, as a JSON pointer.
    pub pointer: &'static str,
    /// What is wrong with it.
    pub detail: String,
}

fn invalid(pointer: &'static str, detail: impl Into<String>) -> Result<(), Invalid> {
    Err(Invalid { pointer, detail: detail.into() })
}

impl RuleDefinition {
    /// The rule that the groups of a role are; `None` where it has none.
    pub fn of_role(role: &Role) -> Option<Self> {
        let everyone = role.allowed_groups.iter().any(|group| group == "*");
        let groups = role.allowed_groups.iter().filter(|group| *group != "*").cloned().collect();
        let names = BTreeSet::from([role.role.name.to_string()]);
        (!role.allowed_groups.is_empty()).then(|| Self {
            // No rule of an administrator's can have this name.
            name: format!("role:{}", role.role.name),
            description: String::new(),
            enabled: true,
            effect: Effect::Allow,
            subjects: Subjects { everyone, groups, ..Subjects::default() },
            roles: Roles { names, ..Roles::default() },
            modes: all_modes(),
            conditions: Conditions::default(),
            obligations: Asks::default(),
        })
    }

    /// The groups that it names.
    pub fn groups(&self) -> impl Iterator<Item = &String> {
        self.subjects.groups.iter().chain(self.obligations.review.as_ref().map(|review| &review.group))
    }

    /// Whether it can be stored.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn check(&self) -> Result<(), Invalid> {
        if !is_slug(&self.name) {
            return invalid("/name", SLUG);
        }
        if self.description.chars().count() > MAX_DESCRIPTION {
            return invalid("/description", format!("has at most {MAX_DESCRIPTION} characters"));
        }
        if self.modes.is_empty() || self.modes.len() > AccessMode::ALL.len() {
            return invalid("/modes", "name each mode once, or leave it out for all of them");
        }
        self.subjects.check()?;
        self.roles.check()?;
        self.conditions.check()?;
        self.obligations.check(self.effect)
    }
}

impl Subjects {
    fn check(&self) -> Result<(), Invalid> {
        names("/subjects/groups", &self.groups)?;
        names("/subjects/users", &self.users)?;
        names("/subjects/service_accounts", &self.service_accounts)?;
        let some = [&self.groups, &self.users, &self.service_accounts].iter().any(|names| !names.is_empty());
        if !(self.everyone || some || !self.kinds.is_empty()) {
            return invalid("/subjects", "nobody is named; name somebody, or say \"everyone\": true");
        }
        Ok(())
    }
}

impl Roles {
    fn check(&self) -> Result<(), Invalid> {
        names("/roles/names", &self.names)?;
        names("/roles/labels", self.labels.keys())?;
        names("/roles/labels", self.labels.values())?;
        if self.kinds.len() > MAX_ITEMS {
            return invalid("/roles/kinds", format!("a list has at most {MAX_ITEMS} items"));
        }
        if self.names.is_empty() && self.labels.is_empty() && self.kinds.is_empty() {
            return invalid("/roles", "no role is named; \"names\": [\"*\"] stands for all of them");
        }
        Ok(())
    }
}

impl Conditions {
    fn check(&self) -> Result<(), Invalid> {
        if self.times.len() > MAX_ITEMS || self.sources.len() > MAX_ITEMS {
            return invalid("/conditions", format!("a list has at most {MAX_ITEMS} items"));
        }
        for window in &self.times {
            window.check().or_else(|detail| invalid("/conditions/times", detail))?;
        }
        // Callers are known by their IPv4 address: such a network would match nobody.
        let mapped = |net: &IpNet| matches!(net, IpNet::V6(net) if net.addr().to_ipv4_mapped().is_some());
        if let Some(net) = self.sources.iter().find(|net| mapped(net)) {
            return invalid("/conditions/sources", format!("{net} stands for an IPv4 network; write it as one"));
        }
        match (self.valid_from, self.valid_until) {
            (Some(from), Some(until)) if until <= from => {
                invalid("/conditions/valid_until", "must be later than valid_from")
            }
            _ => Ok(()),
        }
    }
}

impl Asks {
    /// The longest that a session may last.
    pub fn max_duration(&self) -> Option<Duration> {
        self.max_duration_seconds.map(|seconds| Duration::from_secs(seconds.into()))
    }

    fn check(&self, effect: Effect) -> Result<(), Invalid> {
        if effect == Effect::Deny && *self != Self::default() {
            return invalid("/obligations", "a rule that denies asks nothing");
        }
        if let Some(review) = &self.review {
            names("/obligations/review/group", [&review.group])?;
        }
        match self.max_duration() {
            Some(Duration::ZERO) => invalid("/obligations/max_duration_seconds", "must not be 0"),
            Some(duration) if duration > MAX_DURATION => {
                invalid("/obligations/max_duration_seconds", format!("is at most {}", MAX_DURATION.as_secs()))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a list of names is short, and each of a form that nothing stumbles over.
fn names<'a>(pointer: &'static str, names: impl IntoIterator<Item = &'a String>) -> Result<(), Invalid> {
    let mut count = 0;
    for name in names {
        count += 1;
        let fits = (1..=MAX_NAME).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        if !fits || name.trim() != name {
            return invalid(
                pointer,
                format!("a name has 1 to {MAX_NAME} characters, none of them a control character"),
            );
        }
    }
    if count > MAX_ITEMS { invalid(pointer, format!("a list has at most {MAX_ITEMS} items")) } else { Ok(()) }
}
