//! PostgreSQL: what flows in a session, as requests and responses ([Message Flow]).
//!
//! [`client`] reads what the client sends, [`target`] what the server answers; [`pending`] ties the two together.
//!
//! **Refused statements.** The client must never believe that something ran, or did not, wrongly. So the gateway does not
//! answer in the server's place: it sends the server a message that fails there, with the same effect on the transaction
//! and on the pipeline up to Sync as any failing statement, and puts the refusal in the place of the server's error.
//!
//! **Columns of a result** come from the server's own description of the very portal that is run. A client that does not
//! ask for it is spared the answer, not the question: names of prepared statements and cursors can be given another
//! meaning in SQL, so nothing that was described earlier says what a portal gives now.
//!
//! [Message Flow]: https://www.postgresql.org/docs/current/protocol-flow.html

mod client;
mod columns;
mod copy;
mod cut;
pub(crate) mod error;
mod in_sql;
mod lineage;
mod names;
mod origin;
mod pending;
mod target;

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use hoop_core::{
    Clock, Code, Column, Completion, CompletionKind, Denial, Flow, Format, Held, Interest, Phase, Request, Response,
    RowEncoding, SessionChain, Statement, StatementId, TextEncoding, TextSettings,
};
use hoop_proto::postgres::FrameError;

use super::{Outbox, Relay, Stop};
use client::Asking;
use columns::Memory;
use cut::Cut;
use names::Names;
pub(crate) use origin::Catalog;
use pending::{Described, Expected, Pending};
use target::{Then, Withheld};

/// Answers that may be outstanding before the client is read no further.
const MOST_PENDING: usize = 64 * 1024;

/// The state of a session.
pub(crate) struct PostgresRelay {
    chain: SessionChain,
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    max_message_bytes: usize,
    settings: TextSettings,
    /// The number of the last statement.
    last: StatementId,
    pending: Pending,
    names: Names,
    client: FromClient,
    target: FromTarget,
    to_target: Outbox,
    to_client: Outbox,
    /// The target is to be asked to cancel.
    cancels: bool,
}

/// What is known of the client's direction.
#[derive(Default)]
struct FromClient {
    cut: Cut,
    held: Option<HeldRequest>,
    /// The portal that the message before described.
    described: Option<(Bytes, Described)>,
    /// What was asked about the COPY that comes next.
    probe: Option<pending::Probe>,
    /// The server takes rows for this statement.
    copy_in: Option<StatementId>,
    /// The rows that still come were refused.
    drops_rows: bool,
    /// Something was sent that may change settings, and the server has not said yet how they are.
    unsettled: bool,
}

struct HeldRequest {
    held: Held<Request>,
    asking: Asking,
    /// Whether the client was told that it waits: for somebody, and not for a disk.
    is_told: bool,
}

/// What is known of the target's direction.
#[derive(Default)]
struct FromTarget {
    /// The gateway's own key, as long as the client has not got it: it has not been greeted.
    key: Option<Bytes>,
    /// What has come and was not looked at.
    next: Bytes,
    cut: Cut,
    /// A message of which not all has come.
    partial: BytesMut,
    /// What is left of a large message that goes on in pieces.
    passing: Option<Passing>,
    held: Option<HeldResponse>,
    memory: Memory,
    /// The result that comes now.
    columns: Option<Arc<[Column]>>,
    /// How the rows of the COPY that runs are written.
    copy_out: Option<Arc<dyn RowEncoding>>,
    /// Whether the role allows replication.
    may_copy_both: bool,
    /// Both ends copy, as in replication: nothing in between is read.
    copies_both: bool,
    /// The server has said that it ends the connection.
    fatal: bool,
    /// The statement's result is not shown.
    withheld: Option<Withheld>,
    /// What portals gave that have more rows, by their names.
    suspended: HashMap<Bytes, Arc<[Column]>>,
}

/// A client that logs in is not told that somebody is asked, and its driver would not wait for that.
fn cannot_wait() -> Denial {
    let reason = "a setting of the login needs a review, and a login does not wait for one";
    Denial::new("gateway", Code::ReviewRequired, reason).hint("connect without it, and set it with SET")
}

/// A large message that goes on in pieces.
struct Passing {
    left: usize,
    /// The statement whose row it is.
    row_of: Option<StatementId>,
    /// Whether it goes nowhere.
    dropped: bool,
}

