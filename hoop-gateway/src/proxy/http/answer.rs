//! The answer of a target on its way to the client.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, stream};
use hoop_core::{BodyPart, BodyUse, ChannelEnd, Denial, HttpResponse, Message, MessageKind, Response};
use hoop_proto::tunnel::v1::{HttpField, http_message};
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, HeaderValue};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Frame;

use super::coding::{Decoder, Encoder};
use super::exchange::{Begun, Exchange, GiveUp, confused};
use super::fields::strip_trailers;
use super::held::Held;
use super::sending::Sending;
use super::status::LastWord;
use super::web::{Between, Wire};
use super::{grpc, head, validators, web};
use crate::tunnel::{Channel, ChannelReceiver, OpenFailure, Received};

/// What the door sends.
pub(crate) type Body = UnsyncBoxBody<Bytes, Denial>;

/// What is kept back of a body goes on after this time without more.
const FLUSH: Duration = Duration::from_millis(4);

/// No body.
pub(crate) fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Gives the answer to the door; its body is what the target sends, as the chain shows it.
///
/// # Errors
/// The refusal, when it is all there already and its end is refused.
pub(super) async fn give(
    exchange: Exchange,
    head: Box<HttpResponse>,
    begun: Begun,
) -> Result<http::Response<Body>, Denial> {
    let HttpResponse { status, mut headers, body: wanted, .. } = *head;
    let Begun { receiver, sending, give_up, bodiless, coding, wires, trailers } = begun;
    let most = exchange.session.limits.message_bytes;
    let messages = wires.filter(|_| wanted.read).map(|wires| match wires.target.is_web() {
        true => grpc::Messages::of_web(&headers, most),
        false => grpc::Messages::new(&headers, most),
    });
    let messages = messages.map(|messages| messages.within(Held::of(&exchange.session.budget)));
    if wanted.change {
        validators::changed(&mut headers, &exchange.session.variant);
    }
    // A call ends with its status, wherever that is.
    if coding.is_some() || wires.is_some() {
        headers.remove(CONTENT_LENGTH);
    }
    let between = wires.map_or(Between::nothing(), |wires| wires.down(wanted.read));
    let raw = !wanted.read && between.from_text.is_none() && !between.to_text;
    // What is no answer to a call ends as any other.
    let called = wires.filter(|_| Wire::of(&headers).is_some());
    let last_word = called.map_or(LastWord::None, |wires| LastWord::of(wires.client, trailers, raw));
    // Nobody keeps the answer of a call, and its fields may be its trailers.
    match wires {
        Some(wires) => wires.shown(&mut headers),
        None => keep_private(&mut headers),
    }
    let all_given = Arc::new(AtomicBool::new(false));
    let mut answer = Answer {
        exchange,
        receiver: Some(receiver),
        sending: Some(sending),
        give_up: Some(give_up),
        status,
        wanted,
        decoder: coding.map(Decoder::new),
        encoder: coding.map(Encoder::new),
        messages,
        between,
        last_word,
        is_call: wires.is_some(),
        ready: VecDeque::new(),
        held_back: false,
        over: false,
        missing: head::length(&headers),
        all_given: Arc::clone(&all_given),
    };
    let mut response = http::Response::new(empty());
    if bodiless {
        answer.finish(Vec::new()).await?;
    } else {
        let frames =
            stream::unfold(answer, |mut answer| async move { answer.next().await.map(|frame| (frame, answer)) });
        *response.body_mut() = Given { frames: Box::pin(frames), all_given }.boxed_unsync();
    }
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// What one caller is shown is kept for no other.
fn keep_private(headers: &mut HeaderMap) {
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private"));
        return;
    }
    let given =
        headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>().join(",");
    let shared = |directive: &&str| {
        let name = directive.split('=').next().unwrap_or("").trim();
        ["public", "private", "s-maxage", "proxy-revalidate"].iter().any(|shared| shared.eq_ignore_ascii_case(name))
    };
    let mut directives: Vec<&str> = given.split(',').map(str::trim).filter(|directive| !directive.is_empty()).collect();
    if directives.iter().any(|directive| directive.eq_ignore_ascii_case("no-store")) {
        return;
    }
    directives.retain(|directive| !shared(directive));
    directives.insert(0, "private");
    if let Ok(value) = HeaderValue::try_from(directives.join(", ")) {
        headers.insert(CACHE_CONTROL, value);
    }
}

