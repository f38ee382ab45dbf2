//! A port of this machine that asks the gateway as its role's origin, over HTTP/1.1 and HTTP/2 with prior knowledge. Bodies,
//! streams, trailers and WebSockets go through as they come; what says where something is, is said anew.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyStream, Either, Full, StreamBody};
use hyper::body::Incoming;
use hyper::header::{
    CONTENT_LOCATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, ORIGIN, REFERER, UPGRADE,
};
use hyper::http::uri::{PathAndQuery, Uri};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use super::own::{Own, Refusal};
use crate::credentials::Credential;
use crate::door::{Door, Wire};
use crate::failure::Failure;

/// A connection to the gateway rests as long; the gateway gives it up after 75 seconds.
const REST: Duration = Duration::from_secs(60);

const HOOP_TOKEN: HeaderName = HeaderName::from_static("hoop-token");

/// What the gateway answers, frame by frame: a body that knows its length would end with it, before its trailers.
type Body = Either<StreamBody<BodyStream<Incoming>>, Full<Bytes>>;

/// The port.
pub(super) struct Reverse {
    listener: TcpListener,
    way: Arc<Way>,
    tasks: TaskTracker,
    ended: CancellationToken,
}

/// How requests get to the gateway.
struct Way {
    own: Own,
    /// The role's origin, as the door sees it.
    origin: String,
    authority: HeaderValue,
    token: Option<HeaderValue>,
    http1: Client<Dial, Incoming>,
    http2: Client<Dial, Incoming>,
    /// WebSockets.
    tasks: TaskTracker,
    ended: CancellationToken,
}

impl Reverse {
    /// `shows_token` says whether the port asks in the credential's name, or leaves that to who asks there.
    pub(super) fn new(
        listener: TcpListener,
        own: Own,
        credential: &Credential,
        door: Door,
        shows_token: bool,
    ) -> Result<Self, Failure> {
        let authority = credential.authority();
        // The door takes what comes through the tunnel for asked as its public URL says.
        let scheme = if credential.is_encrypted() { "https" } else { "http" };
        let mut token = HeaderValue::try_from(credential.token().expose().as_str())?;
        token.set_sensitive(true);
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(REST).set_host(false);
        let (tasks, ended) = (TaskTracker::new(), CancellationToken::new());
        let way = Way {
            own,
            origin: format!("{scheme}://{authority}"),
            authority: HeaderValue::try_from(authority)?,
            token: shows_token.then_some(token),
            http1: builder.build(Dial { door: door.clone(), alpn: b"http/1.1" }),
            http2: builder.http2_only(true).build(Dial { door, alpn: b"h2" }),
            tasks: tasks.clone(),
            ended: ended.clone(),
        };
        Ok(Self { listener, way: Arc::new(way), tasks, ended })
    }

    /// Takes connections until it is dropped.
    pub(super) async fn accept(&self) -> Result<Infallible, Failure> {
        loop {
            let (client, _) = self.listener.accept().await?;
            let (way, ended) = (Arc::clone(&self.way), self.ended.clone());
            self.tasks.spawn(async move {
                tokio::select! {
                    () = connection(client, way) => {}
                    () = ended.cancelled() => {}
                }
            });
        }
    }

    /// Ends every connection.
    pub(super) async fn finish(self) {
        self.tasks.close();
        self.ended.cancel();
        self.tasks.wait().await;
    }
}

async fn connection(client: TcpStream, way: Arc<Way>) {
    let _ = client.set_nodelay(true);
    let service = service_fn(move |request| {
        let way = Arc::clone(&way);
        async move { Ok::<_, Infallible>(way.answer(request).await) }
    });
    let builder = Builder::new(TokioExecutor::new());
    // An end that breaks off is the other end's to notice.
    let _ = builder.serve_connection_with_upgrades(TokioIo::new(client), service).await;
}

impl Way {
    async fn answer(&self, mut request: Request<Incoming>) -> Response<Body> {
        let name = match self.own.asked(&request) {
            Ok(name) => name,
            Err(refusal) => return refused(refusal),
        };
        let local = format!("http://{name}");
        let on = request.headers().contains_key(UPGRADE).then(|| hyper::upgrade::on(&mut request));
        let is_http2 = request.version() == Version::HTTP_2;
        self.towards(&mut request, &local, is_http2);
        let client = if is_http2 { &self.http2 } else { &self.http1 };
        match client.request(request).await {
            Ok(mut response) => {
                self.back(response.headers_mut(), &local);
                if let Some(near) = on.filter(|_| response.status() == StatusCode::SWITCHING_PROTOCOLS) {
                    self.switch(near, hyper::upgrade::on(&mut response));
                }
                response.map(|body| Either::Left(StreamBody::new(BodyStream::new(body))))
            }
            Err(error) => {
                eprintln!("hoop: {}", crate::api::innermost(&error));
                refused((StatusCode::BAD_GATEWAY, "hoop: the gateway does not answer; the terminal says why"))
            }
        }
    }

