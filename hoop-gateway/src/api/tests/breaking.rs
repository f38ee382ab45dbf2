//! Whether a document breaks the callers of another: what they send must still be taken, and what they read must still
//! come. New routes, new optional fields of requests and new fields of answers break nobody.

use serde_json::{Value, json};

/// Which way a value goes.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Sent,
    Read,
}

/// What would break callers of `old`.
pub(super) fn breaks(old: &Value, new: &Value) -> Vec<String> {
    let mut diff = Diff { old, new, found: Vec::new() };
    for (path, methods) in fields(&old["paths"]) {
        for (method, operation) in fields(methods) {
            let at = format!("{method} {path}");
            match new["paths"][path].get(method) {
                None => diff.found.push(format!("{at}: removed")),
                Some(now) => diff.operation(&at, operation, now),
            }
        }
    }
    diff.found
}

struct Diff<'a> {
    old: &'a Value,
    new: &'a Value,
    found: Vec<String>,
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn has(list: &Value, item: &Value) -> bool {
    items(list).any(|other| other == item)
}

/// Whether a pattern takes what another took: it is the same, or has more beginnings to choose from.
fn takes_as_much(now: &str, before: Option<&str>) -> bool {
    let beginnings = |pattern: &str| -> Option<Vec<String>> {
        let choice = pattern.strip_prefix("^(")?.strip_suffix(").*$")?;
        let plain = choice.chars().all(|c| c.is_ascii_alphanumeric() || "|:/-".contains(c));
        plain.then(|| choice.split('|').map(str::to_owned).collect())
    };
    before.is_some_and(|before| {
        let both = beginnings(before).zip(beginnings(now));
        now == before || both.is_some_and(|(before, now)| before.iter().all(|one| now.contains(one)))
    })
}

/// A schema with its reference followed and its parts (`allOf`) put together.
fn whole(document: &Value, schema: &Value) -> Value {
    let mut schema = schema.clone();
    while let Some(pointer) = schema["$ref"].as_str().map(str::to_owned) {
        schema = document.pointer(pointer.trim_start_matches('#')).cloned().unwrap_or_default();
    }
    let parts: Vec<_> = items(&schema["allOf"]).map(|part| whole(document, part)).collect();
    for part in parts {
        for (name, property) in fields(&part["properties"]) {
            schema["properties"][name] = property.clone();
        }
        let required: Vec<_> = items(&schema["required"]).chain(items(&part["required"])).cloned().collect();
        schema["required"] = required.into();
    }
    schema
}

/// The types of a schema; none where it says nothing.
fn types(schema: &Value) -> Vec<&str> {
    let one = schema["type"].as_str().into_iter();
    one.chain(items(&schema["type"]).filter_map(Value::as_str)).collect()
}

