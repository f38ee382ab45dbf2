//! Heads of requests ([RFC 9112 §3, §5, §6]).
//!
//! [RFC 9112 §3, §5, §6]: https://www.rfc-editor.org/rfc/rfc9112#section-3

use std::ops::Range;

use memchr::memmem;

use super::lines::{Lines, field, text};
use super::violation::Violation;
use super::{Limits, is_token};

/// A head as far as it has been read. The bytes are offered again with each call, from its first one on.
#[derive(Debug, Default)]
pub(super) struct Head {
    lines: Lines,
    request_line: Option<RequestLine>,
    fields: usize,
    /// Where the value of `Host` is.
    host: Option<Range<usize>>,
    length: Option<u64>,
    is_chunked: bool,
    upgrades: bool,
}

#[derive(Debug, Clone)]
struct RequestLine {
    is_http11: bool,
    is_head: bool,
    is_connect: bool,
    /// Where the host is that the target names.
    authority: Option<Range<usize>>,
}

/// What a head says of what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Follows {
    /// The request's body.
    pub(super) body: Body,
    /// Whether another protocol follows if the server agrees.
    pub(super) upgrades: bool,
    /// Whether the answer has no body whatever its fields say.
    pub(super) is_head: bool,
}

/// A body as its head announces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    None,
    /// So many bytes, and not 0.
    Length(u64),
    Chunked,
}

impl Head {
    /// How long the head is and what follows it, once it is there as a whole.
    pub(super) fn read(&mut self, bytes: &[u8], limits: Limits) -> Result<Option<(usize, Follows)>, Violation> {
        // Whoever speaks another protocol may wait for an answer before it ends any line.
        if bytes.first().is_some_and(|first| !is_token(*first) && !matches!(first, b'\r' | b'\n')) {
            return Err(Violation::RequestLine);
        }
        while let Some(line) = self.lines.next(bytes, limits.head_bytes).map_err(|_| Violation::HeadTooLarge)? {
            let Range { start, end } = line;
            let text = text(bytes.get(line).unwrap_or_default())?;
            match self.request_line {
                // A client may write an empty line after a body (RFC 9112 §2.2).
                None if text.is_empty() && start == 0 => {}
                None => self.request_line = Some(RequestLine::parse(text, start)?),
                Some(_) if text.is_empty() => return self.end(bytes).map(|follows| Some((end, follows))),
                Some(_) => self.field(text, end, limits)?,
            }
        }
        Ok(None)
    }

    fn field(&mut self, text: &[u8], end: usize, limits: Limits) -> Result<(), Violation> {
        let (name, value) = field(text)?;
        self.fields += 1;
        if self.fields > limits.fields {
            return Err(Violation::TooManyFields);
        }
        let is = |field: &[u8]| name.eq_ignore_ascii_case(field);
        match name.len() {
            4 if is(b"host") => self.host(text, value, end),
            7 if is(b"upgrade") => {
                // Nobody here speaks HTTP/2 after an upgrade, so it is a request as any other (RFC 9113 §3.1); some clients
                // send it with each.
                self.upgrades |= !value.eq_ignore_ascii_case(b"h2c");
                Ok(())
            }
            14 if is(b"content-length") => self.content_length(value),
            17 if is(b"transfer-encoding") => self.transfer_encoding(value),
            _ => Ok(()),
        }
    }

    fn host(&mut self, text: &[u8], value: &[u8], end: usize) -> Result<(), Violation> {
        if self.host.is_some() {
            return Err(Violation::SeveralHosts);
        }
        if !value.iter().copied().all(is_authority) {
            return Err(Violation::Host);
        }
        let after = text.len() - text.trim_ascii_end().len();
        let value_end = end.saturating_sub(2 + after);
        self.host = Some(value_end.saturating_sub(value.len())..value_end);
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.length.is_some() {
            return Err(Violation::SeveralLengths);
        }
        if !value.iter().all(u8::is_ascii_digit) {
            return Err(Violation::ContentLength);
        }
        let length = std::str::from_utf8(value).ok().and_then(|digits| digits.parse::<i64>().ok());
        self.length = Some(length.and_then(|length| length.try_into().ok()).ok_or(Violation::ContentLength)?);
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Violation::TransferEncoding);
        }
        self.is_chunked = true;
        Ok(())
    }

    fn end(&self, bytes: &[u8]) -> Result<Follows, Violation> {
        let Some(RequestLine { is_http11, is_head, is_connect, ref authority }) = self.request_line else {
            return Err(Violation::RequestLine);
        };
        let body = match (self.length, self.is_chunked) {
            (Some(_), true) => return Err(Violation::LengthAndEncoding),
            (_, true) if !is_http11 => return Err(Violation::EncodedInHttp10),
            (_, true) => Body::Chunked,
            (None | Some(0), false) => Body::None,
            (Some(length), false) => Body::Length(length),
        };
        let named = |range: &Range<usize>| bytes.get(range.clone()).unwrap_or_default();
        match (&self.host, authority) {
            (None, _) if is_http11 => return Err(Violation::NoHost),
            (Some(host), Some(authority)) if !named(host).eq_ignore_ascii_case(named(authority)) => {
                return Err(Violation::HostDiffers);
            }
            _ => {}
        }
        let upgrades = is_connect || (self.upgrades && is_http11);
        if upgrades && body != Body::None {
            return Err(Violation::UpgradeBody);
        }
        Ok(Follows { body, upgrades, is_head })
    }
}

impl RequestLine {
    fn parse(text: &[u8], start: usize) -> Result<Self, Violation> {
        let mut parts = text.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Violation::RequestLine);
        };
        if [method, target, version].iter().any(|part| part.is_empty()) {
            return Err(Violation::RequestLine);
        }
        if !method.iter().copied().all(is_token) {
            return Err(Violation::Method);
        }
        let is_http11 = match version {
            b"HTTP/1.1" => true,
            b"HTTP/1.0" => false,
            _ => return Err(Violation::Version),
        };
        let authority = authority(method, target).ok_or(Violation::Target)?;
        let offset = start + method.len() + 1;
        Ok(Self {
            is_http11,
            is_head: method == b"HEAD",
            is_connect: method == b"CONNECT",
            authority: authority.map(|range| range.start + offset..range.end + offset),
        })
    }
}

/// Where a target names a host, if it does; `None` where the target is none that the method takes.
fn authority(method: &[u8], target: &[u8]) -> Option<Option<Range<usize>>> {
    // A fragment is not for servers: parsers drop it without a word.
    if target.iter().any(|byte| !byte.is_ascii_graphic() || *byte == b'#') {
        return None;
    }
    match target {
        _ if method == b"CONNECT" => is_named(target).then_some(Some(0..target.len())),
        [b'/', ..] => Some(None),
        b"*" => (method == b"OPTIONS").then_some(None),
        _ => {
            let scheme = memmem::find(target, b"://")?;
            let name = target.get(..scheme)?;
            if !name.eq_ignore_ascii_case(b"http") && !name.eq_ignore_ascii_case(b"https") {
                return None;
            }
            let rest = target.get(scheme + 3..)?;
            let len = rest.iter().take_while(|byte| !matches!(byte, b'/' | b'?')).count();
            is_named(rest.get(..len)?).then_some(Some(scheme + 3..scheme + 3 + len))
        }
    }
}

fn is_named(authority: &[u8]) -> bool {
    !authority.is_empty() && authority.iter().copied().all(is_authority)
}

/// Whether a byte may stand in a host with a port: none that some take for its end, or for the end of a user before it.
const fn is_authority(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&'..=b'+' | b';' | b'=' | b':' | b'[' | b']'
        )
}
