//! WebSockets ([RFC 6455], over HTTP/2 [RFC 8441]): each message is read, decided on, and written anew. Both ends are spoken
//! with apart: pings are answered here, and extensions are not negotiated.
//!
//! [RFC 6455]: https://www.rfc-editor.org/rfc/rfc6455
//! [RFC 8441]: https://www.rfc-editor.org/rfc/rfc8441

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{self, Either};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use hoop_core::{ChannelEnd, Code, Denial, HttpResponse, Interest, Message, MessageKind, Request, Response};
use http::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{Method, StatusCode, Version};
use hyper::ext::Protocol;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message as Framed, error::CapacityError};

use super::answer::{Body, empty};
use super::asked::RequestBody;
use super::exchange::{Exchange, GiveUp, confused};
use super::held::{Meter, Metered};
use super::session::HttpSession;
use crate::tunnel::{ChannelIo, ChannelReceiver, ChannelSender};

/// What is read at once; a socket at rest holds no more.
const BUFFER: usize = 4 * 1024;
/// The longest reason of a close ([RFC 6455 §5.5](https://www.rfc-editor.org/rfc/rfc6455#section-5.5)).
const REASON: usize = 123;

/// How long an end may take to answer a close ([RFC 6455 §5.5.1](https://www.rfc-editor.org/rfc/rfc6455#section-5.5.1)), and to say
/// before what it has still to say.
const CLOSING: Duration = Duration::from_secs(30);

const OWN_FIELDS: [HeaderName; 4] =
    [SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_ACCEPT];

/// A client that asks for a WebSocket.
pub(super) struct Upgrade {
    on: OnUpgrade,
    /// What it is answered over HTTP/1.1.
    accept: Option<String>,
}

/// A WebSocket that both ends have agreed on.
pub(super) struct Begun {
    pub(super) upgrade: Upgrade,
    pub(super) receiver: ChannelReceiver,
    pub(super) sender: ChannelSender,
    /// Whether its messages are shown to the chain.
    pub(super) reads: bool,
    pub(super) _give_up: GiveUp,
}

/// Whether a request asks for a WebSocket. Other upgrades are not seen: the request is answered as it is.
///
/// # Errors
/// [`Code::ProtocolViolation`] for one that asks wrongly.
pub(super) fn asked(request: &mut http::Request<RequestBody>) -> Result<Option<Upgrade>, Denial> {
    let over_http2 = request.extensions().get::<Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket");
    let accept = match request.version() {
        Version::HTTP_2 if request.method() == Method::CONNECT && over_http2 => None,
        Version::HTTP_11 if has_token(request, &UPGRADE, "websocket") => {
            let key = request.headers().get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
            let is_proper = request.method() == Method::GET
                && has_token(request, &CONNECTION, "upgrade")
                && request.headers().get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13")
                && http_body::Body::is_end_stream(request.body());
            let key = key.filter(|key| is_proper && key.len() == 24).ok_or_else(improper)?;
            Some(derive_accept_key(key))
        }
        _ => return Ok(None),
    };
    let on = hyper::upgrade::on(&mut *request);
    for name in OWN_FIELDS {
        request.headers_mut().remove(name);
    }
    Ok(Some(Upgrade { on, accept }))
}

fn improper() -> Denial {
    Denial::new(
        "gateway",
        Code::ProtocolViolation,
        "this is not how a WebSocket of version 13 is asked for (RFC 6455 §4.1)",
    )
}

