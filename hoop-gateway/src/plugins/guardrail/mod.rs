//! *guardrail*: refuses statements by what they do, by the tables and functions they touch, and by pattern; commands by the
//! programs that they run ([`CommandRule`]); what is done with files by operation and path ([`FileRule`]); and HTTP requests by
//! method, path, query, fields, JSON body and gRPC method, of which it also limits how many there may be ([`HttpRule`]). A rule on
//! statements, commands or requests may have them wait for somebody's agreement instead ([`Action::Review`]).
//!
//! Of statements it decides on the parsed statement, with the server's own grammar, so neither spelling nor comments get past it, and text
//! in a string does not trip it. What a statement holds within (a DELETE in a CTE, the statement of an EXPLAIN, a PREPARE or a
//! COPY) counts as much as what is outside; every statement of a text is looked at.
//!
//! **What it cannot see.** A DO block, a function's body and dynamic SQL are opaque: they run on the server. Where that
//! matters, refuse the kinds `do` and `create_function`, and rely on the privileges of the login. A statement that the
//! grammar does not take, or that is nested too deeply to be read (about 45 operators or joins in a chain, or 95 UNIONs), is
//! refused unless the role's settings say `"unparsable": "pass"`.

mod commands;
mod facts;
mod files;
mod http;
mod list;
mod prepared;
mod rules;
mod shape;
#[cfg(test)]
mod tests;
mod wild;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use hoop_core::{
    Ask, Clock, Code, Denial, Interest, Outcome, Phase, Plugin, Principal, Request, ResourceRole, Response,
    SessionContext, SessionPlugin, Statement, Subject, SystemClock, TextEncoding, TextSettings, Verdict,
};
use pg_query::ParserOptions;

pub use commands::CommandRule;
use commands::Commands;
use facts::Facts;
use files::Files;
pub(in crate::plugins) use files::may_be;
pub use files::{FileRule, Operation};
pub use http::{Condition, HttpRule, Limit};
use http::{Exchanges, Limits};
pub use list::Action;
use list::{List, Wanted};
use prepared::Prepared;
use rules::Compiled;
pub use rules::{GuardrailRules, Kind, Rule, Unparsable};

const NAME: &str = "guardrail";
/// Texts whose verdict a session remembers, and how long each may be, in bytes: an idle session must stay small.
const REMEMBERED: usize = 4;
const LONGEST_REMEMBERED: usize = 1024;

/// The plugin `guardrail`. A role's settings for it are [`GuardrailRules`]; a role without any has the default ones.
#[derive(Debug, Clone)]
pub struct Guardrail {
    defaults: Arc<GuardrailRules>,
    limits: Limits,
}

impl Default for Guardrail {
    fn default() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Self { defaults: Arc::default(), limits: Limits::new(&clock) }
    }
}

impl Guardrail {
    /// Without rules for roles that have no settings of their own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rules for roles that have no settings of their own.
    #[must_use]
    pub fn defaults(mut self, rules: GuardrailRules) -> Self {
        self.defaults = Arc::new(rules);
        self
    }

    /// Another clock than the machine's, for limits; what was counted before is forgotten.
    #[must_use]
    pub fn clock(mut self, clock: &Arc<dyn Clock>) -> Self {
        self.limits = Limits::new(clock);
        self
    }

    fn rules(&self, role: &ResourceRole) -> Result<GuardrailRules, Denial> {
        Ok(role.settings(NAME)?.unwrap_or_else(|| (*self.defaults).clone()))
    }
}

#[async_trait]
impl Plugin for Guardrail {
    fn name(&self) -> &str {
        NAME
    }

    fn check_role(&self, role: &ResourceRole) -> Result<(), Denial> {
        SessionGuardrail::new(self.rules(role)?).map(drop)
    }

    async fn open(&self, session: &SessionContext) -> Result<Option<Box<dyn SessionPlugin>>, Denial> {
        let mut guardrail = SessionGuardrail::new(self.rules(&session.role)?)?.of(&session.principal);
        guardrail.http.limit(&self.limits, session.role.id, session.principal.user);
        if guardrail.interest() == Interest::NONE { Ok(None) } else { Ok(Some(Box::new(guardrail))) }
    }
}

struct SessionGuardrail {
    rules: Vec<Compiled>,
    commands: List<Commands>,
    files: List<Files>,
    http: Exchanges,
    unparsable: Unparsable,
    max_statement_bytes: usize,
    has_patterns: bool,
    /// Whether a rule on statements asks for reviews.
    asks: bool,
    prepared: Prepared,
    /// Texts that were let through. One that differs from them in its numbers alone does the same to the same tables.
    seen: Vec<(Bytes, TextSettings)>,
    next: usize,
}

