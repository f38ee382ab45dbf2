//! What must hold of every decoder on any bytes, one function for each. `cargo test` runs them over random bytes and over
//! broken messages; the fuzz targets in `fuzz/` run the same functions for as long as one likes.
//!
//! None may panic; what else is asserted is said with each.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hoop_core::{CellIndex, RowBatch, RowEncoding, StatementId};
use hoop_proto::dsn::Dsn;
use hoop_proto::postgres::backend::{self, Authentication, NegotiateProtocolVersion, NotificationResponse};
use hoop_proto::postgres::backend::{BackendKeyData, CopyResponse, ParameterStatus, TransactionStatus};
use hoop_proto::postgres::copy::{CopyBinary, CopyCsv, CopyLines, CopyText};
use hoop_proto::postgres::frontend::{self, Bind, Execute, FunctionCall, Named, Parse, Query, SaslInitialResponse};
use hoop_proto::postgres::rows::{DataRows, FunctionResult};
use hoop_proto::postgres::startup::{self, Startup};
use hoop_proto::postgres::{Frame, FrameError, Frames, Header, write_frame};
use hoop_proto::terminal::filter::Filter;
use hoop_proto::terminal::screen::{Place, Screen};

#[path = "bodies.rs"]
mod bodies;
#[path = "files.rs"]
mod files;
#[path = "http.rs"]
mod http;

pub use bodies::{charset, json_strings, markup, parts, protobuf, reading};
pub use files::{scp, sftp, shell};
pub use http::http;

/// A check: it says whether any decoder could read the bytes, and panics when one does not do what it must.
pub type Check = fn(&[u8]) -> bool;

/// All checks, by the names of their fuzz targets.
pub const CHECKS: [(&str, Check); 18] = [
    ("frames", frames),
    ("startup", startup),
    ("frontend", frontend),
    ("backend", backend),
    ("rows", rows),
    ("copy", copy),
    ("dsn", dsn),
    ("terminal", terminal),
    ("sftp", sftp),
    ("scp", scp),
    ("shell", shell),
    ("reading", reading),
    ("json_strings", json_strings),
    ("markup", markup),
    ("parts", parts),
    ("protobuf", protobuf),
    ("charset", charset),
    ("http", http),
];

/// The longest frame that the checks read.
const LIMIT: usize = 1 << 16;

/// Any split of the bytes gives the same frames, the same rest and the same error. The first byte says how the rest is
/// split: into pieces that grow from one byte to as many.
pub fn frames(data: &[u8]) -> bool {
    let Some((&longest, stream)) = data.split_first() else { return false };
    let longest = usize::from(longest).max(1);
    let at_once = cut(stream, [stream.len()]);
    assert_eq!(at_once, cut(stream, (0..).map(|at| 1 + at % longest)));
    a_run_is_what_next_gives(stream);
    !at_once.0.is_empty()
}

/// What a stream consists of: whole frames, bytes of a frame that is not all there, and what ended it early.
pub type Cut = (Vec<Bytes>, Bytes, Option<FrameError>);

/// Receives a stream in pieces of these lengths, as a relay does, and cuts frames whenever a piece has come.
pub fn cut(mut stream: &[u8], pieces: impl IntoIterator<Item = usize>) -> Cut {
    let (mut received, mut whole) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        if stream.is_empty() {
            break;
        }
        let (now, later) = stream.split_at(piece.min(stream.len()));
        received.extend_from_slice(now);
        stream = later;
        let mut frames = Frames::new(received.split().freeze());
        loop {
            match frames.next(LIMIT) {
                Ok(Some(frame)) => whole.push(frame.into_bytes()),
                Ok(None) => break,
                // How much of the stream lies behind the error depends on the pieces, and nobody reads it.
                Err(error) => return (whole, Bytes::new(), Some(error)),
            }
        }
        received.extend_from_slice(frames.rest());
    }
    (whole, received.freeze(), None)
}