/// A body as the door reads it. Its last frame is known to be the last: over HTTP/1.1 a body that is as long as was said is not
/// read any further, and its end would be that of a client that went away.
struct Given<S> {
    frames: Pin<Box<S>>,
    all_given: Arc<AtomicBool>,
}

impl<S> http_body::Body for Given<S>
where
    S: Stream<Item = Result<Frame<Bytes>, Denial>>,
{
    type Data = Bytes;
    type Error = Denial;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Denial>>> {
        self.frames.as_mut().poll_next(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.all_given.load(Ordering::Relaxed)
    }
}

/// A body that is on its way.
struct Answer {
    exchange: Exchange,
    receiver: Option<ChannelReceiver>,
    sending: Option<Sending>,
    give_up: Option<GiveUp>,
    status: http::StatusCode,
    wanted: BodyUse,
    decoder: Option<Decoder>,
    encoder: Option<Encoder>,
    /// Of a call of gRPC whose messages are read.
    messages: Option<grpc::Messages>,
    /// What else is done with the body of a call.
    between: Between,
    /// How the client of a call is told that it does not go on.
    last_word: LastWord,
    is_call: bool,
    ready: VecDeque<Frame<Bytes>>,
    held_back: bool,
    over: bool,
    /// How much of the body is still to come, where that was said.
    missing: Option<u64>,
    /// Set with the last frame.
    all_given: Arc<AtomicBool>,
}

impl Answer {
    /// The next frame for the client; `None` after the last.
    async fn next(&mut self) -> Option<Result<Frame<Bytes>, Denial>> {
        loop {
            // What completes the body waits for the target's word that it is complete.
            if (self.over || self.missing != Some(0))
                && let Some(frame) = self.ready.pop_front()
            {
                self.all_given.store(self.over && self.ready.is_empty(), Ordering::Relaxed);
                return Some(Ok(frame));
            }
            if self.over {
                return None;
            }
            if let Err(denial) = self.advance().await {
                self.over = true;
                tracing::info!(
                    session = %self.exchange.session.context.id, channel = %self.exchange.id,
                    code = %denial.code, reason = denial.reason, "an answer broke off"
                );
                let _ = self.exchange.end(ChannelEnd::Refused(denial.clone())).await;
                match self.last_word.say(&denial) {
                    Some(frame) => self.ready.push_back(frame),
                    None => return Some(Err(denial)),
                }
            }
        }
    }

    async fn advance(&mut self) -> Result<(), Denial> {
        let session = &self.exchange.session;
        let (Some(receiver), Some(sending)) = (&mut self.receiver, &mut self.sending) else {
            return Err(session.violation());
        };
        let received = tokio::select! {
            biased;
            // First: a target that always has more to say would never let it be seen.
            () = session.ending.cancelled() => return Err(session.why()),
            received = receiver.receive() => received?,
            // A call whose messages may not go on is not answered to its end, either.
            failed = sending.failed(), if self.is_call => return Err(failed),
            () = tokio::time::sleep(FLUSH), if self.held_back => return self.flush().await,
        };
        match received {
            Received::Data(data) if self.messages.is_some() => {
                let data = self.between.read(data)?;
                self.call(&data).await
            }
            Received::Data(data) if !self.wanted.read => {
                let data = self.between.read(data)?;
                self.last_word.passes(&data);
                self.push(data);
                Ok(())
            }
            Received::Data(data) => self.data(data).await,
            Received::Http(http_message::Body::End(end)) => self.finish(end.trailers).await,
            Received::Http(http_message::Body::Failed(failure)) => {
                // The agent may see that a call does not go on before anybody is told why.
                let broken = if self.is_call { sending.broken().await } else { None };
                Err(broken.unwrap_or_else(|| OpenFailure::from(failure).denial))
            }
            _ => Err(self.exchange.session.violation()),
        }
    }

    async fn data(&mut self, mut data: Bytes) -> Result<(), Denial> {
        loop {
            let piece = match &mut self.decoder {
                Some(decoder) => decoder.decode(&mut data)?,
                None => std::mem::take(&mut data),
            };
            if piece.is_empty() {
                return Ok(());
            }
            self.show(piece, None).await?;
        }
    }

    /// Shows each message of a call that is whole by now.
    async fn call(&mut self, data: &[u8]) -> Result<(), Denial> {
        let Some(messages) = &mut self.messages else { return Ok(()) };
        messages.push(data)?;
        while let Some(bytes) = self.messages.as_mut().map(grpc::Messages::next).transpose()?.flatten() {
            let message = Message { channel: self.exchange.id, kind: MessageKind::Grpc, bytes };
            match self.exchange.session.chain.response(Response::Message(message)).await? {
                Response::Message(message) => self.push(grpc::framed(&message.bytes)),
                _ => return Err(confused()),
            }
        }
        Ok(())
    }

    /// Runs a piece through the chain, and has it ready for the client.
    async fn show(&mut self, bytes: Bytes, trailers: Option<HeaderMap>) -> Result<(), Denial> {
        let last = trailers.is_some();
        let part = BodyPart { channel: self.exchange.id, bytes, last, trailers, held_back: false };
        match self.exchange.session.chain.response(Response::Body(part)).await? {
            Response::Body(part) => self.shown(part),
            _ => Err(confused()),
        }
    }

    fn shown(&mut self, part: BodyPart) -> Result<(), Denial> {
        self.held_back = part.held_back;
        match &mut self.encoder {
            None => self.push(part.bytes),
            Some(encoder) => {
                let shown = if part.bytes.is_empty() { Bytes::new() } else { encoder.encode(&part.bytes, true)? };
                let end = if part.last { encoder.finish()? } else { Bytes::new() };
                self.push(shown);
                self.push(end);
            }
        }
        if let Some(trailers) = part.trailers {
            self.follow(trailers);
        }
        Ok(())
    }

    /// What follows the body goes where the client finds it.
    fn follow(&mut self, trailers: HeaderMap) {
        if trailers.is_empty() {
            return;
        }
        if self.between.trailers_within {
            self.push(web::frame(&trailers));
        } else {
            self.ready.push_back(Frame::trailers(trailers));
        }
    }

    fn push(&mut self, bytes: Bytes) {
        let bytes = self.between.write(bytes);
        if !bytes.is_empty() {
            let length = bytes.len() as u64;
            self.exchange.traffic.to_client.fetch_add(length, Ordering::Relaxed);
            self.missing = self.missing.map(|missing| missing.saturating_sub(length));
            self.ready.push_back(Frame::data(bytes));
        }
    }

    async fn flush(&mut self) -> Result<(), Denial> {
        self.held_back = false;
        for response in self.exchange.session.chain.flush(self.exchange.id).await? {
            match response {
                Response::Body(part) => self.shown(part)?,
                _ => return Err(confused()),
            }
        }
        Ok(())
    }

    /// The target has said all.
    async fn finish(&mut self, trailers: Vec<HttpField>) -> Result<(), Denial> {
        let mut trailers = head::from_wire(trailers)?;
        strip_trailers(&mut trailers);
        if !self.between.is_whole() || self.messages.as_ref().is_some_and(|messages| !messages.is_empty()) {
            return Err(grpc::cut_off());
        }
        if let Some(within) = self.messages.as_mut().and_then(grpc::Messages::take_trailers) {
            trailers = within;
            strip_trailers(&mut trailers);
        }
        // The trailers of a call are shown as those of a body.
        if self.wanted.read {
            while let Some(decoder) = &mut self.decoder {
                let rest = decoder.finish()?;
                if rest.is_empty() {
                    break;
                }
                self.show(rest, None).await?;
            }
            self.show(Bytes::new(), Some(trailers)).await?;
        } else {
            self.follow(trailers);
        }
        self.over = true;
        self.exchange.end(ChannelEnd::Answered(self.status)).await?;
        if let (Some(receiver), Some(sending)) = (self.receiver.take(), self.sending.take())
            && let Some(sender) = sending.finished().await
        {
            self.exchange.session.rest(Channel::join(receiver, sender));
            if let Some(give_up) = self.give_up.take() {
                give_up.ended();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_kept_by_their_caller_alone() {
        for (given, expected) in [
            (None, Some("private")),
            (Some("public, max-age=60"), Some("private, max-age=60")),
            (Some("S-MaxAge=5,max-age=60"), Some("private, max-age=60")),
            (Some("no-store"), Some("no-store")),
            (Some("no-cache"), Some("private, no-cache")),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(given) = given {
                headers.insert(CACHE_CONTROL, HeaderValue::from_static(given));
            }
            keep_private(&mut headers);
            assert_eq!(headers.get(CACHE_CONTROL).map(|value| value.to_str().expect("text")), expected);
        }
    }
}
