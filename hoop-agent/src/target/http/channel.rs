//! A channel: one exchange after the other. Requests come down from the gateway, responses go up to it, neither waits for the
//! other, and either waits for who reads it.

use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt as _};
use hoop_proto::tunnel::v1::{
    Closed, HttpEnd, HttpMessage, HttpRequest, HttpResponse, carry_down, carry_up, http_message,
};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::body::{Piece, RequestBody};
use super::connection::Connection;
use super::{failure, request, response};
use crate::error::TargetFailure;
use crate::link::{TargetReader, TargetWrite};
use crate::target::{Ended, Sink};

/// Both directions of a channel. It ends with either of them, or when `gone` is cancelled.
pub(super) fn halves(
    connection: Arc<Connection>,
    gone: CancellationToken,
) -> (BoxStream<'static, carry_up::Body>, Down) {
    let (asked, exchanges) = mpsc::channel(1);
    let scheme = connection.scheme.clone();
    let up = Up { connection, exchanges, answer: Answer::None, gone: gone.clone(), _end: gone.clone().drop_guard() };
    let messages = stream::unfold(up, |mut up| async move { Some((up.next().await?, up)) });
    let end = stream::once(async { carry_up::Body::Closed(Closed { failure: None }) });
    let down = Down { scheme, asked, begun: None, now: Now::Nothing, gone: gone.clone(), _end: gone.drop_guard() };
    (messages.chain(end).boxed(), down)
}

/// A request, on its way from one half to the other.
struct Exchange {
    /// Or why it cannot be asked.
    request: Result<Request<RequestBody>, TargetFailure>,
    kind: Kind,
    over: DropGuard,
}

enum Kind {
    Plain,
    Grpc,
    /// With the way to write to it, once it is open.
    WebSocket(oneshot::Sender<TargetWrite>),
}

impl Kind {
    /// Of a request that is none for a WebSocket.
    const fn of(request: &HttpRequest) -> Self {
        if request.grpc { Self::Grpc } else { Self::Plain }
    }
}

struct Up {
    connection: Arc<Connection>,
    exchanges: mpsc::Receiver<Box<Exchange>>,
    answer: Answer,
    gone: CancellationToken,
    _end: DropGuard,
}

/// What is being read. The exchange is over when it is dropped.
enum Answer {
    None,
    Body { body: Incoming, _over: DropGuard },
    WebSocket { read: TargetReader, _over: DropGuard },
}

impl Up {
    async fn next(&mut self) -> Option<carry_up::Body> {
        let gone = self.gone.clone();
        gone.run_until_cancelled(self.say()).await?
    }

    async fn say(&mut self) -> Option<carry_up::Body> {
        loop {
            match &mut self.answer {
                Answer::None => {
                    let exchange = self.exchanges.recv().await?;
                    // An idle channel is small.
                    return Some(match Box::pin(self.ask(*exchange)).await {
                        Ok(head) => said(http_message::Body::Response(head)),
                        Err(failure) => said(http_message::Body::Failed(failure.into_wire())),
                    });
                }
                Answer::Body { body, .. } => {
                    let Some(said) = Self::piece(body).await else { continue };
                    if !matches!(said, carry_up::Body::Data(_)) {
                        self.answer = Answer::None;
                    }
                    return Some(said);
                }
                Answer::WebSocket { read, .. } => {
                    let data = std::future::poll_fn(|cx| read.poll_read(cx)).await;
                    // A connection that breaks ends the WebSocket as one that ends: its own closing handshake tells them apart.
                    let data = data.unwrap_or_default();
                    if !data.is_empty() {
                        return Some(carry_up::Body::Data(data));
                    }
                    self.answer = Answer::None;
                    return Some(end(None));
                }
            }
        }
    }

