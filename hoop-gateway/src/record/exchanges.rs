//! The exchanges of a recorded HTTP session, one after the other as they ended, in flat memory.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::event::{Event, HttpDone, HttpMessage, HttpRequest, Text};
use super::reader::ReadError;
use super::view::EventView;

/// An exchange, summed up. Everything from outside is escaped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exchange {
    /// When it began.
    pub time: DateTime<Utc>,
    /// Number of its channel in the session.
    pub channel: u64,
    /// `plain`, `websocket` or `grpc`.
    pub exchange: String,
    /// The method.
    pub method: String,
    /// The path and the query.
    pub url: String,
    /// The host that was asked for, where it is known.
    pub authority: String,
    /// The status; `None` where the response did not go to the client as a whole.
    pub status: Option<u64>,
    /// What refused it, the code and the reason, where it was refused.
    pub denied: Option<String>,
    /// How long it took, in microseconds; `None` where it had not ended when the recording did.
    pub duration_us: Option<u64>,
    /// How long it was until the head of the response, in microseconds.
    pub first_byte_us: Option<u64>,
    /// Bytes that went to the target.
    pub bytes_in: u64,
    /// Bytes that came from it.
    pub bytes_out: u64,
}

impl Exchange {
    fn begin(time: i64, request: &HttpRequest) -> Self {
        let mut url = line(&request.path);
        if !request.query.0.is_empty() {
            url.push('?');
            url.push_str(&line(&request.query));
        }
        Self {
            time: DateTime::from_timestamp_micros(time).unwrap_or_default(),
            channel: request.channel,
            exchange: line(&request.exchange),
            method: line(&request.method),
            url,
            authority: line(&request.authority),
            status: None,
            denied: None,
            duration_us: None,
            first_byte_us: None,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    fn end(self, done: &HttpDone) -> Self {
        let denied = || format!("{} ({}): {}", line(&done.denied_by), done.denial, line(&done.message));
        Self {
            status: done.status,
            denied: (!done.denial.is_empty()).then(denied),
            duration_us: Some(done.duration_us),
            first_byte_us: done.first_byte_us,
            bytes_in: done.bytes_in,
            bytes_out: done.bytes_out,
            ..self
        }
    }
}

/// On one line.
fn line(text: &Text) -> String {
    text.to_string().replace(['\n', '\t'], " ")
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  ~{} ", self.time.format("%H:%M:%S%.3f"), self.channel)?;
        match self.exchange.as_str() {
            "plain" => write!(f, "{} {}  ", self.method, self.url)?,
            other => write!(f, "{} {} ({other})  ", self.method, self.url)?,
        }
        match (&self.denied, self.status, self.duration_us) {
            (Some(denied), ..) => write!(f, "DENIED by {denied}")?,
            (_, Some(status), _) => write!(f, "{status}")?,
            (_, _, Some(_)) => f.write_str("closed")?,
            (_, _, None) => return f.write_str("did not end"),
        }
        let milliseconds = self.duration_us.unwrap_or_default() / 1_000;
        write!(f, ", {milliseconds} ms, {} in, {} out", self.bytes_in, self.bytes_out)
    }
}

/// What is told of exchanges.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// One has ended, or the recording has.
    Exchange(Box<Exchange>),
    /// A piece of a body that was kept.
    Body {
        /// Number of the channel.
        channel: u64,
        /// Whether it is that of a response.
        from_target: bool,
        /// The bytes.
        bytes: Bytes,
    },
    /// A message that was kept.
    Message(HttpMessage),
}

/// Picks the exchanges out of a log.
#[derive(Debug, Default)]
pub struct Exchanges {
    is_http: Option<bool>,
    open: BTreeMap<u64, Exchange>,
    left: VecDeque<Exchange>,
    over: bool,
}

impl Exchanges {
    /// Whether the session was one of HTTP; `None` before its first record was read.
    pub const fn is_http(&self) -> Option<bool> {
        self.is_http
    }

    /// Whether nothing more comes: the session has ended.
    pub fn is_over(&self) -> bool {
        self.over && self.left.is_empty()
    }

    /// What comes next; `None` at the end of the log, which may go on later.
    pub fn next(
        &mut self,
        log: &mut impl Iterator<Item = Result<EventView, ReadError>>,
    ) -> Option<Result<Told, ReadError>> {
        while !self.over {
            match log.next()? {
                Ok(EventView { time, event, .. }) => {
                    if let Some(told) = self.told(time, event) {
                        return Some(Ok(told));
                    }
                }
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            }
        }
        self.left.pop_front().map(|exchange| Ok(Told::Exchange(Box::new(exchange))))
    }

    /// What had not ended when the recording did.
    pub fn unfinished(&mut self) -> impl Iterator<Item = Exchange> {
        std::mem::take(&mut self.open).into_values()
    }

    fn told(&mut self, time: i64, event: Event) -> Option<Told> {
        match event {
            Event::Header(header) => self.is_http = Some(header.resource == "http"),
            Event::HttpRequest(request) => {
                self.open.insert(request.channel, Exchange::begin(time, &request));
            }
            Event::HttpBody(body) => {
                let bytes = body.bytes.0;
                return Some(Told::Body { channel: body.channel.into(), from_target: body.from_target, bytes });
            }
            Event::HttpMessage(message) => return Some(Told::Message(message)),
            Event::HttpDone(done) => {
                let exchange = self.open.remove(&done.channel)?;
                return Some(Told::Exchange(Box::new(exchange.end(&done))));
            }
            Event::End(_) | Event::Seal(_) => {
                self.over = true;
                self.left = self.unfinished().collect();
            }
            _ => {}
        }
        None
    }
}

/// Whether the log that begins so is one of an HTTP session.
///
/// # Errors
/// When it cannot be read.
pub fn is_http(log: &mut impl Iterator<Item = Result<EventView, ReadError>>) -> Result<bool, ReadError> {
    match log.next().transpose()? {
        Some(EventView { event: Event::Header(header), .. }) => Ok(header.resource == "http"),
        _ => Ok(false),
    }
}
