//! The client's direction: frontend messages become requests.

use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use hoop_core::{
    Denial, Flow, FunctionCall, Interest, Phase, Request, RowBatch, RowEncoding, Statement, StatementId, TextSettings,
};
use hoop_proto::postgres::copy::CopyLines;
use hoop_proto::postgres::frontend::{self, Bind, Execute, Named, Parse, Query};
use hoop_proto::postgres::{Frame, FrameError, Header, write_frame};

use super::names::Undo;
use super::pending::{Described, Expected, Probe};
use super::{HeldRequest, PostgresRelay, client_error, copy, error};
use crate::proxy::Stop;

/// A text that no server can parse, in place of one that is refused.
const IMPOSSIBLE: &[u8] = b"refused by the gateway";
/// The statement that is not prepared then; a name of its own leaves the client's unnamed one alone.
const IMPOSSIBLE_NAME: &[u8] = b"hoop refused";

/// The statement by which a COPY's columns are asked for; it is closed at once.
const PROBE: &[u8] = b"hoop copy";

/// What the chain is asked about, and what was received for it.
pub(super) enum Asking {
    Query { id: StatementId, text: Bytes, frame: Frame },
    Parse { id: StatementId, parse: Parse, frame: Frame },
    Execute { id: StatementId, text: Bytes, portal: Bytes, frame: Frame },
    Function { id: StatementId, frame: Frame },
    CopyIn { bytes: Bytes },
}

impl Asking {
    fn received(&self) -> Bytes {
        match self {
            Self::Query { frame, .. }
            | Self::Parse { frame, .. }
            | Self::Execute { frame, .. }
            | Self::Function { frame, .. } => frame.bytes().clone(),
            Self::CopyIn { bytes } => bytes.clone(),
        }
    }
}

/// How many bytes at the front are whole frames.
pub(super) fn whole_frames(inbox: &[u8], limit: usize) -> Result<usize, Stop> {
    let mut end = 0;
    while let Some(rest) = inbox.get(end..) {
        match Header::peek(rest).map_err(client_error)? {
            Some(Header { tag, len }) if len > limit => {
                return Err(client_error(FrameError::TooLong { tag, length: len, limit }).into());
            }
            Some(header) if header.len <= rest.len() => end += header.len,
            _ => break,
        }
    }
    Ok(end)
}

impl PostgresRelay {
    /// Reads what is there of the client, until the end or until the chain holds.
    pub(super) fn read_client(&mut self) -> Result<(), Stop> {
        while self.client.held.is_none() {
            let Some(header) = self.client.cut.peek().map_err(client_error)? else { break };
            self.client_frame(header)?;
        }
        self.client.cut.flush(&mut self.to_target);
        Ok(())
    }

    fn client_frame(&mut self, header: Header) -> Result<(), Stop> {
        if header.tag == frontend::TERMINATE {
            self.client.cut.remove(header.len, &mut self.to_target);
            return Err(Stop::Completed);
        }
        if header.tag != frontend::DESCRIBE && header.tag != frontend::FLUSH && header.tag != frontend::EXECUTE {
            self.client.described = None;
        }
        if header.tag == frontend::COPY_DATA {
            return self.copy_data();
        }
        if self.pending.is_skipping() && header.tag != frontend::SYNC {
            // The server ignores it, and so does everyone.
            self.client.cut.keep(header.len);
            return Ok(());
        }
        let Some(frame) = self.client.cut.frame().map_err(client_error)? else { return Ok(()) };
        match header.tag {
            frontend::QUERY => self.query(frame),
            frontend::PARSE => self.parse(frame),
            frontend::BIND => self.bind(&frame),
            frontend::DESCRIBE => self.describe(&frame),
            frontend::EXECUTE => self.execute(frame),
            frontend::CLOSE => self.close(&frame),
            frontend::FUNCTION_CALL => self.function(frame),
            frontend::SYNC => {
                // Within the rows of a COPY the server does not answer it.
                if self.client.copy_in.is_none() {
                    self.pending.push(Expected::Sync);
                }
                self.keep(&frame)
            }
            frontend::COPY_DONE | frontend::COPY_FAIL => self.copy_end(&frame),
            _ => self.keep(&frame),
        }
    }

