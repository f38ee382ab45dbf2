//! What rules look at in the head of a request.

use hoop_core::{ExchangeKind, HttpRequest};
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::super::super::percent;
use super::super::list::{Action, Match};
use super::path::{Readings, folded};
use super::test::Seen;

/// Fields that ask for a request to be taken for one with another method.
const OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];
/// Most of a path that is told, in characters.
const MAX_TOLD: usize = 200;

pub(super) struct Facts {
    /// What is asked for, in words for a user.
    pub(super) what: String,
    pub(super) kind: ExchangeKind,
    /// The path, or why it cannot be read.
    pub(super) path: Result<Readings, &'static str>,
    method: String,
    query: Vec<Parameter>,
    fields: HeaderMap,
}

/// A parameter of the query.
struct Parameter {
    /// `None` where it cannot be read.
    name: Option<String>,
    /// As above.
    value: Option<String>,
    /// Whether everybody reads it so.
    sure: bool,
}

impl Facts {
    pub(super) fn of(head: &HttpRequest) -> Self {
        let path = head.uri.path();
        let told: String = path.chars().take(MAX_TOLD).collect();
        let more = if told.len() < path.len() { "…" } else { "" };
        Self {
            what: format!("{} {told}{more}", head.method),
            kind: head.kind.clone(),
            path: Readings::of(path),
            method: head.method.as_str().to_owned(),
            query: head.uri.query().map(parameters).unwrap_or_default(),
            fields: head.headers.clone(),
        }
    }

    /// Whether the method is one of these.
    pub(super) fn method(&self, methods: &[String], action: Action) -> Match {
        let is = |name: &str| methods.iter().any(|method| method.eq_ignore_ascii_case(name));
        let mut others = self.overrides().peekable();
        match action {
            Action::Allow if methods.contains(&self.method) && others.all(|other| is(&other)) => Match::Surely,
            Action::Allow => Match::No,
            Action::Deny | Action::Review if is(&self.method) || (self.method == "HEAD" && is("GET")) => Match::Surely,
            Action::Deny | Action::Review if others.any(|other| is(&other)) => Match::Maybe,
            Action::Deny | Action::Review => Match::No,
        }
    }

    /// The methods that the request asks to be taken for.
    fn overrides(&self) -> impl Iterator<Item = String> {
        let fields = OVERRIDES.iter().flat_map(|name| self.fields(name));
        fields.chain(self.parameters("_method")).map(|(seen, _)| match seen {
            Seen::Text(text) => text.trim().to_owned(),
            Seen::Json(_) | Seen::Unreadable => String::new(),
        })
    }

    /// The parameters of a name, or that could be taken for it.
    pub(super) fn parameters<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (Seen<'a>, bool)> {
        let wanted = folded(name);
        self.query.iter().filter_map(move |parameter| {
            let sure = match parameter.name.as_deref() {
                None => false,
                Some(other) if other == name => parameter.sure,
                Some(other) => {
                    let other = folded(other);
                    let rest = other.strip_prefix(&wanted)?;
                    // `a[]` and `a[0]` are `a` for some.
                    if !rest.is_empty() && !rest.starts_with('[') {
                        return None;
                    }
                    false
                }
            };
            Some((parameter.value.as_deref().map_or(Seen::Unreadable, Seen::Text), sure))
        })
    }

    /// The fields of a name, or that could be taken for it: some take an underscore for a hyphen.
    pub(super) fn fields<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (Seen<'a>, bool)> {
        self.fields.iter().filter_map(move |(field, value)| {
            let sure = field.as_str().eq_ignore_ascii_case(name);
            if !sure && !field.as_str().replace('_', "-").eq_ignore_ascii_case(&name.replace('_', "-")) {
                return None;
            }
            let text = std::str::from_utf8(value.as_bytes()).ok();
            Some((text.map_or(Seen::Unreadable, |text| Seen::Text(text.trim())), sure))
        })
    }

    /// Whether the body is said to be JSON in UTF-8.
    ///
    /// # Errors
    /// What is said.
    pub(super) fn says_json(&self) -> Result<(), &'static str> {
        let mut said = self.fields.get_all(CONTENT_TYPE).iter();
        let (Some(kind), None) = (said.next(), said.next()) else {
            return Err("it does not say once what it is");
        };
        let kind = kind.to_str().map_err(|_| "what it is said to be cannot be read")?.to_ascii_lowercase();
        let mut parts = kind.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let json = matches!(media, "application/json" | "text/json") || media.ends_with("+json");
        if !json || media.contains(',') {
            return Err("it is not said to be JSON");
        }
        for part in parts {
            let Some((name, value)) = part.split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            // RFC 8187 writes it with a star.
            if name.trim().trim_end_matches('*') == "charset" && !matches!(value, "utf-8" | "utf8" | "us-ascii") {
                return Err("its charset is not UTF-8");
            }
        }
        Ok(())
    }
}

/// The parameters of a query, as the ways to read it give them.
fn parameters(query: &str) -> Vec<Parameter> {
    let pairs = query.split('&').map(|pair| (pair, true));
    let others = query.split(['&', ';']).map(|pair| (pair, false)).filter(|_| query.contains(';'));
    pairs.chain(others).filter(|(pair, _)| !pair.is_empty()).flat_map(|(pair, sure)| parameter(pair, sure)).collect()
}

fn parameter(pair: &str, sure: bool) -> Vec<Parameter> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let mut read = Vec::new();
    for (name_twice, value_twice) in [(false, false), (true, false), (false, true), (true, true)] {
        let (Some(name), Some(value)) = (decoded(name, name_twice), decoded(value, value_twice)) else { continue };
        read.push(Parameter { name, value, sure: sure && !name_twice && !value_twice });
    }
    read
}

/// A part of a query decoded; the inner `None` where it cannot be read, and the outer where it is not encoded twice.
fn decoded(text: &str, twice: bool) -> Option<Option<String>> {
    let once = percent::decode(text.as_bytes(), true);
    if !twice {
        return Some((!once.broken).then(|| String::from_utf8(once.bytes).ok()).flatten());
    }
    let again = percent::decode(&once.bytes, false);
    (!once.broken && again.changed).then(|| String::from_utf8(again.bytes).ok())
}
