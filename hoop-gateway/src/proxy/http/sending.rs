//! The body of a request on its way to the target.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::poll;
use hoop_core::{BodyPart, BodyUse, ChannelId, Code, Denial, Fault, HttpRequest, Message, MessageKind, Request};
use hoop_proto::tunnel::v1::{HttpEnd, http_message};
use http::HeaderMap;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::asked::RequestBody;
use super::coding::{Coding, Decoder};
use super::exchange::{Exchange, Traffic, confused};
use super::fields::strip_trailers;
use super::held::Held;
use super::patience::Patience;
use super::session::HttpSession;
use super::web::{Between, Wire, Wires};
use super::{grpc, head};
use crate::tunnel::ChannelSender;

/// How far the sending of a request has come.
pub(super) enum Sending {
    /// All of it has gone.
    Done(ChannelSender),
    /// It goes.
    Running(AbortOnDropHandle<Result<ChannelSender, Denial>>),
    /// It failed, or was taken.
    Over,
}

impl Sending {
    /// Resolves when all has gone.
    ///
    /// # Errors
    /// Why it never will.
    pub(super) async fn done(&mut self) -> Result<(), Denial> {
        if let Self::Running(task) = self {
            let done = task.await.map_err(|_| Denial::new("gateway", Code::Internal, "the request could not be sent"));
            match done.and_then(|sent| sent) {
                Ok(sender) => *self = Self::Done(sender),
                Err(denial) => {
                    *self = Self::Over;
                    return Err(denial);
                }
            }
        }
        Ok(())
    }

    /// Why not all goes on; never resolves where that is the target's doing, which may have its say yet, or was told already.
    pub(super) async fn failed(&mut self) -> Denial {
        match self.done().await {
            Err(denial) if denial.fault() != Fault::Target => denial,
            _ => std::future::pending().await,
        }
    }

    /// What the client has done wrong, or may not do, where that has ended it.
    pub(super) async fn broken(&mut self) -> Option<Denial> {
        let has_ended = matches!(self, Self::Running(task) if task.is_finished());
        if !has_ended {
            return None;
        }
        self.done().await.err().filter(|denial| denial.fault() != Fault::Target)
    }

    /// The sender, when all has gone.
    pub(super) fn sender(self) -> Option<ChannelSender> {
        match self {
            Self::Done(sender) => Some(sender),
            Self::Running(_) | Self::Over => None,
        }
    }

    /// As [`sender`](Self::sender), also when that was just now.
    pub(super) async fn finished(self) -> Option<ChannelSender> {
        match self {
            Self::Running(task) if task.is_finished() => task.await.ok()?.ok(),
            other => other.sender(),
        }
    }
}

/// What is done with a request's body.
pub(super) struct Outgoing {
    session: Arc<HttpSession>,
    channel: ChannelId,
    traffic: Arc<Traffic>,
    wanted: BodyUse,
    decoder: Option<Decoder>,
    /// Of a call of gRPC whose messages are read.
    messages: Option<grpc::Messages>,
    /// What is held of a body that is decided on.
    held: Held,
    /// How much of the body is still to come, where that was said.
    missing: Option<u64>,
    /// What else is done with the body of a call.
    between: Between,
    /// How long its client may be silent.
    patience: Patience,
    /// What [`look`](Self::look) has seen of the body.
    first: Option<Option<Result<Frame<Bytes>, hyper::Error>>>,
}

/// A body that was decided on.
#[derive(Clone)]
pub(super) struct Whole {
    bytes: Bytes,
    trailers: HeaderMap,
}

