//! An agent in a host that has other things to do.

use std::pin::Pin;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use hoop_agent::{Agent, ConnectError, Running};
use hoop_proto::tunnel::v1::tunnel_server::{Tunnel, TunnelServer};
use hoop_proto::tunnel::v1::{
    AgentMessage, CarryDown, CarryUp, GatewayMessage, Welcome, agent_message, gateway_message,
};
use tokio::runtime::{Builder, Runtime};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

/// What is expected comes within this time; nothing waits for its end.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a gateway hears of an agent.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Heartbeat,
    End,
}

/// A gateway that welcomes everybody, says nothing then, and tells what it hears.
struct Gateway(SyncSender<Heard>);

/// A link; it tells of its end.
struct Link(SyncSender<Heard>);

impl Link {
    fn tell(&self, heard: Heard) {
        // The test may be over.
        let _ = self.0.try_send(heard);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.tell(Heard::End);
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[async_trait::async_trait]
impl Tunnel for Gateway {
    type AttachStream = Answers<GatewayMessage>;
    type CarryStream = Answers<CarryDown>;

    async fn attach(&self, request: Request<Streaming<AgentMessage>>) -> Result<Response<Self::AttachStream>, Status> {
        let mut messages = request.into_inner();
        messages.message().await?;
        let welcome = Welcome { heartbeat_interval_ms: 100, heartbeat_timeout_ms: 60_000, ..Welcome::default() };
        let welcome = GatewayMessage { body: Some(gateway_message::Body::Welcome(welcome)) };
        let link = Link(self.0.clone());
        let listens = stream::once(async move {
            while let Ok(Some(message)) = messages.message().await {
                if matches!(message.body, Some(agent_message::Body::Heartbeat(_))) {
                    link.tell(Heard::Heartbeat);
                }
            }
            Err(Status::cancelled("the agent left"))
        });
        Ok(Response::new(stream::iter([Ok(welcome)]).chain(listens).boxed()))
    }

    async fn carry(&self, _: Request<Streaming<CarryUp>>) -> Result<Response<Self::CarryStream>, Status> {
        Err(Status::unimplemented("no session is opened"))
    }
}

/// A gateway, and an agent that is attached to it in a host of its own.
struct Stand {
    heard: Receiver<Heard>,
    host: Runtime,
    running: Running,
    _gateway: Runtime,
}

fn stand() -> Stand {
    let (tell, heard) = sync_channel(10_000);
    let gateway = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let port = gateway.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let served = tonic::transport::Server::builder().add_service(TunnelServer::new(Gateway(tell)));
        gateway.handle().spawn(served.serve_with_incoming(TcpListenerStream::new(listener)));
        port
    });
    let host = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let agent = Agent::builder().key(format!("grpc://guest:token@127.0.0.1:{port}")).build().expect("a key");
    let running = host.block_on(agent.connect()).expect("it is welcome");
    Stand { heard, host, running, _gateway: gateway }
}

/// Hears until the link has ended.
#[track_caller]
fn ends(heard: &Receiver<Heard>) {
    while heard.recv_timeout(PATIENCE).expect("the end of the link") != Heard::End {}
}

#[test]
fn heartbeats_do_not_wait_for_the_host() {
    let Stand { heard, host, running, _gateway } = stand();
    // Nobody drives the host's runtime.
    for _ in 0..5 {
        assert_eq!(heard.recv_timeout(PATIENCE), Ok(Heard::Heartbeat));
    }
    drop(running);
    ends(&heard);
    drop(host);
}

#[test]
fn the_link_ends_with_the_host() {
    let Stand { heard, host, running, _gateway } = stand();
    drop(host);
    ends(&heard);
    drop(running);
}

#[test]
fn a_gateway_that_is_not_there_is_said_at_once() {
    let host = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let agent = Agent::builder().key("grpc://guest:token@127.0.0.1:1").build().expect("a key");
    let error = host.block_on(agent.connect()).expect_err("nobody listens");
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
}
