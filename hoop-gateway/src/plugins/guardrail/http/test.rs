//! Conditions on parameters, fields of heads, and fields of JSON bodies.

use hoop_core::Denial;
use hoop_core::role::matches_wildcard;
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::super::list::{Match, checked, wrong};
use super::path::folded;

/// Longest pattern, in bytes, and how large it may become when it is compiled.
const MAX_PATTERN: usize = 4 * 1024;
const MAX_COMPILED: usize = 1 << 20;

/// A condition on a value. Everything that it gives must hold; with a name alone, that there is such a value.
///
/// Where there are several of a name, a rule that refuses matches when it does one, and one that allows must match all. Names of
/// fields in a head are compared without regard to case. A name of a parameter or of a member in JSON that differs in case alone
/// could be taken for it: a rule that refuses matches it, one that allows does not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The name of the parameter or the field. In a JSON body a pointer to it
    /// ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)) such as `/items/0/amount`, in which `*` stands for every element and
    /// every member: `/items/*/amount`.
    pub name: String,
    /// Whether there is one. `null` in JSON is one.
    #[serde(default)]
    pub present: Option<bool>,
    /// It is this: a text; in JSON any value.
    #[serde(default)]
    pub equals: Option<Value>,
    /// Its text matches this, with `*` for any run of characters, without regard to case.
    #[serde(default)]
    pub like: Option<String>,
    /// Its text is matched by this [regular expression](https://docs.rs/regex/latest/regex/#syntax), without regard to case,
    /// somewhere unless `^` and `$` say otherwise.
    #[serde(default)]
    pub matches: Option<String>,
    /// It is a number above this. What is no number could be taken for any by the service.
    #[serde(default)]
    pub above: Option<f64>,
    /// It is a number below this.
    #[serde(default)]
    pub below: Option<f64>,
}

/// A condition that is ready to be applied.
#[derive(Debug)]
pub(super) struct Test {
    pub(super) condition: Condition,
    like: Option<String>,
    pattern: Option<Regex>,
}

impl Test {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn new(rule: &str, condition: Condition) -> Result<Self, Denial> {
        let gives_a_value = condition.equals.is_some()
            || condition.like.is_some()
            || condition.matches.is_some()
            || condition.above.is_some()
            || condition.below.is_some();
        if condition.present == Some(false) && gives_a_value {
            return Err(wrong(rule, &format!("what {} is where there is none", condition.name)));
        }
        let like = condition.like.as_deref().map(|like| checked(rule, like).map(folded)).transpose()?;
        let pattern = condition.matches.as_deref().map(|pattern| compiled(rule, pattern)).transpose()?;
        Ok(Self { condition, like, pattern })
    }

    /// Whether it holds for these values, each with whether it surely is one of the name.
    pub(super) fn holds<'a>(&self, values: impl Iterator<Item = (Seen<'a>, bool)>) -> Match {
        let (mut any, mut all, mut sure) = (false, true, false);
        for (value, surely) in values {
            let found = self.compare(&value);
            any |= found != Match::No;
            all &= found == Match::Surely && surely;
            sure |= surely;
        }
        match self.condition.present {
            // Where a name is only almost the right one, it is there for some.
            Some(false) if sure => Match::No,
            Some(false) if any => Match::Maybe,
            Some(false) => Match::Surely,
            _ if any && all => Match::Surely,
            _ if any => Match::Maybe,
            _ => Match::No,
        }
    }

    fn compare(&self, value: &Seen<'_>) -> Match {
        let condition = &self.condition;
        let text = || value.text();
        let equals = condition.equals.as_ref().map(|wanted| value.equals(wanted));
        let like = self.like.as_ref().map(|like| found(matches_wildcard(like, &folded(&text())), value));
        let pattern = self.pattern.as_ref().map(|pattern| found(pattern.is_match(&text()), value));
        let above = condition.above.map(|limit| value.number().map(|number| number > limit));
        let below = condition.below.map(|limit| value.number().map(|number| number < limit));
        let numbers = [above, below].into_iter().flatten().map(|holds| match (holds, value) {
            (_, Seen::Json(Value::Null)) => Match::No,
            (Some(holds), Seen::Json(Value::String(_))) if holds => Match::Maybe,
            (Some(true), _) => Match::Surely,
            (Some(false), _) => Match::No,
            (None, _) => Match::Maybe,
        });
        [equals, like, pattern].into_iter().flatten().chain(numbers).fold(Match::Surely, least)
    }
}