impl Outgoing {
    pub(super) fn new(exchange: &Exchange, head: &HttpRequest, wires: Option<Wires>, coding: Option<Coding>) -> Self {
        let most = exchange.session.limits.message_bytes;
        Self {
            messages: (wires.is_some() && head.body.read)
                .then(|| grpc::Messages::new(&head.headers, most).within(Held::of(&exchange.session.budget))),
            held: Held::of(&exchange.session.budget),
            between: wires.map_or(Between::nothing(), |wires| wires.up(head.body.read)),
            session: Arc::clone(&exchange.session),
            channel: exchange.id,
            traffic: Arc::clone(&exchange.traffic),
            wanted: head.body,
            decoder: coding.map(Decoder::new),
            missing: head::length(&head.headers),
            // A client of gRPC may have nothing to say for hours; one of gRPC-Web says all at once.
            patience: match wires {
                Some(Wires { client: Wire::Grpc, .. }) => Patience::endless(),
                _ => Patience::new(exchange.session.limits.body_idle),
            },
            first: None,
        }
    }

    /// How long its client may be silent.
    pub(super) fn patience(&self) -> Patience {
        self.patience.clone()
    }

    /// Looks for the beginning of a body, so that a short one leaves together with its head. Over HTTP/1.1 a body is read once
    /// somebody has asked for it, so it is looked for twice.
    pub(super) async fn look(&mut self, body: &mut RequestBody) {
        self.first = seen(poll!(body.frame()));
        if self.first.is_none() {
            ask_again().await;
            self.first = seen(poll!(body.frame()));
        }
    }

    /// Sends a body as it comes: what is here now at once, and the rest in a task of its own, since the answer may begin before it
    /// has ended.
    ///
    /// # Errors
    /// The refusal of what is here now.
    pub(super) async fn send(&mut self, body: RequestBody, sender: ChannelSender) -> Result<Sending, Denial> {
        let outgoing = Self {
            session: Arc::clone(&self.session),
            channel: self.channel,
            traffic: Arc::clone(&self.traffic),
            wanted: self.wanted,
            decoder: self.decoder.take(),
            messages: self.messages.take(),
            held: self.held.take(),
            missing: self.missing,
            between: std::mem::replace(&mut self.between, Between::nothing()),
            patience: self.patience.clone(),
            first: self.first.take(),
        };
        let session = Arc::clone(&self.session);
        // Whoever waits for it may not: an answer that its client does not read is not looked at.
        let mut run = Box::pin(async move {
            let ran = session.ending.run_until_cancelled(outgoing.run(body, sender)).await;
            ran.unwrap_or_else(|| Err(session.why()))
        });
        match poll!(&mut run) {
            Poll::Ready(sent) => sent.map(Sending::Done),
            Poll::Pending => Ok(Sending::Running(AbortOnDropHandle::new(self.session.tasks.spawn(run)))),
        }
    }

