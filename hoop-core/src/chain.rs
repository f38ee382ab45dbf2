//! The ordered chain: requests run it forward, responses backward, so that what is first in the chain sees a request
//! before everyone and a response as it will be shown.

use std::fmt;
use std::sync::{Arc, OnceLock};

use futures::future::BoxFuture;

use crate::channel::ChannelId;
use crate::error::{Code, Denial};
use crate::interest::Interest;
use crate::outcome::Outcome;
use crate::plugin::{Plugin, SessionPlugin};
use crate::request::Request;
use crate::response::Response;
use crate::review::{Ask, Asked, Decided, ReviewStep, Reviewer, Step};
use crate::role::ResourceRole;
use crate::session::SessionContext;
use crate::verdict::{Hold, Verdict};

/// The plugins of a gateway, in order.
#[derive(Clone, Default)]
pub struct PluginChain {
    plugins: Vec<Arc<dyn Plugin>>,
}

impl PluginChain {
    /// A chain of these plugins, in this order.
    pub fn new(plugins: Vec<Arc<dyn Plugin>>) -> Self {
        Self { plugins }
    }

    /// The names of the plugins, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.plugins.iter().map(|plugin| plugin.name())
    }

    /// What the plugins say of a role's settings before it is stored. Settings of a plugin that is not in the chain are a
    /// mistake: a rule that nobody reads protects nothing.
    ///
    /// # Errors
    /// The first [`Denial`].
    pub fn check_role(&self, role: &ResourceRole) -> Result<(), Denial> {
        if let Some(unknown) = role.plugins.keys().find(|key| !self.names().any(|name| name == key.as_str())) {
            let names: Vec<_> = self.names().collect();
            return Err(Denial::new("gateway", Code::InvalidRequest, format!("this gateway has no plugin {unknown}"))
                .hint(format!("its plugins are: {}", names.join(", "))));
        }
        self.plugins.iter().try_for_each(|plugin| plugin.check_role(role))
    }

    /// Opens every plugin for a session, in order.
    ///
    /// # Errors
    /// The first [`Denial`] refuses the session; the plugins before it are closed with that outcome.
    pub async fn open(&self, session: &SessionContext) -> Result<SessionChain, Denial> {
        let mut links = Vec::with_capacity(self.plugins.len());
        for plugin in &self.plugins {
            match plugin.open(session).await {
                Ok(Some(opened)) => links.push(Link { interest: opened.interest(), plugin: opened }),
                Ok(None) => {}
                Err(denial) => {
                    SessionChain::new(links).close(&Outcome::Denied(denial.clone())).await;
                    return Err(denial);
                }
            }
        }
        Ok(SessionChain::new(links))
    }
}

impl fmt::Debug for PluginChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

struct Link {
    plugin: Box<dyn SessionPlugin>,
    /// As the plugin last said; read again after each result's columns.
    interest: Interest,
}

/// The chain of one session.
pub struct SessionChain {
    links: Vec<Link>,
    interest: Interest,
    /// Who asks where a plugin wants somebody's agreement.
    reviewer: Option<Arc<dyn Reviewer>>,
}

/// Where a request or a response is after the chain.
#[must_use]
#[derive(Debug)]
pub enum Flow<T> {
    /// Through the whole chain.
    Pass(T),
    /// At a plugin that waits. Go on with [`SessionChain::resume_request`] or [`SessionChain::resume_response`].
    Held(Held<T>),
    /// Refused.
    Denied(Denial),
}

/// A request or response that waits in the chain.
pub struct Held<T> {
    /// What the user is told while they wait.
    pub notice: Option<String>,
    /// Resolves to what goes on.
    pub until: BoxFuture<'static, Result<T, Denial>>,
    /// The place in the chain to resume from.
    pub resume: Resume,
}

/// A place in the chain, after the plugin that held.
#[derive(Debug)]
pub struct Resume {
    at: usize,
    /// The review that it waits for, which few do.
    review: Option<Box<Reviewed>>,
}

/// A review that a request waits for.
#[derive(Debug)]
struct Reviewed {
    /// What the plugins before are told, but for what has happened.
    step: ReviewStep,
    decided: Arc<OnceLock<Decided>>,
}

impl Resume {
    const fn at(at: usize) -> Self {
        Self { at, review: None }
    }
}

impl<T> fmt::Debug for Held<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("notice", &self.notice).field("resume", &self.resume).finish_non_exhaustive()
    }
}

