//! Whether what a rule asks of the caller is met.

use hoop_core::{AccessRequest, Code, Denial, Obligations, ResourceKind, ResourceRole};

/// Sees whether the obligations of a session that is to be opened, or runs, are met.
///
/// # Errors
/// The refusal, for the first that is not.
pub(crate) fn unmet(ask: &AccessRequest<'_>, obligations: &Obligations) -> Result<(), Denial> {
    let rule = match &obligations.rule {
        Some(rule) => format!("access rule {rule}"),
        None => "the access policy".to_owned(),
    };
    if let Some(group) = &obligations.review {
        let reason = format!(
            "{rule} allows role {} only if somebody of group {group} agrees, and this gateway has no reviews",
            ask.role.name
        );
        return Err(Denial::new(rule, Code::AccessDenied, reason).hint("ask an administrator for another rule"));
    }
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

/// How a client of this kind of resource gives a reason.
fn how_to_say(role: &ResourceRole) -> &'static str {
    match role.kind() {
        ResourceKind::Postgres => {
            r"connect with PGOPTIONS='-c hoop.reason=why\ you\ need\ it', or with the connection parameter options"
        }
        _ => "give a reason when you connect",
    }
}