impl Diff<'_> {
    fn note(&mut self, breaks: bool, at: &str, what: &str) {
        if breaks {
            self.found.push(format!("{at}: {what}"));
        }
    }

    fn operation(&mut self, at: &str, old: &Value, new: &Value) {
        let rank = |operation: &Value| {
            let order = ["public", "own_account", "member", "auditor", "admin"];
            order.iter().position(|permission| operation["x-permission"] == *permission)
        };
        self.note(rank(new) > rank(old), at, "needs more than before");
        self.parameters(at, &old["parameters"], &new["parameters"]);
        let (before, now) = (&old["requestBody"], &new["requestBody"]);
        self.note(now["required"] == true && before["required"] != true, at, "needs a body");
        self.contents(&format!("{at} body"), &before["content"], &now["content"], Way::Sent);
        for (status, answer) in fields(&old["responses"]).filter(|(status, _)| status.starts_with('2')) {
            let at = format!("{at} {status}");
            match new["responses"].get(status) {
                None => self.found.push(format!("{at}: removed")),
                Some(now) => self.contents(&at, &answer["content"], &now["content"], Way::Read),
            }
        }
    }

    fn parameters(&mut self, at: &str, old: &Value, new: &Value) {
        let same = |one: &Value, other: &Value| one["name"] == other["name"] && one["in"] == other["in"];
        for before in items(old) {
            let at = format!("{at} {}", before["name"]);
            match items(new).find(|now| same(before, now)) {
                None => self.found.push(format!("{at}: removed")),
                Some(now) => {
                    self.note(now["required"] == true && before["required"] != true, &at, "is needed now");
                    self.schema(&at, &before["schema"], &now["schema"], Way::Sent);
                }
            }
        }
        for now in items(new).filter(|now| now["required"] == true && !items(old).any(|before| same(before, now))) {
            self.found.push(format!("{at} {}: new, and needed", now["name"]));
        }
    }

    fn contents(&mut self, at: &str, old: &Value, new: &Value, way: Way) {
        for (kind, content) in fields(old) {
            match new.get(kind) {
                None => self.found.push(format!("{at}: no {kind} any more")),
                Some(now) => self.schema(at, &content["schema"], &now["schema"], way),
            }
        }
    }

    fn schema(&mut self, at: &str, old: &Value, new: &Value, way: Way) {
        let (old, new) = (whole(self.old, old), whole(self.new, new));
        self.values(at, &old, &new, way);
        if way == Way::Sent {
            self.bounds(at, &old, &new);
        }
        self.properties(at, &old, &new, way);
        for (variant, before) in items(&old["oneOf"]).enumerate() {
            match new["oneOf"].get(variant) {
                None => self.found.push(format!("{at}: variant {variant} removed")),
                Some(now) => self.schema(&format!("{at} variant {variant}"), before, now, way),
            }
        }
        for part in ["items", "additionalProperties"] {
            if old[part].is_object() && new[part].is_object() {
                self.schema(&format!("{at}[]"), &old[part], &new[part], way);
            }
        }
    }

    /// Who sends needs every type and value of before; who reads knows no others.
    fn values(&mut self, at: &str, old: &Value, new: &Value, way: Way) {
        let (wide, narrow) = if way == Way::Sent { (new, old) } else { (old, new) };
        let (wide, narrow) = (types(wide), types(narrow));
        let fits = wide.is_empty()
            || !narrow.is_empty()
                && narrow.iter().all(|kind| wide.contains(kind) || *kind == "integer" && wide.contains(&"number"));
        self.note(!fits, at, "of another type");
        let lost = way == Way::Sent
            && new["enum"].is_array()
            && (!old["enum"].is_array() || items(&old["enum"]).any(|value| !has(&new["enum"], value)));
        self.note(lost, at, "takes fewer values");
    }

    fn bounds(&mut self, at: &str, old: &Value, new: &Value) {
        for (bound, sign) in [
            ("minimum", 1.0),
            ("minLength", 1.0),
            ("minItems", 1.0),
            ("maximum", -1.0),
            ("maxLength", -1.0),
            ("maxItems", -1.0),
        ] {
            let (before, now) = (old[bound].as_f64(), new[bound].as_f64());
            let tighter = now.is_some_and(|now| before.is_none_or(|before| now * sign > before * sign));
            self.note(tighter, at, &format!("{bound} is tighter"));
        }
        let pattern = new["pattern"].as_str().is_some_and(|now| !takes_as_much(now, old["pattern"].as_str()));
        self.note(pattern, at, "another pattern");
        let closed = new["additionalProperties"] == false && old["additionalProperties"] != false;
        self.note(closed && old["properties"].is_object(), at, "takes no other fields any more");
    }

    fn properties(&mut self, at: &str, old: &Value, new: &Value, way: Way) {
        for (name, before) in fields(&old["properties"]) {
            let at = format!("{at}/{name}");
            match new["properties"].get(name) {
                None => self.found.push(format!("{at}: removed")),
                Some(now) => self.schema(&at, before, now, way),
            }
        }
        let (needed, before) = match way {
            Way::Sent => (&new["required"], &old["required"]),
            Way::Read => (&old["required"], &new["required"]),
        };
        let what = if way == Way::Sent { "is needed now" } else { "may be missing now" };
        let missing: Vec<_> = items(needed).filter(|name| !has(before, name)).cloned().collect();
        for name in missing {
            // One that is gone altogether was told above.
            let gone = way == Way::Read && new["properties"].get(name.as_str().unwrap_or_default()).is_none();
            self.note(!gone, &format!("{at}/{}", name.as_str().unwrap_or_default()), what);
        }
    }
}