impl SessionChain {
    fn new(links: Vec<Link>) -> Self {
        let interest = union(&links);
        Self { links, interest, reviewer: None }
    }

    /// Has somebody asked where a plugin wants that. Without it, such a request is denied.
    #[must_use]
    pub fn reviewed_by(mut self, reviewer: Arc<dyn Reviewer>) -> Self {
        self.reviewer = Some(reviewer);
        self
    }

    /// Whether any plugin wants any of these kinds at this moment.
    pub const fn wants(&self, kinds: Interest) -> bool {
        self.interest.intersects(kinds)
    }

    /// Runs a request through the chain, first plugin first.
    pub fn request(&mut self, request: Request) -> Flow<Request> {
        self.run_request(0, request)
    }

    /// Goes on with a request after the plugin that held it, with what its wait has come to.
    pub fn resume_request(&mut self, from: Resume, waited: Result<Request, Denial>) -> Flow<Request> {
        let at = from.at;
        let told = from.review.map_or(Ok(None), |reviewed| self.tell(at - 1, reviewed.ended(waited.as_ref().err())));
        match (told, waited) {
            (Ok(None), Ok(request)) => self.run_request(at, request),
            (Ok(Some(kept)), waited) => {
                let until = Box::pin(async move { kept.await.and(waited) });
                Flow::Held(Held { notice: None, until, resume: Resume::at(at) })
            }
            (Err(denial), _) | (Ok(None), Err(denial)) => Flow::Denied(denial),
        }
    }

    fn run_request(&mut self, from: usize, mut request: Request) -> Flow<Request> {
        let kind = request_kind(&request);
        for (at, link) in self.links.iter_mut().enumerate().skip(from) {
            if !link.interest.contains(kind) {
                continue;
            }
            match link.plugin.on_request(request) {
                Verdict::Pass(passed) => request = passed,
                Verdict::Hold(hold) => return Flow::Held(held(hold, at + 1)),
                Verdict::Review(request, ask) => return self.ask(at, request, *ask),
                Verdict::Deny(denial) => return Flow::Denied(denial),
            }
        }
        Flow::Pass(request)
    }

    /// Asks somebody to agree to a request, for the plugin at this place.
    fn ask(&mut self, at: usize, request: Request, ask: Ask) -> Flow<Request> {
        let Some(reviewer) = &self.reviewer else {
            return Flow::Denied(Denial::new(ask.by, Code::Unsupported, "nobody can be asked to agree to it here"));
        };
        let Asked { review, notice, until } = match reviewer.ask(&ask) {
            Ok(asked) => asked,
            Err(denial) => return Flow::Denied(denial),
        };
        let (statement, channel, Ask { rule, group, .. }) = (request.statement(), request.channel(), ask);
        let step = ReviewStep { review, statement, channel, rule, group, what: Step::Asked };
        // Who does not wait has not asked yet.
        let told = if review.is_some() { self.tell(at, step.clone()) } else { Ok(None) };
        let kept = match told {
            Ok(kept) => kept,
            Err(denial) => return Flow::Denied(denial),
        };
        let decided = Arc::new(OnceLock::new());
        let reviewed = Box::new(Reviewed { step, decided: Arc::clone(&decided) });
        let until = Box::pin(async move {
            if let Some(kept) = kept {
                kept.await?;
            }
            let ended = until.await;
            let result = ended.result.clone();
            let _ = decided.set(ended);
            result.map(|_| request)
        });
        Flow::Held(Held { notice, until, resume: Resume { at: at + 1, review: Some(reviewed) } })
    }

