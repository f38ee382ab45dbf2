//! Port 8010, for native clients that reach no other: one stream is one connection to a native door.
//!
//! Whoever calls shows an API token, and what then comes is led to the very door that TCP clients dial: its login and all
//! that follows are the same. The door is told whose token it is, and lets in no credential of anybody else.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use hoop_core::{Clock, Code, Denial};
use hoop_proto::tunnel::v1::access_server::Access;
use hoop_proto::tunnel::v1::{DialDown, DialStart, DialUp, dial_down, dial_up};
use hoop_proto::tunnel::{Connection, chunks};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

use super::accept::{PreAuth, PreAuthLimits};
use super::postgres::PostgresDoor;
use super::proxy::ProxyDoor;
use super::ssh::SshDoor;
use super::stranger::{Refusal, Stranger};
use crate::auth::{Bearer, Scope, scope, settled};
use crate::store::Store;
use crate::tunnel::status;

/// The door of doors.
pub(crate) struct AccessService {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    doors: Doors,
    limits: PreAuthLimits,
    /// Apart from those who dial: who has shown a token does not lose its place to who has shown nothing.
    strangers: PreAuth,
    tasks: TaskTracker,
}

/// The doors that it leads to.
#[derive(Clone)]
pub(crate) struct Doors {
    pub(crate) postgres: Arc<PostgresDoor>,
    pub(crate) ssh: Arc<SshDoor>,
    pub(crate) proxy: Arc<ProxyDoor>,
}

/// From where a call comes, for those who serve it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

impl AccessService {
    /// Leads to these doors those whose tokens are in this store.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        doors: Doors,
        limits: PreAuthLimits,
        tasks: TaskTracker,
    ) -> Self {
        let strangers = PreAuth::new(limits.connections);
        Self { store, clock, doors, limits, strangers, tasks }
    }

    async fn identify<T>(&self, request: &Request<T>) -> Result<Bearer, Denial> {
        let header = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let bearer = Bearer::of(header, &*self.store, &*self.clock).await?;
        settled(&bearer.user)?;
        if let Some(grant) = &bearer.token.grant {
            scope::is_for(grant, &[Scope::Connect, Scope::Admin])?;
        }
        Ok(bearer)
    }
}

#[async_trait]
impl Access for AccessService {
    type DialStream = Pin<Box<dyn Stream<Item = Result<DialDown, Status>> + Send>>;

    async fn dial(&self, request: Request<Streaming<DialUp>>) -> Result<Response<Self::DialStream>, Status> {
        let Some(Peer(peer)) = request.extensions().get().copied() else {
            return Err(Status::internal("nobody knows from where this call comes"));
        };
        let bearer = self.identify(&request).await.map_err(|denial| refused(peer, denial.into()))?;
        let stranger = Stranger::new(peer, self.strangers.enter(), Some(bearer), self.limits, &*self.clock);
        let mut up = request.into_inner();
        let wanted = stranger.in_time(start(&mut up)).await.map_err(|refusal| refused(peer, refusal))?;
        let (outgoing, written) = chunks();
        let connection = Connection::new(up.map(received), outgoing);
        let doors = self.doors.clone();
        self.tasks.spawn(async move {
            match wanted {
                Wanted::Postgres => Box::pin(doors.postgres.connection(connection, stranger)).await,
                Wanted::Ssh => Box::pin(doors.ssh.connection(connection, stranger)).await,
                Wanted::Http => Box::pin(doors.proxy.connection(connection, stranger)).await,
            }
        });
        let sent = |data| Ok(DialDown { body: Some(dial_down::Body::Data(data)) });
        Ok(Response::new(Box::pin(ReceiverStream::new(written).map(sent))))
    }
}

/// Which door is meant.
enum Wanted {
    Postgres,
    Ssh,
    Http,
}

/// Reads which door is meant.
async fn start(up: &mut Streaming<DialUp>) -> Result<Wanted, Refusal> {
    let invalid = |reason: String| Denial::new("gateway", Code::InvalidRequest, reason);
    let first = up.message().await.map_err(|_| Refusal::Silent)?;
    match first.and_then(|first| first.body) {
        Some(dial_up::Body::Start(DialStart { protocol })) => match protocol.as_str() {
            "postgres" => Ok(Wanted::Postgres),
            "ssh" => Ok(Wanted::Ssh),
            "http" => Ok(Wanted::Http),
            _ => {
                let denial = invalid("this gateway has no door for that protocol".to_owned());
                Err(denial.hint("postgres, ssh and http are there").into())
            }
        },
        _ => Err(invalid("the first message must say which door is meant".to_owned()).into()),
    }
}

fn refused(peer: SocketAddr, refusal: Refusal) -> Status {
    match refusal {
        Refusal::Told(denial) => {
            tracing::info!(%peer, code = %denial.code, reason = denial.reason, "tunnelled client refused");
            status(&denial)
        }
        Refusal::Silent => Status::cancelled("the connection was given up before it began"),
    }
}

fn received(message: Result<DialUp, Status>) -> io::Result<Bytes> {
    match message {
        Ok(DialUp { body: Some(dial_up::Body::Data(data)) }) => Ok(data),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "a message that is no data")),
        Err(status) => Err(io::Error::new(io::ErrorKind::ConnectionReset, status)),
    }
}
