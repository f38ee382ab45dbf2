//! An answer over HTTP/1.1, as it comes: what is needed to know where it ends, and no more.

use std::time::Instant;

/// What is kept of a body.
const KEPT_BYTES: usize = 1024;

/// What was read of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The length of its body so far.
    pub(super) bytes: u64,
    /// When the first byte of the body was there.
    pub(super) first: Option<Instant>,
    /// The beginning of the body.
    pub(super) text: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    Head(Vec<u8>),
    /// This much of the body is missing.
    Sized(u64),
    /// A line before a chunk.
    Size(Vec<u8>),
    /// This much of the chunk is missing, then the end of its line.
    Chunk(u64),
    /// A line after the last chunk.
    Trailer(Vec<u8>),
    Over,
}

impl Answer {
    pub(super) const fn new() -> Self {
        Self { status: 0, bytes: 0, first: None, text: Vec::new(), state: State::Head(Vec::new()) }
    }

    pub(super) const fn is_complete(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Takes what came next.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Head(head) => {
                    let before = head.len();
                    head.extend_from_slice(bytes);
                    let from = before.saturating_sub(3);
                    let Some(end) = head[from..].windows(4).position(|end| end == b"\r\n\r\n") else { return Ok(()) };
                    let end = from + end + 4;
                    bytes = &bytes[end - before..];
                    let head = String::from_utf8_lossy(&head[..end]).into_owned();
                    (self.status, self.state) = begun(&head)?;
                }
                State::Sized(left) | State::Chunk(left) => {
                    let (body, rest) = bytes.split_at(usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len()));
                    *left -= body.len() as u64;
                    let is_over = *left == 0;
                    bytes = rest;
                    self.body(body);
                    if is_over {
                        let sized = matches!(self.state, State::Sized(_));
                        self.state = if sized { State::Over } else { State::Size(Vec::new()) };
                    }
                }
                State::Size(line) => {
                    let Some(text) = whole(line, &mut bytes) else { return Ok(()) };
                    // The end of the chunk before it.
                    if !text.is_empty() {
                        let size = u64::from_str_radix(text.split(';').next().unwrap_or(""), 16);
                        let size = size.map_err(|_| format!("{text:?} is no size of a chunk"))?;
                        self.state = if size > 0 { State::Chunk(size) } else { State::Trailer(Vec::new()) };
                    }
                }
                State::Trailer(line) => {
                    let Some(text) = whole(line, &mut bytes) else { return Ok(()) };
                    if text.is_empty() {
                        self.state = State::Over;
                    }
                }
                State::Over => return Err("more came than the answer".to_owned()),
            }
        }
        Ok(())
    }

    fn body(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.first.get_or_insert_with(Instant::now);
        }
        self.bytes += bytes.len() as u64;
        let kept = bytes.len().min(KEPT_BYTES.saturating_sub(self.text.len()));
        self.text.extend_from_slice(&bytes[..kept]);
    }
}

/// A line that is whole by now, without its end.
fn whole(line: &mut Vec<u8>, bytes: &mut &[u8]) -> Option<String> {
    let end = bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |end| end + 1);
    let (begin, rest) = bytes.split_at(end);
    line.extend_from_slice(begin);
    *bytes = rest;
    let text = line.ends_with(b"\n").then(|| String::from_utf8_lossy(line).trim_end().to_owned())?;
    line.clear();
    Some(text)
}

/// The status, and what follows the head.
fn begun(head: &str) -> Result<(u16, State), String> {
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status: u16 = status.ok_or_else(|| format!("no status in {head:?}"))?;
    let lower = head.to_ascii_lowercase();
    let field = |name: &str| lower.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if matches!(status, 101 | 204 | 304) {
        return Ok((status, State::Over));
    }
    if field("transfer-encoding:") == Some("chunked") {
        return Ok((status, State::Size(Vec::new())));
    }
    let length = field("content-length:").and_then(|length| length.parse().ok());
    match length.ok_or_else(|| format!("no length in {head:?}"))? {
        0 => Ok((status, State::Over)),
        length => Ok((status, State::Sized(length))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_the_same_however_it_is_split() {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\na: b\r\n\r\n",
        ] {
            for size in 1..=answer.len() {
                let mut read = Answer::new();
                let mut pieces = answer.as_bytes().chunks(size).peekable();
                while let Some(piece) = pieces.next() {
                    assert!(!read.is_complete());
                    read.take(piece).expect("an answer");
                    assert_eq!(read.is_complete(), pieces.peek().is_none(), "in pieces of {size}");
                }
                assert_eq!((read.status, read.bytes, &*read.text), (200, 11, &b"hello world"[..]));
            }
        }
    }

    #[test]
    fn what_has_no_body_ends_with_its_head() {
        for answer in ["HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"] {
            let mut read = Answer::new();
            read.take(answer.as_bytes()).expect("an answer");
            assert!(read.is_complete() && read.bytes == 0 && read.first.is_none());
            assert!(read.take(b"x").is_err());
        }
    }
}