    fn keep(&mut self, frame: &Frame) -> Result<(), Stop> {
        self.client.cut.keep(frame.bytes().len());
        Ok(())
    }

    fn query(&mut self, frame: Frame) -> Result<(), Stop> {
        let text = Query::parse(&frame).map_err(client_error)?.text;
        let id = self.next_id();
        let statement = self.statement(id, Phase::Query, text.clone(), None);
        self.ask(statement, Asking::Query { id, text, frame })
    }

    fn parse(&mut self, frame: Frame) -> Result<(), Stop> {
        let parse = Parse::parse(&frame).map_err(client_error)?;
        let id = self.next_id();
        let statement = self.statement(id, Phase::Prepare, parse.text.clone(), None);
        self.ask(statement, Asking::Parse { id, parse, frame })
    }

    fn bind(&mut self, frame: &Frame) -> Result<(), Stop> {
        let Bind { portal, statement, parameters, .. } = Bind::parse(frame).map_err(client_error)?;
        // A parameter is read by functions of its type, and a domain has what it checks.
        self.client.unsettled |= !parameters.values.is_empty();
        let undo = self.names.bind(&portal, &statement, parameters)?;
        self.pending.push(Expected::Bind { undo });
        self.keep(frame)
    }

    fn describe(&mut self, frame: &Frame) -> Result<(), Stop> {
        let named = Named::parse(frame).map_err(client_error)?;
        let columns = match named {
            Named::Portal(portal) if self.wants(Interest::COLUMNS) => {
                let described = Described::default();
                self.client.described = Some((portal, Arc::clone(&described)));
                Some(described)
            }
            _ => None,
        };
        self.pending.push(Expected::Describe { columns, is_ours: false });
        self.keep(frame)
    }

    fn execute(&mut self, frame: Frame) -> Result<(), Stop> {
        let Execute { portal, .. } = Execute::parse(&frame).map_err(client_error)?;
        let id = self.next_id();
        let (text, parameters) = self.names.execute(&portal);
        let statement = self.statement(id, Phase::Execute, text.clone(), parameters);
        self.ask(statement, Asking::Execute { id, text, portal, frame })
    }

    fn close(&mut self, frame: &Frame) -> Result<(), Stop> {
        let undo = match Named::parse(frame).map_err(client_error)? {
            Named::Statement(name) => self.names.close_statement(&name),
            Named::Portal(name) => self.names.close_portal(&name),
        };
        self.pending.push(Expected::Close { undo });
        self.keep(frame)
    }

    fn function(&mut self, frame: Frame) -> Result<(), Stop> {
        let call = frontend::FunctionCall::parse(&frame).map_err(client_error)?;
        let id = self.next_id();
        let request = Request::Function(FunctionCall { id, function: call.function, arguments: call.arguments });
        self.ask(request, Asking::Function { id, frame })
    }

    fn copy_data(&mut self) -> Result<(), Stop> {
        let (rows, len) = self.client.cut.run(frontend::COPY_DATA, super::target::BATCH).map_err(client_error)?;
        if self.client.drops_rows {
            self.client.cut.remove(len, &mut self.to_target);
            return Ok(());
        }
        let statement = self.client.copy_in.or_else(|| self.pending.last_statement());
        let Some(statement) = statement.filter(|_| self.wants(Interest::COPY_IN) && !self.target.copies_both) else {
            self.client.cut.keep(len);
            return Ok(());
        };
        let bytes = self.client.cut.slice(len);
        // The client cuts its rows as it likes: a CopyData need not be one.
        let encoding: Arc<dyn RowEncoding> = Arc::new(CopyLines);
        let batch = RowBatch::new(statement, Arc::from([]), encoding, bytes.clone(), rows);
        self.ask(Request::CopyIn(batch), Asking::CopyIn { bytes })
    }

    fn copy_end(&mut self, frame: &Frame) -> Result<(), Stop> {
        if std::mem::take(&mut self.client.drops_rows) {
            // The refusal has ended the rows already.
            self.client.cut.remove(frame.bytes().len(), &mut self.to_target);
            self.client.copy_in = None;
            return Ok(());
        }
        if self.client.copy_in.take().is_none() && !self.target.copies_both {
            self.pending.push(Expected::CopyEnd);
        }
        self.keep(frame)
    }

