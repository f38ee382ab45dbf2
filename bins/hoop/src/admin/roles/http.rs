//! What the command line says of a role that is reached over HTTP.

use clap::Args;
use serde_json::{Map, Value, json};

use super::set;

/// The fields of a login beside its kind.
const LOGIN: [&str; 9] =
    ["user", "name", "token_url", "client_id", "scope", "region", "service", "access_key_id", "kind"];

#[derive(Args)]
#[command(next_help_heading = "Roles of kind http")]
pub(crate) struct Http {
    /// Where the service is, as the agent sees it: `http://billing.internal:8080`.
    #[arg(long)]
    url: Option<String>,
    /// A Unix-domain socket on the agent's machine, to connect to in the place of the URL's host.
    #[arg(long, value_name = "PATH")]
    socket: Option<String>,
    /// The version of HTTP that is spoken with it.
    #[arg(long, value_name = "VERSION", value_parser = ["auto", "1.1", "2"])]
    http_version: Option<String>,
    /// How the agent authenticates requests to it.
    #[arg(long, value_name = "KIND", value_parser = LOGINS)]
    login: Option<String>,
    /// The user of `--login basic`.
    #[arg(long, value_name = "NAME", requires = "login")]
    login_user: Option<String>,
    /// The field of `--login header`, or the cookie of `--login cookie`.
    #[arg(long, value_name = "NAME", requires = "login")]
    login_name: Option<String>,
    /// The endpoint for tokens of `--login oauth-client-credentials`.
    #[arg(long, value_name = "URL", requires = "login")]
    token_url: Option<String>,
    /// The client of `--login oauth-client-credentials`.
    #[arg(long, value_name = "ID", requires = "login")]
    client_id: Option<String>,
    /// What `--login oauth-client-credentials` asks for.
    #[arg(long, value_name = "SCOPE", requires = "login")]
    scope: Option<String>,
    /// The region of `--login aws-sigv4`.
    #[arg(long, value_name = "REGION", requires = "login")]
    aws_region: Option<String>,
    /// The service of `--login aws-sigv4`, such as `es`.
    #[arg(long, value_name = "SERVICE", requires = "login")]
    aws_service: Option<String>,
    /// The access key of `--login aws-sigv4`; `--secret` is where its secret is.
    #[arg(long, value_name = "ID", requires = "login")]
    aws_access_key_id: Option<String>,
    /// Where the agent finds the session token of a temporary key: a reference like `--secret`.
    #[arg(long, value_name = "REFERENCE")]
    aws_session_token: Option<String>,
    /// Where the agent finds the secret of the login: the token, the password, the value, the client secret or the secret access
    /// key. Never the secret itself.
    #[arg(long, value_name = "REFERENCE")]
    secret: Option<String>,
    /// Which host the service is asked as: its own, or the one that the client has asked.
    #[arg(long, value_name = "WHOSE", value_parser = ["target", "client"])]
    host_field: Option<String>,
    /// A host that clients may ask beside the gateway's own names, with `--host-field client`; again for each. `--host-name ''` takes
    /// all away.
    #[arg(long = "host-name", value_name = "HOST")]
    host_names: Vec<String>,
    /// A method that clients may use, with `*`; again for each. They replace those from before; a new role allows all.
    #[arg(long = "allow-method", value_name = "PATTERN")]
    methods: Vec<String>,
    /// A path that clients may ask for, with `*`; again for each. They replace those from before; a new role allows all.
    #[arg(long = "allow-path", value_name = "PATTERN")]
    paths: Vec<String>,
    /// Whether clients may open WebSockets.
    #[arg(long, value_name = "BOOL")]
    allow_websocket: Option<bool>,
    /// Whether the types of gRPC messages are asked of the service's reflection, for rules on their fields.
    #[arg(long, value_name = "BOOL")]
    reflection: Option<bool>,
    /// What becomes of calls of gRPC-Web: they reach the service as calls of gRPC, or as they are.
    #[arg(long, value_name = "HOW", value_parser = ["translate", "pass"])]
    grpc_web: Option<String>,
    /// An origin whose pages may ask for something, `https://app.example.com`; again for each. They replace those from before, and
    /// `--cors-origin ''` leaves the matter to the service.
    #[arg(long = "cors-origin", value_name = "ORIGIN")]
    cors_origins: Vec<String>,
    /// A method that pages of other origins may use; again for each. A new role allows GET, HEAD and POST.
    #[arg(long = "cors-method", value_name = "METHOD")]
    cors_methods: Vec<String>,
    /// A field that they may send; again for each. A new role allows those for tokens, types and gRPC-Web.
    #[arg(long = "cors-header", value_name = "NAME")]
    cors_headers: Vec<String>,
    /// A field of answers that they may read; again for each.
    #[arg(long = "cors-expose", value_name = "NAME")]
    cors_expose: Vec<String>,
    /// Whether they ask in the name of a user who has signed in.
    #[arg(long, value_name = "BOOL")]
    cors_credentials: Option<bool>,
    /// How long a browser believes what it was told beforehand, in seconds.
    #[arg(long, value_name = "SECONDS")]
    cors_max_age: Option<u32>,
    /// A path that is asked for again and again, to find out whether the service is well; `--health-path ''` ends the checks.
    #[arg(long, value_name = "PATH")]
    health_path: Option<String>,
    /// The service that is asked about by gRPC's health checks, in the place of a path; `''` is the server as a whole.
    #[arg(long, value_name = "SERVICE", conflicts_with = "health_path")]
    health_grpc: Option<String>,
    /// How often, in seconds.
    #[arg(long, value_name = "SECONDS")]
    health_interval: Option<u32>,
    /// A status that is expected; again for each. Unless said, any from 200 to 399 is.
    #[arg(long = "health-status", value_name = "STATUS")]
    health_status: Vec<u16>,
    /// Whether nobody reaches the service while its last check has failed.
    #[arg(long, value_name = "BOOL")]
    health_blocks: Option<bool>,
    /// Does not tell the service who asks, in the field `Hoop-Identity`.
    #[arg(long)]
    no_identity: bool,
}