    /// Tells the plugins before this place of a step of a review, and gives what must be waited for until they have kept it.
    fn tell(
        &mut self,
        before: usize,
        step: ReviewStep,
    ) -> Result<Option<BoxFuture<'static, Result<(), Denial>>>, Denial> {
        let mut waits = Vec::new();
        for link in self.links.iter_mut().take(before).rev().filter(|link| link.interest.contains(Interest::REVIEWS)) {
            match link.plugin.on_response(Response::Review(step.clone())) {
                Verdict::Pass(_) => {}
                Verdict::Hold(hold) => waits.push(hold.until),
                Verdict::Review(..) => return Err(unasked()),
                Verdict::Deny(denial) => return Err(denial),
            }
        }
        if waits.is_empty() {
            return Ok(None);
        }
        Ok(Some(Box::pin(async move {
            for wait in waits {
                wait.await?;
            }
            Ok(())
        })))
    }

    /// Runs a response through the chain, last plugin first.
    pub fn response(&mut self, response: Response) -> Flow<Response> {
        self.resume_response(Resume::at(self.links.len()), response)
    }

    /// Runs a response through the rest of the chain, after a plugin that held it.
    pub fn resume_response(&mut self, from: Resume, mut response: Response) -> Flow<Response> {
        let kinds = response_kinds(&response);
        for at in (0..from.at.min(self.links.len())).rev() {
            let Some(link) = self.links.get_mut(at) else { continue };
            if !link.interest.intersects(kinds) {
                continue;
            }
            match link.plugin.on_response(response) {
                Verdict::Pass(passed) => response = passed,
                Verdict::Hold(hold) => return Flow::Held(held(hold, at)),
                Verdict::Review(..) => return Flow::Denied(unasked()),
                Verdict::Deny(denial) => return Flow::Denied(denial),
            }
        }
        if matches!(response, Response::Columns(_)) {
            self.read_interest();
        }
        Flow::Pass(response)
    }

    /// What plugins have kept back of what a channel shows, each as it is after the rest of the chain, in order.
    pub fn flush(&mut self, channel: ChannelId) -> Vec<Flow<Response>> {
        let mut flushed = Vec::new();
        for at in (0..self.links.len()).rev() {
            while let Some(response) = self.links.get_mut(at).and_then(|link| link.plugin.on_flush(channel)) {
                flushed.push(self.resume_response(Resume::at(at), response));
            }
        }
        flushed
    }

    /// Closes every plugin, in order.
    pub async fn close(mut self, outcome: &Outcome) {
        for link in &mut self.links {
            link.plugin.close(outcome).await;
        }
    }

    fn read_interest(&mut self) {
        for link in &mut self.links {
            link.interest = link.plugin.interest();
        }
        self.interest = union(&self.links);
    }
}

impl fmt::Debug for SessionChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionChain").field("plugins", &self.links.len()).field("interest", &self.interest).finish()
    }
}

fn union(links: &[Link]) -> Interest {
    links.iter().fold(Interest::NONE, |all, link| all.union(link.interest))
}

fn held<T>(hold: Hold<T>, resume: usize) -> Held<T> {
    Held { notice: hold.notice, until: hold.until, resume: Resume::at(resume) }
}

impl Reviewed {
    /// The step with which it ends. One that was not decided on has ended since its client did not wait, with this refusal.
    fn ended(self, refused: Option<&Denial>) -> ReviewStep {
        let decided = self.decided.get().cloned();
        let review = decided.as_ref().and_then(|decided| decided.review).or(self.step.review);
        let what = match (refused, decided.map(|decided| decided.result)) {
            (Some(denial), _) => Step::Refused(denial.clone()),
            (None, Some(Err(denial))) => Step::Refused(denial),
            (None, Some(Ok(agreed))) => Step::Agreed(agreed),
            // What goes on without an agreement was never asked for.
            (None, None) => Step::Asked,
        };
        ReviewStep { review, what, ..self.step }
    }
}

/// A plugin asks for somebody's agreement to a response.
fn unasked() -> Denial {
    Denial::new("gateway", Code::PluginFailed, "a plugin asks for a review of a response")
}

const fn request_kind(request: &Request) -> Interest {
    match request {
        Request::Statement(_) | Request::Function(_) | Request::Cancel => Interest::STATEMENTS,
        Request::CopyIn(_) => Interest::COPY_IN,
        Request::Command(_) | Request::Forward(_) | Request::Signal(_) | Request::WindowChange(_) => Interest::COMMANDS,
        Request::Input(_) => Interest::INPUT,
        Request::File(_) => Interest::FILES,
        Request::Http(_) => Interest::HTTP,
        Request::Body(_) => Interest::BODIES,
        Request::Message(_) => Interest::MESSAGES,
        Request::FileBytes(_) => Interest::FILE_BYTES,
    }
}

