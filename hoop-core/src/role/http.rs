//! A service that speaks HTTP, how the agent reaches it, and what its users may ask of it.

use serde::{Deserialize, Serialize};

use super::matches_wildcard;

/// A service that speaks HTTP: a web app, an API, a gRPC service.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpTarget {
    /// Where it is, as seen from the agent: `http://billing.internal:8080` or `https://…`. A path is put before every path that
    /// is asked for.
    #[cfg_attr(feature = "openapi", schema(min_length = 8, pattern = "^https?://.*$"))]
    pub url: String,
    /// The absolute path of a Unix-domain socket on the agent's machine, to connect to in the place of the host in `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^/.*$"))]
    pub socket: Option<String>,
    /// The version of HTTP that is spoken with it.
    #[serde(default)]
    pub version: HttpVersion,
    /// Where the agent finds the certificates of authorities that are trusted for it, in PEM: a path on the agent's machine.
    /// Without it the public authorities are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sslrootcert: Option<String>,
    /// Where the agent finds the client certificate, in PEM: `env:NAME`, `file:/path`, `vault:<mount>/<path>#<field>`,
    /// `aws-sm:<name>` or `aws-sm:<name>#<key>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^(env:|file:/|vault:|aws-sm:).*$"))]
    pub sslcert: Option<String>,
    /// Where the agent finds the key of the client certificate, in PEM, as for `sslcert`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^(env:|file:/|vault:|aws-sm:).*$"))]
    pub sslkey: Option<String>,
    /// How requests are authenticated to it.
    #[serde(default)]
    pub login: HttpLogin,
    /// Where the agent finds the secret of `login`, as for `sslcert`: the token, the password, the value, the client secret or the
    /// secret access key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^(env:|file:/|vault:|aws-sm:).*$"))]
    pub secret: Option<String>,
    /// Where the agent finds the session token that goes with temporary keys of AWS, as for `sslcert`: signatures of `login` have it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(pattern = "^(env:|file:/|vault:|aws-sm:).*$"))]
    pub aws_session_token: Option<String>,
    /// Which host it is asked as.
    #[serde(default)]
    pub host: HostField,
    /// With `host` `client`, the hosts that clients may ask beside the gateway's own names: names or addresses without a port. What
    /// asks another is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(max_items = 100))]
    pub hosts: Vec<String>,
    /// Whether it is told who asks, in the signed field `Hoop-Identity`.
    #[serde(default = "yes")]
    pub identity: bool,
    /// Whether the types of gRPC messages are asked of its reflection service (`grpc.reflection.v1`, or `v1alpha`), with `login`.
    #[serde(default, skip_serializing_if = "is_not")]
    pub reflection: bool,
    /// What becomes of calls of gRPC-Web.
    #[serde(default)]
    pub grpc_web: GrpcWeb,
    /// Which pages of other origins may ask for something. Without it what the target says of that goes to browsers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<HttpCors>,
    /// How it is found out whether it is well. Without it nobody asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HttpHealth>,
    /// What clients may ask for.
    #[serde(default)]
    pub allow: HttpAllow,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_not(value: &bool) -> bool {
    !*value
}

const fn yes() -> bool {
    true
}

/// The version of HTTP that is spoken with a target.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum HttpVersion {
    /// What it chooses over TLS (ALPN), and HTTP/1.1 without. gRPC calls go over HTTP/2 in any case.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// HTTP/1.1.
    #[serde(rename = "1.1")]
    Http1,
    /// HTTP/2, without TLS with prior knowledge.
    #[serde(rename = "2")]
    Http2,
}

impl HttpVersion {
    /// The name as the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Http1 => "1.1",
            Self::Http2 => "2",
        }
    }
}

/// How requests are authenticated to a target. What a client sends in the same place does not reach it.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum HttpLogin {
    /// Not at all: what clients send in `Authorization` and cookies goes on.
    #[default]
    None,
    /// `Authorization: Bearer` with the secret.
    Bearer,
    /// `Authorization: Basic` with this user and the secret as the password.
    Basic {
        /// The user.
        user: String,
    },
    /// A field with the secret as its value.
    Header {
        /// Its name.
        name: String,
    },
    /// A cookie with the secret as its value.
    Cookie {
        /// Its name.
        name: String,
    },
    /// `Authorization: Bearer` with a token that the agent gets with the secret as the client's
    /// ([RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)), and gets anew before it expires.
    OauthClientCredentials {
        /// The endpoint for tokens.
        token_url: String,
        /// The client.
        client_id: String,
        /// What is asked for; separated by spaces.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
    },
    /// AWS Signature Version 4 with the secret as the secret access key.
    AwsSigv4 {
        /// The region.
        region: String,
        /// The service, for example `es` or `execute-api`.
        service: String,
        /// The access key.
        access_key_id: String,
    },
}