enum HeldResponse {
    /// By the chain.
    Chain { held: Held<Response>, then: Then },
    /// By the catalog, which is asked for the names of these columns.
    Catalog {
        columns: Arc<[Column]>,
        statement: StatementId,
        /// How the cells are written, where that is not what the columns say.
        format: Option<Format>,
        names: BoxFuture<'static, Result<origin::Names, Denial>>,
    },
}

impl PostgresRelay {
    /// A session that begins. The client is to be [greeted](Self::greet) before anything else.
    pub(crate) fn new(chain: SessionChain, catalog: Catalog, clock: Arc<dyn Clock>, max_message_bytes: usize) -> Self {
        Self {
            chain,
            catalog,
            clock,
            max_message_bytes,
            settings: TextSettings::default(),
            last: StatementId(0),
            pending: Pending::default(),
            names: Names::default(),
            client: FromClient::default(),
            target: FromTarget::default(),
            to_target: Outbox::default(),
            to_client: Outbox::default(),
            cancels: false,
        }
    }

    /// Lets the session replicate, where the server begins to: what is copied then is not read.
    #[must_use]
    pub(crate) const fn allow_replication(mut self, allowed: bool) -> Self {
        self.target.may_copy_both = allowed;
        self
    }

    /// Greets the client: its login has succeeded, which it may have been told already, the target says `greeting`, up to the first ReadyForQuery, and the key
    /// for cancel requests is the gateway's own. What the target says here goes through the chain as all that it says.
    ///
    /// # Errors
    /// [`Stop`] ends the session.
    pub(crate) fn greet(&mut self, succeeded: Option<Bytes>, key: Bytes, greeting: Bytes) -> Result<(), Stop> {
        if let Some(succeeded) = succeeded {
            self.to_client.push(succeeded);
        }
        self.target.key = Some(key);
        self.pending.push(Expected::Sync);
        self.read_target(greeting)
    }

