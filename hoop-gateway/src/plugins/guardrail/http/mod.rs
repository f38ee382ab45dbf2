//! Rules on HTTP requests.

mod facts;
mod json;
mod limit;
mod path;
mod test;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use bytes::Bytes;
use hoop_core::id::{RoleId, UserId};
use hoop_core::{
    Ask, BodyPart, ChannelId, Code, Denial, ExchangeKind, HttpRequest, Interest, Message, Principal, Subject,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::NAME;
use super::list::{ASK, Action, Entry, List, Match, Wanted, checked, wrong};
use crate::plugins::audit::MOST_SHOWN;
use facts::Facts;
use json::Pointer;
pub use limit::Limit;
pub(super) use limit::Limits;
use limit::{Left, MAX_SECONDS};
use path::folded;
pub use test::Condition;
use test::{Seen, Test, least};

/// A rule on HTTP requests. It matches a request when everything that it gives holds.
///
/// ```
/// use hoop_gateway::plugins::guardrail::GuardrailRules;
/// let rules: GuardrailRules = serde_json::from_str(r#"{
///     "http": [
///         { "name": "no-admin", "paths": ["/admin", "/admin/*"], "except_groups": ["ops"], "hint": "ask ops" },
///         { "name": "no-removal", "methods": ["DELETE"] },
///         { "name": "no-export", "paths": ["/report"], "query": [{ "name": "format", "equals": "raw" }] },
///         { "name": "large", "methods": ["POST"], "paths": ["/payments"], "body": [{ "name": "/amount", "above": 1000 }] },
///         { "name": "refunds", "services": ["payments.v1.Cards/Refund*"] },
///         { "name": "payouts", "action": "review", "group": "treasury", "methods": ["POST"], "paths": ["/payouts"] },
///         { "name": "slowly", "paths": ["/search"], "limit": { "requests": 10, "per_seconds": 60 } }
///     ]
/// }"#)?;
/// assert_eq!(rules.http.len(), 7);
/// # Ok::<_, serde_json::Error>(())
/// ```
///
/// **Paths** mean what the service makes of them. So a path is read in every way that services are known to: as written and
/// decoded, once and again; with and without `//`, `.`, `..`, `;parameters`, backslashes, dots and spaces at the end of a name,
/// and characters of full width taken for others. A rule that refuses matches when one of the readings does, without regard to
/// case; one that allows must match all. A path that nobody can say the meaning of (control characters, a `%` that encodes
/// nothing, bytes that are not UTF-8, more than three encodings) is refused where any rule is about paths or services.
///
/// **Methods** that a request asks to be taken for, in `X-HTTP-Method-Override` and its like or in the parameter `_method`, count
/// as well; who may not `GET` may not `HEAD`.
///
/// **Bodies** are read where everything else of a rule on them holds: the request waits until it is whole, and nothing of it goes
/// on before. A body that is not said to be JSON, or is not (names that come twice, more than 64 levels, another charset than
/// UTF-8, longer than `max_body_bytes`), is refused then, and so are WebSockets and gRPC calls. A list of questions is read as each of
/// them, and one value where several are meant as one of several. Parameters in forms are not seen; nor is what a service takes from
/// its query or from text within JSON (GraphQL) in the place of a field: a rule on the path and the method is for that.
///
/// **Reviews** are of one request with its whole body, or of one call with all of its messages, up to 64 KiB. What asks for one is
/// refused until somebody of `group` has agreed, and goes through once when it is sent again: with the same method, path, query and
/// body, and the same fields but for those that differ from one time to the next. A WebSocket is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpRule {
    /// What it is called in refusals and recordings.
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub action: Action,
    /// Of which group somebody must agree, where the action is `review`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How many requests it lets through; it refuses those beyond and decides about no others, whatever they match behind it.
    #[serde(default)]
    pub limit: Option<Limit>,
    /// Methods, any of these; all when empty.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Paths, any of these, in full and decoded, with `*` for any run of characters, also of `/`; all when empty. `/admin/*` is
    /// what is below `/admin`, and not `/admin` itself. A `/` at the end of what is asked for means nothing.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Parameters of the query; all must hold.
    #[serde(default)]
    pub query: Vec<Condition>,
    /// Fields of the head; all must hold.
    #[serde(default)]
    pub headers: Vec<Condition>,
    /// Methods of gRPC, any of these: `package.Service/Method`, or `package.Service` for all of it, with `*` as above. A rule
    /// that refuses one matches also what else asks for its path.
    #[serde(default)]
    pub services: Vec<String>,
    /// Fields of a JSON body; all must hold.
    #[serde(default)]
    pub body: Vec<Condition>,
    /// What to do next, for the user.
    #[serde(default)]
    pub hint: Option<String>,
    /// Groups whose members it does not hold for.
    #[serde(default)]
    pub except_groups: Vec<String>,
    /// Groups for whose members it holds; everyone when empty.
    #[serde(default)]
    pub for_groups: Vec<String>,
}

