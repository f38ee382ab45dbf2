//! `/api/v1/roles/{name}/test`: whether the agent of a role can log in to its target.

use axum::extract::State;
use axum::{Extension, Json};
use hoop_core::id::RequestId;
use serde::Serialize;
use utoipa::ToSchema;

use super::body::Named;
use super::describe::Input;
use super::document::Operation;
use super::host_key::HostKey;
use super::parts::Api;
use super::problem::Problem;
use super::roles::find;
use super::route::{Caller, Permission, Routes};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.post("/api/v1/roles/{name}/test", Permission::Admin, "Tries to log in to the target of a role.", test)
}

/// What came of it. That it was tried is a success, whatever came of it.
#[derive(Serialize, ToSchema)]
struct TargetTest {
    /// Whether the target let the agent in.
    ok: bool,
    agent: String,
    /// From the request to the end of the login, in milliseconds.
    latency_ms: u64,
    /// The server's version, as it says it itself.
    server_version: Option<String>,
    /// Why it failed: the code that a session would be refused with.
    code: Option<&'static str>,
    reason: Option<String>,
    hint: Option<String>,
    /// The host key that an SSH server showed, where the role does not trust it: it is to be compared with what whoever runs
    /// the machine says, and can be approved then.
    host_key: Option<HostKey>,
}

impl Input for Extension<RequestId> {
    fn describe(_: &mut Operation) {}
}

/// Has the agent connect and log in with the role's secret, and closes that connection at once. It is no session.
async fn test(
    State(api): State<Api>,
    caller: Caller,
    Extension(request): Extension<RequestId>,
    Named(name): Named,
) -> Result<Json<TargetTest>, Problem> {
    let role = find(&api, &caller, &name).await?.role;
    let begun = api.clock.monotonic();
    let tried = api.sessions.try_target(&role, request).await;
    let took = api.clock.monotonic().saturating_duration_since(begun);
    let mut view = TargetTest {
        ok: tried.is_ok(),
        agent: role.agent.to_string(),
        latency_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        server_version: None,
        code: None,
        reason: None,
        hint: None,
        host_key: None,
    };
    match tried {
        Ok(reached) => view.server_version = reached.server_version,
        Err(failure) => {
            view.host_key = HostKey::offered(&failure);
            let denial = failure.denial;
            (view.code, view.reason, view.hint) = (Some(denial.code.as_str()), Some(denial.reason), denial.hint);
        }
    }
    Ok(Json(view))
}
