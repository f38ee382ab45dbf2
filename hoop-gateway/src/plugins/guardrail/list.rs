//! Lists of rules of which the first that matches decides.

use hoop_core::{Ask, Code, Denial, Principal, Subject};
use serde::{Deserialize, Serialize};

use super::NAME;

/// Longest pattern, in bytes.
const MAX_PATTERN: usize = 1024;

/// What a rule of a list does with what it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is refused.
    #[default]
    Deny,
    /// It goes on, whatever the rules behind this one say. A list with such a rule is an allow-list: what none of its rules
    /// matches is refused.
    Allow,
    /// It goes on when somebody of the rule's `group` has agreed; it matches as a rule that refuses does. Files are not held.
    Review,
}

impl Action {
    /// Whether a rule does so that does not say it.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Rules that are ready to be applied.
#[derive(Debug)]
pub(super) struct List<M> {
    pub(super) entries: Vec<Entry<M>>,
    /// Whether what no rule matches is refused; also where those that allow something do not hold for the principal.
    pub(super) is_allow_list: bool,
    pub(super) code: Code,
}

/// A rule that is ready to be applied.
#[derive(Debug)]
pub(super) struct Entry<M> {
    pub(super) name: String,
    pub(super) action: Action,
    /// The group that a review asks.
    pub(super) group: Option<String>,
    pub(super) hint: Option<String>,
    pub(super) except_groups: Vec<String>,
    pub(super) for_groups: Vec<String>,
    /// What it matches; nothing given matches everything.
    pub(super) matches: Option<M>,
}

/// Whose agreement a rule wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) rule: String,
    pub(super) group: String,
    pub(super) hint: Option<String>,
}

impl Wanted {
    /// One agreement for both, where the same group gives it.
    ///
    /// # Errors
    /// What is wrong with two groups.
    pub(super) fn and(first: Option<Self>, second: Option<Self>) -> Result<Option<Self>, String> {
        match (first, second) {
            (Some(first), Some(second)) if first.group != second.group => Err(format!(
                "rule {} wants group {} to agree to a part of it, and rule {} wants group {} to",
                first.rule, first.group, second.rule, second.group
            )),
            (first, second) => Ok(first.or(second)),
        }
    }

    /// Asks for it.
    pub(super) fn ask(self, subject: Subject) -> Box<Ask> {
        let Self { rule, group, hint } = self;
        Box::new(Ask { by: NAME, rule, group, hint, subject })
    }
}

/// The group that a rule with this action asks.
///
/// # Errors
/// When it does not fit.
pub(super) fn check_group(rule: &str, action: Action, group: Option<&str>) -> Result<(), Denial> {
    match (action, group) {
        (Action::Review, None | Some("")) => Err(wrong(rule, "it does not say which group is to agree")),
        (Action::Deny | Action::Allow, Some(_)) => Err(wrong(rule, "it names a group, and asks for no review")),
        _ => Ok(()),
    }
}

/// Whether a rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    No,
    /// It could, for all that is known here.
    Maybe,
    Surely,
}

impl<M> List<M> {
    /// # Errors
    /// What is wrong with a rule.
    pub(super) fn new(entries: Vec<Entry<M>>, code: Code) -> Result<Self, Denial> {
        for (at, entry) in entries.iter().enumerate() {
            entry.check(at + 1 == entries.len())?;
        }
        let is_allow_list = entries.iter().any(|entry| entry.action == Action::Allow);
        Ok(Self { entries, is_allow_list, code })
    }

    /// The rules that hold for a principal.
    pub(super) fn of(mut self, principal: &Principal) -> Self {
        self.entries.retain(|entry| applies(&entry.except_groups, &entry.for_groups, principal));
        self
    }