    fn statement(
        &self,
        id: StatementId,
        phase: Phase,
        text: Bytes,
        parameters: Option<hoop_core::Parameters>,
    ) -> Request {
        let settings = TextSettings { settled: !self.client.unsettled, ..self.settings };
        Request::Statement(Statement { id, phase, text, settings, parameters })
    }

    /// Runs a request through the chain.
    fn ask(&mut self, request: Request, asking: Asking) -> Result<(), Stop> {
        let kind = if matches!(request, Request::CopyIn(_)) { Interest::COPY_IN } else { Interest::STATEMENTS };
        if !self.wants(kind) {
            let len = asking.received().len();
            self.before(&asking);
            self.expect(asking, None)?;
            self.client.cut.keep(len);
            return Ok(());
        }
        match self.chain.request(request) {
            // As it came: it stays where it is, between its neighbours.
            Flow::Pass(request) if is_unchanged(&request, &asking) => {
                let len = asking.received().len();
                self.before(&asking);
                self.expect(asking, None)?;
                self.client.cut.keep(len);
                Ok(())
            }
            flow => {
                let len = asking.received().len();
                self.client.cut.remove(len, &mut self.to_target);
                self.asked(flow, asking)
            }
        }
    }

    /// Goes on with a request that has left the client's bytes.
    pub(super) fn asked(&mut self, flow: Flow<Request>, asking: Asking) -> Result<(), Stop> {
        match flow {
            Flow::Pass(request) => {
                self.before(&asking);
                let bytes = changed(&request, &asking)?;
                self.expect(asking, None)?;
                for piece in bytes {
                    self.to_target.push(piece);
                }
                Ok(())
            }
            Flow::Held(held) => {
                if let Some(text) = &held.notice
                    && self.target.passing.is_none()
                {
                    self.to_client.push(error::notice(text, None));
                }
                let is_told = held.notice.is_some();
                self.client.held = Some(HeldRequest { held, asking, is_told });
                Ok(())
            }
            Flow::Denied(denial) => self.denied(asking, denial),
        }
    }

    /// What the server must be asked before: what the portal gives, when the client has not just asked that.
    fn before(&mut self, asking: &Asking) {
        if self.wants(Interest::ORIGINS) {
            self.probe(asking);
        }
        let Asking::Execute { portal, .. } = asking else { return };
        if !self.wants(Interest::COLUMNS) {
            return;
        }
        if self.client.described.as_ref().is_some_and(|(described, _)| described == portal) {
            return;
        }
        let described = Described::new(OnceLock::new());
        self.pending.push(Expected::Describe { columns: Some(Arc::clone(&described)), is_ours: true });
        self.client.described = Some((portal.clone(), described));
        let mut describe = BytesMut::with_capacity(portal.len() + 7);
        Named::Portal(portal.clone()).write_describe(&mut describe);
        self.client.cut.flush(&mut self.to_target);
        self.to_target.push(describe.freeze());
    }

    /// Asks the server what a COPY will give, as a statement that is described and not run. Where that might be read otherwise
    /// than the COPY itself, it is not asked.
    fn probe(&mut self, asking: &Asking) {
        if self.client.unsettled {
            return;
        }
        let (text, has_sync) = match asking {
            Asking::Query { text, .. } if self.pending.is_at_boundary() => (text, true),
            Asking::Execute { text, .. } => (text, false),
            _ => return,
        };
        let Some(select) = copy::select(text, self.settings) else { return };
        let mut out = BytesMut::new();
        let named = Named::Statement(Bytes::from_static(PROBE));
        Parse::write(PROBE, &select, &mut out);
        named.write_describe(&mut out);
        named.write_close(&mut out);
        if has_sync {
            frontend::write_bare(frontend::SYNC, &mut out);
        }
        let probe = Probe::default();
        self.client.probe = Some(probe.clone());
        self.pending.push(Expected::Probe { probe, has_sync });
        self.client.cut.flush(&mut self.to_target);
        self.to_target.push(out.freeze());
    }

