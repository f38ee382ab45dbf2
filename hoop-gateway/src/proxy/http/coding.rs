//! Content codings ([RFC 9110 §8.4]): bodies are shown to the chain without them.
//!
//! [RFC 9110 §8.4]: https://www.rfc-editor.org/rfc/rfc9110#section-8.4

use std::io;

use bytes::{Bytes, BytesMut};
use compression_codecs::core::Level;
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::zstd::params::DParameter;
use compression_codecs::{
    BrotliDecoder, BrotliEncoder, DecodeV2, DeflateDecoder, EncodeV2, GzipDecoder, GzipEncoder, ZlibDecoder,
    ZlibEncoder, ZstdDecoder, ZstdEncoder,
};
use hoop_core::{Code, Denial};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

/// What is decoded at once, in bytes: nothing larger is held, whatever a body decodes to.
const PIECE: usize = 16 * 1024;
/// A body may decode to so many times its size …
const RATIO: u64 = 200;
/// … once it has come to this many bytes.
const RATIO_FROM: u64 = 8 << 20;
/// The window of zstd that a decoder must have for HTTP: 8 MiB ([RFC 9659](https://www.rfc-editor.org/rfc/rfc9659)).
const ZSTD_WINDOW_LOG: u32 = 23;

/// A coding that is decoded and encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950, and RFC 1951 bare, as some servers have it.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

impl Coding {
    const ALL: [Self; 4] = [Self::Gzip, Self::Deflate, Self::Brotli, Self::Zstd];

    /// Its name on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    fn named(name: &str) -> Option<Self> {
        let name = name.trim();
        if name.eq_ignore_ascii_case("x-gzip") {
            return Some(Self::Gzip);
        }
        Self::ALL.into_iter().find(|coding| coding.as_str().eq_ignore_ascii_case(name))
    }

    /// The coding of a body, or `None` where it has none.
    ///
    /// # Errors
    /// [`Code::Unsupported`] for one that is not known, and for several.
    pub(crate) fn of(fields: &HeaderMap) -> Result<Option<Self>, Denial> {
        let mut found = None;
        for value in fields.get_all(CONTENT_ENCODING) {
            for name in value.to_str().unwrap_or("?").split(',') {
                let name = name.trim();
                if name.is_empty() || name.eq_ignore_ascii_case("identity") {
                    continue;
                }
                match Self::named(name) {
                    Some(coding) if found.is_none() => found = Some(coding),
                    _ => return Err(unknown(&String::from_utf8_lossy(value.as_bytes()))),
                }
            }
        }
        Ok(found)
    }

    /// What of `Accept-Encoding` goes to a target: the codings that can be decoded here.
    pub(crate) fn acceptable(accept: &str) -> String {
        let known = |item: &&str| {
            let name = item.split(';').next().unwrap_or("").trim();
            Self::named(name).is_some() || name.eq_ignore_ascii_case("identity")
        };
        accept.split(',').map(str::trim).filter(known).collect::<Vec<_>>().join(", ")
    }
}

fn unknown(coding: &str) -> Denial {
    let shown: String = coding.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(60).collect();
    Denial::new("gateway", Code::Unsupported, format!("the body has the content coding {shown}, which cannot be read"))
        .hint("ask for gzip, deflate, br, zstd or none")
}

/// Decodes a body piece by piece.
pub(crate) struct Decoder {
    codec: Box<dyn DecodeV2 + Send + Sync>,
    coding: Coding,
    begun: bool,
    ended: bool,
    /// The last output had no room for more.
    full: bool,
    taken: u64,
    given: u64,
}

impl Decoder {
    pub(crate) fn new(coding: Coding) -> Self {
        let codec: Box<dyn DecodeV2 + Send + Sync> = match coding {
            Coding::Gzip => Box::new(GzipDecoder::new()),
            Coding::Deflate => Box::new(ZlibDecoder::new()),
            Coding::Brotli => Box::new(BrotliDecoder::new()),
            Coding::Zstd => Box::new(ZstdDecoder::new_with_params(&[DParameter::window_log_max(ZSTD_WINDOW_LOG)])),
        };
        Self { codec, coding, begun: false, ended: false, full: false, taken: 0, given: 0 }
    }

    /// Decodes some of `input`, and leaves the rest in it. Gives at most 16 KiB; nothing once all of the input is used and
    /// nothing more comes of it.
    ///
    /// # Errors
    /// [`Code::TargetLost`] for what is not of the coding, [`Code::LimitExceeded`] for a bomb.
    pub(crate) fn decode(&mut self, input: &mut Bytes) -> Result<Bytes, Denial> {
        if !self.begun && !input.is_empty() {
            self.begin(input);
        }
        let mut output = BytesMut::zeroed(PIECE);
        loop {
            if self.ended && !input.is_empty() {
                self.next_member()?;
            }
            if input.is_empty() && !self.full {
                return Ok(Bytes::new());
            }
            let mut from = PartialBuffer::new(&input[..]);
            let mut to = WriteBuffer::new_initialized(&mut output[..]);
            // With nothing to read, only what had no room is left to be given.
            let done = if input.is_empty() {
                self.codec.flush(&mut to).map(|_| false)
            } else {
                self.codec.decode(&mut from, &mut to)
            };
            let (used, written) = (from.written_len(), to.written_len());
            self.ended |= done.map_err(|error| self.broken(error))?;
            let _ = input.split_to(used);
            self.full = written == PIECE;
            self.taken += used as u64;
            self.given += written as u64;
            if self.given > RATIO_FROM && self.given / RATIO > self.taken {
                return Err(bomb());
            }
            if written > 0 {
                output.truncate(written);
                return Ok(output.freeze());
            }
            if used == 0 {
                return Ok(Bytes::new());
            }
        }
    }

