//! The sections of the file. Field names are the keys.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU16,
    path::{Path, PathBuf},
    time::Duration,
};

use hoop_proto::tunnel::BusyPoll;
use serde::{Deserialize, Serialize};

use super::duration;
use crate::record::Space;
use crate::store::StoreUrl;

/// A whole configuration. `Config::default()` is what an empty file says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Folder of everything the gateway keeps. Relative paths of the other settings start here.
    pub data: PathBuf,
    /// Where users, roles and sessions are stored.
    pub store: StoreSettings,
    /// The doors.
    pub listen: Listen,
    /// The certificate all doors show.
    pub tls: Tls,
    /// What a stranger may cost.
    pub limits: Limits,
    /// Where sessions are recorded, and how surely.
    pub record: Record,
    /// Credentials for native clients.
    pub credentials: Credentials,
    /// How the loss of an agent is noticed.
    pub agents: Agents,
    /// Where traces go.
    pub telemetry: Telemetry,
    /// How secrets are kept that are typed into the gateway.
    pub secrets: Secrets,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("hoop-data"),
            store: StoreSettings::default(),
            listen: Listen::default(),
            tls: Tls::default(),
            limits: Limits::default(),
            record: Record::default(),
            credentials: Credentials::default(),
            agents: Agents::default(),
            telemetry: Telemetry::default(),
            secrets: Secrets::default(),
        }
    }
}

impl Config {
    /// A path of this configuration, relative ones below the data folder.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.data.join(path)
    }

    /// The store's URL with its file below the data folder: `sqlite:hoop.db` becomes `sqlite:/var/lib/hoop/hoop.db`.
    pub fn store_url(&self) -> StoreUrl {
        match self.store.url.sqlite_file() {
            Some(file) if !file.starts_with("//") => {
                StoreUrl::new(format!("sqlite:{}", self.path(Path::new(file)).display()))
            }
            _ => self.store.url.clone(),
        }
    }
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSettings {
    /// `sqlite:FILE`, or `postgres://USER@HOST/DATABASE?sslmode=verify-full`. A password that the URL does not have is
    /// taken from `PGPASSWORD` or the file of `PGPASSFILE`; one that it has is not shown anywhere.
    pub url: StoreUrl,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self { url: StoreUrl::new("sqlite:hoop.db") }
    }
}

/// `[secrets]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Secrets {
    /// The operator's key, under which secrets of roles are encrypted: 32 bytes in base64, as `hoop-gateway secrets
    /// new-key` makes it. Unset: the gateway keeps no secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
}

/// `[listen]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// API, health and metrics, and the pages on which people sign in.
    pub http: HttpDoor,
    /// Agents.
    pub grpc: GrpcDoor,
    /// PostgreSQL clients.
    pub postgres: PostgresDoor,
    /// SSH clients.
    pub ssh: SshDoor,
    /// HTTP clients: browsers, and programs.
    pub proxy: ProxyDoor,
}

/// `[listen.http]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpDoor {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// Whether it speaks HTTPS, with the certificate of the other doors, or plain HTTP.
    pub tls: bool,
    /// The beginning of the URL by which browsers find it, such as `https://hoop.example.com`, where that is not the address
    /// above: people are sent there to sign in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public: Option<String>,
}

impl Default for HttpDoor {
    fn default() -> Self {
        // Plain HTTP for this machine alone: what is beyond it comes through a proxy that ends TLS, or asks for `tls`.
        Self { address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8009), tls: false, public: None }
    }
}

/// `[listen.grpc]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GrpcDoor {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// Plain text is for agents on the gateway's own host.
    pub tls: bool,
    /// `host:port` that agents dial, where it is not the address above; it is written into agents' keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public: Option<String>,
}

impl Default for GrpcDoor {
    fn default() -> Self {
        Self { address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8010), tls: true, public: None }
    }
}

/// `[listen.postgres]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PostgresDoor {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// Whether clients may, or must, ask for TLS.
    pub tls: TlsUse,
    /// `host:port` that clients connect to, where it is not the address above; it is written into their URLs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public: Option<String>,
}

impl Default for PostgresDoor {
    fn default() -> Self {
        Self { address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 15432), tls: TlsUse::Required, public: None }
    }
}

/// `[listen.ssh]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SshDoor {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// `host:port` that clients connect to, where it is not the address above; it is written into their settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public: Option<String>,
    /// Public keys of authorities whose certificates of users are taken, one line of a `.pub` file each. A certificate names the
    /// users that it is for.
    pub user_authorities: Vec<String>,
    /// How long a client that has neither a credential nor a key may wait until somebody has signed it in with a browser;
    /// `0s` keeps that way in shut. It does not lengthen any other login.
    #[serde(with = "duration")]
    pub sign_in_timeout: Duration,
}

impl Default for SshDoor {
    fn default() -> Self {
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 12222),
            public: None,
            user_authorities: Vec::new(),
            sign_in_timeout: Duration::from_secs(120),
        }
    }
}

/// `[listen.proxy]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProxyDoor {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// Whether clients may, or must, speak TLS. With `off`, whoever ends TLS stands in front, and `public` begins with
    /// `https://`.
    pub tls: TlsUse,
    /// The beginning of the URL by which browsers find it, such as `https://apps.example.com`: every HTTP role has an origin of
    /// its own below that host, `https://billing.apps.example.com`, so the host needs a wildcard in DNS and in the certificate.
    /// Unset: `localhost` and the port above, below which browsers find this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public: Option<String>,
}

impl Default for ProxyDoor {
    fn default() -> Self {
        Self { address: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 18888), tls: TlsUse::Required, public: None }
    }
}

