//! Masking in the chain.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use hoop_core::{
    ChannelEnd, ChannelId, Code, Denial, Detector, Interest, Outcome, Plugin, Request, ResourceRole, Response,
    RowBatch, RowError, Secret, SessionContext, SessionPlugin, Verdict,
};

use super::action::MaskingKey;
use super::batch::Scratch;
use super::counts::{MaskCounts, SessionCounts};
use super::detect::Detectors;
use super::http::{Exchanges, Fields};
use super::mask::Masker;
use super::plan::Plan;
use super::reads::Remembered;
use super::redact::Redactor;
use super::rules::{ColumnRule, MaskingRules};
use super::stream::Streams;
use super::{NAME, fields};

/// Whether a backslash in `'…'` is an ordinary character.
const STRINGS: &str = "standard_conforming_strings";

/// The plugin `masking`. A role's settings for it are [`MaskingRules`]; a role without any has the default ones.
#[derive(Clone)]
pub struct Masking {
    secret: Arc<Secret<Vec<u8>>>,
    defaults: Arc<MaskingRules>,
    custom: Vec<Arc<dyn Detector>>,
    counts: SessionCounts,
}

impl Masking {
    /// Masking with hashes and tokens that depend on this secret, which should have at least 32 random bytes and stay the
    /// same for as long as tokens are compared. Each organisation gets a key of its own from it.
    pub fn new(secret: impl Into<Vec<u8>>) -> Self {
        Self {
            secret: Arc::new(Secret::new(secret.into())),
            defaults: Arc::default(),
            custom: Vec::new(),
            counts: SessionCounts::default(),
        }
    }

    /// Rules for roles that have no settings of their own.
    #[must_use]
    pub fn defaults(mut self, rules: MaskingRules) -> Self {
        self.defaults = Arc::new(rules);
        self
    }

    /// Adds a detector of one's own. It sees every value that is searched, so it decides how fast results are.
    #[must_use]
    pub fn detector(mut self, detector: Arc<dyn Detector>) -> Self {
        self.custom.push(detector);
        self
    }

    /// What is masked in the sessions that run.
    pub fn counts(&self) -> SessionCounts {
        self.counts.clone()
    }

    /// What makes a session's inputs fit to be recorded. It holds for everyone, whichever groups see more: recordings are
    /// read by others. It counts nothing.
    ///
    /// # Errors
    /// A [`Denial`] when the role's settings cannot be read.
    pub fn redactor(&self, session: &SessionContext) -> Result<Redactor, Denial> {
        let rules = self.rules(session)?;
        Ok(Redactor::new(Arc::new(self.masker(&rules, session, MaskCounts::default()))))
    }

    fn rules(&self, session: &SessionContext) -> Result<MaskingRules, Denial> {
        Ok(session.role.settings(NAME)?.unwrap_or_else(|| (*self.defaults).clone()))
    }

    fn masker(&self, rules: &MaskingRules, session: &SessionContext, counts: MaskCounts) -> Masker {
        Masker {
            detectors: Detectors::new(rules.detectors.keys().copied(), self.custom.iter().cloned()),
            actions: rules.detectors.iter().map(|(builtin, action)| (*builtin, *action)).collect(),
            key: MaskingKey::derive(self.secret.expose(), &session.org.to_string()),
            max_value_bytes: rules.max_value_bytes,
            counts,
        }
    }
}

impl std::fmt::Debug for Masking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let custom: Vec<_> = self.custom.iter().map(|detector| detector.name()).collect();
        f.debug_struct("Masking").field("defaults", &self.defaults).field("custom", &custom).finish_non_exhaustive()
    }
}

#[async_trait]
impl Plugin for Masking {
    fn name(&self) -> &str {
        NAME
    }

    async fn open(&self, session: &SessionContext) -> Result<Option<Box<dyn SessionPlugin>>, Denial> {
        let mut rules = self.rules(session)?;
        let excepted = rules.except_groups.iter().any(|group| session.principal.is_in(group));
        let columns: Vec<_> = rules.columns.drain(..).filter(|rule| rule.applies_to(&session.principal)).collect();
        let searches = !rules.detectors.is_empty() || !self.custom.is_empty();
        let http = Fields::new(&rules, Some(&session.principal)).map_err(misread)?;
        if excepted || columns.is_empty() && http.is_empty() && !searches {
            return Ok(None);
        }
        let masker = self.masker(&rules, session, self.counts.open(session.id));
        let counts = Counted { counts: self.counts.clone(), session: session.id };
        let (scratch, streams) = (Scratch::default(), Streams::default());
        let exchanges = Exchanges::new(http);
        let remembered = Remembered::default();
        Ok(Some(Box::new(SessionMasking {
            masker,
            columns,
            plan: None,
            remembered,
            scratch,
            streams,
            exchanges,
            counts,
        })))
    }

    fn check_role(&self, role: &ResourceRole) -> Result<(), Denial> {
        let Some(rules) = role.settings::<MaskingRules>(NAME)? else { return Ok(()) };
        Fields::new(&rules, None).map(|_| ()).map_err(misread)
    }
}