    async fn run(mut self, mut body: RequestBody, mut sender: ChannelSender) -> Result<ChannelSender, Denial> {
        let (mut trailers, mut last) = (HeaderMap::new(), Bytes::new());
        while let Some(frame) = self.next(&mut body).await? {
            match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) if self.messages.is_some() => {
                    let data = self.between.read(data)?;
                    self.call(&data, &mut sender).await?;
                }
                // What completes the body waits for the client's word that it is complete: over HTTP/2 more could come, and the
                // target has taken the request for whole by then.
                Ok(data) if !self.wanted.read && self.is_last(&data) => last = self.between.read(data)?,
                Ok(data) if !self.wanted.read => {
                    let data = self.between.read(data)?;
                    self.pass(data, &mut sender).await?;
                }
                Ok(mut data) => loop {
                    let piece = self.decode(&mut data)?;
                    if piece.is_empty() {
                        break;
                    }
                    let piece = self.ask(piece, None).await?.0;
                    self.pass(piece, &mut sender).await?;
                },
                Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
            }
        }
        self.pass(last, &mut sender).await?;
        strip_trailers(&mut trailers);
        if !self.is_cut_right() {
            return Err(grpc::cut_off());
        }
        if self.messages.is_none() && self.wanted.read {
            let rest = self.rest()?;
            let (piece, kept) = self.ask(rest, Some(trailers)).await?;
            self.pass(piece, &mut sender).await?;
            trailers = kept;
        }
        sender.http(end(&trailers)).await?;
        Ok(sender)
    }

    /// Asks about each message of a call that is whole by now.
    async fn call(&mut self, data: &[u8], sender: &mut ChannelSender) -> Result<(), Denial> {
        let Some(messages) = &mut self.messages else { return Ok(()) };
        messages.push(data)?;
        while let Some(message) = self.message().await? {
            self.pass(message, sender).await?;
        }
        Ok(())
    }

    /// The next message that is whole, as the chain leaves it.
    async fn message(&mut self) -> Result<Option<Bytes>, Denial> {
        let next = self.messages.as_mut().map(grpc::Messages::next).transpose()?.flatten();
        let Some(bytes) = next else { return Ok(None) };
        let message = Message { channel: self.channel, kind: MessageKind::Grpc, bytes };
        match self.session.chain.request(Request::Message(message), async |_| {}).await? {
            Request::Message(message) => Ok(Some(grpc::framed(&message.bytes))),
            _ => Err(confused()),
        }
    }

    /// Reads all messages of a call and has them decided on together.
    ///
    /// # Errors
    /// As of [`whole`](Self::whole).
    pub(super) async fn whole_call(&mut self, mut body: RequestBody) -> Result<Whole, Denial> {
        let mut bytes = BytesMut::new();
        while let Some(frame) = self.next(&mut body).await? {
            let Ok(data) = frame.into_data() else { continue };
            let data = self.between.read(data)?;
            if let Some(messages) = &mut self.messages {
                messages.push(&data)?;
            }
            while let Some(message) = self.message().await? {
                if bytes.len() + message.len() > self.session.limits.message_bytes {
                    return Err(too_long(self.session.limits.message_bytes));
                }
                self.held.cover(bytes.len() + message.len())?;
                bytes.extend_from_slice(&message);
            }
        }
        if !self.is_cut_right() {
            return Err(grpc::cut_off());
        }
        self.ask(Bytes::new(), Some(HeaderMap::new())).await?;
        Ok(Whole { bytes: bytes.freeze(), trailers: HeaderMap::new() })
    }

    /// Whether a body has ended where a message does.
    fn is_cut_right(&self) -> bool {
        self.between.is_whole() && self.messages.as_ref().is_none_or(grpc::Messages::is_empty)
    }

    /// Reads all of a body and has it decided on.
    ///
    /// # Errors
    /// The refusal; [`Code::LimitExceeded`] when it is too long, [`Code::GatewayBusy`] when others hold too much.
    pub(super) async fn whole(&mut self, mut body: RequestBody) -> Result<Whole, Denial> {
        /// Here, and where it is decided on.
        const COPIES: usize = 2;
        let (mut bytes, mut trailers) = (BytesMut::new(), HeaderMap::new());
        while let Some(frame) = self.next(&mut body).await? {
            match frame.into_data() {
                Ok(mut data) => loop {
                    let piece = self.decode(&mut data)?;
                    if piece.is_empty() {
                        break;
                    }
                    if bytes.len() + piece.len() > self.session.limits.message_bytes {
                        return Err(too_long(self.session.limits.message_bytes));
                    }
                    self.held.cover(COPIES * (bytes.len() + piece.len()))?;
                    bytes.extend_from_slice(&self.ask(piece, None).await?.0);
                },
                Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
            }
        }
        strip_trailers(&mut trailers);
        let rest = self.rest()?;
        let (piece, trailers) = self.ask(rest, Some(trailers)).await?;
        bytes.extend_from_slice(&piece);
        Ok(Whole { bytes: bytes.freeze(), trailers })
    }

    /// Sends a body that was decided on.
    pub(super) async fn send_whole(&self, whole: Whole, mut sender: ChannelSender) -> Result<Sending, Denial> {
        /// As much as goes at once.
        const PIECE: usize = 64 * 1024;
        let Whole { mut bytes, trailers } = whole;
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE));
            self.pass(piece, &mut sender).await?;
        }
        sender.http(end(&trailers)).await?;
        Ok(Sending::Done(sender))
    }

    /// Whether the body has come to its length with these bytes.
    fn is_last(&mut self, data: &Bytes) -> bool {
        self.missing = self.missing.map(|missing| missing.saturating_sub(data.len() as u64));
        self.missing == Some(0)
    }

    async fn next(&mut self, body: &mut RequestBody) -> Result<Option<Frame<Bytes>>, Denial> {
        let next = match self.first.take() {
            Some(first) => first,
            // Asking what has ended would wait for who reads it from the client to see so, too.
            None if body.is_end_stream() => None,
            None => self.patience.next(body.frame()).await?,
        };
        next.transpose().map_err(broken)
    }

    async fn pass(&self, data: Bytes, sender: &mut ChannelSender) -> Result<(), Denial> {
        if data.is_empty() {
            return Ok(());
        }
        let data = self.between.write(data);
        self.traffic.to_target.fetch_add(data.len() as u64, Ordering::Relaxed);
        let most = self.session.limits.answer;
        timeout(most, sender.data(data)).await.unwrap_or_else(|_| Err(stuck(most)))
    }

    fn decode(&mut self, data: &mut Bytes) -> Result<Bytes, Denial> {
        match &mut self.decoder {
            Some(decoder) => decoder.decode(data).map_err(|denial| Denial { code: Code::ProtocolViolation, ..denial }),
            None => Ok(std::mem::take(data)),
        }
    }

    /// What a decoder has left; all of it fits in a piece.
    fn rest(&mut self) -> Result<Bytes, Denial> {
        let Some(decoder) = &mut self.decoder else { return Ok(Bytes::new()) };
        let mut rest = BytesMut::new();
        loop {
            let piece = decoder.finish().map_err(|denial| Denial { code: Code::ProtocolViolation, ..denial })?;
            if piece.is_empty() {
                return Ok(rest.freeze());
            }
            rest.extend_from_slice(&piece);
        }
    }

    async fn ask(&self, bytes: Bytes, trailers: Option<HeaderMap>) -> Result<(Bytes, HeaderMap), Denial> {
        let part = BodyPart { channel: self.channel, bytes, last: trailers.is_some(), trailers, held_back: false };
        match self.session.chain.request(Request::Body(part), async |_| {}).await? {
            Request::Body(part) => Ok((part.bytes, part.trailers.unwrap_or_default())),
            _ => Err(confused()),
        }
    }
}

