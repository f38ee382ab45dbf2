//! Whether targets are well, as far as their roles have them checked: the gateway asks through the role's agent, with the role's login,
//! and keeps what came of it. A check refuses nobody, unless its role says so; it explains why a connection has failed.

mod run;

use std::collections::HashMap;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use hoop_core::id::RoleId;
use hoop_core::role::HttpHealth;
use hoop_core::{Code, Denial, ResourceRole, Target};
use parking_lot::RwLock;
use serde::Serialize;
use utoipa::ToSchema;

pub(crate) use run::Checks;

/// How targets are.
#[derive(Debug, Default)]
pub struct Health {
    known: RwLock<HashMap<RoleId, Known>>,
}

/// What is known of a role's target.
#[derive(Debug, Clone)]
struct Known {
    role: ResourceRole,
    checked: Checked,
}

/// How the checks of a target went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Checked {
    /// How it is.
    pub state: State,
    /// Why it is not well, or not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
    /// Since when it is like that.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub since: Option<DateTime<Utc>>,
    /// When the last check ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub checked_at: Option<DateTime<Utc>>,
}

/// How a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It answered the last check as it should.
    Healthy,
    /// It did not.
    Unhealthy,
    /// It was not asked: the gateway has begun just now, or its agent is away.
    Unknown,
}

/// The checks that a role wants.
pub(crate) const fn checks_of(role: &ResourceRole) -> Option<&HttpHealth> {
    match &role.target {
        Target::Http(target) => target.health.as_ref(),
        _ => None,
    }
}

/// Whether what is known of one is known of the other.
fn is_same(one: &ResourceRole, other: &ResourceRole) -> bool {
    one.agent == other.agent && one.target == other.target
}

impl Health {
    /// How the target of a role is; nothing where the role has no checks.
    pub fn of(&self, role: &ResourceRole) -> Option<Checked> {
        checks_of(role)?;
        let known = self.known.read();
        let checked = known.get(&role.id).filter(|known| is_same(&known.role, role)).map(|known| known.checked.clone());
        Some(checked.unwrap_or_else(|| Checked {
            state: State::Unknown,
            reason: Some("it was not checked yet".to_owned()),
            since: None,
            checked_at: None,
        }))
    }

    /// Why nobody may reach the target now, where its role says that a check decides that.
    pub(crate) fn refusal(&self, role: &ResourceRole) -> Option<Denial> {
        checks_of(role).filter(|checks| checks.blocks)?;
        let reason = self.unhealthy(role)?;
        let denial = Denial::new("gateway", Code::TargetUnhealthy, format!("the target is not well: {reason}"));
        Some(denial.hint("try again later, or ask whoever runs the service"))
    }

    /// A refusal because of the target, with what is known of it.
    pub(crate) fn explain(&self, role: &ResourceRole, denial: Denial) -> Denial {
        let is_its_fault = matches!(denial.code, Code::TargetUnavailable | Code::TargetTimeout | Code::TargetLost);
        let Some(reason) = is_its_fault.then(|| self.unhealthy(role)).flatten() else { return denial };
        let reason = format!("{}; its last check has failed as well: {reason}", denial.reason);
        Denial { code: Code::TargetUnhealthy, reason, ..denial }
    }

    fn unhealthy(&self, role: &ResourceRole) -> Option<String> {
        let checked = self.of(role).filter(|checked| checked.state == State::Unhealthy)?;
        let at = checked.checked_at.map(|at| at.format(" (%H:%M:%S UTC)").to_string()).unwrap_or_default();
        Some(checked.reason.unwrap_or_default() + &at)
    }

    fn note(&self, role: &ResourceRole, came: &Result<(), Denial>, now: DateTime<Utc>) {
        let (state, reason) = match came {
            Ok(()) => (State::Healthy, None),
            // Nothing of it says how the target is.
            Err(denial)
                if matches!(
                    denial.code,
                    Code::AgentUnavailable | Code::AgentLost | Code::StoreUnavailable | Code::GatewayDraining
                ) =>
            {
                (State::Unknown, Some(denial.reason.clone()))
            }
            Err(denial) => (State::Unhealthy, Some(denial.reason.clone())),
        };
        let before = self.of(role).filter(|before| before.state == state);
        if before.is_none() {
            tracing::info!(role = %role.name, ?state, reason, "a target's health has changed");
        }
        let since = before.and_then(|before| before.since).or(Some(now));
        let checked = Checked { state, reason, since, checked_at: Some(now) };
        self.known.write().insert(role.id, Known { role: role.clone(), checked });
    }