/// Settings with rules that say nothing.
fn misread(wrong: String) -> Denial {
    Denial::new(NAME, Code::InvalidRequest, format!("the settings of masking cannot be used: {wrong}"))
}

/// Forgets the counts of a session with it, also when it is dropped without being closed.
struct Counted {
    counts: SessionCounts,
    session: hoop_core::id::SessionId,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.counts.close(self.session);
    }
}

struct SessionMasking {
    masker: Masker,
    /// The rules that apply to the principal.
    columns: Vec<ColumnRule>,
    /// The plan of the result that began last.
    plan: Option<Plan>,
    remembered: Remembered,
    scratch: Scratch,
    /// What programs write.
    streams: Streams,
    /// What is said over HTTP.
    exchanges: Exchanges,
    counts: Counted,
}

impl SessionMasking {
    /// Plans a result of this text, unless it is the one before again: a statement that is run once more.
    fn plan(&mut self, columns: &Arc<[hoop_core::Column]>, text: &Bytes) -> Result<(), Denial> {
        if !self.plan.as_ref().is_some_and(|plan| plan.is_of(columns, text)) {
            self.plan = None;
            let searches = !self.masker.detectors.is_empty();
            self.plan = Some(Plan::new(columns, text, &mut self.remembered, &self.columns, searches)?);
        }
        Ok(())
    }

    fn rows(&mut self, batch: &mut RowBatch) -> Result<(), Denial> {
        match &self.plan {
            Some(plan) if !Arc::ptr_eq(&plan.columns, batch.columns()) => Err(undescribed()),
            None => Err(undescribed()),
            Some(plan) if plan.is_active() => self.scratch.mask(batch, plan, &self.masker).map_err(failed),
            Some(_) => Ok(()),
        }
    }
}

fn undescribed() -> Denial {
    Denial::new(NAME, Code::MaskingFailed, "rows came that were not described, so they are not shown")
}

fn failed(error: RowError) -> Denial {
    Denial::new(NAME, Code::MaskingFailed, "the result could not be searched, so it is not shown").caused_by(error)
}

#[async_trait]
impl SessionPlugin for SessionMasking {
    fn interest(&self) -> Interest {
        let mut always = Interest::COLUMNS | Interest::ERRORS | Interest::NOTICES;
        always |= Interest::HTTP | Interest::BODIES | Interest::MESSAGES;
        if !self.columns.is_empty() {
            always |= Interest::ORIGINS;
        }
        if !self.masker.detectors.is_empty() {
            // What is typed is known by its echo, and the end of a channel ends what is kept of its streams.
            always |= Interest::OUTPUT | Interest::INPUT | Interest::COMMANDS;
        }
        match &self.plan {
            Some(plan) if !plan.is_active() => always,
            _ => always | Interest::ROWS,
        }
    }

    fn on_request(&mut self, request: Request) -> Verdict<Request> {
        if let Request::Http(head) = &request {
            self.exchanges.request(head, &self.masker);
        }
        if let Request::Input(input) = &request
            && input.terminal
        {
            self.streams.typed(input.channel, &input.bytes);
        }
        Verdict::Pass(request)
    }

    fn on_response(&mut self, mut response: Response) -> Verdict<Response> {
        let done = match &mut response {
            Response::Columns(result) => self.plan(&result.columns, &result.text),
            Response::Rows(batch) => self.rows(batch),
            Response::Error(error) | Response::Notice(error) => {
                fields::mask_error(error, &self.columns, &self.masker);
                Ok(())
            }
            Response::Notification(notification) => {
                notification.payload = fields::mask_payload(&notification.payload, &self.columns, &self.masker);
                Ok(())
            }
            Response::Setting(setting) => {
                if setting.name == STRINGS && setting.value != "on" {
                    self.remembered.escape();
                }
                setting.value = fields::mask_setting(setting, &self.columns, &self.masker);
                Ok(())
            }
            Response::Output(output) if !output.exact => {
                self.streams.output(output, &self.masker);
                Ok(())
            }
            Response::Http(head) => self.exchanges.head(head, &self.masker),
            Response::Body(part) => self.exchanges.body(part, &self.masker),
            Response::Message(message) => self.exchanges.message(message, &self.masker),
            Response::ChannelClosed(closed) => {
                self.streams.close(closed.channel);
                self.exchanges.close(closed.channel);
                if let ChannelEnd::ExitSignal { message, .. } = &mut closed.end {
                    *message = self.masker.message(message);
                }
                Ok(())
            }
            _ => Ok(()),
        };
        match done {
            Ok(()) => Verdict::Pass(response),
            Err(denial) => Verdict::Deny(denial),
        }
    }

    fn on_flush(&mut self, channel: ChannelId) -> Option<Response> {
        let output = self.streams.flush(channel, &self.masker).map(Response::Output);
        output.or_else(|| self.exchanges.flush(channel, &self.masker).map(Response::Body))
    }

    async fn close(&mut self, _outcome: &Outcome) {
        self.counts.counts.close(self.counts.session);
    }
}