    /// What is left at the end of the input, at most 16 KiB; nothing when that is all.
    ///
    /// # Errors
    /// [`Code::TargetLost`] for a body that ends in the middle.
    pub(crate) fn finish(&mut self) -> Result<Bytes, Denial> {
        if self.ended || !self.begun {
            return Ok(Bytes::new());
        }
        let mut output = BytesMut::zeroed(PIECE);
        let mut to = WriteBuffer::new_initialized(&mut output[..]);
        self.ended = self.codec.finish(&mut to).map_err(|error| self.broken(error))?;
        let written = to.written_len();
        if written == 0 && !self.ended {
            return Err(self.broken(io::ErrorKind::UnexpectedEof.into()));
        }
        output.truncate(written);
        Ok(output.freeze())
    }

    fn begin(&mut self, input: &Bytes) {
        self.begun = true;
        // RFC 1950 begins with the method 8 and a multiple of 31; RFC 1951 does not.
        let is_zlib = match input[..] {
            [first, second, ..] => first & 0x0f == 8 && (u16::from(first) << 8 | u16::from(second)) % 31 == 0,
            [first] => first & 0x0f == 8,
            [] => true,
        };
        if self.coding == Coding::Deflate && !is_zlib {
            self.codec = Box::new(DeflateDecoder::new());
        }
    }

    /// Gzip and zstd may come in several members; nothing may follow the others.
    fn next_member(&mut self) -> Result<(), Denial> {
        if !matches!(self.coding, Coding::Gzip | Coding::Zstd) {
            return Err(self.broken(io::Error::new(io::ErrorKind::InvalidData, "bytes after the end")));
        }
        self.ended = false;
        self.codec.reinit().map_err(|error| self.broken(error))
    }

    fn broken(&self, error: io::Error) -> Denial {
        let reason = format!("the body is not {}, as it says", self.coding.as_str());
        Denial::new("gateway", Code::TargetLost, reason).caused_by(error)
    }
}

fn bomb() -> Denial {
    let reason = format!("the body decodes to more than {RATIO} times its size");
    Denial::new("gateway", Code::LimitExceeded, reason).hint("ask for it without a content coding")
}

/// Encodes a body piece by piece.
pub(crate) struct Encoder {
    codec: Box<dyn EncodeV2 + Send + Sync>,
}

impl Encoder {
    pub(crate) fn new(coding: Coding) -> Self {
        // It is encoded anew for each reader: what costs little is better here than what is small.
        let codec: Box<dyn EncodeV2 + Send + Sync> = match coding {
            Coding::Gzip => Box::new(GzipEncoder::new(Level::Fastest.into())),
            Coding::Deflate => Box::new(ZlibEncoder::new(Level::Fastest.into())),
            Coding::Brotli => Box::new(BrotliEncoder::new(brotli_fast())),
            Coding::Zstd => Box::new(ZstdEncoder::new(1)),
        };
        Self { codec }
    }

    /// Encodes a piece; `flush` for what must not wait for more.
    ///
    /// # Errors
    /// [`Code::Internal`] when the coder fails.
    pub(crate) fn encode(&mut self, piece: &[u8], flush: bool) -> Result<Bytes, Denial> {
        let mut out = BytesMut::new();
        let mut from = PartialBuffer::new(piece);
        while !from.unwritten().is_empty() {
            step(&mut out, |to| self.codec.encode(&mut from, to).map(|()| true))?;
        }
        if flush {
            while !step(&mut out, |to| self.codec.flush(to))? {}
        }
        Ok(out.freeze())
    }

    /// The end.
    ///
    /// # Errors
    /// [`Code::Internal`] when the coder fails.
    pub(crate) fn finish(&mut self) -> Result<Bytes, Denial> {
        let mut out = BytesMut::new();
        while !step(&mut out, |to| self.codec.finish(to))? {}
        Ok(out.freeze())
    }
}

fn brotli_fast() -> compression_codecs::brotli::params::EncoderParams {
    compression_codecs::brotli::params::EncoderParams::default().quality(Level::Fastest)
}