    /// Asks the target, and makes ready to read its answer.
    async fn ask(&mut self, exchange: Exchange) -> Result<HttpResponse, TargetFailure> {
        let Exchange { request, kind, over } = exchange;
        let request = request?;
        let (response, opened) = match kind {
            Kind::Plain => (self.connection.ask(request, false).await?, None),
            Kind::Grpc => (self.connection.ask(request, true).await?, None),
            Kind::WebSocket(opened) => (self.connection.ask_websocket(request).await?, Some(opened)),
        };
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            let head = response::head(response.status(), response.headers(), false);
            let upgraded = hyper::upgrade::on(response).await.map_err(|error| failure::of(&error))?;
            let (read, write) = tokio::io::split(TokioIo::new(upgraded));
            if let Some(opened) = opened {
                let _ = opened.send(Box::new(write));
            }
            self.answer = Answer::WebSocket { read: TargetReader::new(Box::new(read)), _over: over };
            return Ok(head);
        }
        let (parts, body) = response.into_parts();
        let bodiless = hyper::body::Body::is_end_stream(&body);
        let head = response::head(parts.status, &parts.headers, bodiless);
        if !bodiless {
            self.answer = Answer::Body { body, _over: over };
        }
        Ok(head)
    }

    /// What comes next of a body.
    async fn piece(body: &mut Incoming) -> Option<carry_up::Body> {
        let frame = match body.frame().await {
            None => return Some(end(None)),
            Some(Err(error)) => return Some(said(http_message::Body::Failed(failure::of(&error).into_wire()))),
            Some(Ok(frame)) => frame,
        };
        match frame.into_data() {
            Ok(data) => (!data.is_empty()).then_some(carry_up::Body::Data(data)),
            Err(frame) => {
                let trailers = frame.into_trailers().ok();
                // Read to its end, so that the connection serves the next request.
                let _ = body.frame().await;
                Some(end(trailers.as_ref()))
            }
        }
    }
}

fn said(body: http_message::Body) -> carry_up::Body {
    carry_up::Body::Http(HttpMessage { body: Some(body) })
}

fn end(trailers: Option<&HeaderMap>) -> carry_up::Body {
    let trailers = trailers.map(response::fields).unwrap_or_default();
    said(http_message::Body::End(HttpEnd { trailers }))
}

/// What goes down to a target on one channel.
pub(crate) struct Down {
    scheme: http::uri::Scheme,
    asked: mpsc::Sender<Box<Exchange>>,
    begun: Option<Begun>,
    now: Now,
    gone: CancellationToken,
    _end: DropGuard,
}

/// A request that waits until it is known whether all of its body is here: what is, goes to the target at once, and costs it and
/// the agent one wake-up. Data is empty until some has come.
struct Begun {
    request: HttpRequest,
    data: bytes::Bytes,
}

impl Begun {
    /// Whether the data is all of the body. Less or more than was said fails as it comes: the library would wait for an answer.
    fn is_whole(&self) -> bool {
        let length = self.data.len().to_string();
        let mut said = self.request.fields.iter().filter(|field| field.name == CONTENT_LENGTH.as_str());
        !self.data.is_empty() && said.all(|field| field.value == length.as_bytes())
    }
}

/// Where the data of the gateway goes.
enum Now {
    /// Nowhere: none is expected, or the exchange is over and the rest is thrown away.
    Nothing,
    Body {
        pieces: mpsc::Sender<Piece>,
        over: CancellationToken,
    },
    /// A WebSocket that is not open yet.
    Opening {
        opened: oneshot::Receiver<TargetWrite>,
        over: CancellationToken,
    },
    Open {
        write: TargetWrite,
        over: CancellationToken,
    },
}

impl Sink for Down {
    async fn take(&mut self, body: carry_down::Body) -> Result<(), Ended> {
        let gone = self.gone.clone();
        gone.run_until_cancelled(self.pass(body)).await.unwrap_or(Err(Ended))
    }

    async fn settle(&mut self) -> Result<(), Ended> {
        if self.begun.is_none() {
            return Ok(());
        }
        let gone = self.gone.clone();
        gone.run_until_cancelled(self.stream()).await.unwrap_or(Err(Ended))
    }

    /// What runs is given up.
    async fn end(&mut self) {
        self.gone.cancel();
    }
}

