//! An exchange as an entry of an archive.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat};
use http::StatusCode;
use serde_json::{Value, json};

use super::content::Writer;
use super::{Archive, HarError, Open, Piece};
use crate::record::event::{HttpDone, HttpField, HttpMessage, HttpRead, Text};

/// What is not recorded.
const UNKNOWN: &str = "unknown";

impl Archive<'_, '_> {
    /// Writes an exchange; `done` tells how it ended, where it did.
    pub(super) fn entry(&mut self, open: &Open, done: Option<&HttpDone>) -> Result<(), HarError> {
        let before: &[u8] = if self.entries == 0 { b"\n" } else { b",\n" };
        self.entries += 1;
        self.out.write_all(before)?;
        let started = DateTime::from_timestamp_micros(open.time).unwrap_or_default();
        let duration = done.map_or(0, |done| done.duration_us);
        let wait = done.and_then(|done| done.first_byte_us).unwrap_or(duration);
        let head = json!({
            "startedDateTime": started.to_rfc3339_opts(SecondsFormat::Micros, true),
            "time": milliseconds(duration),
            "cache": {},
            "timings": { "send": 0, "wait": milliseconds(wait), "receive": milliseconds(duration.saturating_sub(wait)) },
            "_channel": open.request.channel,
        });
        self.part(&head)?;
        self.request(open, done)?;
        self.response(open, done)?;
        self.messages(open)?;
        Ok(self.out.write_all(b"}")?)
    }

    /// Writes an object without its end.
    fn part(&mut self, object: &Value) -> io::Result<()> {
        let text = object.to_string();
        self.out.write_all(text.strip_suffix('}').unwrap_or(&text).as_bytes())
    }

    fn request(&mut self, open: &Open, done: Option<&HttpDone>) -> Result<(), HarError> {
        let request = &open.request;
        let read = done.and_then(|done| done.request.as_ref());
        self.out.write_all(b",\"request\":")?;
        self.part(&json!({
            "method": request.method,
            "url": self.url(open),
            "httpVersion": UNKNOWN,
            "cookies": [],
            "headers": headers(&request.fields),
            "queryString": query(&request.query),
            "headersSize": -1,
            "bodySize": read.map_or(-1, |read| signed(read.bytes)),
        }))?;
        if open.sent.bytes > 0 {
            let mime = field(&request.fields, "content-type").unwrap_or_default();
            self.out.write_all(b",\"postData\":")?;
            let is_text = open.sent.utf8.is_text();
            let mut data = json!({ "mimeType": mime });
            if !is_text {
                data["_encoding"] = "base64".into();
            }
            truncated(&mut data, read);
            self.content(open, data, false)?;
        }
        Ok(self.out.write_all(b"}")?)
    }

    fn response(&mut self, open: &Open, done: Option<&HttpDone>) -> Result<(), HarError> {
        let fields = open.response.as_ref().map_or(&[][..], |response| &response.fields);
        // A response that a plugin withheld has a head, and no status.
        let status = open.response.as_ref().map_or(0, |response| response.status);
        let status = done.and_then(|done| done.status).unwrap_or(status);
        let reason = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let read = done.and_then(|done| done.response.as_ref());
        let mut response = json!({
            "status": status,
            "statusText": reason.and_then(|status| status.canonical_reason()).unwrap_or_default(),
            "httpVersion": UNKNOWN,
            "cookies": [],
            "headers": headers(fields),
            "redirectURL": field(fields, "location").unwrap_or_default(),
            "headersSize": -1,
            "bodySize": -1,
        });
        match done {
            None => response["_error"] = "the exchange did not end".into(),
            Some(done) if !done.denial.is_empty() => {
                response["_error"] = format!("{} ({}): {}", done.denied_by, done.denial, done.message).into();
            }
            Some(done) if done.status.is_none() => response["_error"] = "the exchange was closed".into(),
            Some(_) => {}
        }
        self.out.write_all(b",\"response\":")?;
        self.part(&response)?;
        let size = read.map_or_else(|| done.map_or(0, |done| done.bytes_out), |read| read.bytes);
        let mut content = json!({ "size": size, "mimeType": field(fields, "content-type").unwrap_or_default() });
        self.out.write_all(b",\"content\":")?;
        if open.shown.bytes > 0 {
            if !open.shown.utf8.is_text() {
                content["encoding"] = "base64".into();
            }
            truncated(&mut content, read);
            self.content(open, content, true)?;
        } else {
            self.out.write_all(content.to_string().as_bytes())?;
        }
        Ok(self.out.write_all(b"}")?)
    }

