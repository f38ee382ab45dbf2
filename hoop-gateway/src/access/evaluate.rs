//! What the rules say to a question. Nothing here looks anything up.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hoop_core::role::matches_wildcard;
use hoop_core::{AccessMode, AccessRequest, Code, Denial, Obligations, PrincipalKind, ResourceRole};
use serde::Serialize;

use super::rule::{Effect, RuleDefinition, SubjectKind, Subjects};
use crate::store::{User, UserKind};

/// May this user use this role, in this mode, from here, at this time?
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Who, as of now.
    pub user: &'a User,
    /// What kind of caller that is.
    pub kind: SubjectKind,
    /// For what, as it is now.
    pub role: &'a ResourceRole,
    /// To use it how.
    pub mode: AccessMode,
    /// From which address, where one is known.
    pub source: Option<IpAddr>,
    /// When.
    pub at: DateTime<Utc>,
    /// What for, where it was said.
    pub reason: Option<&'a str>,
    /// Since when the session runs that is asked about.
    pub since: Option<DateTime<Utc>>,
}

impl<'a> Question<'a> {
    /// The question of a request, about its user and role as they are now.
    pub fn of(ask: &AccessRequest<'a>, user: &'a User, role: &'a ResourceRole) -> Self {
        let AccessRequest { principal, mode, source, at, reason, since, .. } = *ask;
        Self { user, kind: SubjectKind::of(principal.kind, user.kind), role, mode, source, at, reason, since }
    }
}

impl SubjectKind {
    /// The kind of a caller.
    pub const fn of(principal: PrincipalKind, user: UserKind) -> Self {
        match (principal, user) {
            (PrincipalKind::ServiceAccount, _) => Self::ServiceAccount,
            (PrincipalKind::User, UserKind::Admin) => Self::Admin,
            (PrincipalKind::User, UserKind::Auditor) => Self::Auditor,
            (PrincipalKind::User, UserKind::Member) => Self::Member,
        }
    }
}

/// What the rules say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling<'r> {
    /// A rule allows it, under these obligations.
    Allowed(&'r RuleDefinition, Obligations),
    /// A rule denies it.
    Denied(&'r RuleDefinition),
    /// No rule allows it; this one would, but for one thing.
    Unruled(Option<(&'r RuleDefinition, Mismatch)>),
}

/// The first thing in which a question is not what a rule is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mismatch {
    /// The rule does not count.
    Disabled,
    /// Another user.
    Subject,
    /// Another role.
    Role,
    /// Another mode.
    Mode,
    /// From elsewhere.
    Source,
    /// Too early for the rule.
    NotYet,
    /// Too late for the rule.
    Over,
    /// At another time of the week.
    Time,
}

/// Asks all rules. The order in which they come makes no difference.
pub fn evaluate<'r>(rules: impl IntoIterator<Item = &'r RuleDefinition>, question: &Question<'_>) -> Ruling<'r> {
    let (mut denies, mut allows, mut close) = (None, None, None);
    for rule in rules {
        match (mismatch(rule, question), rule.effect) {
            (None, Effect::Deny) => keep(&mut denies, rule.name.as_str(), rule),
            (None, Effect::Allow) => keep(&mut allows, burden(rule, question), rule),
            (Some(mismatch), Effect::Allow) if mismatch.is_condition() => {
                keep(&mut close, rule.name.as_str(), (rule, mismatch));
            }
            (Some(_), _) => {}
        }
    }
    match (denies, allows) {
        (Some((_, rule)), _) => Ruling::Denied(rule),
        (None, Some((_, rule))) => Ruling::Allowed(rule, obligations(rule, question)),
        (None, None) => Ruling::Unruled(close.map(|(_, close)| close)),
    }
}

/// Keeps what has the smaller key.
fn keep<K: Ord, T>(kept: &mut Option<(K, T)>, key: K, value: T) {
    if kept.as_ref().is_none_or(|(known, _)| key < *known) {
        *kept = Some((key, value));
    }
}

/// How much a rule asks of the caller. Of the rules that match, the one decides that asks least, and of equals the first
/// by name.
fn burden<'r>(rule: &'r RuleDefinition, question: &Question<'_>) -> (Open, Reverse<Duration>, &'r str) {
    let lasts = rule.obligations.max_duration();
    let open = if rule.obligations.review.is_some() {
        Open::Review
    } else if rule.obligations.reason && question.reason.is_none() {
        Open::Reason
    } else if ends_at(rule, question).is_some_and(|end| end <= question.at) {
        Open::Over
    } else {
        Open::Nothing
    };
    (open, Reverse(lasts.unwrap_or(Duration::MAX)), &rule.name)
}

/// What keeps a rule that allows from letting in at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Open {
    Nothing,
    Over,
    Reason,
    Review,
}

