//! Masking of what programs write: streams of bytes that are cut anywhere, with a terminal's control sequences among them.
//!
//! Detectors read lines. A line that is not whole yet is let go up to where its end could be the beginning of a value (`rest`); that
//! tail, of at most [`MAX_HELD`] bytes, is kept back until more comes or [`Streams::flush`] asks for it, a few milliseconds
//! later. What was let go is remembered for a while, so that of a value that came too slowly at least the rest is masked. The echo of
//! a key is let go at once (`echo`).
//!
//! A line is read as it is written, without its control sequences, and where the cursor moves within it also as it stands
//! afterwards (`view`). From its first such move on (`moves`) it is kept back as a whole, for any character may come to stand next to
//! any other. A value that a program puts together on the screen piece by piece, in no order, is not found: it is nowhere in the
//! stream.
//!
//! **Invariant.** What is let go, forgotten and cut off depends on the text and not on the pieces it comes in, unless something
//! is flushed or is an echo between them. So the same is shown of a text whatever way it is cut.
//!
//! Where a program without a terminal begins with what is no text, as tar and gzip do, its stream passes as it is, and is recorded:
//! what is replaced in it would break it.
//!
//! On a terminal a value is replaced character by character, so that everything else keeps its column. Elsewhere it is
//! replaced as in a row.

mod echo;
mod edit;
pub(super) mod line;
mod moves;
mod rest;
#[cfg(test)]
mod tests;
mod view;

use std::collections::HashMap;

use bytes::Bytes;
use hoop_core::{ChannelId, Output, OutputStream};
use memchr::{memchr, memmem, memrchr};

use super::mask::Masker;
use echo::Echo;
use edit::{Edits, Piece};
use line::{Line, Run};

/// The longest tail of a line that is kept back, in bytes. A longer value is found where its first bytes are one, or
/// where it is a web token; what follows is masked as the rest of it.
pub(crate) const MAX_HELD: usize = 8 << 10;

/// The streams of a session.
#[derive(Debug, Default)]
pub(crate) struct Streams(HashMap<(ChannelId, OutputStream), Stream>);

impl Streams {
    /// Masks a piece of what a program writes. It may become empty.
    pub(crate) fn output(&mut self, output: &mut Output, masker: &Masker) {
        let begins = || Stream { data: !output.terminal && is_data(&output.bytes), ..Stream::default() };
        let stream = self.0.entry((output.channel, output.stream)).or_insert_with(begins);
        if stream.data {
            return;
        }
        stream.terminal = output.terminal;
        output.bytes = stream.push(&output.bytes, masker);
        output.held_back = stream.line.is_held();
    }

    /// Something is typed at the terminal of a channel.
    pub(crate) fn typed(&mut self, channel: ChannelId, bytes: &[u8]) {
        self.0.entry((channel, OutputStream::Stdout)).or_default().echo.typed(bytes);
    }

    /// What is kept back of one of the channel's streams.
    pub(crate) fn flush(&mut self, channel: ChannelId, masker: &Masker) -> Option<Output> {
        let of = |stream| (channel, stream);
        let which = [OutputStream::Stdout, OutputStream::Stderr]
            .into_iter()
            .find(|which| self.0.get(&of(*which)).is_some_and(|stream| stream.line.is_held()))?;
        let stream = self.0.get_mut(&of(which))?;
        let bytes = stream.flush(masker);
        Some(Output { channel, stream: which, bytes, terminal: stream.terminal, exact: false, held_back: false })
    }

    /// The channel has ended, and nothing of it is kept back any more.
    pub(crate) fn close(&mut self, channel: ChannelId) {
        self.0.retain(|(of, _), _| *of != channel);
    }
}

/// Whether a stream whose first piece this is, is no text, by git's rule: it has a zero byte among the first.
fn is_data(first: &[u8]) -> bool {
    memchr(0, first.get(..8000).unwrap_or(first)).is_some()
}

/// Whether one of these whole lines is longer than what is held of one.
fn has_long_line(block: &[u8]) -> bool {
    let mut from = 0;
    block.len() > MAX_HELD
        && memchr::memchr_iter(b'\n', block).any(|feed| feed - std::mem::replace(&mut from, feed + 1) > MAX_HELD)
}

/// One stream.
#[derive(Debug, Default)]
struct Stream {
    terminal: bool,
    /// Whether it is no text: there are no values in it that people read, and what is replaced in it breaks it.
    data: bool,
    line: Line,
    /// What a value that began before makes of the bytes that come next.
    run: Option<Run>,
    echo: Echo,
}

impl Stream {
    fn push(&mut self, bytes: &Bytes, masker: &Masker) -> Bytes {
        let echo = self.echo.is(bytes) && !self.line.is_held() && !matches!(self.run, Some(Run::Key(_)));
        let begins_as_echo = self.line.has_echo();
        let held = self.line.held().to_vec();
        let mut edits = Edits::new(self.terminal);
        self.line.at(0);
        let (mut rest, mut at) = (bytes.as_ref(), held.len());
        if !self.line.is_empty() {
            let (head, after) = rest.split_at(memchr(b'\n', rest).map_or(rest.len(), |feed| feed + 1));
            self.extend(head, masker, &mut edits);
            (rest, at) = (after, at + head.len());
        }
        if let Some(feed) = memrchr(b'\n', rest) {
            let (block, after) = rest.split_at(feed + 1);
            self.block(block, at, masker, &mut edits);
            (rest, at) = (after, at + block.len());
        }
        if !rest.is_empty() {
            self.line.at(at);
            self.extend(rest, masker, &mut edits);
        }
        if echo {
            self.line.let_echo_go(&mut self.run, masker, &mut edits);
        } else {
            self.line.let_go(&mut self.run, masker, &mut edits);
        }
        if begins_as_echo && !echo && edits.has_completed() {
            self.echo.disbelieve();
        }
        let shown = held.len() + bytes.len() - self.line.held().len();
        if edits.is_empty() && held.is_empty() {
            return bytes.slice(..shown);
        }
        edits.apply(&[&held, bytes], shown)
    }

    fn flush(&mut self, masker: &Masker) -> Bytes {
        let held = self.line.held().to_vec();
        let mut edits = Edits::new(self.terminal);
        self.line.at(0);
        self.line.let_all_go(&mut self.run, masker, &mut edits);
        let shown = held.len();
        edits.apply(&[&held], shown)
    }

    /// The line goes on, and may end.
    fn extend(&mut self, bytes: &[u8], masker: &Masker, edits: &mut Edits) {
        let (text, ends) = bytes.strip_suffix(b"\n").map_or((bytes, false), |text| (text, true));
        self.line.extend(text, &mut self.run, masker, edits);
        if ends {
            self.line.finish(&mut self.run, masker, edits);
        }
    }

    /// Whole lines.
    fn block(&mut self, block: &[u8], at: usize, masker: &Masker, edits: &mut Edits) {
        let is_plain = self.run.is_none()
            && !masker.detectors.needs_every_value()
            && view::is_plain(block)
            && memmem::find(block, line::KEY_BEGINS).is_none()
            && !has_long_line(block);
        if is_plain {
            let mut hits = Vec::new();
            masker.detectors.find(block, &mut hits);
            for hit in hits {
                edits.next();
                edits.hide(masker, &hit.label, Piece { raw: block, shown: 0, base: at }, hit.start..hit.end);
            }
            return;
        }
        let mut from = 0;
        for feed in memchr::memchr_iter(b'\n', block) {
            self.line.at(at + from);
            self.extend(block.get(from..=feed).unwrap_or_default(), masker, edits);
            from = feed + 1;
        }
    }
}
