//! What is in bodies and messages of HTTP.

use std::ops::Range;

use hoop_proto::http::charset::{Charset, Transcoder};
use hoop_proto::http::json::{self, Lines};
use hoop_proto::http::markup::{Dialect, Lexer, Token};
use hoop_proto::http::multipart::{self, Splitter};
use hoop_proto::http::protobuf::{Fields, Value, put_bytes};
use hoop_proto::http::reading::{Coding, Reading};

const CODINGS: [Coding; 5] = [Coding::Plain, Coding::Escapes, Coding::References, Coding::Form, Coding::Percent];

/// Any split of a text with escapes reads the same; each byte of the text is written somewhere, in order; a text that is written in
/// a coding reads back. The first byte is the longest piece.
pub fn reading(data: &[u8]) -> bool {
    let Some((longest, raw)) = data.split_first() else { return false };
    let mut coded = 0;
    for coding in CODINGS {
        let mut whole = Reading::default();
        assert_eq!(whole.read(raw, 0, coding, true), raw.len());
        let mut pieces = Reading::default();
        let (mut held, mut at) = (Vec::new(), 0);
        for piece in raw.chunks(usize::from(*longest).max(1)) {
            held.extend_from_slice(piece);
            let read = pieces.read(&held, at, coding, false);
            (at, held) = (at + read, held.split_off(read));
        }
        pieces.read(&held, at, coding, true);
        assert!(whole.is_broken() || whole.text() == pieces.text(), "{coding:?}");
        let places: Vec<Range<usize>> = whole.pieces(0..whole.text().len()).collect();
        assert!(places.iter().all(|place| place.start < place.end && place.end <= raw.len()));
        assert!(places.windows(2).all(|pair| pair[0].end <= pair[1].start));
        written(raw, coding);
        coded += whole.coded();
    }
    coded > 0
}

fn written(text: &[u8], coding: Coding) {
    if matches!(coding, Coding::Plain | Coding::Percent) {
        return;
    }
    let (mut out, mut again) = (Vec::new(), Reading::default());
    coding.write(text, &mut out);
    again.read(&out, 0, coding, true);
    assert_eq!(again.text(), text, "{coding:?}");
}

/// The strings of JSON lie in order and not in each other, and what is after an unfinished one is not looked at.
pub fn json_strings(data: &[u8]) -> bool {
    let mut any = false;
    for lines in [Lines::Join, Lines::Cut] {
        let mut found = Vec::new();
        let open = json::strings(data, 100, lines, &mut found);
        assert!(found.windows(2).all(|pair| pair[0].end <= pair[1].start));
        assert!(found.iter().all(|string| data[string.start] == b'"' && string.len() <= 100));
        let end = open.unwrap_or(data.len());
        assert!(found.iter().all(|string| string.end <= end));
        for string in &found {
            assert!(json::inside(&data[string.clone()]).len() <= string.len());
        }
        any |= !found.is_empty();
    }
    any
}

/// Any split of a document gives the same tokens, and all bytes are in one. The first byte is the longest piece.
pub fn markup(data: &[u8]) -> bool {
    let Some((longest, text)) = data.split_first() else { return false };
    let mut tags = false;
    for dialect in [Dialect::Html, Dialect::Xml] {
        let whole = tokens(text, text.len(), dialect);
        assert_eq!(whole, tokens(text, usize::from(*longest), dialect), "{dialect:?}");
        assert_eq!(whole.iter().map(|(_, len)| len).sum::<usize>(), text.len());
        tags |= whole.iter().any(|(token, _)| matches!(token, Token::Open { .. }));
    }
    tags
}

fn tokens(text: &[u8], longest: usize, dialect: Dialect) -> Vec<(Token, usize)> {
    let (mut lexer, mut held, mut tokens) = (Lexer::new(dialect), Vec::new(), Vec::<(Token, usize)>::new());
    let chunks: Vec<_> = text.chunks(longest.max(1)).collect();
    for (at, chunk) in chunks.iter().enumerate() {
        held.extend_from_slice(chunk);
        while let Some((token, len)) = lexer.next(&held, at + 1 == chunks.len()) {
            assert!(len > 0);
            held.drain(..len);
            match tokens.last_mut().filter(|(last, _)| *last == token) {
                Some((_, before)) => *before += len,
                None => tokens.push((token, len)),
            }
        }
        assert!(held.len() < 200, "little is kept: {}", held.len());
    }
    tokens
}

/// Any split of a multipart body gives the same parts. The first byte is the longest piece.
pub fn parts(data: &[u8]) -> bool {
    let Some((longest, text)) = data.split_first() else { return false };
    let whole = cut(text, text.len());
    assert_eq!(whole, cut(text, usize::from(*longest)));
    whole.is_ok_and(|tokens| tokens.iter().any(|(token, _)| *token == multipart::Token::Boundary))
}

type Cut = Result<Vec<(multipart::Token, usize)>, multipart::NotParts>;

fn cut(text: &[u8], longest: usize) -> Cut {
    let (mut splitter, mut held, mut tokens) =
        (Splitter::new("b"), Vec::new(), Vec::<(multipart::Token, usize)>::new());
    let chunks: Vec<_> = text.chunks(longest.max(1)).collect();
    for (at, chunk) in chunks.iter().enumerate() {
        held.extend_from_slice(chunk);
        while let Some((token, len)) = splitter.next(&held, at + 1 == chunks.len())? {
            held.drain(..len);
            match tokens.last_mut().filter(|(last, _)| *last == token) {
                Some((_, before)) => *before += len,
                None => tokens.push((token, len)),
            }
        }
    }
    assert!(held.is_empty());
    Ok(tokens)
}

/// The fields of a message are its bytes, one after the other.
pub fn protobuf(data: &[u8]) -> bool {
    let mut seen = Vec::new();
    for field in Fields::new(data) {
        let Ok(field) = field else { return false };
        seen.extend_from_slice(field.raw);
        if let Value::Bytes(bytes) = field.value {
            let mut out = Vec::new();
            put_bytes(field.tag, bytes, &mut out);
            let mut again = Fields::new(&out);
            assert_eq!(again.next().and_then(Result::ok).map(|field| field.value), Some(Value::Bytes(bytes)));
            assert!(again.next().is_none());
        }
    }
    assert_eq!(seen, data);
    !data.is_empty()
}

/// What is read of an encoding is written as it was, whatever the pieces.
pub fn charset(data: &[u8]) -> bool {
    let Some((longest, text)) = data.split_first() else { return false };
    let back = |charset, longest: usize| {
        let (mut transcoder, mut read, mut out) = (Transcoder::new(charset), Vec::new(), Vec::new());
        for chunk in text.chunks(longest.max(1)) {
            transcoder.read(chunk, false, &mut read).ok()?;
        }
        transcoder.read(b"", true, &mut read).ok()?;
        assert!(std::str::from_utf8(&read).is_ok());
        for chunk in read.chunks(longest.max(1)) {
            transcoder.write(chunk, &mut out).ok()?;
        }
        Some(out)
    };
    assert_eq!(back(Charset::Single, usize::from(*longest)).as_deref(), Some(text));
    let wide = [Charset::Utf16Le, Charset::Utf16Be].map(|charset| {
        let whole = back(charset, text.len());
        assert_eq!(whole, back(charset, usize::from(*longest)));
        assert!(whole.is_none() || whole.as_deref() == Some(text));
        whole.is_some()
    });
    wide[0]
}
