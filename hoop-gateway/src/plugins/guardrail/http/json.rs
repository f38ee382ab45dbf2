//! A JSON body, read so that nobody can read something else in it, and the fields of it.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::path::folded;

/// Deepest nesting that is read.
const MAX_DEPTH: usize = 64;

/// Reads a body; an empty one has no fields.
///
/// # Errors
/// Why it cannot be read surely.
pub(super) fn read(bytes: &[u8]) -> Result<Value, String> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    if std::str::from_utf8(bytes).is_err() {
        return Err("it is not UTF-8".to_owned());
    }
    let mut from = serde_json::Deserializer::from_slice(bytes);
    let value = Level(MAX_DEPTH).deserialize(&mut from).map_err(why)?;
    from.end().map_err(why)?;
    Ok(value)
}

/// What is wrong, without the text of it.
fn why(error: serde_json::Error) -> String {
    let text = error.to_string();
    match [TWICE, DEEP].into_iter().find(|known| text.starts_with(known)) {
        Some(known) => format!("it has {known}"),
        None => format!("it is not JSON, at line {} column {}", error.line(), error.column()),
    }
}

const TWICE: &str = "an object with a name twice";
const DEEP: &str = "too many levels";

/// A value with so many levels at most, in which no name comes twice.
struct Level(usize);

impl Level {
    fn within<E: Error>(&self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom(DEEP))
    }
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = from.next_element_seed(self.within()?)? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = from.next_key::<String>()? {
            let value = from.next_value_seed(self.within()?)?;
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom(TWICE));
            }
        }
        Ok(map.into())
    }
}

/// Where a field is: a JSON pointer ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)), in which `*` stands for every element of
/// an array and every member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer(Vec<String>);

impl Pointer {
    /// `None` when it is not one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self(Vec::new()));
        }
        let names = text.strip_prefix('/')?.split('/').map(|name| {
            let escapes = name.replace("~0", "").replace("~1", "");
            (!escapes.contains('~')).then(|| name.replace("~1", "/").replace("~0", "~"))
        });
        names.collect::<Option<_>>().map(Self)
    }

    /// The values that it leads to, each with whether it does so for every reader. Some take names without regard to case, or to
    /// their end behind a zero; some answer an array of questions as they do one, and take one value where several are meant.
    pub(super) fn find<'a>(&self, root: &'a Value) -> Vec<(&'a Value, bool)> {
        let mut found = vec![(root, true)];
        for (at, name) in self.0.iter().enumerate() {
            let last = at + 1 == self.0.len();
            found = found.into_iter().flat_map(|(value, sure)| step(value, sure, name, last)).collect();
        }
        found
    }
}

fn step<'a>(value: &'a Value, sure: bool, name: &str, last: bool) -> Vec<(&'a Value, bool)> {
    let index: Option<usize> = name.parse().ok();
    // Something in the place of an array of it. What a text is made of as a whole is no such thing.
    let alone = || ((name == "*" || index == Some(0)) && !(last && value.is_object())).then_some((value, false));
    match value {
        Value::Object(members) if name == "*" => members.values().map(|value| (value, sure)).chain(alone()).collect(),
        Value::Object(members) => {
            let found: Vec<_> = members
                .iter()
                .filter(|(member, _)| *member == name || is_like(member, name))
                .map(|(member, value)| (value, sure && member == name))
                .collect();
            if found.is_empty() { alone().into_iter().collect() } else { found }
        }
        Value::Array(elements) if name == "*" => elements.iter().map(|value| (value, sure)).collect(),
        Value::Array(elements) if index.is_some() => {
            index.and_then(|at| elements.get(at)).map(|value| (value, sure)).into_iter().collect()
        }
        Value::Array(elements) => {
            let nested = elements.iter().filter(|value| value.is_object() || value.is_array());
            nested.flat_map(|value| step(value, false, name, last)).collect()
        }
        _ => alone().into_iter().collect(),
    }
}