/// The kinds of logins.
const LOGINS: [&str; 7] = ["none", "bearer", "basic", "header", "cookie", "oauth-client-credentials", "aws-sigv4"];

impl Http {
    pub(super) fn set(self, target: &mut Map<String, Value>) {
        let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
        set(target, "url", self.url);
        set(target, "socket", self.socket);
        set(target, "version", self.http_version);
        set(target, "secret", self.secret);
        set(target, "aws_session_token", self.aws_session_token);
        set(target, "host", self.host_field);
        let unnamed = self.host_names == [""];
        set(target, "hosts", some(self.host_names).map(|names| if unnamed { Vec::new() } else { names }));
        set(target, "reflection", self.reflection);
        set(target, "grpc_web", self.grpc_web);
        set(target, "identity", self.no_identity.then_some(false));
        let unasked = self.health_path.as_deref() == Some("");
        let mut health = Map::new();
        if self.health_path.is_some() {
            // A service that is asked by a path is not asked by gRPC any more.
            health.insert("grpc_service".to_owned(), Value::Null);
        }
        set(&mut health, "path", self.health_path);
        set(&mut health, "grpc_service", self.health_grpc);
        set(&mut health, "interval_seconds", self.health_interval);
        set(&mut health, "status", (!self.health_status.is_empty()).then_some(self.health_status));
        set(&mut health, "blocks", self.health_blocks);
        set(target, "health", (!health.is_empty()).then(|| if unasked { Value::Null } else { health.into() }));
        let none = self.cors_origins == [""];
        let mut cors = Map::new();
        set(&mut cors, "origins", some(self.cors_origins));
        set(&mut cors, "methods", some(self.cors_methods));
        set(&mut cors, "headers", some(self.cors_headers));
        set(&mut cors, "expose", some(self.cors_expose));
        set(&mut cors, "credentials", self.cors_credentials);
        set(&mut cors, "max_age_seconds", self.cors_max_age);
        set(target, "cors", (!cors.is_empty()).then(|| if none { Value::Null } else { cors.into() }));
        let mut login = Map::new();
        set(&mut login, "kind", self.login);
        set(&mut login, "user", self.login_user);
        set(&mut login, "name", self.login_name);
        set(&mut login, "token_url", self.token_url);
        set(&mut login, "client_id", self.client_id);
        set(&mut login, "scope", self.scope);
        set(&mut login, "region", self.aws_region);
        set(&mut login, "service", self.aws_service);
        set(&mut login, "access_key_id", self.aws_access_key_id);
        set(target, "login", (!login.is_empty()).then_some(login));
        let mut allow = Map::new();
        set(&mut allow, "methods", some(self.methods));
        set(&mut allow, "paths", some(self.paths));
        set(&mut allow, "websocket", self.allow_websocket);
        set(target, "allow", (!allow.is_empty()).then_some(allow));
    }
}