    /// Tells the chain what the client has set at its login, as statements that have run.
    ///
    /// # Errors
    /// [`Stop`] ends the session, in which nothing has run yet.
    pub(crate) async fn set(&mut self, statements: Vec<Bytes>) -> Result<(), Stop> {
        for text in statements {
            if !self.wants(Interest::STATEMENTS) {
                return Ok(());
            }
            let (id, settings) = (self.next_id(), self.settings);
            let statement = Statement { id, phase: Phase::Query, text, settings, parameters: None };
            let mut flow = self.chain.request(Request::Statement(statement));
            while let Flow::Held(held) = flow {
                if held.notice.is_some() {
                    return Err(cannot_wait().into());
                }
                flow = self.chain.resume_request(held.resume, held.until.await);
            }
            let done = Completion { statement: id, kind: CompletionKind::Done, tag: "SET".into(), rows: None };
            match flow {
                Flow::Denied(denial) => return Err(denial.into()),
                _ if self.wants(Interest::COMPLETIONS) => self.tell(Response::Complete(done)).await?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Tells the chain what is for nobody else.
    async fn tell(&mut self, response: Response) -> Result<(), Stop> {
        let mut flow = self.chain.response(response);
        while let Flow::Held(held) = flow {
            flow = self.chain.resume_response(held.resume, held.until.await?);
        }
        if let Flow::Denied(denial) = flow { Err(denial.into()) } else { Ok(()) }
    }

    /// Takes note of a setting that the server reports.
    fn setting(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"client_encoding" => self.settings.encoding = text_encoding(value),
            b"standard_conforming_strings" => self.settings.standard_conforming_strings = value == b"on",
            _ => {}
        }
    }

    /// The chain, to be closed.
    pub(crate) fn into_chain(self) -> SessionChain {
        self.chain
    }

    fn wants(&self, kinds: Interest) -> bool {
        self.chain.wants(kinds)
    }

    const fn next_id(&mut self) -> StatementId {
        self.last.0 += 1;
        self.last
    }
}

/// What must be known of an encoding, by PostgreSQL's name for it.
fn text_encoding(name: &[u8]) -> TextEncoding {
    match name {
        b"UTF8" => TextEncoding::Utf8,
        b"SJIS" | b"SHIFT_JIS_2004" | b"BIG5" | b"GBK" | b"GB18030" | b"UHC" | b"JOHAB" => TextEncoding::Other,
        _ => TextEncoding::AsciiSuperset,
    }
}

impl Relay for PostgresRelay {
    fn on_client(&mut self, inbox: &mut BytesMut) -> Result<(), Stop> {
        if self.client.cut.is_read() {
            let whole = client::whole_frames(inbox, self.max_message_bytes)?;
            self.client.cut = Cut::new(inbox.split_to(whole).freeze());
        }
        self.read_client()
    }

    fn on_target(&mut self, bytes: Bytes) -> Result<(), Stop> {
        self.read_target(bytes)
    }

    fn poll_held(&mut self, cx: &mut Context<'_>) -> Result<bool, Stop> {
        let request = self.poll_held_request(cx)?;
        let response = self.poll_held_response(cx)?;
        Ok(request || response)
    }

    fn takes_client(&self) -> bool {
        self.client.held.is_none() && self.target.key.is_none() && self.pending.len() < MOST_PENDING
    }

    fn takes_target(&self) -> bool {
        self.target.held.is_none()
    }

    fn waits_long(&self) -> bool {
        self.client.held.as_ref().is_some_and(|held| held.is_told)
    }

    fn on_cancel(&mut self) -> bool {
        if self.wants(Interest::STATEMENTS) {
            // It is told, and cannot be refused.
            let _ = self.chain.request(Request::Cancel);
        }
        let Some(held) = &mut self.client.held else { return true };
        let denial = Denial::new("client", Code::Cancelled, "canceling statement due to user request");
        held.held.until = Box::pin(std::future::ready(Err(denial)));
        // What is held has not reached the target; what runs there is from before, and ends too.
        !self.pending.is_empty()
    }

    fn cancels(&mut self) -> bool {
        std::mem::take(&mut self.cancels)
    }

    fn to_target(&mut self) -> &mut Outbox {
        &mut self.to_target
    }

    fn to_client(&mut self) -> &mut Outbox {
        &mut self.to_client
    }

    fn last_words(&mut self, why: &Denial) -> Option<Bytes> {
        // Within a row that was sent in part, an error would be taken for the rest of the row.
        let is_within_row = self.target.passing.as_ref().is_some_and(|passing| !passing.dropped);
        if is_within_row || self.target.closed_by_target() {
            return None;
        }
        Some(error::response(error::Severity::Fatal, why))
    }
}

impl PostgresRelay {
    fn poll_held_request(&mut self, cx: &mut Context<'_>) -> Result<bool, Stop> {
        let Some(held) = &mut self.client.held else { return Ok(false) };
        let Poll::Ready(result) = held.held.until.poll_unpin(cx) else { return Ok(false) };
        let Some(HeldRequest { held, asking, .. }) = self.client.held.take() else { return Ok(false) };
        let flow = self.chain.resume_request(held.resume, result);
        self.asked(flow, asking)?;
        Ok(true)
    }

    fn poll_held_response(&mut self, cx: &mut Context<'_>) -> Result<bool, Stop> {
        match &mut self.target.held {
            None => return Ok(false),
            Some(HeldResponse::Chain { held, .. }) => {
                let Poll::Ready(result) = held.until.poll_unpin(cx) else { return Ok(false) };
                let Some(HeldResponse::Chain { held, then }) = self.target.held.take() else { return Ok(false) };
                match result {
                    Ok(response) => {
                        let flow = self.chain.resume_response(held.resume, response);
                        self.answered(flow, then)?;
                    }
                    Err(denial) => self.withhold(denial)?,
                }
            }
            Some(HeldResponse::Catalog { names, .. }) => {
                let Poll::Ready(names) = names.poll_unpin(cx) else { return Ok(false) };
                let Some(HeldResponse::Catalog { columns, statement, format, .. }) = self.target.held.take() else {
                    return Ok(false);
                };
                match names {
                    Ok(names) => {
                        let named = self.target.memory.name(&columns, &names, self.clock.monotonic());
                        self.announce(statement, columns::written(named, format))?;
                    }
                    Err(denial) => self.withhold(denial)?,
                }
            }
        }
        self.read_on()?;
        Ok(true)
    }
}

/// A message that the client should not have sent.
fn client_error(error: FrameError) -> Denial {
    match error {
        FrameError::TooLong { length, limit, .. } => {
            let reason = format!("a message of {length} bytes is longer than the {limit} that the gateway reads");
            Denial::new("gateway", Code::LimitExceeded, reason)
                .hint("send it in parts, or ask an administrator to raise limits.message_bytes")
        }
        other => Denial::new("gateway", Code::ProtocolViolation, other.to_string()),
    }
}

/// A message that no server sends.
fn target_error(error: &FrameError) -> Denial {
    violation(&error.to_string())
}

fn violation(what: &str) -> Denial {
    Denial::new("gateway", Code::TargetLost, format!("the target does not keep to the protocol: {what}"))
        .hint("connect again; if it happens again, tell an administrator")
}
