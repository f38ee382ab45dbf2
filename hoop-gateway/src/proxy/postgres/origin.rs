//! From which table columns a result is read: RowDescription has their numbers, and the names are in the target's catalog.
//!
//! They are asked for on a connection of its own to the same database, for within the client's there is no moment at which
//! a statement more would change nothing. Tables of a transaction that has not ended cannot be seen from there: their
//! names stay unknown, and rules decide what that means.
//!
//! RowDescription names a view and not what is beneath it. What that is, the server is asked, too: a view's definition is a
//! statement like any other, which is described and not run. While a client's statement reads a view, nobody can give it
//! another definition; before and afterwards anybody can, so what was found out of views is not remembered.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use hoop_core::{Code, Denial};
use hoop_proto::postgres::frontend::{self, Named, Parse, Query};
use hoop_proto::postgres::{Frame, Frames, backend};
use hoop_proto::tunnel::v1::{Parameter, open};
use tokio::time::timeout;

pub(super) use super::lineage::Names;
use super::lineage::{Relations, about};
use crate::tunnel::{Agents, Channel, OpenTarget, Received};

/// How long a look-up may take before the names stay unknown.
const LIMIT: Duration = Duration::from_secs(5);
/// Longest answer that is read, in bytes.
const MOST: usize = 4 << 20;
/// How many views may lie one beneath the other before it is not known what they show.
const DEEPEST: usize = 16;

/// Asks a target's catalog.
#[derive(Clone)]
pub(crate) struct Catalog {
    agents: Agents,
    target: OpenTarget,
}

impl Catalog {
    /// The catalog of the database that this session is connected to.
    pub(crate) fn new(agents: Agents, mut target: OpenTarget) -> Self {
        // The client's own settings may be anything; these make the answer readable.
        let parameter = |name: &'static [u8], value: &'static [u8]| Parameter {
            name: Bytes::from_static(name),
            value: Bytes::from_static(value),
        };
        if let open::Target::Postgres(postgres) = &mut target.target {
            postgres.parameters =
                vec![parameter(b"client_encoding", b"UTF8"), parameter(b"application_name", b"hoop catalog")];
            postgres.protocol = hoop_proto::postgres::startup::PROTOCOL_3_0;
        }
        Self { agents, target }
    }

    /// The names of every column of these tables, as far as they can be seen.
    ///
    /// # Errors
    /// A refusal where the catalog does not answer: settings of the login, which whoever logs in may change, and other
    /// sessions can see to that, and no rule may be lost by it.
    pub(super) fn look_up(&self, tables: Vec<u32>) -> BoxFuture<'static, Result<Names, Denial>> {
        let catalog = self.clone();
        Box::pin(async move {
            let answer = timeout(LIMIT, catalog.ask(&tables)).await;
            answer.unwrap_or_else(|_| Err(unreadable("does not answer"))).map_err(|denial| {
                tracing::warn!(session = %catalog.target.session, %denial, "names of table columns could not be looked up");
                let reason = "which tables the result is read from could not be looked up, so no rule for columns could be applied";
                Denial::new("gateway", Code::MaskingFailed, reason).caused_by(denial).hint(
                    "try again; if it happens again, tell an administrator: the login must be able to connect once more, \
                     and nothing may stop what it asks of the catalog",
                )
            })
        })
    }

    async fn ask(&self, tables: &[u32]) -> Result<Names, Denial> {
        let (mut channel, _) = self.agents.open(self.target.clone()).await.map_err(|failure| failure.denial)?;
        let (mut relations, mut next) = (Relations::default(), tables.to_vec());
        for _ in 0..DEEPEST {
            let mut question = BytesMut::new();
            Query::write(about(&next).as_bytes(), &mut question);
            let answers = answers(&mut channel, question, 1).await?;
            answers
                .first()
                .and_then(|answer| relations.add(&next, answer))
                .ok_or_else(|| unreadable("gave no readable answer"))?;
            describe(&mut channel, &mut relations).await?;
            next = relations.missing();
            if next.is_empty() {
                break;
            }
        }
        Ok(relations.names(tables))
    }
}

/// Has the definitions of views described, each on its own: one that fails stays unknown.
async fn describe(channel: &mut Channel, relations: &mut Relations) -> Result<(), Denial> {
    let views = relations.undescribed();
    let mut questions = BytesMut::new();
    for (_, definition) in &views {
        Parse::write(b"", definition, &mut questions);
        Named::Statement(Bytes::new()).write_describe(&mut questions);
        frontend::write_bare(frontend::SYNC, &mut questions);
    }
    let answers = answers(channel, questions, views.len()).await?;
    for ((view, _), answer) in views.iter().zip(answers) {
        relations.describe(*view, &answer);
    }
    Ok(())
}

/// Asks, and reads so many answers, each up to its ReadyForQuery.
async fn answers(channel: &mut Channel, questions: BytesMut, count: usize) -> Result<Vec<Vec<Frame>>, Denial> {
    let mut answers = Vec::new();
    if count == 0 {
        return Ok(answers);
    }
    std::future::poll_fn(|cx| channel.poll_send_ready(cx)).await?;
    channel.send(questions.freeze())?;
    let (mut received, mut answer, mut total) = (BytesMut::new(), Vec::new(), 0);
    loop {
        let Received::Data(bytes) = std::future::poll_fn(|cx| channel.poll_receive(cx)).await? else {
            return Err(unreadable("gave no readable answer"));
        };
        total += bytes.len();
        if total > MOST {
            return Err(unreadable("gave no readable answer"));
        }
        received.extend_from_slice(&bytes);
        let mut frames = Frames::new(received.split().freeze());
        while let Some(frame) = frames.next(MOST).map_err(|_| unreadable("gave no readable answer"))? {
            if frame.tag() != backend::READY_FOR_QUERY {
                answer.push(frame);
                continue;
            }
            answers.push(std::mem::take(&mut answer));
            if answers.len() == count {
                return Ok(answers);
            }
        }
        received.extend_from_slice(frames.rest());
    }
}

fn unreadable(what: &str) -> Denial {
    Denial::new("catalog", Code::TargetUnavailable, format!("the target's catalog {what}"))
}