/// A change to a login says all of it: what the one from before had and this one has not is taken away.
pub(super) fn whole_login(role: &mut Value) {
    let Some(login) = role.pointer_mut("/target/login").and_then(Value::as_object_mut) else { return };
    for field in LOGIN {
        login.entry(field).or_insert(json!(null));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::*;

    #[test]
    fn a_web_app_is_what_the_command_line_says() {
        let line = "--kind http --agent here --url https://app.internal --login basic --login-user app --secret env:APP --aws-session-token env:TOKEN \
                    --http-version 2 --host-field client --host-name app.example.com --allow-method GET --allow-method HEAD --allow-path /api/* \
                    --allow-websocket false --no-identity --reflection true --grpc-web pass --cors-origin https://a.example --cors-method GET --cors-credentials true --sslrootcert /ca.pem --sslcert file:/c --sslkey file:/k";
        let target = json!({
            "kind": "http", "url": "https://app.internal", "login": { "kind": "basic", "user": "app" }, "secret": "env:APP", "aws_session_token": "env:TOKEN",
            "version": "2", "host": "client", "hosts": ["app.example.com"], "identity": false, "reflection": true, "grpc_web": "pass",
            "cors": { "origins": ["https://a.example"], "methods": ["GET"], "credentials": true }, "sslrootcert": "/ca.pem", "sslcert": "file:/c",
            "sslkey": "file:/k", "allow": { "methods": ["GET", "HEAD"], "paths": ["/api/*"], "websocket": false },
        });
        let read = read(line);
        assert_eq!(read, json!({ "agent": "here", "target": target }));
        serde_json::from_value::<hoop_core::Target>(target).expect("it is one");
    }

    #[test]
    fn checks_are_of_one_kind() {
        let health = |line: &str| read(line)["target"]["health"].clone();
        let by_path = json!({ "path": "/healthz", "grpc_service": null, "interval_seconds": 5, "status": [200, 204] });
        assert_eq!(
            health("--health-path /healthz --health-interval 5 --health-status 200 --health-status 204"),
            by_path
        );
        assert_eq!(
            health("--health-grpc shop.v1.Customers --health-blocks true"),
            json!({ "grpc_service": "shop.v1.Customers", "blocks": true })
        );
        assert_eq!(health("--health-path="), Value::Null);
        assert_eq!(read("--host-name=")["target"]["hosts"], json!([]));
    }

    #[test]
    fn an_empty_origin_takes_the_rule_away() {
        let target = json!({ "cors": null });
        assert_eq!(read(&["--cors-origin", ""].join("=")), json!({ "target": target }));
    }

    #[test]
    fn a_change_of_the_login_takes_the_one_from_before_away() {
        let mut role = read("--login bearer --secret env:APP");
        whole_login(&mut role);
        let login = &role["target"]["login"];
        assert_eq!(login["kind"], "bearer");
        assert!(login.as_object().is_some_and(|login| login.contains_key("user") && login["user"].is_null()));
        let mut role = read("--host-field client");
        whole_login(&mut role);
        assert_eq!(role, json!({ "target": { "host": "client" } }));
    }
}