fn has_token(request: &http::Request<RequestBody>, name: &HeaderName, token: &str) -> bool {
    let values = request.headers().get_all(name);
    values
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

/// Answers the client, and relays from then on.
pub(super) fn open(exchange: Exchange, head: HttpResponse, begun: Begun) -> http::Response<Body> {
    let Begun { upgrade: Upgrade { on, accept }, receiver, sender, reads, _give_up: give_up } = begun;
    let mut response = http::Response::new(empty());
    *response.headers_mut() = head.headers;
    for name in OWN_FIELDS {
        response.headers_mut().remove(name);
    }
    if let Some(accept) = accept {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        if let Ok(accept) = HeaderValue::try_from(accept) {
            response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
    }
    let session = exchange.session.clone();
    session.tasks.spawn(Box::pin(async move {
        // A client that never switches is gone, and so is the exchange.
        let Ok(client) = on.await else { return };
        relay(exchange, client, ChannelIo::new(receiver, sender), reads).await;
        drop(give_up);
    }));
    response
}

async fn relay(mut exchange: Exchange, client: Upgraded, target: ChannelIo, reads: bool) {
    let session = exchange.session.clone();
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(session.limits.message_bytes))
        .max_frame_size(Some(session.limits.message_bytes));
    let meters = [(); 2].map(|()| Meter::of(&session.budget));
    let client = Metered::new(TokioIo::new(client), meters[0].clone());
    let target = Metered::new(target, meters[1].clone());
    let client = WebSocketStream::from_raw_socket(client, Role::Server, Some(config)).await;
    let target = WebSocketStream::from_raw_socket(target, Role::Client, Some(config)).await;
    let (mut to_client, from_client) = client.split();
    let (mut to_target, from_target) = target.split();
    let reads = reads && session.chain.wants(Interest::MESSAGES);
    let (up, down) = (Way::up(&exchange, reads), Way::down(&exchange, reads));
    let ended = tokio::select! {
        // A direction that has closed leaves the other its time; one that broke ends both.
        ended = closed(up.run(from_client, &meters[0], &mut to_target), down.run(from_target, &meters[1], &mut to_client)) => ended,
        () = session.ending.cancelled() => Err(session.why().into()),
    };
    let end = match ended {
        Ok(()) => ChannelEnd::Answered(StatusCode::SWITCHING_PROTOCOLS),
        Err(Broken::Lost) => ChannelEnd::Closed,
        Err(Broken::Denied(denial, code)) => {
            let close = || Framed::Close(Some(close_frame(&denial, code)));
            let _ = tokio::time::timeout(std::time::Duration::from_secs(2), async {
                let _ = tokio::join!(to_client.send(close()), to_target.send(close()));
            })
            .await;
            ChannelEnd::Refused(denial)
        }
    };
    let _ = exchange.end(end).await;
}

/// Waits until both directions have closed. An end that never answers a close would keep the exchange its place for good.
async fn closed(
    up: impl Future<Output = Result<(), Broken>>,
    down: impl Future<Output = Result<(), Broken>>,
) -> Result<(), Broken> {
    let (up, down) = (pin!(up), pin!(down));
    let other = match future::select(up, down).await {
        Either::Left((ended, down)) => ended.map(|()| Either::Right(down))?,
        Either::Right((ended, up)) => ended.map(|()| Either::Left(up))?,
    };
    tokio::time::timeout(CLOSING, other).await.unwrap_or(Err(Broken::Lost))
}

fn close_frame(denial: &Denial, code: CloseCode) -> CloseFrame {
    let mut reason = denial.reason.clone();
    reason.truncate(reason.floor_char_boundary(REASON));
    CloseFrame { code, reason: reason.into() }
}

/// Why a WebSocket ends otherwise than by a close of both.
enum Broken {
    /// One end is gone.
    Lost,
    /// It must end, and is closed with this code.
    Denied(Denial, CloseCode),
}

impl From<Denial> for Broken {
    fn from(denial: Denial) -> Self {
        let code = match denial.code {
            Code::LimitExceeded => CloseCode::Size,
            Code::ProtocolViolation => CloseCode::Protocol,
            Code::GatewayDraining => CloseCode::Restart,
            Code::GatewayBusy => CloseCode::Again,
            _ => CloseCode::Policy,
        };
        Self::Denied(denial, code)
    }
}

/// One direction.
struct Way<'a> {
    session: &'a HttpSession,
    channel: hoop_core::ChannelId,
    moved: &'a AtomicU64,
    reads: bool,
    up: bool,
}

impl<'a> Way<'a> {
    fn up(exchange: &'a Exchange, reads: bool) -> Self {
        let Exchange { session, id, traffic, .. } = exchange;
        Self { session, channel: *id, moved: &traffic.to_target, reads, up: true }
    }

    fn down(exchange: &'a Exchange, reads: bool) -> Self {
        Self { moved: &exchange.traffic.to_client, up: false, ..Self::up(exchange, reads) }
    }

