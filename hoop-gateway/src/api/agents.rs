//! `/api/v1/agents`. An agent's key is shown once: when it is made.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use hoop_core::id::AgentId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, Named};
use super::definition::check_slug;
use super::describe::{Created, ShownOnce};
use super::etag::Tagged;
use super::page::{Page, Paging};
use super::parts::Api;
use super::problem::Problem;
use super::route::{Caller, Permission, Routes};
use crate::changes::Subject;
use crate::store::Agent;
use crate::tunnel::AgentStatus;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/api/v1/agents", Permission::Auditor, "Agents, by name.", list)
        .post("/api/v1/agents", Permission::Admin, "Registers an agent, and gives its key.", create)
        .get("/api/v1/agents/{name}", Permission::Auditor, "An agent.", show)
        .post("/api/v1/agents/{name}/rotate", Permission::Admin, "Gives an agent another key.", rotate)
        .post(
            "/api/v1/agents/{name}/revoke",
            Permission::Admin,
            "Takes an agent's key away, and ends its sessions.",
            revoke,
        )
}

#[derive(Serialize, ToSchema)]
struct AgentView {
    id: AgentId,
    name: String,
    revoked_at: Option<DateTime<Utc>>,
    /// Until when the key before the last one lets the agent in, too.
    old_key_good_until: Option<DateTime<Utc>>,
    last_seen_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    /// The processes that are attached now.
    attached: Vec<AttachedAgent>,
    /// The roles that it serves, by name, a thousand at most; where one agent is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    roles: Option<Vec<String>>,
}

#[derive(Serialize, ToSchema)]
struct AttachedAgent {
    /// Since when.
    attached_at: DateTime<Utc>,
    version: String,
    hostname: String,
    labels: BTreeMap<String, String>,
    protocols: Vec<String>,
    channels: u64,
}

#[derive(Serialize, ToSchema)]
struct AgentWithKey {
    #[serde(flatten)]
    agent: AgentView,
    /// `HOOP_KEY`.
    key: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateAgent {
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,62}$")]
    name: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RotateAgent {
    /// How long the key before stays good, too: a day at most. Nothing said: not at all.
    #[serde(default)]
    #[schema(maximum = 86400)]
    overlap_seconds: u32,
}

/// The longest time that two keys of an agent are good.
const MAX_OVERLAP: u32 = 24 * 3600;
/// As many roles of an agent are shown.
const MAX_ROLES: u32 = 1000;

fn view(agent: Agent, attached: &[AgentStatus]) -> AgentView {
    let own = attached.iter().filter(|status| status.identity.id == agent.id).cloned();
    AgentView {
        attached: own.map(AttachedAgent::from).collect(),
        id: agent.id,
        name: agent.name,
        revoked_at: agent.revoked_at,
        old_key_good_until: agent.old_key.map(|old| old.good_until),
        roles: None,
        last_seen_at: agent.last_seen_at,
        created_at: agent.created_at,
    }
}

impl From<AgentStatus> for AttachedAgent {
    fn from(status: AgentStatus) -> Self {
        Self {
            attached_at: status.attached_at,
            version: status.version,
            hostname: status.hostname,
            labels: status.labels,
            protocols: status.protocols,
            channels: status.channels,
        }
    }
}

async fn list(State(api): State<Api>, caller: Caller, paging: Paging) -> Result<Json<Page<AgentView>>, Problem> {
    let after: Option<String> = paging.after()?;
    let agents = api.store.agents().list(caller.user.org, after.as_deref(), paging.limit()).await?;
    let attached = api.agents.status(caller.user.org);
    Ok(paging.page(agents, |agent| agent.name.clone(), |agent| view(agent, &attached)))
}

async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(create): Body<CreateAgent>,
) -> Result<ShownOnce<Created<AgentWithKey>>, Problem> {
    check_slug("/name", &create.name)?;
    let (org, id) = (caller.user.org, AgentId::new(&*api.clock));
    let (token, token_hash) = api.agent_tokens.issue(org, id);
    let created_at = api.clock.now();
    let agent = Agent {
        org,
        id,
        name: create.name,
        token_hash,
        old_key: None,
        revoked_at: None,
        last_seen_at: None,
        created_at,
    };
    api.store.agents().create(&agent).await?;
    let key = api.endpoints.agent_key(&agent.name, token).expose().clone();
    api.changes.tell(org, Subject::Agent, id, None, "created");
    let at = format!("/api/v1/agents/{}", agent.name);
    Ok(ShownOnce(Created { at, view: AgentWithKey { agent: view(agent, &[]), key } }))
}

async fn show(State(api): State<Api>, caller: Caller, Named(name): Named) -> Result<Tagged<AgentView>, Problem> {
    let agent = find(&api, &caller, &name).await?;
    let roles = api.store.roles().of_agent(agent.org, &agent.name, MAX_ROLES).await?;
    let view = view(agent, &api.agents.status(caller.user.org));
    Ok(Tagged { version: 0, view: AgentView { roles: Some(roles), ..view } })
}

/// Gives the agent another key. The one before lets it in for as long as is asked for; then its links are cut.
async fn rotate(
    State(api): State<Api>,
    caller: Caller,
    Named(name): Named,
    Body(rotate): Body<RotateAgent>,
) -> Result<ShownOnce<Json<AgentWithKey>>, Problem> {
    if rotate.overlap_seconds > MAX_OVERLAP {
        return Err(Problem::field("/overlap_seconds", format!("at most {MAX_OVERLAP}, which is a day")));
    }
    let agent = find(&api, &caller, &name).await?;
    let (token, hash) = api.agent_tokens.issue(agent.org, agent.id);
    let overlap = TimeDelta::seconds(rotate.overlap_seconds.into());
    let old_until = (!overlap.is_zero()).then(|| api.clock.now() + overlap);
    api.store.agents().rotate(agent.org, agent.id, &hash, old_until).await?;
    let key = api.endpoints.agent_key(&agent.name, token).expose().clone();
    let agent = find(&api, &caller, &name).await?;
    api.changes.tell(agent.org, Subject::Agent, agent.id, None, "updated");
    Ok(ShownOnce(Json(AgentWithKey { agent: view(agent, &api.agents.status(caller.user.org)), key })))
}

/// Takes the agent's key away and cuts its links: its sessions end now.
async fn revoke(State(api): State<Api>, caller: Caller, Named(name): Named) -> Result<Json<AgentView>, Problem> {
    let agent = find(&api, &caller, &name).await?;
    api.store.agents().revoke(agent.org, agent.id, api.clock.now()).await?;
    api.agents.cut(agent.org, agent.id);
    api.changes.tell(agent.org, Subject::Agent, agent.id, None, "updated");
    let agent = find(&api, &caller, &name).await?;
    Ok(Json(view(agent, &[])))
}

async fn find(api: &Api, caller: &Caller, name: &str) -> Result<Agent, Problem> {
    let agent = api.store.agents().by_name(caller.user.org, name).await?;
    agent.ok_or_else(|| Problem::not_found(format_args!("agent {name}")))
}