fn found(found: bool, value: &Seen<'_>) -> Match {
    match (found, value) {
        (true, _) => Match::Surely,
        // What is within is up to who turns it into a text.
        (false, Seen::Json(Value::Array(_) | Value::Object(_)) | Seen::Unreadable) => Match::Maybe,
        // For some a text ends there.
        (false, Seen::Json(Value::String(text))) if text.contains('\0') => Match::Maybe,
        (false, _) => Match::No,
    }
}

/// Both hold as surely as the one that holds less surely.
pub(super) fn least(one: Match, other: Match) -> Match {
    match (one, other) {
        (Match::No, _) | (_, Match::No) => Match::No,
        (Match::Maybe, _) | (_, Match::Maybe) => Match::Maybe,
        _ => Match::Surely,
    }
}

fn compiled(rule: &str, pattern: &str) -> Result<Regex, Denial> {
    if pattern.len() > MAX_PATTERN {
        return Err(wrong(rule, &format!("its pattern is longer than {MAX_PATTERN} bytes")));
    }
    let built = RegexBuilder::new(pattern).case_insensitive(true).size_limit(MAX_COMPILED).build();
    built.map_err(|error| wrong(rule, &format!("its pattern is not one: {error}")))
}

/// A value that a condition looks at.
pub(super) enum Seen<'a> {
    Text(&'a str),
    Json(&'a Value),
    /// Nobody can say what it is.
    Unreadable,
}

impl Seen<'_> {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => (*text).to_owned(),
            Self::Json(Value::String(text)) => text.clone(),
            Self::Json(Value::Array(_) | Value::Object(_) | Value::Null) | Self::Unreadable => String::new(),
            Self::Json(value) => value.to_string(),
        }
    }

    fn number(&self) -> Option<f64> {
        let number = match self {
            Self::Json(Value::Number(number)) => number.as_f64(),
            _ => self.text().trim().parse().ok(),
        };
        number.filter(|number| number.is_finite())
    }

    fn equals(&self, wanted: &Value) -> Match {
        let same = match self {
            Self::Text(text) => wanted.as_str() == Some(text),
            Self::Json(value) => same(value, wanted),
            Self::Unreadable => return Match::Maybe,
        };
        // Some take a text for the number or the word that it is.
        let alike = |value: &Self| match wanted {
            Value::Array(_) | Value::Object(_) => matches!(value, Self::Json(Value::Array(_) | Value::Object(_))),
            Value::Null => false,
            _ if matches!(value, Self::Json(Value::Null)) => false,
            Value::Number(_) if value.number().is_some() => value.number() == Seen::Json(wanted).number(),
            _ => {
                let text = Seen::Json(wanted).text();
                let plain = |text: &str| folded(text.split('\0').next().unwrap_or_default().trim());
                !matches!(value, Self::Json(Value::Array(_) | Value::Object(_))) && plain(&value.text()) == plain(&text)
            }
        };
        match same {
            true => Match::Surely,
            false if alike(self) => Match::Maybe,
            false => Match::No,
        }
    }
}

/// Whether two values are the same: numbers by what they are, however they are written.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => same_number(one, other),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| same(value, other)))
        }
        _ => one == other,
    }
}

fn same_number(one: &Number, other: &Number) -> bool {
    one == other || one.as_f64().zip(other.as_f64()).is_some_and(|(one, other)| one == other)
}