    /// Forgets all but these.
    fn keep(&self, roles: &HashMap<RoleId, ResourceRole>) {
        self.known.write().retain(|id, _| roles.contains_key(id));
    }

    /// In Prometheus' text format.
    pub(crate) fn render(&self) -> String {
        const NAME: &str = "hoop_target_healthy";
        let known = self.known.read();
        let mut text = String::new();
        for Known { role, checked } in known.values().filter(|known| known.checked.state != State::Unknown) {
            if text.is_empty() {
                let _ = write!(text, "# HELP {NAME} whether targets answered their last check\n# TYPE {NAME} gauge\n");
            }
            // A role's name has no character that must be escaped.
            let value = u8::from(checked.state == State::Healthy);
            let _ = writeln!(text, "{NAME}{{role=\"{}\"}} {value}", role.name);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hoop_core::id::OrgId;
    use hoop_core::{Clock as _, RecordingMode, SystemClock};

    use super::*;

    fn role(health: &str) -> ResourceRole {
        let target = format!(r#"{{"kind":"http","url":"http://app","health":{health}}}"#);
        ResourceRole {
            id: RoleId::new(&SystemClock),
            org: OrgId::DEFAULT,
            name: "app".into(),
            agent: "here".into(),
            target: serde_json::from_str(&target).expect("a target"),
            labels: BTreeMap::new(),
            recording: RecordingMode::Default,
            plugins: BTreeMap::new(),
        }
    }

    fn failed(code: Code) -> Denial {
        Denial::new("x", code, "it is away")
    }

    #[test]
    fn a_check_explains_and_refuses_where_the_role_says_so() {
        let health = Health::default();
        for (settings, blocks) in [("{}", false), (r#"{"blocks":true}"#, true)] {
            let role = role(settings);
            assert_eq!(health.of(&role).map(|checked| checked.state), Some(State::Unknown));
            assert!(health.refusal(&role).is_none());
            health.note(&role, &Err(failed(Code::TargetUnavailable)), SystemClock.now());
            assert_eq!(health.refusal(&role).is_some(), blocks, "{settings}");
            let told = health.explain(&role, failed(Code::TargetLost));
            assert_eq!(told.code, Code::TargetUnhealthy);
            assert!(told.reason.starts_with("it is away; its last check has failed as well: it is away ("), "{told}");
            assert_eq!(health.explain(&role, failed(Code::RequestDenied)).code, Code::RequestDenied);
            health.note(&role, &Ok(()), SystemClock.now());
            assert!(health.refusal(&role).is_none());
            assert_eq!(health.explain(&role, failed(Code::TargetLost)).code, Code::TargetLost);
        }
    }

    #[test]
    fn what_is_not_asked_is_not_known() {
        let (health, mut role) = (Health::default(), role("{}"));
        health.note(&role, &Ok(()), SystemClock.now());
        assert!(health.render().ends_with("hoop_target_healthy{role=\"app\"} 1\n"));
        let since = health.of(&role).and_then(|checked| checked.since);
        health.note(&role, &Ok(()), SystemClock.now());
        assert_eq!(health.of(&role).and_then(|checked| checked.since), since);
        health.note(&role, &Err(failed(Code::AgentUnavailable)), SystemClock.now());
        assert_eq!(health.of(&role).map(|checked| checked.state), Some(State::Unknown));
        assert_eq!(health.render(), "");
        health.note(&role, &Err(failed(Code::TargetTimeout)), SystemClock.now());
        assert!(health.render().ends_with("} 0\n"));
        role.agent = "there".into();
        assert_eq!(
            health.of(&role).map(|checked| checked.state),
            Some(State::Unknown),
            "of another agent nothing is known"
        );
        health.keep(&HashMap::new());
        assert_eq!(health.render(), "");
    }
}
