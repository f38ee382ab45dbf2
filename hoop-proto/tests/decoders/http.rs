//! The streams of HTTP/1 clients and servers.

use hoop_proto::http::{Answers, Framing, Limits, MAX_TRAILERS, Violation};

const LIMITS: Limits = Limits { head_bytes: 2048, fields: 20 };

/// What of a stream was passed, where heads and messages in it end, and why the rest was not passed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Followed {
    pub passed: Vec<u8>,
    pub heads: Vec<usize>,
    pub messages: Vec<usize>,
    pub off: Option<usize>,
    pub violation: Option<Violation>,
}

/// Any split of the bytes passes the same bytes and finds the same violation, and what has passed is parsed as it was framed. The
/// first byte says how the rest is split, as for `frames`, and what becomes of upgrades.
pub fn http(data: &[u8]) -> bool {
    let Some((&longest, stream)) = data.split_first() else { return false };
    let at_once = follow(stream, [stream.len()], longest);
    let pieces = (0..).map(|at| 1 + at % usize::from(longest).max(1));
    assert_eq!(at_once, follow(stream, pieces, longest));
    assert!(stream.starts_with(&at_once.passed), "what has passed are the bytes");
    if at_once.violation.is_none() && at_once.off.is_none() {
        assert!(stream.len() - at_once.passed.len() < LIMITS.head_bytes.max(MAX_TRAILERS), "what is kept is bounded");
    }
    is_parsed_as_framed(&at_once);
    an_answer_is_found_in_any_split(stream, longest);
    !at_once.heads.is_empty() || at_once.off.is_some()
}

/// Follows a stream that comes in pieces of these lengths.
pub fn follow(mut stream: &[u8], pieces: impl IntoIterator<Item = usize>, upgrades: u8) -> Followed {
    let (mut framing, mut kept, mut followed) = (Framing::new(LIMITS), Vec::new(), Followed::default());
    for piece in pieces {
        if stream.is_empty() {
            break;
        }
        let (now, later) = stream.split_at(piece.min(stream.len()));
        kept.extend_from_slice(now);
        stream = later;
        loop {
            let pass = match framing.check(&kept) {
                Ok(pass) if pass.len == 0 => break,
                Ok(pass) => pass,
                Err(violation) => {
                    assert_eq!(framing.check(b""), Err(violation), "it stays refused");
                    followed.violation = Some(violation);
                    return followed;
                }
            };
            if framing.is_off() {
                followed.off.get_or_insert(followed.passed.len());
            }
            followed.passed.extend(kept.drain(..pass.len));
            let at = followed.passed.len();
            if pass.head {
                followed.heads.push(at);
            }
            if framing.is_between() || framing.is_waiting() {
                followed.messages.push(at);
            }
            match upgrades % 3 {
                1 if framing.is_waiting() => framing.declined(),
                2 if framing.is_waiting() => framing.upgraded(),
                _ => {}
            }
        }
    }
    followed
}

fn is_parsed_as_framed(followed: &Followed) {
    let mut begin = 0;
    for (head, message) in followed.heads.iter().zip(&followed.messages) {
        let bytes = &followed.passed[begin..*head];
        let mut fields = [httparse::EMPTY_HEADER; 20];
        let mut request = httparse::Request::new(&mut fields);
        assert_eq!(request.parse(bytes), Ok(httparse::Status::Complete(bytes.len())), "{}", bytes.escape_ascii());
        let values = |name: &str| {
            let fields = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
            fields.map(|field| field.value).collect::<Vec<_>>()
        };
        let body = &followed.passed[*head..*message];
        match (&values("content-length")[..], &values("transfer-encoding")[..]) {
            ([], []) => assert!(body.is_empty()),
            ([length], []) => assert_eq!(std::str::from_utf8(length).expect("digits").parse(), Ok(body.len())),
            ([], [coding]) => {
                assert!(coding.eq_ignore_ascii_case(b"chunked"));
                assert_eq!(chunked(body), Some(body.len()), "{}", body.escape_ascii());
            }
            lengths => panic!("two lengths have passed: {lengths:?}"),
        }
        begin = *message;
    }
}

/// How long a body in chunks is.
fn chunked(body: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let httparse::Status::Complete((line, size)) = httparse::parse_chunk_size(&body[at..]).ok()? else {
            return None;
        };
        at += line;
        if size == 0 {
            break;
        }
        at += usize::try_from(size).ok()?;
        at += body.get(at..)?.starts_with(b"\r\n").then_some(2)?;
    }
    let mut fields = [httparse::EMPTY_HEADER; 20];
    let httparse::Status::Complete((len, _)) = httparse::parse_headers(&body[at..], &mut fields).ok()? else {
        return None;
    };
    Some(at + len)
}

/// The stream is taken for an answer, and all behind its first line for the rest of one.
fn an_answer_is_found_in_any_split(stream: &[u8], longest: u8) {
    let first = stream.iter().position(|byte| *byte == b'\n').map_or(stream.len(), |at| at + 1);
    for answer in [stream, &[b"HTTP/1.1 200 OK\r\n", &stream[first..]].concat()[..]] {
        let [mut at_once, mut in_pieces] = [(); 2].map(|()| {
            let mut answers = Answers::default();
            answers.asked(longest & 1 != 0, longest & 2 != 0);
            answers
        });
        at_once.wrote(answer);
        answer.chunks(usize::from(longest).max(1)).for_each(|piece| in_pieces.wrote(piece));
        assert_eq!(at_once.progress(), in_pieces.progress());
    }
}