    /// Expects the server's answer.
    fn expect(&mut self, asking: Asking, denied: Option<Denial>) -> Result<(), Stop> {
        self.client.unsettled |=
            matches!(asking, Asking::Query { .. } | Asking::Execute { .. } | Asking::Function { .. });
        if let (Asking::Query { text, .. } | Asking::Execute { text, .. }, None) = (&asking, &denied) {
            self.names.run(text);
        }
        let expected = match asking {
            Asking::Query { id, text, .. } => {
                Expected::Query { id, text, denied, results: 0, probe: self.client.probe.take() }
            }
            Asking::Parse { id, parse, .. } => {
                let undo =
                    if denied.is_some() { Undo::Nothing } else { self.names.prepare(&parse.name, &parse.text)? };
                Expected::Parse { id, denied, undo }
            }
            Asking::Execute { id, text, portal, .. } => {
                let columns = self.client.described.take().map(|(_, columns)| columns);
                Expected::Execute { id, text, portal, columns, begun: false, denied, probe: self.client.probe.take() }
            }
            Asking::Function { id, .. } => Expected::Function { id, denied },
            Asking::CopyIn { .. } => return Ok(()),
        };
        self.pending.push(expected);
        Ok(())
    }

    /// The request is refused: the server gets something that fails in its place.
    pub(super) fn denied(&mut self, asking: Asking, denial: Denial) -> Result<(), Stop> {
        if super::target::ends_session(&denial) {
            return Err(denial.into());
        }
        let mut out = BytesMut::new();
        match &asking {
            // Ends the implicit transaction and is answered with ReadyForQuery, as they are.
            Asking::Query { .. } | Asking::Function { .. } => frontend::FunctionCall::write_impossible(&mut out),
            Asking::Parse { parse, .. } => Parse::write(&parse.name, IMPOSSIBLE, &mut out),
            Asking::Execute { portal, .. } => {
                // It has not begun, and a savepoint may keep it: what is run by its name later is nothing that was judged.
                let _ = self.names.close_portal(portal);
                Parse::write(IMPOSSIBLE_NAME, IMPOSSIBLE, &mut out);
            }
            Asking::CopyIn { .. } => {
                write_frame(&mut out, frontend::COPY_FAIL, |out| out.extend_from_slice(b"refused by the gateway\0"));
                self.client.drops_rows = true;
                if let Some(front) = self.pending.front_mut() {
                    front.deny(denial.clone());
                }
            }
        }
        self.expect(asking, Some(denial))?;
        self.to_target.push(out.freeze());
        Ok(())
    }
}

/// Whether the request is what was received.
fn is_unchanged(request: &Request, asking: &Asking) -> bool {
    let same = |a: &Bytes, b: &Bytes| a.as_ptr() == b.as_ptr() && a.len() == b.len();
    match (request, asking) {
        (Request::Statement(statement), Asking::Query { text, .. }) => same(&statement.text, text),
        (Request::Statement(statement), Asking::Parse { parse, .. }) => same(&statement.text, &parse.text),
        (Request::CopyIn(batch), Asking::CopyIn { bytes }) => !batch.is_edited() && same(batch.received(), bytes),
        (Request::Statement(_), Asking::Execute { .. }) | (Request::Function(_), Asking::Function { .. }) => true,
        _ => false,
    }
}

/// The messages of a request that may have been changed.
fn changed(request: &Request, asking: &Asking) -> Result<Vec<Bytes>, Stop> {
    if is_unchanged(request, asking) {
        return Ok(vec![asking.received()]);
    }
    let mut out = BytesMut::new();
    match (request, asking) {
        (Request::Statement(statement), Asking::Query { .. }) => Query::write(&statement.text, &mut out),
        (Request::Statement(statement), Asking::Parse { parse, .. }) => write_frame(&mut out, frontend::PARSE, |out| {
            for text in [&parse.name, &statement.text] {
                out.extend_from_slice(text);
                out.extend_from_slice(&[0]);
            }
            out.extend_from_slice(&parse.types);
        }),
        (Request::CopyIn(batch), _) => {
            let mut pieces = Vec::new();
            batch.encode(|piece| pieces.push(piece)).map_err(|error| Denial::failed("gateway", error))?;
            return Ok(pieces);
        }
        _ => return Ok(vec![asking.received()]),
    }
    Ok(vec![out.freeze()])
}