/// Whether nothing comes of a body of which that was said: over HTTP/2 something still could.
///
/// # Errors
/// [`Code::ProtocolViolation`] when something does; [`Code::ClientTimeout`] when that cannot be told for too long.
pub(super) async fn is_empty(headers: &HeaderMap, body: &mut RequestBody, most: Duration) -> Result<bool, Denial> {
    if head::length(headers) == Some(0) {
        let patience = Patience::new(most);
        // More than was said is an error of the library.
        while let Some(frame) = patience.next(body.frame()).await? {
            frame.map_err(broken)?;
        }
    }
    Ok(body.is_end_stream())
}

fn seen<T>(looked: Poll<T>) -> Option<T> {
    match looked {
        Poll::Ready(seen) => Some(seen),
        Poll::Pending => None,
    }
}

/// Lets others run that can, and comes back.
async fn ask_again() {
    let mut asked = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut asked, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn end(trailers: &HeaderMap) -> http_message::Body {
    http_message::Body::End(HttpEnd { trailers: head::to_wire(trailers) })
}

fn stuck(most: Duration) -> Denial {
    Denial::new("gateway", Code::TargetTimeout, format!("the target took nothing more of the request for {most:?}"))
        .hint("try again, or ask whoever runs the service")
}

fn broken(error: hyper::Error) -> Denial {
    Denial::new(
        "gateway",
        Code::ProtocolViolation,
        "the body of the request broke off, or is not framed as it should be",
    )
    .caused_by(error)
}

fn too_long(most: usize) -> Denial {
    let reason = format!("a rule must read the body as a whole, and it has more than {most} bytes");
    Denial::new("gateway", Code::LimitExceeded, reason).hint("send less at once, or ask an administrator")
}
