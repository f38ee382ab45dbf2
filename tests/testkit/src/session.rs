//! What a plugin is opened on, where no gateway runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use hoop_core::id::{OrgId, RequestId, RoleId, SessionId, UserId};
use hoop_core::{
    AccessMode, Clock as _, Principal, PrincipalKind, RecordingMode, ResourceRole, SessionContext, SystemClock,
};
use serde_json::{Value, json};

/// A role `shop` of the agent `edge`, with this target as the API takes it.
pub fn role(target: Value) -> ResourceRole {
    ResourceRole {
        id: RoleId::new(&SystemClock),
        org: OrgId::DEFAULT,
        name: "shop".into(),
        agent: "edge".into(),
        target: serde_json::from_value(target).expect("a target"),
        labels: BTreeMap::new(),
        recording: RecordingMode::Default,
        plugins: BTreeMap::new(),
    }
}

/// Such a role on a database.
pub fn postgres_role() -> ResourceRole {
    role(json!({ "kind": "postgres", "host": "db", "user": "app", "database": "shop" }))
}

/// A session of a role, opened now. It is `ann`'s, who is in no group; of her client nothing is known.
pub fn session(role: ResourceRole) -> SessionContext {
    let clock = SystemClock;
    let principal = Principal {
        org: OrgId::DEFAULT,
        user: UserId::new(&clock),
        name: "ann".into(),
        groups: [].into(),
        kind: PrincipalKind::User,
    };
    SessionContext {
        id: SessionId::new(&clock),
        org: OrgId::DEFAULT,
        request_id: RequestId::new(&clock),
        principal: Arc::new(principal),
        role: Arc::new(role),
        mode: AccessMode::Native,
        started_at: clock.now(),
        expires_at: None,
        source: None,
        database: None,
        application: None,
        reason: None,
    }
}