impl SessionGuardrail {
    /// # Errors
    /// What is wrong with a rule.
    fn new(rules: GuardrailRules) -> Result<Self, Denial> {
        let GuardrailRules { rules, commands, files, http, unparsable, max_statement_bytes, max_body_bytes } = rules;
        let rules = rules.into_iter().map(Compiled::new).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            has_patterns: rules.iter().any(Compiled::has_pattern),
            asks: asks(&rules),
            prepared: Prepared::default(),
            rules,
            commands: commands::list(commands)?,
            files: files::list(files)?,
            http: Exchanges::new(http::list(http)?, max_body_bytes),
            unparsable,
            max_statement_bytes,
            seen: Vec::new(),
            next: 0,
        })
    }

    /// The rules that hold for a principal.
    fn of(mut self, principal: &Principal) -> Self {
        self.rules.retain(|rule| rule.applies_to(principal));
        let (commands, files, http) = (self.commands.of(principal), self.files.of(principal), self.http.of(principal));
        Self { asks: asks(&self.rules), commands, files, http, ..self }
    }

    /// What is run was judged when it was prepared: now it may have to wait, with its parameters.
    fn judge_run(&self, statement: &Statement) -> Result<Option<Box<Ask>>, Denial> {
        if !self.asks {
            return Ok(None);
        }
        // Parameters come with the first run of a portal; what follows gives more of its rows.
        let wanted = self.prepared.run(&statement.text, statement.parameters.is_some())?;
        Ok(wanted.map(|wanted| wanted.ask(subject(statement))))
    }

    fn judge(&mut self, statement: &Statement) -> Result<Option<Box<Ask>>, Denial> {
        if self.has_seen(statement) {
            return Ok(None);
        }
        let mut judged = Judged::default();
        for settings in readings(&statement.text, statement.settings) {
            match parse(&statement.text, settings, self.max_statement_bytes) {
                Ok(parsed) => judged = judged.and(self.judge_parsed(&parsed)?)?,
                Err(why) if self.unparsable == Unparsable::Deny => return Err(unparsable(&why, statement.settings)),
                Err(_) => {}
            }
        }
        if !self.asks {
            self.remember(statement);
            return Ok(None);
        }
        let Judged { wanted, runs_prepared } = judged;
        self.prepared.check(runs_prepared)?;
        if statement.phase == Phase::Prepare {
            self.prepared.note(&statement.text, wanted.as_ref(), runs_prepared)?;
            return Ok(None);
        }
        if wanted.is_none() && !runs_prepared {
            self.remember(statement);
        }
        Ok(wanted.map(|wanted| wanted.ask(subject(statement))))
    }

    /// Whether a text was let through for which all of this one holds. A pattern may be about numbers.
    fn has_seen(&self, statement: &Statement) -> bool {
        let text = &statement.text;
        let may_differ = text.len() <= LONGEST_REMEMBERED && !self.has_patterns;
        let is_same = |seen: &Bytes| seen == text || (may_differ && shape::is_same(seen, text));
        self.seen.iter().any(|(seen, settings)| *settings == statement.settings && is_same(seen))
    }

    fn judge_parsed(&self, parsed: &pg_query::protobuf::ParseResult) -> Result<Judged, Denial> {
        let mut judged = Judged::default();
        for raw in &parsed.stmts {
            let Some(node) = raw.stmt.as_ref().and_then(|stmt| stmt.node.as_ref()) else { continue };
            let facts = Facts::of(node).map_err(|error| Denial::failed(NAME, error))?;
            judged.runs_prepared |= facts.runs_prepared;
            // The statement is only written out where a pattern is to be compared with it.
            let text = || node.deparse(Default::default()).unwrap_or_default();
            let Some(rule) = self.rules.iter().find(|rule| rule.matches(&facts, text)) else { continue };
            let Some(wanted) = rule.wanted() else { return Err(rule.denial(&facts)) };
            if facts.kinds.contains(&Kind::Prepare) {
                return Err(rule.denial_of_preparing());
            }
            judged.wanted = Wanted::and(judged.wanted, Some(wanted)).map_err(two_groups)?;
        }
        Ok(judged)
    }

    fn remember(&mut self, statement: &Statement) {
        if statement.text.len() > LONGEST_REMEMBERED {
            return;
        }
        let entry = (Bytes::copy_from_slice(&statement.text), statement.settings);
        match self.seen.get_mut(self.next) {
            Some(place) => *place = entry,
            None => self.seen.push(entry),
        }
        self.next = (self.next + 1) % REMEMBERED;
    }

    /// A function that is called by its number has no name here to compare with.
    fn judge_function(&self) -> Result<(), Denial> {
        match self.rules.iter().find(|rule| rule.names_functions()) {
            None => Ok(()),
            Some(rule) => Err(rule.denial_of_number()),
        }
    }
}

#[async_trait]
impl SessionPlugin for SessionGuardrail {
    fn interest(&self) -> Interest {
        let if_any = |is_empty, interest| if is_empty { Interest::NONE } else { interest };
        if_any(self.rules.is_empty(), Interest::STATEMENTS)
            | if_any(self.commands.is_empty(), Interest::COMMANDS)
            | if_any(self.files.is_empty(), Interest::FILES)
            | self.http.interest()
    }