fn sample() -> Value {
    json!({
        "paths": { "/things": {
            "get": {
                "x-permission": "member",
                "parameters": [{ "name": "limit", "in": "query", "schema": { "type": "integer", "maximum": 200 } }],
                "responses": { "200": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Thing" } } } } },
            },
            "post": {
                "x-permission": "admin",
                "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Make" } } } },
                "responses": { "201": { "content": {} } },
            },
        } },
        "components": { "schemas": {
            "Thing": { "allOf": [{ "type": "object", "required": ["id"], "properties": { "id": { "type": "string" } } }],
                "required": ["size"], "properties": { "size": { "type": "integer" }, "note": { "type": ["string", "null"] } } },
            "Make": { "type": "object", "required": ["kind"], "properties": {
                "kind": { "type": "string", "enum": ["a", "b"] }, "note": { "type": "string" } } },
        } },
    })
}

fn changed(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let (old, mut new) = (sample(), sample());
    change(&mut new);
    breaks(&old, &new)
}

#[test]
fn what_is_added_breaks_nobody() {
    assert_eq!(changed(|_| {}), Vec::<String>::new());
    let found = changed(|new| {
        new["paths"]["/more"] = json!({ "get": {} });
        let schemas = &mut new["components"]["schemas"];
        schemas["Thing"]["properties"]["colour"] = json!({ "type": "string" });
        schemas["Thing"]["properties"]["note"]["type"] = "string".into();
        schemas["Make"]["properties"]["colour"] = json!({ "type": "string" });
        schemas["Make"]["properties"]["kind"]["enum"] = json!(["a", "b", "c"]);
        schemas["Make"]["properties"]["note"]["type"] = json!(["string", "null"]);
        schemas["Make"]["required"] = json!([]);
        new["paths"]["/things"]["get"]["parameters"][0]["schema"]["maximum"] = 500.into();
        new["paths"]["/things"]["get"]["x-permission"] = "public".into();
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn what_is_taken_away_or_asked_for_is_found() {
    let remove = |value: &mut Value, name: &str| drop(value.as_object_mut().expect("an object").remove(name));
    let thing = |new: &mut Value| new["components"]["schemas"]["Thing"].take();
    for (found, expected) in [
        (changed(|new| remove(&mut new["paths"], "/things")), "get /things: removed"),
        (changed(|new| remove(&mut new["paths"]["/things"], "post")), "post /things: removed"),
        (changed(|new| new["paths"]["/things"]["get"]["x-permission"] = "admin".into()), "needs more than before"),
        (changed(|new| new["paths"]["/things"]["get"]["parameters"] = json!([])), "\"limit\": removed"),
        (
            changed(|new| new["paths"]["/things"]["get"]["parameters"][0]["schema"]["maximum"] = 50.into()),
            "maximum is tighter",
        ),
        (changed(|new| new["paths"]["/things"]["get"]["parameters"][0]["required"] = true.into()), "is needed now"),
        (changed(|new| new["paths"]["/things"]["post"]["requestBody"]["required"] = true.into()), "needs a body"),
        (
            changed(|new| new["components"]["schemas"]["Make"]["required"] = json!(["kind", "note"])),
            "body/note: is needed now",
        ),
        (
            changed(|new| new["components"]["schemas"]["Make"]["properties"]["kind"]["enum"] = json!(["a"])),
            "takes fewer values",
        ),
        (
            changed(|new| new["components"]["schemas"]["Make"]["properties"]["note"]["type"] = "integer".into()),
            "of another type",
        ),
        (changed(|new| remove(&mut new["components"]["schemas"]["Make"]["properties"], "note")), "body/note: removed"),
        (
            changed(|new| {
                new["components"]["schemas"]["Thing"]["properties"]["size"]["type"] = json!(["integer", "null"])
            }),
            "200/size: of another type",
        ),
        (changed(|new| new["components"]["schemas"]["Thing"]["required"] = json!([])), "200/size: may be missing now"),
        (changed(|new| new["components"]["schemas"]["Thing"]["allOf"] = json!([])), "200/id: removed"),
        (changed(|new| drop(thing(new))), "200/size: removed"),
    ] {
        assert!(found.iter().any(|text| text.contains(expected)), "{expected}: {found:?}");
    }
}

#[test]
fn a_pattern_with_more_beginnings_takes_as_much() {
    let before = Some("^(env:|file:/).*$");
    for (now, expected) in
        [("^(env:|file:/).*$", true), ("^(vault:|file:/|env:).*$", true), ("^(env:).*$", false), ("^env:.*$", false)]
    {
        assert_eq!(takes_as_much(now, before), expected, "{now}");
    }
    assert!(!takes_as_much("^(env:).*$", None), "there was none before");
}
