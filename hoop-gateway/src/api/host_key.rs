//! `/api/v1/roles/{name}/host-key`: the key by which an SSH server is known is approved by an administrator who has its
//! fingerprint from elsewhere. Nothing is trusted because it was seen first.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use chrono::SubsecRound as _;
use hoop_core::id::RequestId;
use hoop_core::role::SshTarget;
use hoop_core::{Code, Target};
use russh::keys::PublicKey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, Named};
use super::etag::stale;
use super::parts::Api;
use super::problem::Problem;
use super::roles::{find, version};
use super::route::{Caller, Permission, Routes};
use crate::auth::keys::fingerprint;
use crate::changes::Subject;
use crate::store::Role;
use crate::tunnel::OpenFailure;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .post("/api/v1/roles/{name}/host-key", Permission::Admin, "Approves the host key of an SSH server.", approve)
        .may_refuse(&[StatusCode::CONFLICT, StatusCode::PRECONDITION_FAILED, StatusCode::BAD_GATEWAY])
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ApproveHostKey {
    /// As whoever runs the machine says it: `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints it there.
    #[schema(pattern = "^SHA256:[A-Za-z0-9+/]{43}$")]
    fingerprint: String,
}

/// A host key.
#[derive(Serialize, ToSchema)]
pub(super) struct HostKey {
    /// As OpenSSH prints it: `SHA256:…`.
    fingerprint: String,
    /// One line, without a comment.
    public_key: String,
}

impl HostKey {
    /// The one that an SSH server showed and the role does not trust.
    pub(super) fn offered(failure: &OpenFailure) -> Option<Self> {
        let line =
            std::str::from_utf8(&failure.target_error).ok().filter(|_| failure.denial.code == Code::TargetHostKey)?;
        Self::read(line)
    }

    fn read(line: &str) -> Option<Self> {
        let key = PublicKey::from_openssh(line).ok()?;
        let public_key = PublicKey::from(key.key_data().clone()).to_string();
        Some(Self { fingerprint: fingerprint(&key), public_key })
    }
}

/// Has the agent look at the machine, and trusts its key when it has this fingerprint. Sessions of the role that run end: they
/// are of the role as it was.
async fn approve(
    State(api): State<Api>,
    caller: Caller,
    Extension(request): Extension<RequestId>,
    Named(name): Named,
    Body(ApproveHostKey { fingerprint }): Body<ApproveHostKey>,
) -> Result<Json<HostKey>, Problem> {
    check(&fingerprint)?;
    let version = version(&api, &caller, &name).await?;
    let mut role = find(&api, &caller, &name).await?;
    let target = ssh(&mut role)?;
    if let Some(known) =
        target.host_keys.iter().filter_map(|key| HostKey::read(key)).find(|key| key.fingerprint == fingerprint)
    {
        return Ok(Json(known));
    }
    let offered = look(&api, &role, request).await?;
    if offered.fingerprint != fingerprint {
        let reason =
            format!("the machine shows a host key with the fingerprint {}, and not {fingerprint}", offered.fingerprint);
        return Err(Problem::new(Code::TargetHostKey, reason)
            .hint("compare it with what whoever runs the machine says; somebody else may answer in its place"));
    }
    ssh(&mut role)?.host_keys.push(offered.public_key.clone());
    role.updated_at = api.clock.now().trunc_subsecs(6);
    if !api.store.versions().update_role(&role, version).await? {
        return Err(stale());
    }
    tracing::info!(role = %role.role.name, fingerprint, "host key was approved");
    api.changes.tell(role.role.org, Subject::Role, role.role.id, None, "updated");
    Ok(Json(offered))
}

/// The key that the machine shows and the role does not trust.
async fn look(api: &Api, role: &Role, request: RequestId) -> Result<HostKey, Problem> {
    let failure = match api.sessions.try_target(&role.role, request).await {
        Err(failure) => failure,
        Ok(_) => {
            let reason = "the machine shows a key that the role trusts already, and not this one";
            return Err(Problem::new(Code::Conflict, reason));
        }
    };
    HostKey::offered(&failure).ok_or_else(|| failure.denial.into())
}

fn ssh(role: &mut Role) -> Result<&mut SshTarget, Problem> {
    let name = role.role.name.clone();
    match &mut role.role.target {
        Target::Ssh(target) => Ok(target),
        _ => Err(Problem::new(Code::Conflict, format!("role {name} is not reached over SSH, and has no host key"))),
    }
}

fn check(fingerprint: &str) -> Result<(), Problem> {
    let hash = fingerprint.strip_prefix("SHA256:").filter(|hash| hash.len() == 43);
    let is_base64 = |hash: &str| hash.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'));
    match hash.filter(|hash| is_base64(hash)) {
        Some(_) => Ok(()),
        None => Err(Problem::field("/fingerprint", "as ssh-keygen -l prints it: SHA256: and 43 characters")),
    }
}