    /// Writes a body, with what is said of it.
    fn content(&mut self, open: &Open, about: Value, of_target: bool) -> Result<(), HarError> {
        self.part(&about)?;
        self.out.write_all(b",\"text\":")?;
        let content = if of_target { &open.shown } else { &open.sent };
        let mut text = Writer::begin(content.utf8.is_text(), self.out)?;
        self.pieces(open, &mut |out, piece| match piece {
            Piece::Body { from_target, bytes } if *from_target == of_target => text.push(bytes, out),
            _ => Ok(()),
        })?;
        text.end(self.out)?;
        Ok(self.out.write_all(b"}")?)
    }

    fn messages(&mut self, open: &Open) -> Result<(), HarError> {
        let name = match open.request.exchange.0.as_ref() {
            b"websocket" => "_webSocketMessages",
            b"grpc" => "_grpcMessages",
            _ => return Ok(()),
        };
        if name == "_webSocketMessages" {
            self.out.write_all(b",\"_resourceType\":\"websocket\"")?;
        }
        if open.messages == 0 {
            return Ok(());
        }
        write!(self.out, ",\"{name}\":")?;
        let mut before: &[u8] = b"[";
        self.pieces(open, &mut |out, piece| {
            let Piece::Message { time, message } = piece else { return Ok(()) };
            out.write_all(std::mem::replace(&mut before, b","))?;
            out.write_all(told(*time, message).to_string().as_bytes())
        })?;
        Ok(self.out.write_all(b"]")?)
    }

    fn url(&self, open: &Open) -> String {
        let request = &open.request;
        let scheme = if request.scheme.0.as_ref() == b"https" { "https" } else { "http" };
        let authority = request.authority.to_string();
        let is_host = |text: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:[]".contains(&byte);
            !text.is_empty() && text.bytes().all(plain)
        };
        let host = [authority.as_str(), &self.role].into_iter().find(|host| is_host(host)).unwrap_or("unknown.invalid");
        let mut url = format!("{scheme}://{host}{}", encoded(&request.path.0));
        if !request.query.0.is_empty() {
            url.push('?');
            url.push_str(&encoded(&request.query.0));
        }
        url
    }
}

/// A message, as browsers write them.
fn told(time: i64, message: &HttpMessage) -> Value {
    let text = std::str::from_utf8(&message.bytes.0).ok().filter(|_| message.message.0.as_ref() == b"text");
    let data = text.map_or_else(|| STANDARD.encode(&message.bytes.0), str::to_owned);
    let mut told = json!({
        "type": if message.from_target { "receive" } else { "send" },
        "time": seconds(time),
        "opcode": if text.is_some() { 1 } else { 2 },
        "data": data,
    });
    if !message.digest.is_empty() {
        told["_truncated"] = message.length.into();
    }
    told
}

fn truncated(about: &mut Value, read: Option<&HttpRead>) {
    if let Some(read) = read.filter(|read| read.kept < read.bytes) {
        about["_truncated"] = read.bytes.into();
    }
}

fn headers(fields: &[HttpField]) -> Vec<Value> {
    let value = |field: &HttpField| if field.hidden { "[hidden]".to_owned() } else { field.value.to_string() };
    fields.iter().map(|field| json!({ "name": field.name, "value": value(field) })).collect()
}

fn field(fields: &[HttpField], name: &str) -> Option<String> {
    fields.iter().find(|field| field.name.0.as_ref() == name.as_bytes()).map(|field| field.value.to_string())
}

fn query(query: &Text) -> Vec<Value> {
    let pairs = url::form_urlencoded::parse(&query.0);
    pairs.map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

/// A path or query with everything encoded that cannot stand in a URL, as what stands for what was not recorded.
fn encoded(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, byte) in text.iter().enumerate() {
        let is_escape = || text.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        let stays =
            byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(byte) || (*byte == b'%' && is_escape());
        if stays { out.push(char::from(*byte)) } else { out.push_str(&format!("%{byte:02X}")) }
    }
    out
}

fn milliseconds(microseconds: u64) -> f64 {
    std::time::Duration::from_micros(microseconds).as_secs_f64() * 1_000.0
}

fn seconds(microseconds: i64) -> f64 {
    std::time::Duration::from_micros(microseconds.unsigned_abs()).as_secs_f64()
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