/// What a rule matches.
#[derive(Debug)]
pub(super) struct Http {
    methods: Vec<String>,
    paths: Patterns,
    services: Patterns,
    query: Vec<Test>,
    headers: Vec<Test>,
    body: Vec<(Pointer, Test)>,
    limit: Option<Limit>,
    left: Option<Left>,
}

pub(super) fn list(rules: Vec<HttpRule>) -> Result<List<Http>, Denial> {
    let entries = rules.into_iter().map(entry).collect::<Result<_, _>>()?;
    List::new(entries, Code::RequestDenied)
}

fn entry(rule: HttpRule) -> Result<Entry<Http>, Denial> {
    let HttpRule { name, action, group, limit, methods, paths, query, headers, services, body, hint, .. } = rule;
    check_limit(&name, action, limit)?;
    if let Some(method) = methods.iter().find(|method| http::Method::from_bytes(method.as_bytes()).is_err()) {
        return Err(wrong(&name, &format!("{method} is no method")));
    }
    let conditions = [&query, &headers, &body].iter().any(|conditions| !conditions.is_empty());
    let given = conditions || !methods.is_empty() || !paths.is_empty() || !services.is_empty() || limit.is_some();
    let tests = |conditions: Vec<Condition>| {
        conditions.into_iter().map(|condition| Test::new(&name, condition)).collect::<Result<Vec<_>, _>>()
    };
    let matches = Http {
        paths: Patterns::new(paths.iter().map(|path| path_pattern(&name, path)).collect::<Result<_, _>>()?),
        services: Patterns::new(
            services.iter().map(|service| service_pattern(&name, service)).collect::<Result<_, _>>()?,
        ),
        query: tests(query)?,
        headers: tests(headers)?,
        body: tests(body)?.into_iter().map(|test| with_pointer(&name, test)).collect::<Result<_, _>>()?,
        methods,
        limit,
        left: None,
    };
    let (except_groups, for_groups) = (rule.except_groups, rule.for_groups);
    Ok(Entry { name, action, group, hint, except_groups, for_groups, matches: given.then_some(matches) })
}

fn check_limit(rule: &str, action: Action, limit: Option<Limit>) -> Result<(), Denial> {
    match limit {
        Some(_) if action == Action::Allow => Err(wrong(rule, "it limits, so it cannot allow")),
        Some(_) if action == Action::Review => Err(wrong(rule, "it limits, so it cannot ask for a review")),
        Some(limit) if limit.per_seconds.get() > MAX_SECONDS => {
            Err(wrong(rule, &format!("it limits over more than {MAX_SECONDS} seconds")))
        }
        _ => Ok(()),
    }
}

/// A pattern that a path can match.
fn path_pattern(rule: &str, path: &str) -> Result<String, Denial> {
    let path = checked(rule, path)?;
    let plain = !path.contains("//") && path.split('/').all(|part| part != "." && part != "..");
    let encoded = path.contains(['%', ';', '\\', '?', '#']) || path.chars().any(char::is_control);
    if !path.starts_with(['/', '*']) || !plain || encoded || (path.len() > 1 && path.ends_with('/')) {
        let what = format!(
            "no path is written as {path}: give it in full and decoded, without a query, `;`, `\\`, `//`, `.` and `..`, and \
             without a `/` at its end"
        );
        return Err(wrong(rule, &what));
    }
    Ok(path.to_owned())
}

/// The pattern of the paths of gRPC methods.
fn service_pattern(rule: &str, service: &str) -> Result<String, Denial> {
    let parts: Vec<_> = checked(rule, service)?.split('/').collect();
    let named = |part: &&str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '*'))
    };
    match parts.as_slice() {
        [service] if named(service) => Ok(format!("/{service}/*")),
        [service, method] if named(service) && named(method) => Ok(format!("/{service}/{method}")),
        _ => Err(wrong(rule, &format!("no gRPC method is written as {service}: take package.Service/Method"))),
    }
}