/// What a door that can speak both does about TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsUse {
    /// Clients that ask for TLS are told that there is none.
    Off,
    /// Both are served.
    Optional,
    /// A client without TLS is refused before it can send a password.
    Required,
}

/// `[tls]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// PEM file with the chain, leaf first. Unset: a self-signed one is made in `tls/` below the data folder. A file that
    /// changes is read again within seconds, and connections that are there go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// PEM file with the key of that certificate; it is read again, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Host names and addresses of a self-signed certificate. It is made again when they change, and agents whose key pins
    /// it need a new key then.
    pub names: Vec<String>,
}

impl Default for Tls {
    fn default() -> Self {
        Self { certificate: None, key: None, names: ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec() }
    }
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// One deadline for everything before a client is authenticated.
    #[serde(with = "duration")]
    pub login_timeout: Duration,
    /// How long it may take until a session's target is logged in to: the agent's connection and login. From 1 s to 2 min.
    #[serde(with = "duration")]
    pub open_timeout: Duration,
    /// How long a review may wait for somebody's decision. It expires then, and the session that waits for it is refused. From 1 s
    /// to 24 h.
    #[serde(with = "duration")]
    pub review_timeout: Duration,
    /// Sessions that wait for a review, at once; one more is refused. Of one user, 16 may wait.
    pub held_sessions: usize,
    /// Public keys that one SSH connection may ask about, or log in with, before it is let in.
    pub ssh_keys: usize,
    /// Connections of one door that are not authenticated yet, at once; more are closed on arrival.
    pub pending_logins: usize,
    /// Longest message of a client or a row of a target, in bytes, that is read as a whole. A longer one is refused; rows
    /// that no rule needs to read go on in pieces whatever their length.
    pub message_bytes: usize,
    /// Channels of one SSH session, of programs and forwarded connections alike, at once.
    pub ssh_channels: usize,
    /// Requests of one session over HTTP at once, WebSockets and streams among them; one more waits.
    pub http_exchanges: usize,
    /// A session over HTTP ends after this time without a request.
    #[serde(with = "duration")]
    pub http_idle: Duration,
    /// How long an HTTP target may take to begin its answer, or to take more of a request.
    #[serde(with = "duration")]
    pub http_answer: Duration,
    /// How long an HTTP client may send nothing of a body, until the target has begun its answer; calls of gRPC may rest for longer.
    #[serde(with = "duration")]
    pub http_body_idle: Duration,
    /// What may be held in memory of bodies and messages over HTTP that are read as a whole, of all sessions together, in bytes.
    /// What needs more is refused, and may be sent again.
    pub http_held_bytes: usize,
    /// The same of one session.
    pub http_session_held_bytes: usize,
    /// How long running sessions may go on after the gateway was asked to stop.
    #[serde(with = "duration")]
    pub drain: Duration,
    /// Requests of one user to the API that read; 0 sets no limit, here and below.
    pub reads_per_minute: u32,
    /// Requests of one user to the API that do something.
    pub writes_per_minute: u32,
    /// Requests to the API without a sign-in, from one address.
    pub strangers_per_minute: u32,
    /// Longest life of an API token, in days. There is none without an end.
    pub token_days: NonZeroU16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            login_timeout: Duration::from_secs(10),
            open_timeout: Duration::from_secs(15),
            review_timeout: Duration::from_secs(30 * 60),
            held_sessions: 256,
            ssh_keys: 20,
            pending_logins: 2048,
            message_bytes: 64 << 20,
            ssh_channels: 64,
            http_exchanges: 1000,
            http_idle: Duration::from_secs(15 * 60),
            http_answer: Duration::from_secs(120),
            http_body_idle: Duration::from_secs(60),
            http_held_bytes: 1 << 30,
            http_session_held_bytes: 256 << 20,
            drain: Duration::from_secs(30),
            reads_per_minute: 6000,
            writes_per_minute: 1200,
            strangers_per_minute: 600,
            token_days: const { NonZeroU16::new(90).expect("it is not 0") },
        }
    }
}

/// `[record]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Record {
    /// Folder of the recordings.
    pub folder: PathBuf,
    /// Whether every role waits for the disk before a statement runs, as a strict role does.
    pub strict: bool,
    /// How much of the folder's disk must be free for strict sessions, in percent.
    pub strict_free_percent: u8,
    /// How much of it must be free for any session, in percent.
    pub free_percent: u8,
}

impl Default for Record {
    fn default() -> Self {
        let Space { strict_percent, all_percent } = Space::default();
        Self {
            folder: PathBuf::from("recordings"),
            strict: false,
            strict_free_percent: strict_percent,
            free_percent: all_percent,
        }
    }
}

/// `[credentials]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Credentials {
    /// How long a new credential is good for, unless its maker asks for less.
    #[serde(with = "duration")]
    pub ttl: Duration,
}

impl Default for Credentials {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(8 * 3600) }
    }
}

/// `[agents]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Agents {
    /// Silence of its own after which each end says that it lives.
    #[serde(with = "duration")]
    pub heartbeat_interval: Duration,
    /// Silence after which the other end counts as lost, with all its sessions.
    #[serde(with = "duration")]
    pub heartbeat_timeout: Duration,
    /// Whether the gateway looks for the next message of the tunnel for a while, in place of letting its core sleep at once.
    pub busy_poll: BusyPoll,
}

impl Default for Agents {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_secs(2),
            heartbeat_timeout: Duration::from_secs(8),
            busy_poll: BusyPoll::Auto,
        }
    }
}

/// `[telemetry]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// Base URL of a collector that takes OTLP over HTTP, such as `http://127.0.0.1:4318`. Unset: that of
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`, and without either nothing is traced. The stock gateway sends; a program of one's own
    /// does what it likes with the spans.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<String>,
}
