//! `/api/v1/access/check`: whether somebody may use a role, and why.

use std::net::IpAddr;

use axum::extract::State;
use chrono::{DateTime, Utc};
use hoop_core::{AccessMode, AccessRequest, Code, Decision, Denial, Obligations};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::evaluate::{Explained, Question, explain};
use crate::access::{RuleDefinition, unmet, unreviewed};
use crate::api::body::Body;
use crate::api::describe::Found;
use crate::api::parts::Api;
use crate::api::problem::Problem;
use crate::api::roles::no_role;
use crate::api::route::{Caller, Source};
use crate::auth::credential::principal;
use crate::store::User;

/// A question: may this user use this role?
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccessCheck)]
pub(super) struct Check {
    /// The caller, unless given.
    user: Option<String>,
    role: String,
    #[serde(default = "native")]
    mode: AccessMode,
    /// Where the caller is, unless given; for another user, nowhere that is known.
    #[schema(value_type = Option<String>)]
    source: Option<IpAddr>,
    at: Option<DateTime<Utc>>,
    reason: Option<String>,
}

const fn native() -> AccessMode {
    AccessMode::Native
}

#[derive(Serialize, ToSchema)]
#[schema(as = AccessAnswer)]
pub(super) struct Answer {
    user: String,
    role: String,
    mode: AccessMode,
    #[schema(value_type = Option<String>)]
    source: Option<IpAddr>,
    at: DateTime<Utc>,
    allowed: bool,
    /// What decided: an access rule, or none.
    by: String,
    /// Why not, where it is not allowed; and what may help.
    code: Option<&'static str>,
    reason: Option<String>,
    hint: Option<String>,
    obligations: Option<ObligationsView>,
    rules: Vec<Explained>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AccessObligations)]
struct ObligationsView {
    reason: bool,
    review: Option<String>,
    expires_at: Option<DateTime<Utc>>,
}

impl From<Obligations> for ObligationsView {
    fn from(obligations: Obligations) -> Self {
        let Obligations { reason, review, expires_at, .. } = obligations;
        Self { reason, review: review.map(|group| group.to_string()), expires_at }
    }
}

/// The decision is the one that a session would get. Who may not see everything may ask for themself, and hears of the
/// rules that are for them and the role.
pub(super) async fn check(
    State(api): State<Api>,
    source: Source,
    caller: Caller,
    Body(check): Body<Check>,
) -> Result<Found<Answer>, Problem> {
    let is_own = check.user.as_ref().is_none_or(|name| *name == caller.user.name);
    let user = if is_own { caller.user.clone() } else { other(&api, &caller, check.user.as_deref()).await? };
    let role = api.store.roles().by_name(caller.user.org, &check.role).await?.ok_or_else(|| no_role(&check.role))?;
    let source = check.source.or(source.0.map(|source| source.ip()).filter(|_| is_own));
    let (at, principal) = (check.at.unwrap_or_else(|| api.clock.now()), principal(user.clone()));
    let (mode, reason) = (check.mode, check.reason.as_deref());
    let ask = AccessRequest { principal: &principal, role: &role.role, mode, source, at, reason, since: None };

    let (obligations, denial) = decide(&api, &ask).await?;
    let (rules, own) = (api.access.rules(user.org), RuleDefinition::of_role(&role));
    let question = Question::of(&ask, &user, &role.role);
    let explained = explain(rules.iter().chain(&own), &question);
    let rules: Vec<_> = explained.filter(|rule| caller.scope().is_none() || !rule.is_elsewhere).collect();
    if denial.is_some() && caller.scope().is_some() && rules.is_empty() {
        return Err(no_role(&check.role));
    }
    Ok(Found(answer(&ask, obligations, denial, rules)))
}

/// Another user, for who may see everyone's access.
async fn other(api: &Api, caller: &Caller, name: Option<&str>) -> Result<User, Problem> {
    if caller.scope().is_some() {
        return Err(Problem::new(Code::AccessDenied, "others' access is for auditors and administrators to see")
            .hint("leave the user out to ask for yourself"));
    }
    let name = name.unwrap_or_default();
    let user = api.store.users().by_name(caller.user.org, name).await?;
    user.ok_or_else(|| Problem::not_found(format_args!("user {name}")))
}

fn answer(
    ask: &AccessRequest<'_>,
    obligations: Option<Obligations>,
    denial: Option<Denial>,
    rules: Vec<Explained>,
) -> Answer {
    let by = match (&denial, &obligations) {
        (Some(denial), _) => denial.by.to_string(),
        (None, Some(Obligations { rule: Some(rule), .. })) => format!("access rule {rule}"),
        _ => "access policy".to_owned(),
    };
    let allowed = denial.is_none();
    let (code, reason, hint) = match denial {
        Some(denial) => (Some(denial.code.as_str()), Some(denial.reason), denial.hint),
        None => (None, None, None),
    };
    Answer {
        user: ask.principal.name.to_string(),
        role: ask.role.name.to_string(),
        mode: ask.mode,
        source: ask.source,
        at: ask.at,
        allowed,
        by,
        code,
        reason,
        hint,
        obligations: obligations.map(Into::into),
        rules,
    }
}

/// The obligations of who is allowed, and the refusal of who is not, or does not meet them. Who needs a review is not let in
/// before it was decided on.
async fn decide(api: &Api, ask: &AccessRequest<'_>) -> Result<(Option<Obligations>, Option<Denial>), Problem> {
    match api.policy.decide(ask).await {
        Ok(Decision::Allow(obligations)) => {
            let denial = unmet(ask, &obligations).and_then(|()| unreviewed(ask, &obligations)).err();
            Ok((Some(obligations), denial))
        }
        Ok(Decision::Deny(denial)) => Ok((None, Some(denial))),
        Err(error) => Err(Denial::failed("access policy", error).with_code(Code::StoreUnavailable).into()),
    }
}
