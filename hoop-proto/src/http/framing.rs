//! The stream of a client.

use super::Limits;
use super::chunks::Chunks;
use super::head::{Body, Follows, Head};
use super::violation::Violation;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Follows a client's bytes, and says how many of them may be passed on: heads once they are there as a whole and are right, bodies
/// as they come.
///
/// Bytes that were not passed are offered again, with what has come since behind them. It keeps none of them, and looks at none of
/// them twice. After [HTTP/2's preface] or the beginning of a TLS record as the first bytes, everything passes.
///
/// [HTTP/2's preface]: https://www.rfc-editor.org/rfc/rfc9113#section-3.4
#[derive(Debug)]
pub struct Framing {
    limits: Limits,
    state: State,
    violation: Option<Violation>,
    is_head: bool,
}

#[derive(Debug)]
enum State {
    First,
    Head(Head),
    Length(u64),
    Chunked(Chunks),
    Upgrade,
    Off,
}

/// What may be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pass {
    /// How many bytes. 0 where more have to come.
    pub len: usize,
    /// Whether they are the head of a request.
    pub head: bool,
}

impl Framing {
    /// Nothing has come yet.
    pub const fn new(limits: Limits) -> Self {
        Self { limits, state: State::First, violation: None, is_head: false }
    }

    /// What of these bytes may be passed on: not beyond a head, and not beyond a message. Ask again for the rest.
    ///
    /// # Errors
    /// The first byte that was not passed is the beginning of what cannot be read in one way only. So does every call after that.
    pub fn check(&mut self, bytes: &[u8]) -> Result<Pass, Violation> {
        if let Some(violation) = self.violation {
            return Err(violation);
        }
        let mut len = 0;
        loop {
            match self.step(bytes.get(len..).unwrap_or_default()) {
                Ok(Pass { len: 0, .. }) => break,
                Ok(head) if head.head => return Ok(head),
                Ok(pass) => len += pass.len,
                Err(violation) => {
                    self.violation = Some(violation);
                    if len == 0 {
                        return Err(violation);
                    }
                    break;
                }
            }
            // Whoever passes it on has to know where a message begins and ends.
            if self.is_between() || len == bytes.len() {
                break;
            }
        }
        Ok(Pass { len, head: false })
    }

    fn step(&mut self, bytes: &[u8]) -> Result<Pass, Violation> {
        if matches!(self.state, State::First) {
            self.state = first(bytes);
        }
        match &mut self.state {
            State::First => Ok(Pass::default()),
            State::Head(head) => match head.read(bytes, self.limits)? {
                None => Ok(Pass::default()),
                Some((len, follows)) => {
                    self.follow(follows);
                    Ok(Pass { len, head: true })
                }
            },
            State::Length(left) => {
                let len = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left = left.saturating_sub(len as u64);
                if *left == 0 {
                    self.state = State::Head(Head::default());
                }
                Ok(Pass { len, head: false })
            }
            State::Chunked(chunks) => {
                let len = chunks.read(bytes, self.limits)?;
                if chunks.is_end() {
                    self.state = State::Head(Head::default());
                }
                Ok(Pass { len, head: false })
            }
            State::Upgrade if bytes.is_empty() => Ok(Pass::default()),
            State::Upgrade => Err(Violation::EarlyBytes),
            State::Off => Ok(Pass { len: bytes.len(), head: false }),
        }
    }

    fn follow(&mut self, Follows { body, upgrades, is_head }: Follows) {
        self.is_head = is_head;
        self.state = match body {
            _ if upgrades => State::Upgrade,
            Body::None => State::Head(Head::default()),
            Body::Length(length) => State::Length(length),
            Body::Chunked => State::Chunked(Chunks::default()),
        };
    }

    /// How many bytes pass whatever they are.
    pub const fn free(&self) -> u64 {
        match &self.state {
            State::Length(left) => *left,
            State::Chunked(chunks) => chunks.free(),
            State::Off => u64::MAX,
            State::First | State::Head(_) | State::Upgrade => 0,
        }
    }

    /// The server has agreed to another protocol: everything passes from now on.
    pub fn upgraded(&mut self) {
        self.state = State::Off;
    }

    /// The server has answered, and does not change the protocol: another request may follow.
    pub fn declined(&mut self) {
        if matches!(self.state, State::Upgrade) {
            self.state = State::Head(Head::default());
        }
    }

    /// Whether what was passed ends with the end of a message, or is nothing.
    pub const fn is_between(&self) -> bool {
        matches!(self.state, State::First | State::Head(_))
    }

    /// Whether a request for another protocol has no answer yet.
    pub const fn is_waiting(&self) -> bool {
        matches!(self.state, State::Upgrade)
    }

    /// Whether everything passes.
    pub const fn is_off(&self) -> bool {
        matches!(self.state, State::Off)
    }

    /// Whether the last head was one of a request with the method HEAD, the answer to which has no body.
    pub const fn is_head(&self) -> bool {
        self.is_head
    }
}

/// What the first bytes of a connection are the beginning of.
fn first(bytes: &[u8]) -> State {
    match bytes {
        [] | [0x16] => State::First,
        // A handshake of TLS, of any version.
        [0x16, 3, ..] => State::Off,
        _ if bytes.starts_with(PREFACE) => State::Off,
        _ if PREFACE.starts_with(bytes) => State::First,
        _ => State::Head(Head::default()),
    }
}
