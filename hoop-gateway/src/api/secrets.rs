//! `/api/v1/roles/{name}/secrets`: secrets that the gateway keeps for a role. They go in, and nothing brings them out again.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use hoop_core::{Code, ResourceRole, Secret};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, Named, NamedPart};
use super::describe::Done;
use super::parts::Api;
use super::problem::Problem;
use super::roles::{find, no_role};
use super::route::{Caller, Permission, Routes};
use crate::changes::Subject;
use crate::secrets::SecretField;

/// The longest secret, as the agent has it for its own.
const MAX_SECRET_BYTES: usize = 64 * 1024;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/api/v1/roles/{name}/secrets", Permission::Auditor, "Which secrets are kept for a role.", show)
        .put("/api/v1/roles/{name}/secrets/{field}", Permission::Admin, "Keeps a secret for a role, encrypted.", put)
        .may_refuse(&[StatusCode::CONFLICT])
        .delete("/api/v1/roles/{name}/secrets/{field}", Permission::Admin, "Removes a secret of a role.", delete)
}

/// Which secrets are kept. A target has those of its kind.
#[derive(Default, Serialize, ToSchema)]
struct SecretsView {
    password: SecretView,
    /// PostgreSQL's, as is `sslkey`.
    sslcert: SecretView,
    sslkey: SecretView,
    /// SSH's, as is what follows.
    private_key: SecretView,
    passphrase: SecretView,
    certificate: SecretView,
    certificate_authority: SecretView,
    /// HTTP's, as is what follows; it has `sslcert` and `sslkey`, too.
    secret: SecretView,
    aws_session_token: SecretView,
}

/// Whether a secret is kept. What it is, is shown to nobody.
#[derive(Default, Serialize, ToSchema)]
struct SecretView {
    stored: bool,
    updated_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutSecret {
    /// The secret itself; for `sslcert` and `sslkey` in PEM, for `private_key` in OpenSSH's or a PEM format.
    #[schema(min_length = 1, max_length = 65536, write_only)]
    value: String,
}

async fn show(State(api): State<Api>, caller: Caller, Named(name): Named) -> Result<Json<SecretsView>, Problem> {
    let role = find(&api, &caller, &name).await?.role;
    let mut view = SecretsView::default();
    for (field, updated_at) in api.secrets.kept(&role).await? {
        let secret = SecretView { stored: true, updated_at: Some(updated_at) };
        match SecretField::named(&field) {
            Some(SecretField::Password) => view.password = secret,
            Some(SecretField::SslCert) => view.sslcert = secret,
            Some(SecretField::SslKey) => view.sslkey = secret,
            Some(SecretField::PrivateKey) => view.private_key = secret,
            Some(SecretField::Passphrase) => view.passphrase = secret,
            Some(SecretField::Certificate) => view.certificate = secret,
            Some(SecretField::CertificateAuthority) => view.certificate_authority = secret,
            Some(SecretField::Secret) => view.secret = secret,
            Some(SecretField::AwsSessionToken) => view.aws_session_token = secret,
            None => {}
        }
    }
    Ok(Json(view))
}

/// Keeps a secret in the place of the one before. It is for a field that has no reference: what is named is used.
async fn put(
    State(api): State<Api>,
    caller: Caller,
    NamedPart(name, field): NamedPart,
    Body(PutSecret { value }): Body<PutSecret>,
) -> Result<Json<SecretView>, Problem> {
    let value = Secret::new(value);
    let role = find(&api, &caller, &name).await?.role;
    let field = named(&role, &field)?;
    check(&value)?;
    if let Some(reference) = field.reference(&role.target) {
        let (field, reason) = (field.as_str(), format!("role {name} names a reference: {reference}"));
        return Err(Problem::new(Code::Conflict, reason).hint(format!("set target.{field} to null first")));
    }
    let updated_at = api.secrets.put(&role, field, &value).await?.ok_or_else(|| no_role(&name))?;
    api.changes.tell(role.org, Subject::Role, role.id, None, "updated");
    Ok(Json(SecretView { stored: true, updated_at: Some(updated_at) }))
}

async fn delete(State(api): State<Api>, caller: Caller, NamedPart(name, field): NamedPart) -> Result<Done, Problem> {
    let role = find(&api, &caller, &name).await?.role;
    let field = named(&role, &field)?.as_str();
    if !api.store.role_secrets().delete(role.org, role.id, field).await? {
        return Err(Problem::not_found(format_args!("{field} kept for role {name}")));
    }
    api.changes.tell(role.org, Subject::Role, role.id, None, "updated");
    Ok(Done)
}

fn named(role: &ResourceRole, field: &str) -> Result<SecretField, Problem> {
    let there = SecretField::of(role.kind());
    let field = SecretField::named(field).filter(|field| there.contains(field));
    field.ok_or_else(|| {
        let names: Vec<_> = there.iter().map(|field| field.as_str()).collect();
        Problem::not_found(format_args!(
            "such secret of a role of kind {}; there are {}",
            role.kind().as_str(),
            names.join(", ")
        ))
    })
}

fn check(value: &Secret<String>) -> Result<(), Problem> {
    let value = value.expose();
    if value.is_empty() || value.len() > MAX_SECRET_BYTES || value.contains('\0') {
        let form = format!("1 to {MAX_SECRET_BYTES} bytes, none of them NUL");
        return Err(Problem::field("/value", form));
    }
    Ok(())
}