fn a_run_is_what_next_gives(stream: &[u8]) {
    let mut frames = Frames::new(Bytes::copy_from_slice(stream));
    let Ok(Some(Header { tag, .. })) = frames.peek() else { return };
    let Ok((count, len)) = frames.run(tag, usize::MAX) else { return };
    let run = frames.take(len);
    let mut frames = Frames::new(run);
    for _ in 0..count {
        let frame = frames.next(usize::MAX).expect("a frame that the run counted").expect("a whole frame");
        assert_eq!(frame.tag(), tag);
    }
    assert!(frames.rest().is_empty());
}

/// A first packet that is read is written as it came.
pub fn startup(data: &[u8]) -> bool {
    if let Some(first) = data.first_chunk::<4>() {
        let _ = startup::packet_length(*first);
    }
    let mut out = BytesMut::new();
    match startup::parse(Bytes::copy_from_slice(data)) {
        Ok(Startup::StartupMessage(message)) => message.write(&mut out),
        Ok(Startup::CancelRequest(cancel)) => cancel.write(&mut out),
        Ok(Startup::SslRequest) => startup::write_ssl_request(&mut out),
        Ok(Startup::GssEncRequest) => return true,
        Err(_) => return false,
    }
    assert_eq!(out, data);
    true
}

/// A client's message that is read is written as it came. The bytes are the body; every decoder gets them.
pub fn frontend(data: &[u8]) -> bool {
    let same = [
        as_it_came(frontend::QUERY, data, |frame, out| Query::parse(frame).map(|query| Query::write(&query.text, out))),
        as_it_came(frontend::DESCRIBE, data, |frame, out| Named::parse(frame).map(|named| named.write_describe(out))),
        as_it_came(frontend::CLOSE, data, |frame, out| Named::parse(frame).map(|named| named.write_close(out))),
    ];
    let read = [
        Bind::parse(&whole(frontend::BIND, data)).is_ok(),
        Execute::parse(&whole(frontend::EXECUTE, data)).is_ok(),
        FunctionCall::parse(&whole(frontend::FUNCTION_CALL, data)).is_ok(),
        parse(&whole(frontend::PARSE, data)).is_ok(),
        sasl_initial_response(&whole(frontend::PASSWORD, data)).is_ok(),
    ];
    same.contains(&true) || read.contains(&true)
}

fn parse(frame: &Frame) -> Result<(), FrameError> {
    let Parse { name, text, types } = Parse::parse(frame)?;
    if types == [0, 0][..] {
        assert_eq!(written(|out| Parse::write(&name, &text, out)), frame.bytes());
    }
    Ok(())
}

fn sasl_initial_response(frame: &Frame) -> Result<(), FrameError> {
    let SaslInitialResponse { mechanism, data } = SaslInitialResponse::parse(frame)?;
    if let Some(data) = data {
        assert_eq!(written(|out| SaslInitialResponse::write(&mechanism, &data, out)), frame.bytes());
    }
    Ok(())
}

/// A server's message that is read is written as it came, and one of which only the start is read says the same again.
/// The bytes are the body; every decoder gets them.
pub fn backend(data: &[u8]) -> bool {
    let fields = |tag| as_it_came(tag, data, |frame, out| error_fields(tag, frame, out));
    let same = [
        as_it_came(backend::PARAMETER_STATUS, data, |frame, out| {
            ParameterStatus::parse(frame).map(|status| ParameterStatus::write(&status.name, &status.value, out))
        }),
        as_it_came(backend::BACKEND_KEY_DATA, data, |frame, out| {
            BackendKeyData::parse(frame).map(|key| key.write(out))
        }),
        as_it_came(backend::READY_FOR_QUERY, data, |frame, out| {
            TransactionStatus::parse(frame).map(|status| status.write(out))
        }),
        as_it_came(backend::NOTIFICATION_RESPONSE, data, |frame, out| {
            NotificationResponse::parse(frame).map(|notification| notification.write(out))
        }),
        as_it_came(backend::NEGOTIATE_PROTOCOL_VERSION, data, |frame, out| {
            NegotiateProtocolVersion::parse(frame).map(|answer| answer.write(out))
        }),
        fields(backend::ERROR_RESPONSE),
        fields(backend::NOTICE_RESPONSE),
    ];
    let read = [
        authentication(&whole(backend::AUTHENTICATION, data)).is_ok(),
        backend::row_description(&whole(backend::ROW_DESCRIPTION, data)).is_ok(),
        CopyResponse::parse(&whole(backend::COPY_OUT_RESPONSE, data)).is_ok(),
        backend::command_tag(&whole(backend::COMMAND_COMPLETE, data)).map(|tag| backend::rows_of_tag(&tag)).is_ok(),
    ];
    same.contains(&true) || read.contains(&true)
}

