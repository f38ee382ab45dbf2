//! `/api/v1/roles/{name}/credentials` and `/api/v1/credentials`: time-limited credentials for native clients.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use hoop_core::id::{CredentialId, RoleId, UserId};
use hoop_core::{Code, ResourceKind, ResourceRole, Target};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::body::{Body, Named};
use super::describe::{Created, Done, ShownOnce};
use super::page::{Page, Paging};
use super::parts::{Api, Endpoint, Endpoints};
use super::problem::Problem;
use super::roles::{reach, reachable};
use super::route::{Caller, Permission, Routes, Source};
use super::users::percent_encode;
use crate::auth::credential::{Issued, WEB_TOKEN_PREFIX};
use crate::changes::Subject;
use crate::store::Credential;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .post(
            "/api/v1/roles/{name}/credentials",
            Permission::Member,
            "Makes a time-limited credential for a native client.",
            create,
        )
        .get("/api/v1/credentials", Permission::Member, "Credentials, the latest first; members see their own.", list)
        .delete("/api/v1/credentials/{id}", Permission::Member, "Takes a credential away.", revoke)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateCredential {
    ttl_seconds: Option<u64>,
    /// For the URL alone: the credential is good for every database that the role allows.
    database: Option<String>,
}

/// A credential with what a client needs; the password is shown this once.
#[derive(Serialize, ToSchema)]
struct CredentialWithPassword {
    #[serde(flatten)]
    credential: CredentialView,
    role: String,
    /// The kind of the role.
    kind: &'static str,
    host: String,
    port: u16,
    user: String,
    password: String,
    /// Empty for SSH and HTTP.
    database: String,
    /// Empty for SSH and HTTP.
    sslmode: &'static str,
    url: String,
    command: String,
    /// For SSH: the lines of a `known_hosts` file by which a client knows the gateway.
    known_hosts: Vec<String>,
    tunnel: Tunnel,
}

/// Where a client goes that does not reach the door itself.
#[derive(Serialize, ToSchema)]
struct Tunnel {
    host: String,
    port: u16,
    tls: bool,
    /// The certificate to be shown there, where no trusted authority signed it: `sha256:` and 64 hexadecimal digits.
    certificate: Option<String>,
}

impl Tunnel {
    fn of(endpoints: &Endpoints) -> Self {
        let Endpoint { host, port, tls } = endpoints.grpc.clone();
        let hex = |hash: [u8; 32]| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let certificate = endpoints.certificate.filter(|_| tls).map(|hash| format!("sha256:{}", hex(hash)));
        Self { host, port, tls, certificate }
    }
}

#[derive(Serialize, ToSchema)]
struct CredentialView {
    id: CredentialId,
    login: String,
    user_id: UserId,
    role_id: RoleId,
    expires_at: DateTime<Utc>,
    revoked_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

impl From<Credential> for CredentialView {
    fn from(credential: Credential) -> Self {
        Self {
            id: credential.id,
            login: credential.login,
            user_id: credential.user,
            role_id: credential.role,
            expires_at: credential.expires_at,
            revoked_at: credential.revoked_at,
            last_used_at: credential.last_used_at,
            created_at: credential.created_at,
        }
    }
}

async fn create(
    State(api): State<Api>,
    source: Source,
    caller: Caller,
    Named(name): Named,
    Body(create): Body<CreateCredential>,
) -> Result<ShownOnce<Created<CredentialWithPassword>>, Problem> {
    let role = reachable(&api, &caller, source, &name).await?.role;
    // Auditors see every role; that does not let them use it.
    reach(&api, &caller, source, &role).await??;
    let ttl = ttl(&api, create.ttl_seconds)?;
    let database = database(&role, create.database)?;
    // A sign-in is shorter than what people do after it.
    let token = Some(&caller.token).filter(|token| token.grant.is_some());
    let issued = api.credentials.issue(&caller.user, token, &role, ttl).await?;
    let id = issued.credential.id;
    api.changes.tell(role.org, Subject::Credential, id, Some(caller.user.id), "created");
    let at = format!("/api/v1/credentials/{id}");
    Ok(ShownOnce(Created { at, view: with_password(&api, &role, database, issued) }))
}

fn ttl(api: &Api, seconds: Option<u64>) -> Result<Duration, Problem> {
    let most = api.settings.credential_ttl_max;
    match seconds.map(Duration::from_secs) {
        None => Ok(api.settings.credential_ttl.min(most)),
        Some(ttl) if !ttl.is_zero() && ttl <= most => Ok(ttl),
        Some(_) => Err(Problem::field("/ttl_seconds", format!("must be from 1 to {}", most.as_secs()))),
    }
}

fn database(role: &ResourceRole, wanted: Option<String>) -> Result<String, Problem> {
    let Target::Postgres(target) = &role.target else {
        return match wanted {
            None => Ok(String::new()),
            Some(_) => Err(Problem::field("/database", format!("role {} has no databases", role.name))),
        };
    };
    match wanted {
        None => Ok(target.database.clone()),
        Some(database) if target.allows_database(&database) => Ok(database),
        Some(database) => {
            Err(Problem::new(Code::DatabaseDenied, format!("role {} does not reach database {database}", role.name)))
        }
    }
}

fn with_password(api: &Api, role: &ResourceRole, database: String, issued: Issued) -> CredentialWithPassword {
    let password = issued.password.expose().clone();
    let user = issued.credential.login.clone();
    let way = match role.kind() {
        ResourceKind::Ssh => Way::over_ssh(&api.endpoints, &user),
        ResourceKind::Http => Way::over_http(&api.endpoints, &role.name, &user, &password),
        _ => Way::to_postgres(&api.endpoints.postgres, &user, &password, &database),
    };
    CredentialWithPassword {
        role: role.name.to_string(),
        kind: role.kind().as_str(),
        host: way.endpoint.host,
        port: way.endpoint.port,
        command: way.command,
        url: way.url,
        user,
        password,
        database,
        sslmode: way.sslmode,
        known_hosts: way.known_hosts,
        tunnel: Tunnel::of(&api.endpoints),
        credential: issued.credential.into(),
    }
}

/// How a client of a role's kind comes in.
struct Way {
    endpoint: Endpoint,
    url: String,
    command: String,
    sslmode: &'static str,
    known_hosts: Vec<String>,
}

impl Way {
    fn to_postgres(endpoint: &Endpoint, user: &str, password: &str, database: &str) -> Self {
        let sslmode = if endpoint.tls { "require" } else { "disable" };
        let url = url(&endpoint.host, endpoint.port, user, password, database, sslmode);
        let command = command(&url, endpoint.tls);
        Self { endpoint: endpoint.clone(), command, url, sslmode, known_hosts: Vec::new() }
    }