fn step(out: &mut BytesMut, run: impl FnOnce(&mut WriteBuffer<'_>) -> io::Result<bool>) -> Result<bool, Denial> {
    let begin = out.len();
    out.resize(begin + PIECE, 0);
    let mut to = WriteBuffer::new_initialized(&mut out[begin..]);
    let done = run(&mut to)
        .map_err(|error| Denial::new("gateway", Code::Internal, "the body could not be encoded").caused_by(error))?;
    let written = to.written_len();
    out.truncate(begin + written);
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(coding: Coding, body: &[u8], pieces: usize) -> Result<Vec<u8>, Denial> {
        let (mut decoder, mut all) = (Decoder::new(coding), Vec::new());
        for piece in body.chunks(pieces) {
            let mut piece = Bytes::copy_from_slice(piece);
            loop {
                let out = decoder.decode(&mut piece)?;
                if out.is_empty() {
                    break;
                }
                all.extend_from_slice(&out);
            }
        }
        loop {
            let out = decoder.finish()?;
            if out.is_empty() {
                return Ok(all);
            }
            all.extend_from_slice(&out);
        }
    }

    fn encoded(coding: Coding, pieces: &[&[u8]]) -> Vec<u8> {
        let mut encoder = Encoder::new(coding);
        let mut all = Vec::new();
        for piece in pieces {
            all.extend_from_slice(&encoder.encode(piece, true).expect("encoded"));
        }
        all.extend_from_slice(&encoder.finish().expect("encoded"));
        all
    }

    #[test]
    fn what_is_encoded_is_decoded_in_any_pieces() {
        let text: Vec<u8> = (0..100_000_u32).flat_map(|n| n.to_string().into_bytes()).collect();
        for coding in Coding::ALL {
            let body = encoded(coding, &[&text[..10], &text[10..]]);
            assert!(body.len() < text.len(), "{coding:?}");
            for pieces in [1, 7, body.len()] {
                assert!(decoded(coding, &body, pieces).expect("decoded") == text, "{coding:?} in pieces of {pieces}");
            }
            assert!(decoded(coding, &encoded(coding, &[]), 1).expect("decoded").is_empty(), "{coding:?}");
            assert!(decoded(coding, &[], 1).expect("nothing at all").is_empty(), "{coding:?}");
        }
    }

    #[test]
    fn a_piece_that_is_flushed_can_be_read() {
        for coding in Coding::ALL {
            let mut encoder = Encoder::new(coding);
            let mut first = encoder.encode(b"an event", true).expect("encoded");
            let mut decoder = Decoder::new(coding);
            assert_eq!(decoder.decode(&mut first).expect("decoded"), &b"an event"[..], "{coding:?}");
        }
    }

    #[test]
    fn what_is_cut_off_wrong_or_followed_by_more_is_not_shown_as_whole() {
        for coding in Coding::ALL {
            let body = encoded(coding, &[b"some text that is whole"]);
            assert!(decoded(coding, &body[..body.len() - 3], 64).is_err(), "{coding:?} cut off");
            assert!(decoded(coding, b"\xffplainly not of any coding", 64).is_err(), "{coding:?} wrong");
            let more = [&body[..], b"\x00more"].concat();
            assert!(decoded(coding, &more, more.len()).is_err(), "{coding:?} followed by more");
        }
    }

    #[test]
    fn bare_deflate_and_several_members() {
        use compression_codecs::DeflateEncoder;
        let mut bare = Encoder { codec: Box::new(DeflateEncoder::new(Level::Default.into())) };
        let body = [bare.encode(b"bare", false).expect("encoded"), bare.finish().expect("encoded")].concat();
        assert_eq!(decoded(Coding::Deflate, &body, 64).expect("decoded"), b"bare");
        let two = [encoded(Coding::Gzip, &[b"one "]), encoded(Coding::Gzip, &[b"two"])].concat();
        assert_eq!(decoded(Coding::Gzip, &two, 5).expect("decoded"), b"one two");
    }

    #[test]
    fn a_bomb_is_stopped() {
        let zeros = vec![0; 1 << 20];
        for coding in Coding::ALL {
            let mut encoder = Encoder::new(coding);
            let mut bomb = Vec::new();
            for _ in 0..40 {
                bomb.extend_from_slice(&encoder.encode(&zeros, false).expect("encoded"));
            }
            bomb.extend_from_slice(&encoder.finish().expect("encoded"));
            let ratio = 40 * zeros.len() / bomb.len();
            let result = decoded(coding, &bomb, bomb.len());
            // Some encoders at their fastest are no good for bombs.
            assert_eq!(result.is_err(), ratio > 200, "{coding:?}: {ratio}");
        }
    }

    #[test]
    fn codings_by_name() {
        let of = |value: &str| {
            let mut fields = HeaderMap::new();
            fields.insert(CONTENT_ENCODING, value.parse().expect("a value"));
            Coding::of(&fields)
        };
        assert_eq!(of("GZIP").expect("known"), Some(Coding::Gzip));
        assert_eq!(of("identity").expect("none"), None);
        assert!(of("gzip, br").is_err() && of("compress").is_err());
        assert_eq!(Coding::acceptable("gzip;q=0.5, compress, br, *;q=0"), "gzip;q=0.5, br");
    }
}
