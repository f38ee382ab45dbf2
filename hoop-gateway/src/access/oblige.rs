//! Whether what a rule asks of the caller is met.

use hoop_core::{AccessRequest, Code, Denial, Obligations, ResourceKind, ResourceRole};

/// Sees whether the obligations of a session that is to be opened, or runs, are met: all that the caller can meet alone.
///
/// # Errors
/// The refusal, for the first that is not.
pub(crate) fn unmet(ask: &AccessRequest<'_>, obligations: &Obligations) -> Result<(), Denial> {
    let rule = by(obligations);
    if obligations.reason && ask.reason.is_none() {
        let reason = format!("{rule} asks what you need role {} for", ask.role.name);
        return Err(Denial::new(rule, Code::ReasonRequired, reason).hint(how_to_say(ask.role)));
    }
    if obligations.expires_at.is_some_and(|end| end <= ask.at) {
        return Err(Denial::new(rule, Code::SessionExpired, "the time that was granted for this session is over")
            .hint("ask for access again"));
    }
    Ok(())
}

/// The refusal of whoever needs somebody else's agreement, and has it not.
///
/// # Errors
/// [`Code::ReviewRequired`].
pub(crate) fn unreviewed(ask: &AccessRequest<'_>, obligations: &Obligations) -> Result<(), Denial> {
    let Some(group) = &obligations.review else { return Ok(()) };
    let (rule, role) = (by(obligations), &ask.role.name);
    let reason = format!("{rule} allows role {role} only if somebody of group {group} agrees");
    Err(Denial::new(rule, Code::ReviewRequired, reason).hint("whoever connects is told the review that waits for them"))
}

/// What obliges.
fn by(obligations: &Obligations) -> String {
    match &obligations.rule {
        Some(rule) => format!("access rule {rule}"),
        None => "the access policy".to_owned(),
    }
}

/// How a client of this kind of resource gives a reason.
fn how_to_say(role: &ResourceRole) -> &'static str {
    match role.kind() {
        ResourceKind::Postgres => {
            r"connect with PGOPTIONS='-c hoop.reason=why\ you\ need\ it', or with the connection parameter options"
        }
        _ => "give a reason when you connect",
    }
}