fn error_fields(tag: u8, frame: &Frame, out: &mut BytesMut) -> Result<(), FrameError> {
    let fields = backend::error_fields(frame)?;
    backend::write_error_fields(tag, fields.iter().map(|(letter, value)| (*letter, &value[..])), out);
    Ok(())
}

fn authentication(frame: &Frame) -> Result<(), FrameError> {
    let message = Authentication::parse(frame)?;
    let again = written(|out| message.write(out));
    assert_eq!(Authentication::parse(&only(again)), Ok(message));
    Ok(())
}

/// Rows that are read are written as they came. The bytes are read as frames, and as the body of one.
pub fn rows(data: &[u8]) -> bool {
    let bytes = Bytes::copy_from_slice(data);
    let read = [
        rewritten(DataRows, &bytes, Fidelity::Bytes),
        rewritten(FunctionResult, &bytes, Fidelity::Bytes),
        rewritten(DataRows, whole(backend::DATA_ROW, data).bytes(), Fidelity::Bytes),
        rewritten(FunctionResult, whole(backend::FUNCTION_CALL_RESPONSE, data).bytes(), Fidelity::Bytes),
    ];
    read.contains(&true)
}

/// Rows of a COPY that are read say the same when they are written anew. The bytes are read as frames, and as the body of
/// one.
pub fn copy(data: &[u8]) -> bool {
    copied(&Bytes::copy_from_slice(data)) | copied(whole(backend::COPY_DATA, data).bytes())
}

fn copied(bytes: &Bytes) -> bool {
    let text = CopyText { delimiter: b'|', null: Bytes::from_static(b"nil") };
    let csv = CopyCsv { delimiter: b';', null: Bytes::from_static(b"nil"), quote: b'\'', escape: b'\\' };
    let read = [
        rewritten(CopyText::default(), bytes, Fidelity::Values),
        rewritten(text, bytes, Fidelity::Nothing),
        rewritten(CopyCsv::default(), bytes, Fidelity::Values),
        rewritten(csv, bytes, Fidelity::Values),
        rewritten(CopyBinary, bytes, Fidelity::Bytes),
    ];
    // Any payload is a line, so that it says nothing about the bytes.
    rewritten(CopyLines, bytes, Fidelity::Bytes);
    read.contains(&true)
}

/// A key that is read reads back from its full form.
pub fn dsn(data: &[u8]) -> bool {
    let Some(Ok(dsn)) = std::str::from_utf8(data).ok().map(str::parse::<Dsn>) else { return false };
    let full = dsn.expose();
    let again: Dsn = full.expose().parse().expect("a key that was written");
    assert_eq!(again.expose().expose(), full.expose());
    true
}

/// What must come back when rows are read and written anew.
#[derive(Clone, Copy, PartialEq)]
enum Fidelity {
    /// The very bytes.
    Bytes,
    /// The same cells; the format has several ways to write one.
    Values,
    /// Neither: the NULL text is also a value's text, which the format cannot tell apart.
    Nothing,
}

type Rows = Vec<Vec<Option<Vec<u8>>>>;

fn rewritten(encoding: impl RowEncoding + Clone + 'static, bytes: &Bytes, fidelity: Fidelity) -> bool {
    let Some(mut batch) = readable(encoding.clone(), bytes) else { return false };
    let rows = values(&mut batch);
    let mut out = BytesMut::new();
    for (at, row) in rows.iter().enumerate() {
        let span = batch.cells().expect("cells that were read before").row_range(at).expect("a row");
        let original = &bytes[span];
        if row.is_empty() {
            // Nothing can be edited in a row without cells: it always leaves as it came.
            out.extend_from_slice(original);
        } else {
            let mut cells = row.iter().map(Option::as_deref);
            encoding.encode(original, &mut cells, &mut out).expect("cells that were read");
        }
    }
    let out = out.freeze();
    match fidelity {
        Fidelity::Bytes => assert_eq!(out, bytes),
        Fidelity::Values => {
            let mut again = readable(encoding, &out).expect("rows that were written");
            assert_eq!(values(&mut again), rows);
        }
        Fidelity::Nothing => {}
    }
    true
}