/// Which host a target is asked as, in `Host` or `:authority`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostField {
    /// Its own, as in the URL. Where it names itself in `Location` and cookies, the client reads the gateway's name.
    #[default]
    Target,
    /// The one that the client has asked: one of the gateway's own names for the role, or of `hosts`.
    Client,
}

/// What becomes of calls of gRPC-Web. Rules see them as calls of gRPC either way.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GrpcWeb {
    /// They reach the target as calls of gRPC.
    #[default]
    Translate,
    /// They reach the target as they are: it speaks gRPC-Web itself.
    Pass,
}

/// What pages of other origins may ask for ([the CORS protocol](https://fetch.spec.whatwg.org/#http-cors-protocol)). The gateway answers what
/// browsers ask beforehand, and what the target says of it goes to nobody.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpCors {
    /// Their origins, such as `https://app.example.com`; `*` is any but those of other roles, and not to be had with `credentials`.
    #[cfg_attr(feature = "openapi", schema(max_items = 100))]
    pub origins: Vec<String>,
    /// Methods that they may use.
    pub methods: Vec<String>,
    /// Fields that they may send.
    pub headers: Vec<String>,
    /// Fields of answers that they may read beside those that all may; of gRPC-Web how a call ended is among them.
    pub expose: Vec<String>,
    /// Whether they ask in the name of a user who has signed in: browsers send the role's cookie along for pages of the same site.
    pub credentials: bool,
    /// How long a browser believes what it was told beforehand, in seconds; at most a day.
    #[cfg_attr(feature = "openapi", schema(maximum = 86400))]
    pub max_age_seconds: u32,
}

impl Default for HttpCors {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            origins: Vec::new(),
            methods: words(&["GET", "HEAD", "POST"]),
            headers: words(&[
                "accept",
                "authorization",
                "content-type",
                "grpc-timeout",
                "hoop-token",
                "x-grpc-web",
                "x-user-agent",
            ]),
            expose: Vec::new(),
            credentials: false,
            max_age_seconds: 600,
        }
    }
}

/// How it is found out whether a target is well: it is asked through the agent, with `login`, again and again.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpHealth {
    /// The path that is asked for with `GET`.
    #[cfg_attr(feature = "openapi", schema(pattern = "^/.*$"))]
    pub path: String,
    /// The service that is asked about by `grpc.health.v1`, in the place of a path; the empty one is the server as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grpc_service: Option<String>,
    /// How often, in seconds.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 3600))]
    pub interval_seconds: u32,
    /// The statuses of which one is expected; any from 200 to 399 when empty.
    pub status: Vec<u16>,
    /// Whether nobody reaches it while its last check has failed. Unless said, a check only explains why a connection has failed.
    pub blocks: bool,
}

impl Default for HttpHealth {
    fn default() -> Self {
        Self { path: "/".to_owned(), grpc_service: None, interval_seconds: 30, status: Vec::new(), blocks: false }
    }
}

/// What clients of an HTTP role may ask for. What stands in no list is refused.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpAllow {
    /// Methods; `*` stands for any run of characters.
    pub methods: Vec<String>,
    /// Paths without the query, with `*` as above.
    pub paths: Vec<String>,
    /// Open WebSockets.
    pub websocket: bool,
}

impl Default for HttpAllow {
    fn default() -> Self {
        Self { methods: vec!["*".to_owned()], paths: vec!["*".to_owned()], websocket: true }
    }
}

impl HttpAllow {
    /// Whether a method may be used.
    pub fn allows_method(&self, method: &str) -> bool {
        self.methods.iter().any(|pattern| matches_wildcard(pattern, method))
    }

    /// Whether a path may be asked for.
    pub fn allows_path(&self, path: &str) -> bool {
        self.paths.iter().any(|pattern| matches_wildcard(pattern, path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_allowed_unless_a_role_says_what() {
        let all = HttpAllow::default();
        assert!(all.allows_method("PROPFIND") && all.allows_path("/a/b") && all.websocket);
        let some = HttpAllow { methods: vec!["GET".to_owned()], paths: vec!["/api/*".to_owned()], websocket: false };
        assert!(some.allows_method("GET") && !some.allows_method("get") && !some.allows_method("POST"));
        assert!(some.allows_path("/api/x/y") && !some.allows_path("/api") && !some.allows_path("/"));
    }

    #[test]
    fn a_login_reads_back_from_its_form() {
        for (text, login) in [
            (r#"{"kind":"none"}"#, HttpLogin::None),
            (r#"{"kind":"bearer"}"#, HttpLogin::Bearer),
            (r#"{"kind":"basic","user":"app"}"#, HttpLogin::Basic { user: "app".to_owned() }),
        ] {
            assert_eq!(serde_json::from_str::<HttpLogin>(text).expect("a login"), login);
            assert_eq!(serde_json::to_string(&login).expect("JSON"), text);
        }
        assert!(serde_json::from_str::<HttpLogin>(r#"{"kind":"basic"}"#).is_err());
    }
}
