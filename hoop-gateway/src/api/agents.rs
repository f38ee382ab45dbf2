//! `/api/v1/agents`. An agent's key is shown once: when it is made.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use hoop_core::id::AgentId;
use serde::{Deserialize, Serialize};

use super::body::{Body, Parameters};
use super::page::{Page, Paging, page};
use super::parts::Api;
use super::problem::Problem;
use super::roles::check_slug;
use super::route::{Caller, Permission, Routes};
use crate::store::Agent;
use crate::tunnel::AgentStatus;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/api/v1/agents", Permission::Auditor, list)
        .post("/api/v1/agents", Permission::Admin, create)
        .get("/api/v1/agents/{name}", Permission::Auditor, show)
        .post("/api/v1/agents/{name}/rotate", Permission::Admin, rotate)
        .post("/api/v1/agents/{name}/revoke", Permission::Admin, revoke)
}

#[derive(Serialize)]
struct AgentView {
    id: AgentId,
    name: String,
    revoked_at: Option<DateTime<Utc>>,
    last_seen_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    /// The processes that are attached now.
    attached: Vec<Attached>,
}

#[derive(Serialize)]
struct Attached {
    attached_at: DateTime<Utc>,
    version: String,
    hostname: String,
    labels: BTreeMap<String, String>,
    protocols: Vec<String>,
    channels: u64,
}

#[derive(Serialize)]
struct WithKey {
    #[serde(flatten)]
    agent: AgentView,
    /// `HOOP_KEY`.
    key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
}

fn view(agent: Agent, attached: &[AgentStatus]) -> AgentView {
    let own = attached.iter().filter(|status| status.identity.id == agent.id).cloned();
    AgentView {
        attached: own.map(Attached::from).collect(),
        id: agent.id,
        name: agent.name,
        revoked_at: agent.revoked_at,
        last_seen_at: agent.last_seen_at,
        created_at: agent.created_at,
    }
}

impl From<AgentStatus> for Attached {
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

async fn list(
    State(api): State<Api>,
    caller: Caller,
    Parameters(paging): Parameters<Paging>,
) -> Result<Json<Page<AgentView>>, Problem> {
    let after: Option<String> = paging.after()?;
    let agents = api.store.agents().list(caller.user.org, after.as_deref(), paging.limit()?).await?;
    let attached = api.agents.status(caller.user.org);
    Ok(page(agents, |agent| agent.name.clone(), |agent| view(agent, &attached)))
}

async fn create(
    State(api): State<Api>,
    caller: Caller,
    Body(create): Body<Create>,
) -> Result<(StatusCode, Json<WithKey>), Problem> {
    check_slug("/name", &create.name)?;
    let (org, id) = (caller.user.org, AgentId::new(&*api.clock));
    let (token, token_hash) = api.agent_tokens.issue(org, id);
    let created_at = api.clock.now();
    let agent = Agent { org, id, name: create.name, token_hash, revoked_at: None, last_seen_at: None, created_at };
    api.store.agents().create(&agent).await?;
    let key = api.endpoints.agent_key(&agent.name, token).expose().clone();
    Ok((StatusCode::CREATED, Json(WithKey { agent: view(agent, &[]), key })))
}

async fn show(State(api): State<Api>, caller: Caller, Path(name): Path<String>) -> Result<Json<AgentView>, Problem> {
    let agent = find(&api, &caller, &name).await?;
    Ok(Json(view(agent, &api.agents.status(caller.user.org))))
}

/// Gives the agent another key. Processes that are attached with the old one stay until they go; it lets none in again.
async fn rotate(State(api): State<Api>, caller: Caller, Path(name): Path<String>) -> Result<Json<WithKey>, Problem> {
    let agent = find(&api, &caller, &name).await?;
    let (token, hash) = api.agent_tokens.issue(agent.org, agent.id);
    api.store.agents().rotate(agent.org, agent.id, &hash).await?;
    let key = api.endpoints.agent_key(&agent.name, token).expose().clone();
    let agent = Agent { revoked_at: None, token_hash: hash, ..agent };
    Ok(Json(WithKey { agent: view(agent, &api.agents.status(caller.user.org)), key }))
}

/// Takes the agent's key away and cuts its links: its sessions end now.
async fn revoke(State(api): State<Api>, caller: Caller, Path(name): Path<String>) -> Result<Json<AgentView>, Problem> {
    let agent = find(&api, &caller, &name).await?;
    api.store.agents().revoke(agent.org, agent.id, api.clock.now()).await?;
    api.agents.cut(agent.org, agent.id);
    let agent = find(&api, &caller, &name).await?;
    Ok(Json(view(agent, &[])))
}

async fn find(api: &Api, caller: &Caller, name: &str) -> Result<Agent, Problem> {
    let agent = api.store.agents().by_name(caller.user.org, name).await?;
    agent.ok_or_else(|| Problem::not_found(format_args!("agent {name}")))
}