const fn response_kinds(response: &Response) -> Interest {
    match response {
        Response::Columns(_) => Interest::COLUMNS,
        Response::Rows(_) => Interest::ROWS.union(Interest::SHOWN),
        Response::RowPart(_) => Interest::SHOWN,
        Response::Complete(_) => Interest::COMPLETIONS,
        Response::Error(_) => Interest::ERRORS,
        Response::Notice(_) | Response::Notification(_) | Response::Setting(_) => Interest::NOTICES,
        Response::Output(_) => Interest::OUTPUT,
        Response::ChannelClosed(_) => Interest::COMMANDS.union(Interest::HTTP),
        Response::FileDone(_) => Interest::FILES,
        Response::Http(_) => Interest::HTTP,
        Response::Body(_) => Interest::BODIES,
        Response::Message(_) => Interest::MESSAGES,
        Response::FileBytes(_) => Interest::FILE_BYTES,
        Response::Review(_) => Interest::REVIEWS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::id::ReviewId;
    use crate::request::{Phase, Statement, StatementId, TextSettings};
    use crate::response::{Completion, CompletionKind};
    use crate::review::{Agreed, Subject};
    use async_trait::async_trait;
    use bytes::Bytes;
    use futures::executor::block_on;
    use std::sync::Mutex;

    type Log = Arc<Mutex<Vec<String>>>;

    struct Logs {
        name: &'static str,
        log: Log,
        hold: bool,
        deny: bool,
    }

    #[async_trait]
    impl SessionPlugin for Logs {
        fn interest(&self) -> Interest {
            Interest::STATEMENTS | Interest::COMPLETIONS
        }

        fn on_request(&mut self, request: Request) -> Verdict<Request> {
            self.log.lock().expect("no panic").push(format!("{} request", self.name));
            if self.deny {
                return Verdict::Deny(Denial::new(self.name, Code::StatementDenied, "no"));
            }
            if self.hold {
                return Verdict::Hold(Hold::quietly(async move { Ok(request) }));
            }
            Verdict::Pass(request)
        }

        fn on_response(&mut self, response: Response) -> Verdict<Response> {
            self.log.lock().expect("no panic").push(format!("{} response", self.name));
            Verdict::Pass(response)
        }

        async fn close(&mut self, outcome: &Outcome) {
            self.log.lock().expect("no panic").push(format!("{} {}", self.name, outcome.as_str()));
        }
    }

    fn chain(plugins: impl IntoIterator<Item = Logs>) -> SessionChain {
        let link = |plugin: Logs| Link { interest: plugin.interest(), plugin: Box::new(plugin) };
        SessionChain::new(plugins.into_iter().map(link).collect())
    }

    fn statement() -> Request {
        Request::Statement(Statement {
            id: StatementId(1),
            phase: Phase::Query,
            text: Bytes::from_static(b"select 1"),
            settings: TextSettings::default(),
            parameters: None,
        })
    }

    fn complete() -> Response {
        let tag = Bytes::from_static(b"SELECT 1");
        Response::Complete(Completion { statement: StatementId(1), kind: CompletionKind::Done, tag, rows: Some(1) })
    }

    #[test]
    fn requests_run_forward_and_responses_backward() {
        let log = Log::default();
        let plugin = |name| Logs { name, log: log.clone(), hold: false, deny: false };
        let mut chain = chain([plugin("a"), plugin("b")]);
        assert!(matches!(chain.request(statement()), Flow::Pass(_)));
        assert!(matches!(chain.response(complete()), Flow::Pass(_)));
        block_on(chain.close(&Outcome::Completed));
        let seen = ["a request", "b request", "b response", "a response", "a completed", "b completed"];
        assert_eq!(*log.lock().expect("no panic"), seen);
    }

    #[test]
    fn a_held_request_goes_on_after_the_plugin_that_held_it() {
        let log = Log::default();
        let plugin = |name, hold| Logs { name, log: log.clone(), hold, deny: false };
        let mut chain = chain([plugin("a", false), plugin("b", true), plugin("c", false)]);
        let Flow::Held(held) = chain.request(statement()) else { panic!("b holds") };
        let waited = block_on(held.until);
        assert!(matches!(chain.resume_request(held.resume, waited), Flow::Pass(_)));
        assert_eq!(*log.lock().expect("no panic"), ["a request", "b request", "c request"]);
    }

    /// Asks for a review of every statement.
    struct Asks;

    #[async_trait]
    impl SessionPlugin for Asks {
        fn interest(&self) -> Interest {
            Interest::STATEMENTS
        }

        fn on_request(&mut self, request: Request) -> Verdict<Request> {
            let subject = Subject::Statement { text: Bytes::from_static(b"select 1"), parameters: None };
            let (rule, group) = ("all".to_owned(), "leads".to_owned());
            Verdict::Review(request, Box::new(Ask { by: "asks", rule, group, hint: None, subject }))
        }

        async fn close(&mut self, _outcome: &Outcome) {}
    }

    /// Keeps what it is told of reviews, after a wait.
    struct Keeps(Log);

    #[async_trait]
    impl SessionPlugin for Keeps {
        fn interest(&self) -> Interest {
            Interest::REVIEWS
        }

        fn on_response(&mut self, response: Response) -> Verdict<Response> {
            let Response::Review(step) = &response else { return Verdict::Pass(response) };
            let said = match &step.what {
                Step::Asked => "asked".to_owned(),
                Step::Agreed(agreed) => format!("agreed by {}", agreed.by),
                Step::Refused(denial) => format!("refused: {}", denial.reason),
            };
            let (log, said) = (self.0.clone(), format!("{said}, {} of {}", step.rule, step.group));
            Verdict::Hold(Hold::quietly(async move {
                log.lock().expect("no panic").push(said);
                Ok(response)
            }))
        }

        async fn close(&mut self, _outcome: &Outcome) {}
    }

    struct Answers(Result<Agreed, Denial>);

    impl Reviewer for Answers {
        fn ask(&self, _ask: &Ask) -> Result<Asked, Denial> {
            let review = Some(ReviewId::new(&crate::clock::SystemClock));
            let decided = Decided { review, result: self.0.clone() };
            Ok(Asked { review, notice: Some("wait".to_owned()), until: Box::pin(async move { decided }) })
        }
    }

    /// What a statement comes to that somebody must agree to, and what was told of it.
    fn reviewed(answer: Result<Agreed, Denial>) -> (Result<(), Denial>, Vec<String>) {
        let log = Log::default();
        let links = [Box::new(Keeps(log.clone())) as Box<dyn SessionPlugin>, Box::new(Asks)];
        let links = links.map(|plugin| Link { interest: plugin.interest(), plugin });
        let mut chain = SessionChain::new(links.into()).reviewed_by(Arc::new(Answers(answer)));
        let mut flow = chain.request(statement());
        let result = loop {
            match flow {
                Flow::Pass(_) => break Ok(()),
                Flow::Denied(denial) => break Err(denial),
                Flow::Held(held) => {
                    let waited = block_on(held.until);
                    flow = chain.resume_request(held.resume, waited);
                }
            }
        };
        let told = log.lock().expect("no panic").clone();
        (result, told)
    }

    #[test]
    fn what_somebody_agrees_to_goes_on_and_the_plugins_before_are_told() {
        let (result, told) = reviewed(Ok(Agreed { by: "lena".to_owned(), comment: None }));
        assert!(result.is_ok());
        assert_eq!(told, ["asked, all of leads", "agreed by lena, all of leads"]);
        let (result, told) = reviewed(Err(Denial::new("review", Code::ReviewDenied, "no")));
        assert_eq!(result.expect_err("nobody agrees").code, Code::ReviewDenied);
        assert_eq!(told, ["asked, all of leads", "refused: no, all of leads"]);
    }

    #[test]
    fn without_anybody_to_ask_it_is_denied() {
        let mut chain = SessionChain::new(vec![Link { interest: Asks.interest(), plugin: Box::new(Asks) }]);
        assert!(matches!(chain.request(statement()), Flow::Denied(denial) if denial.by == "asks"));
    }

    #[test]
    fn a_denied_request_goes_no_further() {
        let log = Log::default();
        let plugin = |name, deny| Logs { name, log: log.clone(), hold: false, deny };
        let mut chain = chain([plugin("a", true), plugin("b", false)]);
        assert!(matches!(chain.request(statement()), Flow::Denied(denial) if denial.by == "a"));
        assert_eq!(*log.lock().expect("no panic"), ["a request"]);
    }

    #[test]
    fn nobody_asked_nobody_called() {
        let log = Log::default();
        let mut chain = chain([Logs { name: "a", log: log.clone(), hold: false, deny: false }]);
        let error = TargetErrorFixture::error();
        assert!(!chain.wants(Interest::ERRORS) && chain.wants(Interest::COMPLETIONS));
        assert!(matches!(chain.response(Response::Error(error)), Flow::Pass(_)));
        assert!(log.lock().expect("no panic").is_empty());
    }

    struct TargetErrorFixture;
    impl TargetErrorFixture {
        fn error() -> crate::response::TargetError {
            crate::response::TargetError { statement: None, fields: Vec::new(), denial: None }
        }
    }
}