    /// Relays until the sender has closed; its close goes on.
    async fn run<F, T>(
        &self,
        mut from: SplitStream<WebSocketStream<F>>,
        meter: &Meter,
        to: &mut SplitSink<WebSocketStream<T>, Framed>,
    ) -> Result<(), Broken>
    where
        F: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        while let Some(message) = from.next().await {
            match message.map_err(|error| self.broken(error))? {
                Framed::Text(text) => {
                    let shown = self.ask(MessageKind::Text, text.into()).await?;
                    let text = shown.try_into().map_err(|_| confused())?;
                    to.send(Framed::Text(text)).await
                }
                Framed::Binary(bytes) => to.send(Framed::Binary(self.ask(MessageKind::Binary, bytes).await?)).await,
                Framed::Close(frame) => to.send(Framed::Close(self.close(frame).await?)).await,
                // They are answered by the library.
                Framed::Ping(_) | Framed::Pong(_) | Framed::Frame(_) => Ok(()),
            }
            .or_else(|error| match error {
                // It has closed already, and waits for this end to do so.
                Error::ConnectionClosed | Error::Protocol(_) => Ok(()),
                _ => Err(Broken::Lost),
            })?;
            meter.rest();
        }
        Ok(())
    }

    /// A close, whose reason is a text like any other.
    async fn close(&self, frame: Option<CloseFrame>) -> Result<Option<CloseFrame>, Broken> {
        let Some(CloseFrame { code, reason }) = frame else { return Ok(None) };
        if !self.reads || reason.is_empty() {
            return Ok(Some(CloseFrame { code, reason }));
        }
        let shown = self.ask(MessageKind::Text, reason.into()).await?;
        let mut reason = String::from_utf8_lossy(&shown).into_owned();
        reason.truncate(reason.floor_char_boundary(REASON));
        Ok(Some(CloseFrame { code, reason: reason.into() }))
    }

    async fn ask(&self, kind: MessageKind, bytes: Bytes) -> Result<Bytes, Broken> {
        self.moved.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if !self.reads {
            return Ok(bytes);
        }
        let message = Message { channel: self.channel, kind, bytes };
        let chain = &self.session.chain;
        let shown = if self.up {
            chain.request(Request::Message(message), async |_| {}).await.map(|request| match request {
                Request::Message(message) => Some(message.bytes),
                _ => None,
            })
        } else {
            chain.response(Response::Message(message)).await.map(|response| match response {
                Response::Message(message) => Some(message.bytes),
                _ => None,
            })
        };
        Ok(shown?.ok_or_else(confused)?)
    }

    fn broken(&self, error: Error) -> Broken {
        let who = if self.up { "the client" } else { "the target" };
        let violation = |what: &str| Denial::new("gateway", Code::ProtocolViolation, format!("{who} sent {what}"));
        match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => {
                let reason = format!("{who} sent a message of more than {} bytes", self.session.limits.message_bytes);
                Denial::new("gateway", Code::LimitExceeded, reason).into()
            }
            Error::Io(error) => match error.into_inner().map(|error| error.downcast::<Denial>()) {
                Some(Ok(denial)) => (*denial).into(),
                _ => Broken::Lost,
            },
            Error::Utf8(_) => Broken::Denied(violation("text that is not UTF-8"), CloseCode::Invalid),
            Error::Protocol(error) => violation(&format!("what is no WebSocket: {error}")).into(),
            _ => Broken::Lost,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_end_that_never_closes_is_not_waited_for() {
        let never = future::pending::<Result<(), Broken>>;
        let ready = |ended| future::ready(ended);
        assert!(matches!(closed(ready(Ok(())), never()).await, Err(Broken::Lost)));
        assert!(matches!(closed(never(), ready(Ok(()))).await, Err(Broken::Lost)));
        assert!(matches!(closed(never(), ready(Err(Broken::Lost))).await, Err(Broken::Lost)));
        let soon = async {
            tokio::time::sleep(CLOSING / 2).await;
            Ok(())
        };
        assert!(closed(soon, ready(Ok(()))).await.is_ok());
    }
}