/// Whether some take a member's name for this one.
fn is_like(member: &str, name: &str) -> bool {
    folded(member.split('\0').next().unwrap_or_default()) == folded(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_can_be_read_in_two_ways_is_not_read() {
        for (text, word) in [
            (r#"{"a":1,"a":2}"#, "twice"),
            (r#"{"b":{"a":1,"\u0061":2}}"#, "twice"),
            (r#"{"a":1} {"a":2}"#, "not JSON"),
            (r#"{"a":1}x"#, "not JSON"),
            (r#"{"a":1,}"#, "not JSON"),
            ("{'a':1}", "not JSON"),
            ("{\"a\":1 /* */}", "not JSON"),
            ("NaN", "not JSON"),
            (r#""\ud800""#, "not JSON"),
            ("1e999", "not JSON"),
            ("\u{feff}{}", "not JSON"),
            ("a=1&b=2", "not JSON"),
        ] {
            let error = read(text.as_bytes()).expect_err(text);
            assert!(error.contains(word), "{text}: {error}");
        }
        assert_eq!(read(b"{\0\"\0a\0"), Err("it is not JSON, at line 1 column 2".to_owned()), "UTF-16");
        assert_eq!(read(b"\"\xff\""), Err("it is not UTF-8".to_owned()));
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(deep(60).as_bytes()).is_ok());
        assert_eq!(read(deep(100).as_bytes()), Err("it has too many levels".to_owned()));
        assert!(read(deep(100_000).as_bytes()).is_err());
        assert_eq!(read(b"").expect("nothing"), Value::Null);
    }

    #[test]
    fn pointers_lead_to_fields() {
        let body = json!({ "a": { "b/c": [1, { "d": 2 }, 3], "~": 4 }, "A": 5, "": 6 });
        for (pointer, found) in [
            ("/a/b~1c/0", vec![(json!(1), true)]),
            ("/a/b~1c/*/d", vec![(json!(2), true)]),
            ("/a/~0", vec![(json!(4), true)]),
            ("/", vec![(json!(6), true)]),
            ("/A/~0", vec![(json!(4), false)]),
            ("/a/b~1c/7", vec![]),
            ("/a/b~1c/x", vec![]),
            ("/x", vec![]),
        ] {
            let pointer = Pointer::parse(pointer).expect("a pointer");
            let led: Vec<_> = pointer.find(&body).into_iter().map(|(value, sure)| (value.clone(), sure)).collect();
            assert_eq!(led, found, "{pointer:?}");
        }
        let several = json!([{ "q": 1 }, [{ "Q": 2 }], { "q\0x": 3, "r": 4 }, 5]);
        let found: Vec<_> = Pointer::parse("/q")
            .expect("a pointer")
            .find(&several)
            .into_iter()
            .map(|(value, _)| value.clone())
            .collect();
        assert_eq!(found, [json!(1), json!(2), json!(3)], "of a list of questions");
        let one = json!({ "items": { "amount": 1 }, "tags": "x" });
        for (pointer, found) in [
            ("/items/*/amount", vec![(json!(1), false)]),
            ("/items/0/amount", vec![(json!(1), false)]),
            ("/items/1/amount", vec![]),
            ("/items/*", vec![(json!(1), true)]),
            ("/items/0", vec![]),
            ("/tags/*", vec![(json!("x"), false)]),
            ("/tags/0", vec![(json!("x"), false)]),
        ] {
            let pointer = Pointer::parse(pointer).expect("a pointer");
            let led: Vec<_> = pointer.find(&one).into_iter().map(|(value, sure)| (value.clone(), sure)).collect();
            assert_eq!(led, found, "{pointer:?}: one in the place of several");
        }
        assert!(Pointer::parse("a").is_none() && Pointer::parse("/~2").is_none() && Pointer::parse("/~").is_none());
        assert_eq!(Pointer::parse("").expect("the whole").find(&body), [(&body, true)]);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }

        #[test]
        fn what_is_written_is_read(names in prop::collection::btree_set("[a-zA-Z~/*]{0,3}", 0..5), number: i64) {
            let body: Map<String, Value> = names.iter().map(|name| (name.clone(), number.into())).collect();
            let text = serde_json::to_vec(&body).expect("JSON");
            prop_assert_eq!(read(&text), Ok(Value::from(body)));
        }
    }
}