    /// A request as the role's origin is asked.
    fn towards(&self, request: &mut Request<Incoming>, local: &str, is_http2: bool) {
        let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        *request.uri_mut() = uri(&self.origin, path);
        let fields = request.headers_mut();
        // Over HTTP/2 the URI has it.
        fields.remove(HOST);
        if !is_http2 {
            fields.insert(HOST, self.authority.clone());
        }
        if let Some(token) = &self.token {
            fields.insert(HOOP_TOKEN, token.clone());
        }
        for name in [ORIGIN, REFERER] {
            said_anew(fields, &name, &[local], &self.origin);
        }
    }

    /// What is answered, as this port's own. Other origins are let in by nobody.
    fn back(&self, fields: &mut HeaderMap, local: &str) {
        let authority = self.authority.to_str().unwrap_or_default();
        let (plain, encrypted) = (format!("http://{authority}"), format!("https://{authority}"));
        for name in [LOCATION, CONTENT_LOCATION] {
            said_anew(fields, &name, &[&plain, &encrypted], local);
        }
        let shared: Vec<_> =
            fields.keys().filter(|name| name.as_str().starts_with("access-control-")).cloned().collect();
        for name in shared {
            fields.remove(name);
        }
    }

    fn switch(&self, near: OnUpgrade, far: OnUpgrade) {
        let ended = self.ended.clone();
        self.tasks.spawn(async move {
            let relayed = async {
                let (near, far) = tokio::try_join!(near, far).map_err(io::Error::other)?;
                tokio::io::copy_bidirectional(&mut TokioIo::new(near), &mut TokioIo::new(far)).await
            };
            tokio::select! {
                _ = relayed => {}
                () = ended.cancelled() => {}
            }
        });
    }
}

fn uri(origin: &str, path: PathAndQuery) -> Uri {
    let mut parts = Uri::try_from(origin).unwrap_or_default().into_parts();
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).unwrap_or_default()
}

/// Replaces one of these origins at the beginning of a field.
fn said_anew(fields: &mut HeaderMap, name: &HeaderName, origins: &[&str], new: &str) {
    let Some(value) = fields.get(name).and_then(|value| value.to_str().ok()) else { return };
    let rest = origins.iter().find_map(|origin| {
        let (begin, rest) = value.split_at_checked(origin.len())?;
        let is_it = begin.eq_ignore_ascii_case(origin) && (rest.is_empty() || rest.starts_with(['/', '?', '#']));
        is_it.then_some(rest)
    });
    if let Some(value) = rest.and_then(|rest| HeaderValue::try_from(format!("{new}{rest}")).ok()) {
        fields.insert(name.clone(), value);
    }
}

fn refused((status, text): Refusal) -> Response<Body> {
    let mut response = Response::new(Either::Right(Full::from(format!("{text}\n"))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// Connections to the door, for the client's pool.
#[derive(Clone)]
struct Dial {
    door: Door,
    alpn: &'static [u8],
}

impl Service<Uri> for Dial {
    type Response = TokioIo<Wire>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Wire>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { door, alpn } = self.clone();
        Box::pin(async move {
            let dialled = door.dial_for_protocol(alpn).await;
            dialled.map(TokioIo::new).map_err(|failure| io::Error::other(failure.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_replaced_where_it_is_all_of_it() {
        let said = |value: &str| {
            let mut fields = HeaderMap::new();
            fields.insert(LOCATION, value.parse().expect("a value"));
            said_anew(&mut fields, &LOCATION, &["http://app.x", "https://app.x"], "http://127.0.0.1:1");
            fields[LOCATION].to_str().expect("text").to_owned()
        };
        for (given, expected) in [
            ("https://app.x/a?b", "http://127.0.0.1:1/a?b"),
            ("HTTP://APP.x", "http://127.0.0.1:1"),
            ("https://app.x.evil.example/", "https://app.x.evil.example/"),
            ("https://app.x:8443/", "https://app.x:8443/"),
            ("/a", "/a"),
        ] {
            assert_eq!(said(given), expected);
        }
    }

    #[test]
    fn a_path_stays_as_it_was_written() {
        let path = PathAndQuery::from_static("/a%2Fb/..//c?d=e%20f");
        assert_eq!(uri("https://app.x:8443", path).to_string(), "https://app.x:8443/a%2Fb/..//c?d=e%20f");
    }
}