/// When a session ends that the rule allows.
fn ends_at(rule: &RuleDefinition, question: &Question<'_>) -> Option<DateTime<Utc>> {
    let lasts = TimeDelta::from_std(rule.obligations.max_duration()?).ok()?;
    question.since.unwrap_or(question.at).checked_add_signed(lasts)
}

fn obligations(rule: &RuleDefinition, question: &Question<'_>) -> Obligations {
    Obligations {
        rule: Some(Arc::from(rule.name.as_str())),
        reason: rule.obligations.reason,
        review: rule.obligations.review.as_ref().map(|review| Arc::from(review.group.as_str())),
        expires_at: ends_at(rule, question),
    }
}

/// Where the rule does not match; `None` when it does.
pub fn mismatch(rule: &RuleDefinition, question: &Question<'_>) -> Option<Mismatch> {
    let Question { at, .. } = *question;
    let conditions = &rule.conditions;
    let fails = [
        (Mismatch::Disabled, !rule.enabled),
        (Mismatch::Subject, !names(&rule.subjects, question)),
        (Mismatch::Role, !is_for(rule, question.role)),
        (Mismatch::Mode, !rule.modes.contains(&question.mode)),
        (Mismatch::Source, !comes_from(rule, question.source)),
        (Mismatch::NotYet, conditions.valid_from.is_some_and(|from| at < from)),
        (Mismatch::Over, conditions.valid_until.is_some_and(|until| at >= until)),
        (Mismatch::Time, !conditions.times.is_empty() && !conditions.times.iter().any(|time| time.contains(at))),
    ];
    fails.into_iter().find(|(_, fails)| *fails).map(|(mismatch, _)| mismatch)
}

fn names(subjects: &Subjects, question: &Question<'_>) -> bool {
    let user = question.user;
    let of_their_kind = match question.kind {
        SubjectKind::ServiceAccount => &subjects.service_accounts,
        SubjectKind::Admin | SubjectKind::Auditor | SubjectKind::Member => &subjects.users,
    };
    subjects.everyone
        || of_their_kind.contains(&user.name)
        || subjects.kinds.contains(&question.kind)
        || user.groups.iter().any(|group| subjects.groups.contains(group))
}

fn is_for(rule: &RuleDefinition, role: &ResourceRole) -> bool {
    let wanted = &rule.roles;
    let named = wanted.names.is_empty() || wanted.names.iter().any(|name| matches_wildcard(name, &role.name));
    let labelled = wanted.labels.iter().all(|(label, value)| role.labels.get(label) == Some(value));
    let of_kind = wanted.kinds.is_empty() || wanted.kinds.contains(&role.kind());
    let says_something = !(wanted.names.is_empty() && wanted.labels.is_empty() && wanted.kinds.is_empty());
    says_something && named && labelled && of_kind
}

fn comes_from(rule: &RuleDefinition, source: Option<IpAddr>) -> bool {
    let networks = &rule.conditions.sources;
    match source.map(|source| source.to_canonical()) {
        _ if networks.is_empty() => true,
        Some(source) => networks.iter().any(|network| network.contains(&source)),
        // Where the caller is cannot be told: the rule must not let in, and must keep out.
        None => rule.effect == Effect::Deny,
    }
}

impl Mismatch {
    /// Whether the rule is for this user and this role, and only the circumstances are others.
    pub const fn is_condition(self) -> bool {
        matches!(self, Self::Mode | Self::Source | Self::NotYet | Self::Over | Self::Time)
    }

