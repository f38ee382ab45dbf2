//! The words and the rules of a Hoop gateway: who asks ([`Principal`]), for what ([`ResourceRole`]), in which
//! [`session`](SessionContext), and the ordered chain of [`Plugin`]s that sees, changes, holds or refuses every request
//! and every response of it.
//!
//! The crate does no I/O, starts no task and depends on no runtime, database or network crate. Whatever a vendor may
//! replace is a trait here: [`Policy`], [`Plugin`] with its [`SessionPlugin`], [`Detector`], [`Clock`].
//!
//! A plugin is one value for all sessions; what it keeps per session is a [`SessionPlugin`], made when a session opens.
//! This one lets a session see a thousand rows and no more:
//!
//! ```
//! use async_trait::async_trait;
//! use hoop_core::{
//!     Code, Denial, Interest, Outcome, Plugin, Response, SessionContext, SessionPlugin, Verdict,
//! };
//!
//! struct RowBudget {
//!     rows: u64,
//! }
//!
//! #[async_trait]
//! impl Plugin for RowBudget {
//!     fn name(&self) -> &str {
//!         "row-budget"
//!     }
//!
//!     async fn open(&self, session: &SessionContext) -> Result<Option<Box<dyn SessionPlugin>>, Denial> {
//!         if session.principal.is_in("auditors") {
//!             return Ok(None); // not interested: this session costs nothing from here on
//!         }
//!         Ok(Some(Box::new(Budget { left: self.rows })))
//!     }
//! }
//!
//! struct Budget {
//!     left: u64,
//! }
//!
//! #[async_trait]
//! impl SessionPlugin for Budget {
//!     fn interest(&self) -> Interest {
//!         Interest::ROWS
//!     }
//!
//!     fn on_response(&mut self, response: Response) -> Verdict<Response> {
//!         if let Response::Rows(batch) = &response {
//!             match self.left.checked_sub(batch.rows() as u64) {
//!                 Some(left) => self.left = left,
//!                 None => {
//!                     let denial = Denial::new("row-budget", Code::LimitExceeded, "this session has read its rows");
//!                     return Verdict::Deny(denial.hint("open a new session, or narrow the query"));
//!                 }
//!             }
//!         }
//!         Verdict::Pass(response)
//!     }
//!
//!     async fn close(&mut self, _outcome: &Outcome) {}
//! }
//! # let _: Box<dyn Plugin> = Box::new(RowBudget { rows: 1000 });
//! ```

#![forbid(unsafe_code)]

pub mod access;
pub mod chain;
pub mod channel;
pub mod clock;
pub mod detect;
pub mod error;
pub mod http;
pub mod id;
pub mod interest;
pub mod outcome;
pub mod plugin;
pub mod policy;
pub mod principal;
pub mod request;
pub mod response;
pub mod review;
pub mod role;
pub mod secret;
pub mod session;
pub mod verdict;

pub use access::{AccessMode, AccessRequest};
pub use chain::{Flow, Held, PluginChain, SessionChain};
pub use channel::{
    ChannelClosed, ChannelEnd, ChannelId, Command, CommandKind, FileBytes, FileDone, FileKind, FileOperation, Forward,
    ForwardKind, Input, Output, OutputStream, Signal, Terminal, WindowChange, WindowSize,
};
pub use clock::{Clock, SystemClock};
pub use detect::{Detector, Hit, Label};
pub use error::{Code, Denial, Fault};
pub use http::{BodyPart, BodyUse, ExchangeKind, HttpRequest, HttpResponse, Message, MessageKind};
pub use interest::Interest;
pub use outcome::Outcome;
pub use plugin::{Plugin, SessionPlugin};
pub use policy::{Decision, Obligations, Policy, PolicyError};
pub use principal::{Principal, PrincipalKind};
pub use request::{FunctionCall, Parameters, Phase, Request, Statement, StatementId, TextEncoding, TextSettings};
pub use response::rows::{CellIndex, RowBatch, RowEncoding, RowError};
pub use response::{
    Column, Completion, CompletionKind, Format, Notification, Response, ResultColumns, RowPart, Setting, TableColumn,
    TargetError,
};
pub use review::{Agreed, Ask, Asked, Decided, ReviewStep, Reviewer, Step, Subject};
pub use role::{
    HttpAllow, HttpLogin, HttpTarget, PostgresTarget, RecordingMode, ResourceKind, ResourceRole, SshAllow, SshTarget,
    Target,
};
pub use secret::Secret;
pub use session::{SessionContext, SessionState};
pub use verdict::{Hold, Verdict};
