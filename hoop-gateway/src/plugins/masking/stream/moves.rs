//! Whether a line is only written on, or its cursor goes elsewhere.

use hoop_proto::terminal::lex::{Lexer, Token};

use super::view::is_plain;

/// Where in a line the cursor goes elsewhere for the first time, and not just on.
pub(super) fn first_move(line: &[u8]) -> Option<usize> {
    if is_plain(line) {
        return None;
    }
    let mut first = None;
    each_token(line, |token, at| {
        if is_move(token, line.get(at + 1..).unwrap_or_default()) {
            first = Some(at);
        }
        first.is_some()
    });
    first
}

/// Whether what is read at the end of a row moves the cursor, when this comes after it.
fn is_move(token: Token<'_>, after: &[u8]) -> bool {
    match token {
        Token::Control(0x08) => true,
        // Whether one at the end does, is not known yet.
        Token::Control(b'\r') => !is_end(after),
        Token::Escape([b'7' | b'8' | b'D' | b'E' | b'M' | b'c']) => true,
        Token::Csi(csi) if csi.private().is_some() || !csi.intermediates.is_empty() => false,
        // There is nothing to erase at the end.
        Token::Csi(csi) if csi.action == b'K' => csi.numbers().next().unwrap_or(0) != 0,
        Token::Csi(csi) => {
            matches!(csi.action, b'A'..=b'H' | b'J' | b'L' | b'M' | b'P' | b'S' | b'T' | b'X' | b'@' | b'`' | b'a' | b'd'..=b'f' | b's' | b'u')
        }
        _ => false,
    }
}

/// Whether nothing of a line comes any more.
pub(super) fn is_end(rest: &[u8]) -> bool {
    rest.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
}

/// Hands over each token and its place, until one is the last that is wanted; and says up to where there are whole ones.
pub(super) fn each_token<'a>(line: &'a [u8], mut is_last: impl FnMut(Token<'a>, usize) -> bool) -> usize {
    let (mut lexer, mut at) = (Lexer::new(), 0);
    while let Some((token, length)) = lexer.next(line.get(at..).unwrap_or_default()) {
        if is_last(token, at) {
            break;
        }
        at += length;
    }
    at
}