/// The rows in `bytes`, when they are rows of this encoding.
fn readable(encoding: impl RowEncoding + 'static, bytes: &Bytes) -> Option<RowBatch> {
    encoding.index(bytes, &mut CellIndex::default()).ok()?;
    let rows = cut_count(bytes);
    let mut batch = RowBatch::new(StatementId(1), Arc::new([]), Arc::new(encoding), bytes.clone(), rows);
    batch.cells().expect("one row to a frame");
    Some(batch)
}

fn cut_count(bytes: &Bytes) -> usize {
    let mut frames = Frames::new(bytes.clone());
    std::iter::from_fn(|| frames.next(usize::MAX).ok().flatten()).count()
}

fn values(batch: &mut RowBatch) -> Rows {
    let cells = batch.cells().expect("cells that were read before");
    (0..cells.rows()).map(|row| cells.row(row).map(|cell| cell.map(<[u8]>::to_vec)).collect()).collect()
}

fn as_it_came(tag: u8, body: &[u8], rewrite: impl Fn(&Frame, &mut BytesMut) -> Result<(), FrameError>) -> bool {
    let frame = whole(tag, body);
    let mut out = BytesMut::new();
    let read = rewrite(&frame, &mut out).is_ok();
    assert!(!read || out == frame.bytes(), "message of type {:?}: {out:?} is not {frame:?}", char::from(tag));
    read
}

/// The frame of this type and body.
fn whole(tag: u8, body: &[u8]) -> Frame {
    only(written(|out| write_frame(out, tag, |out| out.extend_from_slice(body))))
}

fn only(bytes: Bytes) -> Frame {
    Frames::new(bytes).next(usize::MAX).expect("a frame that was written").expect("a whole frame")
}

fn written(write: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    write(&mut out);
    out.freeze()
}

/// Any split of what is written to a terminal draws the same; what goes on is UTF-8, and nothing in it is taken out by the
/// filter a second time; a screen stays small. The first two bytes give the size of the screen, the third the split.
pub fn terminal(data: &[u8]) -> bool {
    let Some((&[columns, rows, longest], written)) = data.split_first_chunk::<3>() else { return false };
    let longest = usize::from(longest).max(1);
    let (whole, pieces) = (filtered(written, written.len().max(1)), filtered(written, longest));
    assert_eq!(whole.escape_ascii().to_string(), pieces.escape_ascii().to_string());
    assert!(std::str::from_utf8(&whole).is_ok());
    assert_eq!(filtered(&whole, longest), whole);
    let (columns, rows) = (u32::from(columns) * 3, u32::from(rows));
    let (whole, pieces) = (shown(written, written.len().max(1), columns, rows), shown(written, longest, columns, rows));
    assert_eq!(whole, pieces);
    !written.is_empty()
}

fn filtered(written: &[u8], longest: usize) -> Vec<u8> {
    let (mut filter, mut out) = (Filter::new(), Vec::new());
    written.chunks(longest).for_each(|piece| filter.push(piece, &mut out));
    out
}

/// The lines as they were when the cursor left them, and where it was.
fn shown(written: &[u8], longest: usize, columns: u32, rows: u32) -> Vec<(Place, String)> {
    let (mut screen, mut lines) = (Screen::new(columns, rows), Vec::new());
    for piece in written.chunks(longest) {
        screen.write(piece, |screen| lines.push((screen.cursor(), screen.line())));
        assert!(screen.size() <= 20 << 10, "{} bytes", screen.size());
    }
    lines.push((screen.cursor(), screen.line()));
    screen.resize(rows, columns);
    screen.write(b"\x1b[H0123456789\x1b[9999;9999Hx\r\n", |screen| lines.push((screen.cursor(), screen.line())));
    assert!(screen.size() <= 20 << 10);
    lines
}