fn with_pointer(rule: &str, test: Test) -> Result<(Pointer, Test), Denial> {
    let name = &test.condition.name;
    let pointer = Pointer::parse(name);
    let what = || wrong(rule, &format!("no field of a body is written as {name}: take a JSON pointer such as /amount"));
    pointer.ok_or_else(what).map(|pointer| (pointer, test))
}

/// Patterns of paths.
#[derive(Debug)]
struct Patterns(Vec<(String, String)>);

impl Patterns {
    fn new(patterns: Vec<String>) -> Self {
        Self(patterns.into_iter().map(|pattern| (folded(&pattern), pattern)).collect())
    }

    fn compare(&self, facts: &Facts, action: Action) -> Match {
        let Ok(readings) = &facts.path else { return Match::Maybe };
        let matches = hoop_core::role::matches_wildcard;
        let (any, all) = match action {
            Action::Deny | Action::Review => readings.compare(|path| {
                let path = folded(path);
                self.0.iter().any(|(folded, _)| matches(folded, &path))
            }),
            Action::Allow => readings.compare(|path| self.0.iter().any(|(_, pattern)| matches(pattern, path))),
        };
        match (any, all) {
            (false, _) => Match::No,
            (true, false) => Match::Maybe,
            (true, true) => Match::Surely,
        }
    }
}

impl Http {
    /// How the head matches.
    fn matches(&self, facts: &Facts, action: Action) -> Match {
        let is_grpc = matches!(facts.kind, ExchangeKind::Grpc { .. });
        let methods = (!self.methods.is_empty()).then(|| facts.method(&self.methods, action));
        let paths = (!self.paths.0.is_empty()).then(|| self.paths.compare(facts, action));
        let services = (!self.services.0.is_empty()).then(|| match action {
            Action::Allow if !is_grpc => Match::No,
            _ => self.services.compare(facts, action),
        });
        let query = self.query.iter().map(|test| test.holds(facts.parameters(&test.condition.name)));
        let headers = self.headers.iter().map(|test| test.holds(facts.fields(&test.condition.name)));
        let all = [methods, paths, services].into_iter().flatten().chain(query).chain(headers);
        all.fold(Match::Surely, least)
    }

    fn matches_body(&self, body: &Value) -> Match {
        let all = self.body.iter().map(|(pointer, test)| {
            test.holds(pointer.find(body).into_iter().map(|(value, sure)| (Seen::Json(value), sure)))
        });
        all.fold(Match::Surely, least)
    }

    fn names_paths(&self) -> bool {
        !self.paths.0.is_empty() || !self.services.0.is_empty()
    }
}

/// What the rules come to.
enum Decision {
    Passes,
    /// The rule with this number is about the body.
    Body(usize),
    /// Somebody must agree.
    Review(Wanted),
}

/// The rules, and the requests whose bodies they wait for.
pub(super) struct Exchanges {
    list: List<Http>,
    max_body_bytes: usize,
    waiting: HashMap<ChannelId, Waiting>,
}

/// A request whose body decides.
struct Waiting {
    facts: Facts,
    /// The rule to go on with.
    from: usize,
    bytes: Vec<u8>,
    /// The messages of a call.
    messages: Vec<Bytes>,
    /// What was asked for, where somebody may have to agree to it.
    head: Option<Box<HttpRequest>>,
    /// Whose agreement it needs, whatever the body says.
    wanted: Option<Wanted>,
    /// What it was refused with.
    refused: Option<Denial>,
}

/// What a piece of a body comes to.
enum Taken {
    /// More is to come.
    More,
    /// It is whole, and goes on, or when somebody has agreed.
    Asks(Option<Wanted>),
}