impl Down {
    async fn pass(&mut self, body: carry_down::Body) -> Result<(), Ended> {
        match body {
            carry_down::Body::Data(data) => match &mut self.begun {
                Some(begun) if begun.data.is_empty() => begun.data = data,
                _ => {
                    self.stream().await?;
                    self.data(data).await;
                }
            },
            carry_down::Body::Http(HttpMessage { body: Some(http_message::Body::Request(request)) }) => {
                self.stream().await?;
                return self.request(request).await;
            }
            carry_down::Body::Http(HttpMessage { body: Some(http_message::Body::End(HttpEnd { trailers })) }) => {
                // Trailers that are no fields are left out: the body is whole without them.
                let trailers = request::fields(trailers).ok().filter(|trailers| !trailers.is_empty());
                return self.end_with(trailers.map(Box::new)).await;
            }
            _ => {}
        }
        Ok(())
    }

    async fn request(&mut self, request: HttpRequest) -> Result<(), Ended> {
        let over = CancellationToken::new();
        if request.websocket {
            let (open, opened) = oneshot::channel();
            self.now = Now::Opening { opened, over: over.clone() };
            return self.ask(request, RequestBody::none(), Kind::WebSocket(open), over).await;
        }
        self.now = Now::Nothing;
        if request.bodiless {
            let kind = Kind::of(&request);
            return self.ask(request, RequestBody::none(), kind, over).await;
        }
        self.begun = Some(Begun { request, data: bytes::Bytes::new() });
        Ok(())
    }

    /// Lets a request go that has begun; its body comes piece by piece.
    async fn stream(&mut self) -> Result<(), Ended> {
        let Some(Begun { request, data }) = self.begun.take() else { return Ok(()) };
        let over = CancellationToken::new();
        let (pieces, body) = RequestBody::streamed(over.clone());
        self.now = Now::Body { pieces, over: over.clone() };
        let kind = Kind::of(&request);
        self.ask(request, body, kind, over).await?;
        if !data.is_empty() {
            self.data(data).await;
        }
        Ok(())
    }

    async fn ask(
        &mut self,
        request: HttpRequest,
        body: RequestBody,
        kind: Kind,
        over: CancellationToken,
    ) -> Result<(), Ended> {
        let request = request::head(request, &self.scheme).map(|head| head.map(|()| body));
        let exchange = Exchange { request, kind, over: over.drop_guard() };
        self.asked.send(Box::new(exchange)).await.map_err(|_| Ended)
    }

    async fn data(&mut self, data: bytes::Bytes) {
        self.open().await;
        let taken = match &mut self.now {
            Now::Nothing | Now::Opening { .. } => return,
            Now::Body { pieces, over } => {
                let sent = over.run_until_cancelled(pieces.send(Piece::Data(data))).await;
                sent.is_some_and(|sent| sent.is_ok())
            }
            Now::Open { write, over } => {
                let written = async {
                    write.write_all(&data).await?;
                    write.flush().await
                };
                over.run_until_cancelled(written).await.is_some_and(|written: std::io::Result<()>| written.is_ok())
            }
        };
        if !taken {
            self.now = Now::Nothing;
        }
    }

    async fn end_with(&mut self, trailers: Option<Box<HeaderMap>>) -> Result<(), Ended> {
        if trailers.is_none()
            && let Some(Begun { request, data }) = self.begun.take_if(|begun| begun.is_whole())
        {
            let kind = Kind::of(&request);
            return self.ask(request, RequestBody::Short(Some(data)), kind, CancellationToken::new()).await;
        }
        self.stream().await?;
        self.end_of_body(trailers).await;
        Ok(())
    }

    async fn end_of_body(&mut self, trailers: Option<Box<HeaderMap>>) {
        self.open().await;
        match std::mem::replace(&mut self.now, Now::Nothing) {
            Now::Nothing | Now::Opening { .. } => {}
            Now::Body { pieces, over } => {
                let _ = over.run_until_cancelled(pieces.send(Piece::End(trailers))).await;
            }
            Now::Open { mut write, over } => {
                let _ = over.run_until_cancelled(write.shutdown()).await;
            }
        }
    }

    /// Waits for a WebSocket to be open, or to be known not to.
    async fn open(&mut self) {
        if let Now::Opening { opened, .. } = &mut self.now {
            let opened = opened.await;
            self.now = match (std::mem::replace(&mut self.now, Now::Nothing), opened) {
                (Now::Opening { over, .. }, Ok(write)) => Now::Open { write, over },
                _ => Now::Nothing,
            };
        }
    }
}