    /// The URL works as it is, in a browser and for `curl`.
    fn over_http(endpoints: &Endpoints, role: &str, user: &str, password: &str) -> Self {
        let origin = endpoints.web.origin(role);
        let (scheme, rest) = origin.split_once("://").unwrap_or(("http", &origin));
        let token = format!("{WEB_TOKEN_PREFIX}{user}.{password}");
        // The self-signed certificate is for the gateway's own names, and not for those of roles.
        let insecure = if scheme == "https" && endpoints.certificate.is_some() { " --insecure" } else { "" };
        Self {
            endpoint: endpoints.proxy.clone(),
            url: format!("{scheme}://{user}:{password}@{rest}/"),
            command: format!("curl{insecure} -H 'Hoop-Token: {token}' {origin}/"),
            sslmode: "",
            known_hosts: Vec::new(),
        }
    }

    /// `ssh` takes a password from its terminal alone.
    fn over_ssh(endpoints: &Endpoints, user: &str) -> Self {
        let endpoint = endpoints.ssh.clone();
        Self {
            url: format!("ssh://{user}@{}:{}", bracketed(&endpoint.host), endpoint.port),
            command: format!("ssh -p {} {user}@{}", endpoint.port, endpoint.host),
            sslmode: "",
            known_hosts: endpoints.known_hosts(),
            endpoint,
        }
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn url(host: &str, port: u16, user: &str, password: &str, database: &str, sslmode: &str) -> String {
    let host = bracketed(host);
    // All that is encoded is safe between a shell's single quotes, too.
    let (user, database) = (percent_encode(user), percent_encode(database));
    format!("postgresql://{user}:{password}@{host}:{port}/{database}?sslmode={sslmode}")
}

/// For psql, which can bind its login to the TLS channel, so that nobody is in between. Not every driver can: some take
/// `channel_binding` in a URL for a setting of the server, which refuses it.
fn command(url: &str, tls: bool) -> String {
    let binding = if tls { "&channel_binding=require" } else { "" };
    format!("psql '{url}{binding}'")
}

async fn list(State(api): State<Api>, caller: Caller, paging: Paging) -> Result<Json<Page<CredentialView>>, Problem> {
    let found = api.store.credentials().list(caller.user.org, caller.scope(), paging.after()?, paging.limit()).await?;
    Ok(paging.page(found, |credential| credential.id.to_string(), CredentialView::from))
}

/// No session can be opened with it any more, and those that run end within seconds.
async fn revoke(State(api): State<Api>, caller: Caller, Named(id): Named) -> Result<Done, Problem> {
    let missing = || Problem::not_found(format_args!("credential {id}"));
    let id: CredentialId = id.parse().map_err(|_| missing())?;
    let revoked = api.store.credentials().revoke(caller.user.org, id, caller.change_scope(), api.clock.now()).await?;
    if !revoked {
        return Err(missing());
    }
    api.access.note_change();
    api.changes.tell(caller.user.org, Subject::Credential, id, caller.change_scope(), "deleted");
    Ok(Done)
}

#[cfg(test)]
mod tests {
    use super::url;

    #[test]
    fn whatever_the_database_is_called_the_url_has_one_reading() {
        let text = url("::1", 15432, "shop-abc", "secret", "it's a/db?x=1", "require");
        assert_eq!(text, "postgresql://shop-abc:secret@[::1]:15432/it%27s%20a%2Fdb%3Fx%3D1?sslmode=require");
    }
}
