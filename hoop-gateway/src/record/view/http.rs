//! Events of HTTP, for people.

use std::fmt;

use super::super::event::{Event, HttpDone, HttpField, HttpRead, HttpRequest, Text, Totals};
use super::{counted, left_out, milliseconds};

pub(super) fn write(f: &mut fmt::Formatter<'_>, event: &Event, most: usize) -> fmt::Result {
    match event {
        Event::HttpRequest(request) => {
            write!(f, "~{} {}", request.channel, Line(request))?;
            fields(f, &request.fields, request.field_count, most)
        }
        Event::HttpResponse(response) => {
            write!(f, "~{} status {}", response.channel, response.status)?;
            fields(f, &response.fields, response.field_count, most)
        }
        Event::HttpBody(body) => {
            let length = counted(body.bytes.0.len() as u64, "byte");
            write!(f, "~{} body of the {}, {length}", body.channel, side(body.from_target))?;
            lines(f, &body.bytes, most)
        }
        Event::HttpMessage(m) => {
            let (from, length) = (if m.from_target { "target" } else { "client" }, counted(m.length, "byte"));
            write!(f, "~{} {} message from the {from}, {length}", m.channel, m.message)?;
            if !m.digest.is_empty() {
                write!(f, ", truncated at {}, BLAKE3 {}", m.bytes.0.len(), m.digest)?;
            }
            lines(f, &m.bytes, most)
        }
        Event::HttpDone(end) => done(f, end),
        _ => Ok(()),
    }
}

pub(super) fn totals(f: &mut fmt::Formatter<'_>, t: &Totals) -> fmt::Result {
    write!(f, "; {}, {} denied", counted(t.requests, "request"), t.denied)?;
    write!(f, ", {} in, {} out", counted(t.request_bytes, "byte"), counted(t.response_bytes, "byte"))
}

/// What is asked for, on one line.
struct Line<'a>(&'a HttpRequest);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = self.0;
        write!(f, "{} {}", request.method, request.path)?;
        if !request.query.0.is_empty() {
            write!(f, "?{}", request.query)?;
        }
        if !request.authority.0.is_empty() {
            write!(f, " of {}", request.authority)?;
        }
        match request.exchange.0.as_ref() {
            b"websocket" => f.write_str(", a WebSocket"),
            b"grpc" => write!(f, ", gRPC {}/{}", request.service, request.call),
            _ => Ok(()),
        }
    }
}

fn side(from_target: bool) -> &'static str {
    if from_target { "response" } else { "request" }
}

fn fields(f: &mut fmt::Formatter<'_>, fields: &[HttpField], count: Option<u64>, most: usize) -> fmt::Result {
    for field in fields.iter().take(most) {
        match field.hidden {
            true => write!(f, "\n    {}: [hidden]", field.name)?,
            false => write!(f, "\n    {}: {}", field.name, field.value)?,
        }
    }
    let all = count.and_then(|count| usize::try_from(count).ok()).unwrap_or(fields.len());
    left_out(f, all, most.min(fields.len()))
}

fn lines(f: &mut fmt::Formatter<'_>, text: &Text, most: usize) -> fmt::Result {
    let text = text.to_string();
    text.lines().take(most).try_for_each(|line| write!(f, "\n    {line}"))?;
    left_out(f, text.lines().count(), most)
}

fn done(f: &mut fmt::Formatter<'_>, d: &HttpDone) -> fmt::Result {
    write!(f, "~{} ", d.channel)?;
    match d.status {
        _ if !d.denial.is_empty() => write!(f, "DENIED by {} ({}): {}", d.denied_by, d.denial, d.message)?,
        Some(status) => write!(f, "answered {status}")?,
        None => f.write_str("closed")?,
    }
    write!(f, ", {} ms", milliseconds(d.duration_us))?;
    if let Some(first) = d.first_byte_us {
        write!(f, ", answer after {} ms", milliseconds(first))?;
    }
    write!(f, ", {} in, {} out", d.bytes_in, d.bytes_out)?;
    for (from_target, what) in [(false, &d.request), (true, &d.response)] {
        if let Some(HttpRead { bytes, kept, digest, messages }) = what {
            write!(f, "\n    read of the {}: {}", side(from_target), counted(*bytes, "byte"))?;
            if *messages > 0 {
                write!(f, " in {}", counted(*messages, "message"))?;
            }
            write!(f, ", {kept} kept, BLAKE3 {digest}")?;
        }
    }
    Ok(())
}
