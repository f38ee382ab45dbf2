//! A session's connections to a service.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hoop_core::Code;
use hoop_proto::tunnel::v1::{HttpTarget, SuppliedSecret};
use http::uri::Scheme;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::rt::Executor;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::TokioTimer;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, info_span};

use super::body::RequestBody;
use super::dial::{Connector, Dialer};
use super::login::Login;
use super::tls::{Offer, Tls};
use super::{failure, response, websocket};
use crate::agent::Settings;
use crate::error::TargetFailure;
use crate::trace::TARGET;

/// How long a connection is kept that nobody needs.
const IDLE: Duration = Duration::from_secs(60);
/// Most of them.
const MOST_IDLE: usize = 64;
/// The longest head of a response over HTTP/1.1, and what is read at once.
const MOST_HEAD_BYTES: usize = 32 * 1024;
/// Most fields of a response over HTTP/1.1.
const MOST_FIELDS: usize = 200;
/// What a target may send of one response over HTTP/2 before it is read …
const WINDOW_BYTES: u32 = 256 * 1024;
/// … and of all of them on a connection: those that are not read leave the others room.
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// What of a request waits for a target over HTTP/2.
const SEND_BYTES: usize = 64 * 1024;
/// A target is asked for a sign of life after this much silence over HTTP/2, while it owes an answer, and is lost without one.
const KEEPALIVE: Duration = Duration::from_secs(20);

type Pool = Client<Connector, RequestBody>;

/// A session's connections. They end with it.
pub(crate) struct Connection {
    dialer: Arc<Dialer>,
    pub(super) scheme: Scheme,
    /// Of the version that the role says.
    pool: Pool,
    http2_only: bool,
    /// Over HTTP/2, for calls of gRPC where the role does not say it for all.
    http2: OnceLock<Pool>,
    login: Login,
    tasks: Tasks,
    _end: DropGuard,
}

impl Connection {
    /// Finds the secrets, and connects for the first time.
    pub(super) async fn open(
        target: &HttpTarget,
        supplied: &[SuppliedSecret],
        settings: &Settings,
    ) -> Result<Self, TargetFailure> {
        let found = find(target, supplied, settings).instrument(info_span!(target: TARGET, "secrets"));
        let (login, dialer) = found.await?;
        let offer = match target.version.as_str() {
            "1.1" => Offer::Http1,
            "2" => Offer::Http2,
            _ => Offer::Both,
        };
        dialer.dial_first(offer).instrument(info_span!(target: TARGET, "connect")).await?;
        let (dialer, end) = (Arc::new(dialer), CancellationToken::new());
        let tasks = Tasks { tracker: TaskTracker::new(), end: end.clone() };
        Ok(Self {
            scheme: if dialer.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP },
            pool: pool(&dialer, offer, &tasks),
            http2_only: offer == Offer::Http2,
            http2: OnceLock::new(),
            dialer,
            login,
            tasks,
            _end: end.drop_guard(),
        })
    }

    /// Cancelled when the session has ended.
    pub(super) fn end(&self) -> CancellationToken {
        self.tasks.end.clone()
    }

    /// Asks the target, and waits for the head of its answer. To drop the future, or the answer, gives the request up.
    pub(super) async fn ask(
        &self,
        request: Request<RequestBody>,
        grpc: bool,
    ) -> Result<Response<Incoming>, TargetFailure> {
        let (mut request, used) = self.login.apply(request).await?;
        let on = capture_connection(&mut request);
        let pool = if grpc && !self.http2_only {
            self.http2.get_or_init(|| pool(&self.dialer, Offer::Http2, &self.tasks))
        } else {
            &self.pool
        };
        let answer = pool.request(request).await.map_err(|error| failure::of(&error))?;
        self.login.answered(&used, answer.status()).await;
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(failure::lost("it switches to another protocol, and nobody has asked for one"));
        }
        response::framed(answer.headers()).inspect_err(|_| {
            // The library has read it one way: what follows on the connection may be a part of it.
            if let Some(connection) = on.connection_metadata().as_ref() {
                connection.poison();
            }
        })?;
        Ok(answer)
    }

    /// Asks for a WebSocket, on a connection of its own. An answer other than 101 is one like any other.
    pub(super) async fn ask_websocket(
        &self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TargetFailure> {
        let (mut request, used) = self.login.apply(request).await?;
        let handshake = websocket::Handshake::prepare(&mut request)?;
        let io = hyper_util::rt::TokioIo::new(self.dialer.dial(Offer::Http1).await?);
        let mut builder = http1::Builder::new();
        builder.max_buf_size(MOST_HEAD_BYTES).max_headers(MOST_FIELDS);
        let (mut sender, connection) = builder.handshake(io).await.map_err(|error| failure::of(&error))?;
        self.tasks.execute(async {
            // What ends it is seen by who waits for the answer.
            let _ = connection.with_upgrades().await;
        });
        let answer = sender.send_request(request).await.map_err(|error| failure::of(&error))?;
        self.login.answered(&used, answer.status()).await;
        handshake.verify(&answer)?;
        response::framed(answer.headers())?;
        Ok(answer)
    }
}

/// Secrets, and how to reach the service.
async fn find(
    target: &HttpTarget,
    supplied: &[SuppliedSecret],
    settings: &Settings,
) -> Result<(Login, Dialer), TargetFailure> {
    let port = u16::try_from(target.port)
        .map_err(|_| TargetFailure::new(Code::TargetUnavailable, format!("{} is no port", target.port)))?;
    let tls = match target.scheme.as_str() {
        "https" => Some(Tls::new(target, supplied, &settings.secrets).await?),
        _ => None,
    };
    let secret = settings.secrets.find("secret", &target.secret, supplied).await?;
    let session_token = settings.secrets.find("aws_session_token", &target.aws_session_token, supplied).await?;
    let login = Login::new(target, secret, session_token, settings).await?;
    Ok((login, Dialer::new(target.host.clone(), port, target.socket.clone(), tls)))
}

fn pool(dialer: &Arc<Dialer>, offer: Offer, tasks: &Tasks) -> Pool {
    let mut builder = Builder::new(tasks.clone());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MOST_IDLE)
        .http1_max_buf_size(MOST_HEAD_BYTES)
        .http1_max_headers(MOST_FIELDS)
        .http2_only(offer == Offer::Http2)
        .http2_initial_stream_window_size(WINDOW_BYTES)
        .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_max_header_list_size(u32::try_from(MOST_HEAD_BYTES).unwrap_or(u32::MAX))
        .http2_max_send_buf_size(SEND_BYTES)
        .http2_keep_alive_interval(KEEPALIVE)
        .http2_keep_alive_timeout(KEEPALIVE);
    builder.build(Connector { dialer: Arc::clone(dialer), offer })
}

/// Where connections are driven, until their session ends.
#[derive(Clone)]
struct Tasks {
    tracker: TaskTracker,
    end: CancellationToken,
}

impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        let end = self.end.clone();
        self.tracker.spawn(async move {
            end.run_until_cancelled(task).await;
        });
    }
}