    fn on_request(&mut self, mut request: Request) -> Verdict<Request> {
        let judged = match &mut request {
            Request::Statement(statement) if statement.phase == Phase::Execute => self.judge_run(statement),
            Request::Statement(statement) => self.judge(statement),
            Request::Function(_) => self.judge_function().map(|()| None),
            Request::Command(command) => commands::judge(&self.commands, command, self.unparsable)
                .map(|wanted| wanted.map(|wanted| wanted.ask(Subject::Command(command.clone())))),
            Request::File(operation) => files::judge(&self.files, operation).map(|()| None),
            Request::Http(head) => self.http.judge(head).map(|()| None),
            Request::Body(part) => self.http.judge_body(part),
            Request::Message(message) => self.http.judge_message(message).map(|()| None),
            _ => Ok(None),
        };
        match judged {
            Ok(None) => Verdict::Pass(request),
            Ok(Some(ask)) => Verdict::Review(request, ask),
            Err(denial) => Verdict::Deny(denial),
        }
    }

    fn on_response(&mut self, response: Response) -> Verdict<Response> {
        match &response {
            Response::ChannelClosed(closed) => self.http.forget(closed.channel),
            Response::Http(head) => {
                if let Err(denial) = self.http.judge_answer(head.channel) {
                    return Verdict::Deny(denial);
                }
            }
            _ => {}
        }
        Verdict::Pass(response)
    }

    async fn close(&mut self, _outcome: &Outcome) {}
}

/// The ways in which the server may read a text: with settings that something before it may change, a backslash is an
/// ordinary character or none, and the text must do no harm either way.
fn readings(text: &[u8], settings: TextSettings) -> impl Iterator<Item = TextSettings> {
    let is_open = !settings.settled && text.contains(&b'\\');
    let other = TextSettings { standard_conforming_strings: !settings.standard_conforming_strings, ..settings };
    std::iter::once(settings).chain(is_open.then_some(other))
}

/// Whether a backslash may be a part of the character before it, in encodings that something before may set. Nothing else
/// that means something in SQL can be.
fn has_hidden_backslash(text: &[u8]) -> bool {
    text.windows(2).any(|pair| matches!(pair, [byte, b'\\'] if !byte.is_ascii()))
}

/// What the rules say of a text that none of them refuses.
#[derive(Default)]
struct Judged {
    /// Whose agreement it needs.
    wanted: Option<Wanted>,
    /// Whether it may run something that was prepared before.
    runs_prepared: bool,
}

impl Judged {
    /// What holds when both do.
    fn and(self, other: Self) -> Result<Self, Denial> {
        let wanted = Wanted::and(self.wanted, other.wanted).map_err(two_groups)?;
        Ok(Self { wanted, runs_prepared: self.runs_prepared || other.runs_prepared })
    }
}

fn asks(rules: &[Compiled]) -> bool {
    rules.iter().any(|rule| rule.wanted().is_some())
}

/// What somebody is asked to agree to.
fn subject(statement: &Statement) -> Subject {
    Subject::Statement { text: statement.text.clone(), parameters: statement.parameters.clone() }
}

fn two_groups(reason: String) -> Denial {
    Denial::new(NAME, Code::StatementDenied, reason).hint("run the statements one at a time")
}

/// Reads a text as the server will.
fn parse(text: &[u8], settings: TextSettings, limit: usize) -> Result<pg_query::protobuf::ParseResult, String> {
    if text.len() > limit {
        return Err(format!("it is {} bytes long, more than the {limit} that are read", text.len()));
    }
    if !settings.settled && has_hidden_backslash(text) {
        return Err("what was sent before it may change its encoding, and where its backslashes are".to_owned());
    }
    let text = readable(text, settings.encoding)?;
    let options = if settings.standard_conforming_strings {
        ParserOptions::DEFAULT
    } else {
        ParserOptions::DISABLE_STANDARD_CONFORMING_STRINGS
    };
    match pg_query::parse(&text, options) {
        Ok(parsed) => Ok(parsed.protobuf),
        Err(pg_query::Error::Decode(_)) => Err("it is nested too deeply".to_owned()),
        Err(pg_query::Error::Parse(message)) => Err(message),
        Err(other) => Err(other.to_string()),
    }
}

/// The text with everything that is not ASCII in a form that changes nothing for the grammar.
fn readable(text: &[u8], encoding: TextEncoding) -> Result<String, String> {
    match encoding {
        TextEncoding::Utf8 => std::str::from_utf8(text).map(str::to_owned).map_err(|_| "it is not UTF-8".to_owned()),
        // A letter stands for each byte, as it would for the server: within names and strings. It begins no `x'…'`.
        TextEncoding::AsciiSuperset => {
            Ok(text.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '_' }).collect())
        }
        TextEncoding::Other if text.is_ascii() => Ok(text.iter().map(|byte| char::from(*byte)).collect()),
        TextEncoding::Other => Err("its encoding cannot be read safely; use client_encoding UTF8".to_owned()),
    }
}

fn unparsable(why: &str, settings: TextSettings) -> Denial {
    let reason = format!("the statement could not be read, so no rule could be applied to it: {why}");
    Denial::new(NAME, Code::StatementUnparsable, reason).hint(if settings.settled {
        "correct the statement, or write it in a simpler form"
    } else {
        "correct the statement, or send it once what was sent before it has been answered"
    })
}