    /// Whether there is nothing to decide.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty() && !self.is_allow_list
    }

    pub(super) fn any(&self, of: impl Fn(&M) -> bool) -> bool {
        self.entries.iter().any(|entry| entry.matches.as_ref().is_none_or(&of))
    }

    /// Decides about `what`, in words for a user. A rule that refuses, or asks for a review, does so also when it could match; one
    /// that allows must match surely.
    pub(super) fn decide(
        &self,
        what: &str,
        unsure: &str,
        matches: impl Fn(&M, Action) -> Match,
    ) -> Result<Option<Wanted>, Denial> {
        for entry in &self.entries {
            let found = entry.matches.as_ref().map_or(Match::Surely, |matcher| matches(matcher, entry.action));
            match (entry.action, found) {
                (_, Match::No) | (Action::Allow, Match::Maybe) => {}
                (Action::Allow, Match::Surely) => return Ok(None),
                (Action::Review, _) => return Ok(Some(entry.wanted())),
                (Action::Deny, _) => return Err(self.refused_by(entry, found, what, unsure)),
            }
        }
        self.end(what).map(|()| None)
    }

    /// What becomes of what no rule has decided about.
    pub(super) fn end(&self, what: &str) -> Result<(), Denial> {
        if self.is_allow_list { Err(self.refusal(format!("no rule allows {what}"), ASK)) } else { Ok(()) }
    }

    /// The refusal by a rule that matches, or could.
    pub(super) fn refused_by(&self, entry: &Entry<M>, found: Match, what: &str, unsure: &str) -> Denial {
        if found == Match::Surely {
            let hint = entry.hint.as_deref().unwrap_or(ASK);
            return self.refusal(format!("rule {} refuses {what}", entry.name), hint);
        }
        let reason = format!("rule {} refuses {what}, since it may be about it", entry.name);
        let own = entry.hint.iter().map(|hint| format!("; if the rule is about it: {hint}"));
        self.refusal(reason, &format!("{unsure}{}", own.collect::<String>()))
    }

    pub(super) fn refusal(&self, reason: String, hint: &str) -> Denial {
        Denial::new(NAME, self.code, reason).hint(hint)
    }
}

/// What to do where a rule does not say it.
pub(super) const ASK: &str = "ask an administrator whether you may do this in another way";

impl<M> Entry<M> {
    /// What a rule that asks for a review wants.
    pub(super) fn wanted(&self) -> Wanted {
        let (rule, group, hint) = (self.name.clone(), self.group.clone().unwrap_or_default(), self.hint.clone());
        Wanted { rule, group, hint }
    }

    fn check(&self, is_last: bool) -> Result<(), Denial> {
        if self.name.is_empty() {
            return Err(wrong(&self.name, "it has no name"));
        }
        check_group(&self.name, self.action, self.group.as_deref())?;
        match (&self.matches, self.action) {
            (Some(_), _) => Ok(()),
            (None, Action::Review) => {
                Err(wrong(&self.name, "it gives nothing to match, and would ask about everything"))
            }
            (None, Action::Deny) => Err(wrong(&self.name, "it gives nothing to match, and would refuse everything")),
            (None, Action::Allow) if !is_last && self.except_groups.is_empty() && self.for_groups.is_empty() => {
                Err(wrong(&self.name, "it allows everything, so that the rules behind it would never be asked"))
            }
            (None, Action::Allow) => Ok(()),
        }
    }
}

/// Whether a rule for these groups holds for this principal.
pub(super) fn applies(except: &[String], only: &[String], principal: &Principal) -> bool {
    let any = |groups: &[String]| groups.iter().any(|group| principal.is_in(group));
    !any(except) && (only.is_empty() || any(only))
}

/// A rule that cannot be used.
pub(super) fn wrong(rule: &str, what: &str) -> Denial {
    let reason = format!("rule {rule} of guardrail cannot be used: {what}");
    Denial::new(NAME, Code::InvalidRequest, reason).hint("ask an administrator to correct the role")
}

/// A pattern of a rule that can be one.
pub(super) fn checked<'a>(rule: &str, pattern: &'a str) -> Result<&'a str, Denial> {
    if pattern.is_empty() {
        return Err(wrong(rule, "one of its patterns is empty"));
    }
    if pattern.len() > MAX_PATTERN {
        return Err(wrong(rule, &format!("one of its patterns is longer than {MAX_PATTERN} bytes")));
    }
    Ok(pattern)
}