    /// In words, as the rest of a sentence that begins with the rule.
    pub fn why(self, rule: &RuleDefinition, question: &Question<'_>) -> String {
        let time = |time: Option<DateTime<Utc>>| time.unwrap_or_default().format("%Y-%m-%d %H:%M UTC").to_string();
        let list = |items: Vec<String>| items.join(", ");
        match self {
            Self::Disabled => "is disabled".to_owned(),
            Self::Subject => format!("is not for user {}", question.user.name),
            Self::Role => format!("is not for role {}", question.role.name),
            Self::Mode => {
                let modes = list(rule.modes.iter().map(|mode| mode.as_str().to_owned()).collect());
                format!("is for access mode {modes}, and not for {}", question.mode.as_str())
            }
            Self::Source => {
                let networks = list(rule.conditions.sources.iter().map(ToString::to_string).collect());
                match question.source {
                    Some(source) => format!("is for callers from {networks}, and not from {}", source.to_canonical()),
                    None => format!("is for callers from {networks}, and this one's address is not known"),
                }
            }
            Self::NotYet => format!("holds from {} on", time(rule.conditions.valid_from)),
            Self::Over => format!("held until {}", time(rule.conditions.valid_until)),
            Self::Time => {
                let times = list(rule.conditions.times.iter().map(ToString::to_string).collect());
                format!("holds {times}, and not at {}", time(Some(question.at)))
            }
        }
    }
}

impl Ruling<'_> {
    /// The refusal; `None` when a rule allows it.
    pub fn denial(&self, question: &Question<'_>) -> Option<Denial> {
        let (user, role) = (&question.user.name, &question.role.name);
        Some(match self {
            Self::Allowed(..) => return None,
            Self::Denied(rule) => {
                let reason = format!("access rule {} denies user {user} role {role}", rule.name);
                let hint = match rule.description.as_str() {
                    "" => "ask an administrator about this rule",
                    description => description,
                };
                Denial::new(format!("access rule {}", rule.name), Code::AccessDenied, reason).hint(hint)
            }
            Self::Unruled(Some((rule, mismatch))) => {
                let why = mismatch.why(rule, question);
                let reason = format!("user {user} may not use role {role} now: access rule {} {why}", rule.name);
                Denial::new("access policy", Code::AccessDenied, reason)
                    .hint("connect when and as the rule says, or ask an administrator")
            }
            Self::Unruled(None) => {
                let reason = format!("user {user} may not use role {role}: no access rule allows it");
                Denial::new("access policy", Code::AccessDenied, reason)
                    .hint("ask an administrator for an access rule, or to add you to a group that one is for")
            }
        })
    }
}

/// A rule's part in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Explained {
    /// Its name.
    pub rule: String,
    /// What it does to whom it matches.
    pub effect: Effect,
    /// Whether it matches.
    pub matches: bool,
    /// Why it does or does not, as the rest of a sentence that begins with the rule.
    pub why: String,
    /// Whether it is about another user or another role altogether.
    #[serde(skip)]
    pub is_elsewhere: bool,
}

/// What each rule has to say, in their order.
pub fn explain<'r>(
    rules: impl IntoIterator<Item = &'r RuleDefinition>,
    question: &Question<'_>,
) -> impl Iterator<Item = Explained> {
    rules.into_iter().map(|rule| {
        let mismatch = mismatch(rule, question);
        Explained {
            rule: rule.name.clone(),
            effect: rule.effect,
            matches: mismatch.is_none(),
            why: mismatch.map_or_else(|| matches(rule), |mismatch| mismatch.why(rule, question)),
            is_elsewhere: mismatch.is_some_and(|mismatch| !mismatch.is_condition()),
        }
    })
}

fn matches(rule: &RuleDefinition) -> String {
    if rule.effect == Effect::Deny {
        return "denies it".to_owned();
    }
    let asks = &rule.obligations;
    let reason = asks.reason.then(|| "a reason is given".to_owned());
    let review = asks.review.as_ref().map(|review| format!("somebody of group {} agrees", review.group));
    let lasts = asks.max_duration_seconds.map(|seconds| format!("it ends after {seconds} seconds"));
    let asks: Vec<_> = [reason, review, lasts].into_iter().flatten().collect();
    if asks.is_empty() { "allows it".to_owned() } else { format!("allows it, if {}", asks.join(" and ")) }
}