impl Waiting {
    /// Keeps bytes of what somebody is to read.
    ///
    /// # Errors
    /// When it is more than they could.
    fn keep(&mut self, bytes: &[u8], code: Code) -> Result<(), Denial> {
        let kept = self.messages.iter().map(Bytes::len).sum::<usize>() + self.bytes.len() + self.messages.len();
        if kept + bytes.len() > MOST_SHOWN {
            let rule = self.wanted.as_ref().map_or("", |wanted| &wanted.rule);
            let reason =
                format!("rule {rule} wants a review, and what has more than {MOST_SHOWN} bytes cannot be reviewed");
            return Err(Denial::new(NAME, code, reason).hint("send less at once"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// Asks for somebody's agreement to the whole of it.
    fn ask(self, wanted: Wanted) -> Option<Box<Ask>> {
        let body = if self.messages.is_empty() { vec![Bytes::from(self.bytes)] } else { self.messages };
        self.head.map(|head| wanted.ask(Subject::Request { head, body }))
    }
}

impl Exchanges {
    pub(super) fn new(list: List<Http>, max_body_bytes: usize) -> Self {
        Self { list, max_body_bytes, waiting: HashMap::new() }
    }

    pub(super) fn of(self, principal: &Principal) -> Self {
        Self { list: self.list.of(principal), ..self }
    }

    /// Counts the requests of this user on this role.
    pub(super) fn limit(&mut self, limits: &Limits, role: RoleId, user: UserId) {
        for entry in &mut self.list.entries {
            let Some(http) = &mut entry.matches else { continue };
            http.left = http.limit.map(|limit| limits.of(role, &entry.name, limit, user));
        }
    }

    pub(super) fn interest(&self) -> Interest {
        if self.list.is_empty() {
            return Interest::NONE;
        }
        let reads =
            self.list.entries.iter().filter_map(|entry| entry.matches.as_ref()).any(|http| !http.body.is_empty());
        match (self.asks(), reads) {
            (true, _) => Interest::HTTP | Interest::BODIES | Interest::MESSAGES,
            (false, true) => Interest::HTTP | Interest::BODIES,
            (false, false) => Interest::HTTP,
        }
    }

    /// Whether a rule asks for reviews.
    fn asks(&self) -> bool {
        self.list.entries.iter().any(|entry| entry.action == Action::Review)
    }

    /// Judges a head; asks for the body where a rule is about it.
    pub(super) fn judge(&mut self, head: &mut HttpRequest) -> Result<(), Denial> {
        if self.list.is_empty() {
            return Ok(());
        }
        let facts = Facts::of(head);
        if let Err(why) = &facts.path
            && self.list.entries.iter().filter_map(|entry| entry.matches.as_ref()).any(Http::names_paths)
        {
            let reason = format!("{why}, so no rule could be applied to it");
            return Err(self.list.refusal(reason, "write the path plainly, in UTF-8 and encoded once"));
        }
        let (from, wanted) = match self.decide(&facts, 0, None)? {
            Decision::Passes => return Ok(()),
            Decision::Body(from) => (from, None),
            Decision::Review(wanted) if facts.kind == ExchangeKind::WebSocket => {
                let reason =
                    format!("rule {} wants a review, and what is said in a WebSocket cannot be reviewed", wanted.rule);
                return Err(self.list.refusal(reason, wanted.hint.as_deref().unwrap_or(ASK)));
            }
            Decision::Review(wanted) => (0, Some(wanted)),
        };
        head.body.decide();
        let asked = self.asks().then(|| Box::new(head.clone()));
        let (bytes, messages) = (Vec::new(), Vec::new());
        self.waiting.insert(head.channel, Waiting { facts, from, bytes, messages, head: asked, wanted, refused: None });
        Ok(())
    }

    /// Judges a piece of a body that was asked for.
    pub(super) fn judge_body(&mut self, part: &BodyPart) -> Result<Option<Box<Ask>>, Denial> {
        let Some(mut waiting) = self.waiting.remove(&part.channel) else { return Ok(None) };
        let judged = match waiting.refused.take() {
            Some(denial) => Err(denial),
            None if waiting.wanted.is_some() => waiting.keep(&part.bytes, self.list.code).map(|()| match part.last {
                true => Taken::Asks(waiting.wanted.clone()),
                false => Taken::More,
            }),
            None => self.take(&mut waiting, part),
        };
        match judged {
            Ok(Taken::Asks(wanted)) => Ok(wanted.and_then(|wanted| waiting.ask(wanted))),
            Ok(Taken::More) => {
                self.waiting.insert(part.channel, waiting);
                Ok(None)
            }
            Err(denial) => {
                // Nothing of it goes on, however much comes.
                waiting.bytes = Vec::new();
                waiting.refused = Some(denial.clone());
                self.waiting.insert(part.channel, waiting);
                Err(denial)
            }
        }
    }

    /// Judges a message of a call: it is kept until all are there, where somebody must agree.
    pub(super) fn judge_message(&mut self, message: &Message) -> Result<(), Denial> {
        let code = self.list.code;
        let Some(waiting) = self.waiting.get_mut(&message.channel) else { return Ok(()) };
        if let Some(denial) = &waiting.refused {
            return Err(denial.clone());
        }
        let kept = waiting.keep(&message.bytes, code).inspect_err(|denial| waiting.refused = Some(denial.clone()));
        // The bytes are those of one message each.
        waiting.messages.push(std::mem::take(&mut waiting.bytes).into());
        kept
    }

    /// Takes a piece in.
    fn take(&self, waiting: &mut Waiting, part: &BodyPart) -> Result<Taken, Denial> {
        let unread = |why: &str| {
            let rule = self.list.entries.get(waiting.from).map_or("", |entry| &entry.name);
            let reason = format!("the body cannot be read, so rule {rule} could not be applied to it: {why}");
            self.list.refusal(reason, "send JSON in UTF-8, and say so in Content-Type")
        };
        if waiting.bytes.len() + part.bytes.len() > self.max_body_bytes {
            return Err(unread(&format!("it is longer than {} bytes", self.max_body_bytes)));
        }
        waiting.bytes.extend_from_slice(&part.bytes);
        if !waiting.bytes.is_empty() {
            waiting.facts.says_json().map_err(&unread)?;
        }
        if !part.last {
            return Ok(Taken::More);
        }
        let body = json::read(&waiting.bytes).map_err(|why| unread(&why))?;
        match self.decide(&waiting.facts, waiting.from, Some(&body))? {
            Decision::Review(wanted) => Ok(Taken::Asks(Some(wanted))),
            Decision::Passes | Decision::Body(_) => Ok(Taken::Asks(None)),
        }
    }

    /// Judges that an exchange is answered: none is whose body is not decided on.
    pub(super) fn judge_answer(&self, channel: ChannelId) -> Result<(), Denial> {
        match self.waiting.contains_key(&channel) {
            true => Err(self.list.refusal("the request was answered before its body was whole".to_owned(), ASK)),
            false => Ok(()),
        }
    }

    /// An exchange is over.
    pub(super) fn forget(&mut self, channel: ChannelId) {
        self.waiting.remove(&channel);
    }

    /// Asks the rules from this one on, in order.
    fn decide(&self, facts: &Facts, from: usize, body: Option<&Value>) -> Result<Decision, Denial> {
        for (at, entry) in self.list.entries.iter().enumerate().skip(from) {
            let mut found = entry.matches.as_ref().map_or(Match::Surely, |http| http.matches(facts, entry.action));
            if let Some(http) = entry.matches.as_ref().filter(|http| found != Match::No && !http.body.is_empty()) {
                found = match body {
                    Some(body) => least(found, http.matches_body(body)),
                    None if facts.kind == ExchangeKind::Plain => return Ok(Decision::Body(at)),
                    // What is said in messages is no JSON body.
                    None if entry.action == Action::Allow => Match::No,
                    None => Match::Maybe,
                };
            }
            match (entry.action, found) {
                (_, Match::No) | (Action::Allow, Match::Maybe) => {}
                (Action::Allow, Match::Surely) => return Ok(Decision::Passes),
                (Action::Review, _) => return Ok(Decision::Review(entry.wanted())),
                (Action::Deny, _) => self.refuse(entry, found, facts)?,
            }
        }
        self.list.end(&facts.what).map(|()| Decision::Passes)
    }

    /// Refuses what a rule matches, or what is beyond its limit.
    fn refuse(&self, entry: &Entry<Http>, found: Match, facts: &Facts) -> Result<(), Denial> {
        let Some(limit) = entry.matches.as_ref().and_then(|http| http.limit) else {
            let unsure = "write the request plainly: a path without `%`, `;`, `\\`, `//` and `..` where it needs none, and each \
                          parameter and field once";
            return Err(self.list.refused_by(entry, found, &facts.what, unsure));
        };
        let Some(left) = entry.matches.as_ref().and_then(|http| http.left.as_ref()) else { return Ok(()) };
        left.take().map_err(|wait| {
            let (requests, seconds) = (limit.requests, limit.per_seconds);
            let reason =
                format!("rule {} lets {requests} requests through in {seconds} s, and these were made", entry.name);
            let own = entry.hint.iter().map(|hint| format!("; {hint}"));
            let hint = format!("try again in {} s{}", wait.as_secs() + 1, own.collect::<String>());
            Denial::new(NAME, Code::Throttled, reason).hint(hint)
        })
    }
}
