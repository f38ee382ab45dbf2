//! The decoders of what moves files, and of commands.

use std::fmt::Debug;

use bytes::Bytes;
use hoop_proto::ssh::scp::{self, Command, Line, ScpError, Sink, Source};
use hoop_proto::ssh::sftp::{self, Replies, Requests};
use hoop_proto::ssh::shell::{self, Simple};

/// What a stream consists of, with the bytes of one file put together, and what ended it early.
type Parts<P, E> = (Vec<(Option<P>, Vec<u8>)>, Option<E>);
/// A part: what it says, or nothing where it is bytes of a file, and its bytes.
type Next<P, E> = Result<Option<(Option<P>, Bytes)>, E>;

/// Any split of the bytes gives the same packets, which together are the bytes. The first byte says how the rest is split, as
/// for `frames`. It is read as a client's and as a server's.
pub fn sftp(data: &[u8]) -> bool {
    let Some((&longest, stream)) = data.split_first() else { return false };
    fn part<P>(part: sftp::Part<P>) -> (Option<P>, Bytes) {
        match part {
            sftp::Part::Packet { packet, bytes, .. } => (Some(packet), bytes),
            sftp::Part::Data { bytes, .. } => (None, bytes),
        }
    }
    let requests = any_split(stream, longest, || {
        let mut requests = Requests::default();
        move |piece: Option<Bytes>| {
            piece.into_iter().for_each(|piece| requests.receive(piece));
            requests.part().map(|next| next.map(part))
        }
    });
    let replies = any_split(stream, longest, || {
        let mut replies = Replies::default();
        move |piece: Option<Bytes>| {
            piece.into_iter().for_each(|piece| replies.receive(piece));
            replies.part().map(|next| next.map(part))
        }
    });
    requests | replies
}

/// As `sftp`, of what a source and a sink of `scp` send; files of an odd size are refused. And the bytes are read as a command.
pub fn scp(data: &[u8]) -> bool {
    let Some((&longest, stream)) = data.split_first() else { return false };
    let source = any_split(stream, longest, || {
        let mut source = Source::default();
        move |piece: Option<Bytes>| -> Next<Line, ScpError> {
            piece.into_iter().for_each(|piece| source.receive(piece));
            let Some(part) = source.part()? else { return Ok(None) };
            if let scp::Part::Line { line: Line::File { size, .. }, .. } = part {
                source.answered(size % 2 == 0);
            }
            Ok(Some(match part {
                scp::Part::Line { line, bytes } => (Some(line), bytes),
                scp::Part::Data { bytes, .. } => (None, bytes),
                scp::Part::Sent { answer, bytes } => (Some(Line::Failed(answer)), bytes),
            }))
        }
    });
    let sink = any_split(stream, longest, || {
        let mut sink = Sink::default();
        move |piece: Option<Bytes>| {
            piece.into_iter().for_each(|piece| sink.receive(piece));
            sink.answer().map(|next| next.map(|(answer, bytes)| (Some(answer), bytes)))
        }
    });
    Command::parse(data).is_some() | source | sink
}

/// A command of which every word is known reads back from its words, each in quotes.
pub fn shell(data: &[u8]) -> bool {
    let Some(commands) = shell::commands(data) else { return false };
    for command in &commands {
        let shell::Command::Simple(Simple { words, .. }) = command else { continue };
        let literal: Option<Vec<_>> = words.iter().map(shell::Word::literal).collect();
        let Some(literal) = literal.filter(|words| !words.is_empty()) else { continue };
        let quoted: Vec<_> = literal.iter().map(|word| quoted(word)).collect();
        let text = quoted.join(&b' ');
        if text.len() > shell::MAX_TEXT {
            continue;
        }
        let again = shell::commands(&text).expect("words in quotes");
        let [shell::Command::Simple(Simple { words, assignments })] = &again[..] else { panic!("one command") };
        assert!(assignments.is_empty());
        assert_eq!(words.iter().map(|word| word.literal().expect("all is known")).collect::<Vec<_>>(), literal);
    }
    true
}

fn quoted(word: &[u8]) -> Vec<u8> {
    let inner: Vec<_> = word.split(|byte| *byte == b'\'').collect();
    [&b"'"[..], &inner.join(&br"'\''"[..]), b"'"].concat()
}

/// Reads a stream at once and in pieces that grow from one byte to `longest`. Whether anything could be read.
fn any_split<P, E, F>(stream: &[u8], longest: u8, decoder: impl Fn() -> F) -> bool
where
    P: Debug + PartialEq,
    E: Debug + PartialEq,
    F: FnMut(Option<Bytes>) -> Next<P, E>,
{
    let at_once = read(stream, [stream.len()], decoder());
    let longest = usize::from(longest).max(1);
    assert_eq!(at_once, read(stream, (0..).map(|at| 1 + at % longest), decoder()));
    let bytes = at_once.0.iter().map(|(_, bytes)| &bytes[..]).collect::<Vec<_>>().concat();
    assert!(stream.starts_with(&bytes), "the parts are the bytes");
    !at_once.0.is_empty()
}

fn read<P, E>(
    mut stream: &[u8],
    pieces: impl IntoIterator<Item = usize>,
    mut next: impl FnMut(Option<Bytes>) -> Next<P, E>,
) -> Parts<P, E> {
    let mut parts: Vec<(Option<P>, Vec<u8>)> = Vec::new();
    for piece in pieces {
        if stream.is_empty() {
            break;
        }
        let (now, later) = stream.split_at(piece.min(stream.len()));
        stream = later;
        let mut received = Some(Bytes::copy_from_slice(now));
        loop {
            match (next(received.take()), parts.last_mut()) {
                (Ok(Some((None, bytes))), Some((None, last))) => last.extend_from_slice(&bytes),
                (Ok(Some((part, bytes))), _) => parts.push((part, bytes.to_vec())),
                (Ok(None), _) => break,
                (Err(error), _) => return (parts, Some(error)),
            }
        }
    }
    (parts, None)
}
